//! Chat completions and legacy completions of OpenAI, and of compatible APIs.

use serde_json::{Map, Value};

use super::output::Key;
use super::{Answer, ObjectKind};
use crate::request::text;

impl Answer {
    /// Reads a whole completion or a chunk of one: the former has a `message` in each choice, the
    /// latter a `delta`.
    pub(super) fn take_choices(&mut self, object: &Map<String, Value>) -> ObjectKind {
        let choices = object.get("choices").and_then(Value::as_array);
        let usage_elsewhere = object.get("x_groq").and_then(|own| own.get("usage"));
        if choices.is_none() && usage_elsewhere.is_none() && !object.contains_key("usage") {
            return ObjectKind::Ignored;
        }
        self.take_common(object);
        if let Some(usage) = usage_elsewhere.and_then(Value::as_object) {
            self.usage.take(usage);
        }
        for (place, choice) in (0..).zip(choices.into_iter().flatten()) {
            if let Value::Object(choice) = choice {
                let index = choice.get("index").and_then(Value::as_u64).unwrap_or(place);
                self.take_choice(index, choice);
            }
        }
        ObjectKind::Chunk
    }

    fn take_choice(&mut self, index: u64, choice: &Map<String, Value>) {
        let outputs = &mut self.outputs;
        if let Some(reason) = text(choice, "finish_reason") {
            outputs.finish(index, reason);
        }
        if let Some(piece) = text(choice, "text") {
            outputs.text(index, Key::Text, piece);
        }
        // Some servers send both, one of them null.
        let message = ["delta", "message"]
            .into_iter()
            .find_map(|key| choice.get(key)?.as_object());
        let Some(message) = message else {
            return;
        };
        if let Some(role) = text(message, "role") {
            outputs.role(index, role);
        }
        let reasoning = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
        if let Some(piece) = reasoning {
            outputs.reasoning(index, Key::Reasoning, piece);
        }
        match message.get("content") {
            Some(Value::String(piece)) => outputs.text(index, Key::Text, piece),
            // Mistral has parts here.
            Some(Value::Array(parts)) => {
                for piece in parts.iter().filter_map(|part| part.get("text")?.as_str()) {
                    outputs.text(index, Key::Text, piece);
                }
            }
            _ => {}
        }
        if let Some(piece) = text(message, "refusal") {
            outputs.text(index, Key::Text, piece);
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        for (place, call) in (0..).zip(calls.into_iter().flatten()) {
            let place = call.get("index").and_then(Value::as_u64).unwrap_or(place);
            let function = call.get("function").or_else(|| call.get("custom"));
            let member = |key| function.and_then(|function| function.get(key));
            let arguments = member("arguments").or_else(|| member("input"));
            outputs.tool(
                index,
                Key::Tool(place),
                call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()),
                member("name").and_then(Value::as_str),
                arguments,
            );
        }
    }
}
