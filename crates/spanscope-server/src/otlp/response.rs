//! Bodies of responses, in the encoding of the request.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde::Serialize;
use serde_json::json;

use super::{Encoding, Signal};

/// Why an OTLP request failed: `google.rpc.Status` without its details.
#[derive(Clone, PartialEq, Message, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "OtlpStatus"))]
pub(crate) struct Status {
    /// The status as gRPC numbers it.
    #[prost(int32, tag = "1")]
    code: i32,
    /// The message, for people.
    #[prost(string, tag = "2")]
    message: String,
}

/// The body of an error, with a code of gRPC.
pub(crate) fn failure(encoding: Encoding, grpc_code: i32, message: &str) -> Vec<u8> {
    let status = Status {
        code: grpc_code,
        message: message.to_owned(),
    };
    match encoding {
        Encoding::Protobuf => status.encode_to_vec(),
        // A number and a text can't fail.
        Encoding::Json => serde_json::to_vec(&status).unwrap_or_default(),
    }
}

/// Returns the body of a success. It is empty if everything was accepted without remarks: a sender
/// reports any message.
pub(crate) fn answer(signal: Signal, encoding: Encoding, rejected: u64, message: &str) -> Vec<u8> {
    let has_part = rejected > 0 || !message.is_empty();
    let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
    let error_message = message.to_owned();
    match (encoding, signal) {
        (Encoding::Json, _) => in_json(signal, rejected, message),
        (Encoding::Protobuf, Signal::Traces) => ExportTraceServiceResponse {
            partial_success: has_part.then_some(ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message,
            }),
        }
        .encode_to_vec(),
        (Encoding::Protobuf, Signal::Metrics) => ExportMetricsServiceResponse {
            partial_success: has_part.then_some(ExportMetricsPartialSuccess {
                rejected_data_points: rejected,
                error_message,
            }),
        }
        .encode_to_vec(),
        (Encoding::Protobuf, Signal::Logs) => ExportLogsServiceResponse {
            partial_success: has_part.then_some(ExportLogsPartialSuccess {
                rejected_log_records: rejected,
                error_message,
            }),
        }
        .encode_to_vec(),
    }
}

/// Hand-written: `opentelemetry-proto` writes `"partialSuccess":null` for none, and the count as a
/// number, where the protocol requires nothing and a string.
fn in_json(signal: Signal, rejected: i64, message: &str) -> Vec<u8> {
    let mut part = serde_json::Map::new();
    if rejected > 0 {
        let field = match signal {
            Signal::Traces => "rejectedSpans",
            Signal::Metrics => "rejectedDataPoints",
            Signal::Logs => "rejectedLogRecords",
        };
        part.insert(field.to_owned(), rejected.to_string().into());
    }
    if !message.is_empty() {
        part.insert("errorMessage".to_owned(), message.into());
    }
    let answer = if part.is_empty() {
        json!({})
    } else {
        json!({ "partialSuccess": part })
    };
    answer.to_string().into_bytes()
}
