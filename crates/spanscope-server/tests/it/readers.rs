//! Readers that share a store: long queries of one caller block neither the others nor the
//! records that are received.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use spanscope_model::{TraceStore, block_on};
use spanscope_server::{AuthMode, Limits};
use spanscope_sqlite::SqliteStore;
use spanscope_store_tests::hooked::Hooked;
use spanscope_store_tests::made::{records, span};
use spanscope_tests::{PATIENCE, wait_for};

use crate::otlp::{send, span as otlp_span, traces};
use crate::running::{ACME, OTHER, Open, Running, open_with, tenant, tokens};
use crate::wire::{Ask, Connection};

const TRACES: &str = "/v1/telemetry/traces";
/// Keys of every span.
const KEYS: usize = 20;

/// A store in which one tenant has very many spans, and the other few.
fn busy(request_time: Duration) -> Open {
    let open = open_with(tokens(), Limits::default().request_time(request_time));
    let acme = open.store.for_tenant(&tenant("acme"));
    for trace in 1..=400 {
        let spans = (1..=150).map(|id| {
            let mut span = span(trace, id, 0, "work");
            for key in 0..KEYS {
                span.attributes
                    .set(format!("k{key}"), "a value of some length, as values are");
            }
            span
        });
        block_on(acme.store(records(spans.collect()))).unwrap();
    }
    let other = open.store.for_tenant(&tenant("other"));
    block_on(other.store(records(vec![span(1, 1, 0, "work")]))).unwrap();
    open
}

/// A hundred conditions that every span meets, and an order without an index.
fn long_query() -> Value {
    let conditions: Vec<Value> = (0..100)
        .map(|number| json!({"key": format!("k{}", number % KEYS), "op": "ne", "value": number}))
        .collect();
    json!({"attribute_filters": conditions, "order_by": ["-span_count"], "limit": 10})
}

