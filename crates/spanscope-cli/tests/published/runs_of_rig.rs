//! The runs that are read from the spans of `rig-agent`'s agents, which have no task, no session
//! and no user.
//!
//! A streamed agent is one run. A non-streaming agent inside a span of the application is one run
//! too: rig opens no span for the agent, so the application's span is the run's root, and the model
//! calls name the agent. Without such a span rig puts the agent, each of its calls and each of its
//! tools into separate traces without any relation, so they become separate runs.

use futures_util::StreamExt;
use rig_agent::completion::Prompt;
use rig_agent::streaming::StreamingPrompt;
use serde_json::{Value, json};
use spanscope_model::{RunRecords, RunStatus};
use spanscope_runs::{DetailLevel, EventType, Run, RunEvent, TraceFormat, format_event};
use tracing::{Instrument, info_span};

use super::by_rig::{WEATHER, forecast, forecaster_with_content, usage_without_rig};
use super::support::{MODEL, ModelServer, block_on_outside, record};

const ATLANTIS: &str = "What is the weather in Atlantis?";

/// Returns the runs of the streamed agent.
fn streamed(server: &ModelServer, question: &str, content: bool) -> Vec<RunRecords> {
    record(async {
        let agent = forecaster_with_content(server, content);
        let mut stream = agent.stream_prompt(question).max_turns(3).await;
        while let Some(item) = stream.next().await {
            item.unwrap();
        }
    })
}

/// Returns the runs of the non-streaming agent, inside a span of the application.
fn in_a_span(server: &ModelServer, question: &str) -> Vec<RunRecords> {
    record(async {
        let agent = forecaster_with_content(server, true);
        let answer = async { agent.prompt(question).max_turns(3).await.unwrap() };
        answer.instrument(info_span!("of the user")).await;
    })
}

fn only(runs: &[RunRecords]) -> Run<'_> {
    assert_eq!(runs.len(), 1);
    Run::of(&runs[0])
}

/// Returns the only event of this type as it is streamed.
fn shown(events: &[RunEvent], event_type: EventType) -> Value {
    let found: Vec<&RunEvent> = events
        .iter()
        .filter(|event| event.event_type == event_type)
        .collect();
    assert_eq!(found.len(), 1, "{event_type}: {events:#?}");
    format_event(found[0], TraceFormat::Streaming, DetailLevel::Debug)
}

fn types(events: &[RunEvent]) -> Vec<EventType> {
    events.iter().map(|event| event.event_type).collect()
}

/// Two calls of the model with a tool between them.
const STEPS: [EventType; 6] = [
    EventType::LlmCallStarted,
    EventType::LlmCallCompleted,
    EventType::ToolCallStarted,
    EventType::ToolCallCompleted,
    EventType::LlmCallStarted,
    EventType::LlmCallCompleted,
];

/// Checks a finished run of the forecaster, whose model calls have the usage that the server
/// reported.
fn assert_a_run_of_the_forecaster(run: &Run<'_>, calls: &[[i64; 3]]) {
    let info = run.info();
    assert_eq!(
        (info.agent_id.as_str(), info.status),
        ("forecaster", RunStatus::Completed)
    );
    assert_eq!((&info.task_id, info.span_count), (&info.trace_id.to_string(), 4));
    assert_eq!(run.status(), RunStatus::Completed);

    let events = run.events(DetailLevel::Debug);
    let of_calls = events
        .iter()
        .filter(|event| event.event_type == EventType::LlmCallCompleted);
    let used: Vec<[i64; 3]> = of_calls
        .map(|call| {
            assert_eq!(call.metadata.model.as_deref(), Some(MODEL));
            let tokens = call.metadata.tokens.unwrap();
            let used = [tokens.prompt, tokens.completion, tokens.total];
            used.map(|count| count.unwrap().try_into().unwrap())
        })
        .collect();
    assert_eq!(used, calls);
    let summary = run.summary(DetailLevel::Debug);
    assert_eq!(
        (
            summary.total_llm_calls,
            summary.total_tool_calls,
            summary.total_retrievals
        ),
        (2, 1, 0)
    );
    // The agent's own span repeats the sum.
    let sum = |index: usize| calls.iter().map(|call| call[index].cast_unsigned()).sum::<u64>();
    let sums = [
        summary.prompt_tokens,
        summary.completion_tokens,
        summary.total_tokens,
    ];
    assert_eq!(sums, [0, 1, 2].map(sum));
}

fn assert_weather(events: &[RunEvent], city: &str, result: &Value) {
    let (started, completed) = (
        shown(events, EventType::ToolCallStarted),
        shown(events, EventType::ToolCallCompleted),
    );
    for event in [&started, &completed] {
        assert_eq!(event["component_name"], "weather");
        assert_eq!(event["metadata"]["call_id"], "call_1");
    }
    assert_eq!(started["inputs"], json!({"arguments": {"city": city}}));
    assert_eq!(completed["outputs"], json!({ "result": result }));
}

