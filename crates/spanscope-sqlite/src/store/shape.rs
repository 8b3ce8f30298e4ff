//! The spans of a trace without their attributes, and a search in them.

use std::collections::HashMap;
use std::fmt;

use rusqlite::Connection;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use spanscope_model::filter::Filter;
use spanscope_model::{
    FoundSpans, RawValue, ShapeEvent, ShapeSpan, SpanState, Timestamp, TraceId, TraceShape, semconv,
};
use spanscope_runs::StepKind;

use super::Failure;
use super::builder::Sql;
use super::conditions::{Conditions, Criteria, Table};
use super::row_cursor::{RowCursor, order_of};
use super::rows::{Reader, span_id, status};
use super::scan::Pieces;
use super::scope::Scope;
use super::{neighbours, stored, traces, usage};
use crate::file::rows::kind_of;

/// Approximate size of a span in a result.
const SPAN_BYTES: usize = 96;
/// Approximate size of an event in a result.
const EVENT_BYTES: usize = 32;

/// The spans of one trace that were read so far.
pub(super) struct Spans {
    trace_id: TraceId,
    trace: i64,
    pieces: Pieces,
    /// The last stored rows: later ones are not in the shape, except for ends of its spans.
    upto: RowCursor,
    names: Texts,
    services: Texts,
    by_callsite: HashMap<i64, u32>,
    by_process: HashMap<i64, (u32, bool)>,
    spans: Vec<ShapeSpan>,
}

impl Spans {
    /// Finds the trace, and the row ids of its first and its last span.
    pub(super) fn of(db: &Connection, scope: Scope, trace_id: TraceId) -> Result<Self, Failure> {
        let Some(trace) = traces::rowid(db, scope, trace_id)? else {
            let nearest = neighbours::nearest_traces(db, scope, &trace_id.to_string())?;
            return Err(traces::no_trace(trace_id).with_nearest(nearest).into());
        };
        let ends = |end: &'static str| {
            let sql = Sql::new("SELECT ").push(end).push(" FROM _span WHERE trace = ");
            sql.bind(trace).rows(db, |row| row.get::<_, Option<i64>>(0))
        };
        let first = ends("min(id)")?.pop().flatten();
        let last = ends("max(id)")?.pop().flatten();
        let (Some(first), Some(last)) = (first, last) else {
            return Err(traces::no_trace(trace_id).into());
        };
        Ok(Self {
            trace_id,
            trace,
            pieces: Pieces::new(first, last),
            upto: stored::latest(db)?,
            names: Texts::default(),
            services: Texts::default(),
            by_callsite: HashMap::new(),
            by_process: HashMap::new(),
            spans: Vec::new(),
        })
    }

    pub(super) fn pieces(&self) -> Pieces {
        self.pieces
    }

    /// Adds the spans of a piece, or none of them on an error.
    pub(super) fn add(&mut self, db: &Connection, scope: Scope, piece: (i64, i64)) -> Result<(), Failure> {
        let before = self.spans.len();
        let added = self.add_some(db, scope, piece);
        if added.is_err() {
            self.spans.truncate(before);
        }
        added
    }

    fn add_some(&mut self, db: &Connection, scope: Scope, (first, last): (i64, i64)) -> Result<(), Failure> {
        let mut reader = Reader::new(db, scope)?;
        reader.budget.take(self.spans.len() * SPAN_BYTES)?;
        let sql = Sql::new(
            "SELECT s.id, s.callsite, s.name, s.start, s.duration, s.status, s.process, s.kind, s.span_id, s.parent, \
             s.attributes FROM _span s INDEXED BY _span_trace WHERE s.trace = ",
        )
        .bind(self.trace)
        .push(" AND s.id BETWEEN ")
        .bind(first)
        .push(" AND ")
        .bind(last)
        .push(" ORDER BY s.id");
        sql.for_each(db, |row| {
            reader.budget.take(SPAN_BYTES)?;
            let Some(id) = span_id(row.get(8)?) else {
                return Ok::<_, Failure>(());
            };
            let callsite: i64 = row.get(1)?;
            let name = match (row.get_ref(2)?.as_str_or_null()?, self.by_callsite.get(&callsite)) {
                (Some(name), _) => self.names.number(name),
                (None, Some(name)) => *name,
                (None, None) => {
                    let name = self.names.number(&reader.callsite(callsite)?.name);
                    *self.by_callsite.entry(callsite).or_insert(name)
                }
            };
            let process: i64 = row.get(6)?;
            let (service, is_alive) = match self.by_process.get(&process) {
                Some(known) => *known,
                None => {
                    let found = reader.process(process)?;
                    let known = (self.services.number(&found.service_name), found.is_alive);
                    *self.by_process.entry(process).or_insert(known)
                }
            };
            let duration_nanos: Option<i64> = row.get(4)?;
            self.spans.push(
                ShapeSpan::new(
                    order_of(row.get(0)?),
                    id,
                    Timestamp::from_nanos(row.get(3)?),
                    step_of(row.get_ref(10)?.as_str_or_null()?.unwrap_or_default()).as_str(),
                )
                .parent_span_id(row.get::<_, Option<i64>>(9)?.and_then(span_id))
                .name(name)
                .service(service)
                .duration_nanos(duration_nanos)
                .status(status(row.get(5)?))
                .state(match (duration_nanos, is_alive) {
                    (Some(_), _) => SpanState::Ended,
                    (None, true) => SpanState::Running,
                    (None, false) => SpanState::Abandoned,
                })
                .kind(kind_of(row.get(7)?)),
            );
            Ok(())
        })
    }

    /// Adds events and usage.
    pub(super) fn finish(
        self,
        db: &Connection,
        scope: Scope,
        max_events: u64,
    ) -> Result<TraceShape, Failure> {
        // The trace may have been deleted since it was found.
        if self.spans.is_empty() {
            return Err(traces::no_trace(self.trace_id).into());
        }
        let mut reader = Reader::new(db, scope)?;
        reader.budget.take(self.spans.len() * SPAN_BYTES)?;
        let (events, more_events) = events(db, &mut reader, (self.trace, self.upto.event), max_events)?;
        Ok(TraceShape::default()
            .names(self.names.all)
            .services(self.services.all)
            .spans(self.spans)
            .usage(usage::of_spans(db, scope, self.trace_id)?)
            .events(events)
            .more_events(more_events)
            .upto(self.upto.into()))
    }
}

