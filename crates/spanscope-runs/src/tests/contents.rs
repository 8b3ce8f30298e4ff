//! Inputs and outputs of steps that are written to events.

use super::*;
use crate::{DetailLevel, EventType as E, Run, RunReader};

/// An event with this name and body; an empty body becomes the name, as in events of spans.
fn said(id: u64, span: u64, millis: i64, name: &str, body: &str, attributes: &[(&str, &str)]) -> LogEvent {
    let attributes: Vec<(&str, Value)> = attributes
        .iter()
        .map(|(key, value)| (*key, text(value)))
        .collect();
    let body = if body.is_empty() { name } else { body };
    let mut event = log(id, span, millis, Severity::Info, body, &attributes);
    event.name = name.to_owned();
    event
}

/// An agent (1) that calls a model (2), runs a tool (3) and calls the model again (4).
fn steps() -> RunRecords {
    records(vec![
        span(1, 0, "invoke_agent a", 0..100, &[operation("invoke_agent")]),
        span(2, 1, "chat m", 10..20, &[operation("chat")]),
        span(3, 1, "execute_tool w", 30..40, &[operation("execute_tool")]),
        span(4, 1, "chat m", 50..60, &[operation("chat")]),
    ])
}

fn with(events: Vec<LogEvent>) -> RunRecords {
    let mut records = steps();
    records.events = events;
    records
}

