//! [`SpanAttributes`]: the attributes of a span that determine its role in a run.
//!
//! The store's writer reads every span with such fields, so there is one pass over the fields and
//! one look-up for each. Only a span that names an operation, or a model and a token count, is read
//! a second time, by the rules of [`spanscope_model::semconv`], whose table has all attribute
//! names.

use std::collections::HashMap;
use std::sync::LazyLock;

use spanscope_model::RawValue;
use spanscope_model::semconv::{
    ATTRIBUTES, AttributeName, Convention, SemanticAttribute as A, Source, SpanTokens, names_of, operation_of,
};

use crate::StepKind;

/// The meaning of an attribute for a run. Among the names of an agent, a session or a user, the
/// name with the highest priority has the lowest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunHint {
    /// The operation, under a convention's name.
    Operation,
    /// The operation, under an ambiguous name.
    BareKind,
    OpenLlmetryKind,
    Model,
    Usage,
    ComponentType,
    /// The component's id or name.
    Component,
    ToolName,
    Query,
    /// A span with this and a query is a retrieval.
    Retrieves,
    Thoughts,
    Task,
    Agent(u8),
    /// The name of an OpenLLMetry entity, which is an agent's name only on a span of an agent.
    EntityName(u8),
    Session(u8),
    User(u8),
    TraceLevel,
}

/// The rank of the plain field `agent_id`, the only one that makes a trace a run by itself.
const AGENT_ID: u8 = 0;

/// Returns the meaning of a name. Most conventions' names don't determine what a span does without
/// an operation; plain fields do, and so do OpenTelemetry's tool name, which some libraries write
/// without an operation, and LiveKit's. A span with another tool name is a tool call only if its
/// operation says so.
fn hint_of(attribute: &AttributeName) -> Option<RunHint> {
    let is_plain = attribute.convention == Convention::Plain;
    let rank = |meanings: &[A]| {
        let place = names_of(meanings).position(|name| name == attribute.name);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(u8::MAX)
    };
    const AGENTS: &[A] = &[A::AgentId, A::AgentName, A::EntityName];
    Some(match attribute.meaning {
        A::OpenInferenceKind if attribute.convention == Convention::Bare => RunHint::BareKind,
        A::Operation | A::OpenInferenceKind | A::RequestType | A::VercelOperation | A::McpMethod => {
            RunHint::Operation
        }
        A::OpenLlmetryKind => RunHint::OpenLlmetryKind,
        A::RequestModel | A::ResponseModel => RunHint::Model,
        A::InputTokens | A::OutputTokens | A::TotalTokens => RunHint::Usage,
        A::ComponentType => RunHint::ComponentType,
        A::ComponentId | A::ComponentName => RunHint::Component,
        A::ToolName
            if is_plain || attribute.name == A::ToolName.name() || attribute.source == Source::LiveKit =>
        {
            RunHint::ToolName
        }
        A::RetrievalQuery if is_plain => RunHint::Query,
        A::TopK | A::KnowledgeBases | A::DocumentCount | A::Documents if is_plain => RunHint::Retrieves,
        A::Thoughts if is_plain => RunHint::Thoughts,
        A::TaskId => RunHint::Task,
        A::AgentId | A::AgentName => RunHint::Agent(rank(AGENTS)),
        A::EntityName => RunHint::EntityName(rank(AGENTS)),
        A::SessionId => RunHint::Session(rank(&[A::SessionId])),
        A::UserId => RunHint::User(rank(&[A::UserId])),
        A::TraceLevel => RunHint::TraceLevel,
        _ => return None,
    })
}

/// All names that are read.
static RUN_HINTS: LazyLock<HashMap<&'static str, RunHint>> = LazyLock::new(|| {
    let hints = ATTRIBUTES
        .iter()
        .map(|attribute| Some((attribute.name, hint_of(attribute)?)));
    hints.flatten().collect()
});

pub(crate) fn is_known(name: &str) -> bool {
    RUN_HINTS.contains_key(name)
}

/// Returns all names that are read, for tests.
#[cfg(test)]
pub(crate) fn known_names() -> Vec<&'static str> {
    RUN_HINTS.keys().copied().collect()
}

/// A value under the name with the highest priority.
#[derive(Debug, Clone, Copy)]
pub(crate) struct First<'a> {
    rank: u8,
    pub(crate) value: Option<RawValue<'a>>,
}

impl<'a> First<'a> {
    const NONE: Self = Self {
        rank: u8::MAX,
        value: None,
    };

    /// Sets the value unless one with a higher priority is known. Of several values of one name the
    /// last counts.
    fn offer(&mut self, rank: u8, value: RawValue<'a>) {
        if rank <= self.rank {
            self.rank = rank;
            self.value = Some(value);
        }
    }
}

