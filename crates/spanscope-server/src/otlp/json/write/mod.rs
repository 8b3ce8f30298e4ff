//! OTLP's JSON: ids are hexadecimal, 64-bit numbers are strings, kinds and status codes are
//! numbers, and empty values are left out unless a reader may rely on them.
//!
//! `opentelemetry-proto` can write JSON with serde, but writes null for the numbers that JSON does
//! not have; the protocol requires their names.

mod metrics;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Map, Value as Json, json};

use crate::otlp::attributes::float;

pub(in crate::otlp) fn traces(request: ExportTraceServiceRequest) -> Json {
    let resources = list(request.resource_spans, |of| {
        let scopes = list(of.scope_spans, |of| {
            in_scope(of.scope, of.schema_url, "spans", list(of.spans, span))
        });
        of_resource(of.resource, of.schema_url, "scopeSpans", scopes)
    });
    json!({"resourceSpans": resources})
}

pub(in crate::otlp) fn logs(request: ExportLogsServiceRequest) -> Json {
    let resources = list(request.resource_logs, |of| {
        let scopes = list(of.scope_logs, |of| {
            in_scope(
                of.scope,
                of.schema_url,
                "logRecords",
                list(of.log_records, log_record),
            )
        });
        of_resource(of.resource, of.schema_url, "scopeLogs", scopes)
    });
    json!({"resourceLogs": resources})
}

pub(in crate::otlp) fn metrics(request: ExportMetricsServiceRequest) -> Json {
    let resources = list(request.resource_metrics, |of| {
        let scopes = list(of.scope_metrics, |of| {
            in_scope(
                of.scope,
                of.schema_url,
                "metrics",
                list(of.metrics, metrics::metric),
            )
        });
        of_resource(of.resource, of.schema_url, "scopeMetrics", scopes)
    });
    json!({"resourceMetrics": resources})
}

fn list<T>(items: Vec<T>, write: fn(T) -> Json) -> Json {
    items.into_iter().map(write).collect()
}

fn of_resource(resource: Option<Resource>, schema_url: String, field: &str, scopes: Json) -> Json {
    let resource = resource.unwrap_or_default();
    let mut fields = Fields::default();
    fields.set("attributes", list(resource.attributes, pair));
    fields.set_unless_empty("droppedAttributesCount", resource.dropped_attributes_count);
    let mut object = Fields::default();
    object.set("resource", fields.0);
    object.set(field, scopes);
    object.set_unless_empty("schemaUrl", schema_url);
    object.0.into()
}

fn in_scope(scope: Option<InstrumentationScope>, schema_url: String, field: &str, records: Json) -> Json {
    let scope = scope.unwrap_or_default();
    let mut fields = Fields::default();
    fields.set("name", scope.name);
    fields.set_unless_empty("version", scope.version);
    fields.set_list("attributes", scope.attributes, pair);
    fields.set_unless_empty("droppedAttributesCount", scope.dropped_attributes_count);
    let mut object = Fields::default();
    object.set("scope", fields.0);
    object.set(field, records);
    object.set_unless_empty("schemaUrl", schema_url);
    object.0.into()
}

/// The fields of an object, without those that are empty.
#[derive(Default)]
struct Fields(Map<String, Json>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Json>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn set_unless_empty<T: Default + PartialEq + Into<Json>>(&mut self, name: &str, value: T) {
        if value != T::default() {
            self.set(name, value);
        }
    }

    fn set_list<T>(&mut self, name: &str, items: Vec<T>, write: fn(T) -> Json) {
        if !items.is_empty() {
            self.set(name, list(items, write));
        }
    }

    /// 64-bit numbers are strings.
    fn set_whole(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.set(name, number.to_string());
        }
    }

    fn set_float(&mut self, name: &str, number: Option<f64>) {
        if let Some(number) = number {
            self.set(name, float(number));
        }
    }
}

fn log_record(record: LogRecord) -> Json {
    let mut object = Fields::default();
    object.set("timeUnixNano", record.time_unix_nano.to_string());
    object.set("observedTimeUnixNano", record.observed_time_unix_nano.to_string());
    object.set("severityNumber", record.severity_number);
    object.set_unless_empty("severityText", record.severity_text);
    object.set("body", any_value(record.body.unwrap_or_default()));
    object.set("attributes", list(record.attributes, pair));
    object.set_unless_empty("traceId", hex(&record.trace_id));
    object.set_unless_empty("spanId", hex(&record.span_id));
    object.set_unless_empty("eventName", record.event_name);
    object.0.into()
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
        // The index of a string in a table, which only profiles have.
        Some(Sent::StringValueStrindex(_)) | None => json!({}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
