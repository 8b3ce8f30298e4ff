//! The field names under which programs say what a model call used, as data: one table for all conventions.
//!
//! Three generations of the OpenTelemetry conventions are in use at the same time, and beside them OpenInference,
//! OpenLLMetry, what single vendors write, and plain words. One meaning has many names; where a span uses several of
//! them, the one that stands first here is read, and nothing is ever added up. The names are constants of our own: those
//! of the `opentelemetry-semantic-conventions` crate are deprecated and know one generation.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Who calls a field so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Convention {
    /// OpenTelemetry's semantic conventions as they are today.
    OpenTelemetry,
    /// The same until they were renamed (`gen_ai.system`, `gen_ai.usage.prompt_tokens`).
    OlderOpenTelemetry,
    /// OpenInference (Arize Phoenix).
    OpenInference,
    /// OpenLLMetry (Traceloop).
    OpenLlmetry,
    /// Others: the Vercel AI SDK, Sentry, vLLM, Langfuse, Rig.
    Vendor,
    /// The plain names of the documented telemetry API (`prompt_tokens`, `model_id`).
    Plain,
    /// Words that mean other things too (`input_tokens`, `model`): token counts among them are read only where the span
    /// is known to be about a model, or if the layer was told to.
    Bare,
}

/// What a field says, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// Tokens that went in, the cached ones included.
    InputTokens,
    /// Tokens that came out, the reasoning ones included.
    OutputTokens,
    /// Both together, as it was reported.
    TotalTokens,
    /// The part of the input that came from a cache.
    CacheReadTokens,
    /// The part of the input that was put into a cache.
    CacheWriteTokens,
    /// The part of the output that was reasoning.
    ReasoningTokens,
    /// The model asked for.
    RequestModel,
    /// The model that answered.
    ResponseModel,
    /// Who runs the model.
    Provider,
    /// What is done (`chat`, `invoke_agent`).
    Operation,
    /// OpenInference's span kind (`LLM`, `AGENT`).
    OpenInferenceKind,
    /// OpenLLMetry's span kind (`workflow`, `agent`).
    OpenLlmetryKind,
    /// OpenLLMetry's request type (`chat`, `embedding`).
    RequestType,
    /// The Vercel AI SDK's operation (`ai.generateText.doGenerate`).
    VercelOperation,
    /// The method of the Model Context Protocol.
    McpMethod,
    /// Seconds until the first chunk of a streamed answer.
    FirstChunkSeconds,
    /// The same in milliseconds.
    FirstChunkMillis,
    /// The error's type, where the call failed.
    ErrorType,
    /// The same, as exceptions are described.
    ExceptionType,
    /// `ok` or `error`.
    StatusCode,
    /// `client`, `server`, `internal`.
    SpanKind,
    /// The server called.
    ServerAddress,
    /// Its port.
    ServerPort,
    /// The agent.
    AgentName,
    /// The workflow.
    WorkflowName,
    /// OpenLLMetry's name of an agent, a workflow or a tool.
    EntityName,
    /// The tool.
    ToolName,
    /// `function`, `extension`, `datastore`.
    ToolType,
    /// The prompt of a Model Context Protocol request.
    PromptName,
    /// Its protocol's version.
    McpVersion,
    /// `pipe`, `tcp`, `quic`.
    Transport,
    /// The status code of a remote procedure call.
    RpcStatus,
}

/// So many meanings there are.
pub(super) const MEANINGS: usize = Meaning::RpcStatus as usize + 1;

impl Meaning {
    /// Whether a span that says this is looked at when it ends: a token count, or what it does.
    fn is_trigger(self) -> bool {
        matches!(
            self,
            Self::InputTokens | Self::OutputTokens | Self::TotalTokens | Self::McpMethod
        ) || self.is_kind()
    }

    /// Whether this tells what a span does.
    fn is_kind(self) -> bool {
        matches!(
            self,
            Self::Operation
                | Self::OpenInferenceKind
                | Self::OpenLlmetryKind
                | Self::RequestType
                | Self::VercelOperation
        )
    }
}

