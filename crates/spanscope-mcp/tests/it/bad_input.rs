//! Calls that fail, and invalid requests.

use std::time::Duration;

use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use spanscope::model::{Span, SpanKind, SpanStatus};
use spanscope::testing::TestStore;
use spanscope_mcp::{ClientExt as _, TracedServer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::{Tools, call, call_with, connected_to_tools, text, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Returns the only span of this name and kind.
fn span(store: &TestStore, name: &str, kind: SpanKind) -> Span {
    let of_kind = |span: &Span| span.kind == kind;
    store
        .spans()
        .named(name)
        .matching("is of that kind", of_kind)
        .one()
}

/// Waits until the server has a span of this name.
async fn span_of_server(store: &TestStore, name: &str) -> Span {
    let wait = async {
        loop {
            let of_server = |span: &Span| span.kind == SpanKind::Server && span.end_time.is_some();
            let spans = store
                .spans()
                .named(name)
                .matching("is the server's and over", of_server);
            if !spans.is_empty() {
                return spans.one();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(wait).await
}

#[tokio::test]
async fn spans_of_a_failed_tool_and_of_a_refused_call_have_the_error() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let result = within(client.traced().call_tool(call("fail"))).await.unwrap();
    assert_eq!(result.is_error, Some(true));
    within(client.traced().call_tool(call("refuse")))
        .await
        .unwrap_err();
    for kind in [SpanKind::Client, SpanKind::Server] {
        let failed = span(&store, "tools/call fail", kind);
        assert_eq!(text(&failed, "error.type"), "tool_error");
        assert_eq!(failed.status, Some(SpanStatus::Error));
        assert_eq!(failed.status_message, None, "the reason is content");
        let refused = span(&store, "tools/call refuse", kind);
        assert_eq!(text(&refused, "error.type"), "-32602");
        assert_eq!(text(&refused, "rpc.response.status_code"), "-32602");
        assert_eq!(refused.status, Some(SpanStatus::Error));
        assert_eq!(refused.status_message.as_deref(), Some("no such thing"));
    }
}

#[tokio::test]
async fn a_tool_that_panics_is_reported_and_the_server_continues() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    {
        let traced = client.traced();
        let panicking = traced.call_tool(call("panic"));
        tokio::pin!(panicking);
        // rmcp never responds to it.
        tokio::select! {
            answer = &mut panicking => panic!("{answer:?}"),
            span = span_of_server(&store, "tools/call panic") => {
                assert_eq!(text(&span, "error.type"), "panic");
                assert_eq!(span.status, Some(SpanStatus::Error));
            }
        }
    }
    let abandoned = span(&store, "tools/call panic", SpanKind::Client);
    assert_eq!(text(&abandoned, "error.type"), "cancelled");
    within(client.traced().call_tool(call("add"))).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_on_both_sides() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    {
        let traced = client.traced();
        let hanging = traced.call_tool(call("hang"));
        tokio::pin!(hanging);
        let has_begun = async {
            while store.events().with_message("hanging").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answer = &mut hanging => panic!("{answer:?}"),
            () = within(has_begun) => {}
        }
    }
    let by_client = span(&store, "tools/call hang", SpanKind::Client);
    assert_eq!(text(&by_client, "error.type"), "cancelled");
    let by_server = span_of_server(&store, "tools/call hang").await;
    assert_eq!(text(&by_server, "error.type"), "cancelled");
}

#[tokio::test]
async fn a_server_that_disconnects_ends_the_call() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, server) = connected_to_tools().await;
    let traced = client.traced();
    let (answer, _) = tokio::join!(within(traced.call_tool(call("never"))), async {
        while store.events().with_message("hanging").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.cancel().await.unwrap()
    });
    answer.unwrap_err();
    let by_client = span(&store, "tools/call never", SpanKind::Client);
    assert_eq!(by_client.status, Some(SpanStatus::Error));
    assert_ne!(text(&by_client, "error.type"), "");
}

#[tokio::test]
async fn a_malformed_context_begins_a_trace() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let good = format!("00-{TRACE}-{PARENT}-01");
    for (number, bad) in [
        json!("00-1-2-01"),
        json!(7),
        json!([good]),
        json!({"traceparent": good}),
        Value::Null,
        json!("x".repeat(100_000)),
    ]
    .into_iter()
    .enumerate()
    {
        // As a client without spans sends it.
        within(client.call_tool(call_with("add", &[("traceparent", bad.clone())])))
            .await
            .unwrap();
        let spans = store.spans().named("tools/call add").exactly(number + 1);
        assert!(
            spans.iter().all(|span| span.trace_id.to_string() != TRACE),
            "{bad}"
        );
    }
    within(client.call_tool(call("add"))).await.unwrap(); // none at all
    within(client.call_tool(call_with("add", &[("traceparent", json!(good))])))
        .await
        .unwrap();
    let continues = |span: &Span| span.trace_id.to_string() == TRACE;
    let span = store
        .spans()
        .named("tools/call add")
        .matching("continues the trace", continues)
        .one();
    assert_eq!(span.parent_span_id.unwrap().to_string(), PARENT);
}

/// Lines as another implementation may write them.
#[tokio::test]
async fn a_meta_that_is_not_an_object_is_ignored() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server = tokio::spawn(TracedServer::new(Tools).serve(far));
    let (answers, mut requests) = tokio::io::split(near);
    let mut answers = BufReader::new(answers).lines();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}});
    let is_ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let mut send = async |message: Value| {
        requests
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    };
    send(hello).await;
    within(answers.next_line()).await.unwrap().unwrap();
    send(is_ready).await;
    let request = |id: i32, meta: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "add", "arguments": {}, "_meta": meta}})
    };
    for (id, meta) in [
        (2, json!(7)),
        (3, json!("text")),
        (4, Value::Null),
        (5, json!([1])),
    ] {
        send(request(id, meta)).await;
    }
    send(request(
        6,
        json!({"traceparent": format!("00-{TRACE}-{PARENT}-00")}),
    ))
    .await;
    let last = async {
        loop {
            let answer = answers.next_line().await.unwrap().unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["id"] == 6 {
                return answer;
            }
        }
    };
    assert_eq!(within(last).await["result"]["content"][0]["text"], "42");
    let continues = |span: &Span| span.trace_id.to_string() == TRACE;
    store
        .spans()
        .named("tools/call add")
        .matching("continues the trace", continues)
        .one();
    drop(server);
}
