//! Which keys hold what people and models said to each other, and what stands in for it.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::text::push_grouped;
use spanscope_core::capture::RawValue;

/// Keys that are content as they are, or as the head of a longer key: `gen_ai.prompt` covers `gen_ai.prompt.0.content`.
/// The list is the opt-in keys of OpenTelemetry's GenAI conventions and their like in OpenInference, OpenLLMetry and the
/// SDKs that write `ai.` and `langfuse.` keys, and the described system's checks of messages.
const HEADS: [&str; 41] = [
    "ai.prompt",
    "ai.response.text",
    "ai.response.toolCalls",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "document.content",
    "embedding.text",
    "embedding.vector",
    "gen_ai.completion",
    "gen_ai.input.messages",
    "gen_ai.memory.query.text",
    "gen_ai.memory.records",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.system_instructions",
    "gen_ai.task.input",
    "gen_ai.task.output",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "gen_ai.tool.input",
    "gen_ai.tool.message",
    "gen_ai.tool.output",
    "input.value",
    "llama_stack.safety.request.messages",
    "llama_stack.safety.response.violation.user_message",
    "llm.choices",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompt_template",
    "llm.prompts",
    "mcp.request.argument",
    "mcp.response.value",
    "output.value",
    "reranker.query",
    "retrieval.documents",
    "tool.parameters",
    "traceloop.entity.input",
    "traceloop.entity.output",
];

/// Whether the key holds content: prompts, completions, tool arguments and results, retrieved documents.
///
/// ```
/// use spanscope_layers::console::render::is_content;
/// assert!(is_content("gen_ai.input.messages") && is_content("gen_ai.prompt.0.content") && is_content("input.value"));
/// assert!(!is_content("gen_ai.prompt.name") && !is_content("gen_ai.usage.input_tokens") && !is_content("model"));
/// ```
#[must_use]
pub fn is_content(key: &str) -> bool {
    // The name of a prompt says which one was used, not what it says.
    if matches!(key, "gen_ai.prompt.name" | "gen_ai.prompt.version") {
        return false;
    }
    if let Some(rest) = key.strip_prefix("langfuse.") {
        return rest.ends_with(".input") || rest.ends_with(".output");
    }
    let is_head = |head: &&str| {
        key.strip_prefix(*head)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    HEADS.iter().any(is_head)
}

/// What stands in for a content: how long it is, and its hash.
///
/// ```
/// use spanscope_core::capture::RawValue;
/// use spanscope_layers::console::render::redacted;
/// assert_eq!(redacted(RawValue::Text("hello", None)), "[redacted: 5 characters, fnv1a a430d84680aabd0b]");
/// ```
#[must_use]
pub fn redacted(value: RawValue<'_>) -> String {
    let text = match value {
        RawValue::Text(text, _) => Cow::Borrowed(text),
        RawValue::Bool(value) => Cow::Owned(value.to_string()),
        RawValue::I64(value) => Cow::Owned(value.to_string()),
        RawValue::U64(value) => Cow::Owned(value.to_string()),
        RawValue::F64(value) => Cow::Owned(format!("{value:?}")),
    };
    let mut shown = String::from("[redacted: ");
    match value {
        RawValue::Text(_, Some(bytes)) => {
            push_grouped(&mut shown, bytes);
            shown.push_str(" bytes");
        }
        _ => {
            push_grouped(&mut shown, text.chars().count() as u64);
            shown.push_str(" characters");
        }
    }
    // Writing to a string can't fail.
    let _ = write!(shown, ", fnv1a {:016x}]", fingerprint(&text));
    shown
}

/// FNV-1a with 64 bits: the same text has the same number in every program and release.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
