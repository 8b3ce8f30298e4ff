//! The input and output of a step, read from a span's attributes in any convention.
//!
//! Payloads may be megabytes: they are copied (or parsed) once, and only for events that need them.

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
pub(crate) use messages::{answer_of, reasoning_of, text_of};
use names::Names;

pub(crate) type Payload = Map<String, Json>;

/// Maximum number of messages or documents that are flattened to attributes.
const MAX_FLAT: usize = 1000;

/// Returns the first non-empty value under one of the names.
pub(crate) fn first(attributes: &Attributes, names: Names) -> Option<&Value> {
    names_of(names).find_map(|name| non_empty(attributes, name))
}

/// Returns the first non-empty value under the names of a meaning.
pub(crate) fn value(attributes: &Attributes, meaning: A) -> Option<&Value> {
    let mut names = meaning.names().iter();
    names.find_map(|attribute| non_empty(attributes, attribute.name))
}

/// Returns the value under this name unless it is empty: null, an empty string, or the `Debug` of
/// an empty `Option`.
pub(crate) fn non_empty<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Value> {
    attributes.get(name).filter(|value| {
        !matches!(value, Value::Json(Json::Null)) && !matches!(value.as_str(), Some("" | "None" | "null"))
    })
}

/// Returns the first non-empty value as text, for names and ids.
pub(crate) fn first_text(attributes: &Attributes, names: Names) -> Option<String> {
    first(attributes, names).map(Value::to_string)
}

/// Returns the value as JSON: a string that contains a JSON object or list is parsed, and one that
/// contains a JSON string, as the Vercel AI SDK, MLflow and Langfuse write all values, becomes that
/// string. Other strings stay.
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

/// Parses the JSON in a string.
fn parsed(text: &str) -> Option<Json> {
    let trimmed = text.trim();
    let is_written = trimmed.starts_with(['{', '['])
        || (trimmed.len() > 1 && trimmed.starts_with('"') && trimmed.ends_with('"'));
    is_written.then(|| serde_json::from_str(trimmed).ok()).flatten()
}

/// Returns a number, also from a numeric string.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Str(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    number.filter(|number| number.is_finite())
}

/// Returns a count; an invalid one is ignored.
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

/// Returns the inputs of a step of this kind.
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

