//! Records of a store as OTLP's messages, for an export.
//!
//! [`convert`](super::convert) reads exactly the stored records from these messages. Data without a
//! field in OTLP is in attributes, scopes and metadata with the names of [`wire`]. Times to live
//! are not written.

mod metrics;
mod sources;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::span::{self, Event};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as sent, ResourceSpans, ScopeSpans, Status};
use serde_json::Value as Json;
use spanscope_model::semconv::SpanCall;
use spanscope_model::{
    Attributes, Link, LogEvent, NewSpan, Severity, SourceRecords, Span, SpanKind, SpanStatus, Timestamp,
    UNCATEGORIZED, Value, category_of, wire,
};

use self::sources::Groups;
use super::spans::state_of;

/// Returns the spans, with their events.
pub(super) fn traces(sources: &[SourceRecords]) -> ExportTraceServiceRequest {
    let mut groups = Groups::default();
    for records in sources {
        if records.spans.is_empty() {
            continue;
        }
        let source = &records.source;
        let program = groups.program(source);
        for new in &records.spans {
            let scope = program.scope(source, new.span.target.as_deref().unwrap_or_default());
            scope.counts_tokens |= source.counts_tokens && SpanCall::of(new.span.attributes.raw()).is_some();
            scope.sent.push(span_of(new));
        }
    }
    let resource_spans = groups.into_iter().map(|of| ResourceSpans {
        resource: Some(of.resource()),
        schema_url: of.schema_url(),
        scope_spans: of
            .scopes
            .into_iter()
            .map(|of| ScopeSpans {
                scope: Some(of.scope()),
                schema_url: of.schema_url(),
                spans: of.sent,
            })
            .collect(),
    });
    ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    }
}

/// Returns the events that are in none of the spans.
pub(super) fn logs(sources: &[SourceRecords]) -> ExportLogsServiceRequest {
    let mut groups = Groups::default();
    for records in sources {
        if records.events.is_empty() {
            continue;
        }
        let program = groups.program(&records.source);
        for new in &records.events {
            let scope = program.scope(&records.source, &new.event.target);
            scope.sent.push(log_record(&new.event));
        }
    }
    let resource_logs = groups.into_iter().map(|of| ResourceLogs {
        resource: Some(of.resource()),
        schema_url: of.schema_url(),
        scope_logs: of
            .scopes
            .into_iter()
            .map(|of| ScopeLogs {
                scope: Some(of.scope()),
                schema_url: of.schema_url(),
                log_records: of.sent,
            })
            .collect(),
    });
    ExportLogsServiceRequest {
        resource_logs: resource_logs.collect(),
    }
}

/// The measurements.
pub(super) fn metrics(sources: &[SourceRecords]) -> ExportMetricsServiceRequest {
    let mut groups = Groups::default();
    for records in sources {
        if !records.points.is_empty() {
            let program = groups.program(&records.source);
            program.scope(&records.source, "").sent.extend(&records.points);
        }
    }
    let resource_metrics = groups.into_iter().map(|of| ResourceMetrics {
        resource: Some(of.resource()),
        schema_url: of.schema_url(),
        scope_metrics: of
            .scopes
            .into_iter()
            .map(|of| ScopeMetrics {
                scope: Some(of.scope()),
                schema_url: of.schema_url(),
                metrics: metrics::of_points(&of.sent),
            })
            .collect(),
    });
    ExportMetricsServiceRequest {
        resource_metrics: resource_metrics.collect(),
    }
}

fn span_of(new: &NewSpan) -> sent::Span {
    let span = &new.span;
    sent::Span {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        parent_span_id: span
            .parent_span_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        trace_state: span.trace_state.clone().unwrap_or_default(),
        name: span.name.clone(),
        kind: kind(span.kind) as i32,
        start_time_unix_nano: nanos(span.start_time),
        end_time_unix_nano: span.end_time.map(nanos).unwrap_or_default(),
        attributes: span_attributes(span),
        events: new.events.iter().map(|new| span_event(&new.event)).collect(),
        links: span.links.iter().map(link).collect(),
        status: Some(Status {
            message: span.status_message.clone().unwrap_or_default(),
            code: match span.status {
                None => StatusCode::Unset,
                Some(SpanStatus::Ok) => StatusCode::Ok,
                Some(SpanStatus::Error) => StatusCode::Error,
            } as i32,
        }),
        ..sent::Span::default()
    }
}

