//! What a step was given and what it gave back, read from a span's attributes in the words of any convention.
//!
//! Payloads may be megabytes: they are copied (or parsed) once, and only for events that are wanted with them.

mod event_content;
mod messages;
pub(crate) mod names;
mod parts;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use spanscope_model::semconv::{FLATTENED_LISTS, FlattenedList, SemanticAttribute as A, names_of};
use spanscope_model::{Attributes, Span, Value};

use crate::StepKind;
pub(crate) use event_content::{EventContents, answer_in};
pub(crate) use messages::{reasoning_of, text_of};
use names::Names;

pub(crate) type Payload = Map<String, Json>;

/// Beyond this many, messages or documents that are spread over attributes are left out.
const MAX_FLAT: usize = 1000;

/// The value under the first of the names that says something.
pub(crate) fn first(attributes: &Attributes, names: Names) -> Option<&Value> {
    names_of(names).find_map(|name| said(attributes, name))
}

/// The value under the first name of a meaning that says something.
pub(crate) fn value(attributes: &Attributes, meaning: A) -> Option<&Value> {
    let mut names = meaning.names().iter();
    names.find_map(|attribute| said(attributes, attribute.name))
}

/// The value under this name, if it says something: programs write empty texts, and `Option`s by their `Debug`.
pub(crate) fn said<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Value> {
    attributes.get(name).filter(|value| {
        !matches!(value, Value::Json(Json::Null)) && !matches!(value.as_str(), Some("" | "None" | "null"))
    })
}

/// The same as a text, for names and ids.
pub(crate) fn first_text(attributes: &Attributes, names: Names) -> Option<String> {
    first(attributes, names).map(Value::to_string)
}

