//! The demo's server in another process, and a program that runs with only the token layer.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use spanscope_core::capture::RawValue;
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_layers::TokenMetricsLayer;
use spanscope_model::{RunFilter, RunRange, RunRecords, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::{PATIENCE, store_at};
use tracing_subscriber::prelude::*;

/// The requested model; the server accepts any.
pub(crate) const MODEL: &str = "tiny-rules-1";
/// The instructions in all tests. The model quotes passages with these numbers.
pub(crate) const SYSTEM: &str =
    "[1] tracing: Spans in tracing are periods of time, and events are moments in them.";
/// The question in tests without tools.
pub(crate) const QUESTION: &str = "What are spans and events in tracing?";

/// `spanscope demo --serve-model`.
#[derive(Debug)]
pub(crate) struct ModelServer {
    process: Child,
    base_url: String,
}

impl ModelServer {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_spanscope"))
            .args(["demo", "--serve-model"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://127.0.0.1:"), "{line:?}");
        Self {
            process,
            base_url: line.trim_end().to_owned(),
        }
    }

    /// Returns the base URL for OpenAI's clients, without a slash at its end.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Calls the server without any of the tested crates, and returns its whole response.
    pub(crate) async fn ask(&self, request: &Value) -> Value {
        let answer = client()
            .post(format!("{}/chat/completions", self.base_url))
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        // The server ends when its stdin ends.
        drop(self.process.stdin.take());
        // Fails only if the process has already ended.
        let _ = self.process.wait();
    }
}

/// A client that connects directly to the loopback interface, whatever proxy the environment names.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Returns input, output and total, as a response of the server reports them.
pub(crate) fn usage_of(answer: &Value) -> [i64; 3] {
    ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| answer["usage"][name].as_i64().unwrap())
}

/// A measurement as it reached the sink.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    name: String,
    value: Number,
    labels: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Kept>>>);

impl MetricSink for Recorder {
    fn record(&self, measurement: &Measurement<'_>) {
        let text = |value: &RawValue<'_>| match value {
            RawValue::Text(text, _) => (*text).to_owned(),
            other => format!("{other:?}"),
        };
        let labels = measurement.labels.iter();
        self.0.lock().unwrap().push(Kept {
            name: measurement.name.to_owned(),
            value: measurement.value,
            labels: labels
                .map(|(key, value)| ((*key).to_owned(), text(value)))
                .collect(),
        });
    }
}

/// The measurements that the token layer derived from a program.
#[derive(Debug)]
pub(crate) struct Measured(Vec<Kept>);

impl Measured {
    fn named(&self, name: &str) -> Vec<&Kept> {
        self.0.iter().filter(|kept| kept.name == name).collect()
    }

    /// Asserts that there is one measurement of this name, and that it has this label.
    pub(crate) fn assert_one_labelled(&self, name: &str, key: &str, value: &str) {
        let found = self.named(name);
        assert_eq!(found.len(), 1, "{name} in {self:#?}");
        let label = (key.to_owned(), value.to_owned());
        assert!(found[0].labels.contains(&label), "{found:?}");
    }

    /// Asserts that the three counters have exactly the usage of these calls, in this order, with
    /// this model and provider.
    pub(crate) fn assert_counted(&self, provider: &str, calls: &[[i64; 3]]) {
        let names = ["prompt_tokens", "completion_tokens", "total_tokens"];
        for (index, name) in names.into_iter().enumerate() {
            let expected: Vec<Kept> = calls
                .iter()
                .map(|usage| Kept {
                    name: name.to_owned(),
                    value: Number::I64(usage[index]),
                    labels: vec![
                        ("model_id".to_owned(), MODEL.to_owned()),
                        ("provider_id".to_owned(), provider.to_owned()),
                    ],
                })
                .collect();
            let found: Vec<Kept> = self.named(name).into_iter().cloned().collect();
            assert_eq!(found, expected, "in {self:#?}");
        }
    }
}

/// Runs a program with only the token layer, in a single-threaded runtime, because the layer is
/// installed on that thread.
pub(crate) fn measure(program: impl Future<Output = ()>) -> Measured {
    let recorder = Recorder::default();
    let layer = TokenMetricsLayer::builder().sink(recorder.clone()).build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        runtime.block_on(program);
        // Ends tasks of the crates that still hold a span.
        drop(runtime);
    });
    let kept = recorder.0.lock().unwrap();
    Measured(kept.clone())
}

/// Runs a program as [`measure`] does, recorded into a store, and returns the runs of agents in it,
/// the earliest first.
pub(crate) fn record(program: impl Future<Output = ()>) -> Vec<RunRecords> {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&db);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        runtime.block_on(program);
        drop(runtime);
    });
    guard.flush(PATIENCE).unwrap();
    let store = SqliteStore::open(&db).unwrap();
    let mut runs = block_on(store.list_runs(RunFilter::default())).unwrap().runs;
    runs.sort_by_key(|run| run.created_at);
    let records = runs
        .into_iter()
        .map(|run| store.run_records(run.task_id, RunRange::ALL));
    records.map(|records| block_on(records).unwrap()).collect()
}

/// Waits for a future outside the token layer.
pub(crate) fn block_on_outside<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
