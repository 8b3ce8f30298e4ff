//! From words to what the store understands. What can't be understood is wrong usage, and says what would be right.

use std::time::Duration;

use anyhow::Result;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use spanscope_model::{
    Condition, ConditionOp, ConditionTarget, LabelMatcher, Order, OrderKey, Severity, SpanField, SpanFilter,
    Timestamp, TraceFilter,
};

use crate::args::FilterArgs;
use crate::failure::Stop;
use crate::render::duration;

/// The filter of `traces` and `export`.
pub(crate) fn trace_filter(args: &FilterArgs, limit: u64, zone: &TimeZone) -> Result<TraceFilter> {
    Ok(TraceFilter {
        conditions: conditions(&args.conditions)?,
        since: args.since.as_deref().map(|text| since(text, zone)).transpose()?,
        until: None,
        service: args.service.clone(),
        errors: args.errors,
        order_by: orders(&args.order_by)?,
        limit,
        offset: args.offset,
    })
}

/// The filter of `spans`.
pub(crate) fn span_filter(args: &FilterArgs, limit: u64, zone: &TimeZone) -> Result<SpanFilter> {
    let order_by = orders(&args.order_by)?;
    if order_by.iter().any(|order| order.key == OrderKey::SpanCount) {
        return Err(Stop::usage("span_count orders traces only"));
    }
    Ok(SpanFilter {
        conditions: conditions(&args.conditions)?,
        since: args.since.as_deref().map(|text| since(text, zone)).transpose()?,
        service: args.service.clone(),
        errors: args.errors,
        order_by,
        limit,
        offset: args.offset,
    })
}

fn conditions(texts: &[String]) -> Result<Vec<Condition>> {
    texts.iter().map(|text| condition(text)).collect()
}

fn orders(texts: &[String]) -> Result<Vec<Order>> {
    texts
        .iter()
        .map(|text| text.parse().map_err(Stop::usage))
        .collect()
}

/// Reads `KEY=VALUE`, `KEY!=VALUE`, `KEY>VALUE` or `KEY<VALUE`.
fn condition(text: &str) -> Result<Condition> {
    let wrong = |why: &str| {
        Stop::usage(format!(
            "{text:?} is no condition: {why}; write KEY=VALUE, KEY!=VALUE, 'KEY>VALUE' or 'KEY<VALUE'"
        ))
    };
    let at = text
        .find(['=', '!', '<', '>'])
        .ok_or_else(|| wrong("it compares nothing"))?;
    let (key, rest) = text.split_at(at);
    let (op, value) = if let Some(value) = rest.strip_prefix("!=") {
        (ConditionOp::Ne, value)
    } else if let Some(value) = rest.strip_prefix('=') {
        (ConditionOp::Eq, value)
    } else if let Some(value) = rest.strip_prefix('>') {
        (ConditionOp::Gt, value)
    } else if let Some(value) = rest.strip_prefix('<') {
        (ConditionOp::Lt, value)
    } else {
        return Err(wrong("there is a ! without a ="));
    };
    if key.trim().is_empty() {
        return Err(wrong("the key is missing"));
    }
    if value.starts_with('=') {
        return Err(wrong("there is no such operator"));
    }
    let condition = Condition::new(key.trim(), op, Value::Null);
    let value = match condition.target() {
        // An id of decimal digits is no number.
        ConditionTarget::Field(field) if !is_number_or_time(field) => Value::String(unquoted(value)),
        ConditionTarget::Field(_) | ConditionTarget::Attribute(_) => self::value(value),
    };
    Ok(Condition { value, ..condition })
}

fn is_number_or_time(field: SpanField) -> bool {
    matches!(
        field,
        SpanField::DurationMs | SpanField::StartTime | SpanField::EndTime
    )
}

/// A number, true, false, or a text; what stands in double quotes is a text, whatever it looks like.
fn value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(unquoted(text)),
        },
    }
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned()),
        None => text.to_owned(),
    }
}

/// Reads `LABEL=VALUE`, `LABEL!=VALUE`, `LABEL=~EXPRESSION` or `LABEL!~EXPRESSION`; the value may stand in double quotes.
pub(crate) fn label_matcher(text: &str) -> Result<LabelMatcher> {
    let split = text
        .find(['=', '!'])
        .map(|at| text.split_at(at))
        .and_then(|(name, rest)| {
            // The longer words first: `=~` begins with `=`.
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
            "{text:?} is no condition on a label: write LABEL=VALUE, LABEL!=VALUE, 'LABEL=~EXPRESSION' or \
             'LABEL!~EXPRESSION'"
        ))),
    }
}

/// Reads a moment: so long ago, a time with an offset, or a time or date in the user's zone.
pub(crate) fn since(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    if let Some(ago) = duration::parse(text) {
        return Ok(Timestamp::now().before(ago));
    }
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| {
        let civil: DateTime = text.parse()?;
        Ok::<_, jiff::Error>(civil.to_zoned(zone.clone())?.timestamp())
    });
    let nanos = moment
        .ok()
        .and_then(|moment| i64::try_from(moment.as_nanosecond()).ok());
    nanos.map(Timestamp::from_nanos).ok_or_else(|| {
        Stop::usage(format!(
            "{text:?} is no time: write so long ago as 30m, 12h or 2d, or a time as 2026-11-21, \
             \"2026-11-21 14:03\" or 2026-11-21T14:03:00Z"
        ))
    })
}

/// Reads an age such as `7d`.
pub(crate) fn age(text: &str) -> Result<Duration> {
    duration::parse(text)
        .ok_or_else(|| Stop::usage(format!("{text:?} is no age: write it as 30m, 12h, 7d or 2w")))
}

/// Reads a severity, also by the names that log levels have elsewhere.
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

    fn parts(text: &str) -> (String, ConditionOp, Value) {
        let condition = condition(text).unwrap();
        (condition.key, condition.op, condition.value)
    }

    #[test]
    fn conditions_have_typed_values_and_literal_keys() {
        use ConditionOp::{Eq, Gt, Lt, Ne};
        for (text, key, op, value) in [
            (
                "gen_ai.request.model=llama",
                "gen_ai.request.model",
                Eq,
                Value::from("llama"),
            ),
            ("n!=5", "n", Ne, 5.into()),
            ("n=\"5\"", "n", Eq, "5".into()),
            ("n=007", "n", Eq, "007".into()),
            ("x>1.5", "x", Gt, 1.5.into()),
            ("x<-2", "x", Lt, (-2).into()),
            ("done=true", "done", Eq, true.into()),
            ("url=a=b", "url", Eq, "a=b".into()),
            ("e=", "e", Eq, "".into()),
            ("duration_ms>100", "duration_ms", Gt, 100.into()),
            (
                "span_id=1234567812345678",
                "span_id",
                Eq,
                "1234567812345678".into(),
            ),
        ] {
            assert_eq!(parts(text), (key.to_owned(), op, value), "{text}");
        }
        for wrong in ["n", "=5", "n>=5", "n==5", "n!5", ""] {
            assert!(condition(wrong).is_err(), "{wrong}");
        }
    }

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
        assert!(since("yesterday", &zone).is_err());
    }

    #[test]
    fn severities_go_by_many_names() {
        assert_eq!(severity("WARNING").unwrap(), Severity::Warn);
        assert_eq!(severity("trace").unwrap(), Severity::Verbose);
        assert!(severity("loud").is_err());
    }
}
