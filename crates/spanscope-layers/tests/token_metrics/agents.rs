//! Agents, workflows, tools, and the Model Context Protocol.

use tracing::info_span;

use super::support::run;

#[test]
fn calls_belong_to_the_nearest_agent() {
    let outcome = run(|| {
        let outer = info_span!(
            "invoke_agent outer",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = "outer",
            gen_ai.request.model = "m"
        );
        drop(
            info_span!(parent: &outer, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 1),
        );
        let tool = info_span!(parent: &outer, "execute_tool ask", gen_ai.operation.name = "execute_tool", gen_ai.tool.name = "ask");
        let inner = info_span!(parent: &tool, "invoke_agent inner", gen_ai.operation.name = "invoke_agent", gen_ai.agent.name = "inner");
        for _ in 0..3 {
            drop(
                info_span!(parent: &inner, "chat", gen_ai.operation.name = "chat", error.r#type = "timeout"),
            );
        }
        drop(
            info_span!(parent: &inner, "execute_tool look", gen_ai.operation.name = "execute_tool", gen_ai.tool.name = "look"),
        );
        drop((inner, tool));
        drop(
            info_span!(parent: &outer, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 1),
        );
    });
    let calls = |name: &str| -> Vec<(String, f64)> {
        let named = outcome.named(name).into_iter();
        named
            .map(|kept| (kept.label("gen_ai.agent.name").to_owned(), kept.value.as_f64()))
            .collect()
    };
    let of = |inner: f64, outer: f64| [("inner".to_owned(), inner), ("outer".to_owned(), outer)];
    assert_eq!(calls("gen_ai.invoke_agent.inference_calls"), of(3.0, 2.0));
    assert_eq!(calls("gen_ai.invoke_agent.tool_calls"), of(1.0, 1.0));
    let durations = outcome.named("gen_ai.invoke_agent.duration");
    assert_eq!(durations.len(), 2);
    assert_eq!(durations[1].label("gen_ai.request.model"), "m");
    let tools: Vec<_> = outcome
        .named("gen_ai.execute_tool.duration")
        .iter()
        .map(|kept| kept.label("gen_ai.tool.name"))
        .collect();
    assert_eq!(tools, ["look", "ask"]);
}

#[test]
fn one_call_described_by_two_spans_is_one_call() {
    let outcome = run(|| {
        let agent = info_span!("invoke_agent", openinference.span.kind = "AGENT");
        let outer = info_span!(parent: &agent, "chat", gen_ai.operation.name = "chat", gen_ai.usage.input_tokens = 12);
        let inner = info_span!(parent: &outer, "ChatCompletion", openinference.span.kind = "LLM", llm.token_count.prompt = 12);
        drop((inner, outer, agent));
    });
    assert_eq!(outcome.integers("prompt_tokens"), [12]);
    assert_eq!(outcome.integers("gen_ai.invoke_agent.inference_calls"), [1]);
    assert_eq!(outcome.named("gen_ai.client.operation.duration").len(), 1);
}

#[test]
fn a_remote_agent_is_a_call() {
    let outcome = run(|| {
        drop(info_span!(
            "invoke_agent",
            otel.kind = "client",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.provider.name = "openai"
        ));
    });
    assert!(outcome.named("gen_ai.invoke_agent.duration").is_empty());
    assert_eq!(
        outcome
            .one("gen_ai.client.operation.duration")
            .label("gen_ai.operation.name"),
        "invoke_agent"
    );
}

#[test]
fn workflows_are_timed_by_their_name() {
    let outcome = run(|| {
        drop(info_span!(
            "w",
            gen_ai.operation.name = "invoke_workflow",
            gen_ai.workflow.name = "nightly"
        ));
        drop(info_span!(
            "joke.workflow",
            traceloop.span.kind = "workflow",
            traceloop.entity.name = "joke",
            otel.status_code = "ERROR"
        ));
    });
    let named = outcome.named("gen_ai.invoke_workflow.duration");
    assert_eq!(named.len(), 2);
    assert_eq!(named[0].label("gen_ai.workflow.name"), "nightly");
    assert_eq!(named[1].label("gen_ai.workflow.name"), "joke");
    assert_eq!(
        (named[0].label("error.type"), named[1].label("error.type")),
        ("", "_OTHER")
    );
}

#[test]
fn requests_of_the_model_context_protocol_are_timed_on_both_sides() {
    let outcome = run(|| {
        let client = info_span!(
            "tools/call look",
            otel.kind = "client",
            mcp.method.name = "tools/call",
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = "look",
            server.address = "mcp.local",
            server.port = 8080,
            mcp.session.id = "s-1"
        );
        let server = info_span!(parent: &client, "tools/call look", otel.kind = "server", mcp.method.name = "tools/call", gen_ai.tool.name = "look", error.r#type = "tool_error");
        drop((server, client));
        drop(info_span!("tools/list", mcp.method.name = "tools/list"));
    });
    let server = outcome.one("mcp.server.operation.duration");
    assert_eq!(
        (server.label("error.type"), server.label("server.address")),
        ("tool_error", "")
    );
    let client = outcome.named("mcp.client.operation.duration");
    assert_eq!(client.len(), 2);
    assert_eq!(
        (client[0].label("server.address"), client[0].label("server.port")),
        ("mcp.local", "8080")
    );
    assert_eq!(client[0].label("mcp.session.id"), "");
    assert_eq!(client[1].label("mcp.method.name"), "tools/list");
    assert_eq!(outcome.named("gen_ai.execute_tool.duration").len(), 1);
}

#[test]
fn a_failed_tool_of_rig_is_timed_with_its_error() {
    let outcome = run(|| {
        let tool = info_span!(
            "execute_tool",
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = tracing::field::Empty,
            gen_ai.tool.error.r#type = tracing::field::Empty,
        );
        tool.record("gen_ai.tool.name", "look");
        tool.record("gen_ai.tool.error.type", "timeout");
    });
    let duration = outcome.one("gen_ai.execute_tool.duration");
    assert_eq!(
        (duration.label("gen_ai.tool.name"), duration.label("error.type")),
        ("look", "timeout")
    );
}

#[test]
fn names_of_tools_agents_and_workflows_are_read_in_every_convention() {
    let outcome = run(|| {
        drop(info_span!(
            "tool",
            ai.operationId = "ai.toolCall",
            ai.toolCall.name = "weather",
            tool_type = "function"
        ));
        drop(info_span!(
            "agent",
            openinference.span.kind = "AGENT",
            llm.agent.name = "librarian"
        ));
        drop(info_span!(
            "workflow",
            traceloop.span.kind = "workflow",
            traceloop.workflow.name = "support",
            traceloop.entity.name = "entity"
        ));
    });
    let tool = outcome.one("gen_ai.execute_tool.duration");
    assert_eq!(
        (tool.label("gen_ai.tool.name"), tool.label("gen_ai.tool.type")),
        ("weather", "function")
    );
    let agent = outcome.one("gen_ai.invoke_agent.duration");
    assert_eq!(agent.label("gen_ai.agent.name"), "librarian");
    let workflow = outcome.one("gen_ai.invoke_workflow.duration");
    assert_eq!(workflow.label("gen_ai.workflow.name"), "support");
}
