//! An agent behind HTTP: each response contains the trace of its run, as one body or streamed. The
//! same port serves the run's routes, live ones included.
//!
//! ```text
//! cargo run -p spanscope-examples --bin agent_server                              # asks itself and ends
//! cargo run -p spanscope-examples --bin agent_server -- --serve                   # listens on 127.0.0.1:8090 until Ctrl-C
//! cargo run -p spanscope-examples --bin agent_server -- --serve 127.0.0.1:0       # on a port that is free
//!
//! curl -N localhost:8090/agents/librarian/completions/trace -H 'content-type: application/json' \
//!     -d '{"question": "What is 6 * 7, and the weather in Oslo?", "session_id": "s-1"}'
//! curl localhost:8090/traces                                                      # the runs, newest first
//! curl -N localhost:8090/traces/TASK_ID/stream                                    # one of them, also while it goes on
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `AGENT_MODEL_URL` | an OpenAI-compatible endpoint over http, such as `http://localhost:11434/v1` | a tiny one in this process |
//! | `AGENT_MODEL` | the model that it is asked for | the tiny one's |
//! | `AGENT_MODEL_KEY` | the API key | none |
//! | `AGENT_MODEL_DELAY_MS` | how long the tiny model takes for a token: with 50 one can watch | 1 |
//!
//! You see the questions, the answers, the trace in each response, and what the run's routes return
//! afterwards:
//!
//! ```text
//! POST /agents/librarian/completions/trace {"question":"What is sampling?","stream":false}
//!   Sampling keeps a part of all traces [1]. It can only copy what no reader still needs, so the log may grow larger than that [2].
//!   completed, retrievals 1, llm_calls 1, tool_calls 0, tokens 373
//! POST /agents/librarian/completions/trace {"question":"When does a checkpoint start, how much is 1000 * 4096, and what is the weather in Oslo?"}
//!   A checkpoint starts by itself when the write-ahead log holds 1000 pages of 4096 bytes [1]. A span is one operation with a start, an end and attributes [2]. 1000 * 4096 = 4096000. The tool weather failed: no weather for Oslo.
//!   completed, retrievals 1, llm_calls 2, tool_calls 2, tokens 876
//!     🚀 workflow_started librarian
//!     🔍 retrieval_started passages
//!     📚 retrieval_completed passages
//!     ▶️ node_started POST /v1/chat/completions
//!     ▶️ node_started generate
//!     ✔️ node_finished generate
//!     ✔️ node_finished POST /v1/chat/completions
//!     🔧 tool_call_started calculator
//!     ⚙️ tool_call_completed calculator
//!     🔧 tool_call_started weather
//!     ▶️ node_started GET
//!     ⚠️ error_occurred GET
//!     ❌ node_failed GET
//!     ⚠️ error_occurred weather
//!     ⚙️ tool_call_completed weather
//!     ▶️ node_started POST /v1/chat/completions
//!     ▶️ node_started generate
//!     ✔️ node_finished generate
//!     ✔️ node_finished POST /v1/chat/completions
//!     📝 message_generated librarian
//!     ✅ workflow_completed librarian
//! GET /traces/{task_id}/summary
//!   completed, nodes_executed 11, total_chunks_retrieved 3, errors_count 3
//! ```
//!
//! A body may have `question`, `session_id`, `user_id`, `stream` (default true), `trace_level`
//! (`minimal`, `standard`, `detailed`, `debug`) and `include_trace`. A streamed response is
//! server-sent events: `message` with the pieces, then `trace`, or `error` and `trace`, then
//! `[DONE]`. The header `x-task-id` names the run before its first piece arrives.

use std::env::VarError;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_stream::stream;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use spanscope_demo::{ChatClient, DELAY_PER_TOKEN, Librarian, ModelServer};
use spanscope_examples::store_path;
use spanscope_model::{StoreError, TraceStore};
use spanscope_server::{
    AgentRun, DetailLevel, RunSettings, RunningAgent, TraceFormat, local_only, runs_router,
};
use spanscope_sqlite::SqliteStore;
use tokio::net::TcpListener;

