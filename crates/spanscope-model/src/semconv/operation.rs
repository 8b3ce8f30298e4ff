//! What a span does, by the kind that its convention gives it.

use super::attribute::SemanticAttribute as A;
use super::source::Convention;
use super::values::AttributeValues;
use crate::RawValue;

/// The name of the operation that a span is, as OpenTelemetry spells it (`chat`, `execute_tool`,
/// `invoke_agent`), in whichever convention the span names it. `None` where it names none, and where
/// its kind is no operation: a chain, a guardrail, a task. A call of a tool by the Model Context
/// Protocol is one.
///
/// ```
/// use spanscope_model::{RawValue, semconv::operation_of};
///
/// let attributes = [("openinference.span.kind", RawValue::Text("TOOL", None))];
/// assert_eq!(operation_of(attributes), Some("execute_tool"));
/// ```
#[must_use]
pub fn operation_of<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Option<&'a str> {
    let values = AttributeValues::of(attributes);
    let (kind, operation) = OperationKind::of(&values);
    let is_tool_call = kind == OperationKind::Unknown && values.text(A::McpMethod) == Some("tools/call");
    operation.or(is_tool_call.then_some("execute_tool"))
}

/// Whether an operation, as OpenTelemetry spells it, calls a model.
///
/// ```
/// use spanscope_model::semconv::is_model_operation;
///
/// assert!(is_model_operation("chat") && is_model_operation("embeddings"));
/// assert!(!is_model_operation("retrieval"));
/// ```
#[must_use]
pub fn is_model_operation(operation: &str) -> bool {
    operation == "embeddings" || OperationKind::of_operation(operation) == OperationKind::Inference
}

/// What a span does, as far as measurements depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Has a model generate something.
    Inference,
    /// Another call of a service: embeddings, retrieval, memory, an operation that the conventions
    /// don't define.
    ClientCall,
    /// Runs an agent in this process, or asks another process to.
    Agent,
    /// Runs a workflow.
    Workflow,
    /// Runs a tool.
    Tool,
    /// Holds other spans together: the creation of an agent, a chain, the answer of an earlier call.
    Aggregate,
    /// Concerns models, but is no call: a plan, a guardrail, a task.
    Other,
    /// Names no operation.
    Unknown,
}

impl OperationKind {
    /// What the span does, and the name of its operation, where one is known.
    #[must_use]
    pub fn of<'a>(values: &AttributeValues<'a>) -> (Self, Option<&'a str>) {
        if let Some(operation) = values.text(A::Operation) {
            // Some libraries mark a streamed call in the name of its operation.
            let operation = operation.strip_suffix("_streaming").unwrap_or(operation);
            // LangSmith writes the operation `embeddings` on its retrievers too.
            let operation = match values.text(A::OpenInferenceKind).map(of_open_inference) {
                Some(Ok(kind @ "retrieval")) if operation == "embeddings" => kind,
                _ => operation,
            };
            return (Self::of_operation(operation), Some(operation));
        }
        let operation = if let Some(kind) = values.text(A::OpenInferenceKind) {
            match of_open_inference(kind) {
                Ok(operation) => operation,
                Err(kind) => return (kind, None),
            }
        } else if let Some(kind) = values.text(A::OpenLlmetryKind) {
            match kind {
                "workflow" => "invoke_workflow",
                "agent" => "invoke_agent",
                "tool" => "execute_tool",
                _ => return (Self::Other, None),
            }
        } else if let Some(kind) = values.text(A::RequestType) {
            match kind {
                "chat" => "chat",
                "completion" => "text_completion",
                "embedding" => "embeddings",
                "rerank" => "retrieval",
                _ => return (Self::Other, None),
            }
        } else if let Some(operation) = values.text(A::VercelOperation) {
            match operation {
                "ai.toolCall" => "execute_tool",
                _ if operation.starts_with("ai.embed") => "embeddings",
                _ if operation.starts_with("ai.generate") || operation.starts_with("ai.stream") => "chat",
                _ => return (Self::Other, None),
            }
        } else if Self::names_tool_alone(values) {
            "execute_tool"
        } else {
            return (Self::Unknown, None);
        };
        (Self::of_operation(operation), Some(operation))
    }

    /// Whether the conventions' name of a tool is all that tells what a span does, as on Pydantic AI's spans of tools.
    /// Spans of the Model Context Protocol name a tool too, and their method tells what they do.
    fn names_tool_alone(values: &AttributeValues<'_>) -> bool {
        let is_named = values.convention(A::ToolName) == Some(Convention::OpenTelemetry);
        is_named && !values.names_model() && !values.has(A::McpMethod)
    }

    /// Whether the span with these values, which does this, concerns models: it names an operation or
    /// a model. Only then do bare names (`input_tokens`) on it count tokens; elsewhere they mean other
    /// things.
    #[must_use]
    pub fn is_about_models(self, values: &AttributeValues<'_>) -> bool {
        self != Self::Unknown || values.names_model()
    }

    /// Whether its usage is that of other spans, where any of those counted.
    #[must_use]
    pub const fn never_counts(self) -> bool {
        matches!(self, Self::Agent | Self::Workflow | Self::Aggregate)
    }

    fn of_operation(operation: &str) -> Self {
        match operation {
            "chat" | "generate_content" | "text_completion" | "interactions" | "llm_request" => {
                Self::Inference
            }
            "invoke_agent" => Self::Agent,
            "invoke_workflow" => Self::Workflow,
            "execute_tool" => Self::Tool,
            "create_agent" | "fetch_response" => Self::Aggregate,
            "plan" | "execute_task" => Self::Other,
            _ => Self::ClientCall,
        }
    }
}

fn of_open_inference(kind: &str) -> Result<&'static str, OperationKind> {
    let is = |word: &str| kind.eq_ignore_ascii_case(word);
    Ok(match () {
        () if is("LLM") || is("CHAT_MODEL") || is("GENERATION") => "chat",
        () if is("EMBEDDING") => "embeddings",
        () if is("RETRIEVER") || is("RERANKER") => "retrieval",
        () if is("TOOL") => "execute_tool",
        () if is("AGENT") => "invoke_agent",
        // A library that writes a chain for each step would drown what runs as a workflow.
        () if is("CHAIN") => return Err(OperationKind::Aggregate),
        () => return Err(OperationKind::Other),
    })
}
