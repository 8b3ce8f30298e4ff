//! Metrics in the store, from the program that measures to the query's result.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::{
    LabelMatcher, LabelOperator, MetricInfo, MetricKind, MetricQuery, MetricQueryType, MetricSeries,
    Timestamp, TraceStore, Value, block_on,
};
use spanscope_sqlite::{OverflowPolicy, SqliteGuard, SqliteLayer, SqliteStore};
use spanscope_tests::{PATIENCE, store_at, store_with, wait_for};
use tempfile::TempDir;
use tracing::{Dispatch, error, info, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// A store that a program has measured into.
struct Measured {
    _folder: TempDir,
    path: PathBuf,
    store: SqliteStore,
}

fn measured(work: impl FnOnce()) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::with_default(&dispatch, work);
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(stats.offered, stats.stored, "nothing is lost here");
    drop(guard);
    check(&path);
    Measured {
        _folder: folder,
        store: SqliteStore::open(&path).unwrap(),
        path,
    }
}

/// The roll-ups agree with the points, and every count is right.
fn check(path: &Path) {
    for wrong in [
        "SELECT count(*) FROM (SELECT time / 60000000000 AS minute, series, count(*) AS n, total(value) AS s \
            FROM _point GROUP BY 1, 2) p \
         FULL JOIN _rollup r ON r.minute = p.minute AND r.series = p.series \
         WHERE p.n IS NOT r.count OR (r.sum IS NOT NULL AND abs(r.sum - p.s) > abs(p.s) * 1e-9)",
        "SELECT count(*) FROM _series s WHERE points = 0 \
         OR points <> (SELECT count(*) FROM _point WHERE series = s.id)",
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ] {
        assert_eq!(number(path, wrong), 0, "{wrong}");
    }
}

