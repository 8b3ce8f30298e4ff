//! The same batch again: from the same sender it is recognized, from another tenant it is another
//! one.

use prost::Message as _;
use serde_json::json;
use spanscope_server::{Limits, STORED_IN};
use spanscope_sqlite::SqliteLayer;

use super::{JSON, TRACES, gzip, one_of_each, send, send_json, span, traces};
use crate::running::{ACME, OTHER, open, open_with, tokens};
use crate::wire::Ask;

#[test]
fn a_repeated_batch_is_stored_once_in_any_encoding() {
    let open = open();
    let request = traces(vec![span("once"), span("and more")]);
    let packed = Ask::post(TRACES, super::PROTOBUF, gzip(&request.encode_to_vec()));
    for ask in [
        send(&request),
        send_json(&request),
        send(&request),
        packed.header("Content-Encoding", "gzip"),
    ] {
        let answer = ask.to(open.address);
        assert_eq!(
            super::rejected(&answer),
            (0, String::new()),
            "a sender need not know"
        );
        assert_eq!(open.span_names(), ["and more", "once"]);
    }
    // Measurements and log records have no ids, so a repeated one is not recognized.
    for (path, body) in one_of_each().into_iter().skip(1) {
        for _ in 0..3 {
            assert_eq!(Ask::json(path, &body).to(open.address).status, 200);
        }
    }
    assert_eq!(open.counts(), (2, 1, 1));
}

#[test]
fn a_batch_without_ids_is_recognized_compressed_or_plain() {
    let open = open();
    for (path, body) in one_of_each().into_iter().skip(1) {
        let plain = body.to_string();
        for ask in [
            Ask::post(path, JSON, plain.clone()),
            Ask::post(path, JSON, gzip(plain.as_bytes())).header("Content-Encoding", "gzip"),
        ] {
            assert_eq!(ask.to(open.address).status, 200, "{path}");
        }
    }
    assert_eq!(open.counts(), (0, 1, 1));
}

#[test]
fn a_log_record_without_a_time_is_never_a_repetition() {
    let open = open();
    let record = json!({"body": {"stringValue": "tick"}});
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    for _ in 0..2 {
        assert_eq!(Ask::json("/v1/logs", &body).to(open.address).status, 200);
    }
    assert_eq!(open.messages(), ["tick", "tick"]);
}

#[test]
fn the_same_batch_of_two_tenants_is_stored_for_both() {
    let open = open_with(tokens(), Limits::default());
    for round in 1..=2 {
        for (path, body) in one_of_each() {
            for token in [ACME, OTHER] {
                let answer = Ask::json(path, &body).token(token).to(open.address);
                assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
            }
        }
        for tenant in ["acme", "other"] {
            assert_eq!(open.counts_of(tenant), (1, 1, 1), "{tenant}, round {round}");
        }
        assert_eq!(open.counts_of("default"), (0, 0, 0));
    }
}

#[test]
fn records_that_the_sender_writes_into_this_file_itself_are_not_stored_again() {
    let open = open();
    // As a program does that has both a `SqliteLayer` and an exporter.
    let (_layer, guard) = SqliteLayer::builder().open(open.store.path()).unwrap();
    let name = guard.store_name();
    for (path, body) in one_of_each() {
        let answer = Ask::json(path, &body).header(STORED_IN, name).to(open.address);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    assert_eq!(open.counts(), (0, 0, 0));
    let long = "x".repeat(10_000);
    for other in ["", "another file", "\u{e9}", long.as_str()] {
        let request = traces(vec![span(&format!("next to {}", other.len()))]);
        let answer = send(&request).header(STORED_IN, other).to(open.address);
        assert_eq!(answer.status, 200, "{other}");
    }
    assert_eq!(open.counts(), (4, 0, 0));
}
