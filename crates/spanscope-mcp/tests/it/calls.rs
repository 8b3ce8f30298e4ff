//! Calls that work, both sides in one process.

use rmcp::ServiceError;
use rmcp::model::{CallToolResponse, GetPromptRequestParams, JsonObject, ReadResourceRequestParams};
use serde_json::{Value, json};
use spanscope::model::{SpanKind, SpanStatus};
use spanscope::propagation;
use spanscope::testing::TestStore;
use spanscope_layers::genai::ToolCall;
use spanscope_mcp::{ClientExt as _, TracedServer};
use tracing::{Instrument as _, info_span};

use crate::support::{Tools, answer, call, call_with, connected, connected_to_tools, text, within};

const CLIENT: &str = "client";

#[tokio::test]
async fn a_call_of_a_tool_is_a_span_on_each_side_and_one_trace() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let agent = info_span!("agent");
    propagation::add_baggage(&agent, "tenant", "acme").unwrap();
    let params = call_with("meta", &[("progress", json!("mine"))]);
    let result = within(client.traced().call_tool(params).instrument(agent.clone()))
        .await
        .unwrap();
    drop(agent);
    let agent = store.spans().named("agent").one();
    let spans = store.spans().named("tools/call meta");
    let by_client = spans.children_of(&agent).one();
    let by_server = store.spans().children_of(&by_client).one();
    assert_eq!(by_server.name, "tools/call meta");
    assert_eq!(
        (by_client.kind, by_server.kind),
        (SpanKind::Client, SpanKind::Server)
    );
    for span in [&by_client, &by_server] {
        assert_eq!(span.trace_id, agent.trace_id);
        assert_eq!(span.status, Some(SpanStatus::Ok));
        assert_eq!(text(span, "mcp.method.name"), "tools/call");
        assert_eq!(text(span, "gen_ai.operation.name"), "execute_tool");
        assert_eq!(text(span, "gen_ai.tool.name"), "meta");
        assert_eq!(text(span, "error.type"), "");
        assert_eq!(
            text(span, "gen_ai.tool.call.result"),
            "",
            "content is not enabled"
        );
    }
    assert_ne!(text(&by_client, "jsonrpc.request.id"), "");
    assert_eq!(
        text(&by_client, "jsonrpc.request.id"),
        text(&by_server, "jsonrpc.request.id")
    );
    assert_ne!(text(&by_server, "mcp.protocol.version"), "");
    let meta: Value = serde_json::from_str(&answer(&result)).unwrap();
    let sent = format!("00-{}-{}-01", by_client.trace_id, by_client.span_id);
    assert_eq!(meta["traceparent"], json!(sent));
    assert_eq!(meta["baggage"], "tenant=acme");
    assert_eq!(meta["progress"], "mine", "the caller's keys stay");
    assert!(meta["progressToken"].is_number(), "rmcp's keys stay");
    for name in ["mcp.client.operation.duration", "mcp.server.operation.duration"] {
        let measured = store
            .measurements()
            .named(name)
            .with("mcp.method.name", "tools/call");
        assert_eq!(measured.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn events_of_a_tool_are_in_the_servers_span() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    within(client.traced().call_tool(call("add"))).await.unwrap();
    let by_server = store
        .spans()
        .matching("is the server's", |span| span.kind == SpanKind::Server)
        .named("tools/call add")
        .one();
    store.events().with_message("adding").in_span(&by_server).one();
}

#[tokio::test]
async fn other_requests_have_spans_by_their_method() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    // A peer has the same methods as the running client.
    let tools = within(client.peer().traced().list_all_tools()).await.unwrap();
    assert_eq!(tools.len(), 2);
    within(
        client
            .traced()
            .get_prompt(GetPromptRequestParams::new("greeting")),
    )
    .await
    .unwrap();
    for by_client in store
        .spans()
        .matching("is the client's", |span| span.kind == SpanKind::Client)
        .named("tools/list")
        .exactly(2)
    {
        store.spans().children_of(&by_client).named("tools/list").one();
        assert_eq!(text(&by_client, "gen_ai.operation.name"), "");
    }
    let by_server = store
        .spans()
        .named("prompts/get greeting")
        .matching("is the server's", |span| span.kind == SpanKind::Server)
        .one();
    assert_eq!(text(&by_server, "gen_ai.prompt.name"), "greeting");
}

