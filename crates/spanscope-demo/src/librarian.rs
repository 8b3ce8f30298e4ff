//! The agent: search, ask the model, run the tools it asks for, ask again.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::Error;
use crate::chat_client::ChatClient;
use crate::pieces::Pieces;
use crate::retrieval::Library;
use crate::tools::Toolbox;
use crate::wire::Message;

/// How often the model is asked for one answer. Without a bound a model that keeps asking for tools would hang the agent;
/// one that still asks then fails the run.
pub const MAX_TURNS: usize = 4;
/// How many tools the model may ask for at once. More fail the run.
pub const MAX_CALLS: usize = 16;
/// How many passages the model gets to read.
const TOP_K: usize = 3;

/// An agent with a small library and two tools: a calculator, and a weather service that is down.
///
/// It opens spans for its search, its calls of the model and its tools below the span that is current, which is to be
/// the `invoke_agent` span of the caller. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Librarian {
    client: ChatClient,
    library: Arc<Library>,
    tools: Arc<Toolbox>,
    streams_every_call: bool,
}

impl Librarian {
    /// An agent that asks the client's model.
    ///
    /// # Errors
    /// There is no free port on the loopback interface, for the service that is down.
    pub fn new(client: ChatClient) -> Result<Self, Error> {
        let tools = Toolbox::new().map_err(Error::because("can't take a port for the weather service"))?;
        Ok(Self {
            client,
            library: Arc::new(Library::new()),
            tools: Arc::new(tools),
            streams_every_call: false,
        })
    }

    /// The same agent in a conversation of its own, which its calls of the model are noted to be part of.
    #[must_use]
    pub fn in_conversation(&self, id: &str) -> Self {
        Self {
            client: self.client.clone().conversation(id),
            ..self.clone()
        }
    }

    /// Streams the first call of the model as well. By default it does not, because what comes of it is mostly a list of tool
    /// calls, which nobody reads word by word; an answer that needs no tool then comes in one piece.
    #[must_use]
    pub fn streams_every_call(mut self) -> Self {
        self.streams_every_call = true;
        self
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The model's server can't be reached, refuses, breaks off or is silent for too long, or the model goes on asking for
    /// tools. A tool that fails is no error: the model is told, and answers as well as it can.
    pub async fn answer(&self, question: &str) -> Result<String, Error> {
        self.work_on(question, None).await
    }

    /// The same as a stream of its pieces, as they come. What a model says before it asks for tools is among them, and not in
    /// the [`answer`](Self::answer).
    #[must_use]
    pub fn answer_in_pieces(&self, question: &str) -> Pieces {
        let librarian = self.clone();
        let question = question.to_owned();
        Pieces::of(|sender| async move { librarian.work_on(&question, Some(&sender)).await })
    }

    async fn work_on(
        &self,
        question: &str,
        listener: Option<&mpsc::Sender<String>>,
    ) -> Result<String, Error> {
        info!(target: "agents", question, "got a question");
        let found = self.library.search(question, TOP_K).await;
        let mut messages = vec![
            Message::system(self.library.prompt(&found)),
            Message::user(question),
        ];
        let tools = self.tools.definitions();
        for turn in 1..=MAX_TURNS {
            let reply = if turn > 1 || self.streams_every_call {
                self.client.chat_streamed(&messages, &tools, listener).await?
            } else {
                let reply = self.client.chat(&messages, &tools).await?;
                if let (Some(listener), Some(text)) = (listener, &reply.content)
                    && !text.is_empty()
                {
                    // Whoever listens no more has what it wanted.
                    let _ = listener.send(text.clone()).await;
                }
                reply
            };
            let calls = reply.tool_calls.clone();
            if calls.is_empty() {
                let answer = reply.content.filter(|text| !text.is_empty());
                let answer = answer.ok_or_else(|| Error::new("the model answered with nothing"))?;
                info!(target: "agents", turns = turn, "answered");
                return Ok(answer);
            }
            if calls.len() > MAX_CALLS {
                let many = calls.len();
                return Err(Error::new(format!("the model asks for {many} tools at once")));
            }
            messages.push(reply);
            // All calls of one turn run at the same time, as agents do it; answers keep the order of the calls.
            for (call, result) in self.tools.run_all(&calls).await {
                let content = result.unwrap_or_else(|error| {
                    warn!(target: "agents", tool = call.function.name, "going on without a tool's result");
                    serde_json::json!({ "error": error.to_string() }).to_string()
                });
                messages.push(Message::tool(&call.id, content));
            }
        }
        Err(Error::new(format!(
            "the model still asks for tools after {MAX_TURNS} turns"
        )))
    }
}
