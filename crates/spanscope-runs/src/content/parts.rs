//! Converts messages to the form of OpenTelemetry's conventions: a role, and parts with a type.
//!
//! Providers and libraries write the same content in many forms: strings, lists of blocks, objects
//! with a member for each kind, JSON in a string. Any other form is left unchanged.

use serde_json::{Map, Value as Json, json};

/// Content that is nested deeper is left unchanged.
const MAX_DEPTH: usize = 8;

/// Returns a message with this role. `None` if it has no content.
pub(super) fn message(role: &str, parts: Vec<Json>) -> Option<Json> {
    (!parts.is_empty()).then(|| json!({"role": role, "parts": parts}))
}

/// Returns the parts of a content in any form.
pub(super) fn parts_of(content: &Json) -> Vec<Json> {
    let mut parts = Vec::new();
    gather(content, &mut parts, 0);
    parts
}

/// Returns a tool's input or result from its message or block: a string if it has only text, the
/// arguments or the result of a call, anything else unchanged.
pub(super) fn plain(content: Json) -> Json {
    let content = parsed(content);
    match &content {
        Json::Array(items) if items.len() > 1 || items.iter().all(|item| text_in(item).is_some()) => {
            let texts: Option<Vec<&str>> = items.iter().map(text_in).collect();
            match texts {
                Some(texts) if !texts.is_empty() => texts.join("\n").into(),
                _ => content,
            }
        }
        Json::Array(items) => match items.first().and_then(carried) {
            Some(inner) => plain(inner),
            None => content,
        },
        Json::Object(_) => match carried(&content) {
            Some(inner) => plain(inner),
            None => content,
        },
        _ => content,
    }
}

/// Returns the text of a block that is only text.
fn text_in(block: &Json) -> Option<&str> {
    let object = block.as_object()?;
    let is_text = object.keys().all(|key| {
        matches!(
            key.as_str(),
            "type" | "text" | "content" | "annotations" | "_meta"
        )
    });
    let text = object.get("text").or_else(|| object.get("content"))?.as_str()?;
    (is_text && (!object.contains_key("content") || object.contains_key("type"))).then_some(text)
}

/// Returns the content of a message of one role, or of a block about a tool call.
fn carried(block: &Json) -> Option<Json> {
    let object = block.as_object()?;
    if let Some(text) = text_in(block) {
        return Some(text.into());
    }
    if object.contains_key("role") {
        return object.get("parts").or_else(|| object.get("content")).cloned();
    }
    match parts_of(block).as_slice() {
        [part] if part["type"] == "tool_call_response" => part.get("response").cloned(),
        [part] if part["type"] == "tool_call" => part.get("arguments").cloned(),
        _ => None,
    }
}

/// Parses a string that contains a JSON object or list.
pub(super) fn parsed(value: Json) -> Json {
    let Json::String(text) = &value else { return value };
    match serde_json::from_str(text) {
        Ok(inner @ (Json::Object(_) | Json::Array(_))) => inner,
        _ => value,
    }
}

fn gather(content: &Json, parts: &mut Vec<Json>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match content {
        Json::Null => {}
        Json::String(text) if text.is_empty() => {}
        Json::String(text) => match parsed(content.clone()) {
            // Other JSON is the text of a message about JSON.
            inner @ Json::Array(_) if inner.as_array().is_some_and(|items| items.iter().all(is_block)) => {
                gather(&inner, parts, depth + 1);
            }
            inner @ Json::Object(_) if is_block(&inner) => gather(&inner, parts, depth + 1),
            _ => parts.push(json!({"type": "text", "content": text})),
        },
        Json::Array(items) => {
            for item in items {
                gather(item, parts, depth + 1);
            }
        }
        Json::Object(block) => gather_block(block, parts, depth),
        other => parts.push(json!({"type": "text", "content": other.to_string()})),
    }
}

/// Members that identify an object as a block of a message.
const BLOCKS: [&str; 15] = [
    "type",
    "text",
    "content",
    "parts",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "functionCall",
    "functionResponse",
    "function_call",
    "function_response",
    "function",
    "tool_calls",
    "image",
    "cachePoint",
];

