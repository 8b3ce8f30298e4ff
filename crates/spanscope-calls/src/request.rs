//! The request: whether it calls a model, and what it asks for.

use serde_json::{Map, Value};
use spanscope_model::text::cut;

use crate::call::{Content, RequestFacts};
use crate::settings::ReadSettings;
use crate::{Api, Endpoint, messages};

/// Longer names of models and levels are cut to this number of bytes.
const MAX_NAME: usize = 256;
/// Maximum number of stop sequences.
const MAX_STOPS: usize = 16;

/// Parses a request's body. Returns `None` if it calls no model: it is not an object, names no
/// model, or has no input for one.
pub(crate) fn read(
    endpoint: &Endpoint,
    body: &Map<String, Value>,
    settings: &ReadSettings,
) -> Option<(RequestFacts, Option<Content>)> {
    let api = endpoint.api;
    let inputs: &[&str] = match api {
        Api::OpenAiChat | Api::AnthropicMessages | Api::OllamaChat => &["messages"],
        Api::OpenAiCompletions | Api::OllamaGenerate => &["prompt"],
        // A response may continue another one, or fill in a stored prompt.
        Api::OpenAiResponses => &["input", "prompt", "previous_response_id", "conversation"],
        Api::OpenAiEmbeddings | Api::OpenAiModerations => &["input"],
        Api::OllamaEmbed => &["input", "prompt"],
    };
    let model = text(body, "model").or(endpoint.deployment.as_deref());
    // OpenAI's moderations have a default model, and its stored prompts name theirs.
    let needs_model = !matches!(api, Api::OpenAiModerations | Api::OpenAiResponses);
    if (needs_model && model.is_none()) || !has_input(body, inputs) {
        return None;
    }
    let options = body.get("options").and_then(Value::as_object);
    // Ollama has its settings in an object.
    let number = |keys: &[&str]| {
        let of = |object: &Map<String, Value>| keys.iter().find_map(|key| object.get(*key)?.as_f64());
        of(body).or_else(|| options.filter(|_| api.is_ollama()).and_then(of))
    };
    let whole = |keys: &[&str]| {
        let of = |object: &Map<String, Value>| keys.iter().find_map(|key| object.get(*key)?.as_i64());
        of(body).or_else(|| options.filter(|_| api.is_ollama()).and_then(of))
    };
    let stops = ["stop", "stop_sequences"]
        .into_iter()
        .find_map(|key| body.get(key).or_else(|| options?.get(key)));
    let stream = match body.get("stream").and_then(Value::as_bool) {
        Some(stream) => stream,
        None => matches!(api, Api::OllamaChat | Api::OllamaGenerate),
    };
    let facts = RequestFacts {
        model: cut(model.unwrap_or_default(), MAX_NAME).to_owned(),
        stream,
        temperature: number(&["temperature"]),
        top_p: number(&["top_p"]),
        top_k: whole(&["top_k"]),
        max_tokens: whole(&[
            "max_completion_tokens",
            "max_output_tokens",
            "max_tokens",
            "num_predict",
        ]),
        seed: whole(&["seed", "random_seed"]),
        choice_count: whole(&["n"]).filter(|count| *count != 1),
        frequency_penalty: number(&["frequency_penalty"]),
        presence_penalty: number(&["presence_penalty"]),
        stop_sequences: texts(stops),
        output_type: output_type(body),
        reasoning_level: text(body, "reasoning_effort")
            .or_else(|| text(body.get("reasoning")?.as_object()?, "effort"))
            .map(|level| cut(level, MAX_NAME).to_owned()),
        previous_response: text(body, "previous_response_id").map(|id| cut(id, MAX_NAME).to_owned()),
        dimensions: whole(&["dimensions"]),
        encoding_formats: texts(body.get("encoding_format")),
    };
    let content = settings.content.then(|| Content {
        system_instructions: messages::instructions(api, body, settings.max_content),
        input_messages: messages::input(api, body, settings.max_content),
        output_messages: None,
        tool_definitions: body
            .get("tools")
            .filter(|tools| tools.as_array().is_some_and(|tools| !tools.is_empty()))
            .and_then(|tools| messages::fitting(tools.clone(), settings.max_content)),
    });
    Some((facts, content))
}

fn has_input(body: &Map<String, Value>, keys: &[&str]) -> bool {
    let is_present = |key: &&str| body.get(*key).is_some_and(|value| !value.is_null());
    keys.iter().any(is_present)
}

/// Returns the text under a key, if it is not empty.
pub(crate) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// Returns a text or a list of texts as a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    let short = |text: &str| cut(text, MAX_NAME).to_owned();
    match value {
        Some(Value::String(text)) => vec![short(text)],
        Some(Value::Array(list)) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.take(MAX_STOPS).map(short).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the requested form of the response: of chat completions, of responses, of Ollama.
fn output_type(body: &Map<String, Value>) -> Option<&'static str> {
    let format = body
        .get("response_format")
        .or_else(|| body.get("text")?.get("format"))
        .or_else(|| body.get("format"))?;
    let kind = match format {
        Value::String(kind) => kind,
        // Ollama takes a schema in place of a kind.
        Value::Object(format) => match text(format, "type") {
            Some("object") => return Some("json"),
            kind => kind?,
        },
        _ => return None,
    };
    match kind {
        "json" | "json_object" | "json_schema" => Some("json"),
        "text" => Some("text"),
        _ => None,
    }
}
