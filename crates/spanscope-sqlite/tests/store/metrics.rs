//! Measurements of chosen times. They are made by hand in one file and imported into another, so
//! that the crate's own code has stored them, with its roll-ups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};
use spanscope_model::{
    LabelMatcher, LabelOperator, MetricKind, MetricQuery, MetricSeries, SqlStore as _, Timestamp, TraceStore,
    Value, block_on,
};
use spanscope_sqlite::SqliteStore;

use crate::support::{MIDNIGHT, Row, SECOND, StoreFile, imported_report};

const MINUTE: i64 = 60 * SECOND;

/// A measurement: label `l`, time, value.
type Measured = (&'static str, i64, rusqlite::types::Value);

/// A source of the metric `m` with these measurements, without roll-ups.
fn source(kind: MetricKind, measured: &[Measured]) -> StoreFile {
    let file = StoreFile::new();
    file.db.execute_batch("BEGIN").unwrap();
    file.db
        .execute(
            "INSERT INTO _metric (id, name, unit, kind) VALUES (1, 'm', 's', ?1)",
            [kind.as_str()],
        )
        .unwrap();
    for (label, time, value) in measured {
        let labels = match *label {
            "" => "{}".to_owned(),
            label => serde_json::json!({ "l": label }).to_string(),
        };
        file.db
            .execute(
                "INSERT OR IGNORE INTO _series (metric, labels, points, last) VALUES (1, ?1, 0, 0)",
                [&labels],
            )
            .unwrap();
        file.db
            .execute(
                "INSERT INTO _point (series, time, value, process) VALUES ((SELECT id FROM _series WHERE labels = ?1), \
                 ?2, ?3, 1)",
                params![labels, time, value],
            )
            .unwrap();
    }
    file.db.execute_batch("COMMIT").unwrap();
    file
}

fn imported(source: &StoreFile) -> (PathBuf, SqliteStore) {
    let path = source.folder.path().join("imported.db");
    SqliteStore::import(&path, &source.path, |_, _| ()).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    (path, store)
}

fn query(start: i64, end: i64, granularity: Option<&str>) -> MetricQuery {
    MetricQuery::range("m", Timestamp::from_nanos(start))
        .start(Timestamp::from_nanos(start))
        .end(Timestamp::from_nanos(end))
        .granularity(granularity.map(|text| text.parse().unwrap()))
}

fn shown(series: &[MetricSeries]) -> Vec<(String, Vec<(i64, Value)>)> {
    series
        .iter()
        .map(|series| {
            let labels: Vec<String> = series
                .labels
                .iter()
                .map(|label| format!("{}={}", label.name, label.value))
                .collect();
            let values = series
                .values
                .iter()
                .map(|point| (point.timestamp, point.value.clone()));
            (labels.join(","), values.collect())
        })
        .collect()
}

/// Checks that the roll-ups agree with the points, and that every count is right.
fn check(path: &Path) {
    let db = Connection::open(path).unwrap();
    for wrong in [
        "SELECT count(*) FROM (SELECT (time - (time < 0) * 59999999999) / 60000000000 AS minute, series, count(*) AS n, sum(value) AS s, \
            min(value) AS least, max(value) AS greatest FROM _point GROUP BY 1, 2) p \
         FULL JOIN _rollup r ON r.minute = p.minute AND r.series = p.series \
         WHERE p.n IS NOT r.count OR (r.sum IS NOT NULL AND (r.sum, r.least, r.greatest) <> (p.s, p.least, p.greatest))",
        "SELECT count(*) FROM _series s WHERE points = 0 OR points <> (SELECT count(*) FROM _point WHERE series = s.id)",
        "SELECT count(*) FROM _point WHERE series NOT IN (SELECT id FROM _series)",
        "SELECT count(*) FROM _metric WHERE id NOT IN (SELECT metric FROM _series)",
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ] {
        let found: i64 = db.query_row(wrong, [], |row| row.get(0)).unwrap();
        assert_eq!(found, 0, "{wrong}");
    }
}

/// The result without roll-ups, computed as simply as possible.
fn by_hand(
    kind: MetricKind,
    measured: &[Measured],
    start: i64,
    end: i64,
    step: i64,
) -> Vec<(String, Vec<(i64, Value)>)> {
    let mut steps: BTreeMap<&str, BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    let mut sorted: Vec<&Measured> = measured.iter().collect();
    sorted.sort_by_key(|(_, time, _)| *time);
    for (label, time, value) in sorted {
        if (start..end).contains(time) {
            let rusqlite::types::Value::Real(value) = value else {
                unreachable!()
            };
            let step = time.div_euclid(step) * step;
            steps
                .entry(label)
                .or_default()
                .entry(step.div_euclid(SECOND))
                .or_default()
                .push(*value);
        }
    }
    let value = |values: Vec<f64>| match kind {
        MetricKind::Gauge => Value::F64(*values.last().unwrap()),
        _ => Value::F64(values.iter().sum()),
    };
    steps
        .into_iter()
        .map(|(label, steps)| {
            let label = if label.is_empty() {
                String::new()
            } else {
                format!("l={label}")
            };
            (
                label,
                steps
                    .into_iter()
                    .map(|(time, values)| (time, value(values)))
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn rolled_up_results_equal_those_of_the_points_before_and_after_deletion() {
    let labels = ["", "a", "b", "c", "d", "e", "f", "g"];
    for (seed, kind) in [
        (1, MetricKind::Counter),
        (2, MetricKind::Gauge),
        (3, MetricKind::Histogram),
    ] {
        let mut random = fastrand::Rng::with_seed(seed);
        // Before 1970 too; times differ, so that the last one is one.
        let mut measured: Vec<Measured> = (0..3_000)
            .map(|number| {
                let time = (random.i64(-2 * 3600..4 * 3600) * SECOND / 2) * 2 + number;
                let value = f64::from(random.i32(-1000..1000)) / 4.0;
                (labels[random.usize(..labels.len())], time, value.into())
            })
            .collect();
        let source = source(kind, &measured);
        let (path, store) = imported(&source);
        for deleted_before in [None, Some(17 * 60 * SECOND + SECOND / 2)] {
            if let Some(before) = deleted_before {
                let age = Timestamp::now().as_nanos() - before;
                SqliteStore::cleanup(&path, Duration::from_nanos(age.unsigned_abs()), false).unwrap();
                // The clock advanced a little meanwhile.
                let db = Connection::open(&path).unwrap();
                let oldest: i64 = db
                    .query_row("SELECT min(time) FROM _point", [], |row| row.get(0))
                    .unwrap();
                measured.retain(|(_, time, _)| *time >= oldest);
                assert!((1_500..2_500).contains(&measured.len()), "{}", measured.len());
            }
            check(&path);
            for _ in 0..150 {
                let start = random.i64(-3 * 3600..4 * 3600) * SECOND + random.i64(0..SECOND);
                let end = start + random.i64(0..4 * 3600) * SECOND;
                let (start, end) = match random.u8(..3) {
                    0 => (start / MINUTE * MINUTE, end / MINUTE * MINUTE),
                    _ => (start, end),
                };
                let granularity = *random
                    .choice(["7s", "30s", "1m", "90s", "5m", "7m", "1h", "1d", "1w"].iter())
                    .unwrap();
                let query = query(start, end, Some(granularity));
                let step = i64::from(query.granularity.unwrap().seconds()) * SECOND;
                let expected = by_hand(kind, &measured, start, end, step);
                assert_eq!(
                    shown(&block_on(store.query_metrics(query)).unwrap()),
                    expected,
                    "{kind} {granularity} from {start} to {end}"
                );
            }
        }
    }
}

#[test]
fn one_series_is_found_among_very_many() {
    let file = source(MetricKind::Counter, &[]);
    file.db
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
             INSERT INTO _series SELECT i + 1, 1, json_object('l', 'v' || i), 0, 0 FROM n;
             INSERT INTO _point (series, time, value, process)
                 SELECT s.id, {MIDNIGHT} + m.value * {MINUTE}, s.id, 1 FROM _series s, json_each('[0,1,2,3,4,5,6,7]') m;"
        ))
        .unwrap();
    let (path, store) = imported(&file);
    check(&path);
    let mut cases = vec![("v0", vec![1]), ("nothing", vec![])];
    let mut operator = LabelOperator::Equals;
    if store.capabilities().label_regex {
        cases.push(("v7|v1234|v1999", vec![1235, 2000, 8]));
        operator = LabelOperator::RegexMatch;
    }
    for (value, sums) in cases {
        let mut query = query(MIDNIGHT, MIDNIGHT + 8 * MINUTE, Some("1d"));
        query.matchers = vec![LabelMatcher {
            name: "l".to_owned(),
            value: value.to_owned(),
            operator,
        }];
        let found = block_on(store.query_metrics(query)).unwrap();
        let values: Vec<Value> = found
            .into_iter()
            .map(|series| series.values[0].value.clone())
            .collect();
        let expected: Vec<Value> = sums.into_iter().map(|sum| Value::I64(sum * 8)).collect();
        assert_eq!(values, expected, "{value}");
    }
}

/// A file as version 1 made it.
fn version_1() -> StoreFile {
    let file = StoreFile::of_version_3();
    file.add(&Row::default());
    file.add_event(None, None, MIDNIGHT, "kept", 9);
    file.db
        .execute_batch(
            "ALTER TABLE _process DROP COLUMN dropped_sampled; DROP TABLE _given; \
             DROP VIEW metrics; DROP TABLE _rollup; DROP TABLE _point; DROP TABLE _series; DROP TABLE _metric; \
             PRAGMA user_version = 1;",
        )
        .unwrap();
    file
}

#[test]
fn a_file_of_version_1_is_read_as_it_is_and_brought_forward_by_the_first_writer() {
    let file = version_1();
    let store = file.store();
    assert!(block_on(store.list_metrics()).unwrap().is_empty());
    assert!(
        block_on(store.query_metrics(query(0, MIDNIGHT, None)))
            .unwrap()
            .is_empty()
    );
    assert_eq!(block_on(store.statistics()).unwrap().points, 0);
    let age = Duration::from_secs(1);
    assert_eq!(SqliteStore::cleanup(&file.path, age, true).unwrap().points, 0);
    let target = file.folder.path().join("target.db");
    let done = SqliteStore::import(&target, &file.path, |_, _| ()).unwrap();
    assert_eq!((done.spans, done.events, done.points), (1, 1, 0));
    assert_eq!(file.number("PRAGMA user_version"), 1, "reading changes nothing");

    let other = source(MetricKind::Counter, &[("a", MIDNIGHT, 1.into())]);
    for expected in [1, 0] {
        let done = SqliteStore::import(&file.path, &other.path, |_, _| ()).unwrap();
        assert_eq!(done.points, expected);
    }
    assert_eq!(file.number("PRAGMA user_version"), 6);
    assert_eq!(
        block_on(store.list_metrics()).unwrap().len(),
        1,
        "the open reader sees it"
    );
    let stats = block_on(store.statistics()).unwrap();
    assert_eq!((stats.spans, stats.events, stats.points), (1, 1, 1));
    let schema = |db: &Connection| -> Vec<String> {
        let mut statement = db
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(
        schema(&file.db),
        schema(&Connection::open(&target).unwrap()),
        "an old file becomes what a new one is"
    );
}

#[test]
fn an_import_stores_measurements_once_even_if_several_are_equal() {
    let twin = ("a", MIDNIGHT, 5.into());
    let file = source(
        MetricKind::Counter,
        &[twin.clone(), twin.clone(), ("b", MIDNIGHT, 7.into()), twin],
    );
    file.db
        .execute_batch(
            "UPDATE _point SET span_id = 9, trace = x'000102030405060708090a0b0c0d0e0f' WHERE value = 7",
        )
        .unwrap();
    let (path, store) = imported(&file);
    check(&path);
    let whole = query(MIDNIGHT, MIDNIGHT + 1, Some("1d"));
    let before = block_on(store.query_metrics(whole.clone())).unwrap();
    assert_eq!(before[0].values[0].value, Value::I64(15));
    assert_eq!(
        SqliteStore::import(&path, &file.path, |_, _| ()).unwrap(),
        imported_report([0, 0, 0, 0, 4])
    );
    // One more equal one is one more.
    file.db
        .execute_batch("INSERT INTO _point (series, time, value, process) SELECT series, time, value, process FROM _point WHERE value = 5 LIMIT 1")
        .unwrap();
    assert_eq!(
        SqliteStore::import(&path, &file.path, |_, _| ()).unwrap().points,
        1
    );
    check(&path);
    assert_eq!(
        block_on(store.query_metrics(whole)).unwrap()[0].values[0].value,
        Value::I64(20)
    );
    let row = store
        .sql("SELECT metric, value, unit, timestamp, trace_id, span_id, attributes, kind FROM metrics WHERE span_id IS NOT NULL", 9)
        .unwrap();
    assert_eq!(
        serde_json::to_string(&row.rows).unwrap(),
        r#"[["m",7,"s","2026-11-21 00:00:00.000000","000102030405060708090a0b0c0d0e0f","0000000000000009","{\"l\":\"b\"}","counter"]]"#
    );
    let backup = file.folder.path().join("backup.db");
    store.backup(&backup, |_, _| ()).unwrap();
    check(&backup);
    let copied = block_on(SqliteStore::open(&backup).unwrap().list_metrics()).unwrap();
    assert_eq!(copied, block_on(store.list_metrics()).unwrap());
    assert_eq!((copied[0].series, copied[0].points), (2, 5));
}

#[test]
fn cleaning_deletes_old_and_expired_measurements_with_their_metadata() {
    let now = Timestamp::now().as_nanos();
    let hours = |count: i64| now - count * 60 * MINUTE;
    let mut measured: Vec<Measured> = (0..2_500)
        .map(|number| ("old", hours(5) + number, 1.into()))
        .collect();
    measured.push(("new", hours(1), 1.into()));
    measured.push(("kept longer", hours(5), 1.into()));
    measured.push(("expired", hours(1), 1.into()));
    let file = source(MetricKind::Counter, &measured);
    file.db
        .execute_batch(&format!(
            "UPDATE _point SET expires = {} WHERE series = (SELECT id FROM _series WHERE labels LIKE '%kept%');
             UPDATE _point SET expires = {} WHERE series = (SELECT id FROM _series WHERE labels LIKE '%expired%');",
            now + 60 * MINUTE,
            hours(0)
        ))
        .unwrap();
    let (path, store) = imported(&file);
    let clean = |age: u64, dry_run| {
        let deleted = SqliteStore::cleanup(&path, Duration::from_secs(age * 3600), dry_run).unwrap();
        check(&path);
        deleted.points
    };
    assert_eq!(clean(2, true), 2_501);
    assert_eq!(clean(2, false), 2_501);
    assert_eq!(clean(2, false), 0);
    let info = &block_on(store.list_metrics()).unwrap()[0];
    assert_eq!((info.series, info.points), (2, 2));
    let left = shown(&block_on(store.query_metrics(query(hours(9), now, Some("1w")))).unwrap());
    let labels: Vec<&str> = left.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["l=kept longer", "l=new"]);
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE _point SET expires = NULL")
        .unwrap();
    assert_eq!(clean(0, false), 2);
    assert!(
        block_on(store.list_metrics()).unwrap().is_empty(),
        "a metric goes with its last measurement"
    );
}
