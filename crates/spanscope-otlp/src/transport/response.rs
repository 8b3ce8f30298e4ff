//! A collector's response to an accepted request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use spanscope_model::text::excerpt;

use crate::settings::Signal;

/// The relevant parts of the response.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) rejected: u64,
    /// The collector's message; visible characters only, because it is foreign data for a terminal.
    pub(super) message: String,
    pub(super) oddity: Option<&'static str>,
}

/// Longer messages are truncated.
const MAX_MESSAGE_CHARS: usize = 200;

/// Parses the response. An unreadable one is reported, because the server may not be a collector;
/// the request still counts as accepted.
pub(super) fn read_answer(signal: Signal, body: &[u8], is_json: bool) -> Answer {
    if body.is_empty() {
        return Answer::default();
    }
    let partial = if is_json {
        from_json(body)
    } else {
        match signal {
            Signal::Traces => ExportTraceServiceResponse::decode(body).map(|answer| {
                answer
                    .partial_success
                    .map(|part| (part.rejected_spans, part.error_message))
            }),
            Signal::Metrics => ExportMetricsServiceResponse::decode(body).map(|answer| {
                answer
                    .partial_success
                    .map(|part| (part.rejected_data_points, part.error_message))
            }),
            Signal::Logs => ExportLogsServiceResponse::decode(body).map(|answer| {
                answer
                    .partial_success
                    .map(|part| (part.rejected_log_records, part.error_message))
            }),
        }
        .ok()
        .map(Option::unwrap_or_default)
        .or_else(|| from_json(body))
    };
    match partial {
        Some((rejected, message)) => Answer {
            rejected: u64::try_from(rejected).unwrap_or(0),
            message: one_line(&message),
            oddity: None,
        },
        None => Answer {
            oddity: Some("responds 200 with something other than OTLP: is it an OTLP endpoint?"),
            ..Answer::default()
        },
    }
}

/// Parses a response in JSON. Protobuf's JSON has integers as strings; other implementations write
/// numbers.
fn from_json(body: &[u8]) -> Option<(i64, String)> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = answer.as_object()?.get("partialSuccess");
    let Some(partial) = partial.and_then(serde_json::Value::as_object) else {
        return Some((0, String::new()));
    };
    let rejected = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"]
        .iter()
        .find_map(|key| partial.get(*key));
    let rejected = rejected.and_then(|number| number.as_i64().or_else(|| number.as_str()?.parse().ok()));
    let message = partial.get("errorMessage").and_then(|message| message.as_str());
    Some((rejected.unwrap_or(0), message.unwrap_or_default().to_owned()))
}

/// Returns a collector's text as one line without control characters.
pub(super) fn one_line(text: &str) -> String {
    let line = excerpt(text, MAX_MESSAGE_CHARS).replace(char::is_control, " ");
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read_from_protobuf_and_json() {
        let binary = ExportTraceServiceResponse {
            partial_success: Some(
                opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
                    rejected_spans: 3,
                    error_message: "too\x1b[31m old".to_owned(),
                },
            ),
        };
        let read = read_answer(Signal::Traces, &binary.encode_to_vec(), false);
        assert_eq!((read.rejected, read.message.as_str()), (3, "too [31m old"));
        let json = br#"{"partialSuccess":{"rejectedLogRecords":"2"}}"#;
        assert_eq!(read_answer(Signal::Logs, json, true).rejected, 2);
        let json = br#"{"partialSuccess":{"rejectedDataPoints":7,"errorMessage":"no"}}"#;
        assert_eq!(read_answer(Signal::Metrics, json, false).rejected, 7);
    }

    #[test]
    fn an_empty_response_or_object_rejects_no_record() {
        for (body, is_json) in [
            (&b""[..], false),
            (b"{}", true),
            (b"{}", false),
            (br#"{"partialSuccess":null}"#, true),
        ] {
            assert_eq!(read_answer(Signal::Traces, body, is_json), Answer::default());
        }
    }

    #[test]
    fn a_response_that_is_not_otlp_is_reported_and_rejects_no_record() {
        for body in [&b"<html>log in</html>"[..], b"OK", b"\xff\xff\xff", b"[1"] {
            for is_json in [false, true] {
                let answer = read_answer(Signal::Traces, body, is_json);
                assert!(answer.oddity.is_some() && answer.rejected == 0, "{body:?}");
            }
        }
    }
}
