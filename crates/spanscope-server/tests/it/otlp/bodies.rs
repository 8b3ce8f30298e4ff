//! Bodies that are not requests, or not as their headers declare. Nothing of them is stored, and
//! the next request succeeds.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::{JSON, PROTOBUF, SIGNALS, TRACES, gzip, one_of_each, send, send_json, span, status_of, traces};
use crate::running::{Open, open};
use crate::wire::Ask;

/// One span is stored, and there was nothing before it.
fn assert_spans_are_accepted(open: &Open) {
    assert_eq!(open.counts(), (0, 0, 0));
    assert_eq!(send(&traces(vec![span("after")])).to(open.address).status, 200);
    assert_eq!(open.span_names(), ["after"]);
}

#[test]
fn one_record_of_each_signal_is_stored() {
    for packed in [false, true] {
        let open = open();
        for (path, body) in one_of_each() {
            let body = body.to_string().into_bytes();
            let ask = match packed {
                true => Ask::post(path, JSON, gzip(&body)).header("Content-Encoding", "gzip"),
                false => Ask::post(path, JSON, body),
            };
            let answer = ask.to(open.address);
            assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{path}");
            assert_eq!(answer.header("content-type"), Some(JSON));
        }
        assert_eq!(open.counts(), (1, 1, 1));
        let other = traces(vec![span("two")]).encode_to_vec();
        let answer = Ask::post(TRACES, PROTOBUF, gzip(&other))
            .header("Content-Encoding", "GZIP")
            .to(open.address);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-type"), Some(PROTOBUF));
        assert_eq!(open.span_names(), ["one", "two"]);
    }
}

#[test]
fn an_empty_body_is_valid_protobuf_and_invalid_json() {
    let open = open();
    for path in SIGNALS {
        let answer = Ask::post(path, PROTOBUF, "").to(open.address);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        let answer = Ask::post(path, JSON, "{}").to(open.address);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{path}");
        let answer = Ask::post(path, JSON, "").to(open.address);
        assert_eq!((answer.status, status_of(&answer).code), (400, 3), "{path}");
        assert!(status_of(&answer).message.contains("EOF"), "{answer:?}");
    }
    assert_spans_are_accepted(&open);
}

#[test]
fn invalid_bodies_are_refused_in_their_own_encoding() {
    let open = open();
    let right = traces(vec![span("right")]);
    let protobuf = right.encode_to_vec();
    let json = serde_json::to_vec(&right).unwrap();
    let cases: &[(&str, &[u8])] = &[
        (JSON, b"no json"),
        (JSON, b"[]"),
        (JSON, b"null"),
        (JSON, b"\0"),
        (JSON, &json[..json.len() - 1]),
        (JSON, b"{} trailing"),
        (JSON, b"{\"resourceSpans\": \"\xff\"}"),
        (JSON, b"\xff\xfe{\0}\0"),
        (JSON, &protobuf),
        (PROTOBUF, b"no protobuf"),
        (PROTOBUF, &protobuf[..protobuf.len() - 1]),
        (PROTOBUF, b"\x0a\xff\xff\xff\xff\x0f"),
        (PROTOBUF, &json),
    ];
    for (kind, body) in cases {
        let answer = Ask::post(TRACES, kind, *body).to(open.address);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.status, 400, "{kind} {shown}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some(*kind));
        let status = status_of(&answer);
        assert_eq!(status.code, 3, "{shown}: invalid argument");
        for expected in ["ExportTraceServiceRequest", "send"] {
            assert!(status.message.contains(expected), "{shown}: {}", status.message);
        }
        assert!(answer.header("retry-after").is_none(), "it will not help");
    }
    assert_spans_are_accepted(&open);
}

/// A span with an attribute whose value is nested this deep.
fn nested(depth: usize, wrap: fn(AnyValue) -> Sent) -> Span {
    let mut value = AnyValue {
        value: Some(Sent::IntValue(1)),
    };
    for _ in 0..depth {
        value = AnyValue {
            value: Some(wrap(value)),
        };
    }
    Span {
        attributes: vec![KeyValue {
            key: "deep".to_owned(),
            value: Some(value),
            ..KeyValue::default()
        }],
        ..span("deep")
    }
}

