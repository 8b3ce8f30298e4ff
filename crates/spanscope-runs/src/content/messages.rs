//! Extracts the text of messages: OpenTelemetry's messages with parts, vendors' formats, plain
//! text.

use serde_json::{Map, Value as Json};

/// Maximum depth of nested messages; no library nests them deeper.
const MAX_DEPTH: usize = 8;

/// Keys of the text in an object that is not an OpenTelemetry message; the first has priority.
const TEXT_KEYS: [&str; 17] = [
    "parts",
    "content",
    "text",
    "message",
    "messages",
    "answer",
    "output",
    "outputs",
    "response",
    "choices",
    "candidates",
    "generations",
    "replies",
    "contents",
    "items",
    "value",
    // LangChain's serialization: {"lc": 1, "type": "constructor", "kwargs": {"content": "..."}}.
    "kwargs",
];

/// Returns the text of messages, without roles, tool calls and reasoning; `None` if they have none.
pub(crate) fn text_of(messages: &Json) -> Option<String> {
    Gathered::of(messages, TextKind::Text)
}

/// Returns the response of the model or the agent: the last messages of a conversation, after those
/// of the user, the instructions and tools.
pub(crate) fn answer_of(messages: &Json) -> Option<String> {
    Gathered::of(messages, TextKind::Answer)
}

/// Returns the reasoning of a model before its response.
pub(crate) fn reasoning_of(messages: &Json) -> Option<String> {
    Gathered::of(messages, TextKind::Reasoning)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextKind {
    Text,
    Answer,
    Reasoning,
}

/// Returns whether an object of this type is a text, or contains texts.
fn is_text(part: Option<&str>) -> bool {
    matches!(
        part,
        // Those with capitals, `ai`, `human`, `system` and `constructor` are LangChain's;
        // `chat_messages`, `json` and `raw` are LangWatch's.
        None | Some(
            "text"
                | "output_text"
                | "input_text"
                | "message"
                | "ai"
                | "human"
                | "system"
                | "AIMessageChunk"
                | "Generation"
                | "ChatGeneration"
                | "ChatGenerationChunk"
                | "constructor"
                | "chat_messages"
                | "json"
                | "raw"
        )
    )
}

fn is_reasoning(object: &Map<String, Json>) -> bool {
    let part = object.get("type").and_then(Json::as_str);
    // Gemini marks reasoning text.
    let is_marked = object.get("thought") == Some(&Json::Bool(true));
    is_marked || matches!(part, Some("reasoning" | "thinking" | "thought"))
}

/// Returns whether an object is a message from anyone except the model: the user, the instructions,
/// a tool.
fn is_of_others(message: &Json) -> bool {
    const OTHERS: [&str; 6] = ["user", "human", "system", "developer", "tool", "function"];
    let word = |key: &str| message.get(key).and_then(Json::as_str);
    let of_class = |id: &Json| {
        let class = id.as_array()?.last()?.as_str()?;
        Some(["HumanMessage", "SystemMessage", "ToolMessage"].contains(&class))
    };
    let role = word("role").or_else(|| word("type").filter(|_| message.get("content").is_some()));
    role.is_some_and(|role| OTHERS.contains(&role)) || message.get("id").and_then(of_class).unwrap_or(false)
}

/// Joined texts.
struct Gathered {
    wanted: TextKind,
    text: String,
}

impl Gathered {
    fn of(messages: &Json, wanted: TextKind) -> Option<String> {
        let mut this = Self {
            wanted,
            text: String::new(),
        };
        this.gather(messages, 0);
        (!this.text.is_empty()).then_some(this.text)
    }

    fn gather(&mut self, value: &Json, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Json::String(part) if self.wanted != TextKind::Reasoning => push(&mut self.text, part),
            Json::Array(items) => {
                let after_others = match self.wanted {
                    TextKind::Answer => items.iter().rposition(is_of_others).map_or(0, |last| last + 1),
                    _ => 0,
                };
                for item in &items[after_others..] {
                    self.gather(item, depth + 1);
                }
            }
            Json::Object(_) if self.wanted == TextKind::Answer && is_of_others(value) => {}
            Json::Object(object) if is_reasoning(object) => self.gather_thought(object),
            Json::Object(object) if is_text(object.get("type").and_then(Json::as_str)) => {
                let inner = TEXT_KEYS
                    .iter()
                    .find_map(|key| object.get(*key).filter(|value| !value.is_null()));
                if let Some(inner) = inner {
                    self.gather(inner, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn gather_thought(&mut self, thought: &Map<String, Json>) {
        if self.wanted == TextKind::Reasoning {
            let text = ["content", "text", "thinking", "reasoning"]
                .iter()
                .find_map(|key| thought.get(*key).and_then(Json::as_str));
            push(&mut self.text, text.unwrap_or_default());
        }
    }
}

fn push(text: &mut String, part: &str) {
    if part.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_and_reasoning_are_found_separately_in_messages_of_all_kinds() {
        for (messages, text, reasoning) in [
            (json!("plain"), Some("plain"), None),
            (json!([{"role": "assistant", "content": "hi"}]), Some("hi"), None),
            (
                json!([{"parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "a"}]},
                       {"parts": [{"type": "text", "content": "b"}]}]),
                Some("a\nb"),
                Some("hm"),
            ),
            (
                json!([{"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]}]),
                Some("a"),
                Some("hm"),
            ),
            (
                json!({"choices": [{"message": {"content": "c"}}]}),
                Some("c"),
                None,
            ),
            (
                json!([{"parts": [{"type": "tool_call", "name": "t", "arguments": {"text": "x"}}]}]),
                None,
                None,
            ),
            (json!([{"content": null, "tool_calls": []}]), None, None),
            (json!({"temperature": 3}), None, None),
            (
                json!([{"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "a"}]}]),
                Some("a"),
                Some("hm"),
            ),
            (
                json!({"lc": 1, "type": "constructor", "kwargs": {"content": "c", "type": "ai"}}),
                Some("c"),
                None,
            ),
            (
                json!({"type": "chat_messages", "value": [{"role": "user", "content": "q"}]}),
                Some("q"),
                None,
            ),
            (json!(17), None, None),
        ] {
            assert_eq!(text_of(&messages).as_deref(), text, "{messages}");
            assert_eq!(reasoning_of(&messages).as_deref(), reasoning, "{messages}");
        }
        for (messages, answer) in [
            (json!("plain"), Some("plain")),
            (
                json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]),
                Some("a"),
            ),
            (
                json!([{"role": "assistant", "content": "a"}, {"role": "tool", "content": "snow"},
                       {"role": "assistant", "content": "b"}, {"role": "assistant", "content": "c"}]),
                Some("b\nc"),
            ),
            (json!([{"role": "tool", "content": "snow"}]), None),
            (
                json!({"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "a"}]}),
                Some("a"),
            ),
            (json!([{"type": "text", "text": "a"}]), Some("a")),
        ] {
            assert_eq!(answer_of(&messages).as_deref(), answer, "{messages}");
        }
        let mut deep = json!("x");
        for _ in 0..1000 {
            deep = json!([deep]);
        }
        assert_eq!(text_of(&deep), None);
    }
}
