//! [`RunAttributes`]: the attributes that a store extracts from spans when it writes them, so that
//! it can find runs without reading spans.

use std::borrow::Cow;

use spanscope_model::text::cut;
use spanscope_model::{Attributes, RawValue};

use crate::StepKind;
use crate::span_attributes::{self, SpanAttributes};

/// Maximum length of an id in bytes; longer ones are truncated.
pub const MAX_RUN_ATTRIBUTE_LEN: usize = 256;

/// The attributes of a span that describe its run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunAttributes {
    /// The run's own id (`task_id`).
    pub task_id: Option<String>,
    /// The agent, by its id or else its name.
    pub agent_id: Option<String>,
    /// The session or conversation.
    pub session_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The level of detail at which the program wants the run to be shown, as written.
    pub trace_level: Option<String>,
    /// Whether the span is an agent's or a workflow's, so that its name and outcome are probably
    /// the run's.
    pub is_agent: bool,
}

/// Reads the run attributes among a span's fields. Returns `None` if the fields do not make its
/// trace a run: the span is a plain node, and names neither a task nor an agent.
///
/// ```
/// use spanscope_model::RawValue;
/// use spanscope_runs::run_attributes;
///
/// let text = |text| RawValue::Text(text, None);
/// let facts = run_attributes([("gen_ai.operation.name", text("invoke_agent")), ("task_id", text("t-1"))]).unwrap();
/// assert_eq!((facts.task_id.as_deref(), facts.is_agent), (Some("t-1"), true));
/// assert_eq!(run_attributes([("http.route", text("/books")), ("user_id", text("u-1"))]), None);
/// ```
pub fn run_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)> + Clone,
) -> Option<RunAttributes> {
    let read = SpanAttributes::read(attributes.clone());
    let kind = read.kind(attributes);
    let task_id = read.task.and_then(id_text);
    if kind == StepKind::Node && task_id.is_none() && !read.has_agent_id() {
        return None;
    }
    Some(RunAttributes {
        task_id,
        agent_id: read.agent.value.and_then(id_text),
        session_id: read.session.value.and_then(id_text),
        user_id: read.user.value.and_then(id_text),
        trace_level: read.level.and_then(id_text),
        is_agent: matches!(kind, StepKind::Agent | StepKind::Workflow),
    })
}

/// Returns whether [`run_attributes`] reads a field of this name. A callsite that declares no such
/// field can be skipped.
///
/// ```
/// use spanscope_runs::is_run_attribute;
/// assert!(is_run_attribute("gen_ai.operation.name") && is_run_attribute("task_id"));
/// assert!(!is_run_attribute("http.route"));
/// ```
#[must_use]
pub fn is_run_attribute(name: &str) -> bool {
    span_attributes::is_known(name)
}

fn id_text(value: RawValue<'_>) -> Option<String> {
    let text = match value {
        RawValue::Text(text, _) => Cow::Borrowed(text.trim()),
        value => Cow::Owned(value.to_string()),
    };
    let text = cut(&text, MAX_RUN_ATTRIBUTE_LEN);
    (!text.is_empty()).then(|| text.to_owned())
}

impl StepKind {
    /// Returns what a span with these attributes does, in any convention: OpenTelemetry's operation
    /// name, the span kinds of OpenInference and OpenLLMetry, the operation of Vercel's SDK, the
    /// method of the Model Context Protocol, else the span's own plain fields (`component_type`,
    /// `tool_name`, `query` ...).
    ///
    /// ```
    /// use spanscope_model::Attributes;
    /// use spanscope_runs::StepKind;
    ///
    /// let attributes = Attributes::from_iter([("gen_ai.operation.name", "chat")]);
    /// assert_eq!(StepKind::of(&attributes), StepKind::LlmCall);
    /// ```
    #[must_use]
    pub fn of(attributes: &Attributes) -> Self {
        Self::of_raw(attributes.raw())
    }

    /// Does the same as [`of`](Self::of), for attributes that borrow their texts. Attributes that
    /// no convention names may be left out.
    pub fn of_raw<'a>(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)> + Clone) -> Self {
        SpanAttributes::read(attributes.clone()).kind(attributes)
    }
}
