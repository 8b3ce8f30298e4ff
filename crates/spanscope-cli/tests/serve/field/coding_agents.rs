//! Coding agents, which tell what they did in log events alone.

use serde_json::{Value as Json, json};

use super::super::support::{Folder, Serve};
use super::{asked, remark, send};

/// The row of a model: calls, errors, input, output.
fn usage(folder: &Folder, by: &str, name: &str) -> Json {
    let rows = asked(folder, &["usage", "--by", by]);
    let found = rows.as_array().unwrap().iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {rows}")).clone()
}

fn counts(row: &Json) -> [u64; 4] {
    ["calls", "errors", "input_tokens", "output_tokens"].map(|field| row[field].as_u64().unwrap())
}

#[test]
fn what_claude_code_logs_is_counted_and_a_run_of_its_session() {
    let folder = Folder::new();
    let server = folder.serve();
    let of = "12-coding-agents-logs/claude-code.json";
    assert_eq!(remark(&send(&server, "/v1/logs", of)), "");
    let row = usage(&folder, "model", "claude-cc");
    assert_eq!(counts(&row), [2, 1, 18_903, 250]);
    assert_eq!(
        (row["cost"].as_f64(), &row["currency"]),
        (Some(0.0132), &json!("USD"))
    );
    assert_eq!(row["provider"], "anthropic");
    assert_eq!(
        counts(&usage(&folder, "agent", "claude-code")),
        [2, 1, 18_903, 250]
    );
    let cached = asked(
        &folder,
        &[
            "sql",
            "SELECT metric, value FROM metrics WHERE metric LIKE 'cache_%' ORDER BY metric",
        ],
    );
    assert_eq!(
        (&cached[0]["value"], &cached[1]["value"]),
        (&json!(18_000), &json!(900)),
        "{cached}"
    );
    let runs = asked(&folder, &["runs", "--session", "cc-sess-1"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(
        (&runs[0]["task_id"], &runs[0]["agent_id"]),
        (&json!("cc-sess-1"), &json!("claude-code"))
    );
    let run = asked(&folder, &["run", "cc-sess-1"]);
    assert_eq!(
        (
            &run["summary"]["total_llm_calls"],
            &run["summary"]["total_tool_calls"],
            &run["summary"]["errors_count"]
        ),
        (&json!(2), &json!(1), &json!(2)),
        "{run}"
    );
    let tool = run["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event_type"] == "tool_call_completed");
    let tool = tool.unwrap();
    assert_eq!(
        (
            &tool["component"]["name"],
            &tool["error"]["message"],
            &tool["timing"]["elapsed_seconds"]
        ),
        (&json!("Bash"), &json!("exit 1"), &json!(0.08))
    );
    // The lines are all there, each in its session.
    let logs = asked(&folder, &["logs"]);
    assert_eq!(logs.as_array().unwrap().len(), 4, "{logs}");
    let traces: Vec<&Json> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|log| &log["trace_id"])
        .collect();
    assert!(
        traces
            .iter()
            .all(|trace| trace.is_string() && *trace == traces[0]),
        "{logs}"
    );
    server.stop();
}

fn attribute(key: &str, value: &Json) -> Json {
    let value = match value {
        Json::Number(number) if number.is_u64() => json!({"intValue": number}),
        Json::Number(number) => json!({"doubleValue": number}),
        Json::Bool(value) => json!({"boolValue": value}),
        text => json!({"stringValue": text}),
    };
    json!({"key": key, "value": value})
}

/// Log records of a service, a second apart, with these attributes.
fn logs(service: &str, records: &[Json]) -> Json {
    let begin = spanscope_model::Timestamp::now().as_nanos() - 60_000_000_000;
    let records: Vec<Json> = (0..)
        .zip(records)
        .map(|(number, record)| {
            let attributes = record.as_object().unwrap().iter();
            let attributes: Vec<Json> = attributes.map(|(key, value)| attribute(key, value)).collect();
            json!({"timeUnixNano": (begin + number * 1_000_000_000_i64).to_string(), "attributes": attributes})
        })
        .collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": [attribute("service.name", &json!(service))]},
        "scopeLogs": [{"scope": {"name": service}, "logRecords": records}],
    }]})
}

fn sent(server: &Serve, body: &Json) {
    assert_eq!(remark(&server.post("/v1/logs", body)), "");
}

