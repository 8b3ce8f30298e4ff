//! Bodies that are empty, invalid, nested too deep, or of another signal.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use spanscope_model::NewRecords;

use super::{any, both, of_json, pair, span, text, traces};
use crate::otlp::{Encoding, Signal, convert};

fn refused(signal: Signal, encoding: Encoding, body: &[u8]) -> String {
    convert(signal, encoding, body, None).unwrap_err()
}

#[test]
fn an_empty_request_has_no_records() {
    let converted = both(Signal::Traces, &ExportTraceServiceRequest::default());
    assert!(converted.records.is_empty());
    assert_eq!((converted.rejected, converted.message.as_str()), (0, ""));
    both(Signal::Metrics, &ExportMetricsServiceRequest::default());
    both(Signal::Logs, &ExportLogsServiceRequest::default());
    for body in [
        "{}",
        r#"{"resourceSpans":[]}"#,
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[{}]}"#,
        r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{},"spans":null}]}]}"#,
    ] {
        let converted = of_json(Signal::Traces, body);
        assert_eq!(
            converted.records,
            NewRecords::default().batch(converted.records.batch)
        );
        assert_eq!(
            (converted.rejected, converted.message.as_str()),
            (0, ""),
            "{body}"
        );
    }
}

#[test]
fn an_invalid_request_is_refused_with_the_position_and_the_accepted_form() {
    for (body, what) in [
        ("", "EOF while parsing"),
        ("nonsense", "expected"),
        ("{\"resourceSpans\":[", "EOF while parsing"),
        ("{} {}", "trailing characters"),
        ("\"\u{1}\"", "control character"),
        ("[]", "a list is not an object"),
        ("null", "null is not an object"),
        ("5", "5 is not an object"),
        (
            r#"{"resourceSpans":{}}"#,
            "resourceSpans: an object is not a list",
        ),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}"#,
            "scopeSpans[0].spans: an object is not a list",
        ),
        (
            r#"{"resourceSpans":[5,{}]}"#,
            "resourceSpans[0]: 5 is not an object",
        ),
        (
            r#"{"resourceLogs":[]}"#,
            "its field `resourceLogs` is of a request to /v1/logs",
        ),
    ] {
        let message = refused(Signal::Traces, Encoding::Json, body.as_bytes());
        assert!(message.contains(what), "{body}: {message}");
        assert!(
            message.starts_with("the body is not an ExportTraceServiceRequest in JSON: "),
            "{message}"
        );
        assert!(
            message.ends_with("send {\"resourceSpans\": [...]}, or protobuf with the header `content-type: application/x-protobuf`"),
            "{message}"
        );
    }
    let outside_of_texts = b"{\"resourceSpans\":[{\xff}]}";
    refused(Signal::Traces, Encoding::Json, outside_of_texts);
}

#[test]
fn invalid_protobuf_is_refused() {
    let whole = traces(vec![span()]).encode_to_vec();
    for body in [
        &b"{}"[..],
        b"nonsense",
        b"\x0a\xff\xff\xff\xff\x0f",
        &whole[..whole.len() - 1],
    ] {
        let message = refused(Signal::Traces, Encoding::Protobuf, body);
        assert!(
            message.starts_with("the body is not an ExportTraceServiceRequest in protobuf: "),
            "{message}"
        );
        assert!(
            message.ends_with("send one, or JSON with the header `content-type: application/json`"),
            "{message}"
        );
    }
}

