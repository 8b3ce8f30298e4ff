//! Inputs and outputs of a step in events: events of its span, and log events that refer to it.
//!
//! About half of the instrumentations write prompts and responses to events. This module converts
//! them to the attributes that other instrumentations write, so that all other code reads one form.
//! A span's own attributes have priority.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value as Json};
use spanscope_model::semconv::{ContentEvent, SemanticAttribute as A};
use spanscope_model::{Attributes, LogEvent, Span, Value};

use super::parts::{message, parsed, parts_of, plain};
use super::{answer_of, completion_of, first, json_of, names, prompt_of, value};
use crate::StepKind;
use crate::step::Key;

/// Approximate maximum size of the kept content of a run's events, in bytes.
const MAX_KEPT: usize = 4 << 20;

/// The content of one step's events.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventContent {
    inputs: Vec<Json>,
    outputs: Vec<Json>,
    /// The model's last messages, which are its response if no event is marked as one.
    trailing: Vec<Json>,
    finish_reasons: Vec<Json>,
    /// A tool's inputs and results, as written.
    tool_inputs: Vec<Json>,
    tool_outputs: Vec<Json>,
    bytes: usize,
}

impl EventContent {
    fn add(&mut self, event: ContentEvent, log: &LogEvent) {
        self.bytes += log.message.len() + 512;
        self.bytes += log
            .attributes
            .iter()
            .map(|(_, value)| size_of(value))
            .sum::<usize>();
        let mut body = Body::of(log);
        match event {
            ContentEvent::SystemMessage => self.push_input("system", &mut body),
            ContentEvent::UserMessage => self.push_input("user", &mut body),
            ContentEvent::ToolMessage => {
                let content = body.content();
                self.tool_inputs.extend(content.clone());
                let response = Map::from_iter([
                    ("type".to_owned(), "tool_call_response".into()),
                    ("id".to_owned(), body.take("id").unwrap_or_default()),
                    ("content".to_owned(), content.unwrap_or_default()),
                ]);
                let parts = match parts_of(&response["content"]) {
                    // Some instrumentations write the whole block.
                    parts if parts.iter().any(|part| part["type"] == "tool_call_response") => parts,
                    _ => parts_of(&Json::Object(response)),
                };
                self.push_inputs(message("tool", parts));
            }
            ContentEvent::AssistantMessage => {
                let role = body.role("assistant");
                self.trailing.extend(message(&role, body.parts()));
            }
            ContentEvent::Answer => {
                let role = body.role("assistant");
                let whole = body.take("tool.result").or_else(|| body.content());
                let whole = whole.or_else(|| body.take("output"));
                self.tool_outputs.extend(whole);
                self.finish_reasons.extend(body.take("finish_reason"));
                self.outputs.extend(message(&role, body.parts()));
            }
            ContentEvent::Details => self.add_details(log),
        }
    }

    fn push_input(&mut self, role: &str, body: &mut Body) {
        let role = body.role(role);
        self.push_inputs(message(&role, body.parts()));
    }

    /// Adds inputs. The model's earlier messages are part of the inputs, not its response.
    fn push_inputs(&mut self, messages: impl IntoIterator<Item = Json>) {
        self.inputs.append(&mut self.trailing);
        self.inputs.extend(messages);
    }

    fn add_details(&mut self, log: &LogEvent) {
        let body = Body::of(log);
        let own = |meaning: A| {
            let of_attributes = || value(&log.attributes, meaning).map(json_of);
            let of_body = || {
                meaning
                    .names()
                    .iter()
                    .find_map(|name| body.0.get(name.name).cloned())
            };
            of_attributes().or_else(of_body).map(parsed)
        };
        let whole = |meaning| own(meaning).map(|content| conversation(content, "user"));
        if let Some(Json::Array(instructions)) =
            own(A::SystemInstructions).map(|it| Json::Array(parts_of(&it)))
        {
            self.push_inputs(message("system", instructions));
        }
        for inputs in whole(A::InputMessages)
            .or_else(|| whole(A::Prompt))
            .into_iter()
            .flatten()
        {
            self.tool_inputs.push(inputs.clone());
            self.push_inputs([inputs]);
        }
        let answers = own(A::OutputMessages).or_else(|| own(A::Completion));
        for answer in answers
            .map(|content| conversation(content, "assistant"))
            .into_iter()
            .flatten()
        {
            self.tool_outputs.push(answer.clone());
            self.outputs.push(answer);
        }
        if let Some(Json::Array(reasons)) = own(A::FinishReasons) {
            self.finish_reasons.extend(reasons);
        }
    }

