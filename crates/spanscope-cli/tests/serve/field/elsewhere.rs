//! One more case of each kind of miscount, from the issues and the tests of other receivers and of
//! instrumentations. Each is a whole trace with its own model, so all are sent to one server.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use spanscope_model::{TraceStore as _, UsageBy, UsageQuery, block_on};

use super::super::support::{Folder, Serve, span as bare_span};
use super::{command_json, remark};

/// A span: its number, that of its parent (0 means none), its name and its attributes.
pub(super) type Described = (u64, u64, &'static str, Json);

/// A trace, and the expected result of `usage`.
struct Case {
    /// The origin of the case.
    source: &'static str,
    spans: Vec<Described>,
    /// Model, calls, errors, input, output, read from a cache, written to one.
    usage: Vec<(&'static str, [u64; 6])>,
}

fn any_value(value: &Json) -> Json {
    match value {
        Json::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Json::Number(number) => json!({"intValue": number.to_string()}),
        Json::Bool(value) => json!({"boolValue": value}),
        Json::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Json::Object(members) => json!({"kvlistValue": {"values": attributes(members)}}),
        Json::Null => json!({}),
        Json::String(text) => json!({"stringValue": text}),
    }
}

fn attributes(members: &serde_json::Map<String, Json>) -> Vec<Json> {
    members
        .iter()
        .map(|(key, value)| json!({"key": key, "value": any_value(value)}))
        .collect()
}

/// The spans of the `number`th trace. The attributes `status` and `events` are the span's own.
pub(super) fn trace(number: usize, spans: &[Described]) -> Vec<Json> {
    let trace_id = format!("e15e{number:028x}");
    let id = |span: u64| format!("{span:016x}");
    let spans = spans.iter().map(|(span_number, parent, name, members)| {
        let mut span = bare_span(&trace_id, &id(*span_number), name);
        if *parent > 0 {
            span["parentSpanId"] = id(*parent).into();
        }
        let mut members = members.as_object().unwrap().clone();
        if let Some(status) = members.remove("status") {
            span["status"] = status;
        }
        if let Some(Json::Array(events)) = members.remove("events") {
            let events = events.iter().map(|event| {
                json!({"timeUnixNano": span["endTimeUnixNano"], "name": event["name"],
                    "attributes": attributes(event["attributes"].as_object().unwrap())})
            });
            span["events"] = events.collect();
        }
        span["attributes"] = attributes(&members).into();
        span
    });
    spans.collect()
}

fn sent(server: &Serve, spans: &[Json]) {
    let body = super::super::support::traces(spans);
    assert_eq!(remark(&server.post("/v1/traces", &body)), "", "{body}");
}

/// Each model with calls, errors, input, output, read from a cache and written to one.
fn counted(folder: &Folder) -> BTreeMap<String, [u64; 6]> {
    let mut counted = BTreeMap::new();
    for row in command_json(folder, &["usage"]).as_array().unwrap() {
        let of = |key: &str| row[key].as_u64().unwrap();
        let model = row["name"].as_str().unwrap().to_owned();
        let counts: &mut [u64; 6] = counted.entry(model).or_default();
        let of_row = [of("calls"), of("errors"), of("input_tokens"), of("output_tokens")];
        for (sum, count) in counts.iter_mut().zip(of_row) {
            *sum += count;
        }
    }
    // Cache reads and writes have no column there.
    let query = UsageQuery::new(UsageBy::Model);
    for row in block_on(folder.store().usage(query)).unwrap() {
        let counts = counted.get_mut(&row.group).unwrap();
        counts[4] += row.cached_read;
        counts[5] += row.cached_write;
    }
    counted
}

/// Sends all cases, once as whole traces and once span by span in reverse order, and compares the
/// counts.
fn check(cases: &[Case]) {
    for one_by_one in [false, true] {
        let folder = Folder::new();
        let server = folder.serve();
        for (number, case) in cases.iter().enumerate() {
            let spans = trace(number, &case.spans);
            match one_by_one {
                true => spans
                    .iter()
                    .rev()
                    .for_each(|span| sent(&server, std::slice::from_ref(span))),
                false => sent(&server, &spans),
            }
        }
        let mut counted = counted(&folder);
        let mut wrong = Vec::new();
        for case in cases {
            for (model, expected) in &case.usage {
                let found = counted.remove(*model);
                if found.as_ref() != Some(expected) {
                    wrong.push(format!(
                        "{} ({model}): {found:?} in place of {expected:?}",
                        case.source
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "one by one: {one_by_one}\n{}", wrong.join("\n"));
        assert!(counted.is_empty(), "counted as well: {counted:?}");
        server.stop();
    }
}

/// Anthropic's input count excludes cache reads and writes.
#[test]
fn cached_tokens_that_the_input_excludes_are_added_in_every_convention() {
    check(&[
        Case {
            source: "Claude Code's own spans, langfuse's test of them",
            spans: vec![
                (
                    1,
                    0,
                    "claude_code.interaction",
                    json!({"span.type": "interaction", "user_prompt": "hi"}),
                ),
                (
                    2,
                    1,
                    "claude_code.llm_request",
                    json!({"span.type": "llm_request", "model": "cc-opus", "gen_ai.system": "anthropic",
                        "gen_ai.request.model": "cc-opus", "input_tokens": 2, "output_tokens": 333,
                        "cache_read_tokens": 63_002, "cache_creation_tokens": 679, "ttft_ms": 1341,
                        "success": "true", "stop_reason": "tool_use"}),
                ),
            ],
            usage: vec![("cc-opus", [1, 0, 63_683, 333, 63_002, 679])],
        },
        Case {
            source: "https://github.com/langchain-ai/langsmith-sdk/pull/2519",
            spans: vec![(
                1,
                0,
                "ChatAnthropic",
                json!({"langsmith.span.kind": "llm", "gen_ai.request.model": "ls-opus", "langsmith.usage_metadata":
                    json!({"input_tokens": 19, "output_tokens": 40, "total_tokens": 59, "input_token_details":
                        {"cache_read": 37_000, "ephemeral_5m_input_tokens": 1_500, "ephemeral_1h_input_tokens": 500}})
                    .to_string()}),
            )],
            usage: vec![("ls-opus", [1, 0, 39_019, 40, 37_000, 2_000])],
        },
        Case {
            // The total shows that the input excludes the cached part, although that is the smaller
            // one.
            source: "https://github.com/langfuse/langfuse/issues/13724",
            spans: vec![(
                1,
                0,
                "generation",
                json!({"langfuse.observation.type": "generation", "langfuse.observation.model.name": "lf-opus",
                    "langfuse.observation.usage_details":
                        json!({"input": 5_000, "output": 100, "cache_read_input_tokens": 1_000, "total": 6_100})
                            .to_string()}),
            )],
            usage: vec![("lf-opus", [1, 0, 6_000, 100, 1_000, 0])],
        },
        Case {
            source: "https://github.com/langfuse/langfuse/blob/main/packages/shared/src/server/otel: Vercel's AI SDK 7",
            spans: vec![(
                1,
                0,
                "chat v7-opus",
                json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "v7-opus",
                    "gen_ai.usage.input_tokens": 48_183, "gen_ai.usage.output_tokens": 714,
                    "gen_ai.usage.cache_read.input_tokens": 47_105, "gen_ai.usage.cache_creation.input_tokens": 1_076}),
            )],
            usage: vec![("v7-opus", [1, 0, 48_183, 714, 47_105, 1_076])],
        },
        Case {
            // Categories that do not overlap, under the names of sums: the total shows it.
            source: "https://github.com/DEVtheOPS/opencode-plugin-otel/pull/110",
            spans: vec![(
                1,
                0,
                "opencode.llm",
                json!({"openinference.span.kind": "LLM", "llm.model_name": "oc-opus",
                    "llm.token_count.prompt": 1_000, "llm.token_count.prompt_details.cache_read": 500,
                    "llm.token_count.prompt_details.cache_write": 100, "llm.token_count.completion": 200,
                    "llm.token_count.completion_details.reasoning": 50, "llm.token_count.total": 1_850}),
            )],
            usage: vec![("oc-opus", [1, 0, 1_600, 250, 500, 100])],
        },
        Case {
            // A turn that was served from the cache alone.
            source: "https://github.com/DataDog/dd-trace-py/pull/19370",
            spans: vec![(
                1,
                0,
                "claude",
                json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "dd-opus",
                    "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 7,
                    "gen_ai.usage.cache_read_input_tokens": 5_000}),
            )],
            usage: vec![("dd-opus", [1, 0, 5_000, 7, 5_000, 0])],
        },
        Case {
            // More reasoning than output: it is added to the output.
            source: "langfuse's test of names of reasoning",
            spans: vec![
                (
                    1,
                    0,
                    "chat thinks-a",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "thinks-a",
                        "gen_ai.usage.prompt_tokens": 50, "gen_ai.usage.completion_tokens": 100,
                        "gen_ai.usage.thoughts_tokens": 200}),
                ),
                (
                    2,
                    0,
                    "llm call",
                    json!({"gen_ai.operation.name": "chat", "llm.model_name": "thinks-b",
                        "llm.token_count.prompt": 80, "llm.token_count.completion": 30,
                        "llm.token_count.reasoning_tokens": 120}),
                ),
            ],
            usage: vec![
                ("thinks-a", [1, 0, 50, 300, 0, 0]),
                ("thinks-b", [1, 0, 80, 150, 0, 0]),
            ],
        },
    ]);
}