/// The only agent here.
const AGENT: &str = "librarian";
const DEFAULT_ADDRESS: &str = "127.0.0.1:8090";
const MAX_QUESTION: usize = 16 * 1024;
/// A character of a question can take six bytes in JSON.
const MAX_BODY: usize = 8 * MAX_QUESTION;
/// The store truncates longer ids.
const MAX_ID: usize = 256;
/// The last event of a streamed response.
const DONE: &str = "[DONE]";
/// The run's id, for clients that want to follow it.
const TASK_ID: &str = "x-task-id";

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    question: String,
    session_id: Option<String>,
    user_id: Option<String>,
    #[serde(default = "yes")]
    stream: bool,
    #[serde(default)]
    trace_level: DetailLevel,
    #[serde(default = "yes")]
    include_trace: bool,
}

fn yes() -> bool {
    true
}

/// Why a request was refused, in the wording of the routes of agent traces.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let what_to_do = match self.status {
            StatusCode::NOT_FOUND => "ask the agent `librarian`",
            _ => "correct the request as the message says",
        };
        let error = json!({"code": self.code, "message": self.message, "what_to_do": what_to_do});
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "invalid_input",
        message: message.into(),
    }
}

fn too_large(message: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "body_too_large",
        message: message.into(),
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(format!("the body is longer than {MAX_BODY} bytes")),
            _ => invalid(rejection.body_text()),
        }
    }
}

/// The agent, and where its runs are stored.
#[derive(Clone)]
struct Agent {
    librarian: Librarian,
    store: Arc<dyn TraceStore>,
}

impl Ask {
    fn check(&self) -> Result<(), Refusal> {
        if self.question.trim().is_empty() {
            return Err(invalid("the field `question` is missing or empty"));
        }
        if self.question.len() > MAX_QUESTION {
            return Err(too_large(format!(
                "the field `question` is longer than {MAX_QUESTION} bytes"
            )));
        }
        for (field, id) in [("session_id", &self.session_id), ("user_id", &self.user_id)] {
            if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
                return Err(invalid(format!(
                    "the field `{field}` is longer than {MAX_ID} bytes"
                )));
            }
        }
        Ok(())
    }

    /// Starts the run. The code here is all that a run needs.
    fn run(&self, session: &str) -> RunningAgent {
        let run = AgentRun::new(AGENT)
            .session(session)
            .level(self.trace_level)
            .input(&self.question);
        match &self.user_id {
            Some(user) => run.user(user).start(),
            None => run.start(),
        }
    }
}

/// `POST /agents/{agent_id}/completions/trace`.
async fn complete(
    State(agent): State<Agent>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Ask>, JsonRejection>,
) -> Result<Response, Refusal> {
    let is_known = id.is_ok_and(|Path(id)| id == AGENT);
    if !is_known {
        return Err(Refusal {
            status: StatusCode::NOT_FOUND,
            code: "not_found",
            message: "there is no agent of this id".to_owned(),
        });
    }
    let Json(ask) = body?;
    ask.check()?;
    // A conversation without an id gets one, so that its client can continue it.
    let session = ask
        .session_id
        .clone()
        .unwrap_or_else(|| format!("session-{:016x}", fastrand::u64(..)));
    Ok(if ask.stream {
        streamed(agent, &ask, &session)
    } else {
        whole(agent, &ask, &session).await
    })
}

