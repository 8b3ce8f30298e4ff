//! What a span does, derived from the kind that its convention defines.

use super::attribute::SemanticAttribute as A;
use super::source::{Convention, Source};
use super::values::AttributeValues;
use crate::RawValue;

/// Returns the operation of a span as OpenTelemetry spells it (`chat`, `execute_tool`,
/// `invoke_agent`), whatever its convention. Returns `None` if it names none, and if its kind is
/// not an operation: a chain, a guardrail, a task. A tool call by the Model Context Protocol is an
/// operation.
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

/// Returns whether an operation, as OpenTelemetry spells it, calls a model.
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
    /// A model generates something.
    Inference,
    /// Another call of a service: embeddings, retrieval, memory, an operation that the conventions
    /// don't define.
    ClientCall,
    /// An agent runs in this process, or is called in another one.
    Agent,
    /// A workflow runs.
    Workflow,
    /// A tool runs.
    Tool,
    /// A span that groups others: the creation of an agent, a chain, the response of an earlier
    /// call.
    Aggregate,
    /// Related to models, but not a call: a plan, a guardrail, a task.
    Other,
    /// No operation is named.
    Unknown,
}

impl OperationKind {
    /// Returns what the span does, and the name of its operation, if it is known.
    #[must_use]
    pub fn of<'a>(values: &AttributeValues<'a>) -> (Self, Option<&'a str>) {
        let kind = Self::span_kind(values);
        // Spring AI writes this for everything that is not a model call; its kind says what it is.
        if let Some(operation) = values.text(A::Operation).filter(|name| *name != "framework") {
            // Some libraries mark a streamed call in the name of its operation.
            let operation = operation.strip_suffix("_streaming").unwrap_or(operation);
            let operation = match (operation, kind) {
                // LangSmith writes the operation `embeddings` on its retrievers too.
                ("embeddings", Some(Ok(kind @ "retrieval"))) => kind,
                // The Gemini CLI's names. Its log events report the usage of a call, and become
                // separate spans.
                ("llm_call", _) if values.text(A::AgentName) == Some("gemini-cli") => {
                    return (Self::Aggregate, None);
                }
                ("llm_call", _) => "generate_content",
                ("tool_call", _) => "execute_tool",
                ("agent_call", _) => "invoke_agent",
                _ => operation,
            };
            return (Self::of_operation(operation), Some(operation));
        }
        let operation = if let Some(kind) = kind {
            match kind {
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
        } else if values.source(A::TotalTokens) == Some(Source::Codex) {
            // As above: Codex reports the usage of a turn or a response in log events.
            return (Self::Aggregate, None);
        } else {
            return (Self::Unknown, None);
        };
        (Self::of_operation(operation), Some(operation))
    }

    /// Returns the operation of a span whose convention has span kinds, or what the span is if its
    /// kind is not an operation. Returns `None` if it has no kind. The plain `span.type` may mean
    /// anything, so an unknown value of it is ignored.
    fn span_kind(values: &AttributeValues<'_>) -> Option<Result<&'static str, Self>> {
        let kind = values.text(A::OpenInferenceKind)?;
        // Values that vendors write on every span whose operation they do not know.
        let is_any = ["span", "event", "default", "operation", "session"]
            .iter()
            .any(|word| kind.eq_ignore_ascii_case(word));
        if is_any {
            return None;
        }
        let found = match of_open_inference(kind) {
            // Braintrust writes its kind as a member of an object.
            Err(_) if kind.starts_with('{') => of_open_inference(kind_in(kind)?),
            found => found,
        };
        let is_bare = values.convention(A::OpenInferenceKind) == Some(Convention::Bare);
        (!is_bare || found.is_ok()).then_some(found)
    }

    /// Returns whether the name of a tool, the conventions' or LiveKit's, is the only hint at what
    /// a span does, as on Pydantic AI's tool spans. Spans of the Model Context Protocol name a tool
    /// too, and their method says what they do.
    fn names_tool_alone(values: &AttributeValues<'_>) -> bool {
        let is_named = values.convention(A::ToolName) == Some(Convention::OpenTelemetry)
            || values.source(A::ToolName) == Some(Source::LiveKit);
        is_named && !values.names_model() && !values.has(A::McpMethod)
    }

    /// Returns whether the span with these values concerns models: it names an operation or a
    /// model. Only then do bare names (`input_tokens`) on it count tokens; elsewhere they have
    /// other meanings.
    #[must_use]
    pub fn is_about_models(self, values: &AttributeValues<'_>) -> bool {
        self != Self::Unknown || values.names_model()
    }

    /// Returns whether its usage is that of other spans, if any of those counted.
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

/// Returns the member `type` of a JSON object.
fn kind_in(object: &str) -> Option<&str> {
    #[derive(serde::Deserialize)]
    struct Object<'o> {
        r#type: &'o str,
    }
    serde_json::from_str::<Object<'_>>(object)
        .ok()
        .map(|object| object.r#type)
}

fn of_open_inference(kind: &str) -> Result<&'static str, OperationKind> {
    let is = |words: &[&str]| words.iter().any(|word| kind.eq_ignore_ascii_case(word));
    Ok(match () {
        () if is(&["LLM", "CHAT_MODEL", "GENERATION", "llm_request"]) => "chat",
        () if is(&["EMBEDDING"]) => "embeddings",
        () if is(&["RETRIEVER", "RERANKER"]) => "retrieval",
        () if is(&["TOOL", "tool_call"]) => "execute_tool",
        () if is(&["AGENT", "interaction"]) => "invoke_agent",
        () if is(&["WORKFLOW"]) => "invoke_workflow",
        // If each chain were a workflow, libraries that write one for each step would hide the real
        // workflows.
        () if is(&["CHAIN"]) => return Err(OperationKind::Aggregate),
        () => return Err(OperationKind::Other),
    })
}
