//! The kind of step that a span is, and the attributes that decide it.

use spanscope_model::semconv::{ATTRIBUTES, SemanticAttribute as A};
use spanscope_model::{Attributes, RawValue};

use super::*;
use crate::StepKind::{Agent, LlmCall, Message, Node, Retrieval, Thinking, ToolCall, Workflow};
use crate::{
    MAX_RUN_ATTRIBUTE_LEN, RunAttributes, StepKind, is_run_attribute, run_attributes, span_attributes,
};

fn kind(attributes: &[(&str, Value)]) -> StepKind {
    StepKind::of(
        &attributes
            .iter()
            .map(|(key, value)| (*key, value.clone()))
            .collect::<Attributes>(),
    )
}

#[test]
fn the_kind_is_recognized_in_every_convention() {
    for (name, word, expected) in [
        ("gen_ai.operation.name", "chat", LlmCall),
        ("gen_ai.operation.name", "chat_streaming", LlmCall),
        ("gen_ai.operation.name", "generate_content", LlmCall),
        ("gen_ai.operation.name", "text_completion", LlmCall),
        ("gen_ai.operation.name", "interactions_streaming", LlmCall),
        ("gen_ai.operation.name", "llm_request", LlmCall),
        ("gen_ai.operation.name", "embeddings", Node),
        ("gen_ai.operation.name", "retrieval", Retrieval),
        ("gen_ai.operation.name", "rerank", Retrieval),
        ("gen_ai.operation.name", "search_memory", Retrieval),
        ("gen_ai.operation.name", "vector_db_retrieve", Retrieval),
        ("gen_ai.operation.name", "execute_tool", ToolCall),
        ("gen_ai.operation.name", "plan", Thinking),
        ("gen_ai.operation.name", "invoke_agent", Agent),
        ("gen_ai.operation.name", "create_agent", Node),
        ("gen_ai.operation.name", "invoke_workflow", Workflow),
        ("gen_ai.operation.name", "upsert_memory", Node),
        ("openinference.span.kind", "LLM", LlmCall),
        ("openinference.span.kind", "llm", LlmCall),
        ("openinference.span.kind", "RETRIEVER", Retrieval),
        ("openinference.span.kind", "RERANKER", Retrieval),
        ("openinference.span.kind", "TOOL", ToolCall),
        ("openinference.span.kind", "AGENT", Agent),
        ("openinference.span.kind", "CHAIN", Node),
        ("openinference.span.kind", "GUARDRAIL", Node),
        ("openinference.span.kind", "EMBEDDING", Node),
        ("traceloop.span.kind", "workflow", Workflow),
        ("traceloop.span.kind", "agent", Agent),
        ("traceloop.span.kind", "tool", ToolCall),
        ("traceloop.span.kind", "task", Node),
        ("llm.request.type", "chat", LlmCall),
        ("llm.request.type", "completion", LlmCall),
        ("llm.request.type", "rerank", Retrieval),
        ("llm.request.type", "embedding", Node),
        ("ai.operationId", "ai.generateText.doGenerate", LlmCall),
        ("ai.operationId", "ai.streamText", LlmCall),
        ("ai.operationId", "ai.toolCall", ToolCall),
        ("ai.operationId", "ai.embed", Node),
        ("mcp.method.name", "tools/call", ToolCall),
        ("mcp.method.name", "tools/list", Node),
        ("component_type", "LLM", LlmCall),
        ("component_type", "Generate", LlmCall),
        ("component_type", "Retrieval", Retrieval),
        ("component_type", "tool", ToolCall),
        ("component_type", "Agent", Agent),
        ("component_type", "Workflow", Workflow),
        ("component_type", "Thinking", Thinking),
        ("component_type", "MESSAGE", Message),
        ("component_type", "Switch", Node),
        ("tool_name", "calculator", ToolCall),
        ("thoughts", "hm", Thinking),
        ("thoughts", "", Node),
        ("query", "books", Node),
        ("model", "llama", Node),
        ("http.route", "/books", Node),
    ] {
        assert_eq!(kind(&[(name, text(word))]), expected, "{name} = {word}");
    }
    let many: [(&[(&str, Value)], StepKind); 7] = [
        (&[("query", text("books")), ("top_k", Value::from(3))], Retrieval),
        (&[("query", text("books")), ("chunks", text("[]"))], Retrieval),
        (
            &[("model", text("llama")), ("input_tokens", Value::from(3))],
            LlmCall,
        ),
        (
            &[("model", text("llama")), ("input_tokens", Value::from(0))],
            Node,
        ),
        (&[("thoughts", text("hm")), ("component_id", text("c"))], Node),
        // The convention's kind has priority over the span's own fields.
        (
            &[operation("chat"), ("component_type", text("Retrieval"))],
            LlmCall,
        ),
        (
            &[
                ("openinference.span.kind", text("CHAIN")),
                ("tool_name", text("t")),
            ],
            Node,
        ),
    ];
    for (attributes, expected) in many {
        assert_eq!(kind(attributes), expected, "{attributes:?}");
    }
}

