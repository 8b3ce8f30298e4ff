//! Converts arguments to the store's types. An invalid argument is wrong usage, and the error names
//! a valid one.

use std::time::Duration;

use anyhow::Result;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use spanscope_model::filter::Filter;
use spanscope_model::{LabelMatcher, Order, OrderKey, Severity, SpanFilter, Timestamp, TraceFilter};

use crate::args::FilterArgs;
use crate::failure::Stop;
use crate::render::duration;

/// Converts the filter of `traces` and `export`.
pub(crate) fn trace_filter(
    args: &FilterArgs,
    filter: Filter,
    limit: u64,
    zone: &TimeZone,
) -> Result<TraceFilter> {
    let (since, until) = range(args.since.as_deref(), args.until.as_deref(), zone)?;
    Ok(TraceFilter::default()
        .filter(filter)
        .since(since)
        .until(until)
        .service(args.service.clone())
        .errors(args.errors)
        .order_by(orders(&args.order_by)?)
        .limit(limit)
        .offset(args.offset))
}

/// Converts the filter of `spans`.
pub(crate) fn span_filter(
    args: &FilterArgs,
    filter: Filter,
    limit: u64,
    zone: &TimeZone,
) -> Result<SpanFilter> {
    let order_by = orders(&args.order_by)?;
    if order_by.iter().any(|order| order.key == OrderKey::SpanCount) {
        return Err(Stop::usage("span_count orders traces only"));
    }
    let (since, until) = range(args.since.as_deref(), args.until.as_deref(), zone)?;
    Ok(SpanFilter::default()
        .filter(filter)
        .since(since)
        .until(until)
        .service(args.service.clone())
        .errors(args.errors)
        .order_by(order_by)
        .limit(limit)
        .offset(args.offset))
}

/// Parses `--since` and `--until`.
pub(crate) fn range(
    since: Option<&str>,
    until: Option<&str>,
    zone: &TimeZone,
) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
    let moment = |text: Option<&str>| text.map(|text| self::since(text, zone)).transpose();
    let (since, until) = (moment(since)?, moment(until)?);
    if let (Some(from), Some(to)) = (since, until)
        && from >= to
    {
        return Err(Stop::usage(format!(
            "--until ({to}) is not after --since ({from}): nothing is between them"
        )));
    }
    Ok((since, until))
}

/// Parses `--since` and `--until`. By default the range ends now, and starts `default` before its
/// end.
pub(crate) fn range_of(
    since: Option<&str>,
    until: Option<&str>,
    default: &str,
    zone: &TimeZone,
) -> Result<(Timestamp, Timestamp)> {
    let (from, to) = range(since, until, zone)?;
    let to = to.unwrap_or_else(Timestamp::now);
    let from = match from {
        Some(from) => from,
        // If the end is in the future, `default` before now.
        None => to.min(Timestamp::now()).before(age(default)?),
    };
    Ok((from, to))
}

fn orders(texts: &[String]) -> Result<Vec<Order>> {
    texts
        .iter()
        .map(|text| text.parse().map_err(Stop::usage))
        .collect()
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned()),
        None => text.to_owned(),
    }
}

/// Parses `LABEL=VALUE`, `LABEL!=VALUE`, `LABEL=~EXPRESSION` or `LABEL!~EXPRESSION`; the value may
/// be in double quotes.
pub(crate) fn label_matcher(text: &str) -> Result<LabelMatcher> {
    let split = text
        .find(['=', '!'])
        .map(|at| text.split_at(at))
        .and_then(|(name, rest)| {
            // Longer operators first: `=~` begins with `=`.
            ["=~", "!~", "!=", "="]
                .into_iter()
                .find_map(|word| Some((name.trim(), word, rest.strip_prefix(word)?)))
        });
    match split {
        Some((name, word, value)) if !name.is_empty() => Ok(LabelMatcher {
            name: name.to_owned(),
            value: unquoted(value.trim()),
            operator: word.parse().map_err(Stop::usage)?,
        }),
        _ => Err(Stop::usage(format!(
            "{text:?} is not a condition on a label: write LABEL=VALUE, LABEL!=VALUE, 'LABEL=~EXPRESSION' or \
             'LABEL!~EXPRESSION'"
        ))),
    }
}

/// Parses a time: an age, a time with an offset, a time or date in the user's zone, or a number of
/// seconds since 1970 or of smaller units.
pub(crate) fn since(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let text = text.trim();
    let ago = text.strip_prefix("now-").unwrap_or(text);
    if let Some(ago) = duration::parse(ago) {
        return Ok(Timestamp::now().before(ago));
    }
    if text == "now" {
        return Ok(Timestamp::now());
    }
    if let Some(moment) = unix_time(text) {
        return Ok(moment);
    }
    let moment = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| Ok::<_, jiff::Error>(civil(text, zone)?.to_zoned(zone.clone())?.timestamp()));
    let nanos = moment
        .ok()
        .and_then(|moment| i64::try_from(moment.as_nanosecond()).ok());
    nanos.map(Timestamp::from_nanos).ok_or_else(|| {
        Stop::usage(format!(
            "{text:?} is not a time: write an age as 30m, 12h or 2d, a time as 2026-11-21, \"2026-11-21 14:03\" or \
             2026-11-21T14:03:00Z, a time of today as 14:03, or now, today or yesterday"
        ))
    })
}

