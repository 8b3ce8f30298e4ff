//! The telemetry API over HTTP, on a store that ordinary `tracing` has filled.

mod answers;
mod datasets;
mod events;
mod failing;
mod hostile;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spanscope_core::SpanExt as _;
use spanscope_server::{Datasets, telemetry_router_with};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use spanscope_tests::http::{Answer, ask, post};
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::Server;

/// Three traces, the second of which failed, and a server of them.
struct Filled {
    server: Server,
    store: Arc<SqliteStore>,
    /// Of the root spans, in the order they began.
    roots: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

fn filled() -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let mut roots = Vec::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for number in 0..3 {
            let root = info_span!("agent turn", session_id = "s-1", number, is_last = number == 2);
            let (trace_id, span_id) = root.ids().unwrap();
            roots.push((trace_id.to_string(), span_id.to_string()));
            root.in_scope(|| {
                info_span!("chat", gen_ai.request.model = "small", tokens = 10 * number).in_scope(|| {
                    info!(
                        metric = "queue_length",
                        value = 7 + number,
                        unit = "jobs",
                        queue = "embeddings"
                    );
                    if number == 1 {
                        tracing::error!("the model is gone");
                    }
                });
            });
        }
    });
    guard.flush(Duration::from_secs(20)).unwrap();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let datasets = Datasets::in_folder(folder.path().join("datasets"));
    let server = Server::start(telemetry_router_with(Arc::<SqliteStore>::clone(&store), datasets));
    Filled {
        server,
        store,
        roots,
        folder,
    }
}

fn read(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).unwrap()
}

impl Filled {
    /// Responses under both prefixes are the same.
    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let answer = read(&post(self.server.address, &format!("/v1{path}"), &body).unwrap());
        assert_eq!(answer, read(&post(self.server.address, path, &body).unwrap()));
        answer
    }

    fn get(&self, path: &str) -> Value {
        let answer = read(&ask(self.server.address, "GET", &format!("/v1{path}"), "").unwrap());
        assert_eq!(answer, read(&ask(self.server.address, "GET", path, "").unwrap()));
        answer
    }
}

fn code(answer: &Answer) -> String {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{}",
        answer.body
    );
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    let error = &error["error"];
    assert!(!error["what_to_do"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}