#[test]
fn a_call_that_spans_of_other_frameworks_describe_twice_counts_once() {
    check(&[
        Case {
            source: "https://github.com/strands-agents/harness-sdk/issues/3602",
            spans: vec![
                (
                    1,
                    0,
                    "invoke_agent Strands Agents",
                    json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "st-m",
                        "gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 30}),
                ),
                (2, 1, "execute_event_loop_cycle", json!({})),
                (
                    3,
                    2,
                    "chat",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "st-m",
                        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}),
                ),
                (
                    4,
                    2,
                    "execute_tool add",
                    json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add"}),
                ),
                (5, 1, "execute_event_loop_cycle", json!({})),
                (
                    6,
                    5,
                    "chat",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "st-m",
                        "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 20}),
                ),
            ],
            usage: vec![("st-m", [2, 0, 300, 30, 0, 0])],
        },
        Case {
            source: "https://github.com/traceroot-ai/traceroot/issues/1610",
            spans: vec![
                (
                    1,
                    0,
                    "committee.chair",
                    json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "v7-haiku",
                        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 16}),
                ),
                (2, 1, "step 1", json!({})),
                (
                    3,
                    2,
                    "chat v7-haiku",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "v7-haiku",
                        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 16}),
                ),
            ],
            usage: vec![("v7-haiku", [1, 0, 10, 16, 0, 0])],
        },
        Case {
            source: "https://github.com/Arize-ai/phoenix/pull/12775",
            spans: vec![
                (
                    1,
                    0,
                    "CodeAgent.run",
                    json!({"openinference.span.kind": "AGENT", "llm.token_count.prompt": 30,
                        "llm.token_count.completion": 3}),
                ),
                (
                    2,
                    1,
                    "Step 1",
                    json!({"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 30,
                        "llm.token_count.completion": 3}),
                ),
                (
                    3,
                    2,
                    "tool",
                    json!({"openinference.span.kind": "TOOL", "llm.token_count.prompt": 30,
                        "llm.token_count.completion": 3}),
                ),
                (
                    4,
                    3,
                    "OpenAIModel.generate",
                    json!({"openinference.span.kind": "LLM", "llm.model_name": "smol-m",
                        "llm.token_count.prompt": 30, "llm.token_count.completion": 3}),
                ),
            ],
            usage: vec![("smol-m", [1, 0, 30, 3, 0, 0])],
        },
        Case {
            // DSPy reports the model with its provider and no usage, the SDK below it the model
            // that responded.
            source: "https://github.com/Arize-ai/openinference: DSPy above the OpenAI SDK",
            spans: vec![
                (
                    1,
                    0,
                    "LM.__call__",
                    json!({"openinference.span.kind": "LLM", "llm.model_name": "openai/dspy-4o"}),
                ),
                (
                    2,
                    1,
                    "ChatCompletion",
                    json!({"openinference.span.kind": "LLM", "llm.model_name": "dspy-4o-2024-07-18",
                        "llm.token_count.prompt": 12, "llm.token_count.completion": 4}),
                ),
            ],
            usage: vec![("dspy-4o-2024-07-18", [1, 0, 12, 4, 0, 0])],
        },
        Case {
            // One library calls it a chat, the other one a generation of content; it failed, so
            // neither has usage.
            source: "https://github.com/DataDog/dd-trace-py/pull/18868",
            spans: vec![
                (
                    1,
                    0,
                    "chat lc-gemini",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "lc-gemini",
                        "error.type": "ServerError", "status": {"code": 2}}),
                ),
                (
                    2,
                    1,
                    "generate_content lc-gemini",
                    json!({"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "lc-gemini",
                        "error.type": "ServerError", "status": {"code": 2}}),
                ),
            ],
            usage: vec![("lc-gemini", [1, 1, 0, 0, 0, 0])],
        },
        Case {
            source: "https://github.com/BerriAI/litellm/issues/35193",
            spans: vec![
                (
                    1,
                    0,
                    "POST /chat/completions",
                    json!({"http.route": "/chat/completions", "gen_ai.request.model": "lite-m"}),
                ),
                (
                    2,
                    1,
                    "redis",
                    json!({"db.system.name": "redis", "gen_ai.request.model": "lite-m"}),
                ),
                (
                    3,
                    1,
                    "chat lite-m",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "lite-m",
                        "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 2}),
                ),
            ],
            usage: vec![("lite-m", [1, 0, 7, 2, 0, 0])],
        },
    ]);
}

