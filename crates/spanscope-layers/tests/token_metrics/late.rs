//! Late usage: recorded, under undeclared keys, after a stream.

use spanscope_layers::SpanExt;
use tracing::field::Empty;
use tracing::info_span;

use super::support::run;

#[test]
fn usage_recorded_late_counts_with_its_last_value() {
    let outcome = run(|| {
        let call = info_span!(
            "c",
            prompt_tokens = Empty,
            completion_tokens = 0,
            model_id = Empty
        );
        for chunk in 1..=5 {
            call.record("completion_tokens", chunk);
        }
        call.record("prompt_tokens", 12);
        call.record("model_id", "llama-3");
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
    assert_eq!(outcome.one("prompt_tokens").label("model_id"), "llama-3");
}

#[test]
fn usage_set_on_undeclared_keys_counts() {
    let outcome = run(|| {
        let call = info_span!("a span like any other", question = "why");
        call.record_attribute("gen_ai.operation.name", "chat");
        call.record_attribute("gen_ai.usage.input_tokens", 12_u64);
        call.record_attribute("gen_ai.usage.output_tokens", 5_i64);
        call.record_attribute("gen_ai.provider.name", "mistralai");
        drop(info_span!("another one", question = "why"));
    });
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
    assert_eq!(outcome.one("total_tokens").label("provider_id"), "mistral_ai");
}

#[test]
fn an_agent_known_late_still_counts_its_calls() {
    let outcome = run(|| {
        let agent = info_span!("run");
        agent.record_attribute("gen_ai.operation.name", "invoke_agent");
        drop(info_span!(parent: &agent, "chat", gen_ai.operation.name = "chat"));
    });
    assert_eq!(outcome.integers("gen_ai.invoke_agent.inference_calls"), [1]);
}

#[test]
fn a_streamed_call_has_the_time_to_its_first_chunk() {
    let outcome = run(|| {
        let call = info_span!(
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.request.stream = true,
            gen_ai.response.time_to_first_chunk = Empty,
            gen_ai.usage.output_tokens = Empty,
            chunks = Empty
        );
        call.record("gen_ai.response.time_to_first_chunk", 0.25);
        call.record("chunks", 40);
        call.record("gen_ai.usage.output_tokens", 40);
        drop(call);
        drop(info_span!(
            "ai.streamText.doStream",
            ai.operationId = "ai.streamText.doStream",
            ai.response.msToFirstChunk = 1500
        ));
        drop(info_span!(
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.response.time_to_first_chunk = -1.0
        ));
    });
    let first: Vec<_> = outcome
        .named("gen_ai.client.operation.time_to_first_chunk")
        .iter()
        .map(|kept| kept.value.as_f64())
        .collect();
    assert_eq!(first, [0.25, 1.5]);
    assert_eq!(outcome.named("gen_ai.client.operation.duration").len(), 3);
}
