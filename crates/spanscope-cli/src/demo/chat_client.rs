//! A client of any OpenAI-compatible server, with the spans that OpenTelemetry's GenAI conventions ask for.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use spanscope::genai::{ModelCall, Usage};
use tracing::{Span, debug, error, info};

use super::http;
use super::propagation;
use super::sse::SseParser;
use super::wire::{
    CHAT_PATH, ChatRequest, Choice, Completion, DONE, Message, StreamOptions, Tool, genai_messages,
};

const PROVIDER: &str = "spanscope-demo";

/// One conversation with one model on one server.
#[derive(Debug)]
pub(super) struct ChatClient {
    addr: SocketAddr,
    model: &'static str,
    conversation: String,
}

impl ChatClient {
    /// A client for the server at `addr`; it connects when it is used.
    pub(super) fn new(addr: SocketAddr, model: &'static str, conversation: String) -> Self {
        Self {
            addr,
            model,
            conversation,
        }
    }

    /// The id of the conversation.
    pub(super) fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Asks for the model's next message and gets it in one piece.
    pub(super) async fn chat(&self, messages: &[Message], tools: &[Tool]) -> anyhow::Result<Message> {
        let call = self.call(messages);
        let answered = call.instrument(self.whole(&call, messages, tools)).await;
        finished(&call, answered)
    }

    /// Asks for the model's next message and puts it together from its chunks. These are counted, not a span each.
    pub(super) async fn chat_streamed(
        &self,
        messages: &[Message],
        tools: &[Tool],
    ) -> anyhow::Result<Message> {
        let call = self.call(messages);
        let answered = call.instrument(self.streamed(&call, messages, tools)).await;
        finished(&call, answered)
    }

    fn call(&self, messages: &[Message]) -> ModelCall {
        let call = ModelCall::chat(PROVIDER, self.model);
        call.conversation(&self.conversation)
            .server(&self.addr.ip().to_string(), self.addr.port())
            .input_messages(&genai_messages(messages));
        call
    }

    async fn whole(&self, call: &ModelCall, messages: &[Message], tools: &[Tool]) -> anyhow::Result<Message> {
        let response = self.post(messages, tools, false).await?;
        let body = response
            .collect()
            .await
            .context("can't read the answer")?
            .to_bytes();
        let mut completion: Completion =
            serde_json::from_slice(&body).context("the answer is no chat completion")?;
        let choice = completion
            .choices
            .pop()
            .context("the answer has no choice in it")?;
        note_answer(call, &completion, choice.finish_reason.as_deref());
        choice.message.context("the answer has no message in it")
    }

    async fn streamed(
        &self,
        call: &ModelCall,
        messages: &[Message],
        tools: &[Tool],
    ) -> anyhow::Result<Message> {
        let mut body = self.post(messages, tools, true).await?.into_body();
        let mut parser = SseParser::default();
        let mut answer = StreamedAnswer::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the stream broke")?;
            let Some(piece) = frame.data_ref() else { continue };
            for data in parser.push(piece) {
                if data == DONE {
                    answer.done = true;
                    continue;
                }
                let chunk: Completion =
                    serde_json::from_str(&data).context("the stream has a chunk that is none")?;
                call.chunk();
                answer.chunks += 1;
                if answer.chunks == 1 {
                    debug!(target: "inference", "the first chunk is here");
                }
                answer.add(call, chunk);
            }
        }
        if !answer.done {
            bail!("the stream ended after {} chunks without {DONE}", answer.chunks);
        }
        Ok(answer.message)
    }

    async fn post(
        &self,
        messages: &[Message],
        tools: &[Tool],
        stream: bool,
    ) -> anyhow::Result<Response<Incoming>> {
        let body = serde_json::to_vec(&ChatRequest {
            model: self.model.to_owned(),
            messages: messages.to_vec(),
            tools: tools.to_vec(),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        })?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(CHAT_PATH)
            .header(header::HOST, self.addr.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(context) = propagation::header_of(&Span::current()) {
            request = request.header(propagation::HEADER, context);
        }
        let response = http::send(self.addr, request.body(Full::new(Bytes::from(body)))?).await?;
        let status = response.status();
        if !status.is_success() {
            let body = response
                .collect()
                .await
                .context("can't read the refusal")?
                .to_bytes();
            bail!(
                "the server refused with {status}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Ok(response)
    }
}

/// A message that is not complete yet.
#[derive(Debug, Default)]
struct StreamedAnswer {
    message: Message,
    chunks: u64,
    done: bool,
}

impl StreamedAnswer {
    fn add(&mut self, call: &ModelCall, mut chunk: Completion) {
        let Choice {
            delta, finish_reason, ..
        } = chunk.choices.pop().unwrap_or_default();
        if finish_reason.is_some() || chunk.usage.is_some() {
            note_answer(call, &chunk, finish_reason.as_deref());
        }
        let Some(delta) = delta else { return };
        if !delta.role.is_empty() {
            self.message.role = delta.role;
        }
        if let Some(text) = delta.content {
            self.message.content.get_or_insert_default().push_str(&text);
        }
        self.message.tool_calls.extend(delta.tool_calls);
    }
}

/// Notes what an answer, or the last chunks of one, says about itself.
fn note_answer(call: &ModelCall, completion: &Completion, finish_reason: Option<&str>) {
    call.response(&completion.id, &completion.model);
    if let Some(reason) = finish_reason {
        call.finish_reason(reason);
    }
    if let Some(usage) = completion.usage {
        call.usage(Usage::new(
            usage.prompt_tokens as u64,
            usage.completion_tokens as u64,
        ));
        info!(target: "inference", total_tokens = usage.total_tokens, "the model has answered");
    }
}

/// Notes how it went.
fn finished(call: &ModelCall, answered: anyhow::Result<Message>) -> anyhow::Result<Message> {
    match &answered {
        Ok(message) => {
            call.output_messages(&genai_messages(std::slice::from_ref(message)));
        }
        Err(failure) => {
            call.in_scope(|| error!(target: "inference", error = format!("{failure:#}")));
            call.failed("no_answer", failure);
        }
    }
    answered
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::demo::model_server::ModelServer;

    #[tokio::test]
    async fn whole_and_streamed_answers_are_the_same() {
        let server = ModelServer::start().await.unwrap();
        let client = ChatClient::new(server.addr(), "test", "conversation".to_owned());
        let messages = [
            Message::system("[1] Größe: Ein Wal wiegt sehr viel."),
            Message::user("Was wiegt ein Wal?"),
        ];
        let whole = client.chat(&messages, &[]).await.unwrap();
        let streamed = client.chat_streamed(&messages, &[]).await.unwrap();
        assert_eq!(whole.content.as_deref(), Some("Ein Wal wiegt sehr viel [1]."));
        assert_eq!(whole.content, streamed.content);
        assert_eq!(streamed.role, "assistant");
        server.stop().await;
        let refused = client.chat(&messages, &[]).await.unwrap_err();
        assert!(refused.to_string().starts_with("can't connect to"), "{refused}");
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_said() {
        let server = ModelServer::start().await.unwrap();
        let request = Request::post(CHAT_PATH)
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        let response = http::send(server.addr(), request).await.unwrap();
        assert_eq!(response.status(), 400);
        let body = response.collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("missing field"));
        let request = Request::get("/elsewhere").body(Full::default()).unwrap();
        assert_eq!(http::send(server.addr(), request).await.unwrap().status(), 404);
        server.stop().await;
    }
}
