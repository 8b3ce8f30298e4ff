//! Inputs and outputs of steps of runs that were sent in events.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::TcpStream;

use serde_json::{Value as Json, json};
use spanscope_tests::PATIENCE;

use super::super::support::{Folder, Serve, json_of};
use super::{body_moved, command_json, remark, send, send_bytes};

/// A stream of a run that is read event by event.
struct EventStream(Lines<BufReader<TcpStream>>);

impl EventStream {
    fn open(server: &Serve, trace: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ask = format!(
            "GET /traces/{trace}/stream?level=debug HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address()
        );
        stream.write_all(ask.as_bytes()).unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// Reads up to the first event of this type, which must come before the last one.
    fn until(&mut self, event_type: &str) -> Json {
        let lines = self.0.by_ref().map(Result::unwrap);
        let mut events = lines.filter_map(|line| {
            let data = line.strip_prefix("data: ")?;
            assert_ne!(data, "[DONE]", "the run is over before {event_type}");
            Some(serde_json::from_str::<Json>(data).unwrap()["data"].take())
        });
        events.find(|event| event["event_type"] == event_type).unwrap()
    }
}

/// The root ended longer ago than the grace period of local programs.
#[test]
fn a_run_with_received_spans_waits_for_late_spans_of_other_services() {
    const ROOT_ENDED: i64 = 1_795_971_305_698_605_849;
    let ago = i64::try_from((spanscope_runs::GRACE * 2).as_nanos()).unwrap();
    let moved = spanscope_model::Timestamp::now().as_nanos() - ago - ROOT_ENDED;
    let folder = Folder::new();
    let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--run-grace", "10m"]);
    let server = Serve::start(command);
    let sent = |of: &str| {
        let body = body_moved(&format!("70-late-child-of-other-service/{of}.json"), moved);
        let answer = send_bytes(&server, "/v1/traces", "application/json", body.as_bytes());
        assert_eq!(remark(&answer), "");
    };
    sent("1-root");
    let mut stream = EventStream::open(&server, "f1e1d000000000000000000000000046");
    assert_eq!(stream.until("message_generated")["outputs"]["content"], "done");
    sent("2-child");
    assert_eq!(stream.until("tool_call_completed")["component_name"], "remote");
    server.killed();
}

#[test]
fn an_invalid_run_grace_is_refused_with_an_example() {
    let folder = Folder::new();
    let answer = folder
        .command(&["serve", "--listen", "127.0.0.1:0", "--run-grace", "soon"])
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(2));
    let error = String::from_utf8(answer.stderr).unwrap();
    assert!(error.contains("\"soon\"") && error.contains("30m"), "{error}");
}

#[test]
fn values_about_model_tokens_are_readable_and_access_tokens_are_masked() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(
        remark(&send(&server, "/v1/traces", "18-token-keys/traces.json")),
        ""
    );
    let spans = command_json(&folder, &["spans"]);
    let attributes = &spans[0]["attributes"];
    for (key, value) in [
        ("next_token", json!("page-2")),
        ("eos_token", json!("</s>")),
        ("pad_token", json!("<pad>")),
        ("first_token", json!("Hello")),
        ("time_per_output_token", json!(0.02)),
        ("gen_ai.token.type", json!("input")),
        ("prompt.tokens", json!(12)),
        ("session.tokens", json!(9)),
        ("access_token", json!("[masked: 6 characters]")),
        ("token", json!("[masked: 3 characters]")),
    ] {
        assert_eq!(attributes[key], value, "{key}");
    }
    server.stop();
}

/// All events of a run, with whole payloads.
fn events(server: &Serve, trace: &str) -> Vec<Json> {
    let answer = server.get(&format!("/traces/{trace}?format=streaming&level=debug"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let session = json_of(&answer);
    session["events"].as_array().unwrap().clone()
}

/// Returns the messages to the user, in the order of the events.
fn messages(events: &[Json]) -> Vec<&str> {
    let messages = events
        .iter()
        .filter(|event| event["event_type"] == "message_generated");
    messages
        .map(|event| event["outputs"]["content"].as_str().unwrap())
        .collect()
}

/// The payloads of this kind of events: inputs or outputs.
fn payloads<'a>(events: &'a [Json], event_type: &str, payload: &str) -> Vec<&'a Json> {
    let found = events.iter().filter(|event| event["event_type"] == event_type);
    found.map(|event| &event[payload]).collect()
}

