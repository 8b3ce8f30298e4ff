//! The agent: search, call the model, run the tools that it requests, call it again.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::Error;
use crate::chat_client::ChatClient;
use crate::pieces::Pieces;
use crate::retrieval::Library;
use crate::tools::Toolbox;
use crate::wire::Message;

/// Maximum number of model calls for one answer. Without a limit a model that keeps requesting
/// tools would hang the agent; the run fails if the last call still requests one.
pub const MAX_TURNS: usize = 4;
/// Maximum number of tools that the model may request in one turn. More fail the run.
pub const MAX_CALLS: usize = 16;
/// How many passages the model gets.
const TOP_K: usize = 3;

/// An agent with a small library and two tools: a calculator, and a weather service that is down.
///
/// It opens spans for its search, its model calls and its tools below the current span, which
/// should be the caller's `invoke_agent` span. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Librarian {
    client: ChatClient,
    library: Arc<Library>,
    tools: Arc<Toolbox>,
    streams_every_call: bool,
}

impl Librarian {
    /// Creates an agent that calls the client's model.
    ///
    /// # Errors
    /// The loopback interface has no free port for the service that is down.
    pub fn new(client: ChatClient) -> Result<Self, Error> {
        let tools = Toolbox::new().map_err(Error::because("can't take a port for the weather service"))?;
        Ok(Self {
            client,
            library: Arc::new(Library::new()),
            tools: Arc::new(tools),
            streams_every_call: false,
        })
    }

    /// Returns the same agent with another conversation id, which its model calls record.
    #[must_use]
    pub fn in_conversation(&self, id: &str) -> Self {
        Self {
            client: self.client.clone().conversation(id),
            ..self.clone()
        }
    }

    /// Streams the first model call as well. By default it is not streamed, because its result is
    /// mostly a list of tool calls, which is of no use word by word; an answer that needs no tool
    /// is then one piece.
    #[must_use]
    pub fn streams_every_call(mut self) -> Self {
        self.streams_every_call = true;
        self
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The model's server is unreachable, refuses, breaks off or is silent for too long, or the
    /// model keeps requesting tools. A tool that fails is not an error: the model is informed, and
    /// answers as well as it can.
    pub async fn answer(&self, question: &str) -> Result<String, Error> {
        self.work_on(question, None).await
    }

    /// Answers one question as a stream of pieces. They include the text that a model sends before
    /// it requests tools, which [`answer`](Self::answer) leaves out.
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
                    // The listener may be closed.
                    let _ = listener.send(text.clone()).await;
                }
                reply
            };
            let calls = reply.tool_calls.clone();
            if calls.is_empty() {
                let answer = reply.content.filter(|text| !text.is_empty());
                let answer = answer.ok_or_else(|| Error::new("the model's response is empty"))?;
                info!(target: "agents", turns = turn, "answered");
                return Ok(answer);
            }
            if calls.len() > MAX_CALLS {
                let many = calls.len();
                return Err(Error::new(format!("the model calls {many} tools at once")));
            }
            messages.push(reply);
            // All calls of one turn run at the same time, as agents do it; results keep the order
            // of the calls.
            for (call, result) in self.tools.run_all(&calls).await {
                let content = result.unwrap_or_else(|error| {
                    warn!(target: "agents", tool = call.function.name, "going on without a tool's result");
                    serde_json::json!({ "error": error.to_string() }).to_string()
                });
                messages.push(Message::tool(&call.id, content));
            }
        }
        Err(Error::new(format!(
            "the model still calls tools after {MAX_TURNS} turns"
        )))
    }
}
