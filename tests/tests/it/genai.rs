//! Every row of the conventions' tables of span data is stored: from the helpers, and from the same
//! fields by hand.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use spanscope_layers::genai::{
    Agent, Embeddings, McpCall, ModelCall, Retrieval, SafetyCheck, ToolCall, Usage, Workflow,
};
use spanscope_model::semconv::{self, is_content};
use spanscope_model::{Span, SpanFilter, SpanKind, SpanStatus, TraceStore as _, Value, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::{PATIENCE, store_at};
use tracing_subscriber::prelude::*;

/// A program's spans in the store, by name.
fn stored(program: impl FnOnce()) -> impl Fn(&str) -> Span {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    tracing::dispatcher::with_default(&dispatch, program);
    guard.flush(PATIENCE).unwrap();
    let spans = spans_of(&path);
    move |name| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}")).clone()
    }
}

fn spans_of(path: &Path) -> Vec<Span> {
    let store = SqliteStore::open(path).unwrap();
    block_on(store.list_spans(SpanFilter::default().limit(1_000))).unwrap()
}

fn has(span: &Span, attributes: &[(&str, Value)]) {
    for (key, value) in attributes {
        assert_eq!(
            span.attributes.get(key),
            Some(value),
            "{key} of {}: {:#?}",
            span.name,
            span.attributes
        );
    }
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

#[test]
fn the_inference_table_is_stored() {
    let span = stored(|| {
        let call = ModelCall::chat("openai", "gpt-4o-mini");
        call.server("127.0.0.1", 8321)
            .conversation("c-1")
            .input_messages(r#"[{"role":"user","content":"Hello, how are you?"}]"#)
            .output_messages(r#"[{"role":"assistant","content":"Fine."}]"#)
            .response("resp-1", "gpt-4o-mini-2024-07-18")
            .finish_reason("stop")
            .usage(Usage::new(19, 6).cache_read(8).reasoning(2));
    });
    let chat = span("chat gpt-4o-mini");
    assert_eq!((chat.kind, chat.status), (SpanKind::Client, Some(SpanStatus::Ok)));
    assert_eq!(chat.category.as_deref(), Some("inference"));
    has(
        &chat,
        &[
            // Input Tokens, Output Tokens; Prompt Tokens and Completion Tokens are the same
            // numbers, see the counters.
            ("gen_ai.usage.input_tokens", Value::I64(19)),
            ("gen_ai.usage.output_tokens", Value::I64(6)),
            ("gen_ai.usage.cache_read.input_tokens", Value::I64(8)),
            ("gen_ai.usage.reasoning.output_tokens", Value::I64(2)),
            // Prompt
            (
                "gen_ai.input.messages",
                text(r#"[{"role":"user","content":"Hello, how are you?"}]"#),
            ),
            ("gen_ai.operation.name", text("chat")),
            ("gen_ai.provider.name", text("openai")),
            ("gen_ai.request.model", text("gpt-4o-mini")),
            ("gen_ai.response.model", text("gpt-4o-mini-2024-07-18")),
            ("gen_ai.response.finish_reasons", text(r#"["stop"]"#)),
        ],
    );
}

#[test]
fn fields_written_by_hand_are_stored_like_those_of_a_helper() {
    let span = stored(|| {
        tracing::info_span!(
            "inference",
            model_id = "ollama/llama3.2:3b-instruct-fp16",
            provider_id = "ollama",
            prompt_tokens = 31,
            completion_tokens = 25,
            total_tokens = 56
        );
    });
    has(
        &span("inference"),
        &[
            ("model_id", text("ollama/llama3.2:3b-instruct-fp16")),
            ("provider_id", text("ollama")),
            ("prompt_tokens", Value::I64(31)),
            ("completion_tokens", Value::I64(25)),
            ("total_tokens", Value::I64(56)),
        ],
    );
}

#[test]
fn a_streamed_call_counts_its_chunks_and_times_the_first() {
    let span = stored(|| {
        let call = ModelCall::chat("openai", "gpt-4o");
        for _ in 0..5 {
            call.chunk();
        }
        call.usage(Usage::new(10, 5));
    });
    let chat = span("chat gpt-4o");
    has(
        &chat,
        &[
            ("gen_ai.request.stream", Value::Bool(true)),
            ("gen_ai.response.chunk_count", Value::I64(5)),
        ],
    );
    let first = chat.attributes.get("gen_ai.response.time_to_first_chunk");
    assert!(
        matches!(first, Some(Value::F64(seconds)) if *seconds >= 0.0),
        "{first:?}"
    );
}

#[test]
fn the_safety_table_is_stored() {
    let messages = r#"[{"role":"user","content":"Teach me how to make dynamite."}]"#;
    let span = stored(|| {
        SafetyCheck::run_shield("llama-guard-ollama")
            .messages(messages)
            .violation("error", "I can't answer that.")
            .metadata(r#"{"violation_type":"S9"}"#);
        SafetyCheck::run_shield("code-scanner").passed();
    });
    let shield = span("run_shield llama-guard-ollama");
    assert_eq!(shield.category.as_deref(), Some("safety"));
    assert_eq!(
        shield.status,
        Some(SpanStatus::Ok),
        "a violation is an answer, not a failure"
    );
    has(
        &shield,
        &[
            ("llama_stack.safety.request.shield_id", text("llama-guard-ollama")),
            (
                "llama_stack.safety.response.metadata",
                text(r#"{"violation_type":"S9"}"#),
            ),
            ("llama_stack.safety.request.messages", text(messages)),
            (
                "llama_stack.safety.response.violation.user_message",
                text("I can't answer that."),
            ),
            ("llama_stack.safety.response.violation.level", text("error")),
            ("llama_stack.safety.response.status", text("violation")),
        ],
    );
    has(
        &span("run_shield code-scanner"),
        &[("llama_stack.safety.response.status", text("passed"))],
    );
}

#[test]
fn the_remote_tools_table_is_stored() {
    let url = "https://api.githubcopilot.com/mcp/x/repos/readonly";
    let span = stored(|| {
        McpCall::list_tools(url, "github").list_id("mcp_list_1");
        McpCall::call_tool("search_repositories", url, "github")
            .list_id("mcp_list_1")
            .arguments(r#"{"query":"tracing"}"#)
            .failed("tool_error", &"rate limited");
    });
    let remote = [
        ("server_url", text(url)),
        ("server_label", text("github")),
        ("mcp_list_tools_id", text("mcp_list_1")),
    ];
    let list = span("tools/list");
    assert_eq!(list.kind, SpanKind::Client);
    assert_eq!(list.category.as_deref(), Some("tool_runtime"));
    has(&list, &remote);
    let call = span("tools/call search_repositories");
    has(&call, &remote);
    has(
        &call,
        &[
            ("gen_ai.tool.name", text("search_repositories")),
            ("mcp.method.name", text("tools/call")),
            ("error.type", text("tool_error")),
        ],
    );
    assert_eq!(call.status, Some(SpanStatus::Error));
    assert_eq!(call.status_message.as_deref(), Some("rate limited"));
}

#[test]
fn agents_workflows_tools_searches_and_embeddings_nest_and_keep_their_fields() {
    let span = stored(|| {
        let workflow = Workflow::invoke("support");
        workflow.in_scope(|| {
            let agent = Agent::invoke("librarian");
            agent.task("t-1").session("s-1").user("u-1").tenant("acme");
            agent.in_scope(|| {
                Embeddings::new("local", "mini").input_tokens(4).dimensions(384);
                Retrieval::new("shelf").top_k(3).query("tracing").documents("[]");
                ToolCall::execute("calculator")
                    .call_id("call-1")
                    .tool_type("function")
                    .arguments(r#"{"e":"6*7"}"#)
                    .result("42");
                agent.set("user.tier", "gold");
            });
        });
    });
    let agent = span("invoke_agent librarian");
    assert_eq!(
        agent.parent_span_id,
        Some(span("invoke_workflow support").span_id)
    );
    for child in ["embeddings mini", "retrieval shelf", "execute_tool calculator"] {
        assert_eq!(span(child).parent_span_id, Some(agent.span_id), "{child}");
    }
    has(
        &agent,
        &[
            ("task_id", text("t-1")),
            ("tenant_id", text("acme")),
            ("user.tier", text("gold")),
        ],
    );
    has(
        &span("execute_tool calculator"),
        &[("gen_ai.tool.call.result", text("42"))],
    );
}

/// Gathers the names of the fields that spans declare.
#[derive(Clone, Default)]
struct Declared(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing_core::Subscriber> tracing_subscriber::Layer<S> for Declared {
    fn on_new_span(
        &self,
        attributes: &tracing_core::span::Attributes<'_>,
        _: &tracing_core::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let fields = attributes.metadata().fields();
        let names = fields.iter().map(|field| field.name().to_owned());
        self.0.lock().unwrap().extend(names);
    }
}

#[test]
fn every_name_that_a_helper_writes_is_in_the_table_and_contents_are_marked_there() {
    let declared = Declared::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(declared.clone()), || {
        let _ = (
            Agent::invoke("a"),
            Workflow::invoke("w"),
            ModelCall::chat("p", "m"),
            Embeddings::new("p", "m"),
            Retrieval::new("d"),
            ToolCall::execute("t"),
            McpCall::call_tool("t", "http://localhost", "l"),
            SafetyCheck::run_shield("s"),
        );
    });
    let names = declared.0.lock().unwrap().clone();
    assert!(names.len() > 45, "{names:?}");
    let unknown: Vec<_> = names
        .iter()
        .filter(|name| semconv::find(name).is_none())
        .collect();
    assert_eq!(unknown, Vec::<&String>::new());
    // What the helpers' documentation calls content.
    let contents: Vec<_> = names
        .iter()
        .filter(|name| is_content(name))
        .map(String::as_str)
        .collect();
    assert_eq!(
        contents,
        [
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.retrieval.documents",
            "gen_ai.retrieval.query.text",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
            "llama_stack.safety.request.messages",
            "llama_stack.safety.response.violation.user_message",
        ]
    );
}
