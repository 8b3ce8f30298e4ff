//! [`Step`]: the data that is kept of a span after its events were created. It has no attributes,
//! because the payloads of a run may be large.

use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::text::cut;
use spanscope_model::{Attributes, RunSpan, SpanId, SpanStatus, Timestamp, TraceId, Value, wire};

use crate::StepKind;
use crate::content::{self, error_of, first_text, names};

/// The key of a span: a span id is unique only within its trace.
pub(crate) type Key = (TraceId, SpanId);

/// Maximum length of a kept error, in bytes.
const MAX_KEPT_ERROR: usize = 512;

/// The component of an agent system that a step executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) key: Key,
    pub(crate) parent: Option<SpanId>,
    /// Its position in the order of storing. Several steps may have the same.
    pub(crate) order: u64,
    pub(crate) kind: StepKind,
    pub(crate) component: Component,
    pub(crate) start: Timestamp,
    /// Set if its end was read.
    pub(crate) end: Option<Timestamp>,
    /// The reason of its failure, truncated; `None` while it runs.
    pub(crate) error: Option<String>,
    /// Whether it ended with the status `error`. Only that makes a run fail, because a list of runs
    /// is derived from the status alone.
    pub(crate) fails_run: bool,
    /// Whether it names the run as its task.
    pub(crate) names_task: bool,
    /// Whether it was derived from an event of a session without spans, so that it is not a root
    /// even without a parent.
    pub(crate) is_rootless: bool,
    /// Whether it is part of the run; false only for spans of other runs in the same trace.
    pub(crate) belongs: bool,
}

impl Step {
    pub(crate) fn of(stored: &RunSpan, task_id: &str) -> Self {
        let span = &stored.span;
        let kind = StepKind::of(&span.attributes);
        let end = span.end_time;
        let has_failed = end.is_some() && content::has_failed(span);
        Self {
            key: (span.trace_id, span.span_id),
            parent: span.parent_span_id,
            order: stored.order,
            kind,
            component: Component::of(kind, &span.name, &span.span_id, &span.attributes),
            start: span.start_time,
            end,
            error: has_failed
                .then(|| error_of(span))
                .flatten()
                .map(|error| cut(&error, MAX_KEPT_ERROR).to_owned()),
            fails_run: end.is_some() && span.status == Some(SpanStatus::Error),
            names_task: is_task(&span.attributes, task_id),
            is_rootless: span.parent_span_id.is_none() && span.attributes.get(wire::READ_FROM).is_some(),
            belongs: true,
        }
    }

    /// Returns the order of steps that started at the same time: by position, then by id.
    pub(crate) fn rank(&self) -> (u64, SpanId) {
        (self.order, self.key.1)
    }

    /// Returns whether it is a root that is the run itself, so that the run's start and end events
    /// are its events.
    pub(crate) fn is_run_itself(&self) -> bool {
        self.parent.is_none() && self.kind.is_run_itself()
    }

    pub(crate) fn is_agent(&self) -> bool {
        matches!(self.kind, StepKind::Agent | StepKind::Workflow)
    }

    /// Returns its duration in nanoseconds; `None` while it runs. It is never negative, even if
    /// clocks disagree.
    pub(crate) fn nanos(&self) -> Option<i64> {
        self.end.map(|end| nanos_between(self.start, end))
    }
}

/// Returns the nanoseconds between two times; 0 if the end is earlier.
pub(crate) fn nanos_between(start: Timestamp, end: Timestamp) -> i64 {
    end.as_nanos().saturating_sub(start.as_nanos()).max(0)
}

#[expect(clippy::cast_precision_loss, reason = "runs take less than months")]
pub(crate) fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn is_task(attributes: &Attributes, task_id: &str) -> bool {
    match attributes.get(A::TaskId.name()) {
        None => false,
        Some(Value::Str(text)) => cut(text.trim(), crate::MAX_RUN_ATTRIBUTE_LEN) == task_id,
        Some(other) => other.to_string() == task_id,
    }
}

impl Component {
    fn of(kind: StepKind, span_name: &str, span_id: &SpanId, attributes: &Attributes) -> Self {
        let own = |meaning| content::value(attributes, meaning).map(Value::to_string);
        let by_kind = match kind {
            StepKind::Agent => first_text(attributes, names::AGENT_NAME),
            StepKind::ToolCall => first_text(attributes, names::TOOL_NAME),
            StepKind::Retrieval => first_text(attributes, &[A::DataSource]),
            StepKind::LlmCall => first_text(attributes, names::MODELS),
            StepKind::Workflow => first_text(attributes, names::WORKFLOW_NAME),
            StepKind::Node | StepKind::Thinking | StepKind::Message => None,
        };
        let agent_id = || match kind {
            StepKind::Agent => first_text(attributes, &[A::AgentId]),
            _ => None,
        };
        Self {
            id: own(A::ComponentId)
                .or_else(agent_id)
                .unwrap_or_else(|| span_id.to_string()),
            name: own(A::ComponentName)
                .or(by_kind)
                .unwrap_or_else(|| span_name.to_owned()),
            kind: own(A::ComponentType).unwrap_or_else(|| match kind {
                StepKind::Node => node_type(attributes),
                kind => kind.as_str().to_owned(),
            }),
        }
    }
}

/// Returns the type of a plain node, if its convention names one.
fn node_type(attributes: &Attributes) -> String {
    let value = |meaning| content::value(attributes, meaning);
    let text = |meaning| value(meaning).and_then(Value::as_str);
    if let Some(operation) = text(A::Operation) {
        return match operation {
            "embeddings" => "embedding".to_owned(),
            other => other.to_owned(),
        };
    }
    if let Some(kind) = text(A::OpenInferenceKind).or_else(|| text(A::OpenLlmetryKind)) {
        return kind.to_ascii_lowercase();
    }
    let names_embeddings = |name: &str| name.starts_with("ai.embed");
    if text(A::RequestType) == Some("embedding") || text(A::VercelOperation).is_some_and(names_embeddings) {
        return "embedding".to_owned();
    }
    if value(A::ShieldId).is_some() {
        return "safety".to_owned();
    }
    if value(A::McpMethod).is_some() {
        return "mcp".to_owned();
    }
    StepKind::Node.as_str().to_owned()
}

/// Returns the id of a call, from the program or the model's service.
pub(crate) fn call_id_of(attributes: &Attributes) -> Option<String> {
    content::first_text(attributes, names::CALL_ID)
}
