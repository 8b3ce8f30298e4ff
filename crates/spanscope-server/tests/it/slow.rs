//! Slow clients. These tests exercise timeouts, so they take as long as those.

use std::time::{Duration, Instant};

use serde_json::json;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;
use spanscope_tests::{PATIENCE, wait_for};

use crate::otlp::{PROTOBUF, TRACES, send, send_json, span, status_of, text, traces};
use crate::running::{open, open_with};
use crate::wire::{Answer, Ask, Connection};

/// Long enough for a test's own machine to be slow, short enough to wait for.
const SOON: Duration = Duration::from_millis(500);

/// Sends byte by byte until the server closes; returns how long that took.
fn byte_by_byte(connection: &mut Connection, endless: &[u8]) -> Duration {
    let began = Instant::now();
    for byte in endless.iter().cycle() {
        connection.send(&[*byte]);
        if !connection.is_silent() {
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "the server did not end a slow request"
        );
        std::thread::sleep(Duration::from_millis(10)); // it causes the slowness
    }
    began.elapsed()
}

#[test]
fn a_head_that_never_ends_times_out() {
    let mut limits = Limits::default();
    limits.head_time = SOON;
    let open = open_with(Local, limits);
    // Nothing at all, a piece, a piece after a response.
    for (first, then) in [
        ("", ""),
        ("GET /hea", ""),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /"),
    ] {
        let began = Instant::now();
        let mut connection = Connection::open(open.address);
        connection.send(first.as_bytes());
        if !then.is_empty() {
            assert_eq!(connection.answer().status, 200);
            connection.send(then.as_bytes());
        }
        assert!(
            connection
                .response_or_end()
                .is_none_or(|answer| answer.status == 408),
            "{first}"
        );
        assert!(began.elapsed() >= SOON, "{first}");
    }
    let mut connection = Connection::open(open.address);
    connection.send(b"GET /health HTTP/1.1\r\n");
    let took = byte_by_byte(&mut connection, b"x-header: y\r\n");
    assert!(took >= SOON);
    assert!(
        connection
            .response_or_end()
            .is_none_or(|answer| answer.status == 408)
    );
}

#[test]
fn a_long_head_is_refused() {
    let open = open();
    let long = "x".repeat(1 << 20);
    for ask in [
        Ask::get(&format!("/{long}")),
        Ask::get("/health").header("x", &long),
        (0..1_000).fold(Ask::get("/health"), |ask, number| {
            ask.header(&format!("x-{number}"), "y")
        }),
    ] {
        let answer = ask.to(open.address);
        assert!([414, 431].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(Ask::get("/health").to(open.address).status, 200);
}

#[test]
fn a_body_that_arrives_byte_by_byte_times_out() {
    let mut limits = Limits::default();
    limits.body_time = SOON;
    let open = open_with(Local, limits);
    let head = |path: &str, kind: &str, length: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}\r\n\r\n")
    };
    let by_length = "Content-Length: 1000000";
    let by_chunk = "Transfer-Encoding: chunked";
    for (path, kind, length, endless) in [
        (TRACES, PROTOBUF, by_length, &b"\0"[..]),
        (TRACES, "application/json", by_chunk, b"1\r\n \r\n"),
        ("/v1/telemetry/traces", "application/json", by_length, b" "),
        (
            "/v1/telemetry/traces",
            "application/json",
            by_chunk,
            b"1\r\n \r\n",
        ),
    ] {
        let mut connection = Connection::open(open.address);
        connection.send(head(path, kind, length).as_bytes());
        let took = byte_by_byte(&mut connection, endless);
        assert!(took >= SOON, "{path}");
        let answer = connection.answer();
        assert_eq!(answer.status, 408, "{path}: {}", answer.text());
        if path == TRACES {
            assert_eq!(status_of(&answer).code, 4, "deadline exceeded");
        } else {
            assert_eq!(answer.code(), "request_timeout");
        }
        assert!(connection.is_ended(), "what follows would be the body");
    }
    // A client that sends nothing is cut off too.
    let mut connection = Connection::open(open.address);
    connection.send(head(TRACES, PROTOBUF, by_length).as_bytes());
    assert_eq!(connection.answer().status, 408);
    assert_eq!(open.counts(), (0, 0, 0));
}

#[test]
fn a_body_in_many_pieces_is_accepted_if_it_is_complete_in_time() {
    let open = open();
    let bytes = send(&traces(vec![span("pieces")])).bytes();
    let mut connection = Connection::open(open.address);
    for byte in bytes {
        connection.send(&[byte]);
    }
    assert_eq!(connection.answer().status, 200);
    assert_eq!(open.span_names(), ["pieces"]);
}