fn messages(events: &[RunEvent]) -> Vec<String> {
    let told = events
        .iter()
        .filter(|event| event.event_type == E::MessageGenerated);
    told.map(|event| {
        event.outputs.as_ref().unwrap()["content"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

fn payload(events: &[RunEvent], id: &str) -> Json {
    let event = event(events, id);
    let payload = event.inputs.clone().or_else(|| event.outputs.clone());
    payload.map_or(Json::Null, Json::Object)
}

/// For each source: the events, the inputs of the first call, its outputs, those of the tool, and
/// the messages.
#[test]
fn the_same_conversation_is_read_from_the_events_of_every_library() {
    let question = r#"{"role":"user","parts":[{"type":"text","content":"weather?"}]}"#;
    let call = r#"{"type":"tool_call","id":"c","name":"w","arguments":{"city":"Oslo"}}"#;
    let sources: Vec<(&str, Vec<LogEvent>)> = vec![
        (
            "OpenAI's instrumentation, log events with bodies",
            vec![
                said(1, 2, 10, "gen_ai.user.message", r#"{"content":"weather?"}"#, &[]),
                said(
                    2,
                    2,
                    19,
                    "gen_ai.choice",
                    r#"{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","tool_calls":[
                        {"id":"c","type":"function","function":{"name":"w","arguments":"{\"city\":\"Oslo\"}"}}]}}"#,
                    &[],
                ),
                said(3, 4, 50, "gen_ai.user.message", r#"{"content":"weather?"}"#, &[]),
                said(
                    4,
                    4,
                    50,
                    "gen_ai.assistant.message",
                    r#"{"tool_calls":[{"id":"c","type":"function","function":{"name":"w","arguments":"{}"}}]}"#,
                    &[],
                ),
                said(
                    5,
                    4,
                    50,
                    "gen_ai.tool.message",
                    r#"{"content":"snow","id":"c"}"#,
                    &[],
                ),
                said(
                    6,
                    4,
                    59,
                    "gen_ai.choice",
                    r#"{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"It snows."}}"#,
                    &[],
                ),
            ],
        ),
        (
            "Strands, events of spans, the answer in the agent's too",
            vec![
                said(
                    1,
                    2,
                    10,
                    "gen_ai.user.message",
                    "",
                    &[("content", r#"[{"text":"weather?"}]"#)],
                ),
                said(
                    2,
                    2,
                    19,
                    "gen_ai.choice",
                    r#"[{"toolUse":{"toolUseId":"c","name":"w","input":{"city":"Oslo"}}}]"#,
                    &[("finish_reason", "tool_use")],
                ),
                said(
                    3,
                    3,
                    30,
                    "gen_ai.tool.message",
                    "",
                    &[("content", r#"{"city":"Oslo"}"#), ("role", "tool"), ("id", "c")],
                ),
                said(4, 3, 39, "gen_ai.choice", r#"[{"text":"snow"}]"#, &[("id", "c")]),
                said(
                    5,
                    4,
                    59,
                    "gen_ai.choice",
                    r#"[{"text":"It snows."}]"#,
                    &[("finish_reason", "end_turn")],
                ),
                said(
                    6,
                    1,
                    99,
                    "gen_ai.choice",
                    "It snows.",
                    &[("finish_reason", "end_turn")],
                ),
            ],
        ),
        (
            "Strands as of 1.37 of the conventions, events of spans",
            vec![
                said(
                    1,
                    2,
                    10,
                    "gen_ai.client.inference.operation.details",
                    "",
                    &[("gen_ai.input.messages", &format!("[{question}]"))],
                ),
                said(
                    2,
                    2,
                    19,
                    "gen_ai.client.inference.operation.details",
                    "",
                    &[(
                        "gen_ai.output.messages",
                        &format!(r#"[{{"role":"assistant","parts":[{call}],"finish_reason":"tool_use"}}]"#),
                    )],
                ),
                said(
                    3,
                    3,
                    30,
                    "gen_ai.client.inference.operation.details",
                    "",
                    &[(
                        "gen_ai.input.messages",
                        &format!(r#"[{{"role":"tool","parts":[{call}]}}]"#),
                    )],
                ),
                said(
                    4,
                    3,
                    39,
                    "gen_ai.client.inference.operation.details",
                    "",
                    &[(
                        "gen_ai.output.messages",
                        r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"c","response":[{"text":"snow"}]}]}]"#,
                    )],
                ),
                said(
                    5,
                    1,
                    99,
                    "gen_ai.client.inference.operation.details",
                    "",
                    &[(
                        "gen_ai.output.messages",
                        r#"[{"role":"assistant","parts":[{"type":"text","content":"It snows."}],"finish_reason":"end_turn"}]"#,
                    )],
                ),
            ],
        ),
        (
            "Azure's SDKs, events of spans with all in one attribute",
            vec![
                said(
                    1,
                    2,
                    10,
                    "gen_ai.user.message",
                    "",
                    &[("gen_ai.event.content", r#"{"role":"user","content":"weather?"}"#)],
                ),
                said(
                    2,
                    2,
                    19,
                    "gen_ai.choice",
                    "",
                    &[(
                        "gen_ai.event.content",
                        r#"{"message":{"content":"","tool_calls":[{"id":"c","type":"function",
                        "function":{"name":"w","arguments":"{\"city\":\"Oslo\"}"}}]},"finish_reason":"tool_calls","index":0}"#,
                    )],
                ),
                said(
                    3,
                    4,
                    59,
                    "gen_ai.assistant.message",
                    "",
                    &[(
                        "gen_ai.event.content",
                        r#"{"content":{"text":{"value":"It snows."}},"role":"assistant"}"#,
                    )],
                ),
            ],
        ),
        (
            "1.26 of the conventions",
            vec![
                said(
                    1,
                    2,
                    10,
                    "gen_ai.content.prompt",
                    "",
                    &[("gen_ai.prompt", r#"[{"role":"user","content":"weather?"}]"#)],
                ),
                said(
                    2,
                    2,
                    19,
                    "gen_ai.content.completion",
                    "",
                    &[(
                        "gen_ai.completion",
                        r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",
                        "function":{"name":"w","arguments":"{\"city\":\"Oslo\"}"}}]}]"#,
                    )],
                ),
                said(
                    3,
                    4,
                    59,
                    "gen_ai.content.completion",
                    "",
                    &[("gen_ai.completion", "It snows.")],
                ),
            ],
        ),
    ];
    for (source, events) in sources {
        let tells_tool = events.iter().any(|event| event.span_id == Some(span_id(3)));
        let records = with(events);
        let events = Run::of(&records).events(DetailLevel::Debug);
        assert_eq!(messages(&events), ["It snows."], "{source}");
        let start = |id| format!("{}:start", span_id(id));
        assert_eq!(
            payload(&events, &start(2))["messages"],
            json(&format!("[{question}]")),
            "{source}"
        );
        let answer = &payload(&events, &end_of(2))["messages"][0];
        assert_eq!(
            (&answer["role"], &answer["parts"]),
            (&json("\"assistant\""), &json(&format!("[{call}]"))),
            "{source}"
        );
        if tells_tool {
            assert_eq!(
                payload(&events, &start(3)),
                json(r#"{"arguments":{"city":"Oslo"}}"#),
                "{source}"
            );
            assert_eq!(
                payload(&events, &end_of(3)),
                json(r#"{"result":"snow"}"#),
                "{source}"
            );
        }
    }
}

#[test]
fn a_spans_own_attributes_have_priority_over_its_events() {
    let mut records = with(vec![
        said(
            1,
            2,
            10,
            "gen_ai.user.message",
            r#"{"content":"of the event"}"#,
            &[],
        ),
        said(2, 3, 39, "gen_ai.choice", "of the event", &[]),
    ]);
    let own = r#"[{"role":"user","parts":[{"type":"text","content":"of the span"}]}]"#;
    records.spans[1].span.attributes.set("gen_ai.input.messages", own);
    records.spans[2]
        .span
        .attributes
        .set("gen_ai.tool.call.result", "of the span");
    let events = Run::of(&records).events(DetailLevel::Debug);
    assert_eq!(
        payload(&events, &format!("{}:start", span_id(2)))["messages"],
        json(own)
    );
    assert_eq!(payload(&events, &end_of(3)), json(r#"{"result":"of the span"}"#));
    assert_eq!(messages(&events), Vec::<String>::new());
}

#[test]
fn a_message_is_one_event_whether_its_log_or_its_step_arrives_first() {
    let answer = r#"[{"role":"assistant","parts":[{"type":"text","content":"It snows."}]}]"#;
    let mut all = with(vec![said(1, 4, 59, "gen_ai.choice", "It snows.", &[])]);
    all.spans[0].span.attributes.set("gen_ai.output.messages", answer);
    let in_one = Run::of(&all).events(DetailLevel::Debug);
    assert_eq!(messages(&in_one), ["It snows."]);
    for spans_first in [true, false] {
        let (mut spans, mut logs) = (all.clone(), all.clone());
        spans.events.clear();
        logs.spans.clear();
        let mut reader = RunReader::new();
        let mut events = Vec::new();
        for part in if spans_first {
            [&spans, &logs]
        } else {
            [&logs, &spans]
        } {
            events.append(&mut reader.read(part));
        }
        assert_eq!(messages(&events), ["It snows."], "{spans_first}");
        // Events from before the span are available when it arrives.
        let outputs = payload(&events, &end_of(4));
        assert_eq!(outputs.is_null(), spans_first, "{outputs}");
    }
}

#[test]
fn messages_of_spans_that_never_arrive_use_bounded_memory() {
    let mut reader = RunReader::new();
    let text = "x".repeat(1 << 20);
    for number in 1..=12 {
        let mut part = with(vec![said(
            number,
            100 + number,
            10,
            "gen_ai.user.message",
            &text,
            &[],
        )]);
        part.spans.clear();
        reader.read(&part);
    }
    let span = |id| span(id, 0, "chat", 10..20, &[operation("chat")]);
    let is_known = |id| {
        let events = reader.clone().read(&records(vec![span(id)]));
        let start = format!("{}:start", span_id(id));
        event(&events, &start).inputs.is_some()
    };
    assert!(is_known(112) && !is_known(101));
}

#[test]
fn a_truncated_body_is_not_a_message_and_other_events_are_still_read() {
    let cut = r#"{"index":0,"message":{"role":"assistant","content":"It sno"#;
    let events = vec![
        said(1, 4, 59, "gen_ai.choice", cut, &[]),
        said(2, 2, 10, "gen_ai.user.message", r#"{"content":"weather?"}"#, &[]),
    ];
    let records = with(events);
    let events = Run::of(&records).events(DetailLevel::Debug);
    assert_eq!(messages(&events), Vec::<String>::new());
    assert_eq!(
        payload(&events, &format!("{}:start", span_id(2)))["messages"][0]["role"],
        "user"
    );
}