/// The attributes of one span that determine its role in a run.
#[derive(Debug, Clone)]
pub(crate) struct SpanAttributes<'a> {
    names_operation: bool,
    has_bare_kind: bool,
    has_model: bool,
    has_tokens: bool,
    has_component: bool,
    has_tool_name: bool,
    has_query: bool,
    retrieves: bool,
    has_thoughts: bool,
    open_llmetry_kind: Option<&'a str>,
    component_type: Option<&'a str>,
    /// OpenLLMetry's name of the span's entity.
    entity: First<'a>,
    pub(crate) task: Option<RawValue<'a>>,
    pub(crate) agent: First<'a>,
    pub(crate) session: First<'a>,
    pub(crate) user: First<'a>,
    pub(crate) level: Option<RawValue<'a>>,
}

impl<'a> SpanAttributes<'a> {
    pub(crate) fn read(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Self {
        let mut this = Self {
            names_operation: false,
            has_bare_kind: false,
            has_model: false,
            has_tokens: false,
            has_component: false,
            has_tool_name: false,
            has_query: false,
            retrieves: false,
            has_thoughts: false,
            open_llmetry_kind: None,
            component_type: None,
            entity: First::NONE,
            task: None,
            agent: First::NONE,
            session: First::NONE,
            user: First::NONE,
            level: None,
        };
        for (name, value) in attributes {
            let Some(hint) = RUN_HINTS.get(name) else { continue };
            // Programs write empty strings, or the `Debug` of an empty `Option`, for no value.
            if matches!(value, RawValue::Text("" | "None" | "null", _)) {
                continue;
            }
            this.note(*hint, value);
        }
        // The entity of an OpenLLMetry span may also be a task or a tool.
        if this.open_llmetry_kind == Some("agent")
            && let Some(name) = this.entity.value
        {
            this.agent.offer(this.entity.rank, name);
        }
        this
    }

    fn note(&mut self, hint: RunHint, value: RawValue<'a>) {
        match hint {
            RunHint::Operation => self.names_operation |= value.as_text().is_some(),
            RunHint::BareKind => self.has_bare_kind |= value.as_text().is_some(),
            RunHint::OpenLlmetryKind => {
                self.names_operation |= value.as_text().is_some();
                self.open_llmetry_kind = value.as_text();
            }
            RunHint::Model => self.has_model = true,
            RunHint::Usage => self.has_tokens = true,
            RunHint::ComponentType => {
                self.component_type = value.as_text();
                self.has_component = true;
            }
            RunHint::Component => self.has_component = true,
            RunHint::ToolName => self.has_tool_name = true,
            RunHint::Query => self.has_query = true,
            RunHint::Retrieves => self.retrieves = true,
            RunHint::Thoughts => self.has_thoughts = true,
            RunHint::Task => self.task = Some(value),
            RunHint::Agent(rank) => self.agent.offer(rank, value),
            RunHint::EntityName(rank) => self.entity.offer(rank, value),
            RunHint::Session(rank) => self.session.offer(rank, value),
            RunHint::User(rank) => self.user.offer(rank, value),
            RunHint::TraceLevel => self.level = Some(value),
        }
    }

    /// Returns whether the span has the plain field `agent_id`.
    pub(crate) fn has_agent_id(&self) -> bool {
        self.agent.rank == AGENT_ID
    }

    /// Returns the kind of the span with these attributes. An operation of a convention has
    /// priority over the plain fields.
    pub(crate) fn kind(
        &self,
        attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)> + Clone,
    ) -> StepKind {
        if self.names_operation {
            return operation_of(attributes).map_or(StepKind::Node, of_operation);
        }
        if self.has_bare_kind
            && let Some(operation) = operation_of(attributes.clone())
        {
            return of_operation(operation);
        }
        if let Some(word) = self.component_type {
            return of_component_type(word);
        }
        if self.has_tool_name {
            StepKind::ToolCall
        } else if self.has_query && self.retrieves {
            StepKind::Retrieval
        } else if self.has_model && self.has_tokens && SpanTokens::of(attributes).is_some() {
            StepKind::LlmCall
        } else if self.has_thoughts && !self.has_component {
            StepKind::Thinking
        } else {
            StepKind::Node
        }
    }
}

fn of_operation(operation: &str) -> StepKind {
    match operation {
        "chat" | "generate_content" | "text_completion" | "interactions" | "llm_request" => StepKind::LlmCall,
        "retrieval" | "rerank" | "search_memory" | "vector_db_retrieve" => StepKind::Retrieval,
        "execute_tool" => StepKind::ToolCall,
        "plan" => StepKind::Thinking,
        "invoke_agent" => StepKind::Agent,
        "invoke_workflow" => StepKind::Workflow,
        // Also embeddings, because no model generates anything.
        _ => StepKind::Node,
    }
}

fn of_component_type(word: &str) -> StepKind {
    let is = |words: &[&str]| words.iter().any(|have| word.eq_ignore_ascii_case(have));
    if is(&["llm", "llm_call", "generate"]) {
        StepKind::LlmCall
    } else if is(&["retrieval", "retriever"]) {
        StepKind::Retrieval
    } else if is(&["tool", "tool_call"]) {
        StepKind::ToolCall
    } else if is(&["agent"]) {
        StepKind::Agent
    } else if is(&["workflow"]) {
        StepKind::Workflow
    } else if is(&["thinking"]) {
        StepKind::Thinking
    } else if is(&["message"]) {
        StepKind::Message
    } else {
        StepKind::Node
    }
}
