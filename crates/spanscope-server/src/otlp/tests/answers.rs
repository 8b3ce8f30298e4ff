//! The responses to OTLP requests: partial success, warnings and failures.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use crate::otlp::{Encoding, Signal, answer, failure};

const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

#[test]
fn a_response_without_a_message_is_empty() {
    for signal in SIGNALS {
        assert_eq!(answer(signal, Encoding::Protobuf, 0, ""), b"");
        assert_eq!(answer(signal, Encoding::Json, 0, ""), b"{}");
    }
}

#[test]
fn a_partial_success_says_how_many_and_why() {
    let protobuf = |signal| answer(signal, Encoding::Protobuf, 3, "why");
    let traces = ExportTraceServiceResponse::decode(&protobuf(Signal::Traces)[..]).unwrap();
    let traces = traces.partial_success.unwrap();
    assert_eq!((traces.rejected_spans, traces.error_message.as_str()), (3, "why"));
    let metrics = ExportMetricsServiceResponse::decode(&protobuf(Signal::Metrics)[..]).unwrap();
    let metrics = metrics.partial_success.unwrap();
    assert_eq!(
        (metrics.rejected_data_points, metrics.error_message.as_str()),
        (3, "why")
    );
    let logs = ExportLogsServiceResponse::decode(&protobuf(Signal::Logs)[..]).unwrap();
    let logs = logs.partial_success.unwrap();
    assert_eq!(
        (logs.rejected_log_records, logs.error_message.as_str()),
        (3, "why")
    );

    for (signal, field) in
        SIGNALS
            .into_iter()
            .zip(["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"])
    {
        let json = String::from_utf8(answer(signal, Encoding::Json, 3, "why")).unwrap();
        assert_eq!(
            json,
            format!(r#"{{"partialSuccess":{{"{field}":"3","errorMessage":"why"}}}}"#)
        );
    }
}

#[test]
fn a_message_alone_is_a_warning() {
    assert_eq!(
        answer(Signal::Logs, Encoding::Json, 0, "hm"),
        br#"{"partialSuccess":{"errorMessage":"hm"}}"#
    );
    let warned = answer(Signal::Logs, Encoding::Protobuf, 0, "hm");
    let warned = ExportLogsServiceResponse::decode(&warned[..]).unwrap();
    assert_eq!(warned.partial_success.unwrap().error_message, "hm");
}

#[test]
fn a_failure_is_a_status_of_grpc() {
    assert_eq!(
        failure(Encoding::Json, 3, "a \"b\""),
        br#"{"code":3,"message":"a \"b\""}"#
    );
    assert_eq!(failure(Encoding::Protobuf, 3, "ab"), b"\x08\x03\x12\x02ab");
}