/// Parses a time, or a date as the beginning of the day, in the user's zone.
fn civil(text: &str, zone: &TimeZone) -> Result<DateTime, jiff::Error> {
    let today = jiff::Timestamp::now().to_zoned(zone.clone()).date();
    match text {
        "today" => Ok(today.into()),
        "yesterday" => Ok(today.yesterday()?.into()),
        text => text
            .parse()
            .or_else(|_| Ok(today.to_datetime(text.parse::<jiff::civil::Time>()?))),
    }
}

/// Parses a number of seconds since 1970, or of milliseconds, microseconds or nanoseconds,
/// distinguished by its length.
fn unix_time(text: &str) -> Option<Timestamp> {
    let number: i64 = text.parse().ok()?;
    let nanos = match text.len() {
        10 => number.checked_mul(1_000_000_000)?,
        13 => number.checked_mul(1_000_000)?,
        16 => number.checked_mul(1_000)?,
        19 => number,
        _ => return None,
    };
    Some(Timestamp::from_nanos(nanos))
}

/// Parses an age such as `7d`.
pub(crate) fn age(text: &str) -> Result<Duration> {
    duration::parse(text)
        .ok_or_else(|| Stop::usage(format!("{text:?} is not an age: write it as 30m, 12h, 7d or 2w")))
}

/// Parses a severity, also by names of log levels that other systems use.
pub(crate) fn severity(text: &str) -> Result<Severity> {
    match text.to_ascii_lowercase().as_str() {
        "trace" | "notset" => Ok(Severity::Verbose),
        "warning" => Ok(Severity::Warn),
        "fatal" => Ok(Severity::Critical),
        text => text.parse().map_err(Stop::usage),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn label_conditions_have_the_forms_of_prometheus() {
        for (text, name, word, value) in [
            ("model_id=llama", "model_id", "=", "llama"),
            ("model_id=\"llama 3\"", "model_id", "=", "llama 3"),
            ("k!=a=b", "k", "!=", "a=b"),
            (r#"k=~"llama.*""#, "k", "=~", "llama.*"),
            (r#"k=~"a\.b""#, "k", "=~", r"a\.b"),
            ("k !~ x|y", "k", "!~", "x|y"),
            ("k=", "k", "=", ""),
        ] {
            let found = label_matcher(text).unwrap();
            assert_eq!(
                (found.name.as_str(), found.operator.as_str(), found.value.as_str()),
                (name, word, value),
                "{text}"
            );
        }
        for wrong in ["", "k", "=v", "k!v", "k>5"] {
            assert!(label_matcher(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_without_an_offset_are_in_the_users_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let time = |text| since(text, &zone).unwrap().to_string();
        assert_eq!(time("2026-11-21T14:03:00Z"), "2026-11-21T14:03:00Z");
        assert_eq!(time("2026-11-21 14:03"), "2026-11-21T13:03:00Z");
        assert_eq!(time("2026-11-21"), "2026-11-20T23:00:00Z");
        assert!(since("1h", &zone).unwrap() < Timestamp::now());
        assert!(since("now-1h", &zone).unwrap() < since("now", &zone).unwrap());
        let midnight = |word| since(word, &zone).unwrap().as_nanos();
        assert_eq!(midnight("today") - midnight("yesterday"), 86_400_000_000_000);
        assert_eq!(midnight("14:03") - midnight("today"), 50_580_000_000_000);
        for same in [
            "1764550000",
            "1764550000000",
            "1764550000000000",
            "1764550000000000000",
        ] {
            assert_eq!(time(same), "2025-12-01T00:46:40Z");
        }
        for wrong in ["tomorrow", "-1h", "24:00", "5", "17645500000", ""] {
            assert!(since(wrong, &zone).is_err(), "{wrong}");
        }
        assert!(range(Some("2h"), Some("1h"), &zone).is_ok());
        assert!(range(Some("1h"), Some("2h"), &zone).is_err());
        // An end in the future does not move the start there.
        let (from, to) = range_of(None, Some("2199-01-01"), "24h", &zone).unwrap();
        assert!(from < Timestamp::now() && to > Timestamp::now());
    }

    #[test]
    fn severities_are_also_read_by_the_names_of_other_systems() {
        assert_eq!(severity("WARNING").unwrap(), Severity::Warn);
        assert_eq!(severity("trace").unwrap(), Severity::Verbose);
        assert!(severity("loud").is_err());
    }
}
