//! The JSON of `/v1/chat/completions`, as both sides of the demo speak it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// The route.
pub(super) const CHAT_PATH: &str = "/v1/chat/completions";
/// What ends a stream.
pub(super) const DONE: &str = "[DONE]";

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<Tool>,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptions>,
}

/// How a client wants its stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub(super) include_usage: bool,
}

/// A tool that the model may ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) function: Function,
}

/// What the model gets to know of a tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) parameters: Value,
}

/// One message of a conversation; also the delta of a chunk, which has no role after the first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Message {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) role: String,
    #[serde(
        default,
        deserialize_with = "text_of",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) content: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<String>,
}

/// Reads a content as clients send it: a text, or a list of parts that have one each.
fn text_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Part {
        text: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Parts(Vec<Part>),
    }
    let content = Option::<Content>::deserialize(deserializer)?;
    Ok(content.map(|content| match content {
        Content::Text(text) => text,
        Content::Parts(parts) => {
            let texts: Vec<String> = parts.into_iter().map(|part| part.text).collect();
            texts.join("\n")
        }
    }))
}

/// The model's wish to have a tool run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ToolCall {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) function: FunctionCall,
}

/// Which tool, with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FunctionCall {
    pub(super) name: String,
    /// JSON as text.
    pub(super) arguments: String,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
}

/// A whole answer, or one chunk of a streamed one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Completion {
    pub(super) id: String,
    pub(super) object: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) choices: Vec<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
}

/// One of the answers; there is always exactly one, except in the chunk that brings the usage.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Choice {
    pub(super) index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<Message>,
    pub(super) finish_reason: Option<String>,
}

impl Message {
    fn text(role: &str, content: impl Into<String>) -> Self {
        Self {
            role: role.to_owned(),
            content: Some(content.into()),
            ..Self::default()
        }
    }

    /// Instructions and passages for the model.
    pub(super) fn system(content: impl Into<String>) -> Self {
        Self::text("system", content)
    }

    /// What the user said.
    pub(super) fn user(content: impl Into<String>) -> Self {
        Self::text("user", content)
    }

    /// What the model said.
    pub(super) fn assistant(content: impl Into<String>) -> Self {
        Self::text("assistant", content)
    }

    /// What a tool returned.
    pub(super) fn tool(call_id: &str, content: impl Into<String>) -> Self {
        Self {
            tool_call_id: Some(call_id.to_owned()),
            ..Self::text("tool", content)
        }
    }

    /// The message as OpenTelemetry's `gen_ai.input.messages` and `gen_ai.output.messages` have it.
    fn as_genai(&self) -> Value {
        let mut parts = Vec::new();
        match (&self.content, &self.tool_call_id) {
            (Some(result), Some(id)) => {
                parts.push(json!({ "type": "tool_call_response", "id": id, "response": result }));
            }
            (Some(text), None) => parts.push(json!({ "type": "text", "content": text })),
            (None, _) => {}
        }
        for call in &self.tool_calls {
            let arguments: Value = serde_json::from_str(&call.function.arguments).unwrap_or_default();
            parts.push(json!({
                "type": "tool_call", "id": call.id, "name": call.function.name, "arguments": arguments,
            }));
        }
        json!({ "role": self.role, "parts": parts })
    }
}

/// Messages as one span attribute.
pub(super) fn genai_messages(messages: &[Message]) -> String {
    Value::from_iter(messages.iter().map(Message::as_genai)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_a_text_or_a_list_of_texts() {
        for (content, expected) in [
            (json!("one"), Some("one")),
            (json!([{ "type": "text", "text": "one" }]), Some("one")),
            (
                json!([{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }]),
                Some("one\ntwo"),
            ),
            (json!(null), None),
        ] {
            let message = json!({ "role": "user", "content": content });
            let message: Message = serde_json::from_value(message).expect("a message");
            assert_eq!(message.content.as_deref(), expected);
        }
        let picture = json!([{ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } }]);
        assert!(serde_json::from_value::<Message>(json!({ "role": "user", "content": picture })).is_err());
    }
}