#[test]
fn one_response_that_two_services_report_counts_once() {
    let chat = |id: &str| {
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "af-m", "gen_ai.response.id": id,
            "gen_ai.usage.input_tokens": 40, "gen_ai.usage.output_tokens": 5})
    };
    check(&[Case {
        source: "https://github.com/microsoft/agent-framework/issues/4675",
        spans: vec![
            (1, 0, "POST /responses", json!({"http.route": "/responses"})),
            (2, 1, "chat af-m", chat("resp_1")),
            (3, 1, "responsesapi", json!({"server.address": "inference"})),
            (4, 3, "chat af-m", chat("resp_1")),
            (5, 1, "chat af-m", chat("resp_2")),
        ],
        usage: vec![("af-m", [2, 0, 80, 10, 0, 0])],
    }]);
}

#[test]
fn failed_calls_and_calls_without_usage_of_other_instrumentations_count() {
    check(&[
        Case {
            source: "https://github.com/BerriAI/litellm/pull/32655",
            spans: vec![(
                1,
                0,
                "chat ll-fails",
                json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "ll-fails",
                    "events": [{"name": "gen_ai.client.operation.exception", "attributes":
                        {"exception.type": "BadRequestError", "exception.message": "max_tokens is -5"}}]}),
            )],
            usage: vec![("ll-fails", [1, 1, 0, 0, 0, 0])],
        },
        Case {
            source: "https://github.com/Arize-ai/openinference/issues/1785",
            spans: vec![(
                1,
                0,
                "call_llm",
                json!({"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "adk-flash",
                    "gen_ai.usage.input_tokens": 6_354,
                    "gen_ai.response.finish_reasons": ["MALFORMED_FUNCTION_CALL"]}),
            )],
            usage: vec![("adk-flash", [1, 0, 6_354, 0, 0, 0])],
        },
        Case {
            source: "Claude Code's own spans of a request that failed",
            spans: vec![(
                1,
                0,
                "claude_code.llm_request",
                json!({"span.type": "llm_request", "model": "cc-fails", "gen_ai.request.model": "cc-fails",
                    "gen_ai.system": "anthropic", "success": false, "status_code": 529, "error": "Overloaded"}),
            )],
            usage: vec![("cc-fails", [1, 1, 0, 0, 0, 0])],
        },
    ]);
}

