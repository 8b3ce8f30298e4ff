//! The formats and levels of a run: what each contains, and where it truncates payloads.

use super::*;
use crate::{DetailLevel, Run, TraceFormat, format_event};

#[test]
fn each_level_shows_all_events_of_the_previous_one() {
    let records = librarian();
    let run = Run::of(&records);
    let ids = |level| -> Vec<String> {
        run.events(level)
            .into_iter()
            .map(|event| event.event_id)
            .collect()
    };
    for pair in DetailLevel::ALL.windows(2) {
        let (fewer, more) = (ids(pair[0]), ids(pair[1]));
        assert!(fewer.iter().all(|id| more.contains(id)), "{pair:?}");
        assert_eq!(fewer.len() as u64, run.summary(pair[0]).total_events);
    }
    assert_eq!(
        (
            ids(DetailLevel::Minimal).len(),
            ids(DetailLevel::Standard).len(),
            ids(DetailLevel::Detailed).len()
        ),
        (3, 9, 13)
    );
}

#[test]
fn at_the_lowest_level_only_messages_show_their_payload() {
    let records = librarian();
    let session = Run::of(&records).session(TraceFormat::Streaming, DetailLevel::Minimal);
    let events = session["events"].as_array().unwrap();
    for event in events {
        let is_message = event["event_type"] == "message_generated";
        assert_eq!(event.get("outputs").is_some(), is_message, "{event}");
        assert!(
            event.get("inputs").is_none() && event.get("thoughts").is_none(),
            "{event}"
        );
    }
    assert_eq!(events[1]["outputs"]["content"], "It is 42.");
    let detailed = Run::of(&records).session(TraceFormat::Detailed, DetailLevel::Minimal);
    for list in ["llm_calls", "retrievals", "tool_calls"] {
        assert!(detailed.get(list).is_none(), "{list}");
    }
}

#[test]
fn the_streaming_shape_is_flat() {
    let records = librarian();
    let session = Run::of(&records).session(TraceFormat::Streaming, DetailLevel::Standard);
    let keys: Vec<&str> = session.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "task_id",
            "session_id",
            "agent_id",
            "user_id",
            "tenant_id",
            "trace_id",
            "status",
            "started_at",
            "completed_at",
            "total_elapsed_time",
            "summary",
            "events"
        ]
    );
    assert_eq!(
        (&session["status"], &session["total_elapsed_time"]),
        (&json("\"completed\""), &json("1.0"))
    );
    assert_eq!(session["started_at"], at(0).to_string());
    let search = &session["events"][5];
    assert_eq!(search["event_type"], "tool_call_completed");
    assert_eq!(search["timestamp"], at(480).to_string());
    assert_eq!(
        (&search["component_name"], &search["error"]),
        (&json("\"search\""), &json("\"no network\""))
    );
    assert_eq!(search["metadata"]["span_id"], span_id(4).to_string());
    assert!(search["metadata"].get("pending").is_none());
}