#[test]
fn a_body_without_the_field_of_its_signal_is_most_likely_a_mistake() {
    let converted = of_json(Signal::Traces, r#"{"batches":[]}"#);
    assert!(converted.records.is_empty());
    assert_eq!(
        (converted.rejected, converted.message.as_str()),
        (
            0,
            "the body has no field `resourceSpans`, so nothing in it was read"
        )
    );
}

/// A span with an attribute of nested lists of this depth.
fn list_in_list(depth: usize) -> Span {
    let mut value = text("core");
    for _ in 0..depth {
        value = Sent::ArrayValue(ArrayValue {
            values: vec![any(value)],
        });
    }
    Span {
        attributes: vec![pair("k", value)],
        ..span()
    }
}

fn map_in_map(depth: usize) -> Span {
    let mut value = text("core");
    for _ in 0..depth {
        value = Sent::KvlistValue(KeyValueList {
            values: vec![pair("k", value)],
        });
    }
    Span {
        attributes: vec![pair("k", value)],
        ..span()
    }
}

#[test]
fn values_may_be_nested_twenty_deep() {
    for span in [list_in_list(20), map_in_map(20)] {
        assert_eq!(both(Signal::Traces, &traces(vec![span])).records.len(), 1);
    }
}

#[test]
fn values_that_are_nested_too_deep_for_the_decoders_are_refused_without_overflow() {
    for depth in [60, 1_000] {
        for span in [list_in_list(depth), map_in_map(depth)] {
            let message = refused(
                Signal::Traces,
                Encoding::Protobuf,
                &traces(vec![span]).encode_to_vec(),
            );
            assert!(message.contains("recursion limit"), "{message}");
        }
    }
    for (open, close) in [
        (r#"{"arrayValue":{"values":["#, "]}}"),
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}"),
    ] {
        for depth in [60, 100_000] {
            let body = format!(
                r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"k","value":{}{{}}{}}}]}}]}}]}}]}}"#,
                open.repeat(depth),
                close.repeat(depth)
            );
            let message = refused(Signal::Traces, Encoding::Json, body.as_bytes());
            assert!(message.contains("recursion limit"), "{message}");
        }
    }
    let brackets = "[".repeat(1_000_000);
    refused(Signal::Traces, Encoding::Json, brackets.as_bytes());
    let unknown = format!("{{\"x\":{brackets}");
    refused(Signal::Traces, Encoding::Json, unknown.as_bytes());
    // Groups are an old form of nesting, here in unknown fields.
    refused(Signal::Traces, Encoding::Protobuf, &[0x7b; 1_000_000]);
}

/// Returns the body with each `@` replaced by a byte that is not UTF-8.
fn latin_1(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let body = request.encode_to_vec().into_iter();
    body.map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect()
}

#[test]
fn texts_of_a_rejected_record_are_not_reported_as_repaired() {
    let named = |name: &str, span: Span| Span {
        name: name.to_owned(),
        ..span
    };
    let rejected = || named("caf@", list_in_list(60));
    for (kept, texts) in [("cafe", 0), ("caf@", 1)] {
        for spans in [
            vec![rejected(), named(kept, span())],
            vec![named(kept, span()), rejected()],
        ] {
            let body = latin_1(&traces(spans));
            let converted = convert(Signal::Traces, Encoding::Protobuf, &body, None).unwrap();
            assert_eq!((converted.rejected, converted.repaired), (1, texts));
            let message = &converted.message;
            assert!(message.contains(" of its scope: "), "{message}");
            assert_eq!(message.contains("replaced by U+FFFD"), texts > 0, "{message}");
        }
    }
}

/// Returns a body with `instrumentation_library_spans`, the scopes of OTLP before 0.15.
fn older_scopes(scope: &[u8]) -> Vec<u8> {
    let mut of_resource = Vec::new();
    prost::encoding::bytes::encode(1000, &scope.to_vec(), &mut of_resource);
    let mut body = Vec::new();
    prost::encoding::bytes::encode(1, &of_resource, &mut body);
    body
}

#[test]
fn an_older_scope_that_can_not_be_read_is_refused_and_not_acknowledged() {
    let scope = &traces(vec![span()]).resource_spans[0].scope_spans[0];
    let scope = scope.encode_to_vec();
    let convert = |body: &[u8]| convert(Signal::Traces, Encoding::Protobuf, body, None);
    assert_eq!(convert(&older_scopes(&scope)).unwrap().records.len(), 1);
    let message = convert(&older_scopes(&scope[..scope.len() - 1])).unwrap_err();
    assert!(message.contains("one of its scopes can't be read"), "{message}");
}

#[test]
fn a_repeated_batch_is_recognized_and_another_one_is_not() {
    let batch = |span: Span| both(Signal::Traces, &traces(vec![span])).records.batch.unwrap();
    assert_eq!(batch(span()), batch(span()));
    let renamed = Span {
        name: "other".to_owned(),
        ..span()
    };
    assert_ne!(batch(span()), batch(renamed));
    let of_nothing = |signal| {
        convert(signal, Encoding::Protobuf, b"", None)
            .unwrap()
            .records
            .batch
    };
    assert_ne!(of_nothing(Signal::Traces), of_nothing(Signal::Logs));
    let [high, low] = [batch(span()) >> 64, batch(span()) & u128::from(u64::MAX)];
    assert_ne!(high, low, "two hashes, not one twice");
}
