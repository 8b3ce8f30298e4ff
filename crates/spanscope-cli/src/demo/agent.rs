//! The agent: search, ask the model, run the tools it asks for, ask again.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use spanscope_model::TraceId;
use tracing::{Span, info, instrument, warn};

use super::chat_client::ChatClient;
use super::model_server::ModelServer;
use super::propagation;
use super::retrieval::Library;
use super::tools::Toolbox;
use super::wire::{Message, genai_messages};

/// What the demo asks: something for the library, something for each of the two tools.
const QUESTION: &str = "How large may the write-ahead log of SQLite grow when a checkpoint starts after 1000 * 4096 bytes, \
     why should a reader not stay in a transaction, and what is the weather in Reykjavik?";
const AGENT: &str = "librarian";
const MODEL: &str = "tiny-librarian";
/// How many passages the model gets to read.
const TOP_K: usize = 3;
/// The model asks for tools once; a loop without a bound would hang the demo if it kept asking.
const MAX_TURNS: usize = 4;

/// What came out of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The trace of the run, where a layer of ours recorded it.
    pub(super) trace_id: Option<TraceId>,
    /// The model's last words.
    pub(super) answer: String,
}

/// Starts the model server, lets the agent answer the demo's question, and waits for the server's last span.
pub(super) async fn demonstrate() -> anyhow::Result<Outcome> {
    let server = ModelServer::start().await.context("can't listen on loopback")?;
    // Unique for a run, so that two demos in one store are two tasks.
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let run = format!("{run:x}");
    let client = ChatClient::new(server.addr(), MODEL, format!("conversation-{run}"));
    let tools = Toolbox::new().context("can't take a port for the weather service")?;
    let outcome = run_agent(&run, QUESTION, &client, &Library::new(), &tools).await;
    server.stop().await;
    if let Ok(outcome) = &outcome {
        // Outside of every span: the store keeps such events too.
        info!(target: "agents", answer = outcome.answer, "the demo is over");
    }
    outcome
}

/// Answers one question.
#[instrument(
    target = "agents", name = "invoke_agent", skip_all, err,
    fields(
        otel.name = format!("invoke_agent {AGENT}"),
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = AGENT,
        gen_ai.conversation.id = client.conversation(),
        gen_ai.output.messages,
        task_id = format!("task-{run}"),
        agent_id = AGENT,
        session_id = format!("session-{run}"),
        user_id = "demo-user",
    )
)]
pub(super) async fn run_agent(
    run: &str,
    question: &str,
    client: &ChatClient,
    library: &Library,
    tools: &Toolbox,
) -> anyhow::Result<Outcome> {
    let span = Span::current();
    let trace_id = propagation::trace_id(&span);
    info!(target: "agents", question, "got a question");
    let mut messages = vec![
        Message::system(library.prompt(&library.search(question, TOP_K).await)),
        Message::user(question),
    ];
    for turn in 1..=MAX_TURNS {
        // The first answer is a list of tool calls, which nobody reads word by word; the later ones are streamed.
        let reply = if turn == 1 {
            client.chat(&messages, &tools.definitions()).await?
        } else {
            client.chat_streamed(&messages, &tools.definitions()).await?
        };
        let calls = reply.tool_calls.clone();
        messages.push(reply);
        if calls.is_empty() {
            let answer = messages
                .pop()
                .and_then(|last| last.content)
                .context("the model answered with nothing")?;
            span.record(
                "gen_ai.output.messages",
                genai_messages(&[Message::assistant(&answer)]),
            );
            info!(target: "agents", turns = turn, "answered");
            return Ok(Outcome { trace_id, answer });
        }
        // All calls of one turn run at the same time, as agents do it; answers keep the order of the calls.
        for (call, result) in tools.run_all(&calls).await {
            let content = result.unwrap_or_else(|error| {
                warn!(target: "agents", tool = call.function.name, "going on without a tool's result");
                serde_json::json!({ "error": error.to_string() }).to_string()
            });
            messages.push(Message::tool(&call.id, content));
        }
    }
    bail!("the model still asks for tools after {MAX_TURNS} turns")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    #[tokio::test]
    async fn the_answer_uses_the_passages_the_calculator_and_admits_the_missing_weather() {
        let outcome = super::demonstrate().await.unwrap();
        assert!(outcome.answer.contains("4096000"), "{}", outcome.answer);
        assert!(outcome.answer.contains("checkpoint"), "{}", outcome.answer);
        assert!(
            outcome.answer.contains("no weather for Reykjavik"),
            "{}",
            outcome.answer
        );
        assert_eq!(outcome.trace_id, None, "no layer is installed in this test");
    }
}