async fn whole(agent: Agent, ask: &Ask, session: &str) -> Response {
    let run = ask.run(session);
    let handle = run.handle();
    let librarian = agent.librarian.in_conversation(session);
    let work = async move {
        // With all causes, because the trace has them too.
        let answer = librarian.answer(&ask.question).await;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        handle.output(&answer);
        Ok::<_, String>(answer)
    };
    let traced = run.run(work).await;
    let data = |answer: &str| json!({"content": answer, "task_id": traced.task_id, "session_id": session});
    let (status, mut body) = match &traced.output {
        Ok(answer) => (StatusCode::OK, json!({"event": "message", "data": data(answer)})),
        Err(error) => (StatusCode::BAD_GATEWAY, json!({"error": failed(error)})),
    };
    if ask.include_trace {
        let trace = traced.trace(&agent.store, TraceFormat::Compact, ask.trace_level);
        body["trace"] = shown(trace.await);
    }
    (status, [(TASK_ID, traced.task_id)], Json(body)).into_response()
}

fn streamed(agent: Agent, ask: &Ask, session: &str) -> Response {
    let run = ask.run(session);
    let task_id = run.task_id().to_owned();
    let handle = run.handle();
    let pieces = agent
        .librarian
        .in_conversation(session)
        .answer_in_pieces(&ask.question);
    let mut answer = run.stream(stream! {
        let mut reply = String::new();
        for await piece in pieces {
            if let Ok(piece) = &piece {
                reply += piece;
            }
            yield piece.map_err(|error| format!("{error:#}"));
        }
        handle.output(&reply);
        // The run does not end while a handle is held.
        drop(handle);
    });
    let (level, include_trace) = (ask.trace_level, ask.include_trace);
    let frames = stream! {
        while let Some(piece) = answer.next().await {
            yield match piece {
                Ok(piece) => frame("message", &json!({"content": piece})),
                Err(error) => frame("error", &failed(&error)),
            };
        }
        if include_trace {
            let trace = answer.trace(&agent.store, TraceFormat::Compact, level).await;
            yield frame("trace", &shown(trace));
        }
        yield Ok(Event::default().data(DONE));
    };
    let frames = Sse::new(frames).keep_alive(KeepAlive::default());
    ([(TASK_ID, task_id)], frames).into_response()
}

fn frame(event: &str, data: &Value) -> Result<Event, axum::Error> {
    Event::default().json_data(json!({"event": event, "data": data}))
}

fn failed(error: &str) -> Value {
    json!({"code": "agent_failed", "message": error, "what_to_do": "look at the trace for the step that failed"})
}

/// A missing trace must not hide the answer.
fn shown(trace: Result<Value, StoreError>) -> Value {
    trace.unwrap_or_else(|error| json!({"error": error.to_string()}))
}

fn router(agent: Agent) -> Router {
    let runs = runs_router(Arc::clone(&agent.store), RunSettings::default());
    let answers = Router::new()
        .route("/agents/{agent_id}/completions/trace", post(complete))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(agent);
    // There are no tokens here, so only programs on this machine may call it.
    local_only(answers.merge(runs))
}

/// Returns a variable's value, if it is set and not empty.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("{name} is no text"),
    }
}

/// Returns the agent with the model that the environment names, or with the tiny model's server.
async fn librarian() -> anyhow::Result<(Librarian, Option<ModelServer>)> {
    let model = variable("AGENT_MODEL")?;
    let model = model.as_deref().unwrap_or(ModelServer::MODEL);
    let (mut client, server) = if let Some(url) = variable("AGENT_MODEL_URL")? {
        let client = ChatClient::new(&url, model).context("AGENT_MODEL_URL can't be used")?;
        (client, None)
    } else {
        let delay = match variable("AGENT_MODEL_DELAY_MS")? {
            Some(text) => Duration::from_millis(text.parse().context("AGENT_MODEL_DELAY_MS is no number")?),
            None => DELAY_PER_TOKEN,
        };
        let server = ModelServer::start_slow(delay).await?;
        let client = ChatClient::new(&server.base_url(), model)?.provider(ModelServer::PROVIDER);
        (client, Some(server))
    };
    if let Some(key) = variable("AGENT_MODEL_KEY")? {
        client = client.api_key(&key).context("AGENT_MODEL_KEY can't be used")?;
    }
    Ok((Librarian::new(client)?.streams_every_call(), server))
}

