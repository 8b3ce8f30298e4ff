//! A separate binary, because it sets the global dispatcher: under a scoped one `tracing` drops
//! events that a `Debug` logs, so only here do they reach the layer while it formats.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;

use spanscope_core::SpanExt as _;
use spanscope_tests::{PATIENCE, store_at};

struct Logs;
impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("from inside Debug");
        let current = tracing::Span::current();
        current.record_attribute("touched", true);
        let _inner = tracing::info_span!("made inside Debug").entered();
        f.write_str("logged")
    }
}

#[test]
fn events_that_a_debug_logs_during_capture_are_captured_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    {
        let span = tracing::info_span!("span", on_new = ?Logs, late = tracing::field::Empty).entered();
        span.record("late", tracing::field::debug(Logs));
        tracing::info!(value = ?Logs, "event");
    }
    guard.flush(PATIENCE).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT COUNT(*) FROM logs WHERE message = 'from inside Debug'"),
        3
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM spans WHERE name = 'made inside Debug'"),
        3
    );
    assert_eq!(
        count(
            "SELECT COUNT(*) FROM spans WHERE attributes ->> '$.touched' AND attributes ->> '$.late' = 'logged'"
        ),
        1
    );
}
