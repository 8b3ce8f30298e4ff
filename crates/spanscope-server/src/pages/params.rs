//! The parameters that several routes share: a range of time, a filter, flags.

use std::time::Duration;

use spanscope_model::filter::{Filter, MAX_LEN};
use spanscope_model::text::first_chars;
use spanscope_model::{HistogramRange, Order, OrderKey, Timestamp, TraceStore};

use crate::answer::ApiError;
use crate::api::{Parameter, Takes};
use crate::runs::QueryParams;

/// Maximum length of the name of a service in a request, in characters.
const MAX_WORD: usize = 1000;

pub(super) const Q: Parameter = Parameter {
    example: Some("status=error duration>1.5s"),
    ..Parameter::query(
        "q",
        Takes::Text(MAX_LEN),
        "A filter, in the syntax of the telemetry API's parameter filter. An invalid one gets 400 with error.at, the byte offset of the error.",
    )
};
pub(super) const SINCE: Parameter = Parameter::query(
    "since",
    Takes::Pattern("^([1-9][0-9]{0,5}[smhdw])?$"),
    "Only records that began at most this long ago: 15m, 1h, 7d.",
);
pub(super) const FROM: Parameter = Parameter::query(
    "from",
    Takes::Time,
    "Only records that began at this time or later; an alternative to since.",
);
pub(super) const TO: Parameter =
    Parameter::query("to", Takes::Time, "Only records that began before this time.");
pub(super) const SERVICE: Parameter =
    Parameter::query("service", Takes::Text(MAX_WORD), "Only records of this service.");
pub(super) const ERRORS: Parameter =
    Parameter::query("errors", Takes::Word(flag), "1: only failed traces or spans.");
pub(super) const RUNNING: Parameter = Parameter::query(
    "running",
    Takes::Word(flag),
    "1: only traces with a running span.",
);
pub(super) const LIMIT: Parameter =
    Parameter::query("limit", Takes::Number(100, 1, 1000), "Maximum number of rows.");
pub(super) const BEFORE: Parameter = Parameter::query(
    "before",
    Takes::Text(80),
    "The cursor of the page: the field next of the previous page.",
);
pub(super) const BUCKETS: Parameter = Parameter::query(
    "buckets",
    Takes::Number(60, 1, HistogramRange::MAX_BUCKETS as u64),
    "The number of buckets.",
);

fn flag() -> Vec<&'static str> {
    vec!["0", "1"]
}

/// A range of time: from `from`, and before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Range {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

/// Minimum range of a histogram without a start, so that its buckets are not shorter than the times
/// that a page shows.
const SHORTEST_RANGE: Duration = Duration::from_secs(60);

impl Range {
    /// Reads `since`, or `from` and `to`.
    pub(super) fn read(params: &QueryParams) -> Result<Self, ApiError> {
        let to = params.time(TO.name)?;
        let from = match (params.text(SINCE.name), params.time(FROM.name)?) {
            (None, from) => from,
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "since and from are both given: give one of them",
                ));
            }
            (Some(text), None) => {
                let ago = age(text).ok_or_else(|| {
                    let text = first_chars(text, 80);
                    ApiError::invalid(format!("since is {text:?}: write it as 15m, 1h or 7d"))
                })?;
                Some(Timestamp::now().before(ago))
            }
        };
        Ok(Self { from, to })
    }

    /// Returns the range with buckets. Without a start it begins with the oldest record, because
    /// the list then has all records.
    pub(super) async fn buckets(
        self,
        params: &QueryParams,
        store: &dyn TraceStore,
    ) -> Result<HistogramRange, ApiError> {
        let to = self.to.unwrap_or_else(|| {
            // The end is exclusive, and a record that began this moment belongs to the range.
            Timestamp::from_nanos(Timestamp::now().as_nanos().saturating_add(1))
        });
        let buckets = params.number(&[BUCKETS], BUCKETS.name)?;
        let from = match self.from {
            Some(from) => from,
            None => {
                let latest = to.before(SHORTEST_RANGE);
                store.oldest().await?.map_or(latest, |oldest| oldest.min(latest))
            }
        };
        Ok(HistogramRange {
            from,
            to,
            buckets: u32::try_from(buckets).unwrap_or(1),
        })
    }
}

/// The parameters that all lists and histograms have in common.
pub(super) struct CommonParams {
    pub(super) filter: Filter,
    /// The filter as it was written, without blanks at its ends.
    pub(super) filter_text: String,
    pub(super) range: Range,
    pub(super) service: Option<String>,
}

impl CommonParams {
    pub(super) fn read(params: &QueryParams) -> Result<Self, ApiError> {
        let range = Range::read(params)?;
        let (filter, filter_text) = filter(params)?;
        Ok(Self {
            filter,
            filter_text,
            range,
            service: text(params, &SERVICE),
        })
    }
}

pub(super) const fn order(key: OrderKey, descending: bool) -> Order {
    Order { key, descending }
}

/// Returns the one of these orders that the parameter `sort` names.
pub(super) fn sorted(params: &QueryParams, sorts: &[(&str, Order)]) -> Result<Option<Order>, ApiError> {
    let Some(sort) = params.text("sort") else {
        return Ok(None);
    };
    let known = sorts.iter().find(|(word, _)| *word == sort);
    known.map(|(_, order)| Some(*order)).ok_or_else(|| {
        let words: Vec<&str> = sorts.iter().map(|(word, _)| *word).collect();
        ApiError::invalid(format!(
            "sort is {:?}: use one of {}",
            first_chars(sort, 80),
            words.join(" ")
        ))
    })
}

/// Returns the error of a cursor that does not belong to this list.
pub(super) fn no_cursor(cursor: &str) -> ApiError {
    ApiError::invalid(format!(
        "before is {:?}, which is not a cursor of this order: give the field next of the previous page",
        first_chars(cursor, 80)
    ))
}

/// Parses a number and one of the units s, m, h, d and w.
pub(super) fn age(text: &str) -> Option<Duration> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        b'w' => 7 * 86_400,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let is_number = (1..=6).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|number| is_number && *number > 0)?;
    Some(Duration::from_secs(number * unit))
}

/// Returns the filter, and its text without blanks at its ends.
pub(super) fn filter(params: &QueryParams) -> Result<(Filter, String), ApiError> {
    let text = params.text(Q.name).unwrap_or_default().trim();
    let filter = text.parse().map_err(|error| ApiError::wrong_filter(&error))?;
    Ok((filter, text.to_owned()))
}

/// Returns whether a flag is set.
pub(super) fn is_set(params: &QueryParams, flag: &Parameter) -> Result<bool, ApiError> {
    match params.text(flag.name) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(ApiError::invalid(format!(
            "{} is {:?}: give 1, or leave it out",
            flag.name,
            first_chars(other, 80)
        ))),
    }
}

/// Returns the text of a parameter, if it was given.
pub(super) fn text(params: &QueryParams, parameter: &Parameter) -> Option<String> {
    params.text(parameter.name).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("15m", 900),
            ("1h", 3600),
            ("2d", 172_800),
            ("1w", 604_800),
            ("30s", 30),
        ] {
            assert_eq!(age(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "0m", "-1m", "1", "1y", "9999999s", "1 h", "１h", "+1h"] {
            assert_eq!(age(text), None, "{text}");
        }
    }
}
