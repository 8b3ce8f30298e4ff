//! Translates the conditions and the filter of a query to SQL.
//!
//! A condition is a simple term of a filter. SQLite itself compares built-in fields, indexed
//! attributes, and a single attribute by a JSON path after a cheap text search for the key, so that
//! a span without it is never parsed. Everything else is compared by our functions inside SQLite
//! ([`matches`](super::matches)), like the model's filters: quotes, backslashes, control characters
//! (SQLite ends texts at NUL), integers beyond its range, operators that conditions don't have, and
//! several attributes, which are parsed once. So each span is read once, for any number of terms.
//!
//! An attribute that a record lacks is looked up in the resource of its process. Processes are few,
//! so each query first finds which of their resources match a term; if none does, as for most keys,
//! only a record's own attributes are compared.

use rusqlite::types::Value as Bound;
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value as Json;
use spanscope_model::filter::{
    Comparison, Filter, FilterField, FilterKey, FilterOp, FilterTerm, FilterTest, Pattern, Scalar,
    TraceField, attribute_matches, resource_key,
};
use spanscope_model::{
    Attributes, Condition, ConditionOp, ConditionTarget, SpanField, StoreError, TOKEN_METRICS, Timestamp,
    semconv,
};

use super::Failure;
use super::builder::Sql;
use super::matches::AttributeTerm;
use crate::file::schema;

/// From this number of spans with a value on, traces are walked from the newest instead of
/// collecting all of them first.
const FREQUENT: i64 = 20_000;

/// A query's conditions and filter, which must all match one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Criteria<'a> {
    pub(super) conditions: &'a [Condition],
    pub(super) filter: &'a Filter,
}

impl Criteria<'_> {
    pub(super) fn is_empty(self) -> bool {
        self.conditions.is_empty() && self.filter.is_empty()
    }

    /// The ids of traces that a condition names: only these can match.
    pub(super) fn trace_ids(self) -> Vec<String> {
        let named = |condition: &Condition| {
            let is_trace = condition.target() == ConditionTarget::Field(SpanField::TraceId);
            let id = condition
                .value
                .as_str()
                .filter(|_| condition.op == ConditionOp::Eq)?;
            is_trace.then(|| id.to_ascii_lowercase())
        };
        let terms = self.filter.terms.iter().filter_map(FilterTerm::to_condition);
        let terms = terms.filter_map(|condition| named(&condition));
        self.conditions.iter().filter_map(named).chain(terms).collect()
    }
}

/// The queried table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// `_span s`; if it is read in pieces, the first and the last row of the piece.
    Spans(Option<(i64, i64)>),
    /// `_event e`.
    Events,
}

/// Conditions that must all hold on one record, which the SQL calls `s` or `e`.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Attribute equalities that the index of attributes can find: the key's id in `_attr_key`, and
    /// the values, any of which may match.
    indexed: Vec<(i64, Vec<Bound>)>,
    /// The others.
    pieces: Vec<Sql>,
}

