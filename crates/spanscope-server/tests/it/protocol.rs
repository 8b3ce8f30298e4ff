//! HTTP as few clients speak it, and bytes that are not HTTP.

use serde_json::json;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;

use crate::otlp::{PROTOBUF, TRACES, send, span, traces};
use crate::running::{ADMIN, open, open_with, tokens};
use crate::wire::{Ask, Connection};
use prost::Message as _;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let open = open();
    let mut connection = Connection::open(open.address);
    let mut all = Vec::new();
    for number in 0..20 {
        all.extend(send(&traces(vec![span(&number.to_string())])).bytes());
        all.extend(Ask::json("/v1/telemetry/traces", &json!({"limit": number})).bytes());
        all.extend(Ask::get("/nowhere").bytes());
        all.extend(Ask::json("/v1/telemetry/traces", &json!({"limit": -1})).bytes());
    }
    connection.send(&all);
    for number in 0..20 {
        assert_eq!(connection.answer().status, 200);
        let traces = connection.answer().json()["data"].as_array().unwrap().len();
        assert_eq!(traces, number.min(1), "as they are stored by then");
        assert_eq!(connection.answer().status, 404);
        assert_eq!(connection.answer().status, 400);
    }
    assert_eq!(open.counts().0, 20);
}

#[test]
fn a_body_that_was_refused_is_not_taken_for_the_next_request() {
    let open = open();
    let smuggled = Ask::json("/v1/telemetry/events", &json!({})).bytes();
    for (path, kind) in [
        (TRACES, "text/plain"),
        (TRACES, PROTOBUF),
        ("/v1/telemetry/traces", "text/plain"),
        ("/nowhere", PROTOBUF),
    ] {
        let mut connection = Connection::open(open.address);
        connection.send(&Ask::post(path, kind, smuggled.clone()).bytes());
        assert!(
            [400, 404, 415].contains(&connection.answer().status),
            "{path} {kind}"
        );
        connection.send(&Ask::get("/health").bytes());
        // Either it hangs up or it responds to this request, and no other one.
        assert!(
            connection
                .response_or_end()
                .is_none_or(|answer| answer.text() == r#"{"status":"ok"}"#)
        );
    }
    // Two lengths for one body are how requests are smuggled past a proxy.
    let mut connection = Connection::open(open.address);
    let body = String::from_utf8(smuggled).unwrap();
    connection.send(
        format!(
            "POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{body}",
            body.len() + 12
        )
        .as_bytes(),
    );
    let first = connection.answer();
    assert!([200, 400].contains(&first.status), "{first:?}");
    assert!(
        first.status == 400
            || connection
                .response_or_end()
                .is_none_or(|second| second.status == 400)
    );
    assert_eq!(open.counts(), (0, 0, 0));
}

#[test]
fn http_1_0_is_supported() {
    let open = open();
    let body = traces(vec![span("old")]).encode_to_vec();
    for (keep, is_kept) in [("", false), ("Connection: keep-alive\r\n", true)] {
        let mut connection = Connection::open(open.address);
        let head = format!(
            "POST {TRACES} HTTP/1.0\r\nHost: localhost\r\n{keep}Content-Type: {PROTOBUF}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        for _ in 0..=usize::from(is_kept) {
            connection.send(head.as_bytes());
            connection.send(&body);
            assert_eq!(connection.answer().status, 200);
        }
        assert!(is_kept || connection.is_ended());
    }
    assert_eq!(open.span_names(), ["old"]);
}

#[test]
fn a_request_without_a_host_is_refused_by_a_local_server() {
    let local = open();
    let remote = open_with(tokens(), Limits::default());
    let body = traces(vec![span("hostless")]).encode_to_vec();
    for version in ["1.0", "1.1"] {
        let head = format!(
            "POST {TRACES} HTTP/{version}\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: {PROTOBUF}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        for (open, status) in [(&local, 403), (&remote, 200)] {
            let mut connection = Connection::open(open.address);
            connection.send(&[head.as_bytes(), &body].concat());
            assert_eq!(connection.answer().status, status, "HTTP/{version}");
        }
    }
    assert_eq!(local.counts(), (0, 0, 0));
    assert_eq!(remote.counts(), (1, 0, 0));
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let open = open_with(Local, Limits::default());
    let ask = send(&traces(vec![span("asked first")])).header("Expect", "100-continue");
    let head = ask.head();
    let mut connection = Connection::open(open.address);
    connection.send(head.as_bytes());
    assert_eq!(connection.head().unwrap().status, 100);
    connection.send(&ask.bytes()[head.len()..]);
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn invalid_http_ends_the_connection() {
    let open = open();
    for nonsense in [
        &b"hello\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", // how TLS begins
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\n folded: line\r\n\r\n",
        b"GET /he\0alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"G\xc3\x89T /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nx: a\0b\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: local\rhost\n\n",
    ] {
        let mut connection = Connection::open(open.address);
        connection.send(nonsense);
        let shown = String::from_utf8_lossy(nonsense);
        let answer = connection.response_or_end();
        let is_refused = answer
            .as_ref()
            .is_none_or(|answer| [400, 403, 505].contains(&answer.status));
        assert!(is_refused, "{shown:?}: {answer:?}");
        assert!(connection.is_ended(), "{shown:?}");
    }
    assert_eq!(Ask::get("/health").to(open.address).status, 200);
}