/// One name of one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The field's name.
    pub name: &'static str,
    /// Who calls it so.
    pub convention: Convention,
    /// What it says.
    pub meaning: Meaning,
}

const fn alias(name: &'static str, convention: Convention, meaning: Meaning) -> Alias {
    Alias {
        name,
        convention,
        meaning,
    }
}

use Convention::{
    Bare, OlderOpenTelemetry as Older, OpenInference, OpenLlmetry, OpenTelemetry as Otel, Plain, Vendor,
};
use Meaning as M;

/// Every name that is read. Of the names of one meaning that a span uses, the first in this order counts.
#[rustfmt::skip]
pub static ALIASES: [Alias; 89] = [
    alias("gen_ai.usage.input_tokens",               Otel, M::InputTokens),
    alias("gen_ai.usage.prompt_tokens",              Older, M::InputTokens),
    alias("llm.token_count.prompt",                  OpenInference, M::InputTokens),
    alias("llm.usage.prompt_tokens",                 OpenLlmetry, M::InputTokens),
    alias("ai.usage.inputTokens",                    Vendor, M::InputTokens),
    alias("ai.usage.promptTokens",                   Vendor, M::InputTokens),
    alias("prompt_tokens",                           Plain, M::InputTokens),
    alias("input_tokens",                            Bare, M::InputTokens),

    alias("gen_ai.usage.output_tokens",              Otel, M::OutputTokens),
    alias("gen_ai.usage.completion_tokens",          Older, M::OutputTokens),
    alias("llm.token_count.completion",              OpenInference, M::OutputTokens),
    alias("llm.usage.completion_tokens",             OpenLlmetry, M::OutputTokens),
    alias("ai.usage.outputTokens",                   Vendor, M::OutputTokens),
    alias("ai.usage.completionTokens",               Vendor, M::OutputTokens),
    alias("completion_tokens",                       Plain, M::OutputTokens),
    alias("output_tokens",                           Bare, M::OutputTokens),

    alias("llm.token_count.total",                   OpenInference, M::TotalTokens),
    alias("gen_ai.usage.total_tokens",               OpenLlmetry, M::TotalTokens),
    alias("llm.usage.total_tokens",                  OpenLlmetry, M::TotalTokens),
    alias("ai.usage.totalTokens",                    Vendor, M::TotalTokens),
    alias("total_tokens",                            Plain, M::TotalTokens),

    alias("gen_ai.usage.cache_read.input_tokens",    Otel, M::CacheReadTokens),
    alias("llm.token_count.prompt_details.cache_read", OpenInference, M::CacheReadTokens),
    alias("gen_ai.usage.cache_read_input_tokens",    OpenLlmetry, M::CacheReadTokens),
    alias("gen_ai.usage.input_tokens.cached",        Vendor, M::CacheReadTokens),
    alias("ai.usage.inputTokenDetails.cacheReadTokens", Vendor, M::CacheReadTokens),
    alias("ai.usage.cachedInputTokens",              Vendor, M::CacheReadTokens),

    alias("gen_ai.usage.cache_write.input_tokens",   Otel, M::CacheWriteTokens),
    alias("gen_ai.usage.cache_creation.input_tokens", Older, M::CacheWriteTokens),
    alias("llm.token_count.prompt_details.cache_write", OpenInference, M::CacheWriteTokens),
    alias("gen_ai.usage.cache_creation_input_tokens", OpenLlmetry, M::CacheWriteTokens),
    alias("gen_ai.usage.input_tokens.cache_write",   Vendor, M::CacheWriteTokens),
    alias("ai.usage.inputTokenDetails.cacheWriteTokens", Vendor, M::CacheWriteTokens),

    alias("gen_ai.usage.reasoning.output_tokens",    Otel, M::ReasoningTokens),
    alias("llm.token_count.completion_details.reasoning", OpenInference, M::ReasoningTokens),
    alias("gen_ai.usage.reasoning_tokens",           OpenLlmetry, M::ReasoningTokens),
    alias("llm.usage.reasoning_tokens",              OpenLlmetry, M::ReasoningTokens),
    alias("gen_ai.usage.output_tokens.reasoning",    Vendor, M::ReasoningTokens),
    alias("ai.usage.reasoningTokens",                Vendor, M::ReasoningTokens),

    alias("gen_ai.request.model",                    Otel, M::RequestModel),
    alias("llm.request.model_name",                  OpenInference, M::RequestModel),
    alias("llm.model_name",                          OpenInference, M::RequestModel),
    alias("embedding.model_name",                    OpenInference, M::RequestModel),
    alias("reranker.model_name",                     OpenInference, M::RequestModel),
    alias("llm.request.model",                       OpenLlmetry, M::RequestModel),
    alias("ai.model.id",                             Vendor, M::RequestModel),
    alias("langfuse.observation.model.name",         Vendor, M::RequestModel),
    alias("model_id",                                Plain, M::RequestModel),
    alias("model",                                   Bare, M::RequestModel),

    alias("gen_ai.response.model",                   Otel, M::ResponseModel),
    alias("llm.response.model_name",                 OpenInference, M::ResponseModel),
    alias("llm.response.model",                      OpenLlmetry, M::ResponseModel),
    alias("ai.response.model",                       Vendor, M::ResponseModel),

    alias("gen_ai.provider.name",                    Otel, M::Provider),
    alias("gen_ai.system",                           Older, M::Provider),
    alias("llm.provider",                            OpenInference, M::Provider),
    alias("llm.system",                              OpenInference, M::Provider),
    alias("llm.vendor",                              OpenLlmetry, M::Provider),
    alias("ai.model.provider",                       Vendor, M::Provider),
    alias("provider_id",                             Plain, M::Provider),
    alias("provider",                                Bare, M::Provider),

    alias("gen_ai.operation.name",                   Otel, M::Operation),
    alias("openinference.span.kind",                 OpenInference, M::OpenInferenceKind),
    alias("traceloop.span.kind",                     OpenLlmetry, M::OpenLlmetryKind),
    alias("llm.request.type",                        OpenLlmetry, M::RequestType),
    alias("ai.operationId",                          Vendor, M::VercelOperation),
    alias("mcp.method.name",                         Otel, M::McpMethod),

    alias("gen_ai.response.time_to_first_chunk",     Otel, M::FirstChunkSeconds),
    alias("gen_ai.response.time_to_first_token",     Vendor, M::FirstChunkSeconds),
    alias("gen_ai.latency.time_to_first_token",      Vendor, M::FirstChunkSeconds),
    alias("ai.response.msToFirstChunk",              Vendor, M::FirstChunkMillis),

    alias("error.type",                              Otel, M::ErrorType),
    alias("gen_ai.tool.error.type",                  Vendor, M::ErrorType),
    alias("exception.type",                          Otel, M::ExceptionType),
    alias("otel.status_code",                        Otel, M::StatusCode),
    alias("otel.kind",                               Otel, M::SpanKind),
    alias("server.address",                          Otel, M::ServerAddress),
    alias("server.port",                             Otel, M::ServerPort),

    alias("gen_ai.agent.name",                       Otel, M::AgentName),
    alias("agent.name",                              OpenInference, M::AgentName),
    alias("gen_ai.workflow.name",                    Otel, M::WorkflowName),
    alias("traceloop.entity.name",                   OpenLlmetry, M::EntityName),
    alias("gen_ai.tool.name",                        Otel, M::ToolName),
    alias("tool.name",                               OpenInference, M::ToolName),
    alias("gen_ai.tool.type",                        Otel, M::ToolType),
    alias("gen_ai.prompt.name",                      Otel, M::PromptName),
    alias("mcp.protocol.version",                    Otel, M::McpVersion),
    alias("network.transport",                       Otel, M::Transport),
    alias("rpc.response.status_code",                Otel, M::RpcStatus),
];