fn number(path: &Path, sql: &str) -> i64 {
    let db = Connection::open(path).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// All of a metric until now.
fn instant(metric: &str) -> MetricQuery {
    let now = Timestamp::now();
    MetricQuery::range(metric, now.before(Duration::from_secs(86_400)))
        .query_type(MetricQueryType::Instant)
        .end(Timestamp::from_nanos(now.as_nanos() + 60_000_000_000))
}

impl Measured {
    fn ask(&self, query: MetricQuery) -> Vec<MetricSeries> {
        block_on(self.store.query_metrics(query)).unwrap()
    }

    /// The raw values of a metric, in the order in which they were measured.
    fn raw(&self, metric: &str) -> Vec<Value> {
        let query = instant(metric)
            .query_type(MetricQueryType::Range)
            .granularity(None::<spanscope_model::Granularity>);
        let series = self.ask(query);
        series
            .into_iter()
            .flat_map(|series| series.values)
            .map(|point| point.value)
            .collect()
    }

    /// The one value of a metric with one series.
    fn whole(&self, metric: &str) -> Value {
        let series = self.ask(instant(metric));
        assert_eq!(series.len(), 1, "{series:?}");
        series[0].values[0].value.clone()
    }

    fn info(&self, metric: &str) -> MetricInfo {
        let all = block_on(self.store.list_metrics()).unwrap();
        all.into_iter().find(|info| info.metric == metric).unwrap()
    }
}

#[test]
fn integers_stay_integers_and_numbers_of_every_size_are_kept() {
    let beyond = (1_i64 << 53) + 1;
    let measured = measured(|| {
        for value in [1_i64, -5, beyond, i64::MAX, i64::MIN] {
            info!(metric = "integer_total", value, unit = "1");
        }
        info!(metric = "sum_total", value = beyond);
        info!(metric = "sum_total", value = beyond);
        info!(metric = "too_large_total", value = i64::MAX);
        info!(metric = "too_large_total", value = i64::MAX);
        info!(metric = "unsigned", value = u64::MAX);
        for value in [0.5_f64, -0.25, 1e300] {
            info!(metric = "fraction_total", value);
        }
        info!(metric = "mixed_total", value = 1);
        info!(metric = "mixed_total", value = 0.5);
    });
    assert_eq!(
        measured.raw("integer_total"),
        [1, -5, beyond, i64::MAX, i64::MIN].map(Value::I64)
    );
    assert_eq!(measured.whole("sum_total"), Value::I64(2 * beyond));
    assert_eq!(measured.whole("too_large_total"), Value::F64(2.0_f64.powi(64)));
    assert_eq!(measured.whole("unsigned"), Value::F64(2.0_f64.powi(64)));
    assert_eq!(
        measured.raw("fraction_total"),
        [0.5, -0.25, 1e300].map(Value::F64)
    );
    assert_eq!(measured.whole("mixed_total"), Value::F64(1.5));
    assert_eq!(block_on(measured.store.statistics()).unwrap().points, 15);
}

#[test]
fn events_that_measure_nothing_stay_events_and_measurements_with_a_message_are_both() {
    let measured = measured(|| {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            info!(metric = "broken", value);
        }
        info!(metric = "broken", value = "many");
        info!(metric = "broken", value = true);
        info!(metric = 5, value = 5);
        info!(metric = "", value = 5);
        info!(metric = "late", value = tracing::field::Empty);
        info_span!("call").in_scope(|| {
            info!(metric = "silent", value = 5);
            info!(metric = "loud", value = 5, "five of them");
            error!(metric = "failed", value = 1, error = "the disk is full");
        });
    });
    let names: Vec<String> = block_on(measured.store.list_metrics())
        .unwrap()
        .into_iter()
        .map(|info| info.metric)
        .collect();
    assert_eq!(names, ["failed", "loud", "silent"]);
    let events = number(&measured.path, "SELECT count(*) FROM logs");
    assert_eq!(
        events,
        8 + 2,
        "eight that measured nothing, and two with a message"
    );
    let both = "SELECT count(*) FROM logs WHERE message IN ('five of them', 'the disk is full')";
    assert_eq!(number(&measured.path, both), 2);
    let ids =
        "SELECT count(*) FROM metrics m JOIN spans s ON s.span_id = m.span_id AND s.trace_id = m.trace_id";
    assert_eq!(number(&measured.path, ids), 3);
    let indexed = "SELECT count(*) FROM metrics WHERE trace_id = (SELECT trace_id FROM traces)";
    assert_eq!(number(&measured.path, indexed), 3);
}

#[test]
fn labels_keep_any_text() {
    let values = [
        "plain",
        "quote\" and \\ and '",
        "line\nend",
        "tab\t",
        "日本語",
        "{\"a\": 1}",
        "\u{1}\u{7f}",
        "%_*",
    ];
    let measured = measured(|| {
        for value in values {
            info!(metric = "labelled_total", value = 1, label = value);
        }
        info!(metric = "labelled_total", value = 1, label = "nul\0nul");
        info!(metric = "labelled_total", value = 1, label = "");
        info!(metric = "labelled_total", value = 1);
        info!(
            metric = "typed_total",
            value = 1,
            n = 5,
            yes = true,
            real = 0.5,
            big = u64::MAX,
            api_key = "sk-1",
            ttl_seconds = 60
        );
        info!(
            metric = "name with \" and \n\0",
            value = 1,
            "odd.label name" = "x"
        );
    });
    let found = |operator: LabelOperator, value: &str| {
        let mut query = instant("labelled_total");
        query.matchers = vec![LabelMatcher {
            name: "label".to_owned(),
            value: value.to_owned(),
            operator,
        }];
        measured.ask(query)
    };
    for value in values {
        let series = found(LabelOperator::Equals, value);
        assert_eq!(series.len(), 1, "{value:?}");
        assert_eq!(series[0].labels[0].value, value);
        assert_eq!(found(LabelOperator::NotEquals, value).len(), 9);
    }
    assert_eq!(found(LabelOperator::Equals, "nul\0nul").len(), 1);
    let none = found(LabelOperator::Equals, "");
    assert!(none[0].labels.is_empty());
    assert_eq!(none[0].values[0].value, Value::I64(2), "an empty label is none");
    assert_eq!(
        found(LabelOperator::RegexMatch, "line.*").len(),
        1,
        "a dot matches a line end too"
    );
    assert_eq!(
        found(LabelOperator::RegexMatch, "lin").len(),
        0,
        "expressions are anchored"
    );
    assert_eq!(found(LabelOperator::RegexNotMatch, ".*[\"'\\\\].*").len(), 8);
    let typed = &measured.ask(instant("typed_total"))[0];
    let labels: Vec<(&str, &str)> = typed
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("api_key", "[masked: 4 characters]"),
            ("big", "18446744073709551615"),
            ("n", "5"),
            ("real", "0.5"),
            ("yes", "true")
        ]
    );
    assert_eq!(measured.ask(instant("name with \" and \n\0")).len(), 1);
}

