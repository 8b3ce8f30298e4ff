//! The token counts of a span: read strictly, never guessed.

use super::aliases::{Convention, Meaning};
use super::found::Found;
use super::stats::{Counters, Rejection};
use spanscope_core::capture::RawValue;

/// Beyond this a floating point number is no exact count any more, and no call uses so many tokens.
const MAX_COUNT: u64 = 1 << 53;

/// What a span says it used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    /// The reported one, or else the sum of what was reported.
    pub(super) total: Option<u64>,
    pub(super) cache_read: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) reasoning: Option<u64>,
}

impl Usage {
    /// Reads the counts. Those that are none are left out and noted; nothing is made of them.
    pub(super) fn read(found: &Found<'_>, with_bare_names: bool, counters: &Counters) -> Self {
        let mut has_rejected_part = false;
        let mut rejected = |rejection| {
            counters.reject(rejection);
            has_rejected_part = true;
        };
        let is_read = |meaning| with_bare_names || found.convention(meaning) != Some(Convention::Bare);
        let input = count(found, Meaning::InputTokens, is_read, &mut rejected);
        let output = count(found, Meaning::OutputTokens, is_read, &mut rejected);
        let mut note = |rejection| counters.reject(rejection);
        let reported = count(found, Meaning::TotalTokens, is_read, &mut note);
        let sum = match (input, output) {
            _ if has_rejected_part => None,
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0) + output.unwrap_or(0)),
        };
        if input.is_some() && output.is_some() && reported.is_some() && reported != sum && sum.is_some() {
            counters.note_differing_total();
        }
        let mut part = |meaning, whole: Option<u64>| {
            let part = count(found, meaning, is_read, &mut note)?;
            if whole.is_some_and(|whole| part > whole) {
                note(Rejection::PartBeyondWhole);
                return None;
            }
            Some(part)
        };
        Self {
            input,
            output,
            total: reported.or(sum),
            cache_read: part(Meaning::CacheReadTokens, input),
            cache_write: part(Meaning::CacheWriteTokens, input),
            reasoning: part(Meaning::ReasoningTokens, output),
        }
    }

    /// Whether anything was used: libraries write zeros where the provider reported nothing.
    pub(super) fn is_any(&self) -> bool {
        [self.input, self.output, self.total]
            .iter()
            .any(|count| count.is_some_and(|count| count > 0))
    }
}

fn count(
    found: &Found<'_>,
    meaning: Meaning,
    is_read: impl Fn(Meaning) -> bool,
    reject: &mut impl FnMut(Rejection),
) -> Option<u64> {
    let value = found.get(meaning)?;
    if !is_read(meaning) {
        return None;
    }
    count_of(&value).map_err(reject).ok()
}

fn count_of(value: &RawValue<'_>) -> Result<u64, Rejection> {
    match *value {
        RawValue::U64(count) => up_to_max(count),
        RawValue::I64(count) => u64::try_from(count)
            .map_err(|_| Rejection::Negative)
            .and_then(up_to_max),
        RawValue::F64(count) => whole(count),
        RawValue::Bool(_) | RawValue::Text(_, Some(_)) => Err(Rejection::NotANumber),
        RawValue::Text(text, None) => {
            let text = text.trim();
            match text.parse::<i128>() {
                Ok(count) if count < 0 => Err(Rejection::Negative),
                Ok(count) => u64::try_from(count)
                    .map_err(|_| Rejection::TooLarge)
                    .and_then(up_to_max),
                Err(_) => text
                    .parse::<f64>()
                    .map_err(|_| Rejection::NotANumber)
                    .and_then(whole),
            }
        }
    }
}

fn up_to_max(count: u64) -> Result<u64, Rejection> {
    if count <= MAX_COUNT {
        Ok(count)
    } else {
        Err(Rejection::TooLarge)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is whole, not negative, and at most 2^53 when it is cast"
)]
fn whole(count: f64) -> Result<u64, Rejection> {
    match count {
        count if count.is_nan() => Err(Rejection::NotANumber),
        count if count < 0.0 => Err(Rejection::Negative),
        count if count > MAX_COUNT as f64 => Err(Rejection::TooLarge),
        count if count.fract() != 0.0 => Err(Rejection::Fractional),
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
            (RawValue::I64(-1), Err(Rejection::Negative)),
            (RawValue::F64(-0.5), Err(Rejection::Negative)),
            (text("-3"), Err(Rejection::Negative)),
            (
                text("-170141183460469231731687303715884105729"),
                Err(Rejection::Negative),
            ),
            (RawValue::F64(0.5), Err(Rejection::Fractional)),
            (text("3.25"), Err(Rejection::Fractional)),
            (RawValue::F64(f64::NAN), Err(Rejection::NotANumber)),
            (RawValue::F64(f64::INFINITY), Err(Rejection::TooLarge)),
            (RawValue::U64(max + 1), Err(Rejection::TooLarge)),
            (RawValue::I64(i64::MAX), Err(Rejection::TooLarge)),
            (
                text("99999999999999999999999999999999999999999999"),
                Err(Rejection::TooLarge),
            ),
            (text("many"), Err(Rejection::NotANumber)),
            (text("Some(3)"), Err(Rejection::NotANumber)),
            (RawValue::Bool(true), Err(Rejection::NotANumber)),
            (RawValue::Text("12", Some(40_000)), Err(Rejection::NotANumber)),
        ] {
            assert_eq!(count_of(&value), count, "{value:?}");
        }
    }
}
