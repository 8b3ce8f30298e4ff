//! The end of a server: open requests finish, acknowledged records are stored, and it ends in time.

use std::time::{Duration, Instant};

use serde_json::json;
use spanscope_model::StoreErrorKind;
use spanscope_server::AuthMode::Local;
use spanscope_server::Limits;
use spanscope_sqlite::SqliteStore;
use spanscope_tests::{PATIENCE, wait_for};

use crate::otlp::{send, span, traces};
use crate::running::{Held, Open, Running, counts, open, open_with};
use crate::wire::{Ask, Connection};

/// Waits until no more connections are accepted, which is the first step of a shutdown.
fn wait_for_end_of_listening(server: &Running) {
    wait_for("the end of listening", || {
        std::net::TcpStream::connect(server.address).err()
    });
}

#[test]
fn a_shutdown_waits_for_open_requests_and_for_nothing_else() {
    let mut limits = Limits::default();
    limits.shutdown_time = PATIENCE;
    limits.head_time = PATIENCE;
    let mut open = open_with(Local, limits);
    let ask = send(&traces(vec![span("begun")])).header("Expect", "100-continue");
    let bytes = ask.bytes();
    let mut begun = Connection::open(open.address);
    begun.send(&bytes[..bytes.len() - 1]);
    // The server sends the status 100 when it starts to read the body.
    assert_eq!(begun.head().unwrap().status, 100);
    // A connection that waits for its next request, and one that never sent any.
    let mut idle = Connection::open(open.address);
    idle.send(&Ask::get("/health").bytes());
    assert_eq!(idle.answer().status, 200);
    let mut silent = Connection::open(open.address);
    open.server.begin_shutdown();
    wait_for_end_of_listening(&open.server);
    assert!(idle.is_ended());
    assert!(silent.is_ended());
    assert!(begun.is_silent());
    begun.send(&bytes[bytes.len() - 1..]);
    let answer = begun.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(begun.is_ended());
    assert!(open.server.ended(), "all requests were finished");
    assert_eq!(open.span_names(), ["begun"]);
}

#[test]
fn a_shutdown_without_clients_is_immediate() {
    let mut open = open();
    open.server.begin_shutdown();
    assert!(open.server.ended());
}

/// The time limit itself is tested here, so the test waits for it.
#[test]
fn a_shutdown_is_bounded_even_if_the_store_does_not_respond() {
    let mut limits = Limits::default();
    limits.shutdown_time = Duration::from_millis(300);
    for ask in [
        Ask::json("/v1/telemetry/traces", &json!({})),
        send(&traces(vec![span("waits")])),
    ] {
        let mut held = Held::open(StoreErrorKind::Unavailable, limits);
        let mut connection = Connection::open(held.address);
        connection.send(&ask.bytes());
        held.wait_for_queries(1);
        let began = Instant::now();
        held.server.begin_shutdown();
        assert!(!held.server.ended(), "one request was not finished");
        let took = began.elapsed();
        assert!(
            took >= limits.shutdown_time && took < limits.request_time,
            "{took:?}"
        );
    }
}

#[test]
fn acknowledged_records_are_in_the_file_when_the_store_is_dropped() {
    let Open {
        mut server,
        address,
        store,
        folder,
    } = open();
    let senders: Vec<_> = (1..=4_u8)
        .map(|sender| {
            std::thread::spawn(move || {
                let mut acknowledged = 0;
                // Until the server is gone: then there is no response.
                for number in 1_u64.. {
                    let mut one = span("one");
                    one.trace_id = vec![sender; 16];
                    one.span_id = number.to_be_bytes().to_vec();
                    let Ok(stream) = std::net::TcpStream::connect(address) else {
                        break;
                    };
                    let mut connection = Connection::of(stream);
                    connection.send(&send(&traces(vec![one])).bytes());
                    match connection.response_or_end() {
                        Some(answer) if answer.status == 200 => acknowledged += 1,
                        Some(answer) => panic!("{answer:?}"),
                        None => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    wait_for("some spans", || (counts(&store).0 >= 20).then_some(()));
    server.begin_shutdown();
    assert!(server.ended(), "all requests were finished");
    drop(store);
    let acknowledged: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    let stored = SqliteStore::open(folder.path().join("trace_store.db")).unwrap();
    assert!(acknowledged >= 20);
    assert_eq!(counts(&stored).0, acknowledged);
}
