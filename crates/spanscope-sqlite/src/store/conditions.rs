//! What the conditions of a question mean in SQL.
//!
//! Attribute keys are literal. Where SQLite's JSON paths can say a key exactly, they do, behind a cheap search of the
//! text for the key, so that a span without it is never parsed. Quotes, backslashes, control characters (SQLite ends
//! texts at NUL), integers beyond its range, and several conditions go to [`spanscope_matches`](super::matches), a function of
//! ours inside of SQLite, which parses a span's attributes once.

use rusqlite::types::Value as Bound;
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value as Json;
use spanscope_model::{Condition, ConditionOp, ConditionTarget, SpanField, StoreError, Timestamp};

use super::Failure;
use super::builder::Sql;

/// From so many spans with a value on, traces are walked from the newest instead of collecting all of them first.
const FREQUENT: i64 = 20_000;

/// Conditions that must all hold on one span, which the SQL calls `s`.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Attribute equalities that the index of named attributes answers: the key's number and the value.
    indexed: Vec<(i64, Bound)>,
    /// The others.
    pieces: Vec<Sql>,
}

impl Conditions {
    /// Reads the conditions; the database knows which attributes are indexed.
    pub(super) fn new(db: &Connection, conditions: &[Condition]) -> Result<Self, Failure> {
        let mut all = Self::default();
        let mut scanned: Vec<(&str, &Condition)> = Vec::new();
        for condition in conditions {
            match condition.target() {
                ConditionTarget::Field(field) => all.pieces.push(own_field(field, condition)?),
                ConditionTarget::Attribute(key) => match indexed(db, key, condition)? {
                    Some(pair) => all.indexed.push(pair),
                    None => scanned.push((key, condition)),
                },
            }
        }
        match &scanned[..] {
            [] => {}
            [(key, condition)] => all.pieces.push(attribute(key, condition)?),
            several => {
                for (key, condition) in several {
                    attribute(key, condition)?; // each of them has to make sense
                }
                // Key and value together are in fewer texts than a key alone.
                scanned.sort_by_key(|(_, condition)| condition.op != ConditionOp::Eq);
                all.pieces.push(attributes(&scanned)?);
            }
        }
        Ok(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.indexed.is_empty() && self.pieces.is_empty()
    }

    /// ` AND ...` for spans that are found in another way, for example by their trace.
    pub(super) fn probe(&self) -> Sql {
        let mut sql = self.unindexed();
        for (key, value) in &self.indexed {
            sql = sql
                .push(" AND EXISTS (SELECT 1 FROM _attr a WHERE a.key = ")
                .bind(*key)
                .push(" AND a.value = ")
                .bind(value.clone())
                .push(" AND a.span = s.id)");
        }
        sql
    }

    /// ` AND ...` for spans that the indexed attributes find.
    pub(super) fn seek(&self) -> Sql {
        let mut sql = Sql::default();
        for (key, value) in &self.indexed {
            sql = sql
                .push(" AND s.id IN (SELECT a.span FROM _attr a WHERE a.key = ")
                .bind(*key)
                .push(" AND a.value = ")
                .bind(value.clone())
                .push(")");
        }
        sql.add(&self.unindexed())
    }

    /// Whether an indexed value occurs so often that collecting its spans costs more than walking traces.
    pub(super) fn is_frequent(&self, db: &Connection) -> rusqlite::Result<bool> {
        for (key, value) in &self.indexed {
            let found: i64 = db.query_row(
                "SELECT count(*) FROM (SELECT 1 FROM _attr WHERE key = ?1 AND value = ?2 LIMIT ?3)",
                (key, value, FREQUENT),
                |row| row.get(0),
            )?;
            if found < FREQUENT {
                return Ok(false);
            }
        }
        Ok(!self.indexed.is_empty())
    }

    fn unindexed(&self) -> Sql {
        self.pieces.iter().fold(Sql::default(), |sql, piece| {
            sql.push(" AND (").add(piece).push(")")
        })
    }
}

fn indexed(db: &Connection, key: &str, condition: &Condition) -> rusqlite::Result<Option<(i64, Bound)>> {
    if condition.op != ConditionOp::Eq {
        return Ok(None);
    }
    let value = match &condition.value {
        Json::String(text) if !text.contains('\0') => Bound::Text(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(integer), _, _) => Bound::Integer(integer),
            (None, false, Some(real)) => Bound::Real(real),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let key: Option<i64> = db
        .query_row("SELECT id FROM _attr_key WHERE key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| (key, value)))
}

fn operator(op: ConditionOp) -> &'static str {
    match op {
        ConditionOp::Eq => " = ",
        ConditionOp::Ne => " <> ",
        ConditionOp::Gt => " > ",
        ConditionOp::Lt => " < ",
    }
}

fn own_field(field: SpanField, condition: &Condition) -> Result<Sql, StoreError> {
    let op = condition.op;
    let compare =
        |expression: &'static str, value: Bound| Sql::new(expression).push(operator(op)).bind(value);
    let text = || match &condition.value {
        Json::String(text) => Ok(Bound::Text(text.clone())),
        other => Err(wrong_type(field, "a text", other)),
    };
    let lower = || match text()? {
        Bound::Text(text) => Ok(Bound::Text(text.to_ascii_lowercase())),
        other => Ok::<_, StoreError>(other),
    };
    Ok(match field {
        SpanField::Name => by_callsite(
            "s.name IS NULL",
            "s.callsite IN (SELECT id FROM _callsite WHERE name",
            "s.name",
            op,
            text()?,
        ),
        SpanField::Category => by_callsite(
            "s.category IS NULL",
            "s.callsite IN (SELECT id FROM _callsite WHERE category",
            "s.category",
            op,
            text()?,
        ),
        SpanField::ServiceName => Sql::new("s.process IN (SELECT id FROM _process WHERE service_name")
            .push(operator(op))
            .bind(text()?)
            .push(")"),
        SpanField::TraceId => Sql::new("s.trace IN (SELECT id FROM _trace WHERE trace_id")
            .push(operator(op))
            .bind(lower()?)
            .push(")"),
        SpanField::Status => compare("CASE s.status WHEN 0 THEN 'ok' WHEN 1 THEN 'error' END", lower()?),
        SpanField::Kind => compare(
            "CASE s.kind WHEN 1 THEN 'server' WHEN 2 THEN 'client' WHEN 3 THEN 'producer' WHEN 4 THEN 'consumer' \
             ELSE 'internal' END",
            lower()?,
        ),
        SpanField::SpanId => compare("s.span_hex", lower()?),
        SpanField::ParentSpanId => compare(
            "CASE WHEN s.parent IS NOT NULL THEN printf('%016x', s.parent) END",
            lower()?,
        ),
        SpanField::StartTime => compare("s.start", moment(field, &condition.value)?),
        SpanField::EndTime => compare("(s.start + s.duration)", moment(field, &condition.value)?),
        SpanField::DurationMs => duration(op, &condition.value)?,
    })
}

/// A field that stands in the span's row only where it differs from what its callsite says.
fn by_callsite(
    in_callsite: &'static str,
    callsite: &'static str,
    own: &'static str,
    op: ConditionOp,
    value: Bound,
) -> Sql {
    Sql::new("CASE WHEN ")
        .push(in_callsite)
        .push(" THEN ")
        .push(callsite)
        .push(operator(op))
        .bind(value.clone())
        .push(") ELSE ")
        .push(own)
        .push(operator(op))
        .bind(value)
        .push(" END")
}

/// Compares the very number that is shown. Above a second it repeats the literal of the index of slow spans.
fn duration(op: ConditionOp, value: &Json) -> Result<Sql, StoreError> {
    let Some(milliseconds) = value.as_f64() else {
        return Err(wrong_type(
            SpanField::DurationMs,
            "a number of milliseconds",
            value,
        ));
    };
    let slow = match op {
        ConditionOp::Gt => milliseconds >= 1000.0,
        ConditionOp::Eq => milliseconds > 1000.0,
        ConditionOp::Ne | ConditionOp::Lt => false,
    };
    let sql = Sql::new(if slow {
        "s.duration >= 1000000000 AND s.duration / 1e6"
    } else {
        "s.duration / 1e6"
    });
    Ok(sql.push(operator(op)).bind(milliseconds))
}

fn moment(field: SpanField, value: &Json) -> Result<Bound, StoreError> {
    match value {
        Json::String(text) => text
            .parse::<Timestamp>()
            .map(|time| Bound::Integer(time.as_nanos()))
            .map_err(|error| StoreError::invalid(format!("{}: {error}", field.as_str()))),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(nanos), _) => Ok(Bound::Integer(nanos)),
            (None, Some(nanos)) => Ok(Bound::Real(nanos)),
            (None, None) => Err(wrong_type(field, "a time", value)),
        },
        other => Err(wrong_type(
            field,
            "a time as text, or a number of nanoseconds since 1970",
            other,
        )),
    }
}

