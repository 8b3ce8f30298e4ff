//! A chat client that writes no span by hand: the client layer reads models, tokens and times from
//! its calls.
//!
//! ```text
//! cargo run -p spanscope-examples --bin chat_client                                              # asks a tiny model in this process
//! CHAT_URL=http://localhost:11434/v1 CHAT_MODEL=llama3.2 cargo run -p spanscope-examples --bin chat_client
//! ```
//!
//! You see the questions, the answers, and the newest call as the store has it. Below the client's
//! span is the model server's, because the request carried the trace context:
//!
//! ```text
//! What are spans and events?
//!   Spans are periods of time, and events are moments in them [1].
//! When is a trace sampled?
//!   A trace is sampled when its first span begins [2].
//! spans: 3, failed: 0
//!   chat tiny-librarian (client, ok)
//!     POST /v1/chat/completions (server, ok)
//!       generate (internal, ok)
//!         - info: the model has decided
//! ```
//!
//! Afterwards `spanscope usage` adds up the tokens, and `spanscope tree last` shows the times.

use std::time::Duration;

use serde_json::{Value, json};
use spanscope_demo::ModelServer;
use spanscope_examples::{print_newest_trace, store_path};
use spanscope_tower::{ClientLayer, SendTraced};

/// The passages that the model answers from.
const PASSAGES: &str = "[1] tracing: Spans are periods of time, and events are moments in them.\n\
                        [2] sampling: A trace is sampled when its first span begins.";

fn setting(name: &str, default: impl Into<String>) -> String {
    std::env::var(name).unwrap_or_else(|_| default.into())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let guard = spanscope::builder()
        .sinks(&["sqlite"])?
        .service_name("chat-client")
        .sqlite_path(store_path())
        .try_init()?;
    let server = ModelServer::start().await?;
    let url = setting("CHAT_URL", server.base_url()) + "/chat/completions";
    let model = setting("CHAT_MODEL", ModelServer::MODEL);

    let client = reqwest::Client::new();
    let layer = ClientLayer::builder().model_calls().build();
    let mut messages = vec![json!({ "role": "system", "content": PASSAGES })];
    for question in ["What are spans and events?", "When is a trace sampled?"] {
        messages.push(json!({ "role": "user", "content": question }));
        let request = json!({ "model": model, "messages": messages }).to_string();
        let response = client.post(&url).body(request).send_traced(&layer).await?;
        let answer: Value = serde_json::from_str(&response.error_for_status()?.text().await?)?;
        let message = answer["choices"][0]["message"].clone();
        println!(
            "{question}\n  {}",
            message["content"].as_str().unwrap_or_default()
        );
        messages.push(message);
    }

    server.stop().await;
    guard.flush(Duration::from_secs(5))?;
    print_newest_trace(&store_path(), &format!("chat {model}"))
}
