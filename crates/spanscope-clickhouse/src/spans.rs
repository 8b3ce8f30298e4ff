//! Rows of `otel_traces` as spans of the model.

use std::collections::HashSet;

use serde::Deserialize;
use spanscope_model::received::{self, SpanOrigin};
use spanscope_model::{
    Attributes, Link, LogEvent, Scope as LibraryScope, Severity, Span, SpanId, SpanKind, SpanState,
    SpanStatus, StoreError, Timestamp, TraceId, UNCATEGORIZED,
};

use crate::reader::Reader;
use crate::sql::Sql;
use crate::tables::{AttributeForm, IS_RECEIVER, NANOS};
use crate::values::RawAttributes;

/// What is read of spans beyond what every span has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The attributes of events; their names and times are always read.
    pub(crate) events: bool,
    /// The attributes of the resource, and the version of the scope.
    pub(crate) resource: bool,
}

impl Detail {
    /// What a filter may look at.
    pub(crate) const FILTER: Self = Self {
        events: true,
        resource: true,
    };
}

/// A span as the table has it, with what surrounds it.
#[derive(Debug, Clone)]
pub(crate) struct StoredSpan {
    pub(crate) span: Span,
    pub(crate) resource: Attributes,
    pub(crate) events: Vec<LogEvent>,
    /// Whether it is the half of a call that received it; both halves may have one id.
    is_receiver: bool,
}

impl StoredSpan {
    /// Distinguishes a span from all others, but not from a second copy of it.
    pub(crate) fn key(&self) -> (TraceId, SpanId, bool) {
        (self.span.trace_id, self.span.span_id, self.is_receiver)
    }

    /// When it ended, in nanoseconds since 1970.
    pub(crate) fn end(&self) -> i64 {
        self.span.end_time.unwrap_or(self.span.start_time).as_nanos()
    }
}

/// Leaves one of each span: a collector that repeats a batch stores it twice.
pub(crate) fn without_copies(spans: &mut Vec<StoredSpan>) {
    let mut seen = HashSet::with_capacity(spans.len());
    spans.retain(|span| seen.insert(span.key()));
}

/// The columns of a row, in the order of [`columns`].
#[derive(Debug, Deserialize)]
struct Row(
    (String, String, String, String),
    (String, String, String),
    (i64, i64),
    (String, String),
    u8,
    RawAttributes,
    Vec<String>,
    RawAttributes,
    Vec<String>,
    (String, String),
    Vec<i64>,
    Vec<String>,
    Vec<RawAttributes>,
    Vec<String>,
    Vec<String>,
    Vec<RawAttributes>,
);

/// Returns what a `SELECT` reads of each span.
pub(crate) fn columns(reader: &Reader, detail: Detail) -> Sql {
    let traces = &reader.tables.traces;
    let empty = match traces.resource.form {
        AttributeForm::Map => "map(), []",
        AttributeForm::Json => "'{}'::JSON, []",
    };
    let resource = match detail.resource {
        true => traces.resource.select(),
        false => empty.to_owned(),
    };
    let events = match detail.events {
        true => "Events.Attributes",
        false => "[]",
    };
    let state = if traces.has_trace_state {
        "TraceState"
    } else {
        "''"
    };
    let scope = match traces.has_scope {
        true => "(ScopeName, ScopeVersion)",
        false => "('', '')",
    };
    Sql::default().column(&format!(
        "(TraceId, SpanId, ParentSpanId, {state}), (SpanName, SpanKind, ServiceName), \
         (toUnixTimestamp64Nano(Timestamp), {NANOS}), (StatusCode, StatusMessage), {IS_RECEIVER}, {}, {resource}, \
         {scope}, arrayMap(t -> toUnixTimestamp64Nano(toDateTime64(t, 9)), Events.Timestamp), Events.Name, {events}, \
         Links.TraceId, Links.SpanId, Links.Attributes",
        traces.attributes.select()
    ))
}

