//! Files of version 5, and what version 6 keeps in addition: resources, bytes, halves, times of
//! storing.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use spanscope_model::{
    Attributes, NewRecords, NewSpan, Scope, Source, SourceRecords, Span, TraceStore, block_on,
};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::intake::{event, of, open, records, span, store};
use crate::support::{StoreFile, span_id, trace_id};

/// Longer than any of these files is old.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

fn rows(db: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The whole contract, and the rows that it is read from, but for what the new version adds: its
/// program has no name.
const OLD: [&str; 8] = [
    "SELECT * FROM traces WHERE service_name <> '' ORDER BY trace_id",
    "SELECT * FROM spans WHERE service_name <> '' ORDER BY span_id, trace_id",
    "SELECT * FROM logs WHERE service_name <> '' ORDER BY id",
    "SELECT * FROM span_events WHERE id <= 4 ORDER BY id",
    "SELECT * FROM metrics",
    "SELECT id, start, duration, status, trace, span_id, parent, attributes FROM _span WHERE id <= 6",
    "SELECT id, time, trace, span_id, message, attributes FROM _event WHERE id <= 4",
    "SELECT * FROM _run ORDER BY id",
];

fn old(db: &Connection) -> Vec<Vec<Vec<Value>>> {
    OLD.iter().map(|sql| rows(db, sql)).collect()
}

#[test]
fn a_file_of_version_5_is_read_as_it_is_and_brought_forward_without_changing_a_row() {
    let file = StoreFile::of_version_5();
    let before = old(&file.db);
    assert!(before.iter().all(|rows| !rows.is_empty()));
    let found = block_on(file.store().get_span(trace_id(1), span_id(2))).unwrap();
    let resource = found.resource.unwrap();
    assert_eq!(resource.get("host.name").unwrap().as_str(), Some("shelf-1"));
    assert_eq!(file.number("PRAGMA user_version"), 5, "reading changes nothing");

    let (layer, guard) = SqliteLayer::builder()
        .retention(FOR_EVER)
        .service_name("")
        .open(&file.path)
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info_span!("new", session.id = "session-2").in_scope(|| tracing::info!("stored"));
    });
    drop(guard);

    assert_eq!(file.number("PRAGMA user_version"), 6);
    assert!(old(&file.db) == before, "{:#?}", old(&file.db));
    assert_eq!(file.number("SELECT count(*) FROM spans"), 7);
    assert_eq!(file.number("SELECT count(*) FROM logs"), 5);
    assert_eq!(
        rows(&file.db, "PRAGMA integrity_check"),
        [[Value::Text("ok".to_owned())]]
    );
    let found = block_on(file.store().get_span(trace_id(1), span_id(2))).unwrap();
    assert_eq!(found.resource, Some(resource));
    let plan = rows(
        &file.db,
        "EXPLAIN QUERY PLAN SELECT * FROM spans WHERE span_id = '0000000000000002'",
    );
    assert!(
        plan.iter()
            .any(|row| matches!(&row[3], Value::Text(step) if step.contains("_span_hex"))),
        "{plan:?}"
    );
}

#[test]
fn a_sender_of_version_5_is_the_same_sender_afterwards() {
    let file = StoreFile::of_version_5();
    let writer = SqliteStore::builder()
        .retention(FOR_EVER)
        .open(&file.path)
        .unwrap();
    store(&writer, sent_by("agents", span(9, 1, 0, "again")));
    assert_eq!(file.number("SELECT count(*) FROM _process"), 3);
    assert_eq!(file.number("SELECT stored FROM _process WHERE id = 1"), 3);
}

/// A span of the program that sent spans to the file of version 5.
fn sent_by(scope: &str, span: Span) -> NewRecords {
    let mut resource = Attributes::new();
    resource.set("service.name", "librarian");
    resource.set("host.name", "shelf-1");
    of(SourceRecords::default()
        .source(
            Source::default()
                .service_name("librarian")
                .resource(resource)
                .scope(Scope::default().name(scope)),
        )
        .spans(vec![NewSpan::new(span)]))
}

#[test]
fn a_users_views_and_triggers_survive_an_upgrade() {
    let file = StoreFile::of_version_5();
    file.db
        .execute_batch(
            "CREATE VIEW \"my \"\"errors\"\"\" AS SELECT * FROM spans WHERE status = 'error';
             CREATE VIEW mine AS SELECT message FROM logs;
             CREATE TRIGGER kept INSTEAD OF DELETE ON mine BEGIN SELECT 1; END;",
        )
        .unwrap();
    let before = file.number("SELECT count(*) FROM mine");
    drop(
        SqliteStore::builder()
            .retention(FOR_EVER)
            .open(&file.path)
            .unwrap(),
    );
    assert_eq!(file.number("PRAGMA user_version"), 6);
    assert!(before > 0);
    assert_eq!(file.number("SELECT count(*) FROM mine"), before);
    assert_eq!(
        file.number("SELECT count(*) FROM \"my \"\"errors\"\"\" WHERE status <> 'error'"),
        0
    );
    assert_eq!(
        file.number("SELECT count(*) FROM sqlite_schema WHERE name = 'kept'"),
        1
    );
}