#[test]
fn run_attributes_are_read_in_every_convention_and_truncated() {
    let raw = |text| RawValue::Text(text, None);
    let long = "é".repeat(300);
    let facts = run_attributes([
        ("langfuse.session.id", raw("other")),
        ("session.id", raw("s-1")),
        ("openinference.span.kind", raw("AGENT")),
        ("agent.name", raw("librarian")),
        ("enduser.id", RawValue::I64(17)),
        ("task_id", raw(&long)),
        ("trace_level", raw("debug")),
    ]);
    assert_eq!(
        facts,
        Some(RunAttributes {
            task_id: Some("é".repeat(MAX_RUN_ATTRIBUTE_LEN / 2)),
            agent_id: Some("librarian".to_owned()),
            session_id: Some("s-1".to_owned()),
            user_id: Some("17".to_owned()),
            trace_level: Some("debug".to_owned()),
            is_agent: true,
        })
    );
    let entity = |kind| {
        run_attributes([
            ("traceloop.entity.name", raw("e")),
            ("traceloop.span.kind", raw(kind)),
        ])
    };
    assert_eq!(entity("agent").unwrap().agent_id.as_deref(), Some("e"));
    assert_eq!(entity("tool").unwrap().agent_id, None);
    assert_eq!(entity("task"), None);
}

#[test]
fn a_span_that_is_not_a_step_of_an_agent_makes_no_run() {
    let raw = |text| RawValue::Text(text, None);
    for attributes in [
        &[("http.route", raw("/"))][..],
        &[("user_id", raw("u")), ("session_id", raw("s"))],
        &[
            ("gen_ai.operation.name", raw("embeddings")),
            ("gen_ai.usage.input_tokens", RawValue::I64(3)),
        ],
        &[("model", raw("T")), ("query", raw("SELECT"))],
        &[("task_id", raw("")), ("agent_id", raw("None"))],
        &[("task_id", raw("  "))],
        &[("gen_ai.agent.name", raw("librarian"))],
    ] {
        assert_eq!(run_attributes(attributes.iter().copied()), None, "{attributes:?}");
    }
    for attributes in [
        &[("task_id", RawValue::U64(7))][..],
        &[("agent_id", raw("a"))],
        &[("tool_name", raw("t"))],
    ] {
        assert!(
            run_attributes(attributes.iter().copied()).is_some(),
            "{attributes:?}"
        );
    }
}

/// If removing an attribute of a run changes the extracted attributes, its name must be one of
/// theirs.
#[test]
fn every_name_that_can_change_the_run_attributes_is_a_run_attribute() {
    let raw = |text| RawValue::Text(text, None);
    let mut names: Vec<&'static str> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
    names.extend(span_attributes::known_names());
    let bases: Vec<Vec<(&str, RawValue<'_>)>> = vec![
        vec![],
        vec![("task_id", raw("t"))],
        vec![("query", raw("q"))],
        vec![("top_k", RawValue::I64(1))],
        vec![("thoughts", raw("t"))],
        vec![("model_id", raw("m"))],
        vec![("prompt_tokens", RawValue::I64(1))],
        vec![("traceloop.span.kind", raw("agent"))],
    ];
    let mut deciding = 0;
    for name in names {
        for base in &bases {
            let without = run_attributes(base.iter().copied());
            for value in ["x", "chat", "LLM", "agent", "tools/call", "ai.toolCall", "7"] {
                let mut with = base.clone();
                with.push((name, raw(value)));
                if run_attributes(with.iter().copied()) != without {
                    deciding += 1;
                    assert!(is_run_attribute(name), "{name} = {value} with {base:?}");
                }
            }
        }
    }
    assert!(deciding > 100, "{deciding}");
    for attribute in &ATTRIBUTES {
        let decides = matches!(
            attribute.meaning,
            A::Operation | A::RequestModel | A::ResponseModel | A::InputTokens
        );
        assert!(!decides || is_run_attribute(attribute.name), "{}", attribute.name);
    }
    for name in [
        "http.route",
        "message",
        "server.address",
        "gen_ai.usage.reasoning_tokens",
        "tool.name",
        "level",
    ] {
        assert!(!is_run_attribute(name), "{name}");
    }
}
