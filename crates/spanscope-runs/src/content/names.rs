//! The meanings of a step's inputs, outputs and further details.
//!
//! If a span has several names of one list, the first has priority: meaning by meaning, and within
//! a meaning in the order of [`spanscope_model::semconv`], which has the names. Plain fields that
//! could have another meaning come last.

use spanscope_model::semconv::SemanticAttribute::{self, *};

pub(crate) type Names = &'static [SemanticAttribute];

/// The inputs of an agent, a workflow or a node.
pub(crate) const INPUTS: Names = &[PlainInput, StepInput, TaskInput, Question, Prompt];
/// Their outputs.
pub(crate) const OUTPUTS: Names = &[PlainOutput, StepOutput, TaskOutput, Completion];
/// The text of a message, in addition to the outputs.
pub(crate) const CONTENTS: Names = &[MessageContent, EventMessage];

pub(crate) const ARGUMENTS: Names = &[
    ToolArguments,
    StepInput,
    PlainArguments,
    PlainInput,
    Prompt,
    InputMessages,
];
pub(crate) const RESULTS: Names = &[
    ToolResult,
    StepOutput,
    PlainResult,
    PlainOutput,
    Completion,
    OutputMessages,
];
pub(crate) const TOOL_NAME: Names = &[ToolName, EntityName];
pub(crate) const CALL_ID: Names = &[CallId, ResponseId];

pub(crate) const QUERY: Names = &[RetrievalQuery, StepInput, PlainInput, Question, Prompt];
pub(crate) const CHUNKS: Names = &[Documents, MemoryRecords, StepOutput];
pub(crate) const KNOWLEDGE_BASES: Names = &[KnowledgeBases, DataSource, MemoryStore];

pub(crate) const PROMPTS: Names = &[Prompt, PromptText, StepInput, PlainPrompt, PlainInput];
pub(crate) const COMPLETIONS: Names = &[
    Completion,
    CompletionText,
    StepOutput,
    PlainCompletion,
    PlainOutput,
];
pub(crate) const MODELS: Names = &[RequestModel, ResponseModel];

pub(crate) const AGENT_NAME: Names = &[AgentName, EntityName];
pub(crate) const WORKFLOW_NAME: Names = &[WorkflowName, EntityName];
/// The reason of a step's failure.
pub(crate) const ERRORS: Names = &[
    ExceptionMessage,
    ErrorMessage,
    StatusDescription,
    PlainError,
    ErrorType,
    ExceptionType,
];
