//! Errors in the providers' formats.

use std::borrow::Cow;

use serde_json::{Map, Value};
use spanscope_model::text::cut;

/// Longer messages are cut to this number of bytes.
const MAX_MESSAGE: usize = 1024;
/// Maximum length of a kind.
const MAX_KIND: usize = 64;

/// Why a call failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallError {
    /// The provider's kind of error: `invalid_request_error`, `overloaded_error`.
    pub kind: Option<String>,
    /// The provider's code: `rate_limit_exceeded`.
    pub code: Option<String>,
    /// The message, for people. It may quote the request. At most 1 KiB.
    pub message: String,
    /// The HTTP status, if it is 400 or above.
    pub status: Option<u16>,
}

impl CallError {
    /// Returns the value for `error.type`: the provider's code, else its kind, else the status.
    #[must_use]
    pub fn error_type(&self) -> Cow<'_, str> {
        let named = self.code.as_deref().or(self.kind.as_deref());
        match (named, self.status) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Some(status)) => Cow::Owned(status.to_string()),
            (None, None) => Cow::Borrowed("_OTHER"),
        }
    }

    /// Reads the error in a response or an event; returns `None` if there is none.
    ///
    /// | form | sent by |
    /// |---|---|
    /// | `{"error": {"message", "type", "code"}}` | OpenAI and compatible APIs, Anthropic |
    /// | `{"error": "text"}` | Ollama, Hugging Face |
    /// | `{"object": "error", "message", "type", "code"}` | vLLM, Mistral |
    /// | `{"type": "error", "message", "code"}` | events of OpenAI's Responses API |
    /// | `{"response": {"error": {…}}}` | the last event of OpenAI's Responses API |
    pub(crate) fn in_answer(answer: &Map<String, Value>) -> Option<Self> {
        let is_error = |key: &str| answer.get(key).and_then(Value::as_str) == Some("error");
        match answer.get("error") {
            Some(Value::Object(error)) => return Some(Self::of(error)),
            Some(Value::String(message)) => {
                return Some(Self {
                    message: cut(message, MAX_MESSAGE).to_owned(),
                    ..Self::default()
                });
            }
            _ => {}
        }
        if is_error("object") || is_error("type") {
            return Some(Self::of(answer));
        }
        let response = answer.get("response")?.as_object()?;
        response.get("error")?.as_object().map(Self::of)
    }

    /// Reads the error in a response whose status is 400 or above, in any form.
    pub(crate) fn in_failure(answer: &Map<String, Value>) -> Self {
        Self::in_answer(answer).unwrap_or_else(|| Self::of(answer))
    }

    fn of(error: &Map<String, Value>) -> Self {
        let kind = |key: &str| {
            let name = match error.get(key)? {
                Value::String(name) => name.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
            let is_kind = !name.is_empty() && name.len() <= MAX_KIND && name.chars().all(is_word);
            is_kind.then_some(name)
        };
        let message = ["message", "detail"]
            .into_iter()
            .find_map(|key| match error.get(key)? {
                Value::String(text) => Some(cut(text, MAX_MESSAGE).to_owned()),
                Value::Null => None,
                other => Some(cut(&other.to_string(), MAX_MESSAGE).to_owned()),
            });
        Self {
            kind: kind("type").filter(|kind| kind != "error"),
            code: kind("code"),
            message: message.unwrap_or_default(),
            status: None,
        }
    }
}
