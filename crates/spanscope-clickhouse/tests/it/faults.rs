//! Servers, users and tables that are not what the store needs: each is an error that names what to
//! do.

use std::net::TcpListener;

use spanscope_clickhouse::{ClickHouseStore, StoreAddress};
use spanscope_model::{
    Condition, ConditionOp, StoreError, StoreErrorKind, TraceFilter, TraceStore, block_on,
};

use crate::engine::{self, Database};
use crate::peer::{Answer, Peer};

/// The tables of a database as a server describes them.
const COLUMNS: &str = r#"["otel_traces","Timestamp","DateTime64(9)"]
["otel_traces","TraceId","String"]
["otel_traces","SpanId","String"]
["otel_traces","ParentSpanId","String"]
["otel_traces","SpanName","LowCardinality(String)"]
["otel_traces","SpanKind","LowCardinality(String)"]
["otel_traces","ServiceName","LowCardinality(String)"]
["otel_traces","ResourceAttributes","Map(LowCardinality(String), String)"]
["otel_traces","SpanAttributes","Map(LowCardinality(String), String)"]
["otel_traces","Duration","UInt64"]
["otel_traces","StatusCode","LowCardinality(String)"]
["otel_traces","StatusMessage","String"]
["otel_traces","Events.Timestamp","Array(DateTime64(9))"]
["otel_traces","Events.Name","Array(LowCardinality(String))"]
["otel_traces","Events.Attributes","Array(Map(LowCardinality(String), String))"]
["otel_traces","Links.TraceId","Array(String)"]
["otel_traces","Links.SpanId","Array(String)"]
["otel_traces","Links.Attributes","Array(Map(LowCardinality(String), String))"]
"#;

fn refused(answers: Vec<Answer>) -> StoreError {
    let peer = Peer::new(answers);
    ClickHouseStore::open(peer.address().password("hunter2")).unwrap_err()
}

fn opened() -> (Peer, ClickHouseStore) {
    let peer = Peer::new(vec![Answer::rows("[0]\n"), Answer::rows(COLUMNS)]);
    let store = ClickHouseStore::open(peer.address()).unwrap();
    (peer, store)
}

fn check(error: &StoreError, kind: StoreErrorKind, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
}

#[test]
fn the_error_of_a_refused_user_names_the_variable_of_the_password() {
    let error = refused(vec![Answer::exception(
        516,
        "otel: Authentication failed: password is incorrect.",
    )]);
    check(
        &error,
        StoreErrorKind::Unusable,
        &["\"otel\"", "SPANSCOPE_STORE_PASSWORD"],
    );
    let error = refused(vec![Answer::status(401)]);
    check(
        &error,
        StoreErrorKind::Unusable,
        &["401", "SPANSCOPE_STORE_PASSWORD"],
    );
}

#[test]
fn the_error_of_a_user_who_may_not_read_names_the_grant() {
    let error = refused(vec![
        Answer::rows("[0]\n"),
        Answer::exception(497, "otel: Not enough privileges."),
    ]);
    check(&error, StoreErrorKind::Unusable, &["GRANT SELECT ON otel.*"]);
}

#[test]
fn the_error_of_a_profile_that_forbids_settings_names_one_that_does_not() {
    for code in [164, 452] {
        let error = refused(vec![Answer::exception(
            code,
            "Cannot modify 'max_execution_time' setting in readonly mode.",
        )]);
        check(
            &error,
            StoreErrorKind::Unusable,
            &["readonly = 2", "max_execution_time"],
        );
    }
}

#[test]
fn a_user_limited_to_reading_is_not_asked_to_limit_itself() {
    for (readonly, sets) in [("[0]\n", true), ("[2]\n", false)] {
        let peer = Peer::new(vec![Answer::rows(readonly), Answer::rows(COLUMNS)]);
        ClickHouseStore::open(peer.address()).unwrap();
        let last = peer.requests().pop().unwrap();
        assert_eq!(last.contains("readonly=2"), sets);
        assert!(last.contains("max_execution_time=") && last.contains("max_result_bytes="));
    }
}

#[test]
fn another_kind_of_server_is_refused() {
    let error = refused(vec![Answer::status(404)]);
    check(&error, StoreErrorKind::Unusable, &["404", "8123"]);
    let error = refused(vec![Answer::rows("<html>hello</html>\n")]);
    check(&error, StoreErrorKind::Unavailable, &["JSONCompactEachRow"]);
}

#[test]
fn a_server_that_is_gone_is_unavailable_and_is_used_again_when_it_is_back() {
    let (peer, store) = opened();
    peer.answer(vec![Answer::status(503)]);
    let error = block_on(store.check()).unwrap_err();
    check(&error, StoreErrorKind::Unavailable, &["can't be reached", "503"]);
    peer.answer(vec![Answer::rows("[1]\n")]);
    block_on(store.check()).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address: StoreAddress = format!("clickhouse://127.0.0.1:{port}").parse().unwrap();
    let error = ClickHouseStore::open(address).unwrap_err();
    check(&error, StoreErrorKind::Unavailable, &["can't be reached"]);
}