impl Conditions {
    /// Translates the query. `db` tells which attributes are indexed.
    pub(super) fn new(db: &Connection, criteria: Criteria<'_>, table: Table) -> Result<Self, Failure> {
        let mut all = Self::default();
        let (mut on_attributes, mut words) = (Vec::new(), Vec::new());
        let resources = Resources::new(db, criteria)?;
        for condition in criteria.conditions {
            condition.check()?;
            match condition.target() {
                ConditionTarget::Field(field) => all.pieces.push(own_field(field, condition)?),
                ConditionTarget::Attribute(_) => {
                    on_attributes.push((FilterTerm::from(condition), Some(condition.clone())));
                }
            }
        }
        for term in &criteria.filter.terms {
            match &term.test {
                FilterTest::Text(wanted) => words.push(negated(term, word(table, wanted))),
                FilterTest::Compare(comparison) => match &comparison.key {
                    FilterKey::Attribute(_) => on_attributes.push((term.clone(), term.to_condition())),
                    FilterKey::Field(field) => {
                        let piece = field_of(table, *field, comparison, term.to_condition())?;
                        all.pieces.push(negated(term, piece));
                    }
                    FilterKey::Trace(field) => {
                        let piece = number_of_trace(db, table, *field, comparison)?;
                        all.pieces.push(negated(term, piece));
                    }
                },
            }
        }
        let mut scanned = Vec::new();
        for (term, condition) in on_attributes {
            let processes = resources.that_meet(&term);
            let index = match table {
                Table::Spans(_) if processes.is_empty() => indexed(db, &term)?,
                _ => None,
            };
            match index {
                Some(values) => all.indexed.push(values),
                None => scanned.push((AttributeTerm { term, processes }, condition)),
            }
        }
        match &scanned[..] {
            [] => {}
            [(AttributeTerm { term, processes }, Some(condition))]
                if processes.is_empty() && !term.negated && table != Table::Events =>
            {
                all.pieces.push(attribute(condition)?);
            }
            _ => {
                // Key and value together occur in fewer texts than a key alone.
                scanned.sort_by_key(|(_, condition)| {
                    condition
                        .as_ref()
                        .is_none_or(|condition| condition.op != ConditionOp::Eq)
                });
                all.pieces.push(attributes(table, scanned)?);
            }
        }
        // Bare words read all texts of a record, so everything else is tested before.
        all.pieces.extend(words);
        Ok(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.indexed.is_empty() && self.pieces.is_empty()
    }

    /// Returns ` AND ...` for records that are found in another way, for example by their trace.
    pub(super) fn probe(&self) -> Sql {
        let mut sql = self.unindexed();
        for (key, values) in &self.indexed {
            sql = sql
                .push(" AND EXISTS (SELECT 1 FROM _attr a WHERE a.key = ")
                .bind(*key)
                .add(&one_of(" AND a.value", values))
                .push(" AND a.span = s.id)");
        }
        sql
    }

    /// ` AND ...` for spans that the indexed attributes find.
    pub(super) fn seek(&self) -> Sql {
        let mut sql = Sql::default();
        for (key, values) in &self.indexed {
            sql = sql
                .push(" AND s.id IN (SELECT a.span FROM _attr a WHERE a.key = ")
                .bind(*key)
                .add(&one_of(" AND a.value", values))
                .push(")");
        }
        sql.add(&self.unindexed())
    }

    /// Whether an indexed value occurs so often that collecting its spans costs more than walking
    /// traces.
    pub(super) fn is_frequent(&self, db: &Connection) -> rusqlite::Result<bool> {
        for (key, values) in &self.indexed {
            let sql = Sql::new("SELECT count(*) FROM (SELECT 1 FROM _attr WHERE key = ")
                .bind(*key)
                .add(&one_of(" AND value", values))
                .push(" LIMIT ")
                .bind(FREQUENT)
                .push(")");
            let found: Vec<i64> = sql.rows(db, |row| row.get(0))?;
            if found.first().is_none_or(|found| *found < FREQUENT) {
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

/// The processes whose resources match a term.
#[derive(Debug, Default)]
struct Resources(Vec<(i64, String)>);

impl Resources {
    fn new(db: &Connection, criteria: Criteria<'_>) -> Result<Self, Failure> {
        let asks_attributes = criteria.filter.attribute_keys().next().is_some()
            || criteria
                .conditions
                .iter()
                .any(|condition| matches!(condition.target(), ConditionTarget::Attribute(_)));
        if !asks_attributes || !schema::has_tenants(db)? {
            return Ok(Self::default());
        }
        let all = Sql::new("SELECT id, resource FROM _process WHERE resource IS NOT NULL");
        Ok(Self(all.rows(db, |row| Ok((row.get(0)?, row.get(1)?)))?))
    }

    fn that_meet(&self, term: &FilterTerm) -> Vec<i64> {
        let FilterTest::Compare(comparison) = &term.test else {
            return Vec::new();
        };
        let FilterKey::Attribute(key) = &comparison.key else {
            return Vec::new();
        };
        let key = resource_key(key);
        let needle = format!("\"{key}\":");
        let meets = |resource: &str| {
            // Only keys that need no escapes in JSON can be searched before the text is parsed.
            (!is_plain(key) || resource.contains(&needle))
                && serde_json::from_str::<Attributes>(resource)
                    .is_ok_and(|resource| attribute_matches(comparison, resource.get(key)))
        };
        self.0
            .iter()
            .filter(|(_, resource)| meets(resource))
            .map(|(process, _)| *process)
            .collect()
    }
}

/// Returns the key's id and the values, if the index of attributes can find the term.
fn indexed(db: &Connection, term: &FilterTerm) -> rusqlite::Result<Option<(i64, Vec<Bound>)>> {
    let FilterTest::Compare(Comparison {
        key: FilterKey::Attribute(key),
        op: FilterOp::Eq,
        values,
    }) = &term.test
    else {
        return Ok(None);
    };
    let bound = |value: &Pattern| match value {
        Pattern::Is(Scalar::Text(text)) if !text.contains('\0') => Some(Bound::Text(text.clone())),
        // A numeric text would not be found by a number.
        Pattern::Is(Scalar::Number(number, None)) if !semconv::is_number(key) => {
            match (number.as_i64(), number.is_u64(), number.as_f64()) {
                (Some(integer), _, _) => Some(Bound::Integer(integer)),
                (None, false, Some(real)) => Some(Bound::Real(real)),
                _ => None,
            }
        }
        _ => None,
    };
    let values: Option<Vec<Bound>> = values.iter().map(bound).collect();
    let Some(values) = values.filter(|values| !values.is_empty() && !term.negated) else {
        return Ok(None);
    };
    let key: Option<i64> = db
        .query_row("SELECT id FROM _attr_key WHERE key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(key.map(|key| (key, values)))
}

fn one_of(column: &'static str, values: &[Bound]) -> Sql {
    let sql = Sql::new(column);
    if let [value] = values {
        return sql.push(" = ").bind(value.clone());
    }
    let mut sql = sql.push(" IN (");
    for (place, value) in values.iter().enumerate() {
        sql = sql.push(if place > 0 { ", " } else { "" }).bind(value.clone());
    }
    sql.push(")")
}

/// A negated term also matches if there is nothing to compare.
fn negated(term: &FilterTerm, piece: Sql) -> Sql {
    match term.negated {
        true => Sql::new("NOT COALESCE((").add(&piece).push("), 0)"),
        false => piece,
    }
}

/// Tests whether a record's texts contain `wanted`: its name, its status message, the messages of
/// its events, and its attributes that are texts.
fn word(table: Table, wanted: &str) -> Sql {
    let contains = |text: &'static str| Sql::new(text).bind(wanted.to_owned()).push(")");
    match table {
        Table::Spans(piece) => {
            let events = Sql::new(
                "(s.trace, s.span_id) IN (SELECT e.trace, e.span_id FROM _event e WHERE e.trace IS NOT NULL",
            )
            .add(&in_piece(" AND e.trace", piece))
            .add(&contains(" AND spanscope_contains(e.message, "))
            .push(")");
            Sql::new(
                "CASE WHEN s.name IS NULL THEN s.callsite IN (SELECT id FROM _callsite WHERE ",
            )
            .add(&contains("spanscope_contains(name, "))
            .push(") ELSE ")
            .add(&contains("spanscope_contains(s.name, "))
            .push(" END OR ")
            .add(&contains("spanscope_text(s.attributes, "))
            .push(" OR ")
            .add(&contains(
                "CASE WHEN s.extra IS NULL THEN 0 ELSE spanscope_contains(s.extra ->> '$.status_message', ",
            ))
            .push(" END OR ")
            .add(&events)
        }
        Table::Events => contains("spanscope_contains(e.message, ")
            .push(" OR ")
            .add(&contains(
                "spanscope_contains(COALESCE(e.name, (SELECT name FROM _callsite WHERE id = e.callsite)), ",
            ))
            .push(" OR ")
            .add(&contains("spanscope_text(COALESCE(e.attributes, '{}'), ")),
    }
}

/// ` IN (...)`: restricts `trace` to the traces with spans in this piece.
fn in_piece(trace: &'static str, piece: Option<(i64, i64)>) -> Sql {
    match piece {
        None => Sql::default(),
        Some((first, last)) => Sql::new(trace)
            .push(" IN (SELECT trace FROM _span WHERE id BETWEEN ")
            .bind(first)
            .push(" AND ")
            .bind(last)
            .push(")"),
    }
}

/// Compares a built-in field: as a condition if an equivalent one exists, else by the model's
/// comparison.
fn field_of(
    table: Table,
    field: FilterField,
    comparison: &Comparison,
    condition: Option<Condition>,
) -> Result<Sql, StoreError> {
    if let (Table::Spans(_), Some(condition), Some(field)) = (table, condition, field.span_field())
        && !is_real_time(field, &condition)
        && let Ok(sql) = own_field(field, &condition)
    {
        return Ok(sql);
    }
    let wanted = serde_json::to_string(comparison)
        .map_err(|error| StoreError::invalid("the filter is not JSON").with_source(error))?;
    let (before, after) = match table {
        Table::Spans(_) => field_of_span(field, comparison),
        Table::Events => match field_of_event(field) {
            Some(column) => (column, ")"),
            None => return Ok(Sql::new("0")),
        },
    };
    if after == CALLSITE_NAME || after == CALLSITE_CATEGORY {
        return Ok(Sql::new(before)
            .bind(wanted.clone())
            .push(after)
            .bind(wanted)
            .push(") END"));
    }
    Ok(Sql::new(before).bind(wanted).push(after))
}

/// SQLite and the model differ in how they compare a time with a fraction of nanoseconds.
fn is_real_time(field: SpanField, condition: &Condition) -> bool {
    matches!(field, SpanField::StartTime | SpanField::EndTime) && condition.value.is_f64()
}

const CALLSITE_NAME: &str = ")) ELSE spanscope_field(s.name, ";
const CALLSITE_CATEGORY: &str = ")) ELSE spanscope_field(s.category, ";

/// Returns the SQL before and after the comparison.
fn field_of_span(field: FilterField, comparison: &Comparison) -> (&'static str, &'static str) {
    // SQLite uses the partial index of slow spans only if the query repeats its condition.
    let is_slow = matches!(comparison.op, FilterOp::Ge | FilterOp::Gt)
        && matches!(&comparison.values[..], [value] if is_a_second(value));
    match field {
        FilterField::Name => (
            "CASE WHEN s.name IS NULL THEN s.callsite IN (SELECT id FROM _callsite WHERE spanscope_field(name, ",
            CALLSITE_NAME,
        ),
        FilterField::Category => (
            "CASE WHEN s.category IS NULL THEN s.callsite IN (SELECT id FROM _callsite WHERE \
             spanscope_field(category, ",
            CALLSITE_CATEGORY,
        ),
        FilterField::Level => (
            "s.callsite IN (SELECT id FROM _callsite WHERE spanscope_field(level, ",
            "))",
        ),
        FilterField::Service => (
            // A sender without records for the whole retention time is deleted.
            "spanscope_field(COALESCE((SELECT service_name FROM _process WHERE id = s.process), ''), ",
            ")",
        ),
        FilterField::Trace => (
            "spanscope_field((SELECT trace_id FROM _trace WHERE id = s.trace), ",
            ")",
        ),
        FilterField::Status => (
            "spanscope_field(CASE s.status WHEN 0 THEN 'ok' WHEN 1 THEN 'error' END, ",
            ")",
        ),
        FilterField::Kind => (
            "spanscope_field(CASE s.kind WHEN 1 THEN 'server' WHEN 2 THEN 'client' WHEN 3 THEN 'producer' \
             WHEN 4 THEN 'consumer' ELSE 'internal' END, ",
            ")",
        ),
        FilterField::Span => ("spanscope_field(s.span_hex, ", ")"),
        FilterField::Parent => (
            "spanscope_field(CASE WHEN s.parent IS NOT NULL THEN printf('%016x', s.parent) END, ",
            ")",
        ),
        FilterField::Start => ("spanscope_field(s.start, ", ")"),
        FilterField::End => ("spanscope_field(s.start + s.duration, ", ")"),
        FilterField::Duration if is_slow => (
            "s.duration >= 1000000000 AND spanscope_field(s.duration / 1e6, ",
            ")",
        ),
        FilterField::Duration => ("spanscope_field(s.duration / 1e6, ", ")"),
    }
}

/// Whether this duration is at least a second.
fn is_a_second(value: &Pattern) -> bool {
    let Pattern::Is(Scalar::Number(number, unit)) = value else {
        return false;
    };
    let nanos = unit.map_or(1e6, spanscope_model::filter::TimeUnit::nanos);
    number.as_f64().is_some_and(|number| number * nanos > 1.000_001e9)
}

/// Returns the SQL before the comparison; `None` for fields that events don't have.
fn field_of_event(field: FilterField) -> Option<&'static str> {
    Some(match field {
        FilterField::Name => {
            "spanscope_field(COALESCE(e.name, (SELECT name FROM _callsite WHERE id = e.callsite)), "
        }
        FilterField::Category => {
            "spanscope_field(COALESCE(e.category, (SELECT category FROM _callsite WHERE id = e.callsite)), "
        }
        FilterField::Level => {
            "spanscope_field(COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)), "
        }
        FilterField::Service => {
            "spanscope_field(COALESCE((SELECT service_name FROM _process WHERE id = e.process), ''), "
        }
        FilterField::Trace => "spanscope_field((SELECT trace_id FROM _trace WHERE id = e.trace), ",
        FilterField::Span => {
            "spanscope_field(CASE WHEN e.span_id IS NOT NULL THEN printf('%016x', e.span_id) END, "
        }
        FilterField::Start => "spanscope_field(e.time, ",
        FilterField::Status
        | FilterField::Kind
        | FilterField::Duration
        | FilterField::End
        | FilterField::Parent => return None,
    })
}

/// Compares a number of the whole trace, such as its count of spans.
fn number_of_trace(
    db: &Connection,
    table: Table,
    field: TraceField,
    comparison: &Comparison,
) -> Result<Sql, Failure> {
    let Table::Spans(piece) = table else {
        return Ok(Sql::new("0"));
    };
    let number = match field {
        TraceField::Duration => "CASE WHEN t.open_count = 0 THEN (t.end - t.start) / 1e6 END",
        TraceField::Spans => "t.span_count",
        TraceField::Errors => "t.error_count",
        TraceField::Tokens if !schema::has_tenants(db)? => return Ok(Sql::new("0")),
        TraceField::Tokens => {
            "(SELECT sum(p.value) FROM _point p WHERE p.trace_hex = t.trace_id AND p.series IN \
             (SELECT r.id FROM _series r JOIN _metric m ON m.id = r.metric WHERE m.tenant = t.tenant \
             AND m.name IN (?, ?)))"
        }
        TraceField::Cost => {
            return Err(StoreError::invalid(
                "trace.cost: a store has no prices, so it knows no costs; use trace.tokens",
            )
            .into());
        }
    };
    let wanted = serde_json::to_string(comparison)
        .map_err(|error| StoreError::invalid("the filter is not JSON").with_source(error))?;
    let mut sql = Sql::new("s.trace IN (SELECT t.id FROM _trace t WHERE 1")
        .add(&in_piece(" AND t.id", piece))
        .push(" AND spanscope_field(")
        .push(number);
    if field == TraceField::Tokens {
        let [(input, _), (output, _), _] = TOKEN_METRICS;
        sql = sql.value(input.to_owned()).value(output.to_owned());
    }
    Ok(sql.push(", ").bind(wanted).push("))"))
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
        SpanField::ServiceName if op == ConditionOp::Ne => {
            Sql::new("s.process NOT IN (SELECT id FROM _process WHERE service_name = ")
                .bind(text()?)
                .push(")")
        }
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

/// Compares a field that the span's row contains only if it differs from the callsite's.
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

/// Compares the milliseconds that users see. From a second on, the condition of the partial index
/// of slow spans is added, so that SQLite uses that index.
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
        "the span's {} is compared with {wanted}, not with {given}; an attribute of this name is attributes.{}",
        field.as_str(),
        field.as_str()
    ))
}

/// One attribute of a span, compared by SQLite itself where it can.
fn attribute(condition: &Condition) -> Result<Sql, StoreError> {
    let ConditionTarget::Attribute(key) = condition.target() else {
        return Ok(Sql::new("0"));
    };
    let by_function = || {
        let term = AttributeTerm {
            term: FilterTerm::from(condition),
            processes: Vec::new(),
        };
        attributes(Table::Spans(None), vec![(term, Some(condition.clone()))])
    };
    let op = condition.op;
    let is_number = condition.value.is_number();
    let (type_is, value) = match &condition.value {
        Json::String(text) => ("= 'text'", Bound::Text(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => ("IN ('integer', 'real')", Bound::Integer(integer)),
            (None, real) => ("IN ('integer', 'real')", Bound::Real(real.unwrap_or(f64::MAX))),
        },
        Json::Bool(true) => ("= 'true'", Bound::Integer(1)),
        Json::Bool(false) => ("= 'false'", Bound::Integer(0)),
        Json::Null | Json::Array(_) | Json::Object(_) => return Ok(Sql::new("0")),
    };
    if !is_plain(key) || needs_exactness(&condition.value) {
        return by_function();
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
    let (found, end) = match is_number && semconv::is_number(key) {
        // A count that was sent as a text compares as a number.
        true => (
            found
                .push("CASE WHEN json_type(s.attributes, ")
                .bind(path.clone())
                .push(") = 'text' THEN ")
                .add(&by_function()?)
                .push(" ELSE "),
            " END ELSE 0 END",
        ),
        false => (found, " ELSE 0 END"),
    };
    Ok(match op {
        ConditionOp::Ne => found
            .push("json_type(s.attributes, ")
            .bind(path)
            .push(") IS NOT NULL AND NOT (")
            .add(&same)
            .push(")")
            .push(end),
        _ => found.add(&same).push(end),
    })
}

/// Maximum number of keys that are searched in the JSON text before it is parsed.
const NEEDLES: usize = 3;

/// Compares several terms on attributes; the JSON text is parsed once for all of them.
fn attributes(table: Table, terms: Vec<(AttributeTerm, Option<Condition>)>) -> Result<Sql, StoreError> {
    let (column, parsed) = match table {
        Table::Spans(_) => (
            "instr(s.attributes, ",
            "spanscope_matches(s.attributes, s.process, ",
        ),
        Table::Events => (
            "instr(COALESCE(e.attributes, '{}'), ",
            "spanscope_matches(COALESCE(e.attributes, '{}'), e.process, ",
        ),
    };
    let mut sql = Sql::new("CASE WHEN 1");
    let must_be_there = |term: &AttributeTerm| !term.term.negated && term.processes.is_empty();
    for (term, condition) in terms.iter().filter(|(term, _)| must_be_there(term)).take(NEEDLES) {
        let FilterTest::Compare(Comparison {
            key: FilterKey::Attribute(key),
            ..
        }) = &term.term.test
        else {
            continue;
        };
        if !is_plain(key) {
            continue;
        }
        let needle = match condition {
            Some(condition) if needs_exactness(&condition.value) => continue,
            Some(condition) => needle(key, condition),
            None if key.is_ascii() => format!("\"{key}\":"),
            None => continue,
        };
        sql = sql.push(" AND ").push(column).bind(needle).push(")");
    }
    let terms: Vec<AttributeTerm> = terms.into_iter().map(|(term, _)| term).collect();
    let terms = serde_json::to_string(&terms)
        .map_err(|error| StoreError::invalid("the conditions are not JSON").with_source(error))?;
    Ok(sql.push(" THEN ").push(parsed).bind(terms).push(") ELSE 0 END"))
}

/// Returns whether a quoted JSON path matches exactly this key.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && !key.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}

/// Whether SQLite's own comparison would lose something: it has no unsigned integers, and ends
/// texts at NUL.
fn needs_exactness(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Number(number) => number.is_u64() && number.as_i64().is_none(),
        _ => false,
    }
}

/// Returns a text that occurs in the JSON of each matching span; as the file's JSON has no spaces
/// and only necessary escapes, key and value can be searched together.
fn needle(key: &str, condition: &Condition) -> String {
    if !key.is_ascii() {
        return String::new();
    }
    let value = match &condition.value {
        _ if condition.op != ConditionOp::Eq => String::new(),
        Json::String(text) if text.is_ascii() && (text.is_empty() || is_plain(text)) => format!("\"{text}\""),
        // The count may be stored as a text.
        Json::Number(_) if semconv::is_number(key) => String::new(),
        // Without fraction or exponent: a common prefix of 5 and 5.0. Very large and small numbers
        // have several forms.
        Json::Number(number) => match number.as_f64() {
            Some(real) if (1e-3..1e15).contains(&real.abs()) => real.to_string(),
            _ => String::new(),
        },
        Json::Bool(truth) => truth.to_string(),
        _ => String::new(),
    };
    format!("\"{key}\":{value}")
}
