//! The measurements of `spanscope::init()` alone: the environment names the sinks, and the program
//! has plain spans and events.

use std::path::Path;
use std::process::Output;

use spanscope_model::{
    LogFilter, MetricInfo, MetricKind, MetricQuery, MetricSeries, Timestamp, TraceStore as _, Value, block_on,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;

/// Runs `console init measures` with these sinks and a folder for its store; returns what its
/// console showed.
fn shown(folder: &Path, sinks: &str) -> String {
    let Output { status, stderr, .. } = program_without_settings(env!("CARGO_BIN_EXE_console"))
        .args(["init", "measures"])
        .env("TELEMETRY_SINKS", sinks)
        .env("SQLITE_STORE_DIR", folder)
        .env("LLAMA_STACK_LOG_WIDTH", "1000")
        .output()
        .unwrap();
    let shown = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{status}: {shown}");
    shown
}

fn store_in(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("trace_store.db")).unwrap()
}

/// The only measurement of a metric, with its labels.
fn measured(store: &SqliteStore, metric: &str) -> (Value, Vec<(String, String)>) {
    let query = MetricQuery::range(metric, Timestamp::from_nanos(0))
        .granularity(None::<spanscope_model::Granularity>);
    let series = block_on(store.query_metrics(query)).unwrap();
    let [MetricSeries { labels, values, .. }] = &series[..] else {
        panic!("{metric}: {series:?}")
    };
    let [point] = &values[..] else {
        panic!("{metric}: {values:?}")
    };
    let labels = labels
        .iter()
        .map(|label| (label.name.clone(), label.value.clone()));
    (point.value.clone(), labels.collect())
}

fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn messages(store: &SqliteStore) -> Vec<String> {
    let logs = block_on(store.list_logs(LogFilter::default().limit(100)));
    logs.unwrap().into_iter().map(|log| log.message).collect()
}

#[test]
fn a_plain_span_with_token_counts_is_measured_without_any_set_up() {
    for sinks in ["sqlite", "console,sqlite"] {
        let folder = tempfile::tempdir().unwrap();
        let shown = shown(folder.path(), sinks);
        assert_eq!(shown.contains("[END] chat ("), sinks != "sqlite", "{shown}");
        let store = store_in(folder.path());
        let call = labels(&[("model_id", "llama-3"), ("provider_id", "tgi")]);
        for (event, counter, tokens) in [
            ("prompt_tokens", "llama_stack_prompt_tokens_total", 12),
            ("completion_tokens", "llama_stack_completion_tokens_total", 5),
            ("total_tokens", "llama_stack_tokens_total", 17),
        ] {
            let expected = (Value::I64(tokens), call.clone());
            assert_eq!(measured(&store, event), expected, "{event}");
            assert_eq!(measured(&store, counter), expected, "{counter}");
            let known = block_on(store.list_metrics()).unwrap();
            let known: Vec<&MetricInfo> = known.iter().filter(|info| info.metric == event).collect();
            assert_eq!(known.len(), 1, "{event}");
            assert_eq!(
                (known[0].kind, known[0].unit.as_str()),
                (MetricKind::Counter, "tokens")
            );
        }
    }
}

#[test]
fn a_metric_event_is_stored_as_a_measurement_and_shown_only_for_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let shown = shown(folder.path(), "console,sqlite");
    let store = store_in(folder.path());
    let expected = (Value::I64(17), labels(&[("queue", "embeddings")]));
    assert_eq!(measured(&store, "queue_length"), expected);
    assert!(!shown.contains("embeddings"), "{shown}");

    // An event with a message is also logged, and one without a value is not a measurement.
    assert_eq!(measured(&store, "rejected"), (Value::I64(3), Vec::new()));
    let mut logged = messages(&store);
    logged.sort();
    assert_eq!(logged, ["", "no value, so no measurement", "the queue is full"]);
    assert!(shown.contains("metric=odd value=many"), "{shown}");
    for logged in logged {
        assert!(shown.contains(&logged), "{logged}: {shown}");
    }
}

#[test]
fn the_console_alone_needs_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let shown = shown(folder.path(), "console");
    assert!(shown.contains("[END] chat ("), "{shown}");
    assert!(
        !shown.contains("embeddings") && !shown.contains("store"),
        "{shown}"
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
