//! The values that each key accepts, and how they are parsed.

use serde_json::Number;

use super::{FilterError, FilterField, FilterKey, FilterOp, Pattern, Scalar, TimeUnit, TraceField};
use crate::text::nearest;
use crate::{Severity, SpanKind, SpanStatus, Timestamp};

/// The type of a key's values.
enum KeyKind {
    Any,
    Text,
    Id,
    Status,
    Kind,
    Level,
    Duration,
    Time,
    Number,
}

fn kind_of(key: &FilterKey) -> KeyKind {
    match key {
        FilterKey::Attribute(_) => KeyKind::Any,
        FilterKey::Field(field) => match field {
            FilterField::Name | FilterField::Service | FilterField::Category => KeyKind::Text,
            FilterField::Trace | FilterField::Span | FilterField::Parent => KeyKind::Id,
            FilterField::Status => KeyKind::Status,
            FilterField::Kind => KeyKind::Kind,
            FilterField::Level => KeyKind::Level,
            FilterField::Duration => KeyKind::Duration,
            FilterField::Start | FilterField::End => KeyKind::Time,
        },
        FilterKey::Trace(TraceField::Duration) => KeyKind::Duration,
        FilterKey::Trace(_) => KeyKind::Number,
    }
}

pub(super) fn operators_of(key: &FilterKey) -> &'static [FilterOp] {
    use FilterOp::{Contains, Eq, Ge, Gt, Le, Lt, Ne, NotContains};
    match kind_of(key) {
        KeyKind::Any | KeyKind::Text => &[Eq, Ne, Gt, Ge, Lt, Le, Contains, NotContains],
        KeyKind::Id => &[Eq, Ne, Contains, NotContains],
        KeyKind::Status | KeyKind::Kind => &[Eq, Ne],
        KeyKind::Level | KeyKind::Duration | KeyKind::Time | KeyKind::Number => &[Eq, Ne, Gt, Ge, Lt, Le],
    }
}

/// Parses an unquoted value, in which `*` and `text*` have a meaning.
pub(super) fn bare_value(
    key: &FilterKey,
    op: FilterOp,
    text: &str,
    at: usize,
) -> Result<Pattern, FilterError> {
    if text == "*" {
        if op == FilterOp::Eq {
            return Ok(Pattern::Present);
        }
        return Err(FilterError::new(
            at,
            format!("a value after {op}; {key}=* tests whether it is present"),
        )
        .found(text));
    }
    if text.starts_with('*') {
        return Err(
            FilterError::new(at, "a text without * at its beginning, or quotes around it")
                .found(text)
                .suggest(Some(format!("{key}~{}", text.trim_matches('*')))),
        );
    }
    match text.strip_suffix('*') {
        Some(start) => begins(key, op, start.to_owned(), at),
        None => scalar(key, op, text, false, at).map(Pattern::Is),
    }
}

/// Returns the text that an unquoted number or boolean also matches. A user who types
/// `service.version=1.2` can't know whether the program recorded `1.2` or `"1.2"`. Returns `None`
/// for a key whose texts are compared as numbers anyway.
pub(super) fn text_of_bare(key: &FilterKey, op: FilterOp, text: &str, value: &Pattern) -> Option<Pattern> {
    let has_two_types = matches!(value, Pattern::Is(Scalar::Bool(_) | Scalar::Number(_, None)))
        && matches!(op, FilterOp::Eq | FilterOp::Ne)
        && matches!(key, FilterKey::Attribute(_))
        && !key.is_number();
    has_two_types.then(|| Pattern::Is(Scalar::Text(text.to_owned())))
}

pub(super) fn begins(
    key: &FilterKey,
    op: FilterOp,
    start: String,
    at: usize,
) -> Result<Pattern, FilterError> {
    let is_text = matches!(kind_of(key), KeyKind::Any | KeyKind::Text | KeyKind::Id);
    if !is_text || !matches!(op, FilterOp::Eq | FilterOp::Ne) {
        return Err(
            FilterError::new(at, format!("a whole value after {key}{op}, or quotes around it"))
                .found(&format!("{start}*")),
        );
    }
    Ok(Pattern::Begins(match kind_of(key) {
        KeyKind::Id => hex(&start, at)?,
        _ => start,
    }))
}