/// A response that was streamed is told by its last event, a failed request by itself.
#[test]
fn what_codex_logs_is_counted_once_a_response() {
    let folder = Folder::new();
    let server = folder.serve();
    let of = |name: &str, more: Json| {
        let mut record = json!({"event.name": name, "conversation.id": "cx-1", "model": "gpt-cx", "user.account_id": "u-2"});
        for (key, value) in more.as_object().unwrap() {
            record[key] = value.clone();
        }
        record
    };
    let body = logs(
        "codex_cli_rs",
        &[
            of("codex.conversation_starts", json!({"provider_name": "OpenAI"})),
            of("codex.user_prompt", json!({"prompt_length": "12"})),
            of(
                "codex.api_request",
                json!({"duration_ms": "900", "http.response.status_code": 200, "attempt": 1}),
            ),
            of(
                "codex.sse_event",
                json!({"event.kind": "response.created", "duration_ms": 3}),
            ),
            of(
                "codex.sse_event",
                json!({"event.kind": "response.completed", "input_token_count": 5_000, "output_token_count": 70,
                "cached_token_count": 4_000, "reasoning_token_count": 30, "tool_token_count": 5_070}),
            ),
            of(
                "codex.tool_decision",
                json!({"tool_name": "shell", "call_id": "c-1", "decision": "approved"}),
            ),
            of(
                "codex.tool_result",
                json!({"tool_name": "shell", "call_id": "c-1", "success": "true", "duration_ms": "50",
                "arguments": "{\"command\":[\"ls\"]}", "output": "README.md"}),
            ),
            of(
                "codex.api_request",
                json!({"duration_ms": "10", "http.response.status_code": 429, "error.message": "slow down"}),
            ),
        ],
    );
    sent(&server, &body);
    // The same events again, in another batch.
    let mut again = body.clone();
    let records = again["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        .as_array_mut()
        .unwrap();
    records.pop();
    sent(&server, &again);
    let row = usage(&folder, "model", "gpt-cx");
    assert_eq!(counts(&row), [2, 1, 5_000, 70]);
    assert_eq!(row["cost"], Json::Null, "it tells none");
    let run = asked(&folder, &["run", "cx-1", "--level", "debug"]);
    assert_eq!(run["summary"]["total_tool_calls"], 1);
    let tool = run["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event_type"] == "tool_call_completed");
    assert_eq!(tool.unwrap()["outputs"], json!({"result": "README.md"}));
    assert_eq!(
        asked(&folder, &["runs", "--user", "u-2"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.stop();
}

#[test]
fn what_the_gemini_cli_logs_is_counted_with_its_thoughts() {
    let folder = Folder::new();
    let server = folder.serve();
    let body = logs(
        "gemini-cli",
        &[
            json!({"event.name": "gemini_cli.api_request", "session.id": "g-1", "model": "gemini-g", "prompt_id": "p"}),
            json!({"event.name": "gemini_cli.api_response", "session.id": "g-1", "model": "gemini-g", "status_code": 200,
                "duration_ms": 1_200, "input_token_count": 12_000, "output_token_count": 350, "cached_content_token_count": 8_000,
                "thoughts_token_count": 420, "tool_token_count": 0, "total_token_count": 12_770}),
            json!({"event.name": "gemini_cli.tool_call", "session.id": "g-1", "function_name": "read_file", "success": false,
                "duration_ms": 5, "error": "no such file", "error_type": "file_not_found", "function_args": "{\"path\":\"x\"}"}),
        ],
    );
    sent(&server, &body);
    assert_eq!(counts(&usage(&folder, "model", "gemini-g")), [1, 0, 12_000, 770]);
    let failed = asked(&folder, &["spans", "--errors"]);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
    assert_eq!(
        (
            &failed[0]["name"],
            &failed[0]["attributes"]["error.type"],
            &failed[0]["attributes"]["spanscope.read_from"]
        ),
        (
            &json!("execute_tool read_file"),
            &json!("file_not_found"),
            &json!("gemini_cli.tool_call")
        )
    );
    server.stop();
}

/// Such an agent sends its spans itself, which tell the same.
#[test]
fn events_in_a_trace_are_lines_and_no_calls() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut body = logs(
        "claude-code",
        &[
            json!({"event.name": "claude_code.api_request", "session.id": "s", "model": "m", "input_tokens": 5, "output_tokens": 1}),
        ],
    );
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["traceId"] =
        "0af7651916cd43dd8448eb211c80319c".into();
    sent(&server, &body);
    assert_eq!(asked(&folder, &["logs"]).as_array().unwrap().len(), 1);
    let mut none = folder.command(&["usage"]);
    assert_eq!(none.output().unwrap().status.code(), Some(3));
    server.stop();
}