fn is_block(value: &Json) -> bool {
    let object = value.as_object();
    object.is_some_and(|object| BLOCKS.iter().any(|key| object.contains_key(*key)))
}

fn gather_block(block: &Map<String, Json>, parts: &mut Vec<Json>, depth: usize) {
    let get = |keys: &[&str]| {
        let mut found = keys.iter().filter_map(|key| block.get(*key));
        found.find(|value| !value.is_null()).cloned()
    };
    let id = || get(&["id", "tool_call_id", "toolUseId", "tool_use_id", "call_id"]);
    // An object with one member that contains the block (Bedrock, Gemini, OpenAI).
    for (key, is_response) in [
        ("toolUse", false),
        ("functionCall", false),
        ("function_call", false),
        ("function", false),
        ("toolResult", true),
        ("functionResponse", true),
        ("function_response", true),
    ] {
        if let Some(Json::Object(inner)) = block.get(key) {
            let mut inner = inner.clone();
            if let (Some(id), false) = (id(), inner.contains_key("id")) {
                inner.insert("id".to_owned(), id);
            }
            parts.push(match is_response {
                true => tool_response(&inner),
                false => tool_call(&inner),
            });
            return;
        }
    }
    if let Some(reasoning) = block.get("reasoningContent") {
        let text = reasoning["reasoningText"]["text"].as_str();
        let text = text.or_else(|| reasoning["text"].as_str());
        parts.extend(text.map(|text| json!({"type": "reasoning", "content": text})));
        return;
    }
    match block.get("type").and_then(Json::as_str) {
        Some("text" | "input_text" | "output_text") => {
            let text = get(&["text", "content"]).unwrap_or_default();
            let text = match text {
                // Azure's agents: {"text": {"value": "..."}}.
                Json::Object(inner) => inner.get("value").cloned().unwrap_or_default(),
                text => text,
            };
            if text.as_str().is_some_and(|text| !text.is_empty()) {
                parts.push(json!({"type": "text", "content": text}));
            }
        }
        Some("thinking" | "reasoning" | "thought") => {
            let text = get(&["content", "text", "thinking", "reasoning"]).unwrap_or_default();
            parts.push(json!({"type": "reasoning", "content": text}));
        }
        Some("tool_use" | "tool_call" | "function_call" | "tool-call") => parts.push(tool_call(block)),
        Some("tool_result" | "tool_call_response" | "function_call_output" | "tool-result") => {
            parts.push(tool_response(block));
        }
        Some("message") => gather(&get(&["content", "parts"]).unwrap_or_default(), parts, depth + 1),
        Some(_) => parts.push(Json::Object(block.clone())),
        None => {
            let had = parts.len();
            for key in [
                "reasoning_content",
                "content",
                "parts",
                "text",
                "value",
                "tool_calls",
            ] {
                match (key, block.get(key)) {
                    (_, None) => {}
                    ("reasoning_content", Some(Json::String(text))) => {
                        parts.push(json!({"type": "reasoning", "content": text}));
                    }
                    (_, Some(inner)) => gather(inner, parts, depth + 1),
                }
            }
            if parts.len() == had && !is_block(&Json::Object(block.clone())) {
                parts.push(Json::Object(block.clone()));
            }
        }
    }
}

/// Converts a tool call, with the providers' names of its members.
fn tool_call(block: &Map<String, Json>) -> Json {
    let mut part = Map::from_iter([("type".to_owned(), "tool_call".into())]);
    put(
        &mut part,
        "id",
        block,
        &["id", "toolUseId", "toolCallId", "tool_call_id", "call_id"],
    );
    put(&mut part, "name", block, &["name", "toolName", "tool_name"]);
    put(&mut part, "arguments", block, &["arguments", "input", "args"]);
    Json::Object(part)
}

/// Converts a tool's result, as input of the model.
fn tool_response(block: &Map<String, Json>) -> Json {
    let mut part = Map::from_iter([("type".to_owned(), "tool_call_response".into())]);
    put(
        &mut part,
        "id",
        block,
        &[
            "id",
            "toolUseId",
            "tool_use_id",
            "toolCallId",
            "tool_call_id",
            "call_id",
        ],
    );
    let keys = ["response", "result", "content", "output"];
    let response = keys.iter().find_map(|key| block.get(*key));
    if let Some(response) = response {
        part.insert("response".to_owned(), plain(response.clone()));
    }
    Json::Object(part)
}