#[test]
fn the_next_host_answers_where_one_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap().port();
    drop(listener);
    let ill = Peer::new(vec![Answer::status(502)]);
    let peer = Peer::new(vec![
        Answer::rows("[0]\n"),
        Answer::rows(COLUMNS),
        Answer::rows("[1]\n"),
    ]);
    let url = format!(
        "clickhouse://127.0.0.1:{gone},127.0.0.1:{},127.0.0.1:{}/otel",
        ill.port(),
        peer.port()
    );
    let store = ClickHouseStore::open(url.parse().unwrap()).unwrap();
    block_on(store.check()).unwrap();
    assert_eq!(ill.requests().len(), 1, "the host that answered is asked first");
}

#[test]
fn the_errors_of_limits_name_what_to_ask() {
    let (peer, store) = opened();
    for (code, kind, word) in [
        (159, StoreErrorKind::QueryTooLarge, "shorter time"),
        (241, StoreErrorKind::QueryTooLarge, "shorter time"),
        (396, StoreErrorKind::ResultTooLarge, "limit"),
        (202, StoreErrorKind::Overloaded, "again in a second"),
    ] {
        peer.answer(vec![Answer::exception(code, "Limit exceeded.")]);
        check(&block_on(store.check()).unwrap_err(), kind, &[word]);
    }
}

#[test]
fn an_error_in_the_middle_of_an_answer_is_no_shorter_answer() {
    let (peer, store) = opened();
    peer.answer(vec![Answer::rows(
        "[1]\nCode: 241. DB::Exception: Memory limit exceeded\n",
    )]);
    check(
        &block_on(store.check()).unwrap_err(),
        StoreErrorKind::QueryTooLarge,
        &["shorter time"],
    );
    peer.answer(vec![Answer::broken("[1]\n")]);
    check(
        &block_on(store.check()).unwrap_err(),
        StoreErrorKind::Unavailable,
        &["broke", "ask again"],
    );
    peer.answer(vec![Answer::rows("[1]\n[1,")]);
    check(
        &block_on(store.check()).unwrap_err(),
        StoreErrorKind::Unavailable,
        &["broke off", "ask again"],
    );
}

#[test]
fn values_are_not_part_of_a_statement() {
    let (peer, store) = opened();
    peer.answer(vec![Answer::rows("[1,0,0]\n"), Answer::rows("")]);
    let filter = TraceFilter::default().conditions(vec![Condition::new(
        "k' OR 1",
        ConditionOp::Eq,
        "v'); DROP TABLE otel_traces",
    )]);
    assert!(block_on(store.list_traces(filter)).unwrap().is_empty());
    for request in peer.requests() {
        let statement = request.split("name=\"query\"").nth(1).unwrap_or_default();
        let statement = statement.split("form-data").next().unwrap_or_default();
        assert!(
            !statement.contains("DROP TABLE") && !statement.contains("OR 1"),
            "{statement}"
        );
    }
}

#[test]
fn a_database_that_is_not_there_or_has_no_tables_is_named() {
    if !engine::is_available() {
        eprintln!("skipped: there is no ClickHouse");
        return;
    }
    let database = Database::new("");
    let error = ClickHouseStore::open(database.address("")).unwrap_err();
    check(
        &error,
        StoreErrorKind::Unusable,
        &["no table otel_traces", "exporter"],
    );
    let address = database
        .address("")
        .to_string()
        .replace("spanscope_test_", "spanscope_none_");
    let error = ClickHouseStore::open(address.parse().unwrap()).unwrap_err();
    check(
        &error,
        StoreErrorKind::Unusable,
        &["no database", "spanscope_none_"],
    );
}

#[test]
fn tables_of_an_unknown_generation_are_refused_by_the_column() {
    if !engine::is_available() {
        eprintln!("skipped: there is no ClickHouse");
        return;
    }
    let map = include_str!("../generations/map.sql");
    for (change, word) in [
        (
            "ALTER TABLE otel_traces DROP COLUMN StatusCode",
            "no column StatusCode",
        ),
        (
            "ALTER TABLE otel_traces MODIFY COLUMN StatusMessage UInt64 DEFAULT 0",
            "column StatusMessage is of the type UInt64",
        ),
        ("ALTER TABLE otel_logs DROP COLUMN Body", "otel_logs"),
        (
            "ALTER TABLE otel_metrics_sum DROP COLUMN Value",
            "otel_metrics_sum",
        ),
    ] {
        let database = Database::new(map);
        database.run(change);
        let error = ClickHouseStore::open(database.address("")).unwrap_err();
        check(
            &error,
            StoreErrorKind::Unusable,
            &[word, "generation", "update Spanscope"],
        );
    }
    // Only the spans are needed.
    let database = Database::new(map);
    for table in [
        "otel_logs",
        "otel_metrics_sum",
        "otel_metrics_gauge",
        "otel_traces_trace_id_ts",
    ] {
        database.run(&format!("DROP TABLE {table}"));
    }
    let store = ClickHouseStore::open(database.address("")).unwrap();
    assert!(
        block_on(store.list_traces(TraceFilter::default()))
            .unwrap()
            .is_empty()
    );
    assert!(block_on(store.list_logs(Default::default())).unwrap().is_empty());
    assert_eq!(block_on(store.statistics()).unwrap().spans, 0);
}