fn wrong_type(field: SpanField, wanted: &str, given: &Json) -> StoreError {
    StoreError::invalid(format!(
        "the span's {} is compared with {wanted}, not with {given}; an attribute of this name is asked for as \
         attributes.{}",
        field.as_str(),
        field.as_str()
    ))
}

fn attribute(key: &str, condition: &Condition) -> Result<Sql, StoreError> {
    let op = condition.op;
    let (type_is, value) = match &condition.value {
        Json::String(text) => ("= 'text'", Bound::Text(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => ("IN ('integer', 'real')", Bound::Integer(integer)),
            (None, real) => ("IN ('integer', 'real')", Bound::Real(real.unwrap_or(f64::MAX))),
        },
        Json::Bool(_) if matches!(op, ConditionOp::Gt | ConditionOp::Lt) => {
            return Err(StoreError::invalid(format!(
                "{key:?} is compared with a truth value, which is neither greater nor less than another: use eq or ne"
            )));
        }
        Json::Bool(true) => ("= 'true'", Bound::Integer(1)),
        Json::Bool(false) => ("= 'false'", Bound::Integer(0)),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            return Err(StoreError::invalid(format!(
                "{key:?} is compared with {}: give a text, a number or a truth value",
                condition.value
            )));
        }
    };
    if !is_plain(key) || needs_exactness(&condition.value) {
        return attributes(&[(key, condition)]);
    }
    let path = format!("$.\"{key}\"");
    let same = Sql::new("json_type(s.attributes, ")
        .bind(path.clone())
        .push(") ")
        .push(type_is)
        .push(" AND s.attributes ->> ")
        .bind(path.clone())
        .push(if op == ConditionOp::Ne {
            " = "
        } else {
            operator(op)
        })
        .bind(value);
    let found = Sql::new("CASE WHEN instr(s.attributes, ")
        .bind(needle(key, condition))
        .push(") THEN ");
    Ok(match op {
        ConditionOp::Ne => found
            .push("json_type(s.attributes, ")
            .bind(path)
            .push(") IS NOT NULL AND NOT (")
            .add(&same)
            .push(") ELSE 0 END"),
        _ => found.add(&same).push(" ELSE 0 END"),
    })
}

