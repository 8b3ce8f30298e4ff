//! The token counts of a span: read strictly, never guessed.

use super::attribute::SemanticAttribute as A;
use super::operation::OperationKind;
use super::source::Convention;
use super::values::AttributeValues;
use crate::RawValue;

/// Beyond this a float is not an exact count, and no call uses such a number of tokens.
const MAX_COUNT: u64 = 1 << 53;

/// The reason why a value is not a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountError {
    /// Negative.
    Negative,
    /// Not a whole number.
    Fractional,
    /// Not a number.
    NotANumber,
    /// Beyond 2^53.
    TooLarge,
}

/// A problem with the usage that a span reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageProblem {
    /// A value is not a count and was left out.
    Invalid(CountError),
    /// The parts (cache, reasoning) are larger than their whole, or the total shows that the whole
    /// was reported without them: they were added to it.
    PartExceedsWhole,
    /// The reported total is not the sum of input and output; the reported total was kept.
    DifferingTotal,
}

/// The token counts of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenCounts {
    /// Input tokens, cached ones included.
    pub input: Option<u64>,
    /// Output tokens, reasoning included.
    pub output: Option<u64>,
    /// The reported total, else the sum of input and output.
    pub total: Option<u64>,
    /// Input tokens that were read from a cache.
    pub cache_read: Option<u64>,
    /// Input tokens that were written to a cache.
    pub cache_write: Option<u64>,
    /// Output tokens that were reasoning.
    pub reasoning: Option<u64>,
}

impl TokenCounts {
    /// Reads the counts, those under bare names only if `with_bare_names`. Invalid counts are left
    /// out and reported as a problem; nothing replaces them.
    #[must_use]
    pub fn read(
        values: &AttributeValues<'_>,
        with_bare_names: bool,
        mut report: impl FnMut(UsageProblem),
    ) -> Self {
        let is_read = |meaning| with_bare_names || values.convention(meaning) != Some(Convention::Bare);
        // `Ok(None)` if nothing is reported, an error if the reported value is not a count.
        let mut count = |meaning| match values.get(meaning).filter(|_| is_read(meaning)) {
            None => Ok(None),
            Some(value) => count_of(&value)
                .map(Some)
                .inspect_err(|error| report(UsageProblem::Invalid(*error))),
        };
        let (input, output) = (count(A::InputTokens), count(A::OutputTokens));
        let has_invalid_part = input.is_err() || output.is_err();
        let sum_of = |input: Option<u64>, output: Option<u64>| match (input, output) {
            _ if has_invalid_part => None,
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
        };
        let mut others = [
            A::TotalTokens,
            A::CacheReadTokens,
            A::CacheWriteTokens,
            A::ReasoningTokens,
            A::UsageObject,
        ]
        .into_iter();
        if !others.any(|meaning| values.has(meaning)) {
            // Most spans report no others, and then nothing has to be compared.
            let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
            return Self {
                input,
                output,
                total: sum_of(input, output),
                ..Self::default()
            };
        }
        let object = UsageObject::of(values);
        let reported = count(A::TotalTokens).unwrap_or_default().or(object.total);
        let input = input.unwrap_or_default().or(object.input);
        let output = output.unwrap_or_default().or(object.output);
        let cache_read = count(A::CacheReadTokens)
            .unwrap_or_default()
            .or(object.cache_read);
        let cache_write = count(A::CacheWriteTokens)
            .unwrap_or_default()
            .or(object.cache_write);
        let reasoning = count(A::ReasoningTokens).unwrap_or_default().or(object.reasoning);
        let reported_sum = sum_of(input, output);
        let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
        let parts = [cached, reasoning.unwrap_or(0)];
        let left_out = parts_left_out(reported_sum, reported, parts);
        let wholes = [(input, parts[0], left_out[0]), (output, parts[1], left_out[1])];
        let [input, output] = wholes.map(|(whole, parts, are_left_out)| {
            // An inclusive count can't be smaller than its parts, so this one excludes them.
            let is_beyond = whole.is_some_and(|whole| are_left_out || parts > whole);
            if is_beyond {
                report(UsageProblem::PartExceedsWhole);
            }
            whole.map(|whole| match is_beyond {
                true => whole.saturating_add(parts),
                false => whole,
            })
        });
        let sum = sum_of(input, output);
        // A total of the counts as reported excludes the parts too.
        let reported = reported.filter(|reported| sum == reported_sum || Some(*reported) != reported_sum);
        if input.is_some() && output.is_some() && reported.is_some() && reported != sum && sum.is_some() {
            report(UsageProblem::DifferingTotal);
        }
        Self {
            input,
            output,
            total: reported.or(sum),
            cache_read,
            cache_write,
            reasoning,
        }
    }