#[test]
fn span_events_of_strands_are_the_inputs_and_outputs_of_steps() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(
        remark(&send(&server, "/v1/traces", "37-tool-io-in-events/traces.json")),
        ""
    );
    let trace = "f1e1d000000000000000000000000025";
    let events = events(&server, trace);
    assert_eq!(messages(&events), ["It snows."]);
    assert_eq!(
        payloads(&events, "tool_call_started", "inputs"),
        [&json!({"arguments": {"city": "Oslo"}})]
    );
    assert_eq!(
        payloads(&events, "tool_call_completed", "outputs"),
        [&json!({"result": "snow"})]
    );
    let question = json!([{"role": "user", "parts": [{"type": "text", "content": "weather in Oslo?"}]}]);
    assert_eq!(
        payloads(&events, "llm_call_started", "inputs")[0]["messages"],
        question
    );
    assert_eq!(
        payloads(&events, "workflow_started", "inputs")[0]["messages"],
        question
    );
    let calls = payloads(&events, "llm_call_completed", "outputs");
    assert_eq!(
        (&calls[0]["messages"][0]["parts"], &calls[0]["finish_reasons"]),
        (
            &json!([{"type": "tool_call", "name": "weather"}]),
            &json!(["tool_use"])
        )
    );
    let detailed = server.get(&format!("/traces/{trace}?format=detailed&level=standard"));
    let detailed = json_of(&detailed);
    assert_eq!(detailed["tool_calls"][0]["arguments"], json!({"city": "Oslo"}));
    assert_eq!(detailed["tool_calls"][0]["result_preview"], "snow");
    server.stop();
}

#[test]
fn content_in_log_events_belongs_to_the_steps_whichever_comes_first() {
    for order in [["1-spans", "2-logs"], ["2-logs", "1-spans"]] {
        let folder = Folder::new();
        let server = folder.serve();
        for of in order {
            let path = match of {
                "1-spans" => "/v1/traces",
                _ => "/v1/logs",
            };
            let sent = send(&server, path, &format!("83-content-in-log-events/{of}.json"));
            assert_eq!(remark(&sent), "");
        }
        let events = events(&server, "f1e1d000000000000000000000000053");
        assert_eq!(messages(&events), ["hello you", "second answer"], "{order:?}");
        let prompts = payloads(&events, "llm_call_started", "inputs");
        let prompts: Vec<&Json> = prompts.iter().map(|inputs| &inputs["messages"]).collect();
        let message = |role, text| json!([{"role": role, "parts": [{"type": "text", "content": text}]}]);
        assert_eq!(
            prompts,
            [&message("user", "hi there"), &message("user", "second question")]
        );
        let answers = payloads(&events, "llm_call_completed", "outputs");
        assert_eq!(answers[0]["messages"][0]["parts"][0]["content"], "hello you");
        assert_eq!(answers[1]["messages"][0]["parts"][0]["content"], "second answer");
        assert!(!serde_json::to_string(&messages(&events)).unwrap().contains('{'));
        server.stop();
    }
}

/// A root with these attributes, in a separate trace.
fn root(number: u64, attributes: &[(&str, &str)]) -> Json {
    let (trace, id) = super::super::support::ids(number);
    let mut span = super::super::support::span(&trace, &id, "root");
    span["attributes"] = attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    span
}

