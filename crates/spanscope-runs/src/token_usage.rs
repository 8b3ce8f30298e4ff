//! The tokens of a call, by the rules of the token metrics: what a step used is read here and
//! nowhere else, so an event and a summary agree.

use serde::Serialize;
use spanscope_model::Attributes;
use spanscope_model::semconv::SpanTokens;

/// Tokens of a call, as far as they were reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenUsage {
    /// That went in, cached ones included.
    pub prompt: Option<u64>,
    /// That came out.
    pub completion: Option<u64>,
    /// Both: as reported, else their sum.
    pub total: Option<u64>,
}

/// The tokens that a step says it used, by the rules of the token metrics.
pub(crate) fn tokens_of(attributes: &Attributes) -> Option<TokenUsage> {
    let tokens = SpanTokens::of(attributes.raw())?;
    Some(TokenUsage {
        prompt: tokens.prompt,
        completion: tokens.completion,
        total: tokens.total,
    })
}