/// Stands for no row of the table.
pub(super) const NO_ROW: u8 = u8::MAX;

/// The row of a name, or [`NO_ROW`].
pub(super) fn row_of(name: &str) -> u8 {
    static ROWS: OnceLock<HashMap<&'static str, u8>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        (0..)
            .zip(&ALIASES)
            .map(|(row, alias)| (alias.name, row))
            .collect()
    });
    rows.get(name).copied().unwrap_or(NO_ROW)
}

/// Whether a key that is set on a span which need not have declared it can make the span one that is
/// looked at when it ends.
pub(super) fn is_usage_key(key: &str) -> bool {
    is_trigger(row_of(key))
}

/// Whether a span may have to be looked at because of this row.
pub(super) fn is_trigger(row: u8) -> bool {
    ALIASES
        .get(usize::from(row))
        .is_some_and(|alias| alias.meaning.is_trigger())
}

/// Whether this row tells what a span does.
pub(super) fn is_kind(row: u8) -> bool {
    ALIASES
        .get(usize::from(row))
        .is_some_and(|alias| alias.meaning.is_kind())
}

/// A provider's name as OpenTelemetry spells it today, where another spelling is known; `None` where it is not.
pub(super) fn provider_of(name: &str) -> Option<&'static str> {
    const MAX_LEN: usize = 32;
    if name.len() > MAX_LEN {
        return None;
    }
    let mut lower = [0; MAX_LEN];
    let lower = &mut lower[..name.len()];
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"openai" | b"openai.chat" | b"openai.responses" | b"openai.completion" | b"openai.embedding" => {
            "openai"
        }
        b"anthropic" | b"anthropic.messages" => "anthropic",
        b"aws.bedrock" | b"aws" | b"amazon" | b"bedrock" | b"amazon-bedrock" => "aws.bedrock",
        b"azure.ai.inference" | b"az.ai.inference" => "azure.ai.inference",
        b"azure.ai.openai" | b"az.ai.openai" | b"azure" | b"azure_openai" | b"azure-openai" => {
            "azure.ai.openai"
        }
        b"cohere" => "cohere",
        b"deepseek" => "deepseek",
        b"gcp.gemini" | b"gemini" => "gcp.gemini",
        b"gcp.gen_ai" | b"google" | b"google.generative-ai" => "gcp.gen_ai",
        b"gcp.vertex_ai" | b"vertex_ai" | b"vertexai" | b"google.vertex" => "gcp.vertex_ai",
        b"groq" => "groq",
        b"ibm.watsonx.ai" | b"watsonx" => "ibm.watsonx.ai",
        b"mistral_ai" | b"mistralai" | b"mistral" => "mistral_ai",
        b"moonshot_ai" | b"moonshot" => "moonshot_ai",
        b"perplexity" => "perplexity",
        b"x_ai" | b"xai" => "x_ai",
        b"ollama" => "ollama",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_stands_once_and_the_table_can_be_numbered() {
        let names: HashSet<_> = ALIASES.iter().map(|alias| alias.name).collect();
        assert_eq!(names.len(), ALIASES.len());
        assert!(ALIASES.len() < usize::from(NO_ROW));
        for (row, alias) in (0..).zip(&ALIASES) {
            assert_eq!(row_of(alias.name), row);
        }
        assert_eq!(row_of("gen_ai.aggregated_usage.input_tokens"), NO_ROW);
    }

    #[test]
    fn the_names_of_a_meaning_stand_in_the_order_of_the_conventions() {
        let mut last = HashMap::new();
        for alias in &ALIASES {
            let before = last.insert(alias.meaning as u8, alias.convention as u8);
            assert!(
                before.is_none_or(|before| before <= alias.convention as u8),
                "{}",
                alias.name
            );
        }
    }

    #[test]
    fn providers_are_spelled_in_one_way() {
        for (seen, canonical) in [
            ("az.ai.openai", "azure.ai.openai"),
            ("MistralAI", "mistral_ai"),
            ("xai", "x_ai"),
            ("Anthropic", "anthropic"),
            ("vertexai", "gcp.vertex_ai"),
        ] {
            assert_eq!(provider_of(seen), Some(canonical));
        }
        assert_eq!(provider_of("remote::vllm"), None);
        assert_eq!(provider_of(&"x".repeat(100_000)), None);
    }
}