/// Each library has its own name for a conversation and its participants.
#[test]
fn runs_are_found_by_every_conventions_name_of_a_session_and_of_a_user() {
    let sessions = [
        "session.id",
        "session_id",
        "gen_ai.conversation.id",
        "conversation_id",
        "conversation.id",
        "gen_ai.session.id",
        "gen_ai.thread.id",
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.conversation_id",
        "traceloop.association.properties.thread_id",
        "langfuse.session.id",
        "langsmith.trace.session_id",
        "langsmith.metadata.thread_id",
        "lc.metadata.thread_id",
        "mlflow.trace.session",
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.threadId",
        "gcp.vertex.agent.session_id",
        "wandb.thread_id",
        // microsoft/vscode-copilot-chat: docs/monitoring
        "copilot_chat.session_id",
        "copilot_chat.chat_session_id",
        // rungalileo/galileo-python: its span processor
        "galileo.session.id",
        // https://github.com/truera/trulens/pull/2462
        "ai.observability.conversation_id",
    ];
    let users = [
        "user.id",
        "user_id",
        "enduser.id",
        "gen_ai.user",
        "gen_ai.user.id",
        "llm.user",
        "traceloop.association.properties.user_id",
        "langfuse.user.id",
        "langsmith.metadata.user_id",
        "mlflow.trace.user",
        "ai.telemetry.metadata.userId",
    ];
    let folder = Folder::new();
    let server = folder.serve();
    let agent = ("gen_ai.operation.name", "invoke_agent");
    let of_sessions = (1..)
        .zip(sessions)
        .map(|(number, key)| root(number, &[agent, (key, key)]));
    let of_users = (100..)
        .zip(users)
        .map(|(number, key)| root(number, &[agent, (key, key)]));
    let spans: Vec<Json> = of_sessions.chain(of_users).collect();
    assert_eq!(
        remark(&server.post("/v1/traces", &super::super::support::traces(&spans))),
        ""
    );
    for (field, keys) in [("session_id", &sessions[..]), ("user_id", &users[..])] {
        for key in keys {
            let answer = json_of(&server.get(&format!("/traces?{field}={key}")));
            assert_eq!(answer["total"], 1, "{field} {key}: {answer}");
        }
    }
    server.stop();
}

/// Older versions of Pydantic AI use their own attributes, and mark a tool only by its name.
#[test]
fn a_run_of_an_older_pydantic_ai_has_its_tool_its_answer_and_its_agent() {
    let folder = Folder::new();
    let server = folder.serve();
    let (trace, agent) = super::super::support::ids(1);
    let below = |number: u64, attributes: &[(&str, &str)]| {
        let mut span = root(number, attributes);
        span["traceId"] = trace.clone().into();
        span["parentSpanId"] = agent.clone().into();
        span
    };
    let spans = [
        root(
            1,
            &[
                ("gen_ai.operation.name", "invoke_agent"),
                ("agent_name", "forecaster"),
                ("model_name", "gpt-p"),
                ("final_result", "It snows."),
                (
                    "all_messages_events",
                    r#"[{"event.name":"gen_ai.user.message","role":"user","content":"weather?"}]"#,
                ),
            ],
        ),
        below(
            2,
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.request.model", "gpt-p"),
                ("gen_ai.usage.input_tokens", "20"),
                ("gen_ai.usage.output_tokens", "3"),
                ("operation.cost", "0.0025"),
            ],
        ),
        below(
            3,
            &[
                ("gen_ai.tool.name", "weather"),
                ("gen_ai.tool.call.id", "c-1"),
                ("tool_arguments", r#"{"city":"Oslo"}"#),
                ("tool_response", "snow"),
            ],
        ),
    ];
    assert_eq!(
        remark(&server.post("/v1/traces", &super::super::support::traces(&spans))),
        ""
    );
    let events = events(&server, &trace);
    assert_eq!(messages(&events), ["It snows."]);
    assert_eq!(
        payloads(&events, "tool_call_started", "inputs"),
        [&json!({"arguments": {"city": "Oslo"}})]
    );
    assert_eq!(
        payloads(&events, "tool_call_completed", "outputs"),
        [&json!({"result": "snow"})]
    );
    assert_eq!(command_json(&folder, &["runs"])[0]["agent_id"], "forecaster");
    let by_agent = command_json(&folder, &["usage", "--by", "agent"]);
    assert_eq!(
        (
            &by_agent[0]["name"],
            &by_agent[0]["calls"],
            &by_agent[0]["input_tokens"]
        ),
        (&json!("forecaster"), &json!(1), &json!(20)),
        "{by_agent}"
    );
    assert_eq!(by_agent[0]["cost"], 0.0025);
    server.stop();
}
