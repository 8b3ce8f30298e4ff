//! A client of any OpenAI-compatible server, with spans as OpenTelemetry's GenAI conventions define
//! them.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use spanscope_core::propagation;
use spanscope_layers::genai::{ModelCall, Usage};
use spanscope_model::text::first_chars;
use tokio::sync::mpsc;
use tracing::{Span, debug, error, info};

use crate::Error;
use crate::endpoint::Endpoint;
use crate::http;
use crate::sse::SseParser;
use crate::wire::{
    self, ChatRequest, Choice, Completion, DONE, Message, StreamOptions, Tool, ToolCall, genai_messages,
};

/// How long a server may be silent: before its response begins, and between the pieces of a
/// streamed one. A longer silence fails the call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// The provider's default name in spans: the name of the API.
pub const DEFAULT_PROVIDER: &str = "openai";
/// Maximum size of a response in bytes. A larger one fails its call.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How many characters of a refusal the error quotes.
const MAX_REFUSAL: usize = 1_000;

/// One model on one server, and the conversation with it. It connects on first use.
#[derive(Debug, Clone)]
pub struct ChatClient {
    endpoint: Endpoint,
    model: String,
    provider: String,
    /// The value of the header `Authorization`, marked so that `Debug` does not show it.
    authorization: Option<HeaderValue>,
    conversation: Option<String>,
    timeout: Duration,
}

