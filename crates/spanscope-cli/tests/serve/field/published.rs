//! The output of published instrumentations against a model server, reduced to the relevant
//! attributes.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

use super::super::support::{Folder, Serve, json_of, span, traces};
use super::command_json;

const TRACE: &str = "5e0de500000000000000000000000001";
const ROOT: &str = "5e0de50000000001";
const CHILD: &str = "5e0de50000000002";
const OTHER: &str = "5e0de50000000003";

/// A span with these attributes, texts and whole numbers.
fn spanned(id: &str, parent: Option<&str>, name: &str, attributes: &Json) -> Json {
    let mut span = span(TRACE, id, name);
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    let attributes = attributes.as_object().unwrap().iter().map(|(key, value)| {
        let value = match value {
            Json::Number(number) => json!({"intValue": number.to_string()}),
            other => json!({"stringValue": other}),
        };
        json!({"key": key, "value": value})
    });
    span["attributes"] = attributes.collect();
    span
}

fn sent(server: &Serve, spans: &[Json]) {
    let answer = server.post("/v1/traces", &traces(spans));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Each row of `usage`: model, calls, errors, input, output.
fn usage(folder: &Folder) -> Vec<Json> {
    let rows = command_json(folder, &["usage"]);
    let mut rows: Vec<Json> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["name"],
                row["calls"],
                row["errors"],
                row["input_tokens"],
                row["output_tokens"]
            ])
        })
        .collect();
    rows.sort_by_key(Json::to_string);
    rows
}

/// The events of the only run, of one type.
fn events(server: &Serve, event_type: &str) -> Vec<Json> {
    let answer = server.get(&format!(
        "/traces/{TRACE}/events?level=debug&event_types={event_type}"
    ));
    json_of(&answer)["events"].as_array().unwrap().clone()
}

/// OpenInference for JavaScript reports no usage of embeddings, and OpenInference for Python names
/// the model of a failed call only in its parameters.
#[test]
fn calls_are_counted_where_openinference_reports_no_usage_or_no_model() {
    let folder = Folder::new();
    let server = folder.serve();
    let embeddings = json!({"openinference.span.kind": "EMBEDDING", "embedding.model_name": "embedder"});
    let mut failed = spanned(
        CHILD,
        None,
        "ChatCompletion",
        &json!({"openinference.span.kind": "LLM", "llm.invocation_parameters": "{\"model\": \"missing\", \"n\": 1}"}),
    );
    failed["status"] = json!({"code": 2});
    sent(&server, &[spanned(ROOT, None, "Embeddings", &embeddings), failed]);
    assert_eq!(
        usage(&folder),
        [json!(["embedder", 1, 0, 0, 0]), json!(["missing", 1, 1, 0, 0])]
    );
    server.stop();
}

/// MLflow writes each value as JSON, also the settings of a call, which alone name the model of a
/// failed call.
#[test]
fn models_that_mlflow_writes_in_quotes_are_counted_by_their_names() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut failed = spanned(
        CHILD,
        Some(ROOT),
        "Completions",
        &json!({"mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.message.format": "\"openai\"", "model": "\"missing\"",
            "mlflow.spanInputs": "{\"model\": \"missing\", \"messages\": []}"}),
    );
    failed["status"] = json!({"code": 2});
    let answered = json!({"mlflow.spanType": "\"CHAT_MODEL\"", "mlflow.llm.model": "\"claude-m\"",
        "mlflow.llm.provider": "\"anthropic\"", "mlflow.chat.tokenUsage":
            "{\"input_tokens\": 206, \"output_tokens\": 20, \"total_tokens\": 226, \"cache_read_input_tokens\": 64}"});
    sent(
        &server,
        &[
            spanned(ROOT, None, "agent", &json!({"mlflow.spanType": "\"AGENT\""})),
            failed,
            spanned(OTHER, Some(ROOT), "Messages.create", &answered),
        ],
    );
    assert_eq!(
        usage(&folder),
        [json!(["claude-m", 1, 0, 206, 20]), json!(["missing", 1, 1, 0, 0])]
    );
    server.stop();
}

