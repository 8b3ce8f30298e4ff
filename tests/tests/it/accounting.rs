//! offered = stored + dropped, always.

use std::time::Duration;

use rusqlite::Connection;
use spanscope_sqlite::{OverflowPolicy, SqliteLayer};
use spanscope_tests::{PATIENCE, RECORDS_A_TRACE, burst, store_at, store_with, wait_for};

fn count(path: &std::path::Path, sql: &str) -> u64 {
    let db = Connection::open(path).unwrap();
    db.query_row(sql, [], |row| row.get::<_, i64>(0))
        .unwrap()
        .try_into()
        .unwrap()
}

/// Events, and spans with an end: a span that was stored while it ran and whose end found the queue
/// full stays in the file, marked, and counts as dropped.
const WHOLE_RECORDS: &str = "SELECT (SELECT COUNT(*) FROM _event) + (SELECT COUNT(*) FROM _span
    WHERE duration IS NOT NULL AND COALESCE(extra, '') NOT LIKE '%its end was dropped%')";

#[test]
fn four_threads_of_a_hundred_thousand_spans_are_all_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_with(SqliteLayer::builder().queue_bytes(4 << 20), &path);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| tracing::dispatcher::with_default(&dispatch, || burst(10_000)));
        }
    });
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(stats.offered, 4 * 10_000 * RECORDS_A_TRACE);
    assert_eq!(stats.offered, stats.stored + stats.dropped.total());
    drop(guard);
    assert_eq!(
        count(&path, WHOLE_RECORDS),
        stats.stored,
        "all records counted as stored are in the file"
    );
    let accounts = "SELECT SUM(offered - stored - dropped_queue_full - dropped_write_failed - dropped_shutdown) FROM _process";
    assert_eq!(count(&path, accounts), 0, "the file's own account is balanced");
    assert_eq!(count(&path, "SELECT SUM(offered) FROM _process"), stats.offered);
}

#[test]
fn a_blocking_queue_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .queue_bytes(1 << 20)
        .on_overflow(OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &path);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| tracing::dispatcher::with_default(&dispatch, || burst(200)));
        }
    });
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(stats.stored, 32 * 200 * RECORDS_A_TRACE);
    assert_eq!(stats.dropped.total(), 0);
    assert_eq!(count(&path, "SELECT SUM(span_count) FROM _trace"), 32 * 200 * 10);
    assert_eq!(
        count(&path, "SELECT COUNT(*) FROM _trace WHERE open_count <> 0"),
        0
    );
}

#[test]
fn records_of_threads_right_before_their_end_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    // The shortest interval makes the writer collect while threads end.
    let settings = SqliteLayer::builder()
        .flush_interval(Duration::from_millis(1))
        .on_overflow(OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &folder.path().join("trace_store.db"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let dispatch = dispatch.clone();
                    let work = move || tracing::dispatcher::with_default(&dispatch, || burst(1));
                    std::thread::spawn(work).join().unwrap();
                }
            });
        }
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(guard.stats().stored, 8 * 500 * RECORDS_A_TRACE);
}

#[test]
fn records_after_the_end_are_counted_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (dispatch, guard) = store_at(&folder.path().join("trace_store.db"));
    guard.shutdown().unwrap();
    tracing::dispatcher::with_default(&dispatch, || burst(1));
    assert_eq!(guard.stats().dropped.shutdown, RECORDS_A_TRACE);
    guard.shutdown().expect("a second shutdown does nothing");
}

#[test]
fn the_queue_is_bounded_when_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .queue_bytes(1 << 20)
        .shutdown_timeout(Duration::from_millis(100));
    let (dispatch, guard) = store_with(settings, &path);
    let blocker = Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    tracing::dispatcher::with_default(&dispatch, || burst(5_000));
    let stats = guard.stats();
    assert_eq!(stats.offered, 5_000 * RECORDS_A_TRACE);
    assert!(
        stats.dropped.queue_full > 0,
        "95,000 records of 100 bytes don't fit in 1 MiB: {stats:?}"
    );
    blocker.execute_batch("COMMIT").unwrap();
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(stats.offered, stats.stored + stats.dropped.total());
    assert!(
        stats.stored > 0,
        "queued records are written once the lock is released"
    );
}

#[test]
fn a_span_whose_end_is_dropped_stays_in_the_file_and_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_with(SqliteLayer::builder().queue_bytes(1 << 20), &path);
    tracing::dispatcher::with_default(&dispatch, || {
        // Its end is larger than any room that small records leave.
        let unlucky = tracing::info_span!("unlucky", kept = 1, large = "x".repeat(10_000));
        let running = "SELECT COUNT(*) FROM _span WHERE duration IS NULL";
        wait_for("the running span", || (count(&path, running) == 1).then_some(()));
        let blocker = Connection::open(&path).unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        burst(5_000);
        drop(unlucky);
        blocker.execute_batch("COMMIT").unwrap();
    });
    guard.flush(PATIENCE).unwrap();
    let marked = "SELECT COUNT(*) FROM spans WHERE name = 'unlucky' AND end_time IS NOT NULL
        AND json_extract(attributes, '$.kept') = 1 AND status_message LIKE '%its end was dropped%'";
    wait_for("the mark", || (count(&path, marked) == 1).then_some(()));
    let stats = guard.stats();
    assert_eq!(stats.offered, 5_000 * RECORDS_A_TRACE + 1);
    assert_eq!(stats.offered, stats.stored + stats.dropped.total());
    drop(guard);
    assert_eq!(count(&path, WHOLE_RECORDS), stats.stored);
    let open = "SELECT COUNT(*) FROM _trace WHERE open_count <> 0";
    assert_eq!(count(&path, open), 0);
}

#[test]
fn storing_running_spans_never_loses_the_end_of_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    // The shortest interval makes the writer look at open spans as often as possible; they close
    // meanwhile.
    let settings = SqliteLayer::builder()
        .flush_interval(Duration::from_millis(1))
        .on_overflow(OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &folder.path().join("trace_store.db"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| tracing::dispatcher::with_default(&dispatch, || burst(5_000)));
        }
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(guard.stats().stored, 4 * 5_000 * RECORDS_A_TRACE);
}

#[test]
fn spans_created_under_suppression_are_not_captured_and_spans_closed_under_it_are() {
    let folder = tempfile::tempdir().unwrap();
    let (dispatch, guard) = store_at(&folder.path().join("trace_store.db"));
    tracing::dispatcher::with_default(&dispatch, || {
        let before = tracing::info_span!("before");
        let quiet = spanscope_layers::suppress();
        tracing::info_span!("inside").in_scope(|| tracing::info!("inside"));
        drop(before);
        drop(quiet);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!((guard.stats().offered, guard.stats().stored), (1, 1));
}

#[test]
fn many_threads_with_a_record_each_fit_into_a_small_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_with(SqliteLayer::builder().queue_bytes(2 << 20), &path);
    let blocker = Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Nothing is written meanwhile; all threads stay alive with their records.
    let all_recorded = std::sync::Barrier::new(401);
    std::thread::scope(|scope| {
        for _ in 0..400 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || burst(1));
                all_recorded.wait();
            });
        }
        all_recorded.wait();
    });
    assert_eq!(guard.stats().dropped.total(), 0);
    blocker.execute_batch("COMMIT").unwrap();
    guard.flush(PATIENCE).unwrap();
    assert_eq!(guard.stats().stored, 400 * RECORDS_A_TRACE);
}
