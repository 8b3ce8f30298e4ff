//! The text in messages: OpenTelemetry's with their parts, what vendors send, plain texts.

use serde_json::Value as Json;

/// Messages nested deeper than this are none that anybody writes.
const MAX_DEPTH: usize = 8;

/// Keys under which an object that is no message of OpenTelemetry holds its text, the first counts.
const TEXT_KEYS: [&str; 10] = [
    "parts",
    "content",
    "text",
    "message",
    "messages",
    "answer",
    "output",
    "response",
    "choices",
    "generations",
];

/// What messages say, without roles, tool calls and reasoning; none where there is no text in them.
pub(crate) fn text_of(messages: &Json) -> Option<String> {
    let mut text = String::new();
    gather(messages, &is_text, &mut text, 0);
    (!text.is_empty()).then_some(text)
}

/// What a model thought before it answered.
pub(crate) fn reasoning_of(messages: &Json) -> Option<String> {
    let mut text = String::new();
    gather(messages, &is_reasoning, &mut text, 0);
    (!text.is_empty()).then_some(text)
}

fn is_text(part: Option<&str>) -> bool {
    matches!(
        part,
        // Those with capitals, and `ai`, are LangChain's.
        None | Some(
            "text"
                | "output_text"
                | "input_text"
                | "message"
                | "ai"
                | "AIMessageChunk"
                | "Generation"
                | "ChatGeneration"
                | "ChatGenerationChunk"
        )
    )
}

fn is_reasoning(part: Option<&str>) -> bool {
    matches!(part, Some("reasoning" | "thinking" | "thought"))
}

/// Appends the texts of the parts that are wanted. A part tells its type; a text without one is wanted where `None` is.
fn gather(value: &Json, is_wanted: &dyn Fn(Option<&str>) -> bool, text: &mut String, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Json::String(part) if is_wanted(None) => push(text, part),
        Json::Array(items) => {
            for item in items {
                gather(item, is_wanted, text, depth + 1);
            }
        }
        Json::Object(object) => {
            let part = object.get("type").and_then(Json::as_str);
            if is_reasoning(part) {
                if is_wanted(part) {
                    let thought = ["content", "text", "thinking", "reasoning"]
                        .iter()
                        .find_map(|key| object.get(*key).and_then(Json::as_str));
                    push(text, thought.unwrap_or_default());
                }
            } else if is_text(part)
                && let Some(inner) = TEXT_KEYS
                    .iter()
                    .find_map(|key| object.get(*key).filter(|value| !value.is_null()))
            {
                gather(inner, is_wanted, text, depth + 1);
            }
        }
        _ => {}
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
    fn text_is_found_in_messages_of_all_kinds_and_reasoning_apart_from_it() {
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
            (json!(17), None, None),
        ] {
            assert_eq!(text_of(&messages).as_deref(), text, "{messages}");
            assert_eq!(reasoning_of(&messages).as_deref(), reasoning, "{messages}");
        }
        let mut deep = json!("x");
        for _ in 0..1000 {
            deep = json!([deep]);
        }
        assert_eq!(text_of(&deep), None);
    }
}
