//! Chunks of a stream with only a piece of content, recognized without parsing them.
//!
//! Of a thousand chunks of a response, a few have its id, its usage or its end. If contents are not
//! kept, the others only need to be counted, and searching them for the relevant members takes a
//! tenth of the time of parsing. Keys with escapes would be missed; no server writes such keys. A
//! chunk that may be relevant is parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::Api;

/// A key with its quotes, which can't occur inside a string.
struct Key(LazyLock<Finder<'static>>);

impl Key {
    const fn new(new: fn() -> Finder<'static>) -> Self {
        Self(LazyLock::new(new))
    }

    fn is_in(&self, chunk: &[u8]) -> bool {
        self.0.find(chunk).is_some()
    }

    /// Returns whether every value of this key is this literal; true if the key is missing.
    fn is_only(&self, literal: &[u8], chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while let Some(at) = self.0.find(rest) {
            rest = rest[at + self.0.needle().len()..].trim_ascii_start();
            let Some(value) = rest.strip_prefix(b":") else {
                continue;
            };
            if !value.trim_ascii_start().starts_with(literal) {
                return false;
            }
        }
        true
    }
}

static USAGE: Key = Key::new(|| Finder::new(b"\"usage\""));
static ERROR: Key = Key::new(|| Finder::new(b"\"error\""));
static CHOICES: Key = Key::new(|| Finder::new(b"\"choices\""));
static FINISH_REASON: Key = Key::new(|| Finder::new(b"\"finish_reason\""));
static TOOL_CALLS: Key = Key::new(|| Finder::new(b"\"tool_calls\""));
static GROQ: Key = Key::new(|| Finder::new(b"\"x_groq\""));
static BLOCK_DELTA: Key = Key::new(|| Finder::new(b"\"content_block_delta\""));
static RESPONSE_DELTA: Key = Key::new(|| Finder::new(b".delta\""));
static RESPONSE: Key = Key::new(|| Finder::new(b"\"response\""));
static DONE: Key = Key::new(|| Finder::new(b"\"done\""));

/// Returns whether a chunk only has a piece of content, in a stream that is known to be a response.
pub(crate) fn has_only_content(api: Api, chunk: &[u8]) -> bool {
    let chunk = chunk.trim_ascii();
    let is_object = chunk.first() == Some(&b'{') && chunk.last() == Some(&b'}');
    let is_null = |key: &Key| key.is_only(b"null", chunk);
    if !is_object || !is_null(&ERROR) || !is_null(&USAGE) {
        return false;
    }
    match api {
        Api::OpenAiChat | Api::OpenAiCompletions => {
            CHOICES.is_in(chunk) && is_null(&FINISH_REASON) && is_null(&TOOL_CALLS) && !GROQ.is_in(chunk)
        }
        Api::OpenAiResponses => RESPONSE_DELTA.is_in(chunk) && !RESPONSE.is_in(chunk),
        Api::AnthropicMessages => BLOCK_DELTA.is_in(chunk),
        Api::OllamaChat | Api::OllamaGenerate => {
            DONE.is_in(chunk) && DONE.is_only(b"false", chunk) && is_null(&TOOL_CALLS)
        }
        Api::OpenAiEmbeddings | Api::OpenAiModerations | Api::OllamaEmbed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_with_only_a_piece_of_content_are_recognized() {
        for (api, chunk) in [
            (
                Api::OpenAiChat,
                r#"{"choices":[{"delta":{"content":"\"usage\": \"error\""},"finish_reason":null}],"usage": null}"#,
            ),
            (Api::OpenAiCompletions, r#" {"choices": [{"text": "a"}]}"#),
            (
                Api::OpenAiResponses,
                r#"{"type":"response.output_text.delta","output_index":0,"delta":"a"}"#,
            ),
            (
                Api::AnthropicMessages,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
            ),
            (Api::OllamaChat, r#"{"message":{"content":"a"},"done":false}"#),
        ] {
            assert!(has_only_content(api, chunk.as_bytes()), "{chunk}");
        }
    }

    #[test]
    fn chunks_with_an_end_counts_an_error_or_a_tool_call_are_parsed() {
        for (api, chunk) in [
            (Api::OpenAiChat, r#"{"choices":[{"finish_reason": "stop"}]}"#),
            (Api::OpenAiChat, r#"{"choices":[],"usage" : {"prompt_tokens":1}}"#),
            (
                Api::OpenAiChat,
                r#"{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}"#,
            ),
            (
                Api::OpenAiChat,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            ),
            (Api::OpenAiChat, r#"{"error":{"code":"x"},"choices":[]}"#),
            (Api::OpenAiChat, r#"{"choices":[],"x_groq":{"usage":null}}"#),
            (Api::OpenAiChat, r#"{"choices":[]"#),
            (Api::OpenAiChat, r#"{"something":"else"}"#),
            (
                Api::OpenAiResponses,
                r#"{"type":"response.completed","response":{"usage":null}}"#,
            ),
            (
                Api::AnthropicMessages,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            ),
            (Api::OllamaChat, r#"{"done": true,"eval_count":4}"#),
            (Api::OllamaChat, r#"{"message":{}}"#),
        ] {
            assert!(!has_only_content(api, chunk.as_bytes()), "{chunk}");
        }
    }
}