pub(super) fn scalar(
    key: &FilterKey,
    op: FilterOp,
    text: &str,
    is_quoted: bool,
    at: usize,
) -> Result<Scalar, FilterError> {
    let wrong = |expected: &str| FilterError::new(at, expected).found(text);
    if matches!(op, FilterOp::Contains | FilterOp::NotContains) {
        return Ok(Scalar::Text(text.to_owned()));
    }
    match kind_of(key) {
        KeyKind::Text => Ok(Scalar::Text(text.to_owned())),
        KeyKind::Id => hex(text, at).map(Scalar::Text),
        KeyKind::Status => text
            .parse()
            .map_err(|_| {
                wrong("ok or error")
                    .suggest(nearest(text, SpanStatus::ALL.iter().map(|known| known.as_str())))
            })
            .map(|status: SpanStatus| Scalar::Text(status.as_str().to_owned())),
        KeyKind::Kind => text
            .parse()
            .map_err(|_| {
                wrong("internal, server, client, producer or consumer")
                    .suggest(nearest(text, SpanKind::ALL.iter().map(|known| known.as_str())))
            })
            .map(|kind: SpanKind| Scalar::Text(kind.as_str().to_owned())),
        KeyKind::Level => Severity::from_name(text)
            .ok_or_else(|| {
                wrong("verbose, debug, info, warn, error or critical")
                    .suggest(nearest(text, Severity::ALL.iter().map(|known| known.as_str())))
            })
            .map(|level| Scalar::Text(level.as_str().to_owned())),
        KeyKind::Duration => match quantity(text) {
            Some((number, "")) => Ok(Scalar::Number(number, None)),
            Some((number, unit)) => match time_unit(unit) {
                Some(unit) => Ok(Scalar::Number(number, Some(unit))),
                None => Err(unknown_unit(&number, unit, at)),
            },
            None => Err(wrong(
                "a duration as 250ms, 1.5s, 2m or 1h; a number without a unit is milliseconds",
            )),
        },
        KeyKind::Time => match text.parse() {
            Ok(number) => Ok(Scalar::Number(number, None)),
            Err(_) if text.parse::<Timestamp>().is_ok() => Ok(Scalar::Text(text.to_owned())),
            Err(_) => Err(wrong(
                "a time as 2026-11-21T14:03:00Z, or a number of nanoseconds since 1970",
            )),
        },
        KeyKind::Number => match text.parse() {
            Ok(number) => Ok(Scalar::Number(number, None)),
            Err(_) => Err(wrong("a number")),
        },
        KeyKind::Any if is_quoted => Ok(Scalar::Text(text.to_owned())),
        KeyKind::Any => any_scalar(key, op, text, at),
    }
}

/// Parses the value of an attribute. Its form decides its type, because the key has none.
fn any_scalar(key: &FilterKey, op: FilterOp, text: &str, at: usize) -> Result<Scalar, FilterError> {
    let is_order = !matches!(op, FilterOp::Eq | FilterOp::Ne);
    if let "true" | "false" = text {
        if is_order {
            return Err(FilterError::new(
                at,
                "= or != with true or false, which have no order; in quotes it is a text",
            )
            .found(text));
        }
        return Ok(Scalar::Bool(text == "true"));
    }
    match quantity(text) {
        Some((number, "")) => Ok(Scalar::Number(number, None)),
        Some((number, unit)) => match (time_unit(unit), key.time_unit()) {
            (Some(unit), Some(_)) => Ok(Scalar::Number(number, Some(unit))),
            (None, Some(_)) if is_order => Err(unknown_unit(&number, unit, at)),
            (Some(_), None) if is_order => Err(FilterError::new(
                at,
                format!("a number without a unit: the unit of {key} is not known; in quotes it is a text"),
            )
            .found(text)),
            _ => Ok(Scalar::Text(text.to_owned())),
        },
        None => Ok(Scalar::Text(text.to_owned())),
    }
}

fn hex(text: &str, at: usize) -> Result<String, FilterError> {
    match text.find(|c: char| !c.is_ascii_hexdigit()) {
        None => Ok(text.to_ascii_lowercase()),
        Some(wrong) => Err(FilterError::new(
            at + wrong,
            "a hexadecimal digit of an id; ID* is the beginning of one",
        )
        .found(text)),
    }
}

/// Splits a number from the letters that follow it.
fn quantity(text: &str) -> Option<(Number, &str)> {
    let number = text.trim_end_matches(char::is_alphabetic);
    Some((number.parse().ok()?, &text[number.len()..]))
}

fn time_unit(text: &str) -> Option<TimeUnit> {
    match text {
        // Both code points in use for micro.
        "\u{b5}s" | "\u{3bc}s" => Some(TimeUnit::Micros),
        _ => TimeUnit::ALL.iter().copied().find(|unit| unit.as_str() == text),
    }
}

fn unknown_unit(number: &Number, unit: &str, at: usize) -> FilterError {
    const LONG: [(&str, &str); 12] = [
        ("nanoseconds", "ns"),
        ("microseconds", "us"),
        ("milliseconds", "ms"),
        ("msec", "ms"),
        ("seconds", "s"),
        ("secs", "s"),
        ("sec", "s"),
        ("minutes", "m"),
        ("mins", "m"),
        ("min", "m"),
        ("hours", "h"),
        ("hrs", "h"),
    ];
    let number = number.to_string();
    let lower = unit.to_lowercase();
    let meant = time_unit(&lower).map(TimeUnit::as_str).or_else(|| {
        let near = nearest(&lower, LONG.iter().map(|(long, _)| *long))?;
        LONG.iter()
            .find(|(long, _)| *long == near)
            .map(|(_, short)| *short)
    });
    FilterError::new(at + number.len(), "one of the units ns us ms s m h")
        .found(unit)
        .suggest(meant)
}
