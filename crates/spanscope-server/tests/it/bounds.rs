//! More requests than the limits allow: some wait, the rest are asked to retry.

use std::time::{Duration, Instant};

use serde_json::json;
use spanscope_model::StoreErrorKind;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;
use spanscope_tests::{PATIENCE, wait_for};

use crate::otlp::{PROTOBUF, TRACES, send, span, status_of, text, traces};
use crate::running::{Held, open_with};
use crate::wire::{Answer, Ask, Connection};
use prost::Message as _;

fn traces_query() -> Ask {
    Ask::json("/v1/telemetry/traces", &json!({}))
}

fn assert_overloaded(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), (429, "overloaded".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// A connection with a request whose body lacks its last byte.
fn with_open_request(address: std::net::SocketAddr, name: &str) -> (Connection, Vec<u8>) {
    let mut bytes = send(&traces(vec![span(name)]))
        .header("Expect", "100-continue")
        .bytes();
    let rest = bytes.split_off(bytes.len() - 1);
    let mut connection = Connection::open(address);
    connection.send(&bytes);
    // Sent when the body is awaited: the request is open.
    assert_eq!(connection.head().unwrap().status, 100);
    (connection, rest)
}

#[test]
fn connections_beyond_the_limit_wait_until_others_end_and_are_then_served() {
    let mut limits = Limits::default();
    limits.connections = 2;
    let open = open_with(Local, limits);
    let health = Ask::get("/health").bytes();
    let inside = ["first", "second"].map(|name| with_open_request(open.address, name));
    let mut outside: Vec<Connection> = (0..5).map(|_| Connection::open(open.address)).collect();
    for connection in &mut outside {
        connection.send(&health);
    }
    assert!(outside.iter_mut().all(Connection::is_silent));
    for (mut connection, rest) in inside {
        connection.send(&rest);
        assert_eq!(connection.answer().status, 200, "nothing was cut off");
    }
    for mut connection in outside {
        assert_eq!(connection.answer().status, 200);
        // Dropping it makes room for the next one.
        drop(connection);
    }
    assert_eq!(open.span_names(), ["first", "second"]);
}

#[test]
fn idle_connections_of_a_client_make_room_for_its_next_ones() {
    let mut limits = Limits::default();
    limits.connections = 4;
    // They are not closed by their own timeout.
    limits.head_time = PATIENCE * 10;
    let open = open_with(Local, limits);
    let health = Ask::get("/health").bytes();
    let (mut busy, rest) = with_open_request(open.address, "busy");
    let mut idle: Vec<Connection> = (0..3).map(|_| Connection::open(open.address)).collect();
    // One has sent a request, two have sent nothing yet.
    idle[0].send(&health);
    assert_eq!(idle[0].answer().status, 200);
    let mut next: Vec<Connection> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(open.address);
            connection.send(&health);
            connection
        })
        .collect();
    for connection in &mut next {
        assert_eq!(connection.answer().status, 200);
    }
    busy.send(&rest);
    assert_eq!(busy.answer().status, 200);
    assert_eq!(open.span_names(), ["busy"]);
}

/// A connection from another address of this machine, as if from another machine.
#[cfg(target_os = "linux")]
fn from_elsewhere(address: std::net::SocketAddr) -> Connection {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    Connection::of(stream)
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_has_all_connections_makes_room_for_another_one() {
    let mut limits = Limits::default();
    limits.connections = 8;
    let open = open_with(Local, limits);
    let health = Ask::get("/health").bytes();
    // All slots, and more that wait before the other client arrives.
    let mut flood: Vec<Connection> = (0..40).map(|_| Connection::open(open.address)).collect();
    for connection in &mut flood[..8] {
        connection.send(&health);
        assert_eq!(connection.answer().status, 200);
    }
    let mut others: Vec<Connection> = (0..4).map(|_| from_elsewhere(open.address)).collect();
    for connection in &mut others {
        connection.send(&health);
        assert_eq!(
            connection.answer().status,
            200,
            "half of the connections are for other clients"
        );
    }
    // The flood has the other half.
    let stayed = flood[..8].iter_mut().filter_map(|connection| {
        connection.send(&health);
        connection.response_or_end()
    });
    assert_eq!(stayed.count(), 4);
}

#[test]
fn a_refused_query_frees_its_connection() {
    let mut limits = Limits::default();
    limits.connections = 8;
    limits.queries = 0;
    let open = open_with(Local, limits);
    let refused = traces_query().bytes();
    // Each would keep a slot until its head is late, and the next ones would wait for that.
    let mut flood: Vec<Connection> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(open.address);
            connection.send(&refused);
            connection
        })
        .collect();
    for connection in &mut flood {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("connection")), (429, Some("close")));
        assert!(connection.is_ended());
    }
    assert_eq!(Ask::get("/health").to(open.address).status, 200);
}