#[test]
fn values_that_are_nested_thousands_deep_are_refused_without_a_crash() {
    let open = open();
    let wraps: [fn(AnyValue) -> Sent; 2] = [
        |value| Sent::ArrayValue(ArrayValue { values: vec![value] }),
        |value| {
            Sent::KvlistValue(KeyValueList {
                values: vec![KeyValue {
                    value: Some(value),
                    ..KeyValue::default()
                }],
            })
        },
    ];
    for wrap in wraps {
        let answer = send(&traces(vec![nested(1_000, wrap)])).to(open.address);
        assert_eq!((answer.status, status_of(&answer).code), (400, 3));
    }
    let begin = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":"#;
    let (open_list, open_map) = (
        r#"{"arrayValue":{"values":["#,
        r#"{"kvlistValue":{"values":[{"key":"k","value":"#,
    );
    // An unknown field is skipped, and so must be its contents.
    let bodies = [
        format!("{begin}{}", open_list.repeat(100_000)),
        format!("{begin}{}", open_map.repeat(100_000)),
        format!("{begin}{}{{}}{}", open_list.repeat(10_000), "]}}".repeat(10_000)),
        format!("{{\"unknown\":{}", "[".repeat(1_000_000)),
        "{\"a\":".repeat(1_000_000),
    ];
    for body in bodies {
        let answer = Ask::post(TRACES, JSON, body).to(open.address);
        assert_eq!((answer.status, status_of(&answer).code), (400, 3));
        assert!(answer.body.len() < 1_000, "{}", answer.text());
    }
    // Groups are protobuf's old form of nesting, here in an unknown field.
    let answer = Ask::post(TRACES, PROTOBUF, vec![0x7b; 1_000_000]).to(open.address);
    assert_eq!(answer.status, 400);
    assert_spans_are_accepted(&open);
    // Real data are not that deep, and are accepted.
    for wrap in wraps {
        let deep = traces(vec![nested(15, wrap)]);
        assert_eq!(send_json(&deep).to(open.address).status, 200);
    }
    assert_eq!(open.span_names(), ["after", "deep"]);
}

#[test]
fn unknown_media_types_and_encodings_are_refused() {
    let open = open();
    let body = traces(vec![span("refused")]).encode_to_vec();
    let no_kind = {
        let head = format!(
            "POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = crate::wire::Connection::open(open.address);
        connection.send(head.as_bytes());
        connection.send(&body);
        connection.answer()
    };
    assert_eq!(
        (no_kind.status, no_kind.code()),
        (415, "unsupported_media_type".to_owned())
    );
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/grpc",
        "application/protobufx",
        "application/jsonx",
        "*/*",
    ] {
        for path in SIGNALS {
            let answer = Ask::post(path, kind, body.clone()).to(open.address);
            assert_eq!(
                (answer.status, answer.code()),
                (415, "unsupported_media_type".to_owned()),
                "{kind}"
            );
        }
    }
    for encoding in [
        "compress",
        "br",
        "zstandard",
        "gzip, gzip",
        "gzip;q=1",
        "x",
        "\u{e9}",
    ] {
        for kind in [PROTOBUF, JSON] {
            let answer = Ask::post(TRACES, kind, body.clone())
                .header("Content-Encoding", encoding)
                .to(open.address);
            assert_eq!(answer.status, 415, "{encoding}");
            assert!(
                status_of(&answer).message.contains("gzip"),
                "{encoding}: says more"
            );
        }
    }
    assert_spans_are_accepted(&open);
    for kind in ["Application/X-Protobuf", "application/x-protobuf; charset=utf-8"] {
        let answer = Ask::post(TRACES, kind, body.clone())
            .header("Content-Encoding", "identity")
            .to(open.address);
        assert_eq!(answer.status, 200, "{kind}");
    }
    assert_eq!(open.span_names(), ["after", "refused"]);
}

#[test]
fn other_methods_are_refused_with_the_allowed_one() {
    let open = open();
    for path in SIGNALS {
        for method in [
            "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE",
        ] {
            let answer = Ask::new(method, path).to(open.address);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    for path in [
        "/v1/traces/",
        "/v1/trace",
        "/v1/profiles",
        "//v1/traces",
        "/v1/traces%2f",
        "*",
    ] {
        assert_eq!(Ask::post(path, JSON, "{}").to(open.address).status, 404, "{path}");
    }
    assert_spans_are_accepted(&open);
}
