//! The OTLP receiver over HTTP, with senders of every kind.

mod bodies;
mod compressed;
mod crowds;
mod failing;
mod records;
mod repeats;
mod swelling;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;

use crate::wire::{Answer, Ask};

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";
pub(crate) const TRACES: &str = "/v1/traces";
pub(crate) const SIGNALS: [&str; 3] = [TRACES, "/v1/metrics", "/v1/logs"];

/// The body of an OTLP error: `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// Returns the status in a response, in the encoding that it declares.
pub(crate) fn status_of(answer: &Answer) -> Status {
    match answer.header("content-type") {
        Some(PROTOBUF) => Status::decode(&answer.body[..]).unwrap(),
        Some(JSON) => {
            let body = answer.json();
            Status {
                code: i32::try_from(body["code"].as_i64().unwrap()).unwrap(),
                message: body["message"].as_str().unwrap().to_owned(),
            }
        }
        other => panic!("{other:?}: {answer:?}"),
    }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Sent::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// A valid span, whose id is derived from its name.
pub(crate) fn span(name: &str) -> Span {
    let id = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Span {
        trace_id: vec![7; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        start_time_unix_nano: 1_753_000_000_000_000_000,
        end_time_unix_nano: 1_753_000_000_250_000_000,
        ..Span::default()
    }
}

pub(crate) fn traces_of(resource: Vec<KeyValue>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource,
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    traces_of(vec![text("service.name", "shop")], spans)
}

/// As protobuf.
pub(crate) fn send(request: &ExportTraceServiceRequest) -> Ask {
    Ask::post(TRACES, PROTOBUF, request.encode_to_vec())
}

/// As JSON.
pub(crate) fn send_json(request: &ExportTraceServiceRequest) -> Ask {
    Ask::post(TRACES, JSON, serde_json::to_vec(request).unwrap())
}

/// A request of each signal with one record that is right, as JSON.
pub(crate) fn one_of_each() -> [(&'static str, serde_json::Value); 3] {
    let time = "1753000000000000000";
    let point = json!({"timeUnixNano": time, "asInt": "3", "attributes": []});
    let metric = json!({"name": "jobs", "gauge": {"dataPoints": [point]}});
    let record = json!({"timeUnixNano": time, "body": {"stringValue": "hello"}});
    [
        (TRACES, serde_json::to_value(traces(vec![span("one")])).unwrap()),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}),
        ),
        (
            "/v1/logs",
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}),
        ),
    ]
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compresses in the format that HTTP and gRPC call deflate.
pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Returns how many spans were left out, and the message about it.
pub(crate) fn rejected(answer: &Answer) -> (i64, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    match answer.header("content-type") {
        Some(PROTOBUF) => {
            let answer = ExportTraceServiceResponse::decode(&answer.body[..]).unwrap();
            let part = answer.partial_success.unwrap_or_default();
            (part.rejected_spans, part.error_message)
        }
        Some(JSON) => {
            let part = &answer.json()["partialSuccess"];
            let rejected = part["rejectedSpans"].as_str().unwrap_or("0");
            let message = part["errorMessage"].as_str().unwrap_or_default();
            (rejected.parse().unwrap(), message.to_owned())
        }
        other => panic!("{other:?}: {answer:?}"),
    }
}
