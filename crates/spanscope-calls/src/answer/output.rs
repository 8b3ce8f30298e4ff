//! The model's output: texts and tool calls, in the order of their parts.

use serde_json::{Value, json};
use spanscope_model::text::cut;

use super::MAX_NAME;
use crate::call::RequestedToolCall;
use crate::messages::{call_part, fitting, text_part};
use crate::settings::ReadSettings;

/// Maximum number of choices and parts; no request asks for more.
const MAX_CHOICES: usize = 128;
const MAX_PARTS: usize = 256;

/// The model's output.
#[derive(Debug)]
pub(crate) struct Outputs {
    choices: Vec<Choice>,
    keeps_content: bool,
    max_content: usize,
    /// The remaining bytes of content that are kept.
    left: usize,
}

#[derive(Debug, Default)]
struct Choice {
    role: Option<String>,
    parts: Vec<(Key, Part)>,
    finish_reason: Option<String>,
}

/// Identifies a part of a choice: the provider's number, or the kind of those that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Text,
    Reasoning,
    Tool(u64),
    Block(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    Reasoning(String),
    Tool(RequestedToolCall),
}

impl Outputs {
    pub(crate) fn new(settings: &ReadSettings) -> Self {
        Self {
            choices: Vec::new(),
            keeps_content: settings.content,
            max_content: settings.max_content,
            left: 2 * settings.max_content,
        }
    }

    fn choice(&mut self, index: u64) -> Option<&mut Choice> {
        let index = usize::try_from(index).ok().filter(|index| *index < MAX_CHOICES)?;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        self.choices.get_mut(index)
    }

    pub(crate) fn role(&mut self, choice: u64, role: &str) {
        if let Some(choice) = self.choice(choice) {
            choice.role = Some(cut(role, MAX_NAME).to_owned());
        }
    }

    pub(crate) fn finish(&mut self, choice: u64, reason: &str) {
        if let Some(choice) = self.choice(choice) {
            choice.finish_reason = Some(cut(reason, MAX_NAME).to_owned());
        }
    }

    fn part(&mut self, choice: u64, key: Key, new: impl FnOnce() -> Part) -> Option<&mut Part> {
        let choice = self.choice(choice)?;
        // Parts grow at the end.
        let place = choice.parts.iter().rposition(|(known, _)| *known == key);
        let place = match place {
            Some(place) => place,
            None if choice.parts.len() < MAX_PARTS => {
                choice.parts.push((key, new()));
                choice.parts.len() - 1
            }
            None => return None,
        };
        choice.parts.get_mut(place).map(|(_, part)| part)
    }

    /// Returns the beginning of a piece of content that still fits into the limit.
    fn admitted<'t>(&mut self, piece: &'t str) -> &'t str {
        if !self.keeps_content {
            return "";
        }
        let piece = cut(piece, self.left);
        self.left -= piece.len();
        piece
    }

    pub(crate) fn text(&mut self, choice: u64, key: Key, piece: &str) {
        let piece = self.admitted(piece);
        if piece.is_empty() {
            return;
        }
        if let Some(Part::Text(text)) = self.part(choice, key, || Part::Text(String::new())) {
            text.push_str(piece);
        }
    }

    pub(crate) fn reasoning(&mut self, choice: u64, key: Key, piece: &str) {
        let piece = self.admitted(piece);
        if piece.is_empty() {
            return;
        }
        if let Some(Part::Reasoning(text)) = self.part(choice, key, || Part::Reasoning(String::new())) {
            text.push_str(piece);
        }
    }

    /// Adds a tool call, or the next piece of its arguments. The id and the name come once.
    pub(crate) fn tool(
        &mut self,
        choice: u64,
        key: Key,
        id: Option<&str>,
        name: Option<&str>,
        arguments: Option<&Value>,
    ) {
        let json = match arguments {
            Some(Value::String(piece)) => self.admitted(piece).to_owned(),
            // Anthropic begins each call with an empty object.
            Some(Value::Object(object)) if object.is_empty() => String::new(),
            Some(Value::Null) | None => String::new(),
            Some(other) if self.keeps_content => self.admitted(&other.to_string()).to_owned(),
            Some(_) => String::new(),
        };
        let new = || Part::Tool(RequestedToolCall::default());
        if let Some(Part::Tool(call)) = self.part(choice, key, new) {
            if call.id.is_none() {
                call.id = id.map(|id| cut(id, MAX_NAME).to_owned());
            }
            if call.name.is_empty() {
                call.name = cut(name.unwrap_or_default(), MAX_NAME).to_owned();
            }
            call.arguments.push_str(&json);
        }
    }

    /// Drops the parts received so far: the complete output follows.
    pub(crate) fn begin_again(&mut self) {
        self.choices.clear();
        self.left = 2 * self.max_content;
    }

    pub(crate) fn finish_reasons(&self) -> Vec<String> {
        let reasons = self.choices.iter().map(|choice| choice.finish_reason.clone());
        reasons.flatten().collect()
    }

    pub(crate) fn tool_calls(&self) -> Vec<RequestedToolCall> {
        let parts = self.choices.iter().flat_map(|choice| &choice.parts);
        let calls = parts.filter_map(|(_, part)| match part {
            Part::Tool(call) if !call.name.is_empty() => Some(call.clone()),
            _ => None,
        });
        calls.collect()
    }

    pub(crate) fn has_tool_call(&self) -> bool {
        let mut parts = self.choices.iter().flat_map(|choice| &choice.parts);
        parts.any(|(_, part)| matches!(part, Part::Tool(_)))
    }

    /// Returns the messages in the conventions' structure; `None` if content is not kept or there
    /// is none.
    pub(crate) fn messages(&self) -> Option<Value> {
        if !self.keeps_content || self.choices.is_empty() {
            return None;
        }
        let messages = self.choices.iter().map(|choice| {
            let parts: Vec<Value> = choice
                .parts
                .iter()
                .map(|(_, part)| match part {
                    Part::Text(text) => text_part(text),
                    Part::Reasoning(text) => json!({ "type": "reasoning", "content": text }),
                    Part::Tool(call) => {
                        let arguments = Value::String(call.arguments.clone());
                        call_part(call.id.as_deref(), &call.name, Some(&arguments))
                    }
                })
                .collect();
            let role = choice.role.as_deref().unwrap_or("assistant");
            let mut message = json!({ "role": role, "parts": parts });
            if let Some(reason) = &choice.finish_reason {
                message["finish_reason"] = reason.as_str().into();
            }
            message
        });
        fitting(Value::Array(messages.collect()), self.max_content)
    }
}
