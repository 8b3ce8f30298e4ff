//! The meaning of an attribute, independent of its name. The table lists its names.

/// The meaning of an attribute. One meaning can have many names, see [`names`](Self::names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SemanticAttribute {
    // The meanings that measurements use come first: `AttributeValues` has a slot for each.
    /// Input tokens, cached ones included.
    InputTokens,
    /// Output tokens, reasoning included.
    OutputTokens,
    /// Input and output tokens, as reported.
    TotalTokens,
    /// Input tokens that were read from a cache.
    CacheReadTokens,
    /// Input tokens that were written to a cache.
    CacheWriteTokens,
    /// Output tokens that were reasoning.
    ReasoningTokens,
    /// All counts as one JSON object.
    UsageObject,
    /// The reported cost of the call in US dollars.
    Cost,
    /// All parameters of a call, as one object.
    InvocationParameters,
    /// The requested model.
    RequestModel,
    /// The model that responded.
    ResponseModel,
    /// The response's id.
    ResponseId,
    /// The provider of the model.
    Provider,
    /// The operation (`chat`, `invoke_agent`).
    Operation,
    /// OpenInference's span kind (`LLM`, `AGENT`), and other kinds in the same spelling.
    OpenInferenceKind,
    /// OpenLLMetry's span kind (`workflow`, `agent`).
    OpenLlmetryKind,
    /// OpenLLMetry's request type (`chat`, `embedding`).
    RequestType,
    /// The Vercel AI SDK's operation (`ai.generateText.doGenerate`).
    VercelOperation,
    /// The method of the Model Context Protocol.
    McpMethod,
    /// Seconds until the first chunk of a streamed response.
    FirstChunkSeconds,
    /// Milliseconds until the first chunk of a streamed response.
    FirstChunkMillis,
    /// The error's type, where the call failed.
    ErrorType,
    /// The exception's type.
    ExceptionType,
    /// `ok` or `error`.
    StatusCode,
    /// `client`, `server`, `internal`.
    SpanKind,
    /// The server called.
    ServerAddress,
    /// The port of the server called.
    ServerPort,
    /// The agent's name.
    AgentName,
    /// The workflow's name.
    WorkflowName,
    /// OpenLLMetry's name of an agent, a workflow or a tool.
    EntityName,
    /// The tool's name.
    ToolName,
    /// `function`, `extension`, `datastore`.
    ToolType,
    /// The name of a prompt.
    PromptName,
    /// The version of the Model Context Protocol.
    McpVersion,
    /// `pipe`, `tcp`, `quic`.
    Transport,
    /// The status code of a remote procedure call.
    RpcStatus,

    // Labels of measurements that spans don't have.
    /// `input` or `output`.
    TokenType,
    /// `text`, `image`, `audio`, `unknown`.
    TokenModality,

    // Ids of runs, tasks and people.
    /// The run's id.
    TaskId,
    /// The agent's id.
    AgentId,
    /// The session or the conversation.
    SessionId,
    /// The user.
    UserId,
    /// The tenant.
    TenantId,
    /// The level of detail at which a program wants its run shown.
    TraceLevel,

    // A step of a run.
    /// The component's type (`llm`, `tool`).
    ComponentType,
    /// The component's id.
    ComponentId,
    /// The component's name.
    ComponentName,
    /// All inputs of a component, as one object.
    StepInputs,
    /// All outputs of a component, as one object.
    StepOutputs,
    /// The input of any step.
    StepInput,
    /// The output of any step.
    StepOutput,
    /// The input of a task or a trace.
    TaskInput,
    /// The output of a task or a trace.
    TaskOutput,
    /// The plain field `input`.
    PlainInput,
    /// The plain field `output`.
    PlainOutput,
    /// A question.
    Question,
    /// The text of a message.
    MessageContent,
    /// The reasoning of the agent or the model.
    Thoughts,

    // A call of a model.
    /// The messages to a model or an agent.
    InputMessages,
    /// The messages of the model's response.
    OutputMessages,
    /// The instructions to a model.
    SystemInstructions,
    /// The prompt, under OpenTelemetry's older name for an unstructured text.
    Prompt,
    /// The completion, under OpenTelemetry's older name for an unstructured text.
    Completion,
    /// The prompt, under names that only one library uses.
    PromptText,
    /// The completion, under names that only one library uses.
    CompletionText,
    /// The plain field `prompt`.
    PlainPrompt,
    /// The plain fields `response` and `completion`.
    PlainCompletion,
    /// Templates of prompts and their variables.
    PromptTemplate,
    /// The version of a prompt.
    PromptVersion,
    /// Why the model stopped.
    FinishReasons,
    /// The sampling temperature.
    Temperature,
    /// The maximum number of output tokens.
    MaxTokens,
    /// Whether the response is streamed.
    IsStreamed,
    /// The number of chunks of a streamed response.
    ChunkCount,
    /// The probability mass for nucleus sampling.
    TopP,
    /// The seed of the sampling.
    Seed,
    /// The number of requested choices.
    ChoiceCount,
    /// The penalty for frequent tokens.
    FrequencyPenalty,
    /// The penalty for tokens that already occurred.
    PresencePenalty,
    /// The stop sequences.
    StopSequences,
    /// The requested form of the response.
    OutputType,
    /// The requested amount of reasoning.
    ReasoningLevel,
    /// The response that a request continues.
    PreviousResponse,
    /// The encoding of embeddings.
    EncodingFormats,
    /// The provider's service tier of a request.
    ServiceTier,
    /// A provider's fingerprint of its configuration.
    SystemFingerprint,
    /// The number of dimensions of an embedding.
    EmbeddingDimensions,
    /// Texts to embed, and their embeddings.
    EmbeddingContent,

    // A retrieval.
    /// The search query.
    RetrievalQuery,
    /// The requested number of documents.
    TopK,
    /// The documents found.
    Documents,
    /// The number of documents found.
    DocumentCount,
    /// The text of one document.
    DocumentContent,
    /// The records found in a memory.
    MemoryRecords,
    /// The data source searched.
    DataSource,
    /// The memory searched.
    MemoryStore,
    /// The knowledge bases searched.
    KnowledgeBases,
    /// The minimum similarity of a document.
    SimilarityThreshold,
    /// Whether documents are reranked.
    RerankEnabled,

    // A tool.
    /// The arguments of a tool.
    ToolArguments,
    /// The result of a tool.
    ToolResult,
    /// The plain fields `arguments` and `tool_args`, and OpenInference's parameters of a tool,
    /// which may be their definition.
    PlainArguments,
    /// The plain field `result`.
    PlainResult,
    /// The messages of a tool.
    ToolMessage,
    /// Whether the tool succeeded, under Rig's name.
    ToolOutcome,
    /// The tools that a model may call.
    ToolDefinitions,
    /// The id of a call.
    CallId,
    /// The session with a server of the Model Context Protocol.
    McpSession,
    /// The id of a list of tools of the Model Context Protocol.
    McpListId,
    /// The URL of a server of the Model Context Protocol.
    McpServerUrl,
    /// The label of a server of the Model Context Protocol.
    McpServerLabel,

    // A safety check.
    /// The id of the shield.
    ShieldId,
    /// The messages to check.
    ShieldMessages,
    /// `passed` or `violation`.
    ShieldStatus,
    /// Further data from the shield.
    ShieldMetadata,
    /// The severity of a violation.
    ViolationLevel,
    /// The message for the user about a violation.
    ViolationMessage,

    // Errors, and the fields that name parts of a span.
    /// The exception's message.
    ExceptionMessage,
    /// The causes of an error, one per line.
    ExceptionChain,
    /// The exception's stack trace.
    ExceptionStacktrace,
    /// A description of an error.
    ErrorMessage,
    /// The plain field `error`.
    PlainError,
    /// The reason why the span failed.
    StatusDescription,
    /// The span's name.
    SpanName,
    /// The category of a span or an event.
    Category,
    /// A finer severity of an event.
    Severity,
    /// How long an event is kept, in seconds.
    TimeToLive,
    /// The text of an event.
    EventMessage,
    /// The target of a record of the `log` crate.
    LogTarget,
    /// The source location of a record of the `log` crate.
    LogPlace,

    // Secrets that conventions define names for.
    /// A header that carries credentials.
    CredentialHeader,
}

impl SemanticAttribute {
    /// Returns whether it is a token count of a whole call.
    #[must_use]
    pub const fn is_usage(self) -> bool {
        matches!(
            self,
            Self::InputTokens | Self::OutputTokens | Self::TotalTokens | Self::UsageObject
        )
    }

    /// Returns whether its values are numbers.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Self::InputTokens
                | Self::OutputTokens
                | Self::TotalTokens
                | Self::CacheReadTokens
                | Self::CacheWriteTokens
                | Self::ReasoningTokens
                | Self::Cost
                | Self::FirstChunkSeconds
                | Self::FirstChunkMillis
                | Self::ServerPort
                | Self::Temperature
                | Self::MaxTokens
                | Self::ChunkCount
                | Self::TopP
                | Self::Seed
                | Self::ChoiceCount
                | Self::FrequencyPenalty
                | Self::PresencePenalty
                | Self::EmbeddingDimensions
                | Self::TopK
                | Self::DocumentCount
                | Self::SimilarityThreshold
                | Self::TimeToLive
        )
    }

    /// Returns whether it describes what a span does.
    #[must_use]
    pub const fn is_operation(self) -> bool {
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