    fn answers(&self) -> &[Json] {
        match self.outputs.is_empty() {
            true => &self.trailing,
            false => &self.outputs,
        }
    }

    /// Adds the content of the events to the attributes of a step of this kind, if the span itself
    /// has none.
    pub(crate) fn put_into(&self, kind: StepKind, attributes: &mut Attributes) {
        let put = |attributes: &mut Attributes, meaning: A, value: Option<Json>| {
            if let Some(value) = value {
                attributes.set(meaning.name(), Value::Json(value));
            }
        };
        let listed = |items: &[Json]| (!items.is_empty()).then(|| Json::Array(items.to_vec()));
        if kind == StepKind::ToolCall {
            if first(attributes, names::ARGUMENTS).is_none() {
                put(
                    attributes,
                    A::ToolArguments,
                    self.tool_inputs.last().cloned().map(plain),
                );
            }
            if first(attributes, names::RESULTS).is_none() {
                put(
                    attributes,
                    A::ToolResult,
                    self.tool_outputs.last().cloned().map(plain),
                );
            }
            return;
        }
        if kind == StepKind::Retrieval {
            return;
        }
        let is_agent = kind != StepKind::LlmCall;
        if prompt_of(attributes).is_none() && !(is_agent && first(attributes, names::INPUTS).is_some()) {
            put(attributes, A::InputMessages, listed(&self.inputs));
        }
        if completion_of(attributes).is_none() && !(is_agent && first(attributes, names::OUTPUTS).is_some()) {
            put(attributes, A::OutputMessages, listed(self.answers()));
        }
        if value(attributes, A::FinishReasons).is_none() {
            put(attributes, A::FinishReasons, listed(&self.finish_reasons));
        }
    }
}

/// Returns the messages of a conversation, each with a role and parts.
fn conversation(content: Json, role: &str) -> Vec<Json> {
    let is_message = |item: &Json| item.get("role").is_some();
    match content {
        Json::Array(items) if items.iter().any(is_message) => {
            let messages = items.into_iter().filter_map(|item| {
                let own = item.get("role").and_then(Json::as_str).unwrap_or(role);
                // A message with parts is complete, with its other members.
                match item.get("parts") {
                    Some(Json::Array(parts)) if parts.iter().all(|part| part.get("type").is_some()) => {
                        Some(item)
                    }
                    _ => message(own, parts_of(&item)),
                }
            });
            messages.collect()
        }
        Json::Object(_) if is_message(&content) => {
            let own = content["role"].as_str().unwrap_or(role).to_owned();
            message(&own, parts_of(&content)).into_iter().collect()
        }
        other => message(role, parts_of(&other)).into_iter().collect(),
    }
}

/// The members of an event, from its body, from an attribute that contains all of them, or from
/// separate attributes.
struct Body(Map<String, Json>);

impl Body {
    fn of(log: &LogEvent) -> Self {
        let attributes = log.attributes.iter();
        let mut members: Map<String, Json> = attributes
            .map(|(key, value)| (key.to_owned(), json_of(value)))
            .collect();
        let is_event = |inner: &Map<String, Json>| MEMBERS.iter().any(|key| inner.contains_key(*key));
        let mut add = |content: Json| match content {
            Json::Object(inner) if is_event(&inner) => {
                for (key, value) in inner {
                    members.entry(key).or_insert(value);
                }
            }
            Json::String(text) if text.is_empty() || text == log.name => {}
            content => {
                members.entry("content").or_insert(content);
            }
        };
        for name in A::MessageContent
            .names()
            .iter()
            .filter(|name| name.name != CONTENT)
        {
            if let Some(content) = log.attributes.get(name.name) {
                add(parsed(json_of(content)));
            }
        }
        add(parsed(Json::String(log.message.clone())));
        Self(members)
    }

    fn take(&mut self, key: &str) -> Option<Json> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    fn role(&self, otherwise: &str) -> String {
        let inner = |key: &str| self.0.get(key).and_then(|inner| inner.get("role"));
        let role = self
            .0
            .get("role")
            .or_else(|| inner("message"))
            .or_else(|| inner(CONTENT));
        role.and_then(Json::as_str).unwrap_or(otherwise).to_owned()
    }