/// Returns the outputs of a step of this kind.
pub(crate) fn outputs_of(kind: StepKind, attributes: &Attributes) -> Option<Payload> {
    if let Some(own) = value(attributes, A::StepOutputs) {
        return Some(object(own, "output"));
    }
    let mut payload = Payload::new();
    match kind {
        StepKind::ToolCall => {
            put(&mut payload, "result", first(attributes, names::RESULTS));
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

/// Returns a model's input messages.
pub(crate) fn prompt_of(attributes: &Attributes) -> Option<Json> {
    messages(attributes, A::InputMessages, names::PROMPTS)
}

/// Returns a model's output messages.
pub(crate) fn completion_of(attributes: &Attributes) -> Option<Json> {
    messages(attributes, A::OutputMessages, names::COMPLETIONS)
}

fn messages(attributes: &Attributes, structured: A, plain: Names) -> Option<Json> {
    if let Some(messages) = value(attributes, structured) {
        return Some(json_of(messages));
    }
    flattened(attributes, structured)
        .or_else(|| first(attributes, plain).map(|value| conversation_in(json_of(value))))
}

/// Returns the messages inside a library's wrapper object: `messages` of OpenAI's requests and of
/// the Vercel AI SDK, `contents` of Gemini's, `items` of LiveKit, `value` of LangWatch. LangChain
/// has a list for each prompt of a batch.
fn conversation_in(content: Json) -> Json {
    let Json::Object(mut object) = content else {
        return content;
    };
    let list = |object: &Payload, key: &str| object.get(key).is_some_and(Json::is_array);
    let key = ["messages", "contents", "items", "value"]
        .into_iter()
        .find(|key| list(&object, key));
    match key.and_then(|key| object.remove(key)) {
        Some(Json::Array(mut batch)) if batch.len() == 1 && batch[0].is_array() => batch.remove(0),
        Some(messages) => messages,
        None => Json::Object(object),
    }
}

/// Returns the documents of a retrieval.
pub(crate) fn chunks_of(attributes: &Attributes) -> Option<Json> {
    flattened(attributes, A::Documents).or_else(|| first(attributes, names::CHUNKS).map(json_of))
}

/// Returns the number of documents: the reported one, else the length of the list.
pub(crate) fn chunk_count(attributes: &Attributes, chunks: Option<&Json>) -> Option<u64> {
    let reported = value(attributes, A::DocumentCount).and_then(count_of);
    let listed = || chunks.and_then(Json::as_array).map(|chunks| chunks.len() as u64);
    // Programs without a list write the count under the list's name.
    reported.or_else(listed).or_else(|| chunks.and_then(Json::as_u64))
}

/// Returns whether a step emits a message to the user when it ends. [`message_of`] reads the
/// message, which may be empty.
pub(crate) fn has_message(kind: StepKind, is_root: bool, attributes: &Attributes) -> bool {
    // A model that calls a tool has not responded yet.
    let asks_for_tool = || {
        let reasons = value(attributes, A::FinishReasons).map(Value::to_string);
        kind == StepKind::LlmCall && reasons.is_some_and(|reasons| reasons.contains("tool"))
    };
    let answers = (is_root && !asks_for_tool()) || matches!(kind, StepKind::Agent | StepKind::Workflow);
    let has_answer = || {
        raw_answer(kind, attributes).is_some()
            || (kind == StepKind::LlmCall && flattened(attributes, A::OutputMessages).is_some())
    };
    // A tool's result is for the model.
    let is_for_model = matches!(kind, StepKind::ToolCall | StepKind::Retrieval);
    kind == StepKind::Message || (answers && !is_for_model && has_answer())
}

/// Returns the message of a step, from its outputs. A structure without text, such as a tool call
/// or a result for a program, is not a message: it stays in the outputs.
pub(crate) fn message_of(
    kind: StepKind,
    attributes: &Attributes,
    outputs: Option<&Payload>,
) -> Option<String> {
    let structured = outputs.and_then(|outputs| {
        let found = ["messages", "output", "content", "answer"]
            .iter()
            .find_map(|key| outputs.get(*key));
        found.and_then(answer_of)
    });
    structured.or_else(|| match json_of(raw_answer(kind, attributes)?) {
        Json::Object(_) | Json::Array(_) => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

/// Returns the response of a step, as written.
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

/// Returns the reasoning of a step, from an attribute or from the reasoning parts of a model's
/// response.
pub(crate) fn thoughts_of(attributes: &Attributes, outputs: Option<&Payload>) -> Option<String> {
    first_text(attributes, &[A::Thoughts]).or_else(|| outputs?.get("messages").and_then(reasoning_of))
}

/// The text of a failure that the span does not describe.
pub(crate) const FAILED: &str = "failed";

/// Returns whether a step failed: by its span's status, which a store sets from the conventions'
/// attributes if the program did not. For a span without a status the attributes decide.
pub(crate) fn has_failed(span: &Span) -> bool {
    match span.status {
        Some(status) => status == spanscope_model::SpanStatus::Error,
        None => span
            .attributes
            .raw()
            .any(|(name, value)| spanscope_model::semconv::indicates_failure(name, value)),
    }
}

/// Returns why a span failed: its status message, else the error in its attributes, else `failed`.
/// `None` if it did not fail.
///
/// ```
/// use spanscope_model::{Span, SpanStatus, Timestamp};
/// use spanscope_runs::error_of;
///
/// # fn shown(mut span: Span) {
/// assert_eq!(error_of(&span), None);
/// span.status = Some(SpanStatus::Error);
/// span.attributes.set("error.type", "timeout");
/// assert_eq!(error_of(&span).as_deref(), Some("timeout"));
/// # }
/// # let trace = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
/// # let id = "00f067aa0ba902b7".parse().unwrap();
/// # shown(Span::new(trace, id, "chat", Timestamp::now()));
/// ```
pub fn error_of(span: &Span) -> Option<String> {
    if !has_failed(span) {
        return None;
    }
    let message = span.status_message.clone().filter(|message| !message.is_empty());
    let of_attributes = || {
        let mut values = names_of(names::ERRORS).filter_map(|name| non_empty(&span.attributes, name));
        values
            .find(|value| !matches!(value, Value::Bool(_)))
            .map(Value::to_string)
    };
    Some(
        message
            .or_else(of_attributes)
            .unwrap_or_else(|| FAILED.to_owned()),
    )
}

/// Returns whether a span has only the type of its error, so that its log events may have more.
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

/// Returns an object unchanged, and any other value under a key.
pub(crate) fn object(value: &Value, key: &str) -> Payload {
    match json_of(value) {
        Json::Object(object) => object,
        other => Payload::from_iter([(key.to_owned(), other)]),
    }
}

/// Splits a key into a list in an item, its index, and the key inside: `tool_calls.0.tool_call.id`
/// and `contents.0.message_content.text` of OpenInference, `tool_calls.0.id` of OpenLLMetry.
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

/// Sets a value in the object at this index of a list. The list is as long as its highest index; a
/// name that already has another value keeps it.
fn put_in_list(item: &mut Payload, list: &str, index: usize, key: &str, value: Json) {
    let list = item.entry(list).or_insert_with(|| Json::Array(Vec::new()));
    let Json::Array(list) = list else { return };
    while list.len() <= index {
        list.push(Json::Object(Payload::new()));
    }
    // A function call has one more object, as in OpenAI's own messages.
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

/// Returns a list of objects that was flattened to attributes.
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
