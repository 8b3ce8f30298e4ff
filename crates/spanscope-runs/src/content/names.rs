//! Under which names programs write what a step was given, what it gave back, and what else is shown of it.
//!
//! Of the names of one thing that a span has, the first counts. Plain names stand behind those of conventions where they
//! could mean something else, before them where they are the described service's own.

pub(crate) type Names = &'static [&'static str];

/// The described service's own fields for what a component was given and gave back, of any kind.
pub(crate) const OWN_INPUTS: &str = "inputs";
pub(crate) const OWN_OUTPUTS: &str = "outputs";

/// Messages to a model or an agent.
pub(crate) const INPUT_MESSAGES: Names = &["gen_ai.input.messages", "gen_ai.request.messages"];
pub(crate) const OUTPUT_MESSAGES: Names = &["gen_ai.output.messages"];

/// What an agent, a workflow or a node was given.
pub(crate) const INPUTS: Names = &[
    "input",
    "input.value",
    "traceloop.entity.input",
    "gen_ai.task.input",
    "langfuse.observation.input",
    "langfuse.trace.input",
    "question",
    "gen_ai.prompt",
];
/// What it gave back.
pub(crate) const OUTPUTS: Names = &[
    "output",
    "output.value",
    "traceloop.entity.output",
    "gen_ai.task.output",
    "langfuse.observation.output",
    "langfuse.trace.output",
    "gen_ai.completion",
];
/// What a message says, beside the outputs.
pub(crate) const CONTENTS: Names = &["content", "message.content", "message"];

pub(crate) const ARGUMENTS: Names = &[
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.input",
    "tool.parameters",
    "ai.toolCall.args",
    "mcp.request.argument",
    "traceloop.entity.input",
    "input.value",
    "langfuse.observation.input",
    "arguments",
    "tool_args",
    "input",
];
pub(crate) const RESULTS: Names = &[
    "gen_ai.tool.call.result",
    "gen_ai.tool.output",
    "mcp.tool.result.content",
    "ai.toolCall.result",
    "mcp.response.value",
    "traceloop.entity.output",
    "output.value",
    "langfuse.observation.output",
    "result",
    "output",
];
pub(crate) const TOOL_NAME: Names = &[
    "gen_ai.tool.name",
    "tool.name",
    "ai.toolCall.name",
    "mcp.tool.name",
    "tool_name",
    "traceloop.entity.name",
];
pub(crate) const TOOL_TYPE: Names = &["gen_ai.tool.type", "tool_type"];
pub(crate) const CALL_ID: Names = &[
    "gen_ai.tool.call.id",
    "tool.id",
    "ai.toolCall.id",
    "call_id",
    "gen_ai.response.id",
    "llm.response.id",
    "ai.response.id",
];

pub(crate) const QUERY: Names = &[
    "gen_ai.retrieval.query.text",
    "query",
    "gen_ai.memory.query.text",
    "reranker.query",
    "input.value",
    "traceloop.entity.input",
    "input",
    "question",
];
pub(crate) const TOP_K: Names = &[
    "gen_ai.retrieval.top_k",
    "top_k",
    "gen_ai.request.top_k",
    "reranker.top_k",
    "vector_db.query.top_k",
    "db.vector.query.top_k",
];
pub(crate) const CHUNKS: Names = &[
    "gen_ai.retrieval.documents",
    "chunks",
    "retrieval.documents",
    "gen_ai.memory.records",
    "reranker.output_documents",
    "output.value",
    "traceloop.entity.output",
];
/// The same where each document is attributes of its own.
pub(crate) const FLAT_CHUNKS: [(&str, &str); 2] = [
    ("retrieval.documents.", "document."),
    ("reranker.output_documents.", "document."),
];
pub(crate) const CHUNK_COUNT: Names = &[
    "chunks_retrieved",
    "gen_ai.memory.record.count",
    "documents_retrieved",
];
pub(crate) const KNOWLEDGE_BASES: Names = &[
    "knowledge_bases",
    "kb_ids",
    "gen_ai.data_source.id",
    "gen_ai.memory.store.id",
];
pub(crate) const SIMILARITY_THRESHOLD: Names = &["similarity_threshold"];
pub(crate) const RERANK_ENABLED: Names = &["rerank_enabled"];

pub(crate) const PROMPTS: Names = &[
    "gen_ai.prompt",
    "llm.prompts",
    "ai.prompt.messages",
    "ai.prompt",
    "input.value",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "prompt",
    "input",
];
pub(crate) const COMPLETIONS: Names = &[
    "gen_ai.completion",
    "gen_ai.response.text",
    "llm.completions",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "output.value",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "response",
    "completion",
    "output",
];
pub(crate) const FLAT_PROMPTS: [(&str, &str); 3] = [
    ("llm.input_messages.", "message."),
    ("gen_ai.prompt.", ""),
    ("llm.prompts.", "prompt."),
];
pub(crate) const FLAT_COMPLETIONS: [(&str, &str); 3] = [
    ("llm.output_messages.", "message."),
    ("gen_ai.completion.", ""),
    ("llm.choices.", "completion."),
];
pub(crate) const FINISH_REASONS: Names = &[
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "gen_ai.response.stop_reason",
    "llm.response.finish_reason",
    "llm.response.stop_reason",
    "llm.finish_reason",
    "ai.response.finishReason",
    "finish_reason",
    "stop_reason",
];
pub(crate) const TEMPERATURE: Names = &[
    "gen_ai.request.temperature",
    "llm.temperature",
    "ai.settings.temperature",
    "temperature",
];
pub(crate) const MAX_TOKENS: Names = &[
    "gen_ai.request.max_tokens",
    "gen_ai.request.max_completion_tokens",
    "llm.request.max_tokens",
    "ai.settings.maxOutputTokens",
    "ai.settings.maxTokens",
    "max_tokens",
];
/// A JSON object with the names of the two above, without their prefixes.
pub(crate) const INVOCATION_PARAMETERS: &str = "llm.invocation_parameters";
pub(crate) const MODELS: Names = &[
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.request.model_name",
    "llm.model_name",
    "llm.response.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "llm.request.model",
    "llm.response.model",
    "ai.model.id",
    "ai.response.model",
    "langfuse.observation.model.name",
    "model_id",
    "model",
];
pub(crate) const PROVIDERS: Names = &[
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "llm.vendor",
    "ai.model.provider",
    "provider_id",
    "provider",
];
pub(crate) const THOUGHTS: Names = &[
    "thoughts",
    "gen_ai.response.reasoning",
    "ai.response.reasoning",
    "reasoning",
];
pub(crate) const AGENT_NAME: Names = &[
    "gen_ai.agent.name",
    "agent.name",
    "llm.agent.name",
    "traceloop.entity.name",
];
pub(crate) const AGENT_ID: Names = &["gen_ai.agent.id", "agent_id"];
pub(crate) const WORKFLOW_NAME: Names = &[
    "gen_ai.workflow.name",
    "traceloop.workflow.name",
    "traceloop.entity.name",
];
pub(crate) const ERRORS: Names = &[
    "exception.message",
    "error.message",
    "otel.status_description",
    "error",
    "error.type",
    "gen_ai.tool.error.type",
    "exception.type",
];
