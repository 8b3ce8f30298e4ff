//! What the attributes of a span say of its place in a run: each name is looked up once.
//!
//! The store's writer asks this of every span whose fields could matter, so there is one pass over
//! the fields and one look-up for each. Only a span that names an operation, or a model and a token
//! count, is read a second time, by the rules of [`spanscope_model::semconv`]. No name of an attribute
//! is written here: names are rows of that table.

use std::collections::HashMap;
use std::sync::LazyLock;

use spanscope_model::RawValue;
use spanscope_model::semconv::{
    ATTRIBUTES, AttributeName, Convention, SemanticAttribute as A, SpanTokens, names_of, operation_of,
};

use crate::StepKind;

/// What an attribute says of a run. Of agents, sessions and users the name that counts first has the
/// lowest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// What the span does, by a convention.
    Operation,
    OpenLlmetryKind,
    Model,
    Usage,
    ComponentType,
    /// The component's id or name.
    Component,
    ToolName,
    Query,
    /// Together with a query: a retrieval.
    Retrieves,
    Thoughts,
    Task,
    Agent(u8),
    /// A name that is an agent's only on a span of OpenLLMetry that is one.
    EntityName(u8),
    Session(u8),
    User(u8),
    TraceLevel,
}

/// The rank of the only name of an agent that makes a trace a run by itself.
const AGENT_ID: u8 = 0;

/// What a name says. Plain fields tell what a span does only under the names of agent traces; of the
/// conventions' names only OpenTelemetry's of a tool does, which some libraries write without an
/// operation. A span with another name of a tool is a tool call only if its operation says so.
fn sign_of(attribute: &AttributeName) -> Option<Sign> {
    let is_plain = attribute.convention == Convention::Plain;
    let rank = |meanings: &[A]| {
        let place = names_of(meanings).position(|name| name == attribute.name);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(u8::MAX)
    };
    const AGENTS: &[A] = &[A::AgentId, A::AgentName, A::EntityName];
    Some(match attribute.meaning {
        A::Operation | A::OpenInferenceKind | A::RequestType | A::VercelOperation | A::McpMethod => {
            Sign::Operation
        }
        A::OpenLlmetryKind => Sign::OpenLlmetryKind,
        A::RequestModel | A::ResponseModel => Sign::Model,
        A::InputTokens | A::OutputTokens | A::TotalTokens => Sign::Usage,
        A::ComponentType => Sign::ComponentType,
        A::ComponentId | A::ComponentName => Sign::Component,
        A::ToolName if is_plain || attribute.name == A::ToolName.name() => Sign::ToolName,
        A::RetrievalQuery if is_plain => Sign::Query,
        A::TopK | A::KnowledgeBases | A::DocumentCount | A::Documents if is_plain => Sign::Retrieves,
        A::Thoughts if is_plain => Sign::Thoughts,
        A::TaskId => Sign::Task,
        A::AgentId | A::AgentName => Sign::Agent(rank(AGENTS)),
        A::EntityName => Sign::EntityName(rank(AGENTS)),
        A::SessionId => Sign::Session(rank(&[A::SessionId])),
        A::UserId => Sign::User(rank(&[A::UserId])),
        A::TraceLevel => Sign::TraceLevel,
        _ => return None,
    })
}

/// All names that are read.
static SIGNS: LazyLock<HashMap<&'static str, Sign>> = LazyLock::new(|| {
    let signs = ATTRIBUTES
        .iter()
        .map(|attribute| Some((attribute.name, sign_of(attribute)?)));
    signs.flatten().collect()
});

pub(crate) fn is_known(name: &str) -> bool {
    SIGNS.contains_key(name)
}

/// All names that are read, for tests.
#[cfg(test)]
pub(crate) fn known_names() -> Vec<&'static str> {
    SIGNS.keys().copied().collect()
}

/// A value under the name that counts first.
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

    /// Of one name the last value counts, as everywhere.
    fn offer(&mut self, rank: u8, value: RawValue<'a>) {
        if rank <= self.rank {
            self.rank = rank;
            self.value = Some(value);
        }
    }
}

/// What the attributes of one span say of a run.
#[derive(Debug, Clone)]
pub(crate) struct SpanAttributes<'a> {
    names_operation: bool,
    has_model: bool,
    has_tokens: bool,
    has_component: bool,
    has_tool_name: bool,
    has_query: bool,
    retrieves: bool,
    has_thoughts: bool,
    open_llmetry_kind: Option<&'a str>,
    component_type: Option<&'a str>,
    /// OpenLLMetry's name of whatever the span is.
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
            let Some(sign) = SIGNS.get(name) else { continue };
            // What a program writes where it knows nothing: `Option`s by their `Debug`, empty texts.
            if matches!(value, RawValue::Text("" | "None" | "null", _)) {
                continue;
            }
            this.note(*sign, value);
        }
        // A span of OpenLLMetry may be a task or a tool, whose name is no agent's.
        if this.open_llmetry_kind == Some("agent")
            && let Some(name) = this.entity.value
        {
            this.agent.offer(this.entity.rank, name);
        }
        this
    }

    fn note(&mut self, sign: Sign, value: RawValue<'a>) {
        match sign {
            Sign::Operation => self.names_operation |= value.as_text().is_some(),
            Sign::OpenLlmetryKind => {
                self.names_operation |= value.as_text().is_some();
                self.open_llmetry_kind = value.as_text();
            }
            Sign::Model => self.has_model = true,
            Sign::Usage => self.has_tokens = true,
            Sign::ComponentType => {
                self.component_type = value.as_text();
                self.has_component = true;
            }
            Sign::Component => self.has_component = true,
            Sign::ToolName => self.has_tool_name = true,
            Sign::Query => self.has_query = true,
            Sign::Retrieves => self.retrieves = true,
            Sign::Thoughts => self.has_thoughts = true,
            Sign::Task => self.task = Some(value),
            Sign::Agent(rank) => self.agent.offer(rank, value),
            Sign::EntityName(rank) => self.entity.offer(rank, value),
            Sign::Session(rank) => self.session.offer(rank, value),
            Sign::User(rank) => self.user.offer(rank, value),
            Sign::TraceLevel => self.level = Some(value),
        }
    }

    /// The span has the plain field `agent_id`.
    pub(crate) fn has_agent_id(&self) -> bool {
        self.agent.rank == AGENT_ID
    }

    /// The kind of the span with these attributes. An operation that a convention names counts before
    /// the plain fields.
    pub(crate) fn kind(&self, attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> StepKind {
        if self.names_operation {
            return operation_of(attributes).map_or(StepKind::Node, of_operation);
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
        // Embeddings too: they are a step, but no model generates anything.
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
