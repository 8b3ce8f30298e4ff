//! Hand-made runs, and helpers to inspect them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod analysis;
mod contents;
mod events;
mod follower;
mod kinds;
mod names;
mod progress;
mod ranges;
mod shapes;
mod waterfall;

use serde_json::Value as Json;
use spanscope_model::{
    Cursor, LogEvent, RunInfo, RunRecords, RunSpan, RunStatus, Severity, Span, SpanId, SpanStatus, Timestamp,
    TraceId, Value,
};

use crate::{EventType, RunEvent};

/// 2026-11-21T14:03:00Z.
const BEGIN: i64 = 1_795_269_780_000_000_000;

fn trace_id() -> TraceId {
    TraceId::from_bytes([7; 16]).unwrap()
}

fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(BEGIN + millis * 1_000_000)
}

/// A span from one millisecond to another; parent 0 means none.
fn span(
    id: u64,
    parent: u64,
    name: &str,
    millis: std::ops::Range<i64>,
    attributes: &[(&str, Value)],
) -> Span {
    let mut span = Span::new(trace_id(), span_id(id), name, at(millis.start));
    span.parent_span_id = SpanId::from_bytes(parent.to_be_bytes());
    span.end_time = Some(at(millis.end));
    span.status = Some(SpanStatus::Ok);
    span.attributes = attributes
        .iter()
        .map(|(key, value)| (*key, value.clone()))
        .collect();
    span
}

fn failed(mut span: Span, message: &str) -> Span {
    span.status = Some(SpanStatus::Error);
    span.status_message = Some(message.to_owned());
    span
}

fn open(mut span: Span) -> Span {
    span.end_time = None;
    span.status = None;
    span
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn operation(name: &str) -> (&'static str, Value) {
    ("gen_ai.operation.name", text(name))
}

fn log(
    id: u64,
    span: u64,
    millis: i64,
    severity: Severity,
    message: &str,
    attributes: &[(&str, Value)],
) -> LogEvent {
    LogEvent::new(at(millis), severity, message)
        .id(id.to_string())
        .trace_id(trace_id())
        .span_id(SpanId::from_bytes(span.to_be_bytes()))
        .attributes(
            attributes
                .iter()
                .map(|(key, value)| (*key, value.clone()))
                .collect(),
        )
}

/// All records of a run whose spans were stored with their ends.
fn records(spans: Vec<Span>) -> RunRecords {
    let open = spans.iter().filter(|span| span.end_time.is_none()).count() as u64;
    RunRecords::new(
        RunInfo::new("task-1", trace_id(), "the run", at(0), RunStatus::Running)
            .agent_id("librarian")
            .session_id("session-1")
            .user_id("user-1")
            .tenant_id("default")
            .updated_at(at(0))
            .span_count(spans.len() as u64),
    )
    .traces(vec![trace_id()])
    .upto(Cursor::new([spans.len() as u64, 0, 0]))
    .spans(
        (1..)
            .zip(spans)
            .map(|(order, span)| RunSpan::new(order, span))
            .collect(),
    )
    .open(open)
    .alive(true)
}

/// Returns the type and component of each event.
fn told(events: &[RunEvent]) -> Vec<(EventType, &str)> {
    events
        .iter()
        .map(|event| (event.event_type, event.component_name.as_str()))
        .collect()
}

fn event<'a>(events: &'a [RunEvent], id: &str) -> &'a RunEvent {
    events.iter().find(|event| event.event_id == id).unwrap()
}

fn end_of(id: u64) -> String {
    format!("{}:end", span_id(id))
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// An agent that runs a retrieval, calls a model twice and runs two tools, one of which fails.
fn librarian() -> RunRecords {
    let chat = |tokens: i64, answer: &str| {
        vec![
            operation("chat"),
            ("gen_ai.request.model", text("llama3.2:3b")),
            ("gen_ai.provider.name", text("ollama")),
            ("gen_ai.request.temperature", Value::from(0.5)),
            (
                "gen_ai.input.messages",
                text(r#"[{"role":"user","parts":[{"type":"text","content":"6*7?"}]}]"#),
            ),
            ("gen_ai.output.messages", text(answer)),
            ("gen_ai.usage.input_tokens", Value::from(tokens)),
            ("gen_ai.usage.output_tokens", Value::from(10)),
        ]
    };
    let tool = |name: &str, result: &str| {
        vec![
            operation("execute_tool"),
            ("gen_ai.tool.name", text(name)),
            ("gen_ai.tool.call.id", text("call-1")),
            ("gen_ai.tool.call.arguments", text(r#"{"expression":"6*7"}"#)),
            ("gen_ai.tool.call.result", text(result)),
        ]
    };
    let thinking = r#"[{"role":"assistant","parts":[{"type":"reasoning","content":"I need a tool"},
        {"type":"tool_call","name":"calculator","arguments":{}}]}]"#;
    let answer = r#"[{"role":"assistant","parts":[{"type":"text","content":"It is 42."}]}]"#;
    let agent = [
        operation("invoke_agent"),
        ("gen_ai.agent.name", text("librarian")),
        ("task_id", text("task-1")),
        (
            "gen_ai.input.messages",
            text(r#"[{"role":"user","parts":[{"type":"text","content":"6*7?"}]}]"#),
        ),
        ("gen_ai.output.messages", text(answer)),
        // An agent's usage is the sum of its calls.
        ("gen_ai.usage.input_tokens", Value::from(300)),
        ("gen_ai.usage.output_tokens", Value::from(20)),
    ];
    let retrieval = [
        operation("retrieval"),
        ("gen_ai.data_source.id", text("books")),
        ("gen_ai.retrieval.query.text", text("multiplication")),
        ("gen_ai.retrieval.top_k", Value::from(2)),
        (
            "gen_ai.retrieval.documents",
            text(r#"[{"id":"a","score":0.9,"content":"secret"},{"id":"b","score":0.5}]"#),
        ),
    ];
    records(vec![
        span(1, 0, "invoke_agent librarian", 0..1000, &agent),
        span(2, 1, "retrieval books", 10..110, &retrieval),
        span(3, 1, "chat llama3.2:3b", 120..420, &chat(100, thinking)),
        failed(
            span(4, 1, "execute_tool search", 430..480, &tool("search", "")),
            "no network",
        ),
        span(
            5,
            1,
            "execute_tool calculator",
            480..500,
            &tool("calculator", "42"),
        ),
        span(6, 1, "chat llama3.2:3b", 510..990, &chat(200, answer)),
    ])
}
