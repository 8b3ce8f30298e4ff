//! The table: one row for each name.

use super::attribute::SemanticAttribute;
use super::source::{Convention, Source};

/// One attribute name and its properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttributeName {
    /// The name.
    pub name: &'static str,
    /// The convention.
    pub convention: Convention,
    /// The meaning.
    pub meaning: SemanticAttribute,
    /// Whether its value, and those of keys that continue the name after a dot, are content:
    /// prompts, completions, arguments and results of tools, documents.
    pub is_content: bool,
    /// Whether its value is a secret.
    pub is_secret: bool,
    /// Whether stores index it by default.
    pub indexed_by_default: bool,
    /// Its unit, in the notation of UCUM; empty if it has none.
    pub unit: &'static str,
    /// The document that defines it.
    pub source: Source,
}

impl AttributeName {
    const fn content(mut self) -> Self {
        self.is_content = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn indexed(mut self) -> Self {
        self.indexed_by_default = true;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

const fn row(
    name: &'static str,
    convention: Convention,
    meaning: SemanticAttribute,
    source: Source,
) -> AttributeName {
    AttributeName {
        name,
        convention,
        meaning,
        is_content: false,
        is_secret: false,
        indexed_by_default: false,
        unit: "",
        source,
    }
}

use Convention::{
    Bare, OlderOpenTelemetry as Older, OpenInference, OpenLlmetry, OpenTelemetry as Otel, Plain, Vendor,
};
use SemanticAttribute as M;
use Source::{
    AgentCore, AgentOps, AgentsSdk, Alibaba, AzureAi, Braintrust, ClaudeCode, Codex,
    CollectorNormalizer as Normalizer, CommonFields as Common, Copilot, DotNet, Galileo, GeminiCli,
    GoogleAdk, Haystack, Laminar, LangSmith, LangWatch, Langfuse, LiteLlm, LiveKit, LlamaStack, MlFlow,
    OpenInference as OI, OpenLit, OpenLlmetry as TL, OpenTelemetry as Core,
    OpenTelemetryDeprecated as Deprecated, OpenTelemetryGenAi as GenAi, PydanticAi, Ragflow, Rig,
    SemanticKernel, Sentry, Spanscope, SpringAi, Strands, TracingLog, TracingOpenTelemetry as Tracing,
    TruLens, Vercel, Vllm, VoltAgent, Weave,
};

/// Every known name. The rows of one meaning are adjacent, in the order of [`SemanticAttribute`];
/// if a span uses several names of one meaning, the first in this order counts, and values are
/// never summed. Within a meaning the rows are in the order of [`Convention`]; only plain names
/// that select runs may come earlier.
#[rustfmt::skip]
pub static ATTRIBUTES: [AttributeName; 422] = [
    // Usage. A total of a part (cache, reasoning) is never added to the whole.
    row("gen_ai.usage.input_tokens", Otel, M::InputTokens, GenAi).unit("{token}"),
    row("gen_ai.usage.prompt_tokens", Older, M::InputTokens, Deprecated).unit("{token}"),
    row("llm.token_count.prompt", OpenInference, M::InputTokens, OI).unit("{token}"),
    row("llm.usage.prompt_tokens", OpenLlmetry, M::InputTokens, TL).unit("{token}"),
    row("ai.usage.inputTokens", Vendor, M::InputTokens, Vercel).unit("{token}"),
    row("ai.usage.promptTokens", Vendor, M::InputTokens, Vercel).unit("{token}"),
    row("ai.usage.tokens", Vendor, M::InputTokens, Vercel).unit("{token}"),
    row("gen_ai.response.input_tokens", Vendor, M::InputTokens, DotNet).unit("{token}"),
    row("gen_ai.response.prompt_tokens", Vendor, M::InputTokens, SemanticKernel).unit("{token}"),
    row("usage.prompt_tokens", Vendor, M::InputTokens, VoltAgent).unit("{token}"),
    row("prompt_tokens", Plain, M::InputTokens, LlamaStack).unit("{token}"),
    row("input_tokens", Bare, M::InputTokens, Common).unit("{token}"),
    row("gen_ai.usage.output_tokens", Otel, M::OutputTokens, GenAi).unit("{token}"),
    row("gen_ai.usage.completion_tokens", Older, M::OutputTokens, Deprecated).unit("{token}"),
    row("llm.token_count.completion", OpenInference, M::OutputTokens, OI).unit("{token}"),
    row("llm.usage.completion_tokens", OpenLlmetry, M::OutputTokens, TL).unit("{token}"),
    row("ai.usage.outputTokens", Vendor, M::OutputTokens, Vercel).unit("{token}"),
    row("ai.usage.completionTokens", Vendor, M::OutputTokens, Vercel).unit("{token}"),
    row("gen_ai.response.output_tokens", Vendor, M::OutputTokens, DotNet).unit("{token}"),
    row("gen_ai.response.completion_tokens", Vendor, M::OutputTokens, SemanticKernel).unit("{token}"),
    row("usage.completion_tokens", Vendor, M::OutputTokens, VoltAgent).unit("{token}"),
    row("completion_tokens", Plain, M::OutputTokens, LlamaStack).unit("{token}"),
    row("output_tokens", Bare, M::OutputTokens, Common).unit("{token}"),
    row("llm.token_count.total", OpenInference, M::TotalTokens, OI).unit("{token}"),
    row("gen_ai.usage.total_tokens", OpenLlmetry, M::TotalTokens, TL).unit("{token}"),
    row("llm.usage.total_tokens", OpenLlmetry, M::TotalTokens, TL).unit("{token}"),
    row("ai.usage.totalTokens", Vendor, M::TotalTokens, Vercel).unit("{token}"),
    row("gen_ai.response.total_tokens", Vendor, M::TotalTokens, SemanticKernel).unit("{token}"),
    row("usage.total_tokens", Vendor, M::TotalTokens, VoltAgent).unit("{token}"),
    row("codex.usage.total_tokens", Vendor, M::TotalTokens, Codex).unit("{token}"),
    row("total_tokens", Plain, M::TotalTokens, LlamaStack).unit("{token}"),
    row("gen_ai.usage.cache_read.input_tokens", Otel, M::CacheReadTokens, GenAi).unit("{token}"),
    row("llm.token_count.prompt_details.cache_read", OpenInference, M::CacheReadTokens, OI).unit("{token}"),
    row("gen_ai.usage.cache_read_input_tokens", OpenLlmetry, M::CacheReadTokens, TL).unit("{token}"),
    row("gen_ai.usage.input_tokens.cached", Vendor, M::CacheReadTokens, Sentry).unit("{token}"),
    row("ai.usage.inputTokenDetails.cacheReadTokens", Vendor, M::CacheReadTokens, Vercel).unit("{token}"),
    row("ai.usage.cachedInputTokens", Vendor, M::CacheReadTokens, Vercel).unit("{token}"),
    row("gen_ai.usage.details.cache_read_tokens", Vendor, M::CacheReadTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.details.cache_read_input_tokens", Vendor, M::CacheReadTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.details.cached_tokens", Vendor, M::CacheReadTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.cache_read_tokens", Vendor, M::CacheReadTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.cached_input_tokens", Vendor, M::CacheReadTokens, AgentsSdk).unit("{token}"),
    row("cache_read_tokens", Bare, M::CacheReadTokens, ClaudeCode).unit("{token}"),
    row("cache_read_input_tokens", Bare, M::CacheReadTokens, Common).unit("{token}"),
    row("cached_input_tokens", Bare, M::CacheReadTokens, Common).unit("{token}"),
    row("cached_tokens", Bare, M::CacheReadTokens, Common).unit("{token}"),
    row("gen_ai.usage.cache_write.input_tokens", Otel, M::CacheWriteTokens, GenAi).unit("{token}"),
    row("gen_ai.usage.cache_creation.input_tokens", Older, M::CacheWriteTokens, GenAi).unit("{token}"),
    row("llm.token_count.prompt_details.cache_write", OpenInference, M::CacheWriteTokens, OI).unit("{token}"),
    row("gen_ai.usage.cache_creation_input_tokens", OpenLlmetry, M::CacheWriteTokens, TL).unit("{token}"),
    row("gen_ai.usage.input_tokens.cache_write", Vendor, M::CacheWriteTokens, Sentry).unit("{token}"),
    row("ai.usage.inputTokenDetails.cacheWriteTokens", Vendor, M::CacheWriteTokens, Vercel).unit("{token}"),
    row("gen_ai.usage.details.cache_write_tokens", Vendor, M::CacheWriteTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.details.cache_creation_input_tokens", Vendor, M::CacheWriteTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.cache_write_tokens", Vendor, M::CacheWriteTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.cache_write_input_tokens", Vendor, M::CacheWriteTokens, Strands).unit("{token}"),
    row("cache_creation_tokens", Bare, M::CacheWriteTokens, ClaudeCode).unit("{token}"),
    row("cache_creation_input_tokens", Bare, M::CacheWriteTokens, Common).unit("{token}"),
    row("cache_write_tokens", Bare, M::CacheWriteTokens, Common).unit("{token}"),
    row("gen_ai.usage.reasoning.output_tokens", Otel, M::ReasoningTokens, GenAi).unit("{token}"),
    row("llm.token_count.completion_details.reasoning", OpenInference, M::ReasoningTokens, OI).unit("{token}"),
    row("gen_ai.usage.reasoning_tokens", OpenLlmetry, M::ReasoningTokens, TL).unit("{token}"),
    row("llm.usage.reasoning_tokens", OpenLlmetry, M::ReasoningTokens, TL).unit("{token}"),
    row("gen_ai.usage.output_tokens.reasoning", Vendor, M::ReasoningTokens, Sentry).unit("{token}"),
    row("ai.usage.reasoningTokens", Vendor, M::ReasoningTokens, Vercel).unit("{token}"),
    row("gen_ai.usage.details.reasoning_tokens", Vendor, M::ReasoningTokens, PydanticAi).unit("{token}"),
    row("gen_ai.usage.thoughts_tokens", Vendor, M::ReasoningTokens, Langfuse).unit("{token}"),
    row("llm.token_count.reasoning_tokens", Vendor, M::ReasoningTokens, Langfuse).unit("{token}"),
    row("codex.usage.reasoning_output_tokens", Vendor, M::ReasoningTokens, Codex).unit("{token}"),
    row("reasoning_tokens", Bare, M::ReasoningTokens, Common).unit("{token}"),
    row("mlflow.chat.tokenUsage", Vendor, M::UsageObject, MlFlow),
    row("langfuse.observation.usage_details", Vendor, M::UsageObject, Langfuse),
    row("langsmith.usage_metadata", Vendor, M::UsageObject, LangSmith),
    row("langsmith.metadata.usage_metadata", Vendor, M::UsageObject, LangSmith),
    row("braintrust.metrics", Vendor, M::UsageObject, Braintrust),
    row("llm.cost.total", OpenInference, M::Cost, OI).unit("USD"),
    row("operation.cost", Vendor, M::Cost, PydanticAi).unit("USD"),
    row("gen_ai.usage.cost", Vendor, M::Cost, OpenLit).unit("USD"),
    row("gen_ai.cost.total_tokens", Vendor, M::Cost, Sentry).unit("USD"),
    row("gen_ai.cost.total_cost", Vendor, M::Cost, LiteLlm).unit("USD"),
    row("litellm.cost.total", Vendor, M::Cost, LiteLlm).unit("USD"),
    row("cost_usd", Bare, M::Cost, Common).unit("USD"),
    row("llm.invocation_parameters", OpenInference, M::InvocationParameters, OI),
    row("braintrust.metadata", Vendor, M::InvocationParameters, Braintrust),

    // The model and its operation.
    row("gen_ai.request.model", Otel, M::RequestModel, GenAi).indexed(),
    row("llm.request.model_name", OpenInference, M::RequestModel, OI),
    row("llm.model_name", OpenInference, M::RequestModel, OI),
    row("embedding.model_name", OpenInference, M::RequestModel, OI),
    row("reranker.model_name", OpenInference, M::RequestModel, OI),
    row("llm.request.model", OpenLlmetry, M::RequestModel, TL),
    row("ai.model.id", Vendor, M::RequestModel, Vercel),
    row("langfuse.observation.model.name", Vendor, M::RequestModel, Langfuse),
    row("gen_ai.model_name", Vendor, M::RequestModel, Alibaba),
    row("mlflow.llm.model", Vendor, M::RequestModel, MlFlow),
    row("model_id", Plain, M::RequestModel, LlamaStack).indexed(),
    row("model", Bare, M::RequestModel, Common),
    row("gen_ai.response.model", Otel, M::ResponseModel, GenAi).indexed(),
    row("llm.response.model_name", OpenInference, M::ResponseModel, OI),
    row("llm.response.model", OpenLlmetry, M::ResponseModel, TL),
    row("ai.response.model", Vendor, M::ResponseModel, Vercel),
    row("gen_ai.response.id", Otel, M::ResponseId, GenAi),
    row("llm.response.id", OpenLlmetry, M::ResponseId, TL),
    row("ai.response.id", Vendor, M::ResponseId, Vercel),
    row("gen_ai.provider.name", Otel, M::Provider, GenAi).indexed(),
    row("gen_ai.system", Older, M::Provider, Deprecated),
    row("llm.provider", OpenInference, M::Provider, OI),
    row("llm.system", OpenInference, M::Provider, OI),
    row("llm.vendor", OpenLlmetry, M::Provider, TL),
    row("ai.model.provider", Vendor, M::Provider, Vercel),
    row("mlflow.llm.provider", Vendor, M::Provider, MlFlow),
    row("provider_id", Plain, M::Provider, LlamaStack).indexed(),
    row("provider", Bare, M::Provider, Common),
    row("gen_ai.operation.name", Otel, M::Operation, GenAi),
    row("openinference.span.kind", OpenInference, M::OpenInferenceKind, OI),
    row("gen_ai.span.kind", Vendor, M::OpenInferenceKind, Alibaba),
    row("mlflow.spanType", Vendor, M::OpenInferenceKind, MlFlow),
    row("spring.ai.kind", Vendor, M::OpenInferenceKind, SpringAi),
    row("langwatch.span.type", Vendor, M::OpenInferenceKind, LangWatch),
    row("lmnr.span.type", Vendor, M::OpenInferenceKind, Laminar),
    row("agentops.span.kind", Vendor, M::OpenInferenceKind, AgentOps),
    row("braintrust.span_attributes.type", Vendor, M::OpenInferenceKind, Braintrust),
    row("braintrust.span_attributes", Vendor, M::OpenInferenceKind, Braintrust),
    row("langsmith.span.kind", Vendor, M::OpenInferenceKind, LangSmith),
    row("langfuse.observation.type", Vendor, M::OpenInferenceKind, Langfuse),
    row("span.type", Bare, M::OpenInferenceKind, ClaudeCode),
    row("traceloop.span.kind", OpenLlmetry, M::OpenLlmetryKind, TL),
    row("llm.request.type", OpenLlmetry, M::RequestType, TL),
    row("ai.operationId", Vendor, M::VercelOperation, Vercel),
    row("mcp.method.name", Otel, M::McpMethod, GenAi),
    row("gen_ai.response.time_to_first_chunk", Otel, M::FirstChunkSeconds, GenAi).unit("s"),
    row("gen_ai.response.time_to_first_token", Vendor, M::FirstChunkSeconds, Sentry).unit("s"),
    row("gen_ai.latency.time_to_first_token", Vendor, M::FirstChunkSeconds, Vllm).unit("s"),
    row("gen_ai.server.time_to_first_token", Vendor, M::FirstChunkSeconds, OpenLit).unit("s"),
    row("lk.response.ttft", Vendor, M::FirstChunkSeconds, LiveKit).unit("s"),
    row("ai.response.msToFirstChunk", Vendor, M::FirstChunkMillis, Vercel).unit("ms"),
    row("copilot_chat.time_to_first_token", Vendor, M::FirstChunkMillis, Copilot).unit("ms"),
    row("ttft_ms", Bare, M::FirstChunkMillis, ClaudeCode).unit("ms"),

    // Errors, statuses and peers, as labels of measurements.
    row("error.type", Otel, M::ErrorType, Core),
    row("gen_ai.tool.error.type", Vendor, M::ErrorType, Rig),
    row("exception.type", Otel, M::ExceptionType, Core),
    row("otel.status_code", Otel, M::StatusCode, Tracing),
    row("otel.kind", Otel, M::SpanKind, Tracing),
    row("server.address", Otel, M::ServerAddress, Core),
    row("server.port", Otel, M::ServerPort, Core),
    row("gen_ai.agent.name", Otel, M::AgentName, GenAi).indexed(),
    row("agent.name", OpenInference, M::AgentName, OI),
    row("llm.agent.name", OpenLlmetry, M::AgentName, Normalizer),
    row("lk.agent_name", Vendor, M::AgentName, LiveKit),
    row("agent_name", Bare, M::AgentName, PydanticAi),
    row("gen_ai.workflow.name", Otel, M::WorkflowName, GenAi),
    row("traceloop.workflow.name", OpenLlmetry, M::WorkflowName, TL),
    row("traceloop.entity.name", OpenLlmetry, M::EntityName, TL),
    row("gen_ai.tool.name", Otel, M::ToolName, GenAi),
    row("tool.name", OpenInference, M::ToolName, OI),
    row("ai.toolCall.name", Vendor, M::ToolName, Vercel),
    row("mcp.tool.name", Vendor, M::ToolName, Sentry),
    row("spring.ai.tool.definition.name", Vendor, M::ToolName, SpringAi),
    row("lk.function_tool.name", Vendor, M::ToolName, LiveKit),
    row("tool_name", Plain, M::ToolName, Ragflow),
    row("gen_ai.tool.type", Otel, M::ToolType, GenAi),
    row("tool_type", Plain, M::ToolType, Ragflow),
    row("gen_ai.prompt.name", Otel, M::PromptName, GenAi),
    row("mcp.protocol.version", Otel, M::McpVersion, GenAi),
    row("network.transport", Otel, M::Transport, Core),
    row("rpc.response.status_code", Otel, M::RpcStatus, Core),
    row("gen_ai.token.type", Otel, M::TokenType, GenAi),
    row("gen_ai.token.modality", Otel, M::TokenModality, GenAi),

    // The owner of a run. The plain names select runs.
    row("task_id", Plain, M::TaskId, Ragflow).indexed(),
    row("agent_id", Plain, M::AgentId, Ragflow).indexed(),
    row("gen_ai.agent.id", Otel, M::AgentId, GenAi).indexed(),
    row("session_id", Plain, M::SessionId, Ragflow).indexed(),
    row("session.id", Otel, M::SessionId, Core).indexed(),
    row("gen_ai.conversation.id", Otel, M::SessionId, GenAi).indexed(),
    row("conversation_id", Plain, M::SessionId, LlamaStack).indexed(),
    row("traceloop.association.properties.session_id", OpenLlmetry, M::SessionId, TL),
    row("traceloop.association.properties.conversation_id", OpenLlmetry, M::SessionId, TL),
    row("traceloop.association.properties.thread_id", OpenLlmetry, M::SessionId, TL),
    row("langfuse.session.id", Vendor, M::SessionId, Langfuse),
    row("gen_ai.session.id", Vendor, M::SessionId, Alibaba),
    row("mlflow.trace.session", Vendor, M::SessionId, MlFlow),
    row("langsmith.trace.session_id", Vendor, M::SessionId, LangSmith),
    row("langsmith.metadata.session_id", Vendor, M::SessionId, LangSmith),
    row("langsmith.metadata.thread_id", Vendor, M::SessionId, LangSmith),
    row("langsmith.metadata.conversation_id", Vendor, M::SessionId, LangSmith),
    row("ai.telemetry.metadata.sessionId", Vendor, M::SessionId, Vercel),
    row("ai.telemetry.metadata.conversationId", Vendor, M::SessionId, Vercel),
    row("ai.telemetry.metadata.threadId", Vendor, M::SessionId, Vercel),
    row("lc.metadata.thread_id", Vendor, M::SessionId, Normalizer),
    row("gcp.vertex.agent.session_id", Vendor, M::SessionId, GoogleAdk),
    row("gen_ai.thread.id", Vendor, M::SessionId, AzureAi),
    row("wandb.thread_id", Vendor, M::SessionId, Weave),
    row("spring.ai.chat.client.conversation.id", Vendor, M::SessionId, SpringAi),
    row("langwatch.thread.id", Vendor, M::SessionId, LangWatch),
    row("lmnr.association.properties.session_id", Vendor, M::SessionId, Laminar),
    row("conversation.id", Vendor, M::SessionId, Codex),
    row("copilot_chat.session_id", Vendor, M::SessionId, Copilot),
    row("copilot_chat.chat_session_id", Vendor, M::SessionId, Copilot),
    row("galileo.session.id", Vendor, M::SessionId, Galileo),
    row("ai.observability.conversation_id", Vendor, M::SessionId, TruLens),
    row("user_id", Plain, M::UserId, Ragflow).indexed(),
    row("user.id", Otel, M::UserId, Core).indexed(),
    row("enduser.id", Otel, M::UserId, Core),
    row("traceloop.association.properties.user_id", OpenLlmetry, M::UserId, TL),
    row("gen_ai.user", OpenLlmetry, M::UserId, TL),
    row("llm.user", OpenLlmetry, M::UserId, TL),
    row("langfuse.user.id", Vendor, M::UserId, Langfuse),
    row("gen_ai.user.id", Vendor, M::UserId, Alibaba),
    row("mlflow.trace.user", Vendor, M::UserId, MlFlow),
    row("langsmith.metadata.user_id", Vendor, M::UserId, LangSmith),
    row("ai.telemetry.metadata.userId", Vendor, M::UserId, Vercel),
    row("langwatch.user.id", Vendor, M::UserId, LangWatch),
    row("lmnr.association.properties.user_id", Vendor, M::UserId, Laminar),
    row("tenant_id", Plain, M::TenantId, Ragflow).indexed(),
    row("trace_level", Plain, M::TraceLevel, Ragflow),

    // A step of a run.
    row("component_type", Plain, M::ComponentType, Ragflow),
    row("component_id", Plain, M::ComponentId, Ragflow),
    row("component_name", Plain, M::ComponentName, Ragflow),
    row("inputs", Plain, M::StepInputs, Ragflow),
    row("outputs", Plain, M::StepOutputs, Ragflow),
    row("input.value", OpenInference, M::StepInput, OI).content(),
    row("traceloop.entity.input", OpenLlmetry, M::StepInput, TL).content(),
    row("langfuse.observation.input", Vendor, M::StepInput, Langfuse).content(),
    row("mlflow.spanInputs", Vendor, M::StepInput, MlFlow).content(),
    row("langwatch.input", Vendor, M::StepInput, LangWatch).content(),
    row("lmnr.span.input", Vendor, M::StepInput, Laminar).content(),
    row("agentops.entity.input", Vendor, M::StepInput, AgentOps).content(),
    row("braintrust.input_json", Vendor, M::StepInput, Braintrust).content(),
    row("haystack.component.input", Vendor, M::StepInput, Haystack).content(),
    row("lk.user_input", Vendor, M::StepInput, LiveKit).content(),
    row("user_prompt", Vendor, M::StepInput, ClaudeCode).content(),
    row("output.value", OpenInference, M::StepOutput, OI).content(),
    row("traceloop.entity.output", OpenLlmetry, M::StepOutput, TL).content(),
    row("langfuse.observation.output", Vendor, M::StepOutput, Langfuse).content(),
    row("mlflow.spanOutputs", Vendor, M::StepOutput, MlFlow).content(),
    row("langwatch.output", Vendor, M::StepOutput, LangWatch).content(),
    row("lmnr.span.output", Vendor, M::StepOutput, Laminar).content(),
    row("agentops.entity.output", Vendor, M::StepOutput, AgentOps).content(),
    row("braintrust.output_json", Vendor, M::StepOutput, Braintrust).content(),
    row("haystack.component.output", Vendor, M::StepOutput, Haystack).content(),
    row("gen_ai.task.input", Vendor, M::TaskInput, AgentCore).content(),
    row("langfuse.trace.input", Vendor, M::TaskInput, Langfuse).content(),
    row("pydantic_ai.all_messages", Vendor, M::TaskInput, PydanticAi).content(),
    row("all_messages_events", Bare, M::TaskInput, PydanticAi).content(),
    row("gen_ai.task.output", Vendor, M::TaskOutput, AgentCore).content(),
    row("langfuse.trace.output", Vendor, M::TaskOutput, Langfuse).content(),
    row("final_result", Bare, M::TaskOutput, PydanticAi).content(),
    row("input", Bare, M::PlainInput, Common),
    row("output", Bare, M::PlainOutput, Common),
    row("question", Bare, M::Question, Common),
    row("content", Plain, M::MessageContent, Ragflow),
    row("message.content", OpenInference, M::MessageContent, OI).content(),
    row("gen_ai.event.content", Vendor, M::MessageContent, AzureAi).content(),
    row("thoughts", Plain, M::Thoughts, Ragflow),
    row("gen_ai.response.reasoning", Vendor, M::Thoughts, Common).content(),
    row("ai.response.reasoning", Vendor, M::Thoughts, Vercel).content(),
    row("reasoning", Bare, M::Thoughts, Common),

    // A call of a model.
    row("gen_ai.input.messages", Otel, M::InputMessages, GenAi).content(),
    row("llm.input_messages", OpenInference, M::InputMessages, OI).content(),
    row("gen_ai.request.messages", Vendor, M::InputMessages, Sentry).content(),
    row("gen_ai.output.messages", Otel, M::OutputMessages, GenAi).content(),
    row("llm.output_messages", OpenInference, M::OutputMessages, OI).content(),
    row("gen_ai.system_instructions", Otel, M::SystemInstructions, GenAi).content(),
    row("gen_ai.prompt", Older, M::Prompt, Deprecated).content(),
    row("gen_ai.completion", Older, M::Completion, Deprecated).content(),
    row("llm.prompts", OpenInference, M::PromptText, OI).content(),
    row("ai.prompt.messages", Vendor, M::PromptText, Vercel).content(),
    row("ai.prompt", Vendor, M::PromptText, Vercel).content(),
    row("gcp.vertex.agent.llm_request", Vendor, M::PromptText, GoogleAdk).content(),
    row("lk.pii.chat_ctx", Vendor, M::PromptText, LiveKit).content(),
    row("lk.chat_ctx", Vendor, M::PromptText, LiveKit).content(),
    row("new_context", Vendor, M::PromptText, ClaudeCode).content(),
    row("llm.choices", OpenInference, M::CompletionText, OI).content(),
    row("llm.completions", OpenLlmetry, M::CompletionText, TL).content(),
    row("gen_ai.response.text", Vendor, M::CompletionText, Sentry).content(),
    row("gen_ai.response.tool_calls", Vendor, M::CompletionText, Sentry).content(),
    row("ai.response.text", Vendor, M::CompletionText, Vercel).content(),
    row("ai.response.object", Vendor, M::CompletionText, Vercel).content(),
    row("ai.response.toolCalls", Vendor, M::CompletionText, Vercel).content(),
    row("gcp.vertex.agent.llm_response", Vendor, M::CompletionText, GoogleAdk).content(),
    row("lk.pii.response.text", Vendor, M::CompletionText, LiveKit).content(),
    row("lk.response.text", Vendor, M::CompletionText, LiveKit).content(),
    row("lk.response.function_calls", Vendor, M::CompletionText, LiveKit).content(),
    row("response.model_output", Vendor, M::CompletionText, ClaudeCode).content(),
    row("prompt", Bare, M::PlainPrompt, Common),
    row("response", Bare, M::PlainCompletion, Common),
    row("completion", Bare, M::PlainCompletion, Common),
    row("llm.prompt_template", OpenInference, M::PromptTemplate, OI).content(),
    row("gen_ai.prompt.version", Otel, M::PromptVersion, GenAi),
    row("gen_ai.response.finish_reasons", Otel, M::FinishReasons, GenAi),
    row("llm.finish_reason", OpenInference, M::FinishReasons, OI),
    row("gen_ai.response.finish_reason", OpenLlmetry, M::FinishReasons, TL),
    row("gen_ai.response.stop_reason", OpenLlmetry, M::FinishReasons, TL),
    row("llm.response.finish_reason", OpenLlmetry, M::FinishReasons, TL),
    row("llm.response.stop_reason", OpenLlmetry, M::FinishReasons, TL),
    row("ai.response.finishReason", Vendor, M::FinishReasons, Vercel),
    row("finish_reason", Bare, M::FinishReasons, Common),
    row("stop_reason", Bare, M::FinishReasons, Common),
    row("gen_ai.request.temperature", Otel, M::Temperature, GenAi),
    row("llm.temperature", OpenLlmetry, M::Temperature, TL),
    row("ai.settings.temperature", Vendor, M::Temperature, Vercel),
    row("temperature", Bare, M::Temperature, Common),
    row("gen_ai.request.max_tokens", Otel, M::MaxTokens, GenAi).unit("{token}"),
    row("gen_ai.request.max_completion_tokens", Older, M::MaxTokens, Common).unit("{token}"),
    row("llm.request.max_tokens", OpenLlmetry, M::MaxTokens, TL).unit("{token}"),
    row("ai.settings.maxOutputTokens", Vendor, M::MaxTokens, Vercel).unit("{token}"),
    row("ai.settings.maxTokens", Vendor, M::MaxTokens, Vercel).unit("{token}"),
    row("max_tokens", Bare, M::MaxTokens, Common).unit("{token}"),
    row("gen_ai.request.stream", Otel, M::IsStreamed, GenAi),
    row("gen_ai.response.chunk_count", Vendor, M::ChunkCount, Spanscope).unit("{chunk}"),
    row("gen_ai.request.top_p", Otel, M::TopP, GenAi),
    row("gen_ai.request.seed", Otel, M::Seed, GenAi),
    row("gen_ai.openai.request.seed", Older, M::Seed, Deprecated),
    row("gen_ai.request.choice.count", Otel, M::ChoiceCount, GenAi),
    row("gen_ai.request.frequency_penalty", Otel, M::FrequencyPenalty, GenAi),
    row("gen_ai.request.presence_penalty", Otel, M::PresencePenalty, GenAi),
    row("gen_ai.request.stop_sequences", Otel, M::StopSequences, GenAi),
    row("gen_ai.output.type", Otel, M::OutputType, GenAi),
    row("gen_ai.request.reasoning.level", Otel, M::ReasoningLevel, GenAi),
    row("gen_ai.request.reasoning_effort", OpenLlmetry, M::ReasoningLevel, TL),
    row("gen_ai.request.previous_response.id", Otel, M::PreviousResponse, GenAi),
    row("gen_ai.request.encoding_formats", Otel, M::EncodingFormats, GenAi),
    row("openai.response.service_tier", Otel, M::ServiceTier, GenAi),
    row("gen_ai.openai.response.service_tier", Older, M::ServiceTier, Deprecated),
    row("openai.response.system_fingerprint", Otel, M::SystemFingerprint, GenAi),
    row("gen_ai.openai.response.system_fingerprint", Older, M::SystemFingerprint, Deprecated),
    row("gen_ai.openai.system_fingerprint", OpenLlmetry, M::SystemFingerprint, TL),
    row("gen_ai.embeddings.dimension.count", Otel, M::EmbeddingDimensions, GenAi),
    row("embedding.text", OpenInference, M::EmbeddingContent, OI).content(),
    row("embedding.vector", OpenInference, M::EmbeddingContent, OI).content(),

    // A retrieval.
    row("gen_ai.retrieval.query.text", Otel, M::RetrievalQuery, GenAi).content(),
    row("query", Plain, M::RetrievalQuery, Ragflow),
    row("gen_ai.memory.query.text", Otel, M::RetrievalQuery, GenAi).content(),
    row("reranker.query", OpenInference, M::RetrievalQuery, OI).content(),
    row("db.vector.query.content", Vendor, M::RetrievalQuery, SpringAi).content(),
    row("gen_ai.retrieval.top_k", Otel, M::TopK, GenAi),
    row("top_k", Plain, M::TopK, Ragflow),
    row("gen_ai.request.top_k", Older, M::TopK, GenAi),
    row("reranker.top_k", OpenInference, M::TopK, OI),
    row("vector_db.query.top_k", OpenLlmetry, M::TopK, TL),
    row("db.vector.query.top_k", OpenLlmetry, M::TopK, TL),
    row("gen_ai.retrieval.documents", Otel, M::Documents, GenAi).content(),
    row("chunks", Plain, M::Documents, Ragflow),
    row("retrieval.documents", OpenInference, M::Documents, OI).content(),
    row("reranker.output_documents", OpenInference, M::Documents, OI).content(),
    row("db.vector.query.response.documents", Vendor, M::Documents, SpringAi).content(),
    row("chunks_retrieved", Plain, M::DocumentCount, Ragflow).unit("{document}"),
    row("gen_ai.memory.record.count", Otel, M::DocumentCount, GenAi).unit("{document}"),
    row("documents_retrieved", Bare, M::DocumentCount, Common).unit("{document}"),
    row("document.content", OpenInference, M::DocumentContent, OI).content(),
    row("gen_ai.memory.records", Otel, M::MemoryRecords, GenAi).content(),
    row("gen_ai.data_source.id", Otel, M::DataSource, GenAi),
    row("gen_ai.memory.store.id", Otel, M::MemoryStore, GenAi),
    row("knowledge_bases", Plain, M::KnowledgeBases, Ragflow),
    row("kb_ids", Bare, M::KnowledgeBases, Ragflow),
    row("similarity_threshold", Plain, M::SimilarityThreshold, Ragflow),
    row("rerank_enabled", Plain, M::RerankEnabled, Ragflow),

    // A tool.
    row("gen_ai.tool.call.arguments", Otel, M::ToolArguments, GenAi).content(),
    row("gen_ai.tool.input", Vendor, M::ToolArguments, Sentry).content(),
    row("ai.toolCall.args", Vendor, M::ToolArguments, Vercel).content(),
    row("tool_arguments", Vendor, M::ToolArguments, PydanticAi).content(),
    row("mcp.request.argument", Vendor, M::ToolArguments, Sentry).content(),
    row("gcp.vertex.agent.tool_call_args", Vendor, M::ToolArguments, GoogleAdk).content(),
    row("spring.ai.tool.call.arguments", Vendor, M::ToolArguments, SpringAi).content(),
    row("lk.pii.function_tool.arguments", Vendor, M::ToolArguments, LiveKit).content(),
    row("lk.function_tool.arguments", Vendor, M::ToolArguments, LiveKit).content(),
    row("tool_input", Vendor, M::ToolArguments, ClaudeCode).content(),
    row("gen_ai.tool.call.result", Otel, M::ToolResult, GenAi).content(),
    row("mcp.response.value", OpenLlmetry, M::ToolResult, TL).content(),
    row("gen_ai.tool.output", Vendor, M::ToolResult, Sentry).content(),
    row("mcp.tool.result.content", Vendor, M::ToolResult, Sentry).content(),
    row("ai.toolCall.result", Vendor, M::ToolResult, Vercel).content(),
    row("gcp.vertex.agent.tool_response", Vendor, M::ToolResult, GoogleAdk).content(),
    row("spring.ai.tool.call.result", Vendor, M::ToolResult, SpringAi).content(),
    row("lk.pii.function_tool.output", Vendor, M::ToolResult, LiveKit).content(),
    row("lk.function_tool.output", Vendor, M::ToolResult, LiveKit).content(),
    row("tool_response", Vendor, M::ToolResult, PydanticAi).content(),
    row("tool.parameters", OpenInference, M::PlainArguments, OI).content(),
    row("arguments", Bare, M::PlainArguments, Common),
    row("tool_args", Bare, M::PlainArguments, Common),
    row("result", Bare, M::PlainResult, Common),
    row("gen_ai.tool.message", Vendor, M::ToolMessage, Sentry).content(),
    row("gen_ai.tool.call.outcome", Vendor, M::ToolOutcome, Rig),
    row("gen_ai.tool.definitions", Otel, M::ToolDefinitions, GenAi).content(),
    row("llm.tools", OpenInference, M::ToolDefinitions, OI).content(),
    row("llm.request.functions", OpenLlmetry, M::ToolDefinitions, TL).content(),
    row("gen_ai.request.available_tools", Vendor, M::ToolDefinitions, Sentry).content(),
    row("gen_ai.tool.call.id", Otel, M::CallId, GenAi),
    row("tool.id", OpenInference, M::CallId, OI),
    row("ai.toolCall.id", Vendor, M::CallId, Vercel),
    row("gen_ai.tool.call_id", Vendor, M::CallId, GeminiCli),
    row("lk.function_tool.id", Vendor, M::CallId, LiveKit),
    row("call_id", Bare, M::CallId, Common),
    row("mcp.session.id", Otel, M::McpSession, GenAi),
    row("mcp_list_tools_id", Plain, M::McpListId, LlamaStack),
    row("server_url", Plain, M::McpServerUrl, LlamaStack),
    row("server_label", Plain, M::McpServerLabel, LlamaStack),

    // A safety check.
    row("llama_stack.safety.request.shield_id", Plain, M::ShieldId, LlamaStack),
    row("llama_stack.safety.request.messages", Plain, M::ShieldMessages, LlamaStack).content(),
    row("llama_stack.safety.response.status", Plain, M::ShieldStatus, LlamaStack),
    row("llama_stack.safety.response.metadata", Plain, M::ShieldMetadata, LlamaStack),
    row("llama_stack.safety.response.violation.level", Plain, M::ViolationLevel, LlamaStack),
    row("llama_stack.safety.response.violation.user_message", Plain, M::ViolationMessage, LlamaStack).content(),

    // Errors, and fields that name parts of a span or an event.
    row("exception.message", Otel, M::ExceptionMessage, Core),
    row("exception.chain", Vendor, M::ExceptionChain, Spanscope),
    row("exception.stacktrace", Otel, M::ExceptionStacktrace, Core),
    row("error.message", Older, M::ErrorMessage, Core),
    row("error", Bare, M::PlainError, Common),
    row("otel.status_description", Otel, M::StatusDescription, Tracing),
    row("otel.status_message", Older, M::StatusDescription, Tracing),
    row("otel.name", Otel, M::SpanName, Tracing),
    row("category", Plain, M::Category, LlamaStack),
    row("severity", Plain, M::Severity, LlamaStack),
    row("ttl_seconds", Plain, M::TimeToLive, LlamaStack).unit("s"),
    row("message", Bare, M::EventMessage, Common),
    row("log.target", Vendor, M::LogTarget, TracingLog),
    row("log.module_path", Vendor, M::LogPlace, TracingLog),
    row("log.file", Vendor, M::LogPlace, TracingLog),
    row("log.line", Vendor, M::LogPlace, TracingLog),

    // Secrets that conventions have names for.
    row("http.request.header.authorization", Otel, M::CredentialHeader, Core).secret(),
    row("http.request.header.cookie", Otel, M::CredentialHeader, Core).secret(),
    row("http.request.header.proxy-authorization", Otel, M::CredentialHeader, Core).secret(),
    row("http.response.header.set-cookie", Otel, M::CredentialHeader, Core).secret(),
];

/// The number of meanings.
const MEANINGS: usize = SemanticAttribute::CredentialHeader as usize + 1;

/// For each meaning the range of its rows.
pub(super) const RANGES: [(usize, usize); MEANINGS] = ranges();

const fn ranges() -> [(usize, usize); MEANINGS] {
    let mut ranges = [(0, 0); MEANINGS];
    let mut row = 0;
    while row < ATTRIBUTES.len() {
        let meaning = ATTRIBUTES[row].meaning as usize;
        if row == 0 || ATTRIBUTES[row - 1].meaning as usize != meaning {
            assert!(ranges[meaning].1 == 0, "the rows of one meaning are together");
            ranges[meaning].0 = row;
        }
        ranges[meaning].1 = row + 1;
        row += 1;
    }
    ranges
}

/// The number of names that are indexed by default.
pub(super) const INDEXED: usize = {
    let (mut row, mut count) = (0, 0);
    while row < ATTRIBUTES.len() {
        count += ATTRIBUTES[row].indexed_by_default as usize;
        row += 1;
    }
    count
};

pub(super) const fn indexed_names() -> [&'static str; INDEXED] {
    let mut names = [""; INDEXED];
    let (mut row, mut place) = (0, 0);
    while row < ATTRIBUTES.len() {
        if ATTRIBUTES[row].indexed_by_default {
            names[place] = ATTRIBUTES[row].name;
            place += 1;
        }
        row += 1;
    }
    names
}

/// A list of objects that is flattened to attributes: `{prefix}{index}.{item_prefix}{key}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlattenedList {
    /// The list's meaning.
    pub meaning: SemanticAttribute,
    /// The prefix of the keys, up to the index.
    pub prefix: &'static str,
    /// The prefix of the keys of an item; may be empty.
    pub item_prefix: &'static str,
}

const fn flattened(
    meaning: SemanticAttribute,
    prefix: &'static str,
    item_prefix: &'static str,
) -> FlattenedList {
    FlattenedList {
        meaning,
        prefix,
        item_prefix,
    }
}

/// The lists that conventions flatten to attributes. Of several lists of one meaning the first that
/// has items counts.
#[rustfmt::skip]
pub static FLATTENED_LISTS: [FlattenedList; 8] = [
    flattened(M::InputMessages, "llm.input_messages.", "message."),
    flattened(M::InputMessages, "gen_ai.prompt.", ""),
    flattened(M::InputMessages, "llm.prompts.", "prompt."),
    flattened(M::OutputMessages, "llm.output_messages.", "message."),
    flattened(M::OutputMessages, "gen_ai.completion.", ""),
    flattened(M::OutputMessages, "llm.choices.", "completion."),
    flattened(M::Documents, "retrieval.documents.", "document."),
    flattened(M::Documents, "reranker.output_documents.", "document."),
];
