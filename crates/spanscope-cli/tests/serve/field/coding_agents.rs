//! Coding agents, which report their work only in log events.

use serde_json::{Value as Json, json};

use super::super::support::{Folder, Serve};
use super::{command_json, remark, send};

/// Returns the row of `usage` with this name.
fn usage(folder: &Folder, by: &str, name: &str) -> Json {
    let rows = command_json(folder, &["usage", "--by", by]);
    let found = rows.as_array().unwrap().iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {rows}")).clone()
}

fn counts(row: &Json) -> [u64; 4] {
    ["calls", "errors", "input_tokens", "output_tokens"].map(|field| row[field].as_u64().unwrap())
}

#[test]
fn events_of_claude_code_are_counted_and_form_a_run_of_its_session() {
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
    let cached = command_json(
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
    let runs = command_json(&folder, &["runs", "--session", "cc-sess-1"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(
        (&runs[0]["task_id"], &runs[0]["agent_id"]),
        (&json!("cc-sess-1"), &json!("claude-code"))
    );
    let run = command_json(&folder, &["run", "cc-sess-1"]);
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
    // All lines are stored, in the trace of their session.
    let logs = command_json(&folder, &["logs"]);
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

/// The last event of a streamed response reports it; a failed request reports itself.
#[test]
fn events_of_codex_are_counted_once_per_response() {
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
    assert_eq!(row["cost"], Json::Null, "it reports none");
    let run = command_json(&folder, &["run", "cx-1", "--level", "debug"]);
    assert_eq!(run["summary"]["total_tool_calls"], 1);
    let tool = run["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event_type"] == "tool_call_completed");
    assert_eq!(tool.unwrap()["outputs"], json!({"result": "README.md"}));
    assert_eq!(
        command_json(&folder, &["runs", "--user", "u-2"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.stop();
}

#[test]
fn events_of_the_gemini_cli_are_counted_including_thoughts() {
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
    let failed = command_json(&folder, &["spans", "--errors"]);
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

/// Such an agent sends its spans itself, which report the same.
#[test]
fn events_inside_a_trace_are_log_lines_and_not_calls() {
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
    assert_eq!(command_json(&folder, &["logs"]).as_array().unwrap().len(), 1);
    let mut none = folder.command(&["usage"]);
    assert_eq!(none.output().unwrap().status.code(), Some(3));
    server.stop();
}

/// The plugin that most people use names its scope, the other one its events; both count as Claude
/// Code does.
#[test]
fn events_of_the_plugins_of_opencode_are_counted() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut of_scope = logs(
        "opencode",
        &[
            json!({"event.name": "session.created", "session.id": "oc-1"}),
            json!({"event.name": "api_request", "session.id": "oc-1", "model": "oc-sonnet", "provider": "anthropic",
                "input_tokens": 12, "output_tokens": 80, "cache_read_tokens": 5_000, "cache_creation_tokens": 300,
                "reasoning_tokens": 20, "cost_usd": 0.02, "duration_ms": 2_000, "enduser.id": "ada"}),
            json!({"event.name": "tool_result", "session.id": "oc-1", "tool_name": "bash", "success": false,
                "error": "exit 1", "duration_ms": 30}),
            json!({"event.name": "api_error", "session.id": "oc-1", "model": "oc-sonnet", "provider": "anthropic",
                "error": "overloaded", "duration_ms": 10}),
            json!({"event.name": "session.idle", "session.id": "oc-1"}),
        ],
    );
    of_scope["resourceLogs"][0]["scopeLogs"][0]["scope"]["name"] = "com.opencode".into();
    sent(&server, &of_scope);
    let of_event = logs(
        "opencode",
        &[
            json!({"event.name": "opencode.api_request", "session.id": "oc-2", "model": "oc-mini", "input_tokens": 7,
            "output_tokens": 3, "cache_read_tokens": 4, "cost_usd": 0.001}),
        ],
    );
    sent(&server, &of_event);
    let row = usage(&folder, "model", "oc-sonnet");
    assert_eq!(counts(&row), [2, 1, 5_312, 80]);
    assert_eq!(
        (&row["cost"], &row["provider"]),
        (&json!(0.02), &json!("anthropic"))
    );
    assert_eq!(counts(&usage(&folder, "model", "oc-mini")), [1, 0, 11, 3]);
    let runs = command_json(&folder, &["runs", "--user", "ada"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    let run = command_json(&folder, &["run", "oc-1"]);
    assert_eq!(
        (
            &run["summary"]["total_tool_calls"],
            &run["summary"]["errors_count"]
        ),
        (&json!(1), &json!(2)),
        "{run}"
    );
    server.stop();
}

/// Qwen Code counts reasoning as output, as its total shows, and a cancelled tool is not an error.
#[test]
fn events_of_qwen_code_are_counted_by_their_totals() {
    let folder = Folder::new();
    let server = folder.serve();
    let body = logs(
        "qwen-code",
        &[
            json!({"event.name": "qwen-code.api_response", "sessionId": "q-1", "model": "qwen-q", "response_id": "r-1",
                "duration_ms": 900, "input_token_count": 1_000, "output_token_count": 90,
                "cached_content_token_count": 600, "thoughts_token_count": 40, "total_token_count": 1_090}),
            json!({"event.name": "qwen-code.tool_call", "sessionId": "q-1", "function_name": "edit", "status": "cancelled",
                "success": false, "duration_ms": 4}),
            json!({"event.name": "qwen-code.api_cancel", "sessionId": "q-1", "model": "qwen-q"}),
        ],
    );
    sent(&server, &body);
    assert_eq!(counts(&usage(&folder, "model", "qwen-q")), [1, 0, 1_000, 90]);
    let mut failed = folder.command(&["spans", "--errors"]);
    assert_eq!(
        failed.output().unwrap().status.code(),
        Some(3),
        "nothing has failed"
    );
    server.stop();
}

/// A session's steps have no span above them, which is not a gap, and its run is over when its
/// agent reports that.
#[test]
fn a_session_ends_with_its_last_event_and_none_of_its_spans_is_missing() {
    let folder = Folder::new();
    let server = folder.serve();
    let step = json!({"event.name": "gemini_cli.api_response", "session.id": "g-2", "model": "gemini-s",
        "input_token_count": 10, "output_token_count": 2, "total_token_count": 12});
    let end = json!({"event.name": "gemini_cli.conversation_finished", "session.id": "g-2", "turnCount": 1});
    let now = |mut body: Json| {
        let now = spanscope_model::Timestamp::now().as_nanos().to_string();
        let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut();
        for record in records.unwrap() {
            record["timeUnixNano"] = now.clone().into();
        }
        body
    };
    let status = || {
        let runs = command_json(&folder, &["runs", "--session", "g-2"]);
        runs[0]["status"].as_str().unwrap().to_owned()
    };
    let listed = |status: &str| {
        let answer = server.get(&format!("/traces?session_id=g-2&status={status}"));
        super::super::support::json_of(&answer)["total"].clone()
    };
    sent(&server, &now(logs("gemini-cli", std::slice::from_ref(&step))));
    assert_eq!(
        (status(), listed("running"), listed("completed")),
        ("running".into(), json!(1), json!(0))
    );
    sent(&server, &now(logs("gemini-cli", std::slice::from_ref(&end))));
    assert_eq!(
        (status(), listed("running"), listed("completed")),
        ("completed".into(), json!(0), json!(1))
    );
    let tree = folder.command(&["tree", "last"]).output().unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(
        tree.contains("chat gemini-s") && !tree.contains("not stored"),
        "{tree}"
    );
    let run = command_json(&folder, &["run", "g-2", "--level", "debug"]);
    let events = run["events"].as_array().unwrap();
    assert!(
        events
            .iter()
            .all(|event| event["metadata"]["pending"] != json!(true)),
        "{run}"
    );
    // The user continues.
    sent(&server, &now(logs("gemini-cli", &[step])));
    assert_eq!(status(), "running");
    server.stop();
}

/// The Gemini CLI also sends a span for each call, which names no model and no counts unless its
/// user enables that. In a stream the event is logged outside that span.
#[test]
fn events_of_the_gemini_cli_inside_a_trace_are_counted_once() {
    use super::super::support::{span, traces};
    const TRACE: &str = "9e0f7651916cd43dd8448eb211c80319";
    let folder = Folder::new();
    let server = folder.serve();
    let of_span = |id: &str, parent: Option<&str>, attributes: Json| {
        let mut span = span(TRACE, id, "llm_call");
        if let Some(parent) = parent {
            span["parentSpanId"] = parent.into();
        }
        let attributes = attributes.as_object().unwrap().iter();
        span["attributes"] = attributes.map(|(key, value)| attribute(key, value)).collect();
        span
    };
    let agent = json!({"gen_ai.operation.name": "agent_call", "gen_ai.agent.name": "gemini-cli", "gen_ai.conversation.id": "g-3"});
    let call = json!({"gen_ai.operation.name": "llm_call", "gen_ai.agent.name": "gemini-cli", "gen_ai.conversation.id": "g-3"});
    let mut whole = call.clone();
    whole["gen_ai.request.model"] = "gemini-t".into();
    whole["gen_ai.usage.input_tokens"] = 100.into();
    whole["gen_ai.usage.output_tokens"] = 10.into();
    let spans = [
        of_span("00000000000000a1", None, agent),
        of_span("00000000000000a2", Some("00000000000000a1"), call),
        of_span("00000000000000a3", Some("00000000000000a1"), whole),
    ];
    assert_eq!(remark(&server.post("/v1/traces", &traces(&spans))), "");
    let response = json!({"event.name": "gemini_cli.api_response", "session.id": "g-3", "model": "gemini-t",
        "input_token_count": 100, "output_token_count": 10, "thoughts_token_count": 5, "total_token_count": 115});
    let mut second = response.clone();
    second["prompt_id"] = "2".into();
    let mut body = logs("gemini-cli", &[response, second]);
    let records = &mut body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    for (place, parent) in [(0, "00000000000000a2"), (1, "00000000000000a1")] {
        records[place]["traceId"] = TRACE.into();
        records[place]["spanId"] = parent.into();
    }
    sent(&server, &body);
    assert_eq!(counts(&usage(&folder, "model", "gemini-t")), [2, 0, 200, 30]);
    let rows = command_json(&folder, &["usage"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    let runs = command_json(&folder, &["runs", "--session", "g-3"]);
    assert_eq!(
        (runs.as_array().unwrap().len(), &runs[0]["status"]),
        (1, &json!("completed"))
    );
    server.stop();
}

/// Codex's own spans are those of its functions. One of them also has the usage of a response,
/// without a model.
#[test]
fn events_of_codex_inside_a_trace_are_counted_once() {
    use super::super::support::{span, traces};
    const TRACE: &str = "9e0f7651916cd43dd8448eb211c80320";
    let folder = Folder::new();
    let server = folder.serve();
    let turn = span(TRACE, "00000000000000b1", "session_task.turn");
    let mut response = span(TRACE, "00000000000000b2", "completed");
    response["parentSpanId"] = "00000000000000b1".into();
    response["attributes"] = [
        ("gen_ai.usage.input_tokens", 500),
        ("gen_ai.usage.output_tokens", 60),
        ("codex.usage.total_tokens", 560),
    ]
    .iter()
    .map(|(key, value)| attribute(key, &json!(value)))
    .collect();
    assert_eq!(remark(&server.post("/v1/traces", &traces(&[turn, response]))), "");
    let mut body = logs(
        "codex_cli_rs",
        &[
            json!({"event.name": "codex.sse_event", "event.kind": "response.completed", "conversation.id": "cx-t",
                "model": "gpt-ct", "input_token_count": "500", "output_token_count": "60", "cached_token_count": "0"}),
            json!({"event.name": "codex.tool_result", "conversation.id": "cx-t", "tool_name": "shell", "call_id": "c",
                "success": "true", "duration_ms": "5", "output": "ok"}),
        ],
    );
    let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut();
    for record in records.unwrap() {
        record["traceId"] = TRACE.into();
        record["spanId"] = "00000000000000b1".into();
    }
    sent(&server, &body);
    assert_eq!(counts(&usage(&folder, "model", "gpt-ct")), [1, 0, 500, 60]);
    assert_eq!(command_json(&folder, &["usage"]).as_array().unwrap().len(), 1);
    let tools = command_json(&folder, &["stats", "--by", "name"]);
    assert!(
        tools
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["name"] == "execute_tool shell"),
        "{tools}"
    );
    server.stop();
}
