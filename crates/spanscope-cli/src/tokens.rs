//! Token usage as model calls report it in their attributes.

use spanscope_model::Attributes;

/// The accepted pairs of keys for tokens in and out; the first that is there counts.
const USAGE_KEYS: [(&str, &str); 3] = [
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    ("prompt_tokens", "completion_tokens"),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pair_of_keys_counts_alone() {
        let mut attributes = Attributes::new();
        attributes.set("prompt_tokens", 5);
        attributes.set("gen_ai.usage.output_tokens", 7);
        assert_eq!(of_span(&attributes), Some((0, 7)));
        assert_eq!(of_span(&Attributes::new()), None);
    }
}