/// Logfire ends the span of a streamed call when the caller gets the stream. It reports the usage
/// at the end of the stream, in a sibling span without duration.
#[test]
fn a_stream_of_logfire_that_two_spans_describe_counts_once() {
    const TURN: &str = "5e0de5000000000a";
    let nanos = Timestamp::now().as_nanos() - 60_000_000_000;
    let call = |number: u64, parent: Option<&str>, at: i64, length: i64, attributes: &Json| {
        let mut of_call = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "streamed"});
        for (key, value) in attributes.as_object().unwrap() {
            of_call[key] = value.clone();
        }
        let mut span = spanned(&format!("{number:016x}"), parent, "Chat Completion", &of_call);
        if parent.is_none() {
            span["traceId"] = format!("5e0de5{number:026x}").into();
        }
        let (start, end) = (nanos + at, nanos + at + length);
        (span["startTimeUnixNano"], span["endTimeUnixNano"]) =
            (start.to_string().into(), end.to_string().into());
        span
    };
    let ended = |number: u64, parent: Option<&str>, at: i64, seconds: f64, input: u64| {
        let usage = json!({"logfire.span_type": "log", "gen_ai.response.id": format!("r-{number}"),
            "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": 10});
        let mut span = call(number, parent, at, 0, &usage);
        let length = json!({"key": "duration", "value": {"doubleValue": seconds}});
        span["attributes"].as_array_mut().unwrap().push(length);
        span
    };
    let (second, kind) = (1_000_000_000, json!({"logfire.span_type": "span"}));
    for parent in [Some(TURN), None] {
        let opened = |number, at| call(number, parent, at, second / 10, &kind);
        let spans = [
            opened(1, 0),
            // Its stream was never read to its end.
            opened(2, 5 * second),
            opened(3, 10 * second),
            ended(4, parent, 14 * second, 3.9, 100),
            ended(5, parent, 3 * second, 2.88, 1_000),
        ];
        let turn = parent.map(|id| spanned(id, None, "turn", &json!({})));
        for backwards in [false, true] {
            for one_by_one in [false, true] {
                let folder = Folder::new();
                let server = folder.serve();
                let mut spans: Vec<Json> = spans.iter().cloned().chain(turn.clone()).collect();
                if backwards {
                    spans.reverse();
                }
                let size = if one_by_one { 1 } else { spans.len() };
                spans.chunks(size).for_each(|spans| sent(&server, spans));
                assert_eq!(
                    usage(&folder),
                    [json!(["streamed", 3, 0, 1_100, 20])],
                    "{parent:?} {backwards} {one_by_one}"
                );
                if parent.is_some() {
                    let summary = json_of(&server.get(&format!("/traces/{TRACE}/summary")));
                    assert_eq!(summary["total_llm_calls"], 3, "{summary}");
                }
                server.stop();
            }
        }
    }
}

#[test]
fn the_embeddings_of_the_vercel_ai_sdk_are_counted_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let of = |operation: &str| {
        json!({"ai.operationId": operation, "ai.model.id": "embedder", "ai.model.provider": "openai.embedding",
            "ai.usage.tokens": 21})
    };
    sent(
        &server,
        &[
            spanned(ROOT, None, "ai.embed", &of("ai.embed")),
            spanned(CHILD, Some(ROOT), "ai.embed.doEmbed", &of("ai.embed.doEmbed")),
        ],
    );
    assert_eq!(usage(&folder), [json!(["embedder", 1, 0, 21, 0])]);
    server.stop();
}

