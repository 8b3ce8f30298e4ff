//! An axum server that measures requests, model calls and tools, and serves `/metrics` for
//! Prometheus.
//!
//! ```text
//! cargo run -p spanscope-examples --bin metrics_server                            # asks itself a few times and ends
//! cargo run -p spanscope-examples --bin metrics_server -- --serve 127.0.0.1:3000  # serves until Ctrl-C
//! ```
//!
//! You see the responses, a chat with the usage of each of its model calls, and then the counters
//! as Prometheus reads them:
//!
//! ```text
//! POST /v1/inference/chat -> 200
//!   the weather in Oslo is snow
//!   prompt_tokens 3, completion_tokens 1, total_tokens 4
//!   prompt_tokens 4, completion_tokens 6, total_tokens 10
//! POST /v1/inference/chat -> 200
//!   the weather in Lima is fog
//!   prompt_tokens 6, completion_tokens 1, total_tokens 7
//!   prompt_tokens 7, completion_tokens 6, total_tokens 13
//! POST /v1/inference/embeddings -> 503
//! GET /v1/models/tiny -> 200
//! GET /v1/models/huge -> 404
//! llama_stack_completion_tokens_total{model_id="large",provider_id="tgi"} 7
//! llama_stack_completion_tokens_total{model_id="small",provider_id="ollama"} 7
//! llama_stack_prompt_tokens_total{model_id="large",provider_id="tgi"} 7
//! llama_stack_prompt_tokens_total{model_id="small",provider_id="ollama"} 13
//! llama_stack_requests_total{api="inference",status="200"} 2
//! llama_stack_requests_total{api="inference",status="503"} 1
//! llama_stack_requests_total{api="models",status="200"} 1
//! llama_stack_requests_total{api="models",status="404"} 1
//! llama_stack_tokens_total{model_id="large",provider_id="tgi"} 14
//! llama_stack_tokens_total{model_id="small",provider_id="ollama"} 20
//! ```
//!
//! `spanscope metrics` shows the same numbers from the store. `monitoring/` explains how to start
//! Prometheus and Grafana.

use std::time::Duration;

use anyhow::bail;
use axum::extract::{MatchedPath, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spanscope::genai::{Agent, Embeddings, ModelCall, ToolCall, Usage};
use spanscope::metrics;
use spanscope::model::MetricInResponse;
use spanscope_examples::{ask, store_path};
use spanscope_server::{PrometheusSink, metrics_router};
use spanscope_tower::RequestMetricsLayer;
use tokio::net::TcpListener;

/// Each model with its provider: the labels `model_id` and `provider_id` of the token counters.
const MODELS: [(&str, &str); 3] = [("large", "tgi"), ("small", "ollama"), ("tiny", "ollama")];

fn provider_of(model: &str) -> Result<&'static str, StatusCode> {
    let known = MODELS.iter().find(|(name, _)| *name == model);
    known.map(|(_, provider)| *provider).ok_or(StatusCode::NOT_FOUND)
}

/// A call of a model with a scripted reply. Its tokens are words.
async fn call_model(model: (&str, &str), reads: &str, says: &str, finish_reason: &str) {
    let (model, provider) = model;
    let call = ModelCall::chat(provider, model);
    // A real program would call the model here.
    call.run(tokio::time::sleep(Duration::from_millis(2))).await;
    let tokens = |text: &str| text.split_whitespace().count() as u64;
    // The three token counters and the conventions' histograms are recorded when the call ends.
    call.usage(Usage::new(tokens(reads), tokens(says)))
        .finish_reason(finish_reason);
}

fn look_up_weather(place: &str) -> &'static str {
    let tool = ToolCall::execute("weather");
    tool.arguments(&json!({ "place": place }).to_string());
    let weather = match place {
        "Oslo" => "snow",
        "Lima" => "fog",
        _ => {
            tool.failed("unknown_place", &format_args!("no station in {place}"));
            "unknown"
        }
    };
    tool.result(weather);
    weather
}