#[test]
fn a_client_that_reads_nothing_of_its_response_loses_its_permit() {
    let mut limits = Limits::default();
    limits.write_time = SOON;
    limits.queries = 1;
    let open = open_with(Local, limits);
    // More than the buffers of both ends hold, which are 4 and 6 MB at most.
    for batch in 0..2 {
        let spans = (0..200).map(|number| {
            let mut large = span(&format!("{batch}.{number}"));
            let values = (0..4).map(|key| text(&key.to_string(), &"x".repeat(15_000)));
            large.attributes = values.collect();
            large
        });
        let answer = send(&traces(spans.collect())).to(open.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let all = Ask::json(
        "/v1/telemetry/spans",
        &json!({"attribute_filters": [], "attributes_to_return": []}),
    );
    let mut reads_nothing = Connection::open(open.address);
    reads_nothing.send(&all.bytes());
    let began = Instant::now();
    wait_for("the beginning of the answer", || {
        (!reads_nothing.is_silent()).then_some(())
    });
    let small = Ask::json("/v1/telemetry/traces", &json!({"limit": 1}));
    let refused = small.to(open.address);
    assert_eq!(
        (refused.status, refused.code()),
        (429, "overloaded".to_owned()),
        "it counts as a running query"
    );
    let answered = wait_for("the query to end", || {
        Some(small.to(open.address)).filter(|answer| answer.status != 429)
    });
    assert_eq!(answered.status, 200);
    assert!(began.elapsed() >= SOON);
    // A client that continues reading gets all of it, and frees its slot.
    let answer = all.to(open.address);
    assert!(
        answer.body.len() > 24_000_000 && answer.body.ends_with(b"]}"),
        "{}",
        answer.body.len()
    );
    assert_eq!(small.to(open.address).status, 200);
}

#[test]
fn unread_responses_share_a_budget_and_small_ones_continue() {
    let mut limits = Limits::default();
    limits.response_bytes = 40 << 20;
    let open = open_with(Local, limits);
    for batch in 0..2 {
        let spans = (0..200).map(|number| {
            let mut large = span(&format!("{batch}.{number}"));
            let values = (0..4).map(|key| text(&key.to_string(), &"x".repeat(15_000)));
            large.attributes = values.collect();
            large
        });
        assert_eq!(send(&traces(spans.collect())).to(open.address).status, 200);
    }
    let all = Ask::json(
        "/v1/telemetry/spans",
        &json!({"attribute_filters": [], "attributes_to_return": []}),
    );
    let mut reads_nothing = Connection::open(open.address);
    reads_nothing.send(&all.bytes());
    wait_for("the beginning of the answer", || {
        (!reads_nothing.is_silent()).then_some(())
    });
    // It is 24 MB, and there is no room for two of them.
    let refused = all.to(open.address);
    assert_eq!((refused.status, refused.code()), (429, "overloaded".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let small = Ask::json("/v1/telemetry/traces", &json!({"limit": 1}));
    assert_eq!(small.to(open.address).status, 200);
    drop(reads_nothing);
    let answer = wait_for("the memory", || {
        Some(all.to(open.address)).filter(|answer| answer.status != 429)
    });
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 24_000_000, "{}", answer.body.len());
}

/// Sends these bytes, closes the sending side, and reads the response.
fn half_closed(address: std::net::SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(address);
    connection.send(bytes);
    connection.shut_writing();
    let answer = connection.response_or_end();
    assert!(connection.is_ended());
    answer
}

#[test]
fn a_client_that_closes_its_sending_side_gets_a_response() {
    let open = open();
    let request = traces(vec![span("half closed")]);
    let answer = half_closed(open.address, &send(&request).bytes()).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(open.span_names(), ["half closed"]);
    let answer = half_closed(
        open.address,
        &Ask::json("/v1/telemetry/traces", &json!({})).bytes(),
    )
    .unwrap();
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_truncated_request_is_refused_and_not_stored() {
    let open = open();
    let request = traces(vec![span("cut off")]);
    for ask in [send(&request), send_json(&request)] {
        let bytes = ask.bytes();
        let answer = half_closed(open.address, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!((answer.status, status_of(&answer).code), (400, 3));
        assert!(
            status_of(&answer).message.contains("the body is incomplete"),
            "{}",
            answer.text()
        );
        let head = ask.head();
        let answer = half_closed(open.address, head.as_bytes()).unwrap();
        assert_eq!(answer.status, 400);
        let none = half_closed(open.address, &head.as_bytes()[..head.len() - 2]);
        assert!(none.is_none_or(|answer| answer.status == 400));
    }
    let bytes = Ask::json("/v1/telemetry/traces", &json!({"limit": 1})).bytes();
    let answer = half_closed(open.address, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!((answer.status, answer.code()), (400, "invalid_input".to_owned()));
    // In chunks, the last of which never arrived.
    let body = request_in_a_chunk();
    let answer = half_closed(open.address, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(open.counts(), (0, 0, 0));
}

fn request_in_a_chunk() -> String {
    let body = serde_json::to_string(&traces(vec![span("chunk")])).unwrap();
    format!(
        "POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n",
        body.len()
    )
}

#[test]
fn a_client_that_disconnects_leaves_nothing_running() {
    let mut limits = Limits::default();
    limits.connections = 4;
    let open = open_with(Local, limits);
    let bytes = send(&traces(vec![span("gone")])).bytes();
    for end in (1..bytes.len()).step_by(7) {
        let mut connection = Connection::open(open.address);
        connection.send(&bytes[..end]);
    }
    // All places are free again, or this would wait.
    let connections: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(open.address);
            connection.send(&Ask::get("/health").bytes());
            assert_eq!(connection.answer().status, 200);
            connection
        })
        .collect();
    assert_eq!(open.counts(), (0, 0, 0));
    drop(connections);
}
