//! The program of the book's tutorial `docs/tutorial/chat-server.md`: a server that answers chats
//! by calling a model, with requests and model calls shown, stored and measured.
//!
//! ```text
//! SQLITE_STORE_DIR=/tmp/tutorial cargo run -p spanscope-examples --bin tutorial_server
//! ```
//!
//! It sends itself a question, an empty question, and one while the model server is stopped, and
//! prints the status of each response:
//!
//! ```text
//! 200 Spans are periods of time, and events are moments in them [1].
//! 400
//! 502
//! ```

use std::error::Error;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{MatchedPath, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use spanscope_demo::ModelServer;
use spanscope_examples::ask;
use spanscope_tower::{ClientLayer, RequestMetricsLayer, SendTraced as _};
use tokio::net::TcpListener;

/// What the tiny model answers from.
const PASSAGES: &str = "[1] tracing: Spans are periods of time, and events are moments in them.";

/// A model behind an OpenAI-compatible API.
struct Model {
    url: String,
    name: &'static str,
    client: reqwest::Client,
    calls: ClientLayer,
}

impl Model {
    async fn ask(&self, question: &str) -> anyhow::Result<String> {
        let messages = json!([
            { "role": "system", "content": PASSAGES },
            { "role": "user", "content": question },
        ]);
        let body = json!({ "model": self.name, "messages": messages }).to_string();
        let request = self.client.post(&self.url).body(body);
        let response = request.send_traced(&self.calls).await?.error_for_status()?;
        let answer: Value = serde_json::from_str(&response.text().await?)?;
        let text = answer["choices"][0]["message"]["content"].as_str();
        Ok(text.context("the answer has no text")?.to_owned())
    }
}

async fn chat(State(model): State<Arc<Model>>, question: String) -> Result<String, StatusCode> {
    if question.trim().is_empty() {
        return Err(StatusCode::BAD_REQUEST);
    }
    model.ask(&question).await.map_err(|error| {
        tracing::error!(error = &*error as &dyn Error, "the model has not answered");
        StatusCode::BAD_GATEWAY
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _guard = spanscope::try_init()?;

    let model_server = ModelServer::start().await?;
    let model = Arc::new(Model {
        url: model_server.base_url() + "/chat/completions",
        name: ModelServer::MODEL,
        // Without connections that wait for the next request, the model server can stop below.
        client: reqwest::Client::builder().pool_max_idle_per_host(0).build()?,
        calls: ClientLayer::builder().model_calls().build(),
    });

    let requests = RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .build();
    let app = Router::new()
        .route("/chat", post(chat))
        .layer(requests)
        .with_state(model);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    for question in ["\"What are spans and events?\"", ""] {
        let (status, answer) = ask(address, "POST", "/chat", question).await?;
        println!("{}", format!("{status} {answer}").trim_end());
    }
    model_server.stop().await;
    let (status, _) = ask(address, "POST", "/chat", "\"Are you there?\"").await?;
    println!("{status}");
    Ok(())
}