#[test]
fn long_queries_of_one_tenant_do_not_block_readiness_other_tenants_or_writes() {
    const ASKED: usize = 5;
    let open = busy(Duration::from_secs(2));
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..ASKED {
            scope.spawn(|| {
                let answer = Ask::json(TRACES, &long_query()).token(ACME).to(open.address);
                assert!([200, 503].contains(&answer.status), "{}", answer.text());
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut rounds = 0;
        // Also after the last of them was abandoned.
        while done.load(Ordering::SeqCst) < ASKED || rounds < 20 {
            rounds += 1;
            let ready = Ask::get("/ready").to(open.address);
            assert_eq!(ready.status, 200, "round {rounds}: {}", ready.text());
            let newest = Ask::json(TRACES, &json!({"limit": 10}))
                .token(OTHER)
                .to(open.address);
            assert_eq!(newest.status, 200, "round {rounds}: {}", newest.text());
            let sent = send(&traces(vec![otlp_span("sent")]))
                .token(OTHER)
                .to(open.address);
            assert_eq!(sent.status, 200, "round {rounds}: {}", sent.text());
        }
    });
    // A scan of the other one finds a thread too, however long it takes on a busy machine.
    let patient = Running::of(
        Arc::new(open.store.clone()),
        tokens(),
        Limits::default().request_time(PATIENCE),
    );
    let scanned = Ask::json(TRACES, &long_query()).token(OTHER).to(patient.address);
    assert_eq!(scanned.status, 200, "{}", scanned.text());
}

#[test]
fn a_scan_in_pieces_returns_what_one_statement_returns() {
    let open = busy(PATIENCE);
    let question = long_query();
    let answer = Ask::json(TRACES, &question).token(ACME).to(open.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = answer.json();
    let found = found["data"].as_array().unwrap();
    assert_eq!(found.len(), 10);
    let ids: std::collections::BTreeSet<&str> = found
        .iter()
        .map(|trace| trace["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 10);
    // No span has the key of the additional condition.
    let mut question = question;
    let one_more = json!({"key": "missing", "op": "ne", "value": 1});
    question["attribute_filters"][99] = one_more;
    let answer = Ask::json(TRACES, &question).token(ACME).to(open.address);
    assert_eq!(answer.json()["data"], json!([]));
}

#[test]
fn concurrent_queries_of_a_tenant_are_limited() {
    let limits = Limits::default().queries(4).tenant_queries(0);
    let open = open_with(tokens(), limits);
    let ask = |token: &str| Ask::json(TRACES, &json!({})).token(token).to(open.address);
    let refused = ask(ACME);
    assert_eq!((refused.status, refused.code().as_str()), (429, "overloaded"));
    assert!(
        refused.message().contains("of this tenant"),
        "{}",
        refused.message()
    );
    assert_eq!(
        ask(crate::running::ADMIN).status,
        200,
        "an administrator is no tenant"
    );
}

/// Counts a query as abandoned when it is dropped.
struct Abandoned(Arc<AtomicUsize>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A server whose queries never end, and are counted.
fn endless(started: &Arc<AtomicUsize>, abandoned: &Arc<AtomicUsize>, limits: Limits) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let (started_of, abandoned_of) = (Arc::clone(started), Arc::clone(abandoned));
    let store = Hooked::new(Arc::new(store), move |_| {
        started_of.fetch_add(1, Ordering::SeqCst);
        let abandoned = Abandoned(Arc::clone(&abandoned_of));
        Box::pin(async move {
            let _guard = abandoned;
            std::future::pending().await
        })
    });
    Running::of(Arc::new(store), AuthMode::Local, limits)
}

fn count(what: &AtomicUsize, expected: usize) {
    wait_for("the count", || {
        (what.load(Ordering::SeqCst) == expected).then_some(())
    });
}

#[test]
fn a_query_that_timed_out_is_abandoned() {
    let (started, abandoned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let limits = Limits::default().request_time(Duration::from_millis(50));
    let hasty = endless(&started, &abandoned, limits);
    let answer = Ask::json(TRACES, &json!({})).to(hasty.address);
    assert_eq!((answer.status, answer.code().as_str()), (503, "timed_out"));
    count(&started, 1);
    count(&abandoned, 1);
}

#[test]
fn a_query_of_a_disconnected_client_is_abandoned() {
    let (started, abandoned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = endless(
        &started,
        &abandoned,
        Limits::default().request_time(10 * PATIENCE),
    );
    // Closing a connection with unread data resets it.
    let ask = Ask::json(TRACES, &json!({}));
    let resets = ask.clone().header("Expect", "100-continue");
    let pipelines = [resets.bytes(), Ask::get("/health").bytes()].concat();
    let leaves = [
        ("closed", ask.bytes()),
        ("reset", resets.bytes()),
        ("reset with a request that was not read", pipelines),
    ];
    for (number, (how, sent)) in leaves.into_iter().enumerate() {
        let mut connection = Connection::open(server.address);
        connection.send(&sent);
        count(&started, number + 1);
        assert_eq!(connection.is_silent(), number == 0);
        drop(connection);
        wait_for(how, || {
            (abandoned.load(Ordering::SeqCst) == number + 1).then_some(())
        });
    }
    let mut stays = Connection::open(server.address);
    stays.send(&ask.bytes());
    count(&started, 4);
    assert!(stays.is_silent());
    assert_eq!(abandoned.load(Ordering::SeqCst), 3, "one client waits");
}

#[test]
fn scans_of_disconnected_clients_make_room_for_the_next_one_of_their_tenant() {
    let open = busy(10 * PATIENCE);
    let gone: Vec<Connection> = (0..30)
        .map(|_| {
            let mut connection = Connection::open(open.address);
            connection.send(&Ask::json(TRACES, &long_query()).token(ACME).bytes());
            connection
        })
        .collect();
    drop(gone);
    let scanned = Ask::json(TRACES, &long_query()).token(ACME).to(open.address);
    assert_eq!(scanned.status, 200, "{}", scanned.text());
}

#[test]
fn queries_of_a_closed_page_are_abandoned() {
    const TRACE: &str = "/ui/api/traces/4bf92f3577b34da6a3ce929d0e0e4736";
    let (started, abandoned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = endless(
        &started,
        &abandoned,
        Limits::default().request_time(10 * PATIENCE),
    );
    let span = format!("{TRACE}/spans/00f067aa0ba902b7");
    let paths = [
        "/ui/api/traces".to_owned(),
        "/ui/api/traces/histogram".to_owned(),
        "/ui/api/traces/histogram?q=whale&since=1h".to_owned(),
        "/ui/api/traces/without?q=whale".to_owned(),
        TRACE.to_owned(),
        format!("{TRACE}/find?q=whale"),
        span.clone(),
        format!("{span}/among"),
        format!("{span}/around"),
        "/ui/api/spans?q=whale".to_owned(),
        "/ui/api/logs?q=whale".to_owned(),
        "/ui/api/logs/histogram?since=1h".to_owned(),
        "/ui/api/complete?prefix=gen".to_owned(),
        "/ui/api/store/names".to_owned(),
    ];
    for (number, path) in paths.iter().enumerate() {
        let mut page = Connection::open(server.address);
        page.send(&Ask::get(path).bytes());
        count(&started, number + 1);
        assert!(page.is_silent(), "{path}");
        drop(page);
        // A store stops the query of a future that is dropped, as its own tests show.
        wait_for(path, || {
            (abandoned.load(Ordering::SeqCst) == number + 1).then_some(())
        });
    }
}