#[test]
fn counts_are_read_from_the_attributes_of_further_senders() {
    check(&[
        Case {
            source: "Laminar, https://github.com/mlflow/mlflow/blob/master/mlflow/tracing/otel/translation/laminar.py",
            spans: vec![(
                1,
                0,
                "litellm.completion",
                json!({"lmnr.span.type": "LLM", "gen_ai.response.model": "lmnr-m", "gen_ai.system": "openai",
                    "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1}),
            )],
            usage: vec![("lmnr-m", [1, 0, 5, 1, 0, 0])],
        },
        Case {
            source: "Braintrust, its SDK for Java",
            spans: vec![(
                1,
                0,
                "Chat Completion",
                json!({"braintrust.span_attributes": "{\"type\":\"llm\"}",
                    "braintrust.metadata": "{\"model\":\"bt-m\",\"provider\":\"openai\"}",
                    "braintrust.metrics": "{\"prompt_tokens\":12,\"completion_tokens\":3,\"tokens\":15,\"prompt_cached_tokens\":4}"}),
            )],
            usage: vec![("bt-m", [1, 0, 12, 3, 4, 0])],
        },
        Case {
            source: "VoltAgent, mlflow's translation of it",
            spans: vec![
                (1, 0, "agent", json!({"entity.type": "agent"})),
                (
                    2,
                    1,
                    "llm",
                    json!({"span.type": "llm", "entity.type": "agent", "gen_ai.request.model": "volt-m",
                        "usage.prompt_tokens": 8, "usage.completion_tokens": 2, "usage.total_tokens": 10}),
                ),
            ],
            usage: vec![("volt-m", [1, 0, 8, 2, 0, 0])],
        },
        Case {
            source: "AgentOps",
            spans: vec![
                (1, 0, "session", json!({"agentops.span.kind": "session"})),
                (
                    2,
                    1,
                    "openai.chat",
                    json!({"agentops.span.kind": "llm", "gen_ai.request.model": "ao-m",
                        "gen_ai.usage.prompt_tokens": 4, "gen_ai.usage.completion_tokens": 2}),
                ),
            ],
            usage: vec![("ao-m", [1, 0, 4, 2, 0, 0])],
        },
        Case {
            source: "Spring AI, its observability reference",
            spans: vec![
                (
                    1,
                    0,
                    "spring_ai chat_client",
                    json!({"gen_ai.operation.name": "framework", "gen_ai.system": "spring_ai",
                        "spring.ai.kind": "chat_client"}),
                ),
                (
                    2,
                    1,
                    "chat spring-m",
                    json!({"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "spring-m",
                        "gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "6",
                        "gen_ai.usage.total_tokens": "17"}),
                ),
                (
                    3,
                    1,
                    "tool_call weather",
                    json!({"gen_ai.operation.name": "framework", "gen_ai.system": "spring_ai",
                        "spring.ai.kind": "tool_call", "spring.ai.tool.definition.name": "weather"}),
                ),
            ],
            usage: vec![("spring-m", [1, 0, 11, 6, 0, 0])],
        },
        Case {
            source: "Langfuse's kinds of observations",
            spans: vec![
                (1, 0, "agent", json!({"langfuse.observation.type": "agent"})),
                (
                    2,
                    1,
                    "embed",
                    json!({"langfuse.observation.type": "embedding", "langfuse.observation.model.name": "lf-emb",
                        "langfuse.observation.usage_details": "{\"input\":7}"}),
                ),
                (
                    3,
                    1,
                    "work",
                    json!({"langfuse.observation.type": "span", "input_tokens": 99}),
                ),
            ],
            usage: vec![("lf-emb", [1, 0, 7, 0, 0, 0])],
        },
        Case {
            // The attributes have other meanings in spans that are not about models.
            source: "Datadog's types of spans",
            spans: vec![(
                1,
                0,
                "GET /",
                json!({"span.type": "web", "input_tokens": 3, "cache_read_tokens": 9}),
            )],
            usage: vec![],
        },
    ]);
}

#[test]
fn counts_written_as_texts_are_counted_and_match_conditions() {
    let folder = Folder::new();
    let server = folder.serve();
    let spans = [(
        1,
        0,
        "chat text-m",
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "text-m",
            "gen_ai.usage.input_tokens": "25", "gen_ai.usage.output_tokens": "7",
            "gen_ai.usage.thoughts_tokens": "3", "cache_read_tokens": "20"}),
    )];
    sent(&server, &trace(0, &spans));
    assert_eq!(
        counted(&folder),
        BTreeMap::from([("text-m".to_owned(), [1, 0, 25, 7, 20, 0])])
    );
    for (condition, found) in [
        ("gen_ai.usage.thoughts_tokens>2", 1),
        ("gen_ai.usage.thoughts_tokens>3", 0),
        ("cache_read_tokens>=20", 1),
    ] {
        let mut command = folder.command(&["spans", "--where", condition, "--format", "json"]);
        let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let spans: Json = serde_json::from_str(&printed).unwrap();
        assert_eq!(spans.as_array().unwrap().len(), found, "{condition}");
    }
    server.stop();
}