    /// Returns whether anything was used: libraries write zeros if the provider reported nothing.
    #[must_use]
    pub fn is_any(&self) -> bool {
        [self.input, self.output, self.total]
            .iter()
            .any(|count| count.is_some_and(|count| count > 0))
    }
}

/// Returns which of the counts, input and output, were reported without their parts. The reported
/// total shows it: it exceeds both counts together by exactly these parts.
fn parts_left_out(sum: Option<u64>, total: Option<u64>, parts: [u64; 2]) -> [bool; 2] {
    let beyond = match (sum, total) {
        (Some(sum), Some(total)) if total > sum => total - sum,
        _ => return [false; 2],
    };
    let [cached, reasoning] = parts;
    match (beyond == cached, beyond == reasoning) {
        (true, false) => [true, false],
        (false, true) => [false, true],
        (false, false) if cached > 0 && reasoning > 0 && beyond == cached.saturating_add(reasoning) => {
            [true; 2]
        }
        // Both are possible: nothing shows which one it is.
        _ => [false; 2],
    }
}

/// Returns the reported cost of a call in US dollars, under a bare name only if `with_bare_names`.
/// Returns `None` if none is reported, or if it is not a number of 0 or more.
#[must_use]
pub(super) fn reported_cost(values: &AttributeValues<'_>, with_bare_names: bool) -> Option<f64> {
    if !with_bare_names && values.convention(A::Cost) == Some(Convention::Bare) {
        return None;
    }
    let cost = match values.get(A::Cost)? {
        RawValue::Text(text, None) => text.trim().parse().ok()?,
        RawValue::Text(_, Some(_)) | RawValue::Bool(_) => return None,
        RawValue::F64(cost) => cost,
        number => number.to_string().parse().ok()?,
    };
    Some(cost).filter(|cost: &f64| cost.is_finite() && *cost >= 0.0)
}

/// Counts that a library writes as one JSON object, under the providers' names.
#[derive(Debug, Default)]
struct UsageObject {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    /// Written to a cache, summed over the cache lifetimes.
    kept: u64,
}

impl UsageObject {
    fn of(values: &AttributeValues<'_>) -> Self {
        let mut counts = Self::default();
        if let Some(text) = values.text(A::UsageObject)
            && let Ok(object) = serde_json::from_str(text)
        {
            counts.read(&object, "");
        }
        let kept = Some(counts.kept).filter(|kept| *kept > 0);
        counts.cache_write = counts.cache_write.filter(|written| *written > 0).or(kept);
        counts
    }

    /// Reads the members, and those of inner objects (`input_token_details`) by both names.
    fn read(&mut self, object: &serde_json::Map<String, serde_json::Value>, within: &str) {
        for (key, value) in object {
            if let (serde_json::Value::Object(inner), "") = (value, within) {
                self.read(inner, key);
                continue;
            }
            let is_input = matches!(
                within,
                "" | "input_token_details" | "prompt_tokens_details" | "input_tokens_details"
            );
            let place = match (within, key.as_str()) {
                ("", "input_tokens" | "prompt_tokens" | "input" | "inputTokens") => &mut self.input,
                ("", "output_tokens" | "completion_tokens" | "output" | "outputTokens") => &mut self.output,
                ("", "total_tokens" | "total" | "totalTokens" | "tokens") => &mut self.total,
                (
                    _,
                    "cache_read_input_tokens"
                    | "input_cached_tokens"
                    | "cache_read"
                    | "cached_tokens"
                    | "prompt_cached_tokens",
                ) => &mut self.cache_read,
                (
                    _,
                    "cache_creation_input_tokens"
                    | "cache_creation"
                    | "cache_write"
                    | "input_cache_creation"
                    | "prompt_cache_creation_tokens",
                ) => &mut self.cache_write,
                (
                    _,
                    "reasoning_tokens"
                    | "reasoning"
                    | "output_reasoning_tokens"
                    | "completion_reasoning_tokens",
                ) => &mut self.reasoning,
                // Anthropic reports cache writes separately for each lifetime.
                (_, "ephemeral_5m_input_tokens" | "ephemeral_1h_input_tokens") if is_input => {
                    self.kept += value.as_u64().filter(|count| *count <= MAX_COUNT).unwrap_or(0);
                    continue;
                }
                _ => continue,
            };
            *place = place.or_else(|| value.as_u64().filter(|count| *count <= MAX_COUNT));
        }
    }
}

/// The usage of a model call, read from its span in any convention.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanTokens {
    /// Input tokens, cached ones included.
    pub prompt: Option<u64>,
    /// Output tokens.
    pub completion: Option<u64>,
    /// The reported total, else the sum of input and output.
    pub total: Option<u64>,
    /// Input tokens that were read from a cache.
    pub cache_read: Option<u64>,
    /// Input tokens that were written to a cache.
    pub cache_write: Option<u64>,
    /// The model; empty if the span names none.
    pub model: String,
    /// The provider; empty if the span names none.
    pub provider: String,
}

