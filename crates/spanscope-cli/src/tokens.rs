//! Token usage as spans report it in their attributes.

use spanscope_model::Attributes;
use spanscope_model::semconv::{AttributeValues, OperationKind, TokenCounts};

/// Returns the input and output tokens of one span, by the rules of the token metrics; `None` if it
/// reports none. The sum in an agent's or a workflow's span is shown too.
pub(crate) fn of_span(attributes: &Attributes) -> Option<(u64, u64)> {
    let values = AttributeValues::of(attributes.raw());
    let (kind, _) = OperationKind::of(&values);
    let counts = TokenCounts::read(&values, kind.is_about_models(&values), |_| ());
    match (counts.input, counts.output) {
        (None, None) => None,
        (input, output) => Some((input.unwrap_or(0), output.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, i64)]) -> Attributes {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_first_known_attribute_of_each_count_is_used_and_counts_are_not_summed() {
        let both = attributes(&[
            ("prompt_tokens", 5),
            ("gen_ai.usage.output_tokens", 7),
            ("completion_tokens", 9),
        ]);
        assert_eq!(of_span(&both), Some((5, 7)));
        assert_eq!(
            of_span(&attributes(&[("gen_ai.usage.output_tokens", 7)])),
            Some((0, 7))
        );
        assert_eq!(of_span(&Attributes::new()), None);
    }

    #[test]
    fn usage_is_read_from_the_attributes_of_every_convention() {
        let phoenix = attributes(&[("llm.token_count.prompt", 3), ("llm.token_count.completion", 4)]);
        assert_eq!(of_span(&phoenix), Some((3, 4)));
        // These names have other meanings too.
        let bare = attributes(&[("input_tokens", 3), ("output_tokens", 4)]);
        assert_eq!(of_span(&bare), None);
    }
}
