//! The convention of a name, and the document that defines it.

/// The convention of an attribute's name. If a span uses several names of one meaning, the
/// convention declared first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Convention {
    /// OpenTelemetry's current semantic conventions.
    OpenTelemetry,
    /// OpenTelemetry's names before they were renamed (`gen_ai.system`,
    /// `gen_ai.usage.prompt_tokens`).
    OlderOpenTelemetry,
    /// OpenInference (Arize Phoenix).
    OpenInference,
    /// OpenLLMetry (Traceloop).
    OpenLlmetry,
    /// Others: the Vercel AI SDK, Sentry, vLLM, Langfuse, Rig, MLflow, .NET and more.
    Vendor,
    /// The plain field names of Llama Stack's telemetry API and RAGFlow's agent traces
    /// (`prompt_tokens`, `model_id`, `task_id`).
    Plain,
    /// Ambiguous words (`input_tokens`, `model`, `result`): they are read only if the span is known
    /// to concern a model or a step of a run.
    Bare,
}

/// The document that defines a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// OpenTelemetry's general conventions: HTTP, errors, exceptions, servers, users.
    OpenTelemetry,
    /// OpenTelemetry's GenAI and MCP conventions.
    OpenTelemetryGenAi,
    /// The renamed attributes in OpenTelemetry's registry.
    OpenTelemetryDeprecated,
    /// The alias tables of the OpenTelemetry Collector's `genainormalizerprocessor`.
    CollectorNormalizer,
    /// The special fields of `tracing-opentelemetry`.
    TracingOpenTelemetry,
    /// The fields of `tracing-log`.
    TracingLog,
    /// OpenInference's specification.
    OpenInference,
    /// OpenLLMetry's constants.
    OpenLlmetry,
    /// Sentry's conventions.
    Sentry,
    /// The telemetry of the Vercel AI SDK.
    Vercel,
    /// Langfuse's OpenTelemetry integration.
    Langfuse,
    /// The Rust library Rig.
    Rig,
    /// The spans of Amazon Bedrock AgentCore.
    AgentCore,
    /// vLLM's spans.
    Vllm,
    /// Microsoft.Extensions.AI for .NET.
    DotNet,
    /// Semantic Kernel.
    SemanticKernel,
    /// Pydantic AI and Logfire.
    PydanticAi,
    /// Alibaba Cloud's agents for Dify, AgentScope and others.
    Alibaba,
    /// MLflow's tracing.
    MlFlow,
    /// LangSmith's OpenTelemetry integration.
    LangSmith,
    /// Strands Agents.
    Strands,
    /// The OpenAI Agents SDK and its instrumentations.
    AgentsSdk,
    /// Google's Agent Development Kit.
    GoogleAdk,
    /// Azure's SDKs for models and agents.
    AzureAi,
    /// Weights & Biases Weave.
    Weave,
    /// OpenAI's Codex.
    Codex,
    /// OpenLIT's instrumentations.
    OpenLit,
    /// The proxy LiteLLM.
    LiteLlm,
    /// AgentOps.
    AgentOps,
    /// Braintrust.
    Braintrust,
    /// Claude Code's spans.
    ClaudeCode,
    /// GitHub Copilot's spans.
    Copilot,
    /// The Gemini CLI's spans.
    GeminiCli,
    /// Haystack.
    Haystack,
    /// Laminar.
    Laminar,
    /// LangWatch.
    LangWatch,
    /// LiveKit Agents.
    LiveKit,
    /// Spring AI.
    SpringAi,
    /// VoltAgent.
    VoltAgent,
    /// Galileo.
    Galileo,
    /// TruLens.
    TruLens,
    /// Llama Stack's telemetry API.
    LlamaStack,
    /// RAGFlow's agent traces.
    Ragflow,
    /// Spanscope's helpers and documented fields.
    Spanscope,
    /// Field names that are common in published programs.
    CommonFields,
}

