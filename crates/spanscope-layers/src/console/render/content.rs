//! Which keys hold what people and models said to each other.

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

/// FNV-1a with 64 bits: the same text has the same number in every program and release.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
