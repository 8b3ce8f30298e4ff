//! The conversion of requests, rule by rule. Each is sent as protobuf and as the JSON of
//! `opentelemetry-proto`, with the same result.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod bodies;
mod distributions;
mod encode;
mod json;
mod json_values;
mod logs;
mod metrics;
mod property;
mod sources;
mod span_events;
mod spans;
mod weights;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spanscope_model::{Attributes, Timestamp};

use super::{Converted, Encoding, Signal, convert};

const TRACE: [u8; 16] = [7; 16];
const SPAN: [u8; 8] = [9; 8];

/// Returns the result of a request, which is the same in both encodings except for the digest of
/// the body.
fn both<T: Message + serde::Serialize>(signal: Signal, request: &T) -> Converted {
    let protobuf = convert(signal, Encoding::Protobuf, &request.encode_to_vec(), None).unwrap();
    let mut json = convert(
        signal,
        Encoding::Json,
        &serde_json::to_vec(request).unwrap(),
        None,
    )
    .unwrap();
    assert_eq!(protobuf.records.batch.is_some(), json.records.batch.is_some());
    json.records.batch = protobuf.records.batch;
    assert_eq!(protobuf, json);
    protobuf
}

fn of_json(signal: Signal, body: &str) -> Converted {
    convert(signal, Encoding::Json, body.as_bytes(), None).unwrap()
}

/// A valid span.
fn span() -> Span {
    Span {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        name: "ask".to_owned(),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 3_000,
        ..Span::default()
    }
}

fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: name.to_owned(),
        ..InstrumentationScope::default()
    })
}

fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        scope: scope("lib"),
        spans,
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs {
        scope: scope("lib"),
        log_records,
        ..ScopeLogs::default()
    }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs,
            ..ResourceLogs::default()
        }],
    }
}

fn metrics(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics {
        scope: scope("lib"),
        metrics,
        ..ScopeMetrics::default()
    }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics,
            ..ResourceMetrics::default()
        }],
    }
}

fn metric(data: Data) -> Metric {
    Metric {
        name: "m".to_owned(),
        unit: "s".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn any(value: Sent) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> Sent {
    Sent::StringValue(text.to_owned())
}

fn pair(key: &str, value: Sent) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        key_strindex: 0,
    }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| pair(key, text(value))).collect()
}

fn shown(attributes: &Attributes) -> String {
    serde_json::to_string(attributes).unwrap()
}

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}
