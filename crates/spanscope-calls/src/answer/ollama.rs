//! Ollama's own API: whole responses, and one JSON object per line.

use serde_json::{Map, Value};

use super::output::Key;
use super::{Answer, ObjectKind};
use crate::request::text;

impl Answer {
    /// Parses a whole response or a line. The last line has the counts.
    pub(super) fn take_ollama(&mut self, line: &Map<String, Value>) -> ObjectKind {
        let message = line.get("message").and_then(Value::as_object);
        let response = line.get("response").and_then(Value::as_str);
        if message.is_none() && response.is_none() && !line.contains_key("done") {
            return ObjectKind::Ignored;
        }
        self.take_common(line);
        self.usage.take_ollama(line);
        let outputs = &mut self.outputs;
        if let Some(piece) = text(line, "thinking") {
            outputs.reasoning(0, Key::Reasoning, piece);
        }
        if let Some(piece) = response {
            outputs.text(0, Key::Text, piece);
        }
        if let Some(message) = message {
            if let Some(role) = text(message, "role") {
                outputs.role(0, role);
            }
            if let Some(piece) = text(message, "thinking") {
                outputs.reasoning(0, Key::Reasoning, piece);
            }
            if let Some(piece) = text(message, "content") {
                outputs.text(0, Key::Text, piece);
            }
            // Each call is complete, in any line.
            let calls = message.get("tool_calls").and_then(Value::as_array);
            for call in calls.into_iter().flatten() {
                let function = call.get("function");
                let member = |key| function.and_then(|function| function.get(key));
                let place = Key::Tool(outputs.tool_calls().len() as u64);
                let name = member("name").and_then(Value::as_str);
                outputs.tool(0, place, None, name, member("arguments"));
            }
        }
        if let Some(reason) = text(line, "done_reason") {
            outputs.finish(0, reason);
        }
        ObjectKind::Chunk
    }
}