/// An agent: the model chooses a place, a tool looks up its weather, and the model writes the
/// reply.
async fn run_agent(model: (&str, &str), message: &str) -> String {
    let agent = Agent::invoke("meteorologist");
    let work = async {
        let place = message.split_whitespace().last().unwrap_or_default();
        call_model(model, message, place, "tool_calls").await;
        let weather = look_up_weather(place);
        let answer = format!("the weather in {place} is {weather}");
        call_model(model, &format!("{message} {weather}"), &answer, "stop").await;
        answer
    };
    agent.run(work).await
}

#[derive(Deserialize)]
struct ChatRequest {
    model: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct ChatAnswer {
    answer: String,
    metrics: Vec<MetricInResponse>,
}

/// The response has the measurements made while the agent ran.
async fn chat(Json(request): Json<ChatRequest>) -> Result<Json<ChatAnswer>, StatusCode> {
    let provider = provider_of(&request.model)?;
    let work = run_agent((&request.model, provider), &request.message);
    let (answer, metrics) = metrics::collect(work).await;
    Ok(Json(ChatAnswer { answer, metrics }))
}

async fn embed() -> StatusCode {
    Embeddings::new("tgi", "embedder").failed("overloaded", &"the queue of the model is full");
    StatusCode::SERVICE_UNAVAILABLE
}

async fn show_model(Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    let provider = provider_of(&id)?;
    Ok(Json(json!({ "model_id": id, "provider_id": provider })))
}

fn router(sink: PrometheusSink) -> Router {
    // Routes as axum's templates, `/v1/models/{id}`, so that there are few of them.
    let requests = RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .build();
    Router::new()
        .route("/v1/inference/chat", post(chat))
        .route("/v1/inference/embeddings", post(embed))
        .route("/v1/models/{id}", get(show_model))
        .layer(requests)
        .merge(metrics_router(sink))
}

fn print_answer(answer: &ChatAnswer) {
    println!("  {}", answer.answer);
    for call in answer.metrics.chunks(3) {
        let measured: Vec<_> = call
            .iter()
            .map(|of| format!("{} {}", of.metric, of.value))
            .collect();
        println!("  {}", measured.join(", "));
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (serves, address) = match arguments[..] {
        [] => (false, "127.0.0.1:0"),
        ["--serve", address] => (true, address),
        _ => bail!("usage: metrics_server [--serve ADDRESS]"),
    };
    let sink = PrometheusSink::new();
    // An operator of a server wants the console; a program that calls itself prints its own
    // results.
    let sinks: &[&str] = if serves {
        &["console", "sqlite"]
    } else {
        &["sqlite"]
    };
    let _guard = spanscope::builder()
        .sinks(sinks)?
        .service_name("metrics-example")
        .sqlite_path(store_path())
        .metric_sink(sink.clone()) // the store gets all measurements anyway
        .try_init()?;

    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, router(sink));
    if serves {
        println!("listening on http://{address}");
        // On Ctrl-C the guard's signal handler writes what is queued and ends the program.
        return Ok(server.await?);
    }
    let server = tokio::spawn(server.into_future());
    for (method, path, body) in [
        (
            "POST",
            "/v1/inference/chat",
            r#"{"model":"large","message":"how is Oslo"}"#,
        ),
        (
            "POST",
            "/v1/inference/chat",
            r#"{"model":"small","message":"and how is it in Lima"}"#,
        ),
        ("POST", "/v1/inference/embeddings", ""),
        ("GET", "/v1/models/tiny", ""),
        ("GET", "/v1/models/huge", ""),
    ] {
        let (status, answer) = ask(address, method, path, body).await?;
        println!("{method} {path} -> {status}");
        if path.ends_with("chat") {
            print_answer(&serde_json::from_str(&answer)?);
        }
    }
    let (_, text) = ask(address, "GET", "/metrics", "").await?;
    let shown = |line: &&str| line.starts_with("llama_stack_") && line.contains("s_total{");
    text.lines().filter(shown).for_each(|line| println!("{line}"));
    server.abort();
    Ok(())
}