/// The span of Anthropic's SDK has no parent if the library above it does not make its own span the
/// current one.
#[test]
fn one_response_that_two_instrumentations_report_in_two_traces_counts_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let sent_by = |scope: &str, number: usize, model: &str, id: &str, inset: i64| {
        let attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": model,
            "gen_ai.response.id": id, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 1});
        let mut spans = trace(number, &[(1, 0, "chat", attributes)]);
        for (key, by) in [("startTimeUnixNano", inset), ("endTimeUnixNano", -inset)] {
            let time: i64 = spans[0][key].as_str().unwrap().parse().unwrap();
            spans[0][key] = (time + by).to_string().into();
        }
        let service = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]});
        let body = json!({"resourceSpans": [{"resource": service, "scopeSpans": [
            {"scope": {"name": scope}, "spans": spans}]}]});
        assert_eq!(remark(&server.post("/v1/traces", &body)), "");
    };
    let (library, sdk) = (
        "opentelemetry.instrumentation.anthropic",
        "com.anthropic.sdk.python",
    );
    let minute = 60_000_000_000;
    // The inner one first, and the other way round.
    sent_by(sdk, 1, "x-inner-first", "msg_1", 0);
    sent_by(library, 2, "x-inner-first", "msg_1", -minute);
    sent_by(library, 3, "x-outer-first", "msg_2", -minute);
    sent_by(sdk, 4, "x-outer-first", "msg_2", 0);
    // A mock server may return one id for all responses.
    sent_by(library, 5, "x-mock", "msg_3", -minute);
    sent_by(library, 6, "x-mock", "msg_3", 0);
    sent_by(library, 7, "x-mock", "msg_3", 0);
    assert_eq!(
        counted(&folder),
        BTreeMap::from([
            ("x-inner-first".to_owned(), [1, 0, 9, 1, 0, 0]),
            ("x-mock".to_owned(), [3, 0, 27, 3, 0, 0]),
            ("x-outer-first".to_owned(), [1, 0, 9, 1, 0, 0]),
        ])
    );
    server.stop();
}

