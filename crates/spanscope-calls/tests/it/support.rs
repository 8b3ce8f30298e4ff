//! An exchange with a server, and bodies that providers send.

use std::time::Duration;

use serde_json::{Value, json};
use spanscope_calls::{CallReader, Endpoint, ModelCall, ReadSettings, ResponseHead};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const RESPONSES: &str = "/v1/responses";
pub(crate) const MESSAGES: &str = "/v1/messages";

/// An exchange with a server.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) path: &'static str,
    pub(crate) request: Value,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) encoding: &'static str,
    pub(crate) answer: Vec<u8>,
    pub(crate) content: bool,
}

impl Exchange {
    pub(crate) fn new(path: &'static str, request: Value, answer: impl Into<Vec<u8>>) -> Self {
        Self {
            path,
            request,
            status: 200,
            content_type: "application/json",
            encoding: "",
            answer: answer.into(),
            content: false,
        }
    }

    pub(crate) fn chat(answer: impl Into<Vec<u8>>) -> Self {
        let request = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }] });
        Self::new(CHAT, request, answer)
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_content(mut self) -> Self {
        self.content = true;
        self
    }

    pub(crate) fn reader(&self) -> CallReader {
        let endpoint = Endpoint::of("POST", "127.0.0.1", Some(8000), self.path).unwrap();
        let mut reader = CallReader::new(endpoint, ReadSettings::default().content(self.content));
        for piece in self.request.to_string().as_bytes().chunks(11) {
            reader.request_body(piece);
        }
        reader.finish_request();
        let head = ResponseHead::new(self.status)
            .content_type(self.content_type)
            .content_encoding(self.encoding);
        reader.response_head(head);
        reader
    }

    /// Reads it in pieces of this size, the first after 1 ms, the second after 2 ms.
    pub(crate) fn read_by(&self, size: usize) -> Option<ModelCall> {
        let mut reader = self.reader();
        for (at, piece) in (1..).zip(self.answer.chunks(size.max(1))) {
            reader.response_body(piece, Duration::from_millis(at));
        }
        reader.finish()
    }

    pub(crate) fn read(&self) -> Option<ModelCall> {
        self.read_by(self.answer.len())
    }

    /// Reads the start of the response, after which the connection broke.
    pub(crate) fn read_cut(&self, end: usize) -> Option<ModelCall> {
        let mut reader = self.reader();
        reader.response_body(&self.answer[..end], Duration::from_millis(1));
        reader.finish_incomplete()
    }
}

pub(crate) fn events(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// Events with their names, as Anthropic and OpenAI's Responses API send them.
pub(crate) fn named(events: &[Value]) -> String {
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

pub(crate) fn usage(call: &ModelCall) -> (Option<u64>, Option<u64>) {
    call.usage
        .map_or((None, None), |usage| (usage.input, usage.output))
}

pub(crate) fn chunk(delta: Value, finish_reason: Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "system_fingerprint": "fp_1",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }], "usage": null,
    })
}

pub(crate) fn streamed_chat() -> String {
    let call =
        |arguments: &str| json!({ "tool_calls": [{ "index": 0, "function": { "arguments": arguments } }] });
    let chunks = [
        chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
        chunk(json!({ "content": "Grüße \u{1F600}" }), Value::Null),
        chunk(
            json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "" } }] }),
            Value::Null,
        ),
        chunk(call("{\"city\":"), Value::Null),
        chunk(call("\"Paris\"}"), Value::Null),
        chunk(json!({}), json!("tool_calls")),
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", "choices": [],
            "usage": {
                "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                "prompt_tokens_details": { "cached_tokens": 64 }, "completion_tokens_details": { "reasoning_tokens": 8 },
            },
        }),
    ];
    events(&chunks) + "data: [DONE]\n\n"
}