#[test]
fn queries_beyond_the_limit_are_asked_to_retry() {
    let mut limits = Limits::default();
    limits.queries = 3;
    let held = Held::open(StoreErrorKind::Unavailable, limits);
    let mut waiting: Vec<Connection> = (0..3)
        .map(|_| {
            let mut connection = Connection::open(held.address);
            connection.send(&traces_query().bytes());
            connection
        })
        .collect();
    held.wait_for_queries(3);
    for path in ["/v1/telemetry/traces", "/telemetry/traces"] {
        assert_overloaded(&Ask::json(path, &json!({})).to(held.address));
    }
    assert_overloaded(&Ask::get("/v1/telemetry/traces/07070707070707070707070707070707").to(held.address));
    assert_eq!(
        Ask::get("/health").to(held.address).status,
        200,
        "the server still responds"
    );
    assert_eq!(Ask::get("/metrics").to(held.address).status, 200);
    assert_eq!(held.store.query_count(), 3);
    held.release();
    for connection in &mut waiting {
        assert_eq!(connection.answer().status, 503, "their own answers");
    }
    assert_eq!(traces_query().to(held.address).status, 503, "not 429");
}

#[test]
fn a_query_of_a_disconnected_client_frees_its_permit() {
    let mut limits = Limits::default();
    limits.queries = 1;
    // No event tells when a half-closed client has left.
    limits.request_time = Duration::from_millis(500);
    let held = Held::open(StoreErrorKind::Unavailable, limits);
    let mut connection = Connection::open(held.address);
    connection.send(&traces_query().bytes());
    held.wait_for_queries(1);
    assert_overloaded(&traces_query().to(held.address));
    drop(connection);
    wait_for("the query to end", || {
        (traces_query().to(held.address).status != 429).then_some(())
    });
}

#[test]
fn bodies_beyond_their_memory_are_asked_to_retry() {
    const MIB: usize = 1 << 20;
    let mut limits = Limits::default();
    limits.buffered_bytes = MIB;
    let open = open_with(Local, limits);
    let large = |name: &str| {
        let mut span = span(name);
        span.attributes = vec![text("padding", &"x".repeat(3 * MIB / 4))];
        traces(vec![span]).encode_to_vec()
    };
    let first = Ask::post(TRACES, PROTOBUF, large("first")).header("Expect", "100-continue");
    let first = first.bytes();
    let mut holds = Connection::open(open.address);
    holds.send(&first[..first.len() - 1]);
    // Sent when the body is awaited, and there is room for it.
    assert_eq!(holds.head().unwrap().status, 100);
    let second = Ask::post(TRACES, PROTOBUF, large("second"));
    let refused = second.to(open.address);
    assert_eq!((refused.status, status_of(&refused).code), (429, 8));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("content-type"), Some(PROTOBUF));
    // Small ones have room, and so have queries.
    assert_eq!(send(&traces(vec![span("small")])).to(open.address).status, 200);
    assert_eq!(traces_query().to(open.address).status, 200);
    holds.send(&first[first.len() - 1..]);
    assert_eq!(holds.answer().status, 200);
    assert_eq!(
        second.to(open.address).status,
        200,
        "the memory is given back before the answer"
    );
    assert_eq!(open.span_names(), ["first", "second", "small"]);
}

#[test]
fn bodies_without_a_length_are_counted_as_they_arrive() {
    let mut limits = Limits::default();
    limits.buffered_bytes = 256 * 1024;
    let open = open_with(Local, limits);
    let mut connection = Connection::open(open.address);
    connection.send(
        format!("POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .as_bytes(),
    );
    for _ in 0..100 {
        connection.send(format!("8000\r\n{}\r\n", "\0".repeat(0x8000)).as_bytes());
    }
    let answer = connection.answer();
    assert_eq!((answer.status, status_of(&answer).code), (429, 8));
    // All of it is returned.
    let mut span = span("whole");
    span.attributes = vec![text("padding", &"x".repeat(250 * 1024))];
    assert_eq!(send(&traces(vec![span])).to(open.address).status, 200);
}

/// The time limit itself is tested here, so the test waits for it.
#[test]
fn a_request_that_takes_too_long_is_asked_to_retry() {
    let mut limits = Limits::default();
    limits.request_time = Duration::from_millis(300);
    let held = Held::open(StoreErrorKind::Unavailable, limits);
    for ask in [
        traces_query(),
        send(&traces(vec![span("late")])),
        Ask::get("/ready"),
    ] {
        let began = Instant::now();
        let answer = ask.to(held.address);
        assert_eq!((answer.status, answer.code()), (503, "timed_out".to_owned()));
        assert_eq!(answer.header("retry-after"), Some("1"));
        let took = began.elapsed();
        assert!(
            took >= limits.request_time && took < Limits::default().request_time,
            "{took:?}"
        );
    }
    assert_eq!(Ask::get("/health").to(held.address).status, 200);
}