/// LangSmith writes the operation of embeddings on retrievers, and its session in the metadata.
#[test]
fn a_retriever_of_langsmith_is_not_a_call_and_its_sessions_and_cached_tokens_are_read() {
    let folder = Folder::new();
    let server = folder.serve();
    let retriever = json!({"langsmith.span.kind": "retriever", "gen_ai.operation.name": "embeddings",
        "gen_ai.system": "langchain", "gen_ai.prompt": "{\"q\":\"q\"}"});
    let answer = json!({"generations": [[{"text": "Oslo.", "type": "ChatGeneration",
        "message": {"lc": 1, "kwargs": {"content": "Oslo."}}}]]});
    let tool = json!({"langsmith.span.kind": "tool", "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather", "gen_ai.prompt": "{\"city\":\"Oslo\"}", "gen_ai.completion": "{\"output\":\"rain\"}"});
    let usage_object =
        json!({"input_tokens": 101, "output_tokens": 11, "input_token_details": {"cache_read": 64}});
    let chat = json!({"langsmith.span.kind": "llm", "gen_ai.operation.name": "chat", "gen_ai.request.model": "small",
        "langsmith.metadata.session_id": "sess-ls", "gen_ai.usage.input_tokens": 101,
        "gen_ai.usage.output_tokens": 11, "langsmith.metadata.usage_metadata": usage_object.to_string(),
        "gen_ai.completion": answer.to_string()});
    sent(
        &server,
        &[
            spanned(ROOT, None, "ChatOpenAI", &chat),
            spanned(CHILD, Some(ROOT), "find", &retriever),
            spanned(OTHER, Some(ROOT), "weather", &tool),
        ],
    );
    assert_eq!(usage(&folder), [json!(["small", 1, 0, 101, 11])]);
    let read = command_json(
        &folder,
        &[
            "sql",
            "SELECT value FROM metrics WHERE metric LIKE '%cache_read%'",
        ],
    );
    assert_eq!(read[0]["value"], 64, "{read}");
    assert_eq!(
        command_json(&folder, &["runs", "--session", "sess-ls"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let messages = events(&server, "message_generated");
    assert_eq!(messages[0]["outputs"]["content"], "Oslo.", "{messages:?}");
    let tools = events(&server, "tool_call_started");
    assert_eq!(
        tools[0]["inputs"]["arguments"],
        json!({"city": "Oslo"}),
        "{tools:?}"
    );
    server.stop();
}

/// OpenInference spreads the parts of messages and the calls of tools over attributes.
#[test]
fn messages_whose_parts_are_spread_over_attributes_are_texts_and_calls() {
    let folder = Folder::new();
    let server = folder.serve();
    let message = "llm.output_messages.0.message";
    let chat = json!({
        "openinference.span.kind": "LLM", "llm.model_name": "small", "output.value": "{\"id\": \"resp_1\"}",
        format!("{message}.role"): "assistant",
        format!("{message}.contents.0.message_content.type"): "output_text",
        format!("{message}.contents.0.message_content.text"): "The answer.",
    });
    let asking = json!({
        "openinference.span.kind": "LLM", "llm.model_name": "large",
        format!("{message}.role"): "assistant",
        format!("{message}.tool_calls.0.tool_call.id"): "call_3",
        format!("{message}.tool_calls.0.tool_call.function.name"): "weather",
        format!("{message}.tool_calls.0.tool_call.function.arguments"): "{\"city\": \"Oslo\"}",
    });
    sent(
        &server,
        &[
            spanned(ROOT, None, "Response", &chat),
            spanned(CHILD, Some(ROOT), "Chat", &asking),
        ],
    );
    let messages = events(&server, "message_generated");
    assert_eq!(messages[0]["outputs"]["content"], "The answer.", "{messages:?}");
    let calls = events(&server, "llm_call_completed");
    let asked = calls
        .iter()
        .find(|call| call["component_name"] == "large")
        .unwrap();
    assert_eq!(
        asked["outputs"]["messages"],
        json!([{"role": "assistant", "tool_calls": [
            {"id": "call_3", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}]}]),
    );
    server.stop();
}

#[test]
fn a_response_that_only_requests_a_tool_is_not_a_message_to_the_user() {
    let folder = Folder::new();
    let server = folder.serve();
    let chat = json!({"openinference.span.kind": "LLM", "llm.model_name": "large", "llm.finish_reason": "tool_calls",
        "output.value": "{\"choices\":[]}"});
    sent(&server, &[spanned(ROOT, None, "ChatCompletion", &chat)]);
    assert_eq!(events(&server, "message_generated"), Vec::<Json>::new());
    server.stop();
}

/// The Anthropic SDK writes a span below that of Pydantic AI, for the same call.
#[test]
fn a_run_counts_nested_spans_of_one_call_once_and_both_calls_if_a_tool_is_between() {
    let folder = Folder::new();
    let server = folder.serve();
    let chat = |input: u64| {
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "opus",
            "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": 10})
    };
    let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask"});
    sent(
        &server,
        &[
            spanned(ROOT, None, "chat opus", &chat(200)),
            spanned(CHILD, Some(ROOT), "anthropic.messages.create", &chat(200)),
            spanned(OTHER, Some(CHILD), "ask", &tool),
            spanned("5e0de50000000004", Some(OTHER), "chat opus", &chat(50)),
        ],
    );
    let summary = json_of(&server.get(&format!("/traces/{TRACE}/summary")));
    assert_eq!(summary["total_llm_calls"], 2, "{summary}");
    assert_eq!(summary["prompt_tokens"], 250, "{summary}");
    assert_eq!(usage(&folder), [json!(["opus", 2, 0, 250, 20])]);
    server.stop();
}

/// SDKs also send the duration of calls as a histogram; the spans report each call.
#[test]
fn a_failed_call_is_counted_once_if_its_duration_is_sent_too() {
    let folder = Folder::new();
    let server = folder.serve();
    let chat = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "missing", "gen_ai.system": "openai",
        "error.type": "NotFoundError"});
    let mut failed = spanned(ROOT, None, "chat missing", &chat);
    failed["status"] = json!({"code": 2});
    sent(&server, &[failed]);
    let now = Timestamp::now().as_nanos().to_string();
    let labels = [
        ("error.type", "NotFoundError"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "missing"),
    ];
    let labels: Vec<Json> = labels
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    let point = json!({"startTimeUnixNano": now, "timeUnixNano": now, "count": "1", "sum": 0.25,
        "bucketCounts": ["1"], "explicitBounds": [], "attributes": labels});
    let metric = json!({"name": "gen_ai.client.operation.duration", "unit": "s",
        "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}});
    let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]});
    assert_eq!(server.post("/v1/metrics", &body).status, 200);
    assert_eq!(usage(&folder), [json!(["missing", 1, 1, 0, 0])]);
    server.stop();
}
