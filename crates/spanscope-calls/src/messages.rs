//! Converts messages of each API to the structure that OpenTelemetry's conventions define.
//!
//! A message is `{"role", "parts": [{"type": "text", "content"}, …]}`. The parts are `text`,
//! `reasoning`, `tool_call` (`id`, `name`, `arguments`), `tool_call_response` (`id`, `response`),
//! `uri` and `blob`; of a blob only its type and size are kept.

use serde_json::{Map, Value, json};
use spanscope_model::text::cut;

use crate::Api;
use crate::request::text;

/// Returns the instructions that an API separates from the messages, as a list of parts.
pub(crate) fn instructions(api: Api, body: &Map<String, Value>, max_len: usize) -> Option<Value> {
    let key = match api {
        Api::OpenAiResponses => "instructions",
        Api::AnthropicMessages | Api::OllamaGenerate => "system",
        _ => return None,
    };
    let parts = parts_of(body.get(key)?);
    if parts.is_empty() {
        return None;
    }
    fitting(Value::Array(parts), max_len)
}

/// Returns the model's input, as a list of messages. Inputs of embeddings and moderations are not
/// messages.
pub(crate) fn input(api: Api, body: &Map<String, Value>, max_len: usize) -> Option<Value> {
    let messages = match api {
        Api::OpenAiChat | Api::OllamaChat | Api::AnthropicMessages => {
            let messages = body.get("messages")?.as_array()?.iter();
            messages.filter_map(Value::as_object).map(message).collect()
        }
        Api::OpenAiCompletions | Api::OllamaGenerate => vec![user(body.get("prompt")?)],
        Api::OpenAiResponses => match body.get("input")? {
            Value::Array(items) => items.iter().filter_map(Value::as_object).map(item).collect(),
            prompt => vec![user(prompt)],
        },
        Api::OpenAiEmbeddings | Api::OpenAiModerations | Api::OllamaEmbed => return None,
    };
    fitting(Value::Array(messages), max_len)
}

fn user(prompt: &Value) -> Value {
    json!({ "role": "user", "parts": parts_of(prompt) })
}

/// Converts a message of chat completions, of Anthropic or of Ollama.
fn message(message: &Map<String, Value>) -> Value {
    let role = text(message, "role").unwrap_or("user");
    let mut parts = Vec::new();
    if let Some(reasoning) = text(message, "reasoning_content").or_else(|| text(message, "thinking")) {
        parts.push(json!({ "type": "reasoning", "content": reasoning }));
    }
    if role == "tool" {
        let id = text(message, "tool_call_id");
        parts.push(response(id, message.get("content")));
    } else if let Some(content) = message.get("content") {
        parts.extend(parts_of(content));
    }
    if let Some(calls) = message.get("tool_calls").and_then(Value::as_array) {
        parts.extend(calls.iter().filter_map(Value::as_object).map(tool_call));
    }
    let images = message.get("images").and_then(Value::as_array);
    parts.extend(
        images
            .into_iter()
            .flatten()
            .map(|image| blob("image", None, image)),
    );
    let mut out = Map::new();
    out.insert("role".to_owned(), role.into());
    out.insert("parts".to_owned(), parts.into());
    if let Some(name) = text(message, "name") {
        out.insert("name".to_owned(), name.into());
    }
    Value::Object(out)
}

/// Converts an item of the input of the Responses API.
fn item(item: &Map<String, Value>) -> Value {
    match text(item, "type") {
        Some("function_call" | "custom_tool_call") => {
            let part = call_part(
                text(item, "call_id"),
                text(item, "name").unwrap_or_default(),
                item.get("arguments").or_else(|| item.get("input")),
            );
            json!({ "role": "assistant", "parts": [part] })
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            json!({ "role": "tool", "parts": [response(text(item, "call_id"), item.get("output"))] })
        }
        Some("reasoning") => {
            let parts = item.get("summary").map(parts_of).unwrap_or_default();
            json!({ "role": "assistant", "parts": parts })
        }
        None | Some("message") => message(item),
        Some(kind) => json!({ "role": "assistant", "parts": [{ "type": kind }] }),
    }
}

/// Returns the parts of a message's content: one for a text, one for each block of a list.
fn parts_of(content: &Value) -> Vec<Value> {
    match content {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text_part(text)],
        Value::Array(blocks) => blocks.iter().map(part).collect(),
        other => vec![text_part(&other.to_string())],
    }
}

