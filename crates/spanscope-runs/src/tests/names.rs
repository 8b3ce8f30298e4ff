//! Steps, run attributes and measurements use the same priority of names.

use super::*;
use crate::{DetailLevel, Run, run_attributes};
use spanscope_model::RawValue;
use spanscope_model::semconv::SpanTokens;

/// The events of a run with one span below its root.
fn events_of(attributes: &[(&str, Value)]) -> Vec<RunEvent> {
    let records = records(vec![span(1, 9, "step", 0..10, attributes)]);
    Run::of(&records).events(DetailLevel::Debug)
}

fn started(attributes: &[(&str, Value)]) -> RunEvent {
    let id = format!("{}:start", span_id(1));
    let mut events = events_of(attributes).into_iter();
    events.find(|event| event.event_id == id).unwrap()
}

#[test]
fn the_requested_model_has_priority_over_the_responding_one_in_every_convention() {
    let call = [
        operation("chat"),
        ("gen_ai.response.model", text("answered")),
        ("llm.model_name", text("asked")),
        ("gen_ai.usage.input_tokens", Value::I64(3)),
    ];
    let step = started(&call);
    assert_eq!(step.metadata.model.as_deref(), Some("asked"));
    assert_eq!(step.component_name, "asked");
    let attributes: spanscope_model::Attributes = call.iter().cloned().collect();
    assert_eq!(SpanTokens::of(attributes.raw()).unwrap().model, "asked");
}

#[test]
fn a_plain_agent_id_has_priority_for_the_component_as_for_the_run() {
    let agent = [
        operation("invoke_agent"),
        ("gen_ai.agent.id", text("a-1")),
        ("agent_id", text("librarian")),
    ];
    assert_eq!(started(&agent).component_id, "librarian");
    let raw = [
        ("agent_id", RawValue::from("librarian")),
        ("gen_ai.agent.id", RawValue::from("a-1")),
    ];
    assert_eq!(
        run_attributes(raw).unwrap().agent_id.as_deref(),
        Some("librarian")
    );
}

#[test]
fn inputs_are_searched_in_the_order_of_the_conventions() {
    let given = |attributes: &[(&str, Value)], key: &str| started(attributes).inputs.unwrap()[key].clone();
    let tool = [
        operation("execute_tool"),
        ("traceloop.entity.input", text("by OpenLLMetry")),
        ("input.value", text("by OpenInference")),
    ];
    assert_eq!(given(&tool, "arguments"), "by OpenInference");
    let retrieval = [
        operation("retrieval"),
        ("langfuse.observation.input", text("books")),
    ];
    assert_eq!(given(&retrieval, "query"), "books");
    let call = [
        operation("chat"),
        ("llm.input_messages", text("[{\"role\":\"user\"}]")),
    ];
    assert_eq!(given(&call, "messages")[0]["role"], "user");
}
