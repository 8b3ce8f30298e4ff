//! Times to live of the telemetry API's events, which this store enforces.

use spanscope_model::{SpanStatus, TraceFilter, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use crate::support::trace_id;

use spanscope_store_tests::events::{end, log, start};

use super::{ago, open, records, span, store};

#[test]
fn records_with_a_time_to_live_are_deleted_after_it() {
    let open = open();
    block_on(
        open.store
            .log_event(log(start("short", None), Some((1, 1)), ago(5000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(end(SpanStatus::Ok), Some((1, 1)), ago(4000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("long", None), Some((2, 2)), ago(5000), &[]), 3600),
    )
    .unwrap();
    // The longest of a trace counts, and a span without one has its trace deleted by age.
    block_on(
        open.store
            .log_event(log(start("a", None), Some((3, 3)), ago(5000), &[]), 0),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("b", Some(3)), Some((3, 4)), ago(5000), &[]), 3600),
    )
    .unwrap();
    block_on(
        open.store
            .log_event(log(start("c", None), Some((4, 5)), ago(5000), &[]), 0),
    )
    .unwrap();
    store(&open.store, records(vec![span(4, 6, 5, "d")]));
    let path = open.store.path().to_owned();
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    assert_eq!(SqliteStore::cleanup(&path, week, true).unwrap().traces, 1);
    assert_eq!(SqliteStore::cleanup(&path, week, false).unwrap().traces, 1);
    let left = block_on(open.store.list_traces(TraceFilter::default())).unwrap();
    let mut left: Vec<_> = left.iter().map(|trace| trace.trace.trace_id).collect();
    left.sort();
    assert_eq!(left, [trace_id(2), trace_id(3), trace_id(4)]);
}