/// The value as JSON: a text that is a JSON object or list becomes one, other texts stay texts.
pub(crate) fn json_of(value: &Value) -> Json {
    match value {
        Value::Str(text) => parsed(text).unwrap_or_else(|| Json::String(text.clone())),
        Value::Bool(value) => (*value).into(),
        Value::I64(number) => (*number).into(),
        Value::U64(number) => (*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Json(value) => value.clone(),
    }
}

/// The text inside of a text that is a string of JSON: the Vercel AI SDK and MLflow write all results as
/// JSON.
fn unquoted(value: Json) -> Json {
    let inner = value
        .as_str()
        .filter(|text| text.len() > 1 && text.starts_with('"') && text.ends_with('"'))
        .and_then(|text| serde_json::from_str::<String>(text).ok());
    inner.map_or(value, Json::String)
}

fn parsed(text: &str) -> Option<Json> {
    let begins_like_json = text.trim_start().starts_with(['{', '[']);
    begins_like_json
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// A number, also where it was written as a text.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Str(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    number.filter(|number| number.is_finite())
}

/// A count; what is none is left out.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole, not negative and below 2^53"
)]
pub(crate) fn count_of(value: &Value) -> Option<u64> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    let number = number_of(value)?;
    ((0.0..=MAX).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// What a step of this kind was given.
pub(crate) fn inputs_of(kind: StepKind, attributes: &Attributes) -> Option<Payload> {
    if let Some(own) = value(attributes, A::StepInputs) {
        return Some(object(own, "input"));
    }
    let mut payload = Payload::new();
    match kind {
        StepKind::ToolCall => put(&mut payload, "arguments", first(attributes, names::ARGUMENTS)),
        StepKind::Retrieval => {
            put(&mut payload, "query", first(attributes, names::QUERY));
            put(&mut payload, "top_k", value(attributes, A::TopK));
        }
        StepKind::LlmCall => {
            if let Some(messages) = prompt_of(attributes) {
                payload.insert("messages".to_owned(), messages);
            }
            put(&mut payload, "model", first(attributes, names::MODELS));
        }
        _ => match value(attributes, A::InputMessages) {
            Some(messages) => put(&mut payload, "messages", Some(messages)),
            None => put(&mut payload, "input", first(attributes, names::INPUTS)),
        },
    }
    (!payload.is_empty()).then_some(payload)
}

/// What it gave back.
pub(crate) fn outputs_of(kind: StepKind, attributes: &Attributes) -> Option<Payload> {
    if let Some(own) = value(attributes, A::StepOutputs) {
        return Some(object(own, "output"));
    }
    let mut payload = Payload::new();
    match kind {
        StepKind::ToolCall => {
            if let Some(result) = first(attributes, names::RESULTS) {
                payload.insert("result".to_owned(), unquoted(json_of(result)));
            }
        }
        StepKind::Retrieval => {
            let chunks = chunks_of(attributes);
            let count = chunk_count(attributes, chunks.as_ref());
            if let Some(chunks) = chunks {
                payload.insert("chunks".to_owned(), chunks);
            }
            if let Some(count) = count {
                payload.insert("chunks_retrieved".to_owned(), count.into());
            }
        }
        StepKind::LlmCall => {
            if let Some(messages) = completion_of(attributes) {
                payload.insert("messages".to_owned(), messages);
            }
            if let Some(reasons) = value(attributes, A::FinishReasons) {
                let reasons = match json_of(reasons) {
                    Json::Array(reasons) => Json::Array(reasons),
                    reason => Json::Array(vec![reason]),
                };
                payload.insert("finish_reasons".to_owned(), reasons);
            }
        }
        _ => match value(attributes, A::OutputMessages) {
            Some(messages) => put(&mut payload, "messages", Some(messages)),
            None => put(&mut payload, "output", first(attributes, names::OUTPUTS)),
        },
    }
    (!payload.is_empty()).then_some(payload)
}

/// The messages that a model got to read.
pub(crate) fn prompt_of(attributes: &Attributes) -> Option<Json> {
    messages(attributes, A::InputMessages, names::PROMPTS)
}

/// The messages that it answered.
pub(crate) fn completion_of(attributes: &Attributes) -> Option<Json> {
    messages(attributes, A::OutputMessages, names::COMPLETIONS)
}

fn messages(attributes: &Attributes, structured: A, plain: Names) -> Option<Json> {
    if let Some(messages) = value(attributes, structured) {
        return Some(json_of(messages));
    }
    flattened(attributes, structured).or_else(|| first(attributes, plain).map(json_of))
}

/// What a retrieval found.
pub(crate) fn chunks_of(attributes: &Attributes) -> Option<Json> {
    flattened(attributes, A::Documents).or_else(|| first(attributes, names::CHUNKS).map(json_of))
}

/// How many it found: the reported number, else the length of the list.
pub(crate) fn chunk_count(attributes: &Attributes, chunks: Option<&Json>) -> Option<u64> {
    let said = value(attributes, A::DocumentCount).and_then(count_of);
    let listed = || chunks.and_then(Json::as_array).map(|chunks| chunks.len() as u64);
    // Programs without a list write the count under the list's name.
    said.or_else(listed).or_else(|| chunks.and_then(Json::as_u64))
}

/// Whether a step says something to the user when it ends.
pub(crate) fn has_message(kind: StepKind, is_root: bool, attributes: &Attributes) -> bool {
    // A model that asks for a tool does not answer yet.
    let asks_for_tool = || {
        let reasons = value(attributes, A::FinishReasons).map(Value::to_string);
        kind == StepKind::LlmCall && reasons.is_some_and(|reasons| reasons.contains("tool"))
    };
    let answers = (is_root && !asks_for_tool()) || matches!(kind, StepKind::Agent | StepKind::Workflow);
    kind == StepKind::Message || (answers && raw_answer(kind, attributes).is_some())
}

/// What it says, out of its outputs.
pub(crate) fn message_of(
    kind: StepKind,
    attributes: &Attributes,
    outputs: Option<&Payload>,
) -> Option<String> {
    let structured = outputs.and_then(|outputs| {
        let found = ["messages", "output", "content", "answer"]
            .iter()
            .find_map(|key| outputs.get(*key));
        found.and_then(text_of)
    });
    structured.or_else(|| raw_answer(kind, attributes).map(Value::to_string))
}

/// What counts as an answer of a step, as it was written.
fn raw_answer(kind: StepKind, attributes: &Attributes) -> Option<&Value> {
    let own = || value(attributes, A::StepOutputs);
    let content = || match kind {
        StepKind::Message => first(attributes, names::CONTENTS),
        _ => None,
    };
    let completion = || match kind {
        StepKind::LlmCall => first(attributes, names::COMPLETIONS),
        _ => None,
    };
    let structured = value(attributes, A::OutputMessages).or_else(|| first(attributes, names::OUTPUTS));
    structured.or_else(own).or_else(content).or_else(completion)
}

/// What a step thought: said by a field, or reasoning parts among a model's answer.
pub(crate) fn thoughts_of(attributes: &Attributes, outputs: Option<&Payload>) -> Option<String> {
    first_text(attributes, &[A::Thoughts]).or_else(|| outputs?.get("messages").and_then(reasoning_of))
}

/// The text of a failure that the span does not describe.
pub(crate) const FAILED: &str = "failed";

/// Whether a step failed. Some libraries say so by the conventions' attributes alone and leave the span's status as it is.
pub(crate) fn has_failed(span: &Span) -> bool {
    span.status == Some(spanscope_model::SpanStatus::Error)
        || value(&span.attributes, A::ErrorType).is_some()
        || value(&span.attributes, A::ToolOutcome).and_then(Value::as_str) == Some("error")
}

/// Why a span failed; none if it did not.
pub(crate) fn error_of(span: &Span) -> Option<String> {
    if !has_failed(span) {
        return None;
    }
    let message = span.status_message.clone().filter(|message| !message.is_empty());
    let said = || {
        let mut said = names_of(names::ERRORS).filter_map(|name| said(&span.attributes, name));
        said.find(|value| !matches!(value, Value::Bool(_)))
            .map(Value::to_string)
    };
    Some(message.or_else(said).unwrap_or_else(|| FAILED.to_owned()))
}

/// Whether a span says no more of its error than its type, so that what was logged in it tells more.
pub(crate) fn names_error_alone(span: &Span) -> bool {
    let is_described = |meaning: &A| !matches!(meaning, A::ErrorType | A::ExceptionType);
    let mut described = names::ERRORS.iter().filter(|meaning| is_described(meaning));
    let has_text = |value: &Value| !matches!(value, Value::Bool(_));
    span.status_message.as_deref().is_none_or(str::is_empty)
        && !described.any(|meaning| value(&span.attributes, *meaning).is_some_and(has_text))
}

fn put(payload: &mut Payload, key: &str, value: Option<&Value>) {
    if let Some(value) = value {
        payload.insert(key.to_owned(), json_of(value));
    }
}

/// A value that is an object as it is, any other one under a key.
pub(crate) fn object(value: &Value, key: &str) -> Payload {
    match json_of(value) {
        Json::Object(object) => object,
        other => Payload::from_iter([(key.to_owned(), other)]),
    }
}

/// A list inside of an item, its index, and the key inside of that: `tool_calls.0.tool_call.id` and
/// `contents.0.message_content.text` of OpenInference, `tool_calls.0.id` of OpenLLMetry.
fn listed(key: &str) -> Option<(&str, usize, &str)> {
    let (list, rest) = key.split_once('.')?;
    let (index, key) = rest.split_once('.')?;
    let index = index.parse().ok().filter(|index| *index < MAX_FLAT)?;
    let key = match key.split_once('.') {
        Some(("message_content" | "tool_call", key)) => key,
        _ => key,
    };
    Some((if list == "contents" { "content" } else { list }, index, key))
}

/// Puts a value into the object at this index of a list. The list is as long as its highest index;
/// a name that holds something else already keeps it.
fn put_in_list(item: &mut Payload, list: &str, index: usize, key: &str, value: Json) {
    let list = item.entry(list).or_insert_with(|| Json::Array(Vec::new()));
    let Json::Array(list) = list else { return };
    while list.len() <= index {
        list.push(Json::Object(Payload::new()));
    }
    // The call of a function has one object more, as in OpenAI's own messages.
    let (outer, inner) = match key.split_once('.') {
        Some(("function", inner)) => (Some("function"), inner),
        _ => (None, key),
    };
    let place = match (list.get_mut(index), outer) {
        (Some(Json::Object(object)), None) => object,
        (Some(Json::Object(object)), Some(outer)) => {
            let inner = object
                .entry(outer)
                .or_insert_with(|| Json::Object(Payload::new()));
            let Json::Object(inner) = inner else { return };
            inner
        }
        _ => return,
    };
    place.insert(inner.to_owned(), value);
}

/// A list of objects that was spread over attributes.
fn flattened(attributes: &Attributes, meaning: A) -> Option<Json> {
    for FlattenedList {
        prefix, item_prefix, ..
    } in FLATTENED_LISTS.iter().filter(|list| list.meaning == meaning)
    {
        let mut items: BTreeMap<usize, Payload> = BTreeMap::new();
        for (name, value) in attributes.iter() {
            let Some((index, key)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            let Some(index) = index.parse().ok().filter(|index| *index < MAX_FLAT) else {
                continue;
            };
            let key = key.strip_prefix(item_prefix).unwrap_or(key);
            let item = items.entry(index).or_default();
            match listed(key) {
                None => drop(item.insert(key.to_owned(), json_of(value))),
                Some((list, index, key)) => put_in_list(item, list, index, key, json_of(value)),
            }
        }
        if !items.is_empty() {
            return Some(items.into_values().map(Json::Object).collect());
        }
    }
    None
}