impl Reader {
    /// Returns the spans of a statement that selects [`columns`]; rows without valid ids are left
    /// out.
    pub(crate) fn spans(&self, sql: &Sql) -> Result<Vec<StoredSpan>, StoreError> {
        let mut spans = Vec::new();
        self.client.for_each(sql, |row: Row| {
            spans.extend(span(row));
            Ok(())
        })?;
        Ok(spans)
    }
}

fn span(row: Row) -> Option<StoredSpan> {
    let Row(
        (trace_id, span_id, parent, trace_state),
        (name, kind, service_name),
        (start, nanos),
        (status, message),
        is_receiver,
        attributes,
        keys,
        resource,
        resource_keys,
        (scope, version),
        event_times,
        event_names,
        event_attributes,
        link_traces,
        link_spans,
        link_attributes,
    ) = row;
    let (trace_id, span_id): (TraceId, SpanId) = (trace_id.parse().ok()?, span_id.parse().ok()?);
    let start = Timestamp::from_nanos(start);
    let mut attributes = attributes.read(&keys);
    let origin = SpanOrigin {
        trace_id,
        span_id,
        start,
        scope: &scope,
    };
    let mut event_attributes = event_attributes.into_iter();
    let mut events = Vec::with_capacity(event_names.len());
    for (number, (name, time)) in event_names.into_iter().zip(event_times).enumerate() {
        let given = event_attributes.next().unwrap_or_default().read(&[]);
        let mut event = received::event_of_span(name, Timestamp::from_nanos(time), given, &origin);
        event.id = format!("{trace_id}.{span_id}.{time}.{number}");
        event.service_name.clone_from(&service_name);
        events.push(event);
    }
    let category = received::take_category(&mut attributes);
    let level = received::take_level(&mut attributes);
    received::take_state(&mut attributes, SpanState::Ended);
    let sent = match status.trim_start_matches("STATUS_CODE_") {
        "Error" | "ERROR" => Some(SpanStatus::Error),
        "Ok" | "OK" => Some(SpanStatus::Ok),
        _ => None,
    };
    let names = events.iter().map(|event| event.name.as_str());
    let failed = received::implies_failure(&attributes, names);
    let mut span = Span::new(trace_id, span_id, name, start);
    span.parent_span_id = parent.parse().ok();
    span.end_time = Some(Timestamp::from_nanos(start.as_nanos().saturating_add(nanos)));
    span.status = received::span_status(sent, true, failed);
    span.status_message = Some(message).filter(|message| !message.is_empty());
    span.kind = kind_of(&kind);
    span.state = SpanState::Ended;
    span.service_name = service_name;
    span.level = Some(level.unwrap_or(Severity::Info));
    span.category = Some(category.unwrap_or_else(|| UNCATEGORIZED.to_owned()));
    span.links = link_traces
        .into_iter()
        .zip(link_spans)
        .zip(link_attributes)
        .filter_map(|((trace, span), attributes)| {
            Some(Link::new(trace.parse().ok()?, span.parse().ok()?).attributes(attributes.read(&[])))
        })
        .collect();
    span.trace_state = Some(trace_state).filter(|state| !state.is_empty());
    span.attributes = attributes;
    span.scope = Some(
        LibraryScope::default()
            .name(scope.clone())
            .version(version)
            .attributes(Attributes::new()),
    );
    span.target = Some(scope);
    Some(StoredSpan {
        span,
        resource: resource.read(&resource_keys),
        events,
        is_receiver: is_receiver != 0,
    })
}

/// Older exporters wrote the names of the protocol's numbers.
fn kind_of(text: &str) -> SpanKind {
    let word = text.trim_start_matches("SPAN_KIND_");
    word.parse().unwrap_or(SpanKind::Internal)
}

impl StoredSpan {
    /// The span as lists show it: what is the same for all spans of a program is left out.
    pub(crate) fn into_listed(mut self) -> Span {
        self.span.scope = None;
        self.span
    }

    /// The span with its resource and its scope.
    pub(crate) fn into_whole(mut self) -> Span {
        self.span.resource = Some(self.resource);
        self.span
    }
}