/// Of the keys so many are searched for in the text before the text is parsed.
const NEEDLES: usize = 3;

/// Several conditions, for which the text is parsed once.
fn attributes(conditions: &[(&str, &Condition)]) -> Result<Sql, StoreError> {
    let mut sql = Sql::new("CASE WHEN 1");
    for (key, condition) in conditions.iter().take(NEEDLES) {
        if is_plain(key) && !needs_exactness(&condition.value) {
            sql = sql
                .push(" AND instr(s.attributes, ")
                .bind(needle(key, condition))
                .push(")");
        }
    }
    let all: Vec<&Condition> = conditions.iter().map(|(_, condition)| *condition).collect();
    let all = serde_json::to_string(&all)
        .map_err(|error| StoreError::invalid("the conditions are no JSON").with_source(error))?;
    Ok(sql
        .push(" THEN spanscope_matches(s.attributes, ")
        .bind(all)
        .push(") ELSE 0 END"))
}

/// Whether a JSON path in quotes says exactly this key.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && !key.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}

/// Whether SQLite's own comparison would lose something: it has no unsigned integers, and ends texts at NUL.
fn needs_exactness(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Number(number) => number.is_u64() && number.as_i64().is_none(),
        _ => false,
    }
}

/// A text that stands in the JSON of each span that can match; as the file's JSON is written without spaces and
/// escapes only what must be, key and value can be looked for together.
fn needle(key: &str, condition: &Condition) -> String {
    if !key.is_ascii() {
        return String::new();
    }
    let value = match &condition.value {
        _ if condition.op != ConditionOp::Eq => String::new(),
        Json::String(text) if text.is_ascii() && (text.is_empty() || is_plain(text)) => format!("\"{text}\""),
        // Without fraction or exponent: the beginning of 5 and of 5.0 alike. Far from 1 a number has several forms.
        Json::Number(number) => match number.as_f64() {
            Some(real) if (1e-3..1e15).contains(&real.abs()) => real.to_string(),
            _ => String::new(),
        },
        Json::Bool(truth) => truth.to_string(),
        _ => String::new(),
    };
    format!("\"{key}\":{value}")
}