#[test]
fn the_attributes_of_a_resource_find_its_spans() {
    let db = open();
    store(&db.store, sent_by("a", span(1, 1, 0, "first")));
    store(&db.store, sent_by("b", span(1, 2, 1, "second")));
    store(&db.store, records(vec![span(2, 1, 0, "other")]));
    let raw = Connection::open(db.store.path()).unwrap();
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT count(*) FROM spans WHERE resource ->> '$.\"host.name\"' = 'shelf-1'"),
        2
    );
}

#[test]
fn the_size_of_a_trace_includes_data_added_at_a_spans_end() {
    let db = open();
    let mut running = span(1, 1, 0, "running");
    running.end_time = None;
    running.status = None;
    store(&db.store, records(vec![running]));
    let raw = Connection::open(db.store.path()).unwrap();
    let bytes = || {
        raw.query_row("SELECT sum(bytes) FROM _trace", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let before = bytes();
    let mut ended = span(1, 1, 0, "running");
    ended.attributes.set("text", "x".repeat(5_000));
    store(&db.store, records(vec![ended]));
    assert!(
        (5_000..5_100).contains(&(bytes() - before)),
        "{before}, {}",
        bytes()
    );
}

#[test]
fn the_size_of_records_is_counted_by_trace_and_removed_with_it() {
    let db = open();
    store(&db.store, records(vec![span(1, 1, 0, "root")]));
    let raw = Connection::open(db.store.path()).unwrap();
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let of_trace = "SELECT sum(bytes) FROM _trace";
    let one = count(of_trace);
    assert!((50..500).contains(&one), "{one}");
    let mut large = span(1, 2, 1, "large");
    large.attributes.set("text", "x".repeat(10_000));
    store(&db.store, records(vec![large]));
    let two = count(of_trace);
    assert!((one + 10_000..one + 10_500).contains(&two), "{one}, {two}");
    assert_eq!(count("SELECT sum(bytes) FROM _process"), 0);
    let loose = SourceRecords::default().events(vec![event(None, &"y".repeat(2_000))]);
    store(&db.store, of(loose));
    assert_eq!(count(of_trace), two);
    let outside = count("SELECT sum(bytes) FROM _process");
    assert!((2_000..2_500).contains(&outside), "{outside}");
}

#[test]
fn the_halves_of_a_call_may_share_an_id_and_an_import_keeps_both() {
    let db = open();
    store(&db.store, records(vec![span(1, 1, 0, "server")]));
    let raw = Connection::open(db.store.path()).unwrap();
    raw.execute("UPDATE _span SET half = 1, kind = 1", []).unwrap();
    // The client's half of the same call: it is not taken for the other one that has come again.
    let receipt = store(&db.store, records(vec![span(1, 1, 0, "client")]));
    assert_eq!((receipt.stored, receipt.known), (1, 0));
    let receipt = store(&db.store, records(vec![span(1, 1, 0, "client")]));
    assert_eq!((receipt.stored, receipt.known), (0, 1));
    let halves = "SELECT half, count(*) FROM _span GROUP BY half ORDER BY half";
    let expected = vec![
        vec![Value::Null, Value::Integer(1)],
        vec![Value::Integer(1), Value::Integer(1)],
    ];
    assert_eq!(rows(&raw, halves), expected);
    let target = db.folder.path().join("target.db");
    for stored in [2, 0] {
        let report = SqliteStore::import(&target, db.store.path(), |_, _| ()).unwrap();
        assert_eq!(report.spans, stored);
    }
    assert_eq!(rows(&Connection::open(&target).unwrap(), halves), expected);
}

#[test]
fn a_mark_has_the_time_of_storing_even_if_records_are_dated_ahead() {
    let db = open();
    store(&db.store, records(vec![span(1, 1, 0, "now")]));
    let raw = Connection::open(db.store.path()).unwrap();
    let [time, stored]: [i64; 2] = raw
        .query_row("SELECT time, stored FROM _mark", [], |row| {
            Ok([row.get(0)?, row.get(1)?])
        })
        .unwrap();
    let now = spanscope_model::Timestamp::now().as_nanos();
    assert!(stored <= now && time <= now, "{time} {stored} {now}");
    // A mark of an older version has no such time.
    raw.execute(
        "INSERT INTO _mark (time, span, event) VALUES (?1, 1, 1)",
        params![1],
    )
    .unwrap();
}

#[test]
fn an_import_does_not_reuse_ids_of_deleted_rows() {
    let db = open();
    store(
        &db.store,
        records(vec![span(1, 1, 0, "old"), span(1, 2, 1, "old")]),
    );
    let source = db.store.path().to_path_buf();
    let target = db.folder.path().join("target.db");
    SqliteStore::import(&target, &source, |_, _| ()).unwrap();
    SqliteStore::cleanup(&target, Duration::ZERO, false).unwrap();
    SqliteStore::import(&target, &source, |_, _| ()).unwrap();
    let raw = Connection::open(&target).unwrap();
    assert_eq!(rows(&raw, "SELECT min(id) FROM _span"), [[Value::Integer(3)]]);
}
