//! The SQL contract: the three queries of the telemetry guide, verbatim.

use spanscope_model::{SqlStore as _, Timestamp};

use crate::support::{MIDNIGHT, MILLISECOND, Row, SECOND, StoreFile, trace_id};

const RECENT: &str = "SELECT * FROM traces WHERE timestamp > datetime('now', '-1 hour');";
const AVERAGES: &str = "SELECT name, AVG(duration_ms) as avg_duration
FROM spans
GROUP BY name
ORDER BY avg_duration DESC;";
const SLOW: &str = "SELECT * FROM spans
WHERE duration_ms > 1000
ORDER BY duration_ms DESC;";

#[test]
fn recent_traces_are_exactly_those_of_the_last_hour() {
    let file = StoreFile::new();
    let now = Timestamp::now().as_nanos() / SECOND * SECOND;
    // datetime() has whole seconds and the test takes time, so the edge is a little wide.
    for (trace, age) in [(1, 0), (2, 3590), (3, 3610), (4, 7200), (5, 86_400)] {
        let id = i64::try_from(trace).unwrap();
        file.add(&Row {
            trace,
            id,
            start: now - age * SECOND,
            ..Row::default()
        });
    }
    let found = file.store().sql(RECENT, 100).unwrap();
    let mut ids: Vec<String> = found
        .rows
        .iter()
        .map(|row| row[0].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, [trace_id(1).to_string(), trace_id(2).to_string()]);
    assert_eq!(
        found.columns,
        [
            "trace_id",
            "service_name",
            "root_span_id",
            "start_time",
            "end_time",
            "created_at",
            "timestamp",
            "duration_ms",
            "status",
            "span_count"
        ]
    );
}

#[test]
fn an_hour_ends_at_its_second_also_across_midnight() {
    let file = StoreFile::new();
    for (trace, start) in [
        (1, MIDNIGHT - SECOND),
        (2, MIDNIGHT - 1000),
        (3, MIDNIGHT),
        (4, MIDNIGHT + 1000),
        (5, MIDNIGHT + 3599 * SECOND + 999_999_000),
        (6, MIDNIGHT + 3600 * SECOND + 1000),
    ] {
        let id = i64::try_from(trace).unwrap();
        file.add(&Row {
            trace,
            id,
            start,
            ..Row::default()
        });
    }
    // The query of the guide, with a fixed clock.
    let after = |moment: &str| {
        let query = RECENT.replace("'now'", &format!("'{moment}'"));
        let mut found: Vec<i64> = file
            .store()
            .sql(&query, 100)
            .unwrap()
            .rows
            .iter()
            .map(|row| i64::from_str_radix(row[2].as_str().unwrap(), 16).unwrap())
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(
        after("2026-11-21 01:00:00"),
        [3, 4, 5, 6],
        "text of the same second sorts after the second"
    );
    assert_eq!(after("2026-11-21 00:59:59"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(after("2026-11-21 02:00:00"), [6]);
    assert_eq!(after("2026-11-21 02:00:01"), [0_i64; 0]);
}

#[test]
fn averages_and_slow_operations_work_unchanged() {
    let file = StoreFile::new();
    for (id, name, ms) in [
        (1, "a", 10),
        (2, "a", 30),
        (3, "b", 1500),
        (4, "b", 2500),
        (5, "c", 1000),
    ] {
        file.add(&Row {
            id,
            name,
            duration: Some(ms * MILLISECOND),
            ..Row::default()
        });
    }
    let averages = file.store().sql(AVERAGES, 10).unwrap();
    let shown: Vec<String> = averages
        .rows
        .iter()
        .map(|row| format!("{} {}", row[0], row[1]))
        .collect();
    assert_eq!(shown, ["\"b\" 2000.0", "\"c\" 1000.0", "\"a\" 20.0"]);
    let slow = file.store().sql(SLOW, 10).unwrap();
    let duration = slow
        .columns
        .iter()
        .position(|column| column == "duration_ms")
        .unwrap();
    let durations: Vec<_> = slow
        .rows
        .iter()
        .map(|row| row[duration].as_f64().unwrap())
        .collect();
    assert_eq!(durations, [2500.0, 1500.0]);
}
