//! Bodies that are small as sent and large once decoded.

use prost::Message as _;
use spanscope_model::StoreErrorKind;
use spanscope_server::Limits;

use super::{JSON, PROTOBUF, TRACES, gzip, send, span, status_of, traces};
use crate::running::{Held, open};
use crate::wire::{Ask, Connection};

/// A field of protobuf with a length.
fn field(number: u8, inside: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(inside.len() as u64, &mut field);
    field.extend_from_slice(inside);
    field
}

#[test]
fn small_bodies_that_would_decode_to_gigabytes_are_refused() {
    const COUNT: usize = 4_000_000;
    let open = open();
    let nothings = |number: u8| field(1, &field(2, &[number << 3 | 2, 0].repeat(COUNT)));
    let events = {
        let mut crowded = span("crowded").encode_to_vec();
        crowded.extend([11 << 3 | 2, 0].repeat(COUNT));
        field(1, &field(2, &field(2, &crowded)))
    };
    let list = |before: &str, after: &str| format!("{before}{}{{}}{after}", "{},".repeat(COUNT)).into_bytes();
    let cases = [
        ("spans", TRACES, PROTOBUF, nothings(2)),
        ("span events", TRACES, PROTOBUF, events),
        ("log records", "/v1/logs", PROTOBUF, nothings(2)),
        ("metrics", "/v1/metrics", PROTOBUF, nothings(2)),
        (
            "spans in JSON",
            TRACES,
            JSON,
            list(r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#, "]}]}]}"),
        ),
        (
            "log records in JSON",
            "/v1/logs",
            JSON,
            list(r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":["#, "]}]}]}"),
        ),
        ("an unknown field", TRACES, JSON, list("{\"x\":[", "]}")),
    ];
    for (what, path, kind, body) in cases {
        let packed = gzip(&body);
        assert!(packed.len() < 200_000, "{what}");
        let answer = Ask::post(path, kind, packed)
            .header("Content-Encoding", "gzip")
            .to(open.address);
        let status = status_of(&answer);
        assert_eq!(
            (answer.status, status.code),
            (413, 3),
            "{what}: {}",
            status.message
        );
        assert!(status.message.contains("several parts"), "{}", status.message);
    }
    assert_eq!(open.counts(), (0, 0, 0));
    assert_eq!(send(&traces(vec![span("after")])).to(open.address).status, 200);
}

#[test]
fn the_decoded_size_of_all_bodies_is_limited() {
    let mut limits = Limits::default();
    limits.decoded_bytes = 1 << 20;
    let held = Held::open(StoreErrorKind::Unusable, limits);
    let of_spans = |count: usize| send(&traces(vec![span("one"); count]));
    let mut holds = Connection::open(held.address);
    holds.send(&of_spans(500).bytes());
    held.wait_for_queries(1);
    let answer = of_spans(500).to(held.address);
    assert_eq!((answer.status, status_of(&answer).code), (429, 8));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let answer = of_spans(1_000).to(held.address);
    assert_eq!(
        (answer.status, status_of(&answer).code),
        (413, 3),
        "it never will be taken"
    );
    assert_eq!(held.store.query_count(), 1);
    held.release();
    assert_eq!(holds.answer().status, 500, "its own answer");
    assert_eq!(of_spans(500).to(held.address).status, 500, "there is room again");
}
