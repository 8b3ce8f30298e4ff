//! OpenAI's Responses API.

use serde_json::{Map, Value};

use super::output::Key;
use super::{Answer, ObjectKind};
use crate::request::text;

impl Answer {
    /// Parses a whole response, or an event of a streamed one. The last event repeats the whole
    /// response, which replaces the parts of the earlier events. An object of another kind is
    /// [`ObjectKind::Ignored`].
    pub(super) fn take_response(&mut self, kind: &str, object: &Map<String, Value>) -> ObjectKind {
        if text(object, "object") == Some("response") {
            self.take_whole(object);
            return ObjectKind::Chunk;
        }
        if !kind.starts_with("response.") {
            return ObjectKind::Ignored;
        }
        if let Some(response) = object.get("response").and_then(Value::as_object) {
            self.take_whole(response);
        }
        let index = object.get("output_index").and_then(Value::as_u64).unwrap_or(0);
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                if let Some(piece) = text(object, "delta") {
                    self.outputs.text(0, Key::Block(index), piece);
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                if let Some(piece) = text(object, "delta") {
                    self.outputs.reasoning(0, Key::Block(index), piece);
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.outputs
                    .tool(0, Key::Block(index), None, None, object.get("delta"));
            }
            "response.output_item.added" => {
                if let Some(item) = object.get("item").and_then(Value::as_object)
                    && is_tool_call(item)
                {
                    let id = text(item, "call_id");
                    self.outputs
                        .tool(0, Key::Block(index), id, text(item, "name"), None);
                }
            }
            _ => {}
        }
        ObjectKind::Chunk
    }

    fn take_whole(&mut self, response: &Map<String, Value>) {
        self.take_common(response);
        let output = response.get("output").and_then(Value::as_array);
        if let Some(output) = output.filter(|output| !output.is_empty()) {
            self.outputs.begin_again();
            for (index, item) in (0..).zip(output) {
                if let Value::Object(item) = item {
                    self.take_item(index, item);
                }
            }
        }
        // This API reports a status in place of a finish reason.
        let details = response.get("incomplete_details").and_then(Value::as_object);
        let reason = match text(response, "status") {
            Some("completed") if self.outputs.has_tool_call() => "tool_calls",
            Some("completed") => "stop",
            Some("incomplete") => details
                .and_then(|details| text(details, "reason"))
                .unwrap_or("incomplete"),
            _ => return,
        };
        self.outputs.finish(0, reason);
    }

    fn take_item(&mut self, index: u64, item: &Map<String, Value>) {
        let key = Key::Block(index);
        if is_tool_call(item) {
            let arguments = item.get("arguments").or_else(|| item.get("input"));
            self.outputs
                .tool(0, key, text(item, "call_id"), text(item, "name"), arguments);
            return;
        }
        let is_reasoning = text(item, "type") == Some("reasoning");
        let pieces = ["content", "summary"]
            .into_iter()
            .filter_map(|key| item.get(key)?.as_array());
        for piece in pieces.flatten().filter_map(Value::as_object) {
            let Some(piece) = text(piece, "text").or_else(|| text(piece, "refusal")) else {
                continue;
            };
            if is_reasoning {
                self.outputs.reasoning(0, key, piece);
            } else {
                self.outputs.text(0, key, piece);
            }
        }
    }
}

fn is_tool_call(item: &Map<String, Value>) -> bool {
    matches!(text(item, "type"), Some("function_call" | "custom_tool_call"))
}