#[test]
fn a_streamed_agent_is_one_run_with_its_calls_its_tool_and_its_answer() {
    let server = ModelServer::start();
    let runs = streamed(&server, WEATHER, true);
    let run = only(&runs);
    assert_a_run_of_the_forecaster(&run, &block_on_outside(usage_without_rig(&server)));
    assert_eq!(
        (
            run.info().name.as_str(),
            run.summary(DetailLevel::Debug).errors_count
        ),
        ("invoke_agent", 0)
    );

    let events = run.events(DetailLevel::Debug);
    let expected = [EventType::WorkflowStarted].into_iter().chain(STEPS);
    let expected: Vec<EventType> = expected
        .chain([EventType::MessageGenerated, EventType::WorkflowCompleted])
        .collect();
    assert_eq!(types(&events), expected);
    assert_weather(&events, "Paris", &forecast("Paris"));
    let begun = shown(&events, EventType::WorkflowStarted);
    assert_eq!(
        (&begun["component_name"], &begun["component_type"]),
        (&json!("forecaster"), &json!("agent"))
    );
    assert_eq!(begun["inputs"], json!({ "input": WEATHER }));
    let message = shown(&events, EventType::MessageGenerated);
    let answer = message["outputs"]["content"].as_str().unwrap();
    assert!(answer.contains("sunny in Paris"), "{answer}");
    assert_eq!(
        shown(&events, EventType::WorkflowCompleted)["outputs"],
        json!({ "output": answer })
    );
    let asked = events
        .iter()
        .find(|event| event.event_type == EventType::LlmCallStarted)
        .unwrap();
    let asked = asked.inputs.as_ref().unwrap()["messages"].as_array().unwrap();
    assert_eq!(asked.last().unwrap()["parts"][0]["content"], WEATHER);
}

#[test]
fn without_recorded_content_the_run_has_the_same_steps() {
    let server = ModelServer::start();
    let runs = streamed(&server, WEATHER, false);
    let run = only(&runs);
    assert_a_run_of_the_forecaster(&run, &block_on_outside(usage_without_rig(&server)));
    let events = run.events(DetailLevel::Debug);
    let expected = [EventType::WorkflowStarted].into_iter().chain(STEPS);
    assert_eq!(
        types(&events),
        expected.chain([EventType::WorkflowCompleted]).collect::<Vec<_>>()
    );
    let found = format!("{events:?}");
    assert!(!found.contains("Paris"), "{found}");
}

#[test]
fn an_agent_in_a_span_of_its_user_is_one_run_whose_root_is_that_span() {
    let server = ModelServer::start();
    let runs = in_a_span(&server, WEATHER);
    let run = only(&runs);
    assert_a_run_of_the_forecaster(&run, &block_on_outside(usage_without_rig(&server)));
    assert_eq!(
        (
            run.info().name.as_str(),
            run.summary(DetailLevel::Debug).errors_count
        ),
        ("of the user", 0)
    );
    let events = run.events(DetailLevel::Debug);
    // The answer is only in the last call's output: rig writes the agent's answer only to a span of
    // the agent.
    let expected = [EventType::WorkflowStarted].into_iter().chain(STEPS);
    assert_eq!(
        types(&events),
        expected.chain([EventType::WorkflowCompleted]).collect::<Vec<_>>()
    );
    assert_weather(&events, "Paris", &forecast("Paris"));
    let last = events
        .iter()
        .rfind(|event| event.event_type == EventType::LlmCallCompleted)
        .unwrap();
    let answer = last.outputs.as_ref().unwrap()["messages"][0]["parts"][0]["content"].clone();
    assert!(answer.as_str().unwrap().contains("sunny in Paris"), "{answer}");
}

#[test]
fn an_agent_outside_a_span_is_a_separate_run_for_each_of_its_spans() {
    let server = ModelServer::start();
    let runs = record(async {
        let agent = forecaster_with_content(&server, true);
        agent.prompt(WEATHER).max_turns(3).await.unwrap();
    });
    let found: Vec<_> = runs
        .iter()
        .map(|records| {
            let run = Run::of(records);
            assert_eq!((run.info().span_count, run.status()), (1, RunStatus::Completed));
            let tokens = i64::try_from(run.summary(DetailLevel::Debug).total_tokens).unwrap();
            let kind = run.events(DetailLevel::Debug)[0].component_type.clone();
            (run.info().name.clone(), run.info().agent_id.clone(), kind, tokens)
        })
        .collect();
    let calls = block_on_outside(usage_without_rig(&server));
    let of = |name: &str, agent: &str, kind: &str, tokens: i64| {
        (name.to_owned(), agent.to_owned(), kind.to_owned(), tokens)
    };
    assert_eq!(
        found,
        [
            // The sum of the agent's span is not counted.
            of("invoke_agent", "forecaster", "agent", 0),
            of("chat", "forecaster", "llm", calls[0][2]),
            of("execute_tool", "", "tool", 0),
            of("chat", "forecaster", "llm", calls[1][2]),
        ]
    );
    let question = Run::of(&runs[0]).events(DetailLevel::Debug);
    assert_eq!(
        shown(&question, EventType::WorkflowStarted)["inputs"],
        json!({ "input": WEATHER })
    );
    let answer = shown(&question, EventType::MessageGenerated);
    assert!(
        answer["outputs"]["content"]
            .as_str()
            .unwrap()
            .contains("sunny in Paris"),
        "{answer}"
    );
}

/// Rig leaves the span's status unset, and sets `gen_ai.tool.error.type`.
#[test]
fn a_tool_that_fails_is_an_error_of_a_run_that_completes() {
    let server = ModelServer::start();
    for runs in [streamed(&server, ATLANTIS, true), in_a_span(&server, ATLANTIS)] {
        let run = only(&runs);
        assert_eq!(
            (run.status(), run.info().agent_id.as_str()),
            (RunStatus::Completed, "forecaster")
        );
        let events = run.events(DetailLevel::Debug);
        assert_weather(&events, "Atlantis", &json!("the tool failed"));
        assert_eq!(shown(&events, EventType::ToolCallCompleted)["error"], "other");
        assert_eq!(run.summary(DetailLevel::Debug).errors_count, 1);
        let errors: Vec<_> = run
            .analysis()
            .errors
            .into_iter()
            .map(|error| (error.component, error.error))
            .collect();
        assert_eq!(errors, [("weather".to_owned(), "other".to_owned())]);
    }
}