#[test]
fn a_hundred_thousand_label_values_are_bounded_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .on_overflow(OverflowPolicy::Block)
        .max_series(1_000);
    let (dispatch, guard) = store_with(settings, &path);
    tracing::dispatcher::with_default(&dispatch, || {
        for user in 0..100_000 {
            info!(metric = "calls_total", value = 1, user);
        }
        info!(metric = "others_total", value = 1, user = 1);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(guard.stats().stored, 100_001);
    drop(guard);
    check(&path);
    let store = SqliteStore::open(&path).unwrap();
    let series = block_on(store.query_metrics(instant("calls_total"))).unwrap();
    assert_eq!(series.len(), 1_001);
    let overflow = series
        .iter()
        .find(|series| {
            series
                .labels
                .iter()
                .any(|label| label.name == "otel.metric.overflow")
        })
        .unwrap();
    assert_eq!(overflow.values[0].value, Value::I64(99_000));
    let infos = block_on(store.list_metrics()).unwrap();
    assert_eq!(infos.iter().map(|info| info.points).sum::<u64>(), 100_001);
    // Series that exist already stay separate from the rest, also for the next process.
    let (dispatch, guard) = store_with(SqliteLayer::builder().max_series(1_000), &path);
    tracing::dispatcher::with_default(&dispatch, || {
        info!(metric = "calls_total", value = 1, user = 5);
        info!(metric = "calls_total", value = 1, user = 5_000_000);
    });
    drop(guard);
    assert_eq!(
        block_on(store.query_metrics(instant("calls_total")))
            .unwrap()
            .len(),
        1_001
    );
    let five = "SELECT sum(value) FROM metrics WHERE attributes = '{\"user\":\"5\"}'";
    assert_eq!(number(&path, five), 2);
}

#[test]
fn the_first_unit_and_kind_are_kept_and_another_unit_is_a_separate_series() {
    let measured = measured(|| {
        info!(metric = "wait", value = 2, instrument = "histogram");
        info!(metric = "wait", value = 1, unit = "s", instrument = "histogram");
        info!(metric = "wait", value = 4, unit = "s", instrument = "gauge");
        info!(metric = "wait", value = 8, instrument = "no such thing");
        info!(
            metric = "wait",
            value = 5_000,
            unit = "ms",
            instrument = "histogram"
        );
        info!(metric = "wait", value = 0.5, unit = "s");
    });
    let info = measured.info("wait");
    assert_eq!(
        (info.unit.as_str(), info.kind, info.series, info.points),
        ("s", MetricKind::Histogram, 2, 6)
    );
    let series = measured.ask(instant("wait"));
    assert!(series[0].labels.is_empty());
    assert_eq!(series[0].values[0].value, Value::F64(15.5));
    assert_eq!(
        (
            series[1].labels[0].name.as_str(),
            series[1].labels[0].value.as_str()
        ),
        ("unit", "ms")
    );
    assert_eq!(series[1].values[0].value, Value::I64(5_000));
    let units = "SELECT count(*) FROM metrics WHERE (unit = 'ms') = (value = 5000)";
    assert_eq!(number(&measured.path, units), 6);
}

#[test]
fn a_token_counter_is_found_under_both_names() {
    let measured = measured(|| {
        for value in [3, 4] {
            info!(
                metric = "prompt_tokens",
                value,
                unit = "tokens",
                model_id = "llama"
            );
        }
    });
    let by_event = measured.ask(instant("prompt_tokens"));
    let by_counter = measured.ask(instant("llama_stack_prompt_tokens_total"));
    assert_eq!(by_counter[0].metric, "llama_stack_prompt_tokens_total");
    assert_eq!(
        (&by_counter[0].labels, &by_counter[0].values),
        (&by_event[0].labels, &by_event[0].values)
    );
    assert_eq!(by_event[0].values[0].value, Value::I64(7));
    assert_eq!(measured.info("prompt_tokens").kind, MetricKind::Counter);
}

#[test]
fn a_sink_stores_and_counts_measurements_without_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::open(&path).unwrap();
    let sink = layer.metric_sink();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let labels = [
        ("model", RawValue::Text("llama", None)),
        ("severity", RawValue::I64(3)),
    ];
    let measurement = Measurement {
        name: "tokens_total",
        value: Number::I64(7),
        unit: "tokens",
        kind: MetricKind::Counter,
        labels: &labels,
        span: None,
        time: Clock::global().now(),
        is_event: false,
    };
    sink.record(&measurement);
    sink.clone().record(&Measurement {
        is_event: true,
        ..measurement
    });
    for value in [Number::F64(f64::NAN), Number::F64(f64::INFINITY)] {
        sink.record(&Measurement { value, ..measurement });
    }
    sink.record(&Measurement {
        name: "",
        ..measurement
    });
    tracing::dispatcher::with_default(&dispatch, || info!("and an event"));
    guard.flush(PATIENCE).unwrap();
    assert_eq!((guard.stats().offered, guard.stats().stored), (2, 2));
    guard.shutdown().unwrap();
    sink.record(&measurement);
    assert_eq!((guard.stats().offered, guard.stats().dropped.shutdown), (3, 1));
    let store = SqliteStore::open(&path).unwrap();
    let series = block_on(store.query_metrics(instant("tokens_total"))).unwrap();
    assert_eq!(series[0].values[0].value, Value::I64(7));
    let labels: Vec<&str> = series[0].labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(labels, ["model", "severity"]);
    check(&path);
}