impl ChatClient {
    /// Creates a client of the server at this base URL, such as `http://localhost:11434/v1`. It
    /// supports only `http`: for a server that needs TLS, name a gateway on this machine that
    /// speaks it.
    ///
    /// # Errors
    /// The URL is invalid; the message explains why.
    pub fn new(base_url: &str, model: &str) -> Result<Self, Error> {
        Ok(Self {
            endpoint: Endpoint::parse(base_url)?,
            model: model.to_owned(),
            provider: DEFAULT_PROVIDER.to_owned(),
            authorization: None,
            conversation: None,
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Sets the key that is sent with each request, unencrypted like everything else. Default:
    /// none.
    ///
    /// # Errors
    /// The key has characters that no header can have.
    pub fn api_key(mut self, key: &str) -> Result<Self, Error> {
        let mut value = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(Error::because("the API key can't be sent in a header"))?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Sets the model's provider in spans and metrics. Default: [`DEFAULT_PROVIDER`].
    #[must_use]
    pub fn provider(mut self, name: &str) -> Self {
        name.clone_into(&mut self.provider);
        self
    }

    /// Sets the id of the conversation in spans. Default: none.
    #[must_use]
    pub fn conversation(mut self, id: &str) -> Self {
        self.conversation = Some(id.to_owned());
        self
    }

    /// Sets how long the server may be silent. Default: [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Requests the model's next message as one piece.
    pub(crate) async fn chat(&self, messages: &[Message], tools: &[Tool]) -> Result<Message, Error> {
        let call = self.call(messages);
        let answered = call.run(self.whole(&call, messages, tools)).await;
        finished(&call, answered)
    }

    /// Requests the model's next message and assembles it from its chunks. The call's span counts
    /// them; they have no spans. `listener` gets the pieces of the text as they arrive, and may be
    /// closed early.
    pub(crate) async fn chat_streamed(
        &self,
        messages: &[Message],
        tools: &[Tool],
        listener: Option<&mpsc::Sender<String>>,
    ) -> Result<Message, Error> {
        let call = self.call(messages);
        let work = self.streamed(&call, messages, tools, listener);
        let answered = call.run(work).await;
        finished(&call, answered)
    }

    fn call(&self, messages: &[Message]) -> ModelCall {
        let call = ModelCall::chat(&self.provider, &self.model);
        if let Some(id) = &self.conversation {
            call.conversation(id);
        }
        call.server(&self.endpoint.place.host, self.endpoint.place.port)
            .input_messages(&genai_messages(messages));
        call
    }

    async fn whole(&self, call: &ModelCall, messages: &[Message], tools: &[Tool]) -> Result<Message, Error> {
        let body = self.post(messages, tools, false).await?;
        let body = http::within(self.timeout, body.collect())
            .await?
            .map_err(Error::because("can't read the response"))?
            .to_bytes();
        let mut completion: Completion =
            serde_json::from_slice(&body).map_err(Error::because("the response is not a chat completion"))?;
        fail_on_reported_error(&completion)?;
        let choice = completion
            .choices
            .pop()
            .ok_or_else(|| Error::new("the response has no choice"))?;
        note_answer(call, &completion, choice.finish_reason.as_deref());
        choice
            .message
            .ok_or_else(|| Error::new("the response has no message"))
    }

    async fn streamed(
        &self,
        call: &ModelCall,
        messages: &[Message],
        tools: &[Tool],
        listener: Option<&mpsc::Sender<String>>,
    ) -> Result<Message, Error> {
        let mut body = self.post(messages, tools, true).await?;
        let mut parser = SseParser::default();
        let mut answer = StreamedAnswer::default();
        while !answer.done
            && let Some(frame) = http::within(self.timeout, body.frame()).await?
        {
            let frame = frame.map_err(Error::because("the stream broke"))?;
            let Some(piece) = frame.data_ref() else { continue };
            for data in parser.push(piece) {
                if data == DONE {
                    answer.done = true;
                    break;
                }
                let chunk: Completion =
                    serde_json::from_str(&data).map_err(Error::because("the stream has an invalid chunk"))?;
                fail_on_reported_error(&chunk)?;
                call.chunk();
                answer.chunks += 1;
                if answer.chunks == 1 {
                    debug!(target: "inference", "the first chunk is here");
                }
                let text = answer.add(chunk);
                if let (Some(listener), Some(text)) = (listener, text) {
                    // The listener may be closed; the whole message is still needed.
                    let _ = listener.send(text).await;
                }
            }
        }
        answer.end(call)
    }

    async fn post(
        &self,
        messages: &[Message],
        tools: &[Tool],
        stream: bool,
    ) -> Result<Limited<Incoming>, Error> {
        let body = serde_json::to_vec(&ChatRequest {
            model: self.model.clone(),
            messages: messages.to_vec(),
            tools: tools.to_vec(),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        })
        .map_err(Error::because("the request can't be written as JSON"))?;
        let place = &self.endpoint.place;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint.target)
            .header(header::HOST, place.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(Error::because("the request can't be sent by HTTP"))?;
        propagation::inject(&Span::current(), request.headers_mut());
        let (head, body) = http::send(place, request, self.timeout).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER);
        if !head.status.is_success() {
            let body = http::within(self.timeout, body.collect())
                .await?
                .map_err(Error::because("can't read the refusal"))?
                .to_bytes();
            let refusal = String::from_utf8_lossy(&body);
            let quoted = first_chars(&refusal, MAX_REFUSAL);
            return Err(Error::new(format!(
                "the server refused with {}: {quoted}",
                head.status
            )));
        }
        Ok(body)
    }
}

/// An incomplete message, and the information that the chunks have provided about it so far.
#[derive(Debug, Default)]
struct StreamedAnswer {
    message: Message,
    /// The last chunk with information about the whole message: its id, model and usage.
    about: Option<Completion>,
    finish_reason: Option<String>,
    chunks: u64,
    done: bool,
}

impl StreamedAnswer {
    /// Adds a chunk, and returns its text.
    fn add(&mut self, mut chunk: Completion) -> Option<String> {
        let Choice {
            delta, finish_reason, ..
        } = chunk.choices.pop().unwrap_or_default();
        if finish_reason.is_some() || chunk.usage.is_some() {
            // Some servers send the usage with every chunk: the last one counts.
            let usage = self.about.as_ref().and_then(|about| about.usage);
            chunk.usage = chunk.usage.or(usage);
            self.about = Some(chunk);
            self.finish_reason = finish_reason.or(self.finish_reason.take());
        }
        let delta = delta?;
        if !delta.role.is_empty() {
            self.message.role = delta.role;
        }
        for call in delta.tool_calls {
            self.add_call(call);
        }
        let text = delta.content?;
        self.message.content.get_or_insert_default().push_str(&text);
        (!text.is_empty()).then_some(text)
    }

    /// Adds a tool call, which arrives whole or in fragments. A fragment belongs to the call with
    /// its index, or to the last one if it has none; an id that is not that call's begins another,
    /// because some servers give all calls the same index.
    fn add_call(&mut self, fragment: ToolCall) {
        let calls = &mut self.message.tool_calls;
        let begun = calls
            .iter_mut()
            .rev()
            .find(|call| fragment.index.is_none() || call.index == fragment.index)
            .filter(|call| fragment.id.is_empty() || fragment.id == call.id);
        let Some(call) = begun else {
            return calls.push(fragment);
        };
        if call.function.name.is_empty() {
            call.function.name = fragment.function.name;
        }
        call.function.arguments.push_str(&fragment.function.arguments);
    }

    /// Records the answer in the call's span and returns the message; an error if the stream ended
    /// without `[DONE]`.
    fn end(mut self, call: &ModelCall) -> Result<Message, Error> {
        if let Some(about) = &self.about {
            note_answer(call, about, self.finish_reason.as_deref());
        }
        if !self.done {
            return Err(Error::new(format!(
                "the stream ended after {} chunks without {DONE}",
                self.chunks
            )));
        }
        for call in &mut self.message.tool_calls {
            call.index = None;
        }
        if self.message.role.is_empty() {
            wire::ASSISTANT.clone_into(&mut self.message.role);
        }
        Ok(self.message)
    }
}

/// Returns the error of a response that reports one: some servers send 200 and then an error, even
/// in the middle of a stream.
fn fail_on_reported_error(completion: &Completion) -> Result<(), Error> {
    match &completion.error {
        None => Ok(()),
        Some(error) => {
            let error = error.to_string();
            let quoted = first_chars(&error, MAX_REFUSAL);
            Err(Error::new(format!("the server failed: {quoted}")))
        }
    }
}

/// Records the id, model, finish reason and usage of a response, or of the last chunks of one.
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

/// Records the outcome.
fn finished(call: &ModelCall, answered: Result<Message, Error>) -> Result<Message, Error> {
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