fn part(block: &Value) -> Value {
    let block = match block {
        Value::Object(block) => block,
        // Several prompts, or tokens.
        Value::String(text) => return text_part(text),
        other => return text_part(&other.to_string()),
    };
    let content = |key: &str| text(block, key).unwrap_or_default();
    match content("type") {
        "text" | "input_text" | "output_text" => text_part(content("text")),
        "refusal" => text_part(content("refusal")),
        "thinking" => json!({ "type": "reasoning", "content": content("thinking") }),
        "summary_text" | "reasoning_text" => json!({ "type": "reasoning", "content": content("text") }),
        "tool_use" | "server_tool_use" => call_part(text(block, "id"), content("name"), block.get("input")),
        "tool_result" => response(text(block, "tool_use_id"), block.get("content")),
        "image_url" | "input_image" => {
            let url = block.get("image_url").map(|url| url.get("url").unwrap_or(url));
            match url.and_then(Value::as_str) {
                Some(url) if url.starts_with("http") => {
                    json!({ "type": "uri", "modality": "image", "uri": url })
                }
                Some(data) => {
                    let mime = data
                        .strip_prefix("data:")
                        .and_then(|data| data.split([';', ',']).next());
                    blob("image", mime, &data.into())
                }
                None => json!({ "type": "image" }),
            }
        }
        kind @ ("image" | "document") => match block.get("source").and_then(Value::as_object) {
            Some(source) if source.contains_key("url") => {
                json!({ "type": "uri", "modality": kind, "uri": source.get("url") })
            }
            Some(source) => blob(
                kind,
                text(source, "media_type"),
                source.get("data").unwrap_or(&Value::Null),
            ),
            None => json!({ "type": kind }),
        },
        "input_audio" => {
            let data = block.get("input_audio").and_then(|audio| audio.get("data"));
            blob("audio", None, data.unwrap_or(&Value::Null))
        }
        "" => text_part(content("text")),
        kind => json!({ "type": kind }),
    }
}

pub(crate) fn text_part(text: &str) -> Value {
    json!({ "type": "text", "content": text })
}

fn blob(modality: &str, mime_type: Option<&str>, data: &Value) -> Value {
    let size = data.as_str().map_or(0, str::len);
    json!({ "type": "blob", "modality": modality, "mime_type": mime_type, "size": size })
}

fn tool_call(call: &Map<String, Value>) -> Value {
    let function = call.get("function").and_then(Value::as_object).unwrap_or(call);
    let name = text(function, "name").unwrap_or_default();
    call_part(text(call, "id"), name, function.get("arguments"))
}

/// Returns a part for a tool call. The arguments may be an object, or its JSON as a string.
pub(crate) fn call_part(id: Option<&str>, name: &str, arguments: Option<&Value>) -> Value {
    let arguments = match arguments {
        Some(Value::String(json)) => serde_json::from_str(json).unwrap_or_else(|_| json.as_str().into()),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments })
}

fn response(id: Option<&str>, content: Option<&Value>) -> Value {
    let response = match content {
        Some(Value::Array(blocks)) => {
            let texts: Option<Vec<&str>> = blocks.iter().map(|block| block.get("text")?.as_str()).collect();
            texts.map_or_else(
                || Value::Array(blocks.iter().map(part).collect()),
                |texts| texts.join("\n").into(),
            )
        }
        Some(other) => other.clone(),
        None => Value::Null,
    };
    json!({ "type": "tool_call_response", "id": id, "response": response })
}

/// Returns the list with at most this number of bytes as JSON: long strings are truncated first,
/// then items in the middle are left out, since the start and the end are the most useful. `None`
/// if nothing fits.
pub(crate) fn fitting(mut list: Value, max_len: usize) -> Option<Value> {
    let fits = |list: &Value| list.to_string().len() <= max_len;
    if fits(&list) {
        return Some(list);
    }
    let mut longest = max_len / 2;
    while longest >= 64 {
        cut_texts(&mut list, longest);
        if fits(&list) {
            return Some(list);
        }
        longest /= 4;
    }
    let Value::Array(mut items) = list else {
        return None;
    };
    let sizes: Vec<usize> = items.iter().map(|item| item.to_string().len() + 1).collect();
    let mut left = max_len.saturating_sub(2);
    let (mut first, mut last) = (0, items.len());
    // Items from the start and from the end are kept in turn.
    while first < last {
        let is_last = (items.len() - last) <= first;
        let size = sizes[if is_last { last - 1 } else { first }];
        if size > left {
            break;
        }
        left -= size;
        if is_last {
            last -= 1;
        } else {
            first += 1;
        }
    }
    items.drain(first..last);
    (!items.is_empty()).then_some(Value::Array(items))
}

fn cut_texts(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) => {
            let len = cut(text, longest).len();
            text.truncate(len);
        }
        Value::Array(list) => list.iter_mut().for_each(|value| cut_texts(value, longest)),
        Value::Object(object) => object.values_mut().for_each(|value| cut_texts(value, longest)),
        _ => {}
    }
}
