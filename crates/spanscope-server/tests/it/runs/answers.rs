//! Responses about runs: one that ended, one that failed, one that is running, and one whose
//! program is gone.

use std::time::Duration;

use serde_json::{Value, json};
use spanscope_server::{AuthMode, Limits};

use super::{With, agent, span, store, tool};
use crate::running::{Open, open, open_runs, runs};
use crate::wire::Ask;

fn get(open: &Open, path: &str) -> Value {
    let answer = Ask::get(path).to(open.address);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// A run with a retrieval, two model calls, and two tools of which one fails.
fn librarian(open: &Open) {
    let usage = |span: spanscope_model::Span, input: i64, output: i64| {
        let mut span = span.with(&[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "tiny"),
        ]);
        span.attributes.set("gen_ai.usage.input_tokens", input);
        span.attributes.set("gen_ai.usage.output_tokens", output);
        span
    };
    store(
        &open.store,
        vec![
            agent(1, "t", 20_000, 10_000).with(&[
                (
                    "gen_ai.input.messages",
                    r#"[{"role":"user","parts":[{"type":"text","content":"How large?"}]}]"#,
                ),
                (
                    "gen_ai.output.messages",
                    r#"[{"role":"assistant","parts":[{"type":"text","content":"4 MiB"}]}]"#,
                ),
            ]),
            span(1, 2, 1, "retrieval books", 19_900, 100).with(&[
                ("gen_ai.operation.name", "retrieval"),
                ("gen_ai.data_source.id", "books"),
                ("gen_ai.retrieval.query.text", "log size"),
                (
                    "gen_ai.retrieval.documents",
                    r#"[{"id":"a","score":0.9},{"id":"b","score":0.5}]"#,
                ),
            ]),
            usage(span(1, 3, 1, "chat tiny", 19_700, 1_000), 100, 20),
            tool(1, 4, "calculator", 18_500, 100)
                .with(&[("gen_ai.tool.call.arguments", r#"{"expression":"6*7"}"#)]),
            tool(1, 5, "weather", 18_500, 7_000).failed("no weather today"),
            usage(span(1, 6, 1, "chat tiny", 11_000, 500), 200, 30),
        ],
    );
}

#[test]
fn a_run_is_available_in_every_format_and_level() {
    let open = open();
    librarian(&open);
    for prefix in ["", "/api/v1"] {
        let streaming = get(&open, &format!("{prefix}/traces/t"));
        assert_eq!(
            (
                &streaming["status"],
                &streaming["session_id"],
                &streaming["task_id"]
            ),
            (&json!("completed"), &json!("s-1"), &json!("t"))
        );
        assert_eq!(streaming["events"][0]["event_type"], "workflow_started");
        let compact = get(&open, &format!("{prefix}/traces/t?format=compact"));
        assert_eq!(
            (
                &compact["llm_calls"],
                &compact["retrievals"],
                &compact["tool_calls"],
                &compact["tokens"]
            ),
            (&json!(2), &json!(1), &json!(2), &json!(350))
        );
        let line = compact["text_timeline"][1].as_str().unwrap();
        assert!(line.contains("🔍 retrieval_started [books]"), "{line}");
        let detailed = get(&open, &format!("{prefix}/traces/t?format=detailed&level=debug"));
        assert_eq!(detailed["llm_calls"].as_array().unwrap().len(), 2);
        assert_eq!(detailed["retrievals"][0]["query"], "log size");
        assert_eq!(detailed["retrievals"][0]["results"]["chunks_retrieved"], 2);
        assert_eq!(detailed["tool_calls"][1]["error"], "no weather today");
        assert_eq!(detailed["metadata"]["user_id"], "ada");
    }
    let mut before = 0;
    for level in ["minimal", "standard", "detailed", "debug"] {
        let events = get(&open, &format!("/traces/t/events?level={level}&limit=1000"));
        let count = events["count"].as_u64().unwrap();
        assert!(count >= before && events["total"] == events["count"], "{level}");
        let has_llm = events["events"].to_string().contains("llm_call_started");
        assert_eq!(has_llm, ["detailed", "debug"].contains(&level), "{level}");
        before = count;
    }
}

#[test]
fn events_are_filtered_and_paged() {
    let open = open();
    librarian(&open);
    let types = |path: &str| -> Vec<String> {
        let events = get(&open, path);
        let events = events["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| event["event_type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        types("/traces/t/events?event_types=tool_call_started,%20tool_call_completed"),
        [
            "tool_call_started",
            "tool_call_started",
            "tool_call_completed",
            "tool_call_completed"
        ]
    );
    let of_span = types(&format!("/traces/t/events?component_id={:016x}", 5));
    assert_eq!(of_span, ["tool_call_started", "tool_call_completed"]);
    let all = types("/traces/t/events?level=debug");
    let mut paged = types("/traces/t/events?level=debug&limit=5");
    paged.extend(types("/traces/t/events?level=debug&limit=100&offset=5"));
    assert_eq!(paged, all);
    let page = get(&open, "/traces/t/events?level=debug&limit=5");
    assert_eq!((&page["count"], &page["total"]), (&json!(5), &json!(all.len())));
}

#[test]
fn the_summary_counts_and_the_analysis_names_slow_and_failed_components() {
    let open = open();
    librarian(&open);
    let summary = get(&open, "/traces/t/summary");
    assert_eq!(summary["task_id"], "t");
    for (field, expected) in [
        ("total_llm_calls", 2),
        ("total_retrievals", 1),
        ("total_tool_calls", 2),
        ("total_tokens", 350),
        ("prompt_tokens", 300),
        ("completion_tokens", 50),
        ("total_chunks_retrieved", 2),
        ("errors_count", 1),
    ] {
        assert_eq!(summary[field], expected, "{field}: {summary}");
    }
    let analysis = get(&open, "/traces/t/analysis");
    assert_eq!(analysis["event_distribution"]["llm_call_completed"], 2);
    assert_eq!(analysis["component_execution_times"]["weather"], json!([7.0]));
    assert_eq!(analysis["bottlenecks"][0]["component"], "weather");
    assert_eq!(analysis["errors"][0]["component"], "weather");
    assert!(
        analysis["recommendations"].to_string().contains("weather"),
        "{analysis}"
    );
}

#[test]
fn failed_and_running_runs_are_returned_too() {
    let open = open();
    store(
        &open.store,
        vec![agent(1, "failed", 9_000, 100).failed("no model")],
    );
    store(
        &open.store,
        vec![
            agent(2, "running", 9_000, 0).running(),
            tool(2, 2, "calculator", 8_000, 0).running(),
        ],
    );
    let failed = get(&open, "/traces/failed");
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("failed"), &json!("no model"))
    );
    let last = failed["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["event_type"], "workflow_failed");
    let running = get(&open, "/traces/running");
    assert_eq!(
        (&running["status"], &running["completed_at"]),
        (&json!("running"), &Value::Null)
    );
    for route in ["events", "summary", "analysis"] {
        for task in ["failed", "running"] {
            get(&open, &format!("/traces/{task}/{route}"));
        }
    }
    let statuses = get(&open, "/traces?status=running");
    assert_eq!(
        (&statuses["total"], &statuses["sessions"][0]["task_id"]),
        (&json!(1), &json!("running"))
    );
}

#[test]
fn lists_are_filtered_and_paged_with_true_totals() {
    let open = open();
    for number in 1..=7_u128 {
        let began = i64::try_from(number).unwrap() * 60_000;
        store(
            &open.store,
            vec![agent(number, &format!("t-{number}"), began, 10)],
        );
    }
    let page = get(&open, "/traces?page=2&page_size=3");
    assert_eq!(
        (&page["total"], &page["page"], &page["page_size"]),
        (&json!(7), &json!(2), &json!(3))
    );
    let tasks: Vec<_> = page["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["task_id"].clone())
        .collect();
    assert_eq!(tasks, ["t-4", "t-5", "t-6"]);
    let of_agent = get(&open, "/agents/librarian/traces?page_size=2");
    assert_eq!(
        (&of_agent["total"], of_agent["sessions"].as_array().unwrap().len()),
        (&json!(7), 2)
    );
    assert_eq!(get(&open, "/agents/unknown/traces")["total"], 0);
    assert_eq!(get(&open, "/api/v1/sessions/s-1/traces")["total"], 7);
    assert_eq!(
        get(&open, "/traces?user_id=ada&session_id=s-1&agent_id=librarian")["total"],
        7
    );
    assert_eq!(get(&open, "/traces?user_id=bob")["total"], 0);
    assert_eq!(get(&open, "/traces?end_time=2020-01-01T00:00:00")["total"], 0);
    assert_eq!(get(&open, "/traces?start_time=2020-01-01")["total"], 7);
    assert_eq!(get(&open, "/traces?page=4&page_size=3")["sessions"], json!([]));
}

#[test]
fn runs_and_their_events_expire_after_their_time_to_live() {
    let mut settings = runs();
    settings.session_ttl = Duration::from_secs(7 * 86_400);
    settings.event_ttl = Duration::from_secs(3 * 86_400);
    let open = open_runs(AuthMode::Local, Limits::default(), settings);
    const DAY: i64 = 86_400_000;
    store(&open.store, vec![agent(1, "of today", 1000, 10)]);
    store(
        &open.store,
        vec![
            agent(2, "of four days ago", 4 * DAY, 10),
            tool(2, 2, "calculator", 4 * DAY, 1),
        ],
    );
    assert_eq!(get(&open, "/traces")["total"], 2);
    get(&open, "/traces/of%20today/events");
    let old = get(&open, "/traces/of%20four%20days%20ago");
    assert_eq!(
        (&old["events"], &old["events_expired"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(
        get(&open, "/traces/of%20four%20days%20ago/summary")["total_tool_calls"],
        1
    );
    for route in ["events", "analysis", "stream"] {
        let answer = Ask::get(&format!("/traces/of%20four%20days%20ago/{route}")).to(open.address);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (410, "expired"),
            "{route}"
        );
    }
    let mut strict = runs();
    strict.session_ttl = Duration::from_secs(3600);
    let open = open_runs(AuthMode::Local, Limits::default(), strict);
    store(&open.store, vec![agent(1, "t", 7_200_000, 10)]);
    assert_eq!(get(&open, "/traces")["total"], 0);
    assert_eq!(Ask::get("/traces/t").to(open.address).status, 404);
}
