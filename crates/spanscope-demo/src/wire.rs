//! The JSON of `/v1/chat/completions`, for both sides. Reading is lenient: servers leave fields
//! out, or send null for them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// The route.
pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";
/// The last event of a stream.
pub(crate) const DONE: &str = "[DONE]";
/// The model's role.
pub(crate) const ASSISTANT: &str = "assistant";
/// The only kind of tool.
const FUNCTION: &str = "function";

/// A client's request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Tool>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream_options: Option<StreamOptions>,
}

/// A client's options for its stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
}

/// A tool that the model may request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tool {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) function: Function,
}

/// A tool's definition for the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) parameters: Value,
}

/// One message of a conversation; also the delta of a chunk, which has no role after the first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Message {
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) role: String,
    #[serde(
        default,
        deserialize_with = "text_of",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) content: Option<String>,
    #[serde(
        default,
        deserialize_with = "or_nothing",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call_id: Option<String>,
}

/// Reads null like a missing field.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a content as clients send it: a text, or a list of parts with a text each.
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

/// The model's request to run a tool; in a stream also a fragment of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ToolCall {
    /// The index of the call that a fragment belongs to; only in streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) id: String,
    #[serde(rename = "type", default = "function")]
    pub(crate) kind: String,
    pub(crate) function: FunctionCall,
}

/// The tool and its arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FunctionCall {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) name: String,
    /// JSON as text.
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) arguments: String,
}

fn function() -> String {
    FUNCTION.to_owned()
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
}

/// A whole completion, or one chunk of a streamed one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Completion {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) object: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub(crate) created: u64,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) model: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) choices: Vec<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    /// The error in place of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Value>,
}

/// One of the choices; there is exactly one, except in the chunk with the usage.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Choice {
    #[serde(default)]
    pub(crate) index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delta: Option<Message>,
    pub(crate) finish_reason: Option<String>,
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
    pub(crate) fn system(content: impl Into<String>) -> Self {
        Self::text("system", content)
    }

    /// The user's message.
    pub(crate) fn user(content: impl Into<String>) -> Self {
        Self::text("user", content)
    }

    /// The model's message.
    pub(crate) fn assistant(content: impl Into<String>) -> Self {
        Self::text(ASSISTANT, content)
    }

    /// A tool's result.
    pub(crate) fn tool(call_id: &str, content: impl Into<String>) -> Self {
        Self {
            tool_call_id: Some(call_id.to_owned()),
            ..Self::text("tool", content)
        }
    }

    /// The message in the format of OpenTelemetry's `gen_ai.input.messages` and
    /// `gen_ai.output.messages`.
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
pub(crate) fn genai_messages(messages: &[Message]) -> String {
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
