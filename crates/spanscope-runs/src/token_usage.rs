//! [`TokenUsage`]: the tokens of a call, by the rules of the token metrics. Only this module reads
//! a step's usage, so that events and summaries agree.

use serde::Serialize;
use spanscope_model::Attributes;
use spanscope_model::semconv::SpanTokens;

/// The reported tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TokenUsage {
    /// Input tokens, cached ones included.
    pub prompt: Option<u64>,
    /// Output tokens.
    pub completion: Option<u64>,
    /// The reported total, else the sum of input and output.
    pub total: Option<u64>,
}

/// Returns the reported usage of a step, by the rules of the token metrics.
pub(crate) fn tokens_of(attributes: &Attributes) -> Option<TokenUsage> {
    let tokens = SpanTokens::of(attributes.raw())?;
    Some(TokenUsage {
        prompt: tokens.prompt,
        completion: tokens.completion,
        total: tokens.total,
    })
}
