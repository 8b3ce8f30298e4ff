//! What the fields of a span tell of its place in a run: each name is looked up once.
//!
//! The store's writer asks this of every span whose fields could matter, so there is one pass over the fields and one
//! look into one table for each; only a span that names a kind of a convention, or a model and a token count, is read
//! a second time, by the tables of `spanscope-layers`.

use std::collections::HashMap;
use std::sync::OnceLock;

use spanscope_core::capture::RawValue;
use spanscope_layers::metrics::{ALIASES, Meaning, SpanTokens, operation_of};

use crate::StepKind;

/// What a field with one of the known names says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// The kind of the span by a convention.
    Kind,
    OpenLlmetryKind,
    McpMethod,
    Model,
    Tokens,
    ComponentType,
    /// The component's id or name.
    Component,
    ToolName,
    Query,
    /// Together with a query: a retrieval.
    Retrieves,
    Thoughts,
    TaskId,
    /// Who the agent, the session, the user is: names with a lower number count first.
    Agent(u8),
    Session(u8),
    User(u8),
    TraceLevel,
}

/// The only name of an agent that makes a trace a run by itself.
const AGENT_ID: u8 = 0;
/// A name that is an agent's only on a span of OpenLLMetry that is one.
const ENTITY_NAME: u8 = 5;

#[rustfmt::skip]
const PLAIN: [(&str, Sign); 29] = [
    ("component_type", Sign::ComponentType),
    ("component_id", Sign::Component),
    ("component_name", Sign::Component),
    ("tool_name", Sign::ToolName),
    ("query", Sign::Query),
    ("top_k", Sign::Retrieves),
    ("knowledge_bases", Sign::Retrieves),
    ("chunks_retrieved", Sign::Retrieves),
    ("chunks", Sign::Retrieves),
    ("thoughts", Sign::Thoughts),
    ("task_id", Sign::TaskId),
    ("trace_level", Sign::TraceLevel),
    ("agent_id", Sign::Agent(AGENT_ID)),
    ("gen_ai.agent.id", Sign::Agent(1)),
    ("gen_ai.agent.name", Sign::Agent(2)),
    ("agent.name", Sign::Agent(3)),
    ("llm.agent.name", Sign::Agent(4)),
    ("traceloop.entity.name", Sign::Agent(ENTITY_NAME)),
    ("session_id", Sign::Session(0)),
    ("session.id", Sign::Session(1)),
    ("gen_ai.conversation.id", Sign::Session(2)),
    ("conversation_id", Sign::Session(3)),
    ("langfuse.session.id", Sign::Session(4)),
    ("ai.telemetry.metadata.sessionId", Sign::Session(5)),
    ("user_id", Sign::User(0)),
    ("user.id", Sign::User(1)),
    ("enduser.id", Sign::User(2)),
    ("langfuse.user.id", Sign::User(3)),
    ("ai.telemetry.metadata.userId", Sign::User(4)),
];

fn sign_of_meaning(meaning: Meaning) -> Option<Sign> {
    Some(match meaning {
        Meaning::Operation | Meaning::OpenInferenceKind | Meaning::RequestType | Meaning::VercelOperation => {
            Sign::Kind
        }
        Meaning::OpenLlmetryKind => Sign::OpenLlmetryKind,
        Meaning::McpMethod => Sign::McpMethod,
        Meaning::RequestModel | Meaning::ResponseModel => Sign::Model,
        Meaning::InputTokens | Meaning::OutputTokens | Meaning::TotalTokens => Sign::Tokens,
        _ => return None,
    })
}

/// All names that are read, with what they say.
fn signs() -> &'static HashMap<&'static str, Sign> {
    static SIGNS: OnceLock<HashMap<&'static str, Sign>> = OnceLock::new();
    SIGNS.get_or_init(|| {
        let aliases = ALIASES
            .iter()
            .filter_map(|alias| Some((alias.name, sign_of_meaning(alias.meaning)?)));
        // No name is in both: of the names there, those of agents are left out.
        PLAIN.into_iter().chain(aliases).collect()
    })
}

pub(crate) fn is_known(name: &str) -> bool {
    signs().contains_key(name)
}

/// All names that are read, for tests.
#[cfg(test)]
pub(crate) fn known_names() -> Vec<&'static str> {
    signs().keys().copied().collect()
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

/// What the fields of a span say.
#[derive(Debug, Clone)]
pub(crate) struct Signs<'a> {
    declares_kind: bool,
    has_model: bool,
    has_tokens: bool,
    has_component: bool,
    has_tool_name: bool,
    has_query: bool,
    retrieves: bool,
    has_thoughts: bool,
    open_llmetry_kind: Option<&'a str>,
    component_type: Option<&'a str>,
    entity: Option<RawValue<'a>>,
    pub(crate) task: Option<RawValue<'a>>,
    pub(crate) agent: First<'a>,
    pub(crate) session: First<'a>,
    pub(crate) user: First<'a>,
    pub(crate) level: Option<RawValue<'a>>,
}

impl<'a> Signs<'a> {
    pub(crate) fn read(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Self {
        let table = signs();
        let mut this = Self {
            declares_kind: false,
            has_model: false,
            has_tokens: false,
            has_component: false,
            has_tool_name: false,
            has_query: false,
            retrieves: false,
            has_thoughts: false,
            open_llmetry_kind: None,
            component_type: None,
            entity: None,
            task: None,
            agent: First::NONE,
            session: First::NONE,
            user: First::NONE,
            level: None,
        };
        for (name, value) in attributes {
            let Some(sign) = table.get(name) else { continue };
            // What a program writes where it knows nothing: `Option`s by their `Debug`, empty texts.
            if matches!(value, RawValue::Text("" | "None" | "null", _)) {
                continue;
            }
            this.note(*sign, value);
        }
        // A span of OpenLLMetry may be a task or a tool, whose name is no agent's.
        if this.open_llmetry_kind == Some("agent")
            && let Some(name) = this.entity
        {
            this.agent.offer(ENTITY_NAME, name);
        }
        this
    }

    fn note(&mut self, sign: Sign, value: RawValue<'a>) {
        match sign {
            Sign::Kind | Sign::McpMethod => self.declares_kind |= value.as_text().is_some(),
            Sign::OpenLlmetryKind => {
                self.declares_kind |= value.as_text().is_some();
                self.open_llmetry_kind = value.as_text();
            }
            Sign::Model => self.has_model = true,
            Sign::Tokens => self.has_tokens = true,
            Sign::ComponentType => {
                self.component_type = value.as_text();
                self.has_component = true;
            }
            Sign::Component => self.has_component = true,
            Sign::ToolName => self.has_tool_name = true,
            Sign::Query => self.has_query = true,
            Sign::Retrieves => self.retrieves = true,
            Sign::Thoughts => self.has_thoughts = true,
            Sign::TaskId => self.task = Some(value),
            Sign::Agent(ENTITY_NAME) => self.entity = Some(value),
            Sign::Agent(rank) => self.agent.offer(rank, value),
            Sign::Session(rank) => self.session.offer(rank, value),
            Sign::User(rank) => self.user.offer(rank, value),
            Sign::TraceLevel => self.level = Some(value),
        }
    }

    /// The span has the plain field `agent_id`.
    pub(crate) fn has_agent_id(&self) -> bool {
        self.agent.rank == AGENT_ID
    }

    /// The kind of the span with these signs. A kind that a convention gives counts before the span's own fields.
    pub(crate) fn kind(&self, attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> StepKind {
        if self.declares_kind {
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
