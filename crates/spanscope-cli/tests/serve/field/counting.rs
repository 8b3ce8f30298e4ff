//! How calls, their tokens and errors are counted.

use serde_json::{Value as Json, json};

use super::super::support::{Folder, Serve};
use super::{command_json, remark, send};

/// Returns the row of a model: calls, errors, input, output.
fn usage(folder: &Folder, model: &str) -> [u64; 4] {
    let rows = command_json(folder, &["usage"]);
    let rows: Vec<&Json> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["name"] == model)
        .collect();
    assert_eq!(rows.len(), 1, "{model}: {rows:?}");
    ["calls", "errors", "input_tokens", "output_tokens"].map(|field| rows[0][field].as_u64().unwrap())
}

/// Returns cache reads and writes, in the order of the calls.
fn cached(folder: &Folder) -> Vec<[u64; 2]> {
    let of = |metric: &str| -> Vec<u64> {
        let query = format!("SELECT value FROM metrics WHERE metric = '{metric}' ORDER BY timestamp, value");
        let rows = command_json(folder, &["sql", &query]);
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["value"].as_u64().unwrap())
            .collect()
    };
    let [read, written] = spanscope_model::CACHE_METRICS.map(of);
    read.into_iter()
        .zip(written)
        .map(|(read, written)| [read, written])
        .collect()
}

fn sent(server: &Serve, of: &str) {
    assert_eq!(remark(&send(server, "/v1/traces", of)), "");
}

#[test]
fn cached_tokens_that_are_more_than_the_input_are_added_to_it() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "01-anthropic-cache/traces.json");
    assert_eq!(usage(&folder, "claude-x"), [1, 0, 129_859, 512]);
    assert_eq!(cached(&folder), [[129_017, 840]]);
    sent(&server, "04-pydantic-cache/traces.json");
    let all = cached(&folder);
    assert_eq!(all.iter().filter(|of| **of == [2_500, 100]).count(), 2, "{all:?}");
    for model in ["claude-p", "claude-q"] {
        assert_eq!(usage(&folder, model), [1, 0, 2_740, 216], "{model}");
    }
    server.stop();
}

#[test]
fn counts_are_read_from_the_attributes_of_other_libraries() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "02-dotnet-response-tokens/traces.json");
    assert_eq!(usage(&folder, "gpt-d"), [1, 0, 140, 22]);
    sent(&server, "15-mlflow/traces.json");
    assert_eq!(usage(&folder, "gpt-m"), [1, 0, 31, 7]);
    sent(&server, "10-span-kind-dify/traces.json");
    assert_eq!(usage(&folder, "qwen-x"), [1, 0, 77, 13]);
    let agents = command_json(&folder, &["usage", "--by", "agent"]);
    let of_dify = agents
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "dify-bot");
    assert_eq!(of_dify.unwrap()["calls"], 1, "{agents}");
    let runs = command_json(&folder, &["runs", "--session", "sess-10"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    sent(&server, "38-association-properties/traces.json");
    for words in [["--session", "tl-sess-38"], ["--user", "tl-user-38"]] {
        let runs = command_json(&folder, &["runs", words[0], words[1]]);
        assert_eq!(runs.as_array().unwrap().len(), 1, "{words:?}");
    }
    server.stop();
}

#[test]
fn a_call_below_a_tool_of_another_call_counts_and_so_does_the_outer_one() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "14-embedding-below-chat/traces.json");
    assert_eq!(usage(&folder, "gpt-e"), [1, 0, 1_000, 200]);
    assert_eq!(usage(&folder, "emb-e"), [1, 0, 8, 0]);
    server.stop();
}

#[test]
fn one_response_that_two_spans_report_counts_once() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "43-sibling-duplicates/traces.json");
    assert_eq!(usage(&folder, "gpt-43"), [1, 0, 100, 10]);
    server.stop();
}

#[test]
fn calls_without_usage_and_calls_that_failed_count() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "61-failed-calls/traces.json");
    assert_eq!(usage(&folder, "gpt-f"), [3, 2, 10, 2]);
    assert_eq!(usage(&folder, "gpt-g"), [1, 0, 0, 0]);
    server.stop();
}

#[test]
fn a_failure_with_only_an_error_type_or_an_exception_is_an_error_everywhere() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "36-tool-error-unset/traces.json");
    let failed = command_json(&folder, &["spans", "--errors"]);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
    assert_eq!(failed[0]["status"], "error");
    assert_eq!(
        command_json(&folder, &["traces", "--errors"])[0]["error_count"],
        1
    );
    let by_name = command_json(&folder, &["stats", "--by", "name"]);
    let tool = by_name
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "tools/call get_trace");
    assert_eq!(tool.unwrap()["errors"], 1, "{by_name}");
    let runs = command_json(&folder, &["runs"]);
    assert_eq!(
        (&runs[0]["error_count"], &runs[0]["status"]),
        (&json!(1), &json!("completed"))
    );
    let run = command_json(&folder, &["run", runs[0]["task_id"].as_str().unwrap()]);
    assert_eq!(run["summary"]["errors_count"], 1, "{run}");
    assert_eq!(run["analysis"]["errors"].as_array().unwrap().len(), 1, "{run}");
    let tool = run["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event_type"] == "tool_call_completed");
    assert_eq!(
        tool.unwrap()["error"]["message"],
        "*errors.errorString: trace not found"
    );
    let mut tree = folder.command(&["tree", runs[0]["trace_id"].as_str().unwrap()]);
    let tree = String::from_utf8(tree.output().unwrap().stdout).unwrap();
    assert!(tree.contains("1 failed"), "{tree}");
    server.stop();
}

