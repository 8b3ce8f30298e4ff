//! Tests of the reader of server-sent events: bodies that are split anywhere, and ends without an
//! empty line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const LIMITS: Limits = Limits {
    whole: 1024,
    text: 1024,
    total: 1024,
};

fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut events = Events::new(LIMITS);
    let mut take = |events: &mut Events| {
        let (name, data) = events.event();
        found.push((
            String::from_utf8(name.to_vec()).unwrap(),
            String::from_utf8(data.whole().unwrap().to_vec()).unwrap(),
        ));
        events.begin_next();
    };
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (is_end, after) = events.read(rest);
            if is_end {
                take(&mut events);
            }
            rest = after;
        }
    }
    if events.end() {
        take(&mut events);
    }
    found
}

fn event(name: &str, data: &str) -> (String, String) {
    (name.to_owned(), data.to_owned())
}

#[test]
fn every_split_of_a_body_gives_the_same_events() {
    let lines = [
        ": a comment",
        "",
        "event: delta",
        "data: größer",
        "",
        "id: 7",
        "retry: 10",
        "data:two",
        "data:  lines",
        "",
        "data",
        "data",
        "",
        "event: alone",
        "",
        "nonsense: x",
        "data: \u{1F600}: {\"a\": \"b\"}",
        "",
        "data: [DONE]",
        "",
        "",
    ];
    let expected = [
        event("delta", "größer"),
        event("", "two\n lines"),
        event("", "\n"),
        event("", "\u{1F600}: {\"a\": \"b\"}"),
        event("", "[DONE]"),
    ];
    for line_end in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{FEFF}"] {
            let body = format!("{mark}{}", lines.join(line_end));
            let body = body.as_bytes();
            assert_eq!(events(&[body]), expected, "{line_end:?}");
            for size in 1..body.len() {
                let pieces: Vec<&[u8]> = body.chunks(size).collect();
                assert_eq!(events(&pieces), expected, "{line_end:?}, {size} bytes at a time");
            }
            for first in 1..body.len() {
                assert_eq!(
                    events(&[&body[..first], &body[first..]]),
                    expected,
                    "cut at {first}"
                );
            }
        }
    }
}

#[test]
fn the_last_event_needs_no_empty_line_at_the_end_of_the_body() {
    assert_eq!(events(&[b"data: a\n\ndata: b"]), [event("", "a"), event("", "b")]);
    assert_eq!(events(&[b"data: b\n"]), [event("", "b")]);
    assert_eq!(events(&[b"data: b\r"]), [event("", "b")]);
}

#[test]
fn a_body_without_events_has_none() {
    for body in ["", "\n\n\n", ": ping\n\n: ping\n\n", "event: x\n\n", "\u{FEFF}"] {
        assert_eq!(events(&[body.as_bytes()]), [], "{body:?}");
    }
}
