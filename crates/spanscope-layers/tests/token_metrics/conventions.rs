//! One span in each convention, and what is counted of it.

use tracing::field::Empty;
use tracing::info_span;

use super::support::{run, run_with};

/// The expected result of a span: the three counts, model, provider.
type Expected = ([Option<i64>; 3], &'static str, &'static str);

type Case = (&'static str, fn() -> tracing::Span, Expected);

fn counts(input: i64, output: i64) -> [Option<i64>; 3] {
    [Some(input), Some(output), Some(input + output)]
}

#[test]
fn usage_is_read_in_every_convention() {
    let cases: Vec<Case> = vec![
        (
            "the documented telemetry API",
            || {
                info_span!(
                    "inference",
                    prompt_tokens = 12,
                    completion_tokens = 5,
                    total_tokens = 17,
                    model_id = "llama-3",
                    provider_id = "remote::vllm"
                )
            },
            (counts(12, 5), "llama-3", "remote::vllm"),
        ),
        (
            "OpenTelemetry today",
            || {
                info_span!(
                    "chat gpt-4o",
                    gen_ai.operation.name = "chat",
                    gen_ai.provider.name = "openai",
                    gen_ai.request.model = "gpt-4o",
                    gen_ai.response.model = "gpt-4o-2024-08-06",
                    gen_ai.usage.input_tokens = 12,
                    gen_ai.usage.output_tokens = 5,
                    gen_ai.usage.cache_read.input_tokens = 10,
                    gen_ai.usage.reasoning.output_tokens = 4
                )
            },
            (counts(12, 5), "gpt-4o", "openai"),
        ),
        (
            "OpenTelemetry until 1.26",
            || {
                info_span!(
                    "chat",
                    gen_ai.operation.name = "chat",
                    gen_ai.system = "az.ai.openai",
                    gen_ai.request.model = "gpt-4",
                    gen_ai.usage.prompt_tokens = 12,
                    gen_ai.usage.completion_tokens = 5
                )
            },
            (counts(12, 5), "gpt-4", "azure.ai.openai"),
        ),
        (
            "OpenInference",
            || {
                info_span!(
                    "ChatCompletion",
                    openinference.span.kind = "LLM",
                    llm.model_name = "mistral-large",
                    llm.provider = "mistralai",
                    llm.token_count.prompt = 12,
                    llm.token_count.completion = 5,
                    llm.token_count.total = 17,
                    llm.token_count.prompt_details.cache_read = 3
                )
            },
            (counts(12, 5), "mistral-large", "mistral_ai"),
        ),
        (
            "OpenInference's embeddings",
            || {
                info_span!(
                    "Embedding",
                    openinference.span.kind = "EMBEDDING",
                    embedding.model_name = "e5",
                    llm.token_count.prompt = 12
                )
            },
            ([Some(12), None, Some(12)], "e5", ""),
        ),
        (
            "OpenLLMetry",
            || {
                info_span!(
                    "openai.chat",
                    llm.request.r#type = "chat",
                    gen_ai.system = "Anthropic",
                    gen_ai.request.model = "claude",
                    gen_ai.usage.prompt_tokens = 12,
                    gen_ai.usage.completion_tokens = 5,
                    llm.usage.total_tokens = 17
                )
            },
            (counts(12, 5), "claude", "anthropic"),
        ),
        (
            "OpenLLMetry for Go",
            || {
                info_span!(
                    "openai.chat",
                    llm.vendor = "openai",
                    llm.request.model = "gpt-4",
                    llm.usage.prompt_tokens = 12,
                    llm.usage.completion_tokens = 5,
                    llm.usage.total_tokens = 17
                )
            },
            (counts(12, 5), "gpt-4", "openai"),
        ),
        (
            "the Vercel AI SDK",
            || {
                info_span!(
                    "ai.generateText.doGenerate",
                    ai.operationId = "ai.generateText.doGenerate",
                    ai.model.id = "gpt-4o",
                    ai.model.provider = "openai.chat",
                    ai.usage.promptTokens = 12,
                    ai.usage.completionTokens = 5
                )
            },
            (counts(12, 5), "gpt-4o", "openai"),
        ),
        (
            "plain words about a model",
            || {
                info_span!(
                    "call",
                    model = "phi-3",
                    provider = "xai",
                    input_tokens = 12,
                    output_tokens = 5
                )
            },
            (counts(12, 5), "phi-3", "x_ai"),
        ),
        (
            "only the model that answered",
            || {
                info_span!(
                    "chat",
                    gen_ai.response.model = "gpt-4o-2024-08-06",
                    gen_ai.usage.input_tokens = 12,
                    gen_ai.usage.output_tokens = 5
                )
            },
            (counts(12, 5), "gpt-4o-2024-08-06", ""),
        ),
        (
            "only a total",
            || info_span!("call", total_tokens = 17, model_id = "m"),
            ([None, None, Some(17)], "m", ""),
        ),
    ];
    for (convention, make, (expected, model, provider)) in cases {
        let outcome = run(|| drop(make()));
        let expected = expected.map(Vec::from_iter);
        assert_eq!(outcome.tokens(), expected, "{convention}");
        let total = outcome.one("total_tokens");
        assert_eq!(
            (
                total.label("model_id"),
                total.label("provider_id"),
                total.unit.as_str()
            ),
            (model, provider, "tokens"),
            "{convention}"
        );
        assert!(total.span.is_some() && !total.is_event);
        assert_eq!(outcome.stats, Default::default(), "{convention}");
    }
}

#[test]
fn spans_as_rig_writes_them_are_counted() {
    let outcome = run(|| {
        let agent = info_span!(target: "rig::agent", "invoke_agent", gen_ai.operation.name = "invoke_agent", gen_ai.agent.name = "helper", gen_ai.prompt = "hi", gen_ai.completion = Empty, gen_ai.usage.input_tokens = Empty, gen_ai.usage.output_tokens = Empty);
        agent.in_scope(|| {
            let call = info_span!(
                target: "rig::completions", "chat_streaming",
                gen_ai.operation.name = "chat_streaming", gen_ai.provider.name = "openai", gen_ai.request.model = "gpt-4o",
                gen_ai.system_instructions = "be brief", gen_ai.response.id = Empty, gen_ai.response.model = Empty,
                gen_ai.usage.input_tokens = Empty, gen_ai.usage.output_tokens = Empty,
                gen_ai.usage.cache_read.input_tokens = Empty, gen_ai.usage.reasoning_tokens = Empty,
                gen_ai.input.messages = "[]", gen_ai.output.messages = Empty,
            );
            call.record("gen_ai.response.model", "gpt-4o-2024-08-06");
            call.record("gen_ai.usage.input_tokens", 120_u64);
            call.record("gen_ai.usage.output_tokens", 50_u64);
            call.record("gen_ai.usage.cache_read.input_tokens", 100_u64);
        });
        agent.record("gen_ai.usage.input_tokens", 120_u64);
        agent.record("gen_ai.usage.output_tokens", 50_u64);
    });
    assert_eq!(outcome.tokens(), [vec![120], vec![50], vec![170]]);
    let usage = outcome.named("gen_ai.client.token.usage");
    assert_eq!(usage.len(), 2);
    assert_eq!(usage[0].label("gen_ai.operation.name"), "chat");
    assert_eq!(usage[0].label("gen_ai.response.model"), "gpt-4o-2024-08-06");
    assert_eq!(outcome.integers("gen_ai.invoke_agent.inference_calls"), [1]);
    assert_eq!(outcome.stats.repeated, 1);
}

#[test]
fn aggregated_usage_is_not_usage() {
    let outcome = run(|| {
        info_span!(
            "agent run",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.aggregated_usage.input_tokens = 900,
            gen_ai.aggregated_usage.output_tokens = 90
        )
        .in_scope(|| {
            info_span!(
                "chat m",
                gen_ai.operation.name = "chat",
                gen_ai.usage.input_tokens = 9,
                gen_ai.usage.output_tokens = 1
            )
        });
    });
    assert_eq!(outcome.tokens(), [vec![9], vec![1], vec![10]]);
}

#[test]
fn ambiguous_keys_count_only_on_spans_about_models_or_if_configured() {
    let parser = || drop(info_span!("parse", input_tokens = 12, output_tokens = 5));
    assert!(run(parser).all.is_empty());
    let outcome = run_with(|builder| builder.bare_names(true), parser);
    assert_eq!(outcome.tokens(), [vec![12], vec![5], vec![17]]);
}

#[test]
fn the_counters_names_can_have_a_prefix() {
    let outcome = run_with(
        |builder| builder.prefix("acme_"),
        || drop(info_span!("call", prompt_tokens = 12)),
    );
    assert_eq!(outcome.integers("acme_prompt_tokens"), [12]);
    assert!(outcome.named("prompt_tokens").is_empty());
}