fn events(
    db: &Connection,
    reader: &mut Reader<'_>,
    (trace, last): (i64, i64),
    limit: u64,
) -> Result<(Vec<ShapeEvent>, u64), Failure> {
    let sql = Sql::new(
        "SELECT e.span_id, e.time, e.severity, e.callsite FROM _event e WHERE e.span_id IS NOT NULL AND e.trace = ",
    )
    .bind(trace)
    .push(" AND e.id <= ")
    .bind(last)
    .push(" ORDER BY e.id");
    let mut events = Vec::new();
    let mut more = 0;
    sql.for_each(db, |row| {
        if u64::try_from(events.len()).is_ok_and(|found| found >= limit) {
            more += 1;
            return Ok::<_, Failure>(());
        }
        reader.budget.take(EVENT_BYTES)?;
        let Some(id) = span_id(row.get(0)?) else {
            return Ok(());
        };
        events.push(ShapeEvent {
            span_id: id,
            time: Timestamp::from_nanos(row.get(1)?),
            severity: match row.get::<_, Option<u8>>(2)? {
                Some(number) => spanscope_model::Severity::from_number(number),
                None => reader.callsite(row.get(3)?)?.level,
            },
        });
        Ok(())
    })?;
    Ok((events, more))
}

/// Returns the order numbers of the spans that a filter matches, by start.
pub(super) fn find(
    db: &Connection,
    scope: Scope,
    trace_id: TraceId,
    filter: &Filter,
    limit: u64,
) -> Result<FoundSpans, Failure> {
    let trace = traces::rowid(db, scope, trace_id)?.ok_or_else(|| traces::no_trace(trace_id))?;
    let criteria = Criteria {
        conditions: &[],
        filter,
    };
    let sql = Sql::new("SELECT s.id FROM _span s INDEXED BY _span_trace WHERE s.trace = ")
        .bind(trace)
        .add(&Conditions::new(db, criteria, Table::Spans(None))?.probe())
        .push(" ORDER BY s.start, s.id");
    let mut found = FoundSpans::default();
    sql.for_each(db, |row| {
        if found.total < limit {
            found.numbers.push(order_of(row.get(0)?));
        }
        found.total += 1;
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

/// Distinct texts, in the order of their first use.
#[derive(Debug, Default)]
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

/// Returns the kind of step, from the JSON of a span's attributes. Attributes that no convention
/// names are skipped without being parsed.
fn step_of(attributes: &str) -> StepKind {
    if attributes.len() <= "{}".len() {
        return StepKind::Node;
    }
    let mut reader = serde_json::Deserializer::from_str(attributes);
    let known: Vec<(&'static str, Known)> = reader.deserialize_map(KnownAttributes).unwrap_or_default();
    if known.is_empty() {
        return StepKind::Node;
    }
    StepKind::of_raw(known.iter().map(|(name, value)| (*name, value.raw())))
}

/// The scalar value of an attribute that a convention names.
enum Known {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
}

impl Known {
    fn raw(&self) -> RawValue<'_> {
        match self {
            Self::Bool(value) => RawValue::Bool(*value),
            Self::I64(number) => RawValue::I64(*number),
            Self::U64(number) => RawValue::U64(*number),
            Self::F64(number) => RawValue::F64(*number),
            Self::Text(text) => RawValue::Text(text, None),
        }
    }
}

struct KnownAttributes;

impl<'de> Visitor<'de> for KnownAttributes {
    type Value = Vec<(&'static str, Known)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = Vec::new();
        while let Some(name) = map.next_key_seed(KnownName)? {
            match name {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(name) => {
                    if let Some(value) = map.next_value_seed(KnownValue)? {
                        known.push((name, value));
                    }
                }
            }
        }
        Ok(known)
    }
}

struct KnownName;

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(semconv::find(key).map(|attribute| attribute.name))
    }
}

/// Reads a value that is not a list or an object.
struct KnownValue;

impl<'de> DeserializeSeed<'de> for KnownValue {
    type Value = Option<Known>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KnownValue {
    type Value = Option<Known>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Known::Bool(value)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Known::I64(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Known::U64(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Known::F64(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        // Values that determine the kind of a step are short; the contents of messages are cut.
        const LONGEST: usize = 256;
        Ok(Some(Known::Text(
            spanscope_model::text::cut(text, LONGEST).to_owned(),
        )))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use spanscope_model::Attributes;

    use super::*;

    #[test]
    fn the_kind_of_a_step_is_the_same_from_json_as_from_parsed_attributes() {
        for json in [
            "{}",
            r#"{"http.route":"/books"}"#,
            r#"{"gen_ai.operation.name":"chat","gen_ai.input.messages":[{"role":"user"}]}"#,
            r#"{"gen_ai.operation.name":"execute_tool"}"#,
            r#"{"openinference.span.kind":"AGENT","deep":{"gen_ai.operation.name":"chat"}}"#,
            r#"{"model_id":"m","prompt_tokens":3,"completion_tokens":"4"}"#,
            r#"{"query":"whales","top_k":3}"#,
            r#"{"tool_name":"weather","x":null}"#,
            r#"{"gen_ai.operation.name":null}"#,
        ] {
            let attributes: Attributes = serde_json::from_str(json).unwrap_or_default();
            assert_eq!(step_of(json), StepKind::of(&attributes), "{json}");
        }
        assert_eq!(step_of("no JSON"), StepKind::Node);
    }
}