fn span_attributes(span: &Span) -> Vec<KeyValue> {
    let mut attributes = pairs(&span.attributes);
    if span.state != state_of(span.end_time) || span.end_time.is_none() {
        attributes.push(pair(wire::STATE, text(span.state.as_str())));
    }
    if let Some(level) = span.level.filter(|level| *level != Severity::Info) {
        attributes.push(pair(wire::LEVEL, text(level.as_str())));
    }
    if let Some(category) = &span.category {
        attributes.push(own_attribute(wire::CATEGORY, category, &span.attributes));
    }
    attributes
}

fn kind(kind: SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    }
}

/// A named event keeps its name and has its message among its attributes; any other has its message
/// as its name.
fn span_event(event: &LogEvent) -> Event {
    let mut attributes = pairs(&event.attributes);
    let mut add = |key, value| attributes.push(own_attribute(key, value, &event.attributes));
    add(wire::SEVERITY, event.severity.as_str());
    add(wire::TARGET, &event.target);
    // A category that the target implies is not sent, as in the OTLP exporter.
    let has_other = event.attributes.get(wire::CATEGORY).is_some();
    if has_other || event.category != category_of(&event.target) {
        add(wire::CATEGORY, &event.category);
    }
    let name = if event.name.is_empty() {
        // Otherwise the reader would take the attribute for the message of a named event.
        if event.attributes.get(wire::MESSAGE).is_some() {
            attributes.push(pair(wire::NAME, text("")));
        }
        &event.message
    } else {
        add(wire::MESSAGE, &event.message);
        &event.name
    };
    Event {
        time_unix_nano: nanos(event.timestamp),
        name: name.clone(),
        attributes,
        ..Event::default()
    }
}

fn log_record(event: &LogEvent) -> LogRecord {
    let mut attributes = pairs(&event.attributes);
    let has_other = event.attributes.get(wire::CATEGORY).is_some();
    if has_other || event.category != UNCATEGORIZED {
        attributes.push(own_attribute(wire::CATEGORY, &event.category, &event.attributes));
    }
    let names = [wire::EVENT_NAME, wire::OTEL_EVENT_NAME];
    if event.name.is_empty() && names.iter().any(|name| event.attributes.get(name).is_some()) {
        attributes.push(pair(wire::NAME, text("")));
    }
    let time = nanos(event.timestamp);
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: event.severity.number().into(),
        severity_text: event.severity.as_str().to_owned(),
        body: Some(AnyValue {
            value: text(&event.message),
        }),
        attributes,
        trace_id: event
            .trace_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        span_id: event.span_id.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        event_name: event.name.clone(),
        ..LogRecord::default()
    }
}

fn link(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_bytes().to_vec(),
        span_id: link.span_id.to_bytes().to_vec(),
        attributes: pairs(&link.attributes),
        ..span::Link::default()
    }
}

/// Returns the time as the protocol's unsigned number, in which a time before 1970 is 0.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

fn pairs(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| pair(key, any_value(value)))
        .collect()
}

/// Returns an attribute for a field of the model that OTLP lacks, under another key if the record
/// has its own attribute under this one.
fn own_attribute(key: &str, value: &str, attributes: &Attributes) -> KeyValue {
    match attributes.get(key) {
        None => pair(key, text(value)),
        Some(_) => pair(&wire::fallback_key(key), text(value)),
    }
}

fn pair(key: &str, value: Option<Sent>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value }),
        ..KeyValue::default()
    }
}

fn text(text: &str) -> Option<Sent> {
    Some(Sent::StringValue(text.to_owned()))
}

/// JSON's null is OTLP's empty value.
fn any_value(value: &Value) -> Option<Sent> {
    Some(match value {
        Value::Bool(value) => Sent::BoolValue(*value),
        Value::I64(number) => Sent::IntValue(*number),
        Value::U64(number) => match i64::try_from(*number) {
            Ok(number) => Sent::IntValue(number),
            Err(_) => Sent::StringValue(number.to_string()),
        },
        Value::F64(number) => Sent::DoubleValue(*number),
        Value::Str(text) => Sent::StringValue(text.clone()),
        Value::Json(Json::Null) => return None,
        Value::Json(Json::Array(items)) => Sent::ArrayValue(ArrayValue {
            values: items
                .iter()
                .map(|item| AnyValue {
                    value: any_value(&Value::from(item.clone())),
                })
                .collect(),
        }),
        Value::Json(Json::Object(fields)) => Sent::KvlistValue(KeyValueList {
            values: fields
                .iter()
                .map(|(key, field)| pair(key, any_value(&Value::from(field.clone()))))
                .collect(),
        }),
        Value::Json(other) => Sent::StringValue(other.to_string()),
    })
}