    /// Returns the content as written.
    fn content(&self) -> Option<Json> {
        let mut found = [CONTENT, "message", "parts"]
            .iter()
            .filter_map(|key| self.0.get(*key));
        let found = found.find(|content| !content.is_null()).cloned();
        found.filter(|content| content.as_str() != Some(""))
    }

    fn parts(&self) -> Vec<Json> {
        let mut parts = self
            .content()
            .map(|content| parts_of(&content))
            .unwrap_or_default();
        if let Some(calls) = self.0.get("tool_calls") {
            parts.extend(parts_of(&parsed(calls.clone())));
        }
        parts
    }
}

const CONTENT: &str = "content";
/// Members that identify an object as the body of an event; any other object is content.
const MEMBERS: [&str; 8] = [
    CONTENT,
    "message",
    "role",
    "parts",
    "tool_calls",
    "index",
    "finish_reason",
    "messages",
];

fn size_of(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Json(json) => json.to_string().len(),
        _ => 8,
    }
}

/// Returns the text for the user in an event that is a response of a model or an agent. A tool call
/// or a tool's result is not a response.
pub(crate) fn answer_in(log: &LogEvent, kind: Option<StepKind>) -> Option<String> {
    let event = ContentEvent::of_name(&log.name)?;
    if matches!(kind, Some(StepKind::ToolCall | StepKind::Retrieval)) {
        return None;
    }
    // A truncated JSON body can't be read.
    let is_cut = |text: &str| text.starts_with(['{', '[']) && serde_json::from_str::<Json>(text).is_err();
    if is_cut(&log.message) {
        return None;
    }
    let mut content = EventContent::default();
    content.add(event, log);
    let calls_tool = |message: &Json| {
        let parts = message["parts"].as_array();
        parts.is_some_and(|parts| parts.iter().any(|part| part["type"] == "tool_call"))
    };
    let waits_for_tool = |reason: &Json| {
        let words = ["tool_use", "tool_calls", "tool_call", "function_call"];
        reason.as_str().is_some_and(|reason| words.contains(&reason))
    };
    let answers = content.answers();
    if answers.iter().any(calls_tool) || content.finish_reasons.iter().any(waits_for_tool) {
        return None;
    }
    answer_of(&Json::Array(answers.to_vec()))
}

/// The content of events, by step.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventContents {
    steps: HashMap<Key, EventContent>,
    /// The steps in the order of their first events.
    order: VecDeque<Key>,
    bytes: usize,
}

impl EventContents {
    /// Adds the events with content; beyond [`MAX_KEPT`] those of the earliest steps are dropped.
    pub(crate) fn add<'a>(&mut self, logs: impl IntoIterator<Item = &'a LogEvent>) {
        self.add_all(logs);
        while self.bytes > MAX_KEPT
            && let Some(first) = self.order.pop_front()
        {
            let given_up = self.steps.remove(&first);
            self.bytes -= given_up.map_or(0, |content| content.bytes);
        }
    }

    /// Adds the events with content, without a limit.
    pub(crate) fn add_all<'a>(&mut self, logs: impl IntoIterator<Item = &'a LogEvent>) {
        let mut logs: Vec<(ContentEvent, &LogEvent)> = logs
            .into_iter()
            .filter_map(|log| Some((ContentEvent::of_name(&log.name)?, log)))
            .collect();
        // A sender's batches may be stored in another order.
        logs.sort_by_key(|(_, log)| log.timestamp);
        for (event, log) in logs {
            let Some(key) = log.trace_id.zip(log.span_id) else {
                continue;
            };
            let content = self.steps.entry(key).or_insert_with(|| {
                self.order.push_back(key);
                EventContent::default()
            });
            let before = content.bytes;
            content.add(event, log);
            self.bytes += content.bytes - before;
        }
    }

    /// Returns the span of a step with the content of its events; `None` if they have none.
    pub(crate) fn of(&self, span: &Span) -> Option<Span> {
        let content = self.steps.get(&(span.trace_id, span.span_id))?;
        let mut span = span.clone();
        content.put_into(StepKind::of(&span.attributes), &mut span.attributes);
        Some(span)
    }
}
