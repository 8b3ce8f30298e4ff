//! The other direction: stored spans and their events as OTLP's messages, for an export.
//!
//! What [`convert`](super::convert) reads from these messages is what was stored. Not written is
//! what the model keeps elsewhere: the resource beyond `service.name`, the version of a scope, and
//! events outside of the given spans.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{self, Event};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as sent, ResourceSpans, ScopeSpans, Status, TracesData};
use serde_json::Value as Json;
use spanscope_model::{
    Attributes, Link, LogEvent, Span, SpanId, SpanKind, SpanStatus, Timestamp, Value, category_of, wire,
};

use super::spans::state_of;

/// Things by the name of what they belong to, in the order in which the names came up.
type Groups<'a, T> = Vec<(&'a str, T)>;

/// A service is a resource, a target is a scope.
pub(super) fn traces(spans: &[Span], events: &[LogEvent]) -> TracesData {
    let mut by_span: HashMap<SpanId, Vec<Event>> = HashMap::new();
    for event in events {
        if let Some(span) = event.span_id {
            by_span.entry(span).or_default().push(span_event(event));
        }
    }
    let mut services: Groups<'_, Groups<'_, Vec<sent::Span>>> = Vec::new();
    for span in spans {
        let targets = group(&mut services, &span.service_name);
        let events = by_span.remove(&span.span_id).unwrap_or_default();
        group(targets, span.target.as_deref().unwrap_or_default()).push(span_of(span, events));
    }
    TracesData {
        resource_spans: services.into_iter().map(of_service).collect(),
    }
}

/// The group of this name. There are few of them, so a search costs nothing.
fn group<'g, 'a, T: Default>(groups: &'g mut Groups<'a, T>, name: &'a str) -> &'g mut T {
    let at = groups
        .iter()
        .position(|(have, _)| *have == name)
        .unwrap_or_else(|| {
            groups.push((name, T::default()));
            groups.len() - 1
        });
    &mut groups[at].1
}

fn of_service((service, targets): (&str, Groups<'_, Vec<sent::Span>>)) -> ResourceSpans {
    let scope_spans = targets.into_iter().map(|(target, spans)| ScopeSpans {
        scope: Some(InstrumentationScope {
            name: target.to_owned(),
            ..InstrumentationScope::default()
        }),
        spans,
        ..ScopeSpans::default()
    });
    let name = (!service.is_empty()).then(|| pair("service.name", text(service)));
    ResourceSpans {
        resource: Some(Resource {
            attributes: name.into_iter().collect(),
            ..Resource::default()
        }),
        scope_spans: scope_spans.collect(),
        ..ResourceSpans::default()
    }
}

fn span_of(span: &Span, events: Vec<Event>) -> sent::Span {
    let mut attributes = pairs(&span.attributes);
    if span.state != state_of(span.end_time) || span.end_time.is_none() {
        attributes.push(pair(wire::STATE, text(span.state.as_str())));
    }
    if let Some(category) = &span.category {
        attributes.push(ours(wire::CATEGORY, category, &span.attributes));
    }
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
        attributes,
        events,
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

fn kind(kind: SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    }
}

/// A named event keeps its name and has its message among its attributes; any other is named by its
/// message.
fn span_event(event: &LogEvent) -> Event {
    let mut attributes = pairs(&event.attributes);
    let mut add = |key, value| attributes.push(ours(key, value, &event.attributes));
    add(wire::SEVERITY, event.severity.as_str());
    add(wire::TARGET, &event.target);
    // As the bridge: a category that the target implies is not sent.
    let has_other = event.attributes.get(wire::CATEGORY).is_some();
    if has_other || event.category != category_of(&event.target) {
        add(wire::CATEGORY, &event.category);
    }
    let name = if event.name.is_empty() {
        // Or the attribute would be read as the message of an event of that name.
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

fn link(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_bytes().to_vec(),
        span_id: link.span_id.to_bytes().to_vec(),
        attributes: pairs(&link.attributes),
        ..span::Link::default()
    }
}

/// Unsigned in the protocol; times before 1970 have no form there.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

fn pairs(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| pair(key, any_value(value)))
        .collect()
}

/// What the model has in a field and OTLP among the attributes, under another key where the record
/// has an attribute of its own under this one.
fn ours(key: &str, value: &str, attributes: &Attributes) -> KeyValue {
    match attributes.get(key) {
        None => pair(key, text(value)),
        Some(_) => pair(&wire::beside(key), text(value)),
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
