//! What a span does, told by the kind that its convention gives it.

use super::aliases::Meaning;
use super::found::Found;
use spanscope_core::capture::RawValue;

/// The name of the operation that a span is, as OpenTelemetry spells it (`chat`, `execute_tool`, `invoke_agent`), in
/// whichever convention the span tells it. `None` where it tells none, and where its kind is no operation: a chain, a
/// guardrail, a task. A call of a tool by the Model Context Protocol is one.
///
/// ```
/// use spanscope_core::capture::RawValue;
/// use spanscope_layers::metrics::operation_of;
///
/// let attributes = [("openinference.span.kind", RawValue::Text("TOOL", None))];
/// assert_eq!(operation_of(attributes), Some("execute_tool"));
/// ```
#[must_use]
pub fn operation_of<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Option<&'a str> {
    let found = Found::of_names(attributes);
    let (deed, operation) = deed_of(&found);
    let is_tool_call = deed == Deed::Unknown && found.text(Meaning::McpMethod) == Some("tools/call");
    operation.or(is_tool_call.then_some("execute_tool"))
}

/// What a span does, as far as metrics care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Has a model generate something.
    Inference,
    /// Another call of a service: embeddings, retrieval, memory, an operation that the conventions don't know.
    ClientCall,
    /// Runs an agent in this process, or asks another one to.
    Agent,
    /// Runs a workflow.
    Workflow,
    /// Runs a tool.
    Tool,
    /// Holds others together: an agent being made, a chain, the answer of an earlier call.
    Aggregate,
    /// Something about models, but no call: a plan, a guardrail, a task.
    Other,
    /// Says nothing of it.
    Unknown,
}

impl Deed {
    /// Whether its usage is that of others, or was counted with them.
    pub(super) fn never_counts(self) -> bool {
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

/// What the span does, and the name of its operation as a label, where one is known.
pub(super) fn deed_of<'a>(found: &Found<'a>) -> (Deed, Option<&'a str>) {
    if let Some(operation) = found.text(Meaning::Operation) {
        // Some libraries tell a streamed call by its operation's name.
        let operation = operation.strip_suffix("_streaming").unwrap_or(operation);
        return (Deed::of_operation(operation), Some(operation));
    }
    let operation = if let Some(kind) = found.text(Meaning::OpenInferenceKind) {
        match of_open_inference(kind) {
            Ok(operation) => operation,
            Err(deed) => return (deed, None),
        }
    } else if let Some(kind) = found.text(Meaning::OpenLlmetryKind) {
        match kind {
            "workflow" => "invoke_workflow",
            "agent" => "invoke_agent",
            "tool" => "execute_tool",
            _ => return (Deed::Other, None),
        }
    } else if let Some(kind) = found.text(Meaning::RequestType) {
        match kind {
            "chat" => "chat",
            "completion" => "text_completion",
            "embedding" => "embeddings",
            "rerank" => "retrieval",
            _ => return (Deed::Other, None),
        }
    } else if let Some(operation) = found.text(Meaning::VercelOperation) {
        match operation {
            "ai.toolCall" => "execute_tool",
            _ if operation.starts_with("ai.embed") => "embeddings",
            _ if operation.starts_with("ai.generate") || operation.starts_with("ai.stream") => "chat",
            _ => return (Deed::Other, None),
        }
    } else {
        return (Deed::Unknown, None);
    };
    (Deed::of_operation(operation), Some(operation))
}

fn of_open_inference(kind: &str) -> Result<&'static str, Deed> {
    let is = |word: &str| kind.eq_ignore_ascii_case(word);
    Ok(match () {
        () if is("LLM") => "chat",
        () if is("EMBEDDING") => "embeddings",
        () if is("RETRIEVER") || is("RERANKER") => "retrieval",
        () if is("TOOL") => "execute_tool",
        () if is("AGENT") => "invoke_agent",
        // A library that writes one for every step of its own would drown what runs as a workflow.
        () if is("CHAIN") => return Err(Deed::Aggregate),
        () => return Err(Deed::Other),
    })
}