#[test]
fn the_compact_shape_has_counts_and_a_timeline_for_people() {
    let mut records = librarian();
    records.spans[3]
        .span
        .attributes
        .set("gen_ai.tool.name", "sea\u{1b}[31m\nrch [bold]");
    let session = Run::of(&records).session(TraceFormat::Compact, DetailLevel::Standard);
    assert_eq!(session["nodes"], 6);
    assert_eq!(
        (&session["llm_calls"], &session["tokens"], &session["errors"]),
        (&json("2"), &json("320"), &json("1"))
    );
    let timeline = session["timeline"].as_array().unwrap();
    assert_eq!(timeline[0]["icon"], "🚀");
    assert_eq!(
        (&timeline[1]["time"], &timeline[1]["type"]),
        (&json("\"14:03:00.010\""), &json("\"retrieval_started\""))
    );
    assert_eq!(timeline[2]["duration_ms"], 100.0);
    let lines: Vec<&str> = session["text_timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Json::as_str)
        .collect();
    assert_eq!(lines[0], "14:03:00 🚀 workflow_started [librarian]");
    assert_eq!(lines[2], "14:03:00 📚 retrieval_completed [books] (100ms)");
    assert_eq!(
        lines[5],
        "14:03:00 ⚙️ tool_call_completed [sea\\x1b[31m\\nrch [bold]] (50ms) ERROR: no network"
    );
    assert_eq!(lines.len(), timeline.len());
}

#[test]
fn the_detailed_shape_nests_and_lists_the_calls() {
    let records = librarian();
    let run = Run::of(&records);
    let session = run.session(TraceFormat::Detailed, DetailLevel::Detailed);
    assert_eq!(session["metadata"]["agent_id"], "librarian");
    assert_eq!(session["timing"]["total_elapsed_seconds"], 1.0);
    let search = session["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event.get("error").is_some())
        .unwrap();
    assert_eq!(search["component"]["type"], "tool");
    assert_eq!(search["error"]["message"], "no network");
    assert_eq!(search["error"]["occurred_at"], at(480).to_string());
    assert_eq!(search["timing"]["elapsed_ms"], 50.0);
    assert_eq!(search["timestamp_unix"], (BEGIN / 1_000_000_000) as f64 + 0.48);

    let call = &session["llm_calls"][1];
    assert_eq!(
        (&call["model_name"], &call["provider"]),
        (&json("\"llama3.2:3b\""), &json("\"ollama\""))
    );
    assert_eq!(
        call["tokens"],
        json(r#"{"prompt":200,"completion":10,"total":210}"#)
    );
    assert_eq!(
        (&call["latency_ms"], &call["temperature"]),
        (&json("480.0"), &json("0.5"))
    );
    assert_eq!(
        (&call["prompt_preview"], &call["response_preview"]),
        (&json("\"6*7?\""), &json("\"It is 42.\""))
    );
    let retrieval = &session["retrievals"][0];
    assert_eq!(
        (
            &retrieval["query"],
            &retrieval["knowledge_bases"],
            &retrieval["config"]["top_k"]
        ),
        (&json("\"multiplication\""), &json("[\"books\"]"), &json("2"))
    );
    assert_eq!(
        retrieval["results"]["chunks_preview"],
        json(r#"[{"id":"a","score":0.9},{"id":"b","score":0.5}]"#)
    );
    let tools = session["tool_calls"].as_array().unwrap();
    assert_eq!(
        (&tools[0]["error"], &tools[1]["result_preview"]),
        (&json("\"no network\""), &json("\"42\""))
    );
    assert_eq!(tools[1]["arguments"]["expression"], "6*7");

    assert!(
        run.session(TraceFormat::Detailed, DetailLevel::Standard)
            .get("llm_calls")
            .is_none()
    );
    let whole = run.session(TraceFormat::Detailed, DetailLevel::Debug);
    assert_eq!(
        whole["retrievals"][0]["results"]["chunks"][0]["content"],
        "secret"
    );
    assert_eq!(whole["llm_calls"][0]["prompt"][0]["role"], "user");
    assert_eq!(whole["tool_calls"][1]["result"], "42");
}

#[test]
fn large_payloads_are_truncated_between_characters_except_at_the_highest_level() {
    const LEN: usize = 4 * 1024 * 1024;
    let long = "é".repeat(LEN / 2);
    let mut records = librarian();
    records.spans[4]
        .span
        .attributes
        .set("gen_ai.tool.call.result", long.as_str());
    let list = format!("[{}1]", "\"ab\",".repeat(100_000));
    records.spans[4]
        .span
        .attributes
        .set("gen_ai.tool.call.arguments", list);
    let message = format!(r#"[{{"role":"assistant","parts":[{{"type":"text","content":"{long}"}}]}}]"#);
    records.spans[0]
        .span
        .attributes
        .set("gen_ai.output.messages", message);
    let run = Run::of(&records);
    for (format, level, chars) in [
        (TraceFormat::Streaming, DetailLevel::Standard, 500),
        (TraceFormat::Streaming, DetailLevel::Minimal, 500),
        (TraceFormat::Detailed, DetailLevel::Detailed, 2000),
    ] {
        let session = run.session(format, level);
        assert!(
            session.to_string().len() < 40_000,
            "{format} {level}: {}",
            session.to_string().len()
        );
        let events = session["events"].as_array().unwrap();
        let message = events
            .iter()
            .find(|event| event["event_type"] == "message_generated")
            .unwrap();
        let content = message["outputs"]["content"].as_str().unwrap();
        assert_eq!(content, format!("{}...", "é".repeat(chars)));
    }
    let events = run.events(DetailLevel::Standard);
    let start = format_event(
        event(&events, &format!("{}:start", span_id(5))),
        TraceFormat::Streaming,
        DetailLevel::Standard,
    );
    let items = start["inputs"]["arguments"].as_array().unwrap();
    assert_eq!((items.len(), items[10].as_str()), (11, Some("... (99991 more)")));

    let end = format_event(
        event(&events, &end_of(5)),
        TraceFormat::Streaming,
        DetailLevel::Debug,
    );
    assert_eq!(end["outputs"]["result"].as_str().map(str::len), Some(LEN));
    let error = run.session(TraceFormat::Compact, DetailLevel::Debug);
    assert!(error.to_string().len() < 40_000);
}

#[test]
fn every_format_shows_that_a_run_failed_and_truncates_a_long_error() {
    let records = records(vec![failed(
        span(1, 0, "agent", 0..10, &[operation("invoke_agent")]),
        &"because ".repeat(1000),
    )]);
    let run = Run::of(&records);
    for format in TraceFormat::ALL {
        let session = run.session(*format, DetailLevel::Minimal);
        assert_eq!(session["status"], "failed");
        assert!(
            session["error"].as_str().unwrap().starts_with("because because"),
            "{format}"
        );
    }
    let compact = run.session(TraceFormat::Compact, DetailLevel::Standard);
    assert_eq!(
        compact["timeline"][1]["error"]
            .as_str()
            .map(|error| error.chars().count()),
        Some(103)
    );
    assert_eq!(TraceFormat::Detailed.sse_name(), "trace_detailed");
}
