//! Invalid requests are refused, with a message about what is accepted.

use serde_json::json;

use super::{agent, store};
use crate::running::open;
use crate::wire::Ask;

#[test]
fn an_invalid_parameter_is_refused_with_its_name_and_the_accepted_values() {
    let open = open();
    store(&open.store, vec![agent(1, "t", 1000, 10)]);
    for (path, words) in [
        (
            "/traces/t?format=xml",
            &["format", "\"xml\"", "streaming", "compact", "detailed"][..],
        ),
        (
            "/traces/t?level=loud",
            &["level", "\"loud\"", "minimal", "standard", "detailed", "debug"],
        ),
        ("/traces/t?colour=red", &["\"colour\"", "format", "level"]),
        ("/traces/t?level=debug&level=minimal", &["\"level\"", "once"]),
        ("/traces/t/stream?format=xml", &["format", "compact"]),
        ("/traces/t/stream?level=7", &["level", "debug"]),
        (
            "/traces/t/events?event_types=node_started,nod_finished",
            &["event_types", "nod_finished", "node_finished"],
        ),
        ("/traces/t/events?limit=0", &["limit", "\"0\"", "1 to"]),
        ("/traces/t/events?limit=-5", &["limit", "\"-5\""]),
        ("/traces/t/events?limit=10000000", &["limit", "10000"]),
        ("/traces/t/events?offset=x", &["offset", "\"x\""]),
        ("/traces/t/summary?format=compact", &["format", "level"]),
        ("/traces/t/analysis?level=debug", &["level"]),
        ("/traces?page=0", &["page", "\"0\"", "from 1"]),
        ("/traces?page=99999999999", &["page"]),
        ("/traces?page_size=10000000", &["page_size", "1000"]),
        ("/traces?page_size=0", &["page_size"]),
        (
            "/traces?status=done",
            &[
                "status",
                "\"done\"",
                "running",
                "completed",
                "failed",
                "abandoned",
            ],
        ),
        ("/traces?start_time=yesterday", &["start_time", "yesterday"]),
        ("/traces?agentid=librarian", &["agentid", "agent_id"]),
        ("/agents/librarian/traces?page=0", &["page"]),
        ("/sessions/s/traces?page_size=0", &["page_size"]),
    ] {
        for prefix in ["", "/api/v1"] {
            let answer = Ask::get(&format!("{prefix}{path}")).to(open.address);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "invalid_input"),
                "{path}"
            );
            for word in words {
                assert!(
                    answer.message().contains(word),
                    "{path}: no {word} in {}",
                    answer.message()
                );
            }
        }
    }
    for (body, word) in [
        (json!({"days": -1}), "days"),
        (json!({"days": "seven"}), "days"),
        (json!({"day": 7}), "day"),
        (json!([7]), "list"),
    ] {
        let answer = Ask::json("/traces/cleanup", &body).to(open.address);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.message().contains(word), "{body}: {}", answer.message());
    }
    let last = [
        "7",
        "x-y-z",
        "1.2.3",
        "1.2.3-0.0.0-1",
        "999999999999999999999.0.0-end",
        "1.2.3-4.5.6-a/b",
    ];
    for id in last {
        let answer = Ask::get("/traces/t/stream")
            .header("Last-Event-ID", id)
            .to(open.address);
        assert_eq!(answer.status, 400, "{id}");
        assert!(answer.message().contains("last-event-id"), "{}", answer.message());
    }
}

#[test]
fn a_run_that_is_not_stored_is_not_found_on_any_route() {
    let open = open();
    for path in ["", "/events", "/summary", "/analysis", "/stream"] {
        for task in [
            "unknown",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "%00",
            "..%2f..%2fetc",
            "%F0%9F%9A%80",
            "'%20OR%201=1--",
        ] {
            let answer = Ask::get(&format!("/traces/{task}{path}")).to(open.address);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (404, "not_found"),
                "{task}{path}"
            );
        }
    }
    let answer = Ask::new("DELETE", "/traces/unknown").to(open.address);
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[test]
fn a_position_beyond_all_records_is_harmless() {
    let open = open();
    store(&open.store, vec![agent(1, "t", 9000, 10)]);
    for id in [
        "9000.9000.9000-9000.9000.9001-3",
        "9223372036854775807.0.0-9223372036854775807.0.0-0",
        "0.0.0-1.0.0-999999",
    ] {
        let answer = Ask::get("/traces/t/stream")
            .header("Last-Event-ID", id)
            .to(open.address);
        assert_eq!(answer.status, 200, "{id}");
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{id}: {}",
            answer.text()
        );
    }
}
