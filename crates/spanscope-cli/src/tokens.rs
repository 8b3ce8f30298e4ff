//! Token usage as model calls report it in their attributes.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use spanscope_model::{Attributes, Span, SpanId};

/// The accepted pairs of keys for tokens in and out; the first that is there counts.
const USAGE_KEYS: [(&str, &str); 3] = [
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    ("prompt_tokens", "completion_tokens"),
];

/// Operations that call a model. The others, such as `invoke_agent`, report sums of these.
const MODEL_OPERATIONS: [&str; 4] = ["chat", "embeddings", "text_completion", "generate_content"];

/// Tokens of one model in the calls of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ModelUsage {
    /// The model that was asked for.
    pub(crate) model: String,
    /// Who runs it.
    pub(crate) provider: String,
    /// How many calls were made.
    pub(crate) calls: u64,
    /// Tokens that went in.
    pub(crate) input: u64,
    /// Tokens that came out.
    pub(crate) output: u64,
}

/// Tokens in and out of one span, if it says any.
pub(crate) fn of_span(attributes: &Attributes) -> Option<(u64, u64)> {
    let number = |key| {
        let value = attributes.get(key)?.as_i64()?;
        u64::try_from(value).ok()
    };
    USAGE_KEYS
        .iter()
        .find_map(|(input, output)| match (number(input), number(output)) {
            (None, None) => None,
            (input, output) => Some((input.unwrap_or(0), output.unwrap_or(0))),
        })
}

/// Adds up the usage by model and provider. Of calls inside of calls only the innermost count, so that nothing is
/// counted twice.
pub(crate) fn by_model(spans: &[Span]) -> Vec<ModelUsage> {
    let parents: HashMap<SpanId, Option<SpanId>> = spans
        .iter()
        .map(|span| (span.span_id, span.parent_span_id))
        .collect();
    let calls: Vec<&Span> = spans.iter().filter(|span| is_model_call(span)).collect();
    let mut outer = HashSet::new();
    for call in &calls {
        let mut at = call.parent_span_id;
        // Stops where another call went along before, and so at cycles too.
        while let Some(parent) = at
            && outer.insert(parent)
        {
            at = parents.get(&parent).copied().flatten();
        }
    }
    let mut models: BTreeMap<(String, String), ModelUsage> = BTreeMap::new();
    for call in calls.into_iter().filter(|call| !outer.contains(&call.span_id)) {
        let text = |keys: &[&str]| {
            let value = keys.iter().find_map(|key| call.attributes.get(key));
            value.map_or_else(|| "(unknown)".to_owned(), ToString::to_string)
        };
        let model = text(&["gen_ai.request.model", "gen_ai.response.model", "model_id"]);
        let provider = text(&["gen_ai.provider.name", "gen_ai.system", "provider_id"]);
        let (input, output) = of_span(&call.attributes).unwrap_or_default();
        let sum = models
            .entry((model.clone(), provider.clone()))
            .or_insert(ModelUsage {
                model,
                provider,
                calls: 0,
                input: 0,
                output: 0,
            });
        sum.calls += 1;
        sum.input = sum.input.saturating_add(input);
        sum.output = sum.output.saturating_add(output);
    }
    models.into_values().collect()
}

fn is_model_call(span: &Span) -> bool {
    let operation = span.attributes.get("gen_ai.operation.name");
    operation
        .and_then(|value| value.as_str())
        .is_some_and(|name| MODEL_OPERATIONS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::span;

    fn call(id: u64, parent: u64, operation: &str, input: i64) -> Span {
        let mut call = span(id, parent, operation, 0, 10);
        call.attributes.set("gen_ai.operation.name", operation);
        call.attributes.set("gen_ai.request.model", "llama");
        call.attributes.set("gen_ai.usage.input_tokens", input);
        call
    }

    #[test]
    fn an_agents_total_and_an_outer_call_are_not_counted() {
        let spans = [
            call(1, 0, "invoke_agent", 30),
            call(2, 1, "chat", 30),
            call(3, 2, "chat", 10),
            call(4, 2, "chat", 20),
        ];
        let usage = by_model(&spans);
        assert_eq!(usage.len(), 1);
        assert_eq!((usage[0].calls, usage[0].input, usage[0].output), (2, 30, 0));
        assert_eq!(usage[0].provider, "(unknown)");
    }

    #[test]
    fn the_first_pair_of_keys_counts_alone() {
        let mut attributes = Attributes::new();
        attributes.set("prompt_tokens", 5);
        attributes.set("gen_ai.usage.output_tokens", 7);
        assert_eq!(of_span(&attributes), Some((0, 7)));
        assert_eq!(of_span(&Attributes::new()), None);
    }
}