#[test]
fn results_during_heavy_writing_are_consistent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .flush_interval(Duration::from_millis(5))
        .on_overflow(OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &path);
    let store = SqliteStore::open(&path).unwrap();
    let sum = |granularity: Option<&str>| -> i64 {
        let query = instant("work_total")
            .query_type(MetricQueryType::Range)
            .granularity(granularity.map(|text| text.parse().unwrap()));
        let series = block_on(store.query_metrics(query)).unwrap();
        let values = series.into_iter().flat_map(|series| series.values);
        let numbers = values.map(|point| match point.value {
            Value::I64(number) => number,
            other => panic!("{other:?} is no integer"),
        });
        numbers.sum()
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dispatch = dispatch.clone();
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..10_000 {
                        info!(metric = "work_total", value = 1, thread);
                        let _span = info_span!("work").entered();
                    }
                });
            });
        }
        let mut last = 0;
        for look in 0..40 {
            let granularity = [Some("1m"), None, Some("7s"), Some("1d")][look % 4];
            let now = sum(granularity);
            assert!(now >= last, "{now} after {last}: results only grow");
            last = now;
        }
    });
    guard.flush(PATIENCE).unwrap();
    for granularity in [Some("1m"), None, Some("7s"), Some("1d")] {
        assert_eq!(sum(granularity), 40_000);
    }
    let stats = guard.stats();
    assert_eq!((stats.offered, stats.stored), (80_000, 80_000));
    drop(guard);
    check(&path);
}