/// Strands Agents report no response id, so their calls are matched by their usage without the
/// cached part; the spans of Anthropic's SDK have no parent.
#[test]
fn a_call_that_an_sdk_reports_in_a_separate_trace_counts_once_in_that_of_its_agent() {
    let chat = |model: &str, id: Option<&str>, input: u64, output: u64, cached: u64| {
        let mut attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output});
        if let Some(id) = id {
            attributes["gen_ai.response.id"] = id.into();
            attributes["gen_ai.usage.cache_read.input_tokens"] = cached.into();
        }
        attributes
    };
    let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner",
        "gen_ai.request.model": "sdk-m", "gen_ai.usage.input_tokens": 209, "gen_ai.usage.output_tokens": 29});
    let request = |scope: &str, number: usize, spans: &[Described], times: &[(i64, i64)]| {
        let mut spans = trace(number, spans);
        let now = spanscope_model::Timestamp::now().as_nanos() - 60_000_000_000;
        for (span, (start, end)) in spans.iter_mut().zip(times) {
            span["startTimeUnixNano"] = (now + start * 1_000_000).to_string().into();
            span["endTimeUnixNano"] = (now + end * 1_000_000).to_string().into();
        }
        json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]},
            "scopeSpans": [{"scope": {"name": scope}, "spans": spans}]}]})
    };
    let (library, sdk) = ("strands.telemetry.tracer", "com.anthropic.sdk.python");
    let of_library = [
        (1, 0, "invoke_agent planner", agent),
        (2, 1, "chat", chat("sdk-m", None, 104, 14, 0)),
        (3, 1, "chat", chat("sdk-m", None, 105, 15, 0)),
    ];
    let root = |id: &str, input: u64, output: u64, cached: u64| {
        [(
            1,
            0,
            "anthropic.messages.create",
            chat("sdk-m", Some(id), input, output, cached),
        )]
    };
    let calls = [
        request(sdk, 2, &root("msg_1", 200, 14, 96), &[(110, 190)]),
        request(sdk, 3, &root("msg_2", 201, 15, 96), &[(310, 390)]),
        // The program called the model by itself meanwhile: no span around it used as much.
        request(sdk, 4, &root("msg_3", 500, 15, 0), &[(320, 380)]),
        // Two calls have the same usage, and one of them is the library's.
        request(sdk, 5, &root("msg_4", 105, 15, 0), &[(330, 340)]),
    ];
    let library = request(library, 1, &of_library, &[(0, 1_000), (100, 200), (300, 400)]);
    for is_library_first in [false, true] {
        let folder = Folder::new();
        let server = folder.serve();
        let mut bodies: Vec<&Json> = calls.iter().collect();
        match is_library_first {
            true => bodies.insert(0, &library),
            false => bodies.push(&library),
        }
        for body in bodies {
            assert_eq!(remark(&server.post("/v1/traces", body)), "");
        }
        let rows = command_json(&folder, &["usage", "--by", "agent"]);
        let row = |agent: &str| {
            let row = rows.as_array().unwrap().iter().find(|row| row["name"] == agent);
            row.map(|row| (row["calls"].clone(), row["input_tokens"].clone()))
        };
        assert_eq!(row("planner"), Some((json!(2), json!(209))), "{rows}");
        let all: u64 = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["calls"].as_u64().unwrap())
            .sum();
        assert_eq!(all, 4, "{rows}");
        server.stop();
    }
}
