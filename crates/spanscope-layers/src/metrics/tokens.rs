//! [`SpanTokens`]: the token counts of a span that was not captured here but sent by another program.

use super::aliases::Meaning;
use super::deed::{Deed, deed_of};
use super::ended::provider;
use super::found::Found;
use super::stats::Counters;
use super::usage::Usage;
use spanscope_core::capture::RawValue;

/// What a call of a model used, in the words of whichever convention its span has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanTokens {
    /// Tokens that went in, cached ones included.
    pub prompt: Option<u64>,
    /// Tokens that came out.
    pub completion: Option<u64>,
    /// The reported total, or else the sum of what was reported.
    pub total: Option<u64>,
    /// Of the input: read from a cache.
    pub cache_read: Option<u64>,
    /// Of the input: written to a cache.
    pub cache_write: Option<u64>,
    /// The model; empty where the span names none.
    pub model: String,
    /// Who runs it; empty likewise.
    pub provider: String,
}

impl SpanTokens {
    /// Reads the attributes of a span by the same rules as [`TokenMetricsLayer`](super::TokenMetricsLayer). `None` where it
    /// reports no usage, and where its usage is a sum of calls below it: that of an agent, a workflow or a chain. Whether a
    /// span below counted the same tokens, the caller has to know.
    ///
    /// ```
    /// use spanscope_core::capture::RawValue;
    /// use spanscope_layers::metrics::SpanTokens;
    ///
    /// let text = |text| RawValue::Text(text, None);
    /// let attributes = [
    ///     ("gen_ai.operation.name", text("chat")),
    ///     ("gen_ai.request.model", text("llama3.2:3b")),
    ///     ("gen_ai.usage.input_tokens", RawValue::I64(12)),
    ///     ("gen_ai.usage.output_tokens", RawValue::I64(30)),
    /// ];
    /// let tokens = SpanTokens::of(attributes).unwrap();
    /// assert_eq!((tokens.prompt, tokens.completion, tokens.total), (Some(12), Some(30), Some(42)));
    /// assert_eq!(tokens.model, "llama3.2:3b");
    /// ```
    pub fn of<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Option<Self> {
        let found = Found::of_names(attributes);
        let (deed, _) = deed_of(&found);
        if deed.never_counts() {
            return None;
        }
        let is_about_models =
            deed != Deed::Unknown || found.has(Meaning::RequestModel) || found.has(Meaning::ResponseModel);
        let usage = Usage::read(&found, is_about_models, &Counters::default());
        if !usage.is_any() {
            return None;
        }
        let text = |value: Option<RawValue<'_>>| match value {
            Some(RawValue::Text(text, _)) => text.to_owned(),
            _ => String::new(),
        };
        let model = found.label(Meaning::RequestModel);
        let cached = |count: Option<u64>| count.filter(|count| *count > 0);
        Some(Self {
            prompt: usage.input,
            completion: usage.output,
            total: usage.total,
            cache_read: cached(usage.cache_read),
            cache_write: cached(usage.cache_write),
            model: text(model.or_else(|| found.label(Meaning::ResponseModel))),
            provider: text(provider(&found)),
        })
    }
}
