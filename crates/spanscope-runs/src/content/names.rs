//! Which meanings tell what a step was given, what it gave back, and what else is shown of it.
//!
//! Of the names of one list that a span has, the first counts: meaning after meaning, and within one
//! in the order of [`spanscope_model::semconv`], which has the names themselves. Plain fields come
//! last where other programs could mean something else by them.

use spanscope_model::semconv::SemanticAttribute::{self, *};

pub(crate) type Names = &'static [SemanticAttribute];

/// What an agent, a workflow or a node was given.
pub(crate) const INPUTS: Names = &[PlainInput, StepInput, TaskInput, Question, Prompt];
/// What it gave back.
pub(crate) const OUTPUTS: Names = &[PlainOutput, StepOutput, TaskOutput, Completion];
/// The text of a message, alongside the outputs.
pub(crate) const CONTENTS: Names = &[MessageContent, EventMessage];

pub(crate) const ARGUMENTS: Names = &[ToolArguments, StepInput, PlainArguments, PlainInput, Prompt];
pub(crate) const RESULTS: Names = &[ToolResult, StepOutput, PlainResult, PlainOutput, Completion];
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
/// Why a step failed.
pub(crate) const ERRORS: Names = &[
    ExceptionMessage,
    ErrorMessage,
    StatusDescription,
    PlainError,
    ErrorType,
    ExceptionType,
];
