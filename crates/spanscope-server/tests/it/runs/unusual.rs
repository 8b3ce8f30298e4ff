//! Unusual runs: without a root, with two roots, with a cycle, with clocks that disagree, huge, and
//! hostile.

use serde_json::json;

use super::{Stream, With, agent, span, store, tool};
use crate::running::{Open, open};
use crate::wire::Ask;

/// Every route responds about it, and its stream ends.
fn assert_available(open: &Open, task: &str) {
    for route in [
        "",
        "?format=compact&level=debug",
        "?format=detailed&level=debug",
        "/events?level=debug",
        "/summary",
        "/analysis",
    ] {
        let answer = Ask::get(&format!("/traces/{task}{route}")).to(open.address);
        assert_eq!(answer.status, 200, "{task}{route}: {}", answer.text());
        answer.json();
    }
    let sent = Stream::open(open, &format!("/traces/{task}/stream?level=debug"), None).all();
    assert_eq!(sent.last().unwrap().data, "[DONE]", "{task}");
    let listed = Ask::get("/traces").to(open.address).json();
    assert!(listed["sessions"].to_string().contains(task), "{listed}");
}

#[test]
fn a_run_without_a_root_is_available_and_its_stream_ends() {
    let open = open();
    store(
        &open.store,
        vec![
            tool(1, 2, "calculator", 60_000, 10),
            tool(1, 3, "weather", 59_000, 10),
        ],
    );
    assert_available(&open, "00000000000000000000000000000001");
}

#[test]
fn a_run_with_two_roots_is_one_run() {
    let open = open();
    let second = span(1, 7, 0, "second root", 58_000, 10).with(&[("task_id", "t")]);
    store(&open.store, vec![agent(1, "t", 60_000, 10), second]);
    assert_available(&open, "t");
    assert_eq!(Ask::get("/traces").to(open.address).json()["total"], 1);
}

#[test]
fn a_cycle_of_spans_does_no_harm() {
    let open = open();
    let cycle = |id, parent| {
        span(1, id, parent, "round", 60_000, 10).with(&[("gen_ai.operation.name", "chat"), ("task_id", "t")])
    };
    store(
        &open.store,
        vec![cycle(2, 3), cycle(3, 4), cycle(4, 2), cycle(5, 5)],
    );
    assert_available(&open, "t");
}

#[test]
fn clocks_that_disagree_make_no_negative_times() {
    let open = open();
    // A child in another process whose clock is an hour ahead, and one whose clock is behind.
    store(
        &open.store,
        vec![
            agent(1, "t", 60_000, 10),
            tool(1, 2, "ahead", -3_540_000, 10),
            tool(1, 3, "behind", 3_660_000, 10),
        ],
    );
    assert_available(&open, "t");
    let analysis = Ask::get("/traces/t/analysis").to(open.address).json();
    let text = analysis.to_string();
    assert!(!text.contains(":-") && !text.contains("[-"), "{text}");
}

#[test]
fn a_payload_of_four_mebibytes_is_truncated() {
    let open = open();
    let huge = "x".repeat(4 << 20);
    store(
        &open.store,
        vec![
            agent(1, "t", 60_000, 10),
            tool(1, 2, "calculator", 59_990, 5).with(&[("gen_ai.tool.call.arguments", &huge)]),
        ],
    );
    assert_available(&open, "t");
    let session = Ask::get("/traces/t").to(open.address);
    assert!(session.body.len() < 20_000, "{}", session.body.len());
    let debug = Ask::get("/traces/t?format=detailed&level=debug").to(open.address);
    assert!(debug.body.len() < 100_000, "{}", debug.body.len());
}

#[test]
fn markup_and_control_characters_stay_data() {
    let open = open();
    let name = "<script>alert(1)</script>\u{1b}[31m\r\ndata: forged\n\n[bold]\u{0}";
    store(
        &open.store,
        vec![
            agent(1, "t", 60_000, 10),
            tool(1, 2, name, 59_990, 5)
                .with(&[("gen_ai.tool.call.result", "a\n\ndata: [DONE]\n\n")])
                .failed(name),
        ],
    );
    assert_available(&open, "t");
    let sent = Stream::open(&open, "/traces/t/stream?level=debug", None).all();
    assert_eq!(sent.len(), 5, "no event is forged: {sent:?}");
    let compact = Ask::get("/traces/t?format=compact").to(open.address).json();
    for line in compact["text_timeline"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let names = Ask::get("/traces/t/events").to(open.address).json();
    assert!(names.to_string().contains("<script>"), "JSON keeps it as it is");
    let task = Ask::get("/traces?user_id=%3Cscript%3E").to(open.address).json();
    assert_eq!(task["sessions"], json!([]));
}
