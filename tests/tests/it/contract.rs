//! The SQL contract: queries of users of Llama Stack work unchanged.

use rusqlite::Connection;
use spanscope_tests::{PATIENCE, burst, store_at};

/// The three queries of Llama Stack's guide, unchanged.
const RECENT: &str = "SELECT * FROM traces WHERE timestamp > datetime('now', '-1 hour');";
const DURATIONS: &str =
    "SELECT name, AVG(duration_ms) as avg_duration\nFROM spans\nGROUP BY name\nORDER BY avg_duration DESC;";
const SLOW: &str = "SELECT * FROM spans\nWHERE duration_ms > 1000\nORDER BY duration_ms DESC;";

fn rows(db: &Connection, sql: &str) -> usize {
    let mut statement = db.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn the_guides_queries_work_while_the_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::with_default(&dispatch, || burst(20));
    guard.flush(PATIENCE).unwrap();
    let db = Connection::open(&path).unwrap();
    assert_eq!(rows(&db, RECENT), 20);
    assert_eq!(rows(&db, DURATIONS), 2);
    assert_eq!(rows(&db, SLOW), 0);
    db.execute("UPDATE _span SET duration = 1500000000 WHERE id IN (3, 4)", [])
        .unwrap();
    db.execute("UPDATE _span SET duration = 1000000000 WHERE id = 5", [])
        .unwrap();
    assert_eq!(rows(&db, SLOW), 2, "over 1000, not from 1000 on");
}

#[test]
fn the_last_hour_is_exactly_the_last_hour() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::with_default(&dispatch, || burst(1));
    drop(guard);
    let db = Connection::open(&path).unwrap();
    // The query with its clock replaced, so that the hour's and the day's edge can be tried at any
    // time of day.
    let recent_at = |now: &str| RECENT.replace("'now'", &format!("'{now}'"));
    let cases = [
        ("2026-11-21 14:59:59.999999", "2026-11-21 15:59:59", true),
        ("2026-11-21 14:59:59.000000", "2026-11-21 15:59:59", true),
        ("2026-11-21 14:59:58.999999", "2026-11-21 15:59:59", false),
        ("2026-11-20 23:30:00.000001", "2026-11-21 00:30:00", true),
        ("2026-11-20 23:29:59.999999", "2026-11-21 00:30:00", false),
        ("2025-12-31 23:59:59.500000", "2026-01-01 00:59:59", true),
        ("2026-11-21 13:00:00.000000", "2026-11-21 15:00:00", false),
    ];
    for (start, now, expected) in cases {
        let time: spanscope_model::Timestamp = start.parse().unwrap();
        db.execute("UPDATE _trace SET start = ?1", [time.as_nanos()])
            .unwrap();
        assert_eq!(
            rows(&db, &recent_at(now)),
            usize::from(expected),
            "{start} seen at {now}"
        );
    }
}

#[test]
fn the_columns_of_llama_stack_exist_under_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::with_default(&dispatch, || {
        burst(1);
        tracing::info_span!("call").in_scope(|| {
            tracing::info!(
                metric = "prompt_tokens",
                value = 5,
                unit = "tokens",
                model_id = "llama"
            );
        });
    });
    drop(guard);
    let db = Connection::open(&path).unwrap();
    for (sql, expected) in [
        (
            "SELECT trace_id, service_name, root_span_id, start_time, end_time, created_at, timestamp, duration_ms, status,
             span_count FROM traces",
            2,
        ),
        (
            "SELECT span_id, trace_id, parent_span_id, name, start_time, end_time, attributes, status, kind, duration_ms
             FROM spans WHERE json_extract(attributes, '$.tier') = 'gold'",
            9,
        ),
        ("SELECT id, span_id, name, timestamp, attributes FROM span_events WHERE name = 'unstructured_log'", 9),
        ("SELECT s.name FROM spans s JOIN traces t ON s.span_id = t.root_span_id AND s.parent_span_id IS NULL", 2),
        ("SELECT * FROM logs WHERE message = 'done' AND severity = 'info'", 9),
        (
            "SELECT metric, value, unit, timestamp, trace_id, span_id, attributes FROM metrics
             WHERE json_extract(attributes, '$.model_id') = 'llama' AND timestamp > datetime('now', '-1 hour')",
            1,
        ),
    ] {
        assert_eq!(rows(&db, sql), expected, "{sql}");
    }
}

#[test]
fn queries_by_id_and_by_time_use_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (_dispatch, guard) = store_at(&path);
    drop(guard);
    let db = Connection::open(&path).unwrap();
    for (sql, index) in [
        (RECENT, "_trace_timestamp"),
        (
            "SELECT * FROM traces WHERE trace_id = 'a'",
            "sqlite_autoindex__trace_1",
        ),
        ("SELECT * FROM spans WHERE span_id = 'a'", "_span_hex"),
        ("SELECT * FROM spans WHERE trace_id = 'a'", "_span_trace"),
        ("SELECT * FROM span_events WHERE span_id = 'a'", "_event_trace"),
        ("SELECT * FROM logs WHERE trace_id = 'a'", "_event_trace"),
        ("SELECT * FROM metrics WHERE trace_id = 'a'", "_point_trace"),
    ] {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = statement
            .query_map([], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
    }
}