#[test]
fn several_processes_measure_into_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let children: Vec<_> = (0..3)
        .map(|_| {
            Command::new(env!("CARGO_BIN_EXE_burst"))
                .args([path.as_os_str(), "2000".as_ref(), "metrics".as_ref()])
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    check(&path);
    let store = SqliteStore::open(&path).unwrap();
    let series = block_on(store.query_metrics(instant("burst_total"))).unwrap();
    assert_eq!(series.len(), 10, "all processes share the label sets");
    assert!(
        series
            .iter()
            .all(|series| series.values[0].value == Value::I64(600)),
        "{series:?}"
    );
    assert_eq!(
        number(&path, "SELECT count(*) FROM _process WHERE offered = stored"),
        3
    );
}

fn flushed(work: impl FnOnce(), (dispatch, guard): &(Dispatch, SqliteGuard)) {
    tracing::dispatcher::with_default(dispatch, work);
    guard.flush(PATIENCE).unwrap();
}

#[test]
fn measurements_are_deleted_by_their_age_and_not_with_their_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    flushed(
        || {
            info_span!("call").in_scope(|| {
                info!(metric = "kept_total", value = 1);
                info!(metric = "short_total", value = 1, ttl_seconds = 0);
                info!(metric = "long_total", value = 1, ttl_seconds = 86_400);
            });
        },
        &store_at(&path),
    );
    // More than a day ago.
    let db = Connection::open(&path).unwrap();
    let day = 90_000_000_000_000_i64;
    db.execute("UPDATE _trace SET start = start - ?1, end = end - ?1", [day])
        .unwrap();
    let names = || {
        let store = SqliteStore::open(&path).unwrap();
        let infos = block_on(store.list_metrics()).unwrap();
        infos
            .into_iter()
            .map(|info| info.metric)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (_, guard) = store_with(
        SqliteLayer::builder().retention(Duration::from_secs(86_400)),
        &path,
    );
    wait_for("the trace's end", || {
        (number(&path, "SELECT count(*) FROM _trace") == 0).then_some(())
    });
    assert_eq!(
        names(),
        "kept_total long_total",
        "the trace is gone, its measurements are not"
    );
    assert_eq!(
        number(&path, "SELECT count(*) FROM metrics WHERE trace_id IS NOT NULL"),
        2
    );
    drop(guard);
    // Now the measurements are old too, but one has a lifetime of a day.
    let minutes = day / 60_000_000_000;
    db.execute_batch(&format!(
        "UPDATE _point SET time = time - {day}; UPDATE _rollup SET minute = minute - {minutes};"
    ))
    .unwrap();
    let (_, guard) = store_with(
        SqliteLayer::builder().retention(Duration::from_secs(86_400)),
        &path,
    );
    wait_for("the old one's end", || (names() == "long_total").then_some(()));
    drop(guard);
    check(&path);
}

#[test]
fn measurements_alone_stay_under_the_cap_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .max_bytes(2 << 20)
        .on_overflow(OverflowPolicy::Block);
    let kept = store_with(settings, &path);
    let began = Instant::now();
    flushed(
        || {
            for number in 0..120_000 {
                info!(metric = "many_total", value = 1, label = number % 50);
            }
        },
        &kept,
    );
    drop(kept);
    let pages = number(&path, "PRAGMA page_count") - number(&path, "PRAGMA freelist_count");
    assert!(pages * 4096 <= 2 << 20, "{pages} pages hold something");
    let left = number(&path, "SELECT count(*) FROM _point");
    assert!((1_000..120_000).contains(&left), "{left} are left");
    check(&path);
    let store = SqliteStore::open(&path).unwrap();
    let series = block_on(store.query_metrics(instant("many_total"))).unwrap();
    let sum: i64 = series
        .iter()
        .map(|series| match series.values[0].value {
            Value::I64(number) => number,
            _ => 0,
        })
        .sum();
    assert_eq!(sum, left, "minutes that lost some of their points are read again");
    assert!(began.elapsed() < PATIENCE);
}
