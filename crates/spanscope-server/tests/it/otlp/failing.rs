//! A store that fails under the receiver: the sender learns whether to retry, the log has the
//! reason.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use serde_json::Value;
use spanscope_model::{LogFilter, StoreErrorKind, TraceStore, block_on};
use spanscope_server::{AuthMode, Limits, Server};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use spanscope_tests::PATIENCE;
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{JSON, PROTOBUF, SIGNALS, TRACES, one_of_each, send, send_json, span, status_of, traces};
use crate::running::{Running, counts, open, tenant};
use crate::stores::Failing;
use crate::wire::Ask;

/// A store's failure, and what its senders get: the status, that of gRPC, whether to retry.
const FAILURES: [(StoreErrorKind, u16, i32, bool); 6] = [
    (StoreErrorKind::Unavailable, 503, 14, true),
    (StoreErrorKind::Overloaded, 429, 8, true),
    (StoreErrorKind::Unusable, 500, 13, false),
    (StoreErrorKind::Full, 507, 9, false),
    (StoreErrorKind::InvalidInput, 400, 3, false),
    (StoreErrorKind::NotFound, 404, 3, false),
];

#[test]
fn a_stores_failure_is_reported_in_the_encoding_of_the_request() {
    for (kind, status, code, again) in FAILURES {
        let server = Running::of(Arc::new(Failing::new(kind)), AuthMode::Local, Limits::default());
        let request = traces(vec![span("lost")]);
        for (ask, encoding) in [(send(&request), PROTOBUF), (send_json(&request), JSON)] {
            let answer = ask.to(server.address);
            assert_eq!(answer.status, status, "{kind:?}");
            assert_eq!(answer.header("content-type"), Some(encoding));
            assert_eq!(answer.header("retry-after"), again.then_some("1"), "{kind:?}");
            let status = status_of(&answer);
            assert_eq!(status.code, code, "{kind:?}");
            assert!(!status.message.is_empty());
            // If it is the store's own failure, its message is not for clients.
            let is_own = matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Unusable);
            assert!(
                !is_own || !status.message.contains("secret"),
                "{}",
                status.message
            );
            assert!(!status.message.contains("fire"), "{}", status.message);
        }
    }
}

#[test]
fn every_signal_reports_failures() {
    let failing = Failing::new(StoreErrorKind::Unavailable);
    let server = Running::of(Arc::new(failing.clone()), AuthMode::Local, Limits::default());
    for (path, body) in one_of_each() {
        let answer = crate::wire::Ask::json(path, &body).to(server.address);
        assert_eq!((answer.status, status_of(&answer).code), (503, 14), "{path}");
    }
    assert_eq!(failing.query_count(), SIGNALS.len());
}

#[test]
fn the_cause_of_a_failure_is_logged_once_for_all_requests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (layer, guard) = SqliteLayer::builder().open(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store: Arc<dyn TraceStore> = Arc::new(Failing::new(StoreErrorKind::Unavailable));
    let app = Server::builder(store).router();
    let asks = |path: &str, body: &str| {
        let request = axum::http::Request::post(path)
            .header("host", "localhost")
            .header("content-type", JSON)
            .body(axum::body::Body::from(body.to_owned()))
            .unwrap();
        let answer = runtime.block_on(app.clone().oneshot(request)).unwrap();
        assert_eq!(answer.status(), 503, "{path}");
    };
    // On this thread, whose subscriber it is.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..20 {
            for (path, body) in one_of_each() {
                asks(path, &body.to_string());
            }
            asks("/v1/telemetry/traces", "{}");
        }
    });
    guard.flush(Duration::from_secs(20)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
    let json = serde_json::to_value(&logs).unwrap();
    let errors: Vec<&Value> = json.as_array().unwrap().iter().collect();
    assert_eq!(errors.len(), 1, "{json}");
    assert_eq!(errors[0]["severity"], "error");
    let error = errors[0]["attributes"]["error"].as_str().unwrap();
    assert_eq!(error, "cannot read /secret/place.db: disk 7 is on fire");
}

#[test]
fn a_store_that_was_opened_for_reading_refuses_records() {
    let written = open();
    assert_eq!(send(&traces(vec![span("first")])).to(written.address).status, 200);
    let reading = SqliteStore::open(written.store.path()).unwrap();
    for store in [
        Arc::new(reading.clone()) as Arc<dyn TraceStore>,
        reading.for_tenant(&tenant("acme")),
    ] {
        let server = Running::of(store, AuthMode::Local, Limits::default());
        let answer = send(&traces(vec![span("second")])).to(server.address);
        assert_eq!((answer.status, status_of(&answer).code), (501, 12));
        assert!(
            status_of(&answer).message.contains("opened for reading"),
            "{answer:?}"
        );
        assert_eq!(answer.header("retry-after"), None);
        // The store would refuse whatever the body holds, so it is not decoded.
        let answer = Ask::post(TRACES, PROTOBUF, "no protobuf").to(server.address);
        assert_eq!((answer.status, status_of(&answer).code), (501, 12));
    }
    assert_eq!(written.span_names(), ["first"]);
}

#[test]
fn records_beyond_the_queue_are_refused_and_stored_when_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .queue_bytes(1) // one request at a time
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let server = Running::of(Arc::new(store.clone()), AuthMode::Local, Limits::default());
    let sent = AtomicU64::new(0);
    let refused = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for sender in 1..=4_u8 {
            let (sent, refused, address) = (&sent, &refused, server.address);
            scope.spawn(move || {
                let deadline = Instant::now() + PATIENCE;
                // Until two requests coincide.
                while !refused.load(SeqCst) {
                    assert!(Instant::now() < deadline, "no request was refused");
                    let mut one = span("one");
                    one.trace_id = vec![sender; 16];
                    one.span_id = sent.fetch_add(1, SeqCst).wrapping_add(1).to_be_bytes().to_vec();
                    let ask = send(&traces(vec![one]));
                    loop {
                        let answer = ask.to(address);
                        if answer.status == 200 {
                            break;
                        }
                        refused.store(true, SeqCst);
                        assert!(Instant::now() < deadline, "never stored");
                        assert_eq!((answer.status, status_of(&answer).code), (429, 8));
                        assert_eq!(answer.header("retry-after"), Some("1"));
                    }
                }
            });
        }
    });
    assert_eq!(counts(&store), (sent.load(SeqCst), 0, 0));
}