#[tokio::test]
async fn a_resource_is_named_without_credentials() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let uri = "https://me:hunter2@example.com/notes?api_key=hunter2";
    let read = ReadResourceRequestParams::new(uri);
    within(client.traced().read_resource(read)).await.unwrap();
    let spans = store.spans().named("resources/read").exactly(2);
    for span in &spans {
        assert_eq!(
            text(span, "mcp.resource.uri"),
            "https://[masked]@example.com/notes?api_key=[masked]"
        );
    }
    assert_ne!(spans[0].kind, spans[1].kind);
    let tools = within(client.traced().list_tools(None)).await;
    assert!(tools.is_ok());
    for span in store.spans().named("tools/list").exactly(2) {
        assert_eq!(text(&span, "mcp.resource.uri"), "");
    }
}

#[tokio::test]
async fn content_is_recorded_if_it_is_enabled() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected(TracedServer::new(Tools).content(true)).await;
    let mut arguments = JsonObject::new();
    arguments.insert("a".to_owned(), json!(40));
    let mut params = call("add");
    params.arguments = Some(arguments);
    within(client.traced().content(true).session_id("mine").call_tool(params))
        .await
        .unwrap();
    let spans = store.spans().named("tools/call add").exactly(2);
    for span in &spans {
        assert_eq!(text(span, "gen_ai.tool.call.arguments"), r#"{"a":40}"#);
        let result: Value = serde_json::from_str(&text(span, "gen_ai.tool.call.result")).unwrap();
        assert_eq!(result["content"][0]["text"], "42");
    }
    let sessions: Vec<_> = spans
        .iter()
        .map(|span| (span.kind.to_string(), text(span, "mcp.session.id")))
        .collect();
    assert!(
        sessions.contains(&(CLIENT.to_owned(), "mine".to_owned())),
        "{sessions:?}"
    );
}

#[tokio::test]
async fn a_span_of_the_same_tool_takes_the_place_of_the_clients_span() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let tool = ToolCall::execute("add");
    let other = ToolCall::execute("more");
    within(
        client
            .traced()
            .call_tool(call("add"))
            .instrument(tool.span().clone()),
    )
    .await
    .unwrap();
    within(
        client
            .traced()
            .call_tool(call("add"))
            .instrument(other.span().clone()),
    )
    .await
    .unwrap();
    drop((tool, other));
    let covering = store.spans().named("execute_tool add").one();
    assert_eq!(text(&covering, "mcp.method.name"), "tools/call");
    assert_ne!(text(&covering, "jsonrpc.request.id"), "");
    let by_server = store.spans().children_of(&covering).one();
    assert_eq!(by_server.kind, SpanKind::Server);
    // A span of another tool does not cover it.
    let other = store.spans().named("execute_tool more").one();
    let by_client = store.spans().children_of(&other).one();
    assert_eq!(
        (by_client.name.as_str(), by_client.kind),
        ("tools/call add", SpanKind::Client)
    );
}

#[tokio::test]
async fn client_and_server_that_are_traced_twice_have_one_span_each() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected(TracedServer::new(TracedServer::new(Tools))).await;
    let traced = client.traced();
    let twice = traced.call_tool_with(call("add"), |params| traced.call_tool(params));
    within(twice).await.unwrap();
    let spans = store.spans().named("tools/call add").exactly(2);
    let by_client = spans.iter().find(|span| span.kind == SpanKind::Client).unwrap();
    store.spans().children_of(by_client).named("tools/call add").one();
}

#[tokio::test]
async fn a_call_by_another_method_of_rmcp_can_be_traced() {
    let store = TestStore::new();
    let _recording = store.set_default();
    let (client, _server) = connected_to_tools().await;
    let once = |params| client.call_tool_once(params);
    let response: Result<CallToolResponse, ServiceError> =
        within(client.traced().call_tool_with(call("fail"), once)).await;
    assert!(matches!(response, Ok(CallToolResponse::Complete(_))));
    let failed = store.spans().named("tools/call fail").failed().exactly(2);
    assert!(failed.iter().all(|span| text(span, "error.type") == "tool_error"));
}

#[tokio::test]
async fn without_a_sink_calls_work_and_carry_no_trace() {
    let (client, _server) = connected_to_tools().await;
    let result = within(client.traced().call_tool(call("meta"))).await.unwrap();
    let meta: Value = serde_json::from_str(&answer(&result)).unwrap();
    assert_eq!(meta.get("traceparent"), None);
}