impl Source {
    /// Returns the document's URL; empty for [`CommonFields`](Self::CommonFields).
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::OpenTelemetry => "https://opentelemetry.io/docs/specs/semconv/",
            Self::OpenTelemetryGenAi => "https://github.com/open-telemetry/semantic-conventions-genai",
            Self::OpenTelemetryDeprecated => {
                "https://github.com/open-telemetry/semantic-conventions/tree/v1.44.0/model/gen-ai/deprecated"
            }
            Self::CollectorNormalizer => {
                "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/processor/genainormalizerprocessor"
            }
            Self::TracingOpenTelemetry => "https://docs.rs/tracing-opentelemetry/#special-fields",
            Self::TracingLog => "https://docs.rs/tracing-log",
            Self::OpenInference => {
                "https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md"
            }
            Self::OpenLlmetry => {
                "https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai"
            }
            Self::Sentry => "https://github.com/getsentry/sentry-conventions/tree/main/model/attributes",
            Self::Vercel => "https://ai-sdk.dev/docs/ai-sdk-core/telemetry",
            Self::Langfuse => "https://langfuse.com/integrations/native/opentelemetry",
            Self::Rig => "https://github.com/0xPlaygrounds/rig",
            Self::AgentCore => "https://docs.aws.amazon.com/bedrock-agentcore/",
            Self::Vllm => "https://docs.vllm.ai",
            Self::DotNet => "https://learn.microsoft.com/dotnet/ai/",
            Self::SemanticKernel => {
                "https://learn.microsoft.com/semantic-kernel/concepts/enterprise-readiness/observability/"
            }
            Self::PydanticAi => "https://ai.pydantic.dev/logfire/",
            Self::Alibaba => {
                "https://help.aliyun.com/zh/arms/application-monitoring/developer-reference/llm-trace-field-definition-description"
            }
            Self::MlFlow => "https://mlflow.org/docs/latest/genai/tracing/",
            Self::LangSmith => "https://docs.langchain.com/langsmith/trace-with-opentelemetry",
            Self::Strands => {
                "https://strandsagents.com/latest/documentation/docs/user-guide/observability-evaluation/traces/"
            }
            Self::AgentsSdk => "https://openai.github.io/openai-agents-python/tracing/",
            Self::GoogleAdk => "https://google.github.io/adk-docs/observability/logging/",
            Self::AzureAi => "https://learn.microsoft.com/azure/ai-foundry/how-to/develop/trace-agents-sdk",
            Self::Weave => "https://docs.wandb.ai/weave/guides/tracking/otel",
            Self::Codex => "https://developers.openai.com/codex/config-advanced",
            Self::OpenLit => "https://docs.openlit.io/latest/sdk/features/tracing",
            Self::LiteLlm => "https://docs.litellm.ai/docs/observability/opentelemetry_integration",
            Self::AgentOps => "https://github.com/AgentOps-AI/agentops",
            Self::Braintrust => "https://www.braintrust.dev/docs/integrations/sdk-integrations/opentelemetry",
            Self::ClaudeCode => "https://code.claude.com/docs/en/monitoring-usage",
            Self::Copilot => {
                "https://github.com/microsoft/vscode-copilot-chat/blob/main/docs/monitoring/agent_monitoring.md"
            }
            Self::GeminiCli => "https://github.com/google-gemini/gemini-cli/blob/main/docs/cli/telemetry.md",
            Self::Haystack => "https://docs.haystack.deepset.ai/docs/tracing",
            Self::Laminar => "https://docs.lmnr.ai",
            Self::LangWatch => "https://docs.langwatch.ai",
            Self::LiveKit => "https://docs.livekit.io/agents/observability/",
            Self::SpringAi => "https://docs.spring.io/spring-ai/reference/observability/",
            Self::VoltAgent => "https://voltagent.dev/docs/observability/overview/",
            Self::Galileo => "https://github.com/rungalileo/galileo-python",
            Self::TruLens => {
                "https://github.com/truera/trulens/blob/main/src/otel/semconv/trulens/otel/semconv/trace.py"
            }
            Self::LlamaStack => "https://github.com/llamastack/llama-stack",
            Self::Ragflow => "https://github.com/infiniflow/ragflow",
            Self::Spanscope => "https://github.com/spanscope/spanscope",
            Self::CommonFields => "",
        }
    }
}
