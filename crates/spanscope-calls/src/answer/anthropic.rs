//! Parses responses of Anthropic's Messages API, whole or streamed.

use serde_json::{Map, Value};

use super::output::Key;
use super::{Answer, ObjectKind};
use crate::request::text;

impl Answer {
    /// Reads a whole message, or an event of a streamed one.
    pub(super) fn take_message(&mut self, kind: &str, object: &Map<String, Value>) -> ObjectKind {
        let index = object.get("index").and_then(Value::as_u64).unwrap_or(0);
        let member = |key: &str| object.get(key).and_then(Value::as_object);
        match kind {
            "message" => {
                self.take_common(object);
                let blocks = object.get("content").and_then(Value::as_array);
                for (index, block) in (0..).zip(blocks.into_iter().flatten()) {
                    if let Value::Object(block) = block {
                        self.take_block(index, block);
                    }
                }
                self.take_end(object);
            }
            "message_start" => {
                if let Some(message) = member("message") {
                    self.take_common(message);
                }
            }
            "content_block_start" => {
                if let Some(block) = member("content_block") {
                    self.take_block(index, block);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = member("delta") {
                    self.take_block_delta(index, delta);
                }
            }
            "message_delta" => {
                // The usage is next to the delta.
                if let Some(usage) = member("usage") {
                    self.usage.take(usage);
                }
                if let Some(delta) = member("delta") {
                    self.take_end(delta);
                }
            }
            "content_block_stop" | "message_stop" => {}
            _ => return ObjectKind::Ignored,
        }
        ObjectKind::Chunk
    }

    fn take_end(&mut self, message: &Map<String, Value>) {
        if let Some(reason) = text(message, "stop_reason") {
            self.outputs.finish(0, reason);
        }
    }

    fn take_block(&mut self, index: u64, block: &Map<String, Value>) {
        let key = Key::Block(index);
        match text(block, "type") {
            Some("text") => self.outputs.text(0, key, text(block, "text").unwrap_or_default()),
            Some("thinking") => {
                self.outputs
                    .reasoning(0, key, text(block, "thinking").unwrap_or_default());
            }
            Some("tool_use") => {
                self.outputs
                    .tool(0, key, text(block, "id"), text(block, "name"), block.get("input"));
            }
            _ => {}
        }
    }

    fn take_block_delta(&mut self, index: u64, delta: &Map<String, Value>) {
        let key = Key::Block(index);
        match text(delta, "type") {
            Some("text_delta") => self.outputs.text(0, key, text(delta, "text").unwrap_or_default()),
            Some("thinking_delta") => {
                self.outputs
                    .reasoning(0, key, text(delta, "thinking").unwrap_or_default());
            }
            Some("input_json_delta") => {
                self.outputs.tool(0, key, None, None, delta.get("partial_json"));
            }
            _ => {}
        }
    }
}
