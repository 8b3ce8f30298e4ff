//! The events and the summary of a run, from spans in the forms of several libraries.

use super::*;
use crate::EventType as E;
use crate::{DetailLevel, Run, RunReader};

#[test]
fn the_librarians_run_has_its_events_in_the_order_of_time() {
    let records = librarian();
    let run = Run::of(&records);
    let events = run.events(DetailLevel::Debug);
    let model = "llama3.2:3b";
    assert_eq!(
        told(&events),
        [
            (E::WorkflowStarted, "librarian"),
            (E::RetrievalStarted, "books"),
            (E::RetrievalCompleted, "books"),
            (E::LlmCallStarted, model),
            (E::LlmCallCompleted, model),
            (E::ToolCallStarted, "search"),
            (E::ToolCallStarted, "calculator"),
            (E::ToolCallCompleted, "search"),
            (E::ToolCallCompleted, "calculator"),
            (E::LlmCallStarted, model),
            (E::LlmCallCompleted, model),
            (E::MessageGenerated, "librarian"),
            (E::WorkflowCompleted, "librarian"),
        ]
    );
    assert_eq!(run.status(), RunStatus::Completed);

    let search = event(&events, &end_of(4));
    assert_eq!(search.error.as_deref(), Some("no network"));
    assert_eq!(
        (search.elapsed_time, search.component_type.as_str()),
        (Some(0.05), "tool")
    );
    assert_eq!(search.metadata.call_id.as_deref(), Some("call-1"));
    assert_eq!(search.metadata.parent_id, Some(span_id(1)));
    let calculator = event(&events, &end_of(5));
    assert_eq!(
        Json::Object(calculator.outputs.clone().unwrap()),
        json(r#"{"result":"42"}"#)
    );

    let thinking = event(&events, &end_of(3));
    assert_eq!(thinking.thoughts.as_deref(), Some("I need a tool"));
    let tokens = thinking.metadata.tokens.unwrap();
    assert_eq!(
        (tokens.prompt, tokens.completion, tokens.total),
        (Some(100), Some(10), Some(110))
    );

    let retrieval = event(&events, &end_of(2)).outputs.as_ref().unwrap();
    assert_eq!(
        (&retrieval["chunks_retrieved"], &retrieval["chunks"][1]["id"]),
        (&json("2"), &json("\"b\""))
    );
    let message = event(&events, &format!("{}:message", span_id(1)));
    assert_eq!(message.outputs.as_ref().unwrap()["content"], "It is 42.");
    let start = event(&events, "run:start");
    assert_eq!(start.inputs.as_ref().unwrap()["messages"][0]["role"], "user");
    assert_eq!((start.timestamp, start.component_type.as_str()), (at(0), "agent"));
    assert_eq!(event(&events, "run:end").elapsed_time, Some(1.0));
}

#[test]
fn the_summary_counts_usage_once_and_errors_on_every_level() {
    let mut records = librarian();
    // A router's span around a call reports the same usage.
    let mut router = records.spans[5].span.clone();
    router.span_id = span_id(60);
    records.spans[5].span.parent_span_id = Some(router.span_id);
    records.spans.push(RunSpan::new(7, router));
    let run = Run::of(&records);
    let summary = run.summary(DetailLevel::Minimal);
    assert_eq!(
        (
            summary.prompt_tokens,
            summary.completion_tokens,
            summary.total_tokens
        ),
        (300, 20, 320)
    );
    assert_eq!(
        (
            summary.total_llm_calls,
            summary.total_retrievals,
            summary.total_tool_calls
        ),
        (2, 1, 2),
        "the router describes the call below it once more"
    );
    assert_eq!(
        (
            summary.total_chunks_retrieved,
            summary.nodes_executed,
            summary.errors_count
        ),
        (2, 7, 1)
    );
    assert_eq!(
        (summary.total_events, run.summary(DetailLevel::Debug).total_events),
        (3, 15)
    );
    assert!((summary.total_elapsed_time - 1.0).abs() < 1e-9);
}

#[test]
fn an_agent_below_another_is_a_node_with_its_own_message() {
    let agent = |name: &str, answer: &str| {
        vec![
            operation("invoke_agent"),
            ("gen_ai.agent.name", text(name)),
            ("gen_ai.completion", text(answer)),
        ]
    };
    let records = records(vec![
        span(1, 0, "invoke_agent", 0..100, &agent("chief", "all done")),
        failed(
            span(2, 1, "invoke_agent", 0..50, &agent("helper", "half done")),
            "tired",
        ),
    ]);
    let run = Run::of(&records);
    assert_eq!(
        told(&run.events(DetailLevel::Minimal)),
        [
            (E::WorkflowStarted, "chief"),
            (E::MessageGenerated, "helper"),
            (E::NodeFailed, "helper"),
            (E::MessageGenerated, "chief"),
            (E::WorkflowCompleted, "chief"),
        ]
    );
    assert_eq!(run.events(DetailLevel::Standard)[1].component_type, "agent");
}

#[test]
fn spans_as_rig_writes_them_are_a_run() {
    let rig = [
        operation("invoke_agent"),
        ("gen_ai.agent.name", text("Unnamed Agent")),
        ("gen_ai.prompt", text("6*7?")),
        ("gen_ai.completion", text("42")),
        ("gen_ai.usage.input_tokens", Value::from(100_u64)),
        ("gen_ai.usage.output_tokens", Value::from(20_u64)),
    ];
    let chat = [
        operation("chat_streaming"),
        ("gen_ai.provider.name", text("openai")),
        ("gen_ai.request.model", text("gpt-4o")),
        ("gen_ai.usage.input_tokens", Value::from(100_u64)),
        ("gen_ai.usage.output_tokens", Value::from(20_u64)),
        (
            "gen_ai.output.messages",
            text(r#"[{"role":"assistant","content":[{"type":"text","text":"42"}]}]"#),
        ),
    ];
    let tool = [
        operation("execute_tool"),
        ("gen_ai.tool.type", text("function")),
        ("gen_ai.tool.name", text("multiply")),
        ("gen_ai.tool.call.id", text("call_1")),
        ("gen_ai.tool.call.arguments", text("{\"x\":6,\"y\":7}")),
        ("gen_ai.tool.call.result", text("42")),
    ];
    let records = records(vec![
        span(1, 0, "invoke_agent", 0..100, &rig),
        span(2, 1, "chat_streaming", 10..60, &chat),
        span(3, 1, "execute_tool", 60..90, &tool),
    ]);
    let run = Run::of(&records);
    let events = run.events(DetailLevel::Debug);
    assert_eq!(
        told(&events),
        [
            (E::WorkflowStarted, "Unnamed Agent"),
            (E::LlmCallStarted, "gpt-4o"),
            (E::ToolCallStarted, "multiply"),
            (E::LlmCallCompleted, "gpt-4o"),
            (E::ToolCallCompleted, "multiply"),
            (E::MessageGenerated, "Unnamed Agent"),
            (E::WorkflowCompleted, "Unnamed Agent"),
        ]
    );
    assert_eq!(events[0].inputs.as_ref().unwrap()["input"], "6*7?");
    assert_eq!(events[2].inputs.as_ref().unwrap()["arguments"]["y"], 7);
    assert_eq!(events[5].outputs.as_ref().unwrap()["content"], "42");
    assert_eq!(run.summary(DetailLevel::Standard).total_tokens, 120);
}

#[test]
fn inputs_of_steps_are_read_in_other_conventions() {
    let records = records(vec![
        span(
            1,
            9,
            "llm",
            0..10,
            &[
                ("openinference.span.kind", text("LLM")),
                ("llm.model_name", text("gpt")),
                ("llm.input_messages.0.message.role", text("user")),
                ("llm.input_messages.0.message.content", text("6*7?")),
                ("llm.output_messages.0.message.content", text("42")),
            ],
        ),
        span(
            2,
            9,
            "retriever",
            10..20,
            &[
                ("openinference.span.kind", text("RETRIEVER")),
                ("input.value", text("books")),
                ("retrieval.documents.1.document.id", text("b")),
                ("retrieval.documents.0.document.id", text("a")),
                ("retrieval.documents.0.document.score", Value::from(0.5)),
            ],
        ),
        span(
            3,
            9,
            "search.tool",
            20..30,
            &[
                ("traceloop.span.kind", text("tool")),
                ("traceloop.entity.name", text("search")),
                ("traceloop.entity.input", text("{\"q\":1}")),
                ("traceloop.entity.output", text("[1]")),
            ],
        ),
        span(
            4,
            9,
            "ai.toolCall",
            30..40,
            &[
                ("ai.operationId", text("ai.toolCall")),
                ("ai.toolCall.name", text("weather")),
                ("ai.toolCall.args", text("{\"city\":\"Ulm\"}")),
                ("ai.toolCall.result", text("{\"t\":3}")),
            ],
        ),
        span(
            5,
            9,
            "run_shield x",
            40..50,
            &[("llama_stack.safety.request.shield_id", text("x"))],
        ),
        span(
            6,
            9,
            "switch",
            50..60,
            &[
                ("inputs", text("{\"a\":1}")),
                ("outputs", text("b")),
                ("component_type", text("Switch")),
            ],
        ),
        span(7, 9, "embeddings", 60..70, &[operation("embeddings")]),
        span(
            8,
            9,
            "tools/list",
            70..80,
            &[("mcp.method.name", text("tools/list"))],
        ),
    ]);
    let events = Run::of(&records).events(DetailLevel::Debug);
    let inputs = |id: u64| {
        Json::Object(
            event(&events, &format!("{}:start", span_id(id)))
                .inputs
                .clone()
                .unwrap(),
        )
    };
    let outputs = |id: u64| Json::Object(event(&events, &end_of(id)).outputs.clone().unwrap());
    assert_eq!(
        inputs(1),
        json(r#"{"messages":[{"role":"user","content":"6*7?"}],"model":"gpt"}"#)
    );
    assert_eq!(outputs(1), json(r#"{"messages":[{"content":"42"}]}"#));
    assert_eq!(inputs(2), json(r#"{"query":"books"}"#));
    assert_eq!(
        outputs(2),
        json(r#"{"chunks":[{"id":"a","score":0.5},{"id":"b"}],"chunks_retrieved":2}"#)
    );
    assert_eq!(
        (inputs(3), outputs(3)),
        (json(r#"{"arguments":{"q":1}}"#), json(r#"{"result":[1]}"#))
    );
    assert_eq!(
        (inputs(4), outputs(4)),
        (
            json(r#"{"arguments":{"city":"Ulm"}}"#),
            json(r#"{"result":{"t":3}}"#)
        )
    );
    assert_eq!(
        (inputs(6), outputs(6)),
        (json(r#"{"a":1}"#), json(r#"{"output":"b"}"#))
    );
    let kinds: Vec<&str> = (3..=8)
        .map(|id| event(&events, &end_of(id)).component_type.as_str())
        .collect();
    assert_eq!(kinds, ["tool", "tool", "safety", "Switch", "embedding", "mcp"]);
    assert_eq!(event(&events, &end_of(3)).component_name, "search");
}

#[test]
fn the_last_attempt_determines_the_outcome_of_a_repeated_run() {
    let agent = [operation("invoke_agent"), ("task_id", text("task-1"))];
    let mut spans = vec![
        span(1, 0, "POST /agents", 0..100, &[]),
        failed(span(2, 1, "first", 10..40, &agent), "time-out"),
        span(3, 1, "second", 50..90, &agent),
    ];
    assert_eq!(Run::of(&records(spans.clone())).status(), RunStatus::Completed);
    spans[2] = failed(spans[2].clone(), "gave up");
    let records = records(spans);
    let run = Run::of(&records);
    assert_eq!(run.status(), RunStatus::Failed);
    let events = run.events(DetailLevel::Standard);
    let end = events.last().unwrap();
    assert_eq!(
        (end.event_type, end.error.as_deref()),
        (E::WorkflowFailed, Some("gave up"))
    );
    assert_eq!(end.component_name, "second");
}

#[test]
fn without_a_root_agents_determine_the_outcome_and_with_two_the_later_one() {
    let agent = [operation("invoke_agent"), ("gen_ai.agent.name", text("remote"))];
    let orphans = records(vec![
        failed(span(1, 9, "invoke_agent", 0..50, &agent), "gone"),
        span(2, 8, "other", 10..60, &[]),
    ]);
    let run = Run::of(&orphans);
    assert_eq!(run.status(), RunStatus::Failed);
    let events = run.events(DetailLevel::Standard);
    assert_eq!(told(&events)[0], (E::WorkflowStarted, "the run"));
    assert!(event(&events, &end_of(1)).metadata.pending);
    assert_eq!(event(&events, "run:end").error.as_deref(), Some("gone"));

    let roots = records(vec![
        failed(span(1, 0, "first", 0..50, &[]), "gone"),
        span(2, 0, "second", 60..80, &[("output", text("done"))]),
    ]);
    let run = Run::of(&roots);
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(
        told(&run.events(DetailLevel::Debug)),
        [
            (E::WorkflowStarted, "first"),
            (E::MessageGenerated, "second"),
            (E::WorkflowCompleted, "second")
        ]
    );
}

#[test]
fn a_root_that_is_a_call_has_its_events_in_addition_to_the_runs() {
    let records = records(vec![span(
        1,
        0,
        "chat",
        0..50,
        &[operation("chat"), ("gen_ai.completion", text("hi"))],
    )]);
    assert_eq!(
        told(&Run::of(&records).events(DetailLevel::Debug)),
        [
            (E::WorkflowStarted, "chat"),
            (E::LlmCallStarted, "chat"),
            (E::MessageGenerated, "chat"),
            (E::LlmCallCompleted, "chat"),
            (E::WorkflowCompleted, "chat"),
        ]
    );
}

#[test]
fn a_run_with_an_open_span_runs_or_was_abandoned() {
    let mut records = records(vec![
        open(span(1, 0, "agent", 0..0, &[operation("invoke_agent")])),
        span(2, 1, "tool", 10..20, &[operation("execute_tool")]),
    ]);
    let run = Run::of(&records);
    assert_eq!((run.status(), run.completed_at()), (RunStatus::Running, None));
    assert_eq!(
        run.events(DetailLevel::Debug).last().unwrap().event_type,
        E::ToolCallCompleted
    );
    records.alive = false;
    let run = Run::of(&records);
    assert_eq!(run.status(), RunStatus::Abandoned);
    let events = run.events(DetailLevel::Minimal);
    let end = events.last().unwrap();
    assert_eq!(
        (end.event_type, end.metadata.state),
        (E::WorkflowFailed, Some(RunStatus::Abandoned))
    );
    assert!(end.error.as_ref().unwrap().starts_with("abandoned: "));
    assert_eq!((end.timestamp, end.elapsed_time), (at(20), Some(0.02)));
}

#[test]
fn a_log_event_is_a_run_event_if_it_has_an_event_type_or_is_an_error() {
    let mut records = librarian();
    let mut choice = log(3, 3, 415, Severity::Info, "", &[("content", text("chosen"))]);
    choice.name = "gen_ai.choice".to_owned();
    records.events = vec![
        log(
            1,
            4,
            440,
            Severity::Error,
            "giving up",
            &[
                ("exception.message", text("no route")),
                ("exception.type", text("Io")),
            ],
        ),
        log(2, 4, 441, Severity::Info, "nothing", &[]),
        choice,
        log(
            4,
            2,
            50,
            Severity::Info,
            "",
            &[
                ("event_type", text("thinking_completed")),
                ("component_name", text("planner")),
                ("outputs", text("{\"plan\":[1]}")),
                ("thoughts", text("first, look it up")),
                ("elapsed_time", text("0.25")),
            ],
        ),
        log(
            5,
            99,
            60,
            Severity::Critical,
            "lost",
            &[("event_type", text("no such type"))],
        ),
    ];
    let events = Run::of(&records).events(DetailLevel::Debug);
    let error = event(&events, "log:1");
    assert_eq!(
        (error.event_type, error.component_name.as_str()),
        (E::ErrorOccurred, "search")
    );
    assert_eq!(error.error.as_deref(), Some("Io: giving up: no route"));
    assert_eq!(error.metadata.span_id, Some(span_id(4)));
    assert!(!events.iter().any(|event| event.event_id == "log:2"));
    assert_eq!(
        event(&events, "log:3").outputs.as_ref().unwrap()["content"],
        "chosen"
    );
    let thought = event(&events, "log:4");
    assert_eq!(
        (thought.event_type, thought.component_name.as_str()),
        (E::ThinkingCompleted, "planner")
    );
    assert_eq!(
        (thought.elapsed_time, thought.thoughts.as_deref()),
        (Some(0.25), Some("first, look it up"))
    );
    assert_eq!(thought.outputs.as_ref().unwrap()["plan"][0], 1);
    let lost = event(&events, "log:5");
    assert_eq!(
        (lost.event_type, lost.component_name.as_str()),
        (E::ErrorOccurred, "the run")
    );
}

#[test]
fn in_a_trace_with_several_runs_only_spans_below_the_task_belong_to_it() {
    let task = |id: &str| {
        vec![
            operation("invoke_agent"),
            ("gen_ai.agent.name", text(id)),
            ("task_id", text(id)),
        ]
    };
    let mut records = records(vec![
        span(5, 3, "tool of other", 10..20, &[("tool_name", text("theirs"))]),
        span(4, 2, "tool", 10..20, &[("tool_name", text("ours"))]),
        span(1, 0, "batch", 0..100, &[]),
        span(2, 1, "a", 5..50, &task("task-1")),
        span(3, 1, "b", 5..60, &task("task-2")),
        span(6, 77, "unknown", 5..60, &[]),
        open(span(7, 3, "open of other", 10..20, &[])),
    ]);
    records.is_shared = true;
    records.events = vec![
        log(1, 5, 12, Severity::Error, "theirs", &[]),
        log(2, 4, 12, Severity::Error, "ours", &[]),
        log(3, 0, 12, Severity::Error, "without a span", &[]),
    ];
    let run = Run::of(&records);
    let events = run.events(DetailLevel::Debug);
    assert_eq!(
        told(&events),
        [
            (E::WorkflowStarted, "task-1"),
            (E::NodeStarted, "task-1"),
            (E::ToolCallStarted, "ours"),
            (E::ErrorOccurred, "ours"),
            (E::ToolCallCompleted, "ours"),
            (E::NodeFinished, "task-1"),
            (E::WorkflowCompleted, "task-1"),
        ]
    );
    assert_eq!((run.started_at(), run.completed_at()), (at(5), Some(at(50))));
    assert_eq!(run.summary(DetailLevel::Debug).total_tool_calls, 1);
    let mut reader = RunReader::new();
    reader.read(&records);
    assert!(reader.root_ended());
}

#[test]
fn a_failed_step_has_its_reason_wherever_the_program_wrote_it() {
    let fail = |id, attributes: &[(&str, Value)]| {
        let mut made = failed(span(id, 9, "t", 0..10, attributes), "");
        made.status_message = None;
        made
    };
    let mut untold = span(4, 9, "t", 0..10, &[("error.type", text("timeout"))]);
    untold.status = None;
    let records = records(vec![
        fail(1, &[("exception.message", text("why"))]),
        fail(
            2,
            &[("error", Value::Bool(true)), ("error.type", text("timeout"))],
        ),
        fail(3, &[]),
        untold,
    ]);
    let events = Run::of(&records).events(DetailLevel::Debug);
    let errors: Vec<_> = (1..=4)
        .map(|id| event(&events, &end_of(id)).error.as_deref())
        .collect();
    // The last one has no status: its library sets only the attribute.
    assert_eq!(
        errors,
        [Some("why"), Some("timeout"), Some("failed"), Some("timeout")]
    );
}

#[test]
fn events_of_one_time_are_nested_and_starts_precede_ends() {
    let mut records = records(vec![
        span(4, 3, "inner", 0..10, &[]),
        span(2, 1, "outer", 0..10, &[]),
        span(3, 2, "middle", 0..10, &[]),
        span(1, 0, "root", 0..10, &[]),
        span(5, 1, "moment", 10..10, &[]),
    ]);
    records.events = vec![log(1, 3, 10, Severity::Error, "said", &[])];
    let events = Run::of(&records).events(DetailLevel::Standard);
    assert_eq!(
        told(&events),
        [
            (E::WorkflowStarted, "root"),
            (E::NodeStarted, "outer"),
            (E::NodeStarted, "middle"),
            (E::NodeStarted, "inner"),
            (E::NodeStarted, "moment"),
            (E::ErrorOccurred, "middle"),
            (E::NodeFinished, "inner"),
            (E::NodeFinished, "middle"),
            (E::NodeFinished, "outer"),
            (E::NodeFinished, "moment"),
            (E::WorkflowCompleted, "root"),
        ]
    );
}

#[test]
fn a_failed_step_without_a_message_has_the_error_that_was_logged_in_it() {
    let mut records = librarian();
    for stored in &mut records.spans {
        if stored.span.span_id == super::span_id(4) {
            stored.span.status = Some(spanscope_model::SpanStatus::Error);
            stored.span.status_message = None;
        }
    }
    let end_of = |records: &spanscope_model::RunRecords| {
        let events = Run::of(records).events(DetailLevel::Debug);
        event(&events, &format!("{}:end", super::span_id(4)))
            .error
            .clone()
    };
    assert_eq!(end_of(&records).as_deref(), Some("failed"));
    records.events = vec![log(1, 4, 440, Severity::Error, "no route to host", &[])];
    assert_eq!(end_of(&records).as_deref(), Some("no route to host"));
}
