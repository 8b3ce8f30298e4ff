//! A store that fails under the handler.

use std::sync::Arc;
use std::time::Duration;

use spanscope_model::{LogFilter, StoreErrorKind, TraceStore as _, block_on};
use spanscope_server::{Datasets, telemetry_router, telemetry_router_with};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use spanscope_tests::http::{ask, post};
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::code;
use crate::stores::Failing;
use crate::support::Server;

#[test]
fn the_cause_of_a_store_failure_is_not_in_the_response() {
    let ids = "/v1/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736";
    let export = r#"{"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"}"#;
    let spans = r#"{"attribute_filters": [], "attributes_to_return": []}"#;
    for (kind, status, expected) in [
        (StoreErrorKind::Unavailable, 503, "store_unavailable"),
        (StoreErrorKind::Unusable, 500, "store_unusable"),
    ] {
        let datasets = Datasets::in_folder("never made");
        let store = Arc::new(Failing::new(kind));
        let server = Server::start(telemetry_router_with(store, datasets));
        let answers = [
            post(server.address, "/v1/telemetry/traces", "{}"),
            ask(server.address, "GET", ids, ""),
            ask(
                server.address,
                "GET",
                &format!("{ids}/spans/00f067aa0ba902b7"),
                "",
            ),
            post(server.address, "/v1/telemetry/spans/00f067aa0ba902b7/tree", "{}"),
            post(server.address, "/v1/telemetry/spans", spans),
            post(server.address, "/v1/telemetry/spans/export", export),
            post(server.address, "/v1/telemetry/metrics/m", r#"{"start_time": 0}"#),
        ];
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!((answer.status, code(&answer)), (status, expected.to_owned()));
            assert!(
                !answer.body.contains("secret") && !answer.body.contains("fire"),
                "{}",
                answer.body
            );
            assert_eq!(answer.header("retry-after").is_some(), status == 503);
        }
    }
}

#[test]
fn the_cause_of_a_store_failure_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let app = telemetry_router(Arc::new(Failing::new(StoreErrorKind::Unavailable)));
    let request = axum::http::Request::builder()
        .uri("/v1/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736")
        .body(axum::body::Body::empty())
        .unwrap();
    // On this thread, which has the subscriber.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let answer = runtime.block_on(app.oneshot(request)).unwrap();
        assert_eq!(answer.status(), 503);
    });
    guard.flush(Duration::from_secs(20)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
    let json = serde_json::to_string(&logs).unwrap();
    assert!(
        json.contains("cannot read /secret/place.db: disk 7 is on fire"),
        "{json}"
    );
}

#[test]
fn an_operation_that_the_store_does_not_support_is_refused_with_501() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    drop(SqliteLayer::builder().open(&path).unwrap());
    let server = Server::start(telemetry_router(Arc::new(SqliteStore::open(&path).unwrap())));
    let event = r#"{"ttl_seconds": 60, "event": {"type": "unstructured_log", "severity": "info", "message": "hello",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "timestamp": "2026-11-21T14:03:00Z"}}"#;
    let answer = post(server.address, "/v1/telemetry/events", event).unwrap();
    assert_eq!((answer.status, code(&answer)), (501, "unsupported".to_owned()));
    assert!(answer.body.contains("opened for reading"), "{}", answer.body);
    assert!(answer.header("retry-after").is_none());
}