/// Sends the request and returns the response's text.
async fn answer_to(request: reqwest::RequestBuilder) -> anyhow::Result<String> {
    let response = request.send().await?;
    let status = response.status();
    let answer = response.text().await?;
    ensure!(status.is_success(), "the server answers {status}: {answer}");
    Ok(answer)
}

fn print_counts(of: &Value, counts: &[&str]) {
    let counts = counts.iter().map(|name| format!(", {name} {}", of[*name]));
    let counts: String = counts.collect();
    println!("  {}{counts}", of["status"].as_str().unwrap_or("unknown"));
}

async fn ask_itself(server: &str) -> anyhow::Result<()> {
    // The server is on this machine.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |body: Value| {
        let path = format!("/agents/{AGENT}/completions/trace");
        println!("POST {path} {body}");
        let request = client.post(format!("{server}{path}")).body(body.to_string());
        answer_to(request.header("content-type", "application/json")).await
    };

    let counts = ["retrievals", "llm_calls", "tool_calls", "tokens"];
    let answer = ask(json!({"question": "What is sampling?", "stream": false})).await?;
    let answer: Value = serde_json::from_str(&answer)?;
    let reply = answer["data"]["content"].as_str();
    println!("  {}", reply.context("there is no answer")?);
    print_counts(&answer["trace"], &counts);

    let question = "When does a checkpoint start, how much is 1000 * 4096, and what is the weather in Oslo?";
    let stream = ask(json!({"question": question})).await?;
    let (mut reply, mut trace) = (String::new(), Value::Null);
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == DONE {
            break;
        }
        let mut event: Value = serde_json::from_str(data)?;
        match event["event"].as_str() {
            Some("message") => reply += event["data"]["content"].as_str().unwrap_or_default(),
            _ => trace = event["data"].take(),
        }
    }
    println!("  {reply}");
    print_counts(&trace, &counts);
    for step in trace["timeline"].as_array().context("there is no timeline")? {
        let text = |name: &str| step[name].as_str().unwrap_or_default();
        println!("    {} {} {}", text("icon"), text("type"), text("component"));
    }

    println!("GET /traces/{{task_id}}/summary");
    let task_id = trace["task_id"].as_str().context("the run has no id")?;
    let summary = answer_to(client.get(format!("{server}/traces/{task_id}/summary"))).await?;
    let counts = ["nodes_executed", "total_chunks_retrieved", "errors_count"];
    print_counts(&serde_json::from_str(&summary)?, &counts);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (serves, address) = match arguments[..] {
        [] => (false, "127.0.0.1:0"),
        ["--serve"] => (true, DEFAULT_ADDRESS),
        ["--serve", address] => (true, address),
        _ => bail!("usage: agent_server [--serve [ADDRESS]]"),
    };
    let path = store_path();
    // An operator of a server wants the console; a program that calls itself prints its own
    // results.
    let sinks: &[&str] = if serves {
        &["console", "sqlite"]
    } else {
        &["sqlite"]
    };
    let _guard = spanscope::Builder::try_from_env()?
        .sinks(sinks)?
        .service_name("agent-server-example")
        .sqlite_path(&path)
        .try_init()?;

    let (librarian, _model_server) = librarian().await?;
    // Opened read-write, so that runs can be deleted over HTTP.
    let store = Arc::new(SqliteStore::builder().open(&path)?);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} can't be listened on"))?;
    let server = format!("http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, router(Agent { librarian, store }));
    if serves {
        println!("listening on {server}");
        // On Ctrl-C the guard's signal handler writes what is queued and ends the program.
        return Ok(serving.await?);
    }
    let serving = tokio::spawn(serving.into_future());
    ask_itself(&server).await?;
    serving.abort();
    Ok(())
}
