//! What an attribute says, whatever it is called. Its names are in the table.

/// The meaning of an attribute. One meaning has many names, see [`names`](Self::names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SemanticAttribute {
    // Those that measurements are made of come first: `AttributeValues` has a place for each.
    /// Tokens of the input, cached ones included.
    InputTokens,
    /// Tokens of the output, reasoning included.
    OutputTokens,
    /// Both together, as reported.
    TotalTokens,
    /// The part of the input that was read from a cache.
    CacheReadTokens,
    /// The part of the input that was written to a cache.
    CacheWriteTokens,
    /// The part of the output that was reasoning.
    ReasoningTokens,
    /// All counts as one object of JSON.
    UsageObject,
    /// What the call cost in US dollars, as the program reports it.
    Cost,
    /// All settings of a call, as one object.
    InvocationParameters,
    /// The model asked for.
    RequestModel,
    /// The model that answered.
    ResponseModel,
    /// The response's id.
    ResponseId,
    /// Who runs the model.
    Provider,
    /// What is done (`chat`, `invoke_agent`).
    Operation,
    /// OpenInference's span kind (`LLM`, `AGENT`), and those of others that are spelled alike.
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
    /// Milliseconds until the first chunk of a streamed answer.
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

    // What runs, tasks and people are called.
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
    /// How much of its run a program wants shown.
    TraceLevel,

    // A step of a run.
    /// What the component is (`llm`, `tool`).
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
    /// What the agent or the model thought.
    Thoughts,

    // A call of a model.
    /// The messages to a model or an agent.
    InputMessages,
    /// The messages that it answered.
    OutputMessages,
    /// The instructions to a model.
    SystemInstructions,
    /// The prompt, as it was called before messages had a structure.
    Prompt,
    /// The completion, as it was called before messages had a structure.
    Completion,
    /// The prompt in the words of single libraries.
    PromptText,
    /// The completion in the words of single libraries.
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
    /// Whether the answer is streamed.
    IsStreamed,
    /// The number of chunks of a streamed answer.
    ChunkCount,
    /// The number of numbers in an embedding.
    EmbeddingDimensions,
    /// Texts that become embeddings, and the embeddings.
    EmbeddingContent,

    // A retrieval.
    /// What is searched for.
    RetrievalQuery,
    /// How many documents are wanted.
    TopK,
    /// What was found.
    Documents,
    /// The number of documents found.
    DocumentCount,
    /// The text of one document.
    DocumentContent,
    /// What was found in a memory.
    MemoryRecords,
    /// The data source searched.
    DataSource,
    /// The memory searched.
    MemoryStore,
    /// The knowledge bases searched.
    KnowledgeBases,
    /// The least similarity of a document.
    SimilarityThreshold,
    /// Whether documents are ranked again.
    RerankEnabled,

    // A tool.
    /// The arguments of a tool.
    ToolArguments,
    /// The result of a tool.
    ToolResult,
    /// The plain fields `arguments` and `tool_args`, and OpenInference's parameters of a tool, which may be
    /// their definition.
    PlainArguments,
    /// The plain field `result`.
    PlainResult,
    /// The messages of a tool.
    ToolMessage,
    /// Whether the tool succeeded, as Rig writes it.
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
    /// The shield that checks.
    ShieldId,
    /// The messages that are checked.
    ShieldMessages,
    /// `passed` or `violation`.
    ShieldStatus,
    /// What else the shield reported.
    ShieldMetadata,
    /// How bad a violation is.
    ViolationLevel,
    /// What the user reads about a violation.
    ViolationMessage,

    // Errors, and the fields that name parts of a span.
    /// The exception's message.
    ExceptionMessage,
    /// The causes of an error, one a line.
    ExceptionChain,
    /// The exception's stack trace.
    ExceptionStacktrace,
    /// A description of an error.
    ErrorMessage,
    /// The plain field `error`.
    PlainError,
    /// Why the span failed.
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
    /// The place of a record of the `log` crate.
    LogPlace,

    // Secrets that conventions have names for.
    /// A header that carries credentials.
    CredentialHeader,
}

impl SemanticAttribute {
    /// Whether it is a count of tokens of a whole call.
    #[must_use]
    pub const fn is_usage(self) -> bool {
        matches!(
            self,
            Self::InputTokens | Self::OutputTokens | Self::TotalTokens | Self::UsageObject
        )
    }

    /// Whether its values are numbers.
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
                | Self::EmbeddingDimensions
                | Self::TopK
                | Self::DocumentCount
                | Self::SimilarityThreshold
                | Self::TimeToLive
        )
    }

    /// Whether it tells what a span does.
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