fn put(part: &mut Map<String, Json>, key: &str, block: &Map<String, Json>, keys: &[&str]) {
    let found = keys
        .iter()
        .find_map(|key| block.get(*key).filter(|value| !value.is_null()));
    if let Some(value) = found {
        part.insert(key.to_owned(), parsed(value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Json {
        json!({"type": "text", "content": content})
    }

    #[test]
    fn content_of_all_shapes_becomes_parts_with_a_type() {
        for (content, parts) in [
            (json!("hi"), vec![text("hi")]),
            (json!(""), vec![]),
            (json!(null), vec![]),
            // Strands and Bedrock.
            (json!("[{\"text\":\"weather?\"}]"), vec![text("weather?")]),
            (
                json!([{"toolUse": {"toolUseId": "t", "name": "w", "input": {"city": "Oslo"}}}]),
                vec![json!({"type": "tool_call", "id": "t", "name": "w", "arguments": {"city": "Oslo"}})],
            ),
            (
                json!([{"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "snow"}]}}]),
                vec![json!({"type": "tool_call_response", "id": "t", "response": "snow"})],
            ),
            (
                json!([{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "a"}]),
                vec![json!({"type": "reasoning", "content": "hm"}), text("a")],
            ),
            // OpenAI.
            (
                json!({"role": "assistant", "content": "a", "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "w", "arguments": "{\"x\":1}"}}]}),
                vec![
                    text("a"),
                    json!({"type": "tool_call", "id": "c", "name": "w", "arguments": {"x": 1}}),
                ],
            ),
            // Anthropic.
            (
                json!([{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "u", "name": "w", "input": {}}]),
                vec![
                    json!({"type": "reasoning", "content": "hm"}),
                    json!({"type": "tool_call", "id": "u", "name": "w", "arguments": {}}),
                ],
            ),
            // Gemini.
            (
                json!({"role": "model", "parts": [{"text": "a"}, {"function_call": {"name": "w", "args": {"x": 1}}}]}),
                vec![
                    text("a"),
                    json!({"type": "tool_call", "name": "w", "arguments": {"x": 1}}),
                ],
            ),
            // Azure's agents.
            (
                json!({"content": {"text": {"value": "v"}}, "role": "user"}),
                vec![text("v")],
            ),
            // A text about JSON.
            (json!("[1, 2]"), vec![text("[1, 2]")]),
            (json!("{\"city\": \"Oslo\"}"), vec![text("{\"city\": \"Oslo\"}")]),
            (json!("{\"text\": "), vec![text("{\"text\": ")]),
        ] {
            assert_eq!(parts_of(&content), parts, "{content}");
        }
        let mut deep = json!("x");
        for _ in 0..1000 {
            deep = json!([deep]);
        }
        assert_eq!(parts_of(&deep), Vec::<Json>::new());
    }

    #[test]
    fn a_tools_result_becomes_a_text_if_it_has_only_text_and_is_unchanged_otherwise() {
        for (content, result) in [
            (json!("[{\"text\":\"snow\"}]"), json!("snow")),
            (json!([{"text": "a"}, {"text": "b"}]), json!("a\nb")),
            (json!("{\"city\":\"Oslo\"}"), json!({"city": "Oslo"})),
            (json!("plain"), json!("plain")),
            (json!([1, 2]), json!([1, 2])),
            (json!([]), json!([])),
            (json!([{"json": {"a": 1}}]), json!([{"json": {"a": 1}}])),
            (
                json!([{"text": "a", "score": 0.5}]),
                json!([{"text": "a", "score": 0.5}]),
            ),
            (
                json!([{"role": "tool", "parts": [{"type": "tool_call", "name": "w", "arguments": {"x": 1}}]}]),
                json!({"x": 1}),
            ),
            (
                json!({"content": "a", "more": true}),
                json!({"content": "a", "more": true}),
            ),
            (
                json!({"type": "tool_call_response", "id": "t", "response": [{"text": "x"}]}),
                json!("x"),
            ),
        ] {
            assert_eq!(plain(content.clone()), result, "{content}");
        }
    }
}
