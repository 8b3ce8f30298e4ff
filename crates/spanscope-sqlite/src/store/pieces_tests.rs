//! Queries that read in pieces return the same as queries in one statement, and read each span
//! once.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::filter::Filter;
use spanscope_model::{Capabilities, TraceStore, block_on};
use spanscope_store_tests::made::{records, span, trace_id};
use spanscope_store_tests::{Fixture, conditions, filters, lists};

use super::SqliteStore;
use super::conditions::{Conditions, Criteria, Table};
use super::lanes::{LaneTimes, Lanes};
use crate::file::open::open_read;

/// A store whose interactive lane has no time, so that every query becomes a scan in pieces.
struct InPieces(tempfile::TempDir);

impl Fixture for InPieces {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities) {
        let mut store = SqliteStore::builder()
            .retention(Duration::from_secs(100 * 365 * 86_400))
            .open(self.0.path().join("trace_store.db"))
            .unwrap();
        store.lanes = Arc::new(Lanes::new(LaneTimes {
            interactive: Duration::ZERO,
            longest_read: None,
        }));
        let capabilities = store.capabilities();
        (Arc::new(store), capabilities)
    }
}

#[test]
fn a_filter_in_pieces_finds_the_records_that_the_model_finds() {
    filters::a_filter_finds_what_the_model_says_whatever_is_stored::<InPieces>();
    filters::attributes_of_the_resource_are_found_where_the_record_has_none::<InPieces>();
}

#[test]
fn conditions_find_the_same_in_pieces() {
    conditions::values_compare_by_their_json_type::<InPieces>();
    conditions::own_fields_are_asked_for_by_name::<InPieces>();
    conditions::all_conditions_must_hold_on_one_same_span::<InPieces>();
}

#[test]
fn a_list_of_events_is_the_same_in_pieces() {
    lists::logs_are_the_newest_in_the_order_of_their_times::<InPieces>();
    filters::logs_are_found_by_what_is_shown_of_them::<InPieces>();
}

/// Returns SQLite's plan for a query of spans: one line per table that it reads.
fn plan(db: &Connection, filter: &str, piece: Option<(i64, i64)>) -> Vec<String> {
    let filter: Filter = filter.parse().unwrap();
    let criteria = Criteria {
        conditions: &[],
        filter: &filter,
    };
    let found = Conditions::new(db, criteria, Table::Spans(piece)).unwrap();
    let sql = super::builder::Sql::new("EXPLAIN QUERY PLAN SELECT s.id FROM _span s WHERE s.id > 0")
        .add(&found.seek());
    sql.rows(db, |row| row.get(3)).unwrap()
}

#[test]
fn a_filter_of_many_terms_reads_each_span_once() {
    let folder = InPieces::new();
    let _store = folder.open();
    let db = open_read(&folder.0.path().join("trace_store.db")).unwrap();
    super::matches::register(&db).unwrap();
    for filter in [
        "duration>=250ms user~ann -name=health",
        "status=error timeout gen_ai.usage.input_tokens>100",
        "service=a,b category=t* level>=warn",
        "trace.spans>3 trace.errors=0 k=1",
        "trace.tokens>100 -kind=client other=* more~x",
    ] {
        let plan = plan(&db, filter, Some((1, 20_000)));
        let spans = plan.iter().filter(|line| {
            line.starts_with("SCAN s") || line.starts_with("SEARCH s ") || line.starts_with("SCAN _span")
        });
        assert_eq!(spans.count(), 1, "{filter}: {plan:#?}");
        // Nothing that grows with the stored data is read as a whole, least of all for each span.
        for table in [
            "SCAN e",
            "SCAN t",
            "SCAN p",
            "SCAN _trace",
            "SCAN _event",
            "SCAN _point",
        ] {
            assert!(!plan.iter().any(|line| line == table), "{filter}: {plan:#?}");
        }
    }
    for filter in [
        "gen_ai.request.model=llama duration>1ms -user=ann",
        "gen_ai.request.model=llama,gpt user~a k=1",
    ] {
        let plan = plan(&db, filter, None);
        assert!(
            plan.iter()
                .any(|line| line.contains("SEARCH a USING PRIMARY KEY")),
            "the index finds it, {filter}: {plan:#?}"
        );
    }
    let slow = plan(&db, "duration>=1.5s name~chat user=ann", None);
    assert!(slow.iter().any(|line| line.contains("_span_slow")), "{slow:#?}");
}

#[test]
fn durations_by_name_are_the_same_in_pieces() {
    let folder = InPieces::new();
    let (store, _) = folder.open();
    let names = ["chat", "search", "fetch"].into_iter().cycle();
    let spans = (1..=180)
        .zip(names)
        .map(|(number, name)| span(number, 1, 0, name));
    block_on(store.store(records(spans.collect()))).unwrap();
    let in_pieces = block_on(store.name_statistics(None, None)).unwrap();
    let at_once = SqliteStore::open(folder.0.path().join("trace_store.db")).unwrap();
    assert_eq!(in_pieces, block_on(at_once.name_statistics(None, None)).unwrap());
    let counts: Vec<u64> = in_pieces.iter().map(|name| name.count).collect();
    assert_eq!(counts, [60, 60, 60]);
}

#[test]
fn the_shape_of_a_trace_is_the_same_in_pieces() {
    let folder = InPieces::new();
    let (store, _) = folder.open();
    let names = ["chat", "search", "fetch"].into_iter().cycle();
    let spans = (1..=180).zip(names).map(|(number, name)| {
        // Spans of another trace are between them.
        let trace = if number % 4 == 0 { 2 } else { 1 };
        span(trace, number, number - 1, name)
    });
    block_on(store.store(records(spans.collect()))).unwrap();
    let at_once = SqliteStore::open(folder.0.path().join("trace_store.db")).unwrap();
    for (trace, spans) in [(1, 135), (2, 45)] {
        let in_pieces = block_on(store.trace_shape(trace_id(trace), 10)).unwrap();
        let whole = block_on(at_once.trace_shape(trace_id(trace), 10)).unwrap();
        assert_eq!(in_pieces.spans.len(), spans);
        assert_eq!(in_pieces, whole);
    }
}