#[test]
fn a_time_to_the_first_token_stays_a_number() {
    let folder = Folder::new();
    let server = folder.serve();
    sent(&server, "63-ttft-masked/traces.json");
    assert_eq!(usage(&folder, "llama-v"), [1, 0, 9, 40]);
    let spans = command_json(&folder, &["spans"]);
    for key in [
        "gen_ai.latency.time_to_first_token",
        "gen_ai.response.time_to_first_token",
    ] {
        assert!(spans[0]["attributes"][key].is_f64(), "{key}: {}", spans[0]);
    }
    server.stop();
}

/// A span of one trace: its number, its parent's (0 means none), and its attributes.
fn span(number: u64, parent: u64, attributes: &[(&str, Json)]) -> Json {
    let (_, span_id) = super::super::support::ids(number);
    let mut span = super::super::support::span("0af7651916cd43dd8448eb211c80319c", &span_id, "s");
    if parent > 0 {
        span["parentSpanId"] = super::super::support::ids(parent).1.into();
    }
    span["attributes"] = attributes
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Json::Number(number) => json!({"intValue": number}),
                text => json!({"stringValue": text}),
            };
            json!({"key": key, "value": value})
        })
        .collect();
    span
}

fn call(number: u64, parent: u64, operation: &str, model: &str, input: u64) -> Json {
    let mut attributes = vec![
        ("gen_ai.operation.name", json!(operation)),
        ("gen_ai.request.model", json!(model)),
    ];
    if input > 0 {
        attributes.push(("gen_ai.usage.input_tokens", json!(input)));
    }
    span(number, parent, &attributes)
}

/// All rows of `usage`, by model: calls and input.
fn counted(spans: &[Json], one_by_one: bool) -> Vec<(String, u64, u64)> {
    let folder = Folder::new();
    let server = folder.serve();
    let batches: Vec<Vec<Json>> = match one_by_one {
        true => spans.iter().map(|span| vec![span.clone()]).collect(),
        false => vec![spans.to_vec()],
    };
    for batch in batches {
        assert_eq!(
            remark(&server.post("/v1/traces", &super::super::support::traces(&batch))),
            ""
        );
    }
    let mut rows: Vec<(String, u64, u64)> = command_json(&folder, &["usage"])
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap().to_owned(),
                row["calls"].as_u64().unwrap(),
                row["input_tokens"].as_u64().unwrap(),
            )
        })
        .collect();
    rows.sort();
    server.stop();
    rows
}

/// A name, the spans, and the rows of `usage`: model, calls, input.
type Case = (&'static str, Vec<Json>, Vec<(String, u64, u64)>);

#[test]
fn nested_calls_count_once_or_each_in_any_order_of_arrival() {
    let agent = |number, parent, input: u64| call(number, parent, "invoke_agent", "m", input);
    let tool = |number, parent| {
        span(
            number,
            parent,
            &[("gen_ai.operation.name", json!("execute_tool"))],
        )
    };
    let m = |calls, input| vec![("m".to_owned(), calls, input)];
    let two = |a: (u64, u64), b: (u64, u64)| vec![("m".to_owned(), a.0, a.1), ("n".to_owned(), b.0, b.1)];
    let cases: Vec<Case> = vec![
        (
            "one call, the inner",
            vec![call(1, 0, "chat", "m", 12), call(2, 1, "chat", "m", 10)],
            m(1, 10),
        ),
        (
            "the inner reports nothing",
            vec![call(1, 0, "chat", "m", 12), call(2, 1, "chat", "m", 0)],
            m(1, 12),
        ),
        (
            "both report nothing",
            vec![call(1, 0, "chat", "m", 0), call(2, 1, "chat", "m", 0)],
            m(1, 0),
        ),
        (
            "a span that reports nothing is between",
            vec![
                call(1, 0, "chat", "m", 12),
                span(2, 1, &[]),
                call(3, 2, "chat", "m", 10),
            ],
            m(1, 10),
        ),
        (
            "a tool is between",
            vec![
                call(1, 0, "chat", "m", 12),
                tool(2, 1),
                call(3, 2, "chat", "m", 10),
            ],
            m(2, 22),
        ),
        (
            "another model",
            vec![call(1, 0, "chat", "m", 12), call(2, 1, "chat", "n", 10)],
            two((1, 12), (1, 10)),
        ),
        (
            "a repeated total",
            vec![
                call(1, 0, "chat", "m", 30),
                call(2, 1, "chat", "n", 10),
                call(3, 1, "chat", "n", 20),
            ],
            vec![("n".to_owned(), 2, 30)],
        ),
        (
            "an agent above calls",
            vec![
                agent(1, 0, 99),
                call(2, 1, "chat", "m", 10),
                call(3, 1, "chat", "m", 20),
            ],
            m(2, 30),
        ),
        ("an agent alone", vec![agent(1, 0, 99)], m(1, 99)),
        (
            "siblings",
            vec![call(1, 0, "chat", "m", 10), call(2, 0, "chat", "m", 10)],
            m(2, 20),
        ),
    ];
    for (case, spans, expected) in cases {
        assert_eq!(counted(&spans, false), expected, "{case}");
        let mut inner_first = spans.clone();
        inner_first.reverse();
        assert_eq!(
            counted(&inner_first, true),
            expected,
            "{case}, one by one, the inner first"
        );
    }
}