impl SpanTokens {
    /// Reads the attributes of a span by the rules of the token metrics. Returns `None` if it
    /// reports no usage, and if its usage is a sum of calls below it: that of an agent, a workflow
    /// or a chain. The caller must know whether a span below counted the same tokens.
    ///
    /// ```
    /// use spanscope_model::{RawValue, semconv::SpanTokens};
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
        let values = AttributeValues::of(attributes);
        let (kind, _) = OperationKind::of(&values);
        if kind.never_counts() {
            return None;
        }
        let counts = TokenCounts::read(&values, kind.is_about_models(&values), |_| ());
        if !counts.is_any() {
            return None;
        }
        let text = |value: Option<RawValue<'_>>| match value {
            Some(RawValue::Text(text, _)) => text.to_owned(),
            _ => String::new(),
        };
        let cached = |count: Option<u64>| count.filter(|count| *count > 0);
        Some(Self {
            prompt: counts.input,
            completion: counts.output,
            total: counts.total,
            cache_read: cached(counts.cache_read),
            cache_write: cached(counts.cache_write),
            model: text(values.model()),
            provider: text(values.provider()),
        })
    }
}

fn count_of(value: &RawValue<'_>) -> Result<u64, CountError> {
    match *value {
        RawValue::U64(count) => up_to_max(count),
        RawValue::I64(count) => u64::try_from(count)
            .map_err(|_| CountError::Negative)
            .and_then(up_to_max),
        RawValue::F64(count) => whole(count),
        RawValue::Bool(_) | RawValue::Text(_, Some(_)) => Err(CountError::NotANumber),
        RawValue::Text(text, None) => {
            let text = text.trim();
            match text.parse::<i128>() {
                Ok(count) if count < 0 => Err(CountError::Negative),
                Ok(count) => u64::try_from(count)
                    .map_err(|_| CountError::TooLarge)
                    .and_then(up_to_max),
                Err(_) => text
                    .parse::<f64>()
                    .map_err(|_| CountError::NotANumber)
                    .and_then(whole),
            }
        }
    }
}

fn up_to_max(count: u64) -> Result<u64, CountError> {
    if count <= MAX_COUNT {
        Ok(count)
    } else {
        Err(CountError::TooLarge)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is whole, not negative, and at most 2^53 when it is cast"
)]
fn whole(count: f64) -> Result<u64, CountError> {
    match count {
        count if count.is_nan() => Err(CountError::NotANumber),
        count if count < 0.0 => Err(CountError::Negative),
        count if count > MAX_COUNT as f64 => Err(CountError::TooLarge),
        count if count.fract() != 0.0 => Err(CountError::Fractional),
        count => Ok(count as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_up_to_2_to_the_53_are_counts() {
        let text = |text| RawValue::Text(text, None);
        let max = 1_u64 << 53;
        for (value, count) in [
            (RawValue::U64(17), Ok(17)),
            (RawValue::I64(0), Ok(0)),
            (RawValue::U64(max), Ok(max)),
            (RawValue::F64(12.0), Ok(12)),
            (RawValue::F64(-0.0), Ok(0)),
            (text(" 42 "), Ok(42)),
            (text("42.0"), Ok(42)),
            (text("1e3"), Ok(1000)),
            (RawValue::I64(-1), Err(CountError::Negative)),
            (RawValue::F64(-0.5), Err(CountError::Negative)),
            (text("-3"), Err(CountError::Negative)),
            (
                text("-170141183460469231731687303715884105729"),
                Err(CountError::Negative),
            ),
            (RawValue::F64(0.5), Err(CountError::Fractional)),
            (text("3.25"), Err(CountError::Fractional)),
            (RawValue::F64(f64::NAN), Err(CountError::NotANumber)),
            (RawValue::F64(f64::INFINITY), Err(CountError::TooLarge)),
            (RawValue::U64(max + 1), Err(CountError::TooLarge)),
            (RawValue::I64(i64::MAX), Err(CountError::TooLarge)),
            (
                text("99999999999999999999999999999999999999999999"),
                Err(CountError::TooLarge),
            ),
            (text("many"), Err(CountError::NotANumber)),
            (text("Some(3)"), Err(CountError::NotANumber)),
            (RawValue::Bool(true), Err(CountError::NotANumber)),
            (RawValue::Text("12", Some(40_000)), Err(CountError::NotANumber)),
        ] {
            assert_eq!(count_of(&value), count, "{value:?}");
        }
    }
}
