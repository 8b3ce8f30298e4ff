//! Spans in OTLP's JSON: ids are hex, 64-bit numbers are texts, kinds and status codes are numbers,
//! and what is empty is left out unless a reader may count on it.
//!
//! `opentelemetry-proto` can write JSON with serde, but writes null for the numbers that JSON does
//! not have; the protocol asks for their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use serde_json::{Map, Value as Json, json};

use crate::otlp::attributes::float;

pub(in crate::otlp) fn traces(data: TracesData) -> Json {
    json!({"resourceSpans": list(data.resource_spans, resource_spans)})
}

fn list<T>(items: Vec<T>, write: fn(T) -> Json) -> Json {
    items.into_iter().map(write).collect()
}

fn resource_spans(of: ResourceSpans) -> Json {
    let resource = of.resource.unwrap_or_default();
    json!({
        "resource": {"attributes": list(resource.attributes, pair)},
        "scopeSpans": list(of.scope_spans, scope_spans),
    })
}

fn scope_spans(of: ScopeSpans) -> Json {
    let scope = of.scope.unwrap_or_default();
    json!({"scope": {"name": scope.name}, "spans": list(of.spans, span)})
}

fn span(span: Span) -> Json {
    let mut object = Map::new();
    let mut set = |name: &str, is_there: bool, value: Json| {
        if is_there {
            object.insert(name.to_owned(), value);
        }
    };
    set("traceId", true, hex(&span.trace_id).into());
    set("spanId", true, hex(&span.span_id).into());
    let parent = &span.parent_span_id;
    set("parentSpanId", !parent.is_empty(), hex(parent).into());
    set(
        "traceState",
        !span.trace_state.is_empty(),
        span.trace_state.into(),
    );
    set("name", true, span.name.into());
    set("kind", true, span.kind.into());
    let [start, end] = [span.start_time_unix_nano, span.end_time_unix_nano];
    set("startTimeUnixNano", true, start.to_string().into());
    set("endTimeUnixNano", end != 0, end.to_string().into());
    set("attributes", true, list(span.attributes, pair));
    set("events", !span.events.is_empty(), list(span.events, event));
    set("links", !span.links.is_empty(), list(span.links, link));
    set("status", true, status(span.status.unwrap_or_default()));
    object.into()
}

fn event(event: Event) -> Json {
    json!({
        "timeUnixNano": event.time_unix_nano.to_string(),
        "name": event.name,
        "attributes": list(event.attributes, pair),
    })
}

fn link(link: Link) -> Json {
    json!({
        "traceId": hex(&link.trace_id),
        "spanId": hex(&link.span_id),
        "attributes": list(link.attributes, pair),
    })
}

fn status(status: Status) -> Json {
    let mut object = Map::new();
    if !status.message.is_empty() {
        object.insert("message".to_owned(), status.message.into());
    }
    if status.code != 0 {
        object.insert("code".to_owned(), status.code.into());
    }
    object.into()
}

fn pair(pair: KeyValue) -> Json {
    json!({"key": pair.key, "value": any_value(pair.value.unwrap_or_default())})
}

fn any_value(value: AnyValue) -> Json {
    match value.value {
        Some(Sent::StringValue(text)) => json!({"stringValue": text}),
        Some(Sent::BoolValue(value)) => json!({"boolValue": value}),
        Some(Sent::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(Sent::DoubleValue(number)) => json!({"doubleValue": float(number)}),
        Some(Sent::BytesValue(bytes)) => json!({"bytesValue": STANDARD.encode(bytes)}),
        Some(Sent::ArrayValue(array)) => json!({"arrayValue": {"values": list(array.values, any_value)}}),
        Some(Sent::KvlistValue(fields)) => json!({"kvlistValue": {"values": list(fields.values, pair)}}),
        // The number of a text in a dictionary, which only profiles have.
        Some(Sent::StringValueStrindex(_)) | None => json!({}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
