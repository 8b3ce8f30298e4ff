//! One event of a run, and its creation from a step or a log event.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{Attributes, LogEvent, RunStatus, Severity, Span, SpanId, Timestamp, TraceId, Value};

use crate::content::{self, Payload, names, non_empty};
use crate::step::{Component, Step, call_id_of, seconds};
use crate::token_usage::{TokenUsage, tokens_of};
use crate::{DetailLevel, EventType, StepKind};

/// An event of a run.
///
/// Its id is stable: `{span id}:start`, `{span id}:end`, `{span id}:message`, `log:{id}`,
/// `run:start`, `run:end`. Payloads are complete; [`format_event`](crate::format_event) truncates
/// them to a level.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RunEvent {
    /// The event's id in its run.
    pub event_id: String,
    /// The type.
    pub event_type: EventType,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The component's id: the program's own, else the span's.
    pub component_id: String,
    /// The component's name.
    pub component_name: String,
    /// The component's type: `agent`, `llm`, `tool` ..., or the program's own.
    pub component_type: String,
    /// The step's inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Map<String, Json>>,
    /// Its outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Map<String, Json>>,
    /// The reason of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The step's duration in seconds, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_time: Option<f64>,
    /// The reasoning of the agent or the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thoughts: Option<String>,
    /// The origin of the event.
    pub metadata: EventMetadata,
}

/// The origin of an event, and further data of its step.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EventMetadata {
    /// The trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The span of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// The step's parent span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SpanId>,
    /// Whether that span is not stored (yet).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// The step's service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The called model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tokens of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenUsage>,
    /// The id of the call, from the model or its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The status of the run at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RunStatus>,
}

/// Which events include inputs and outputs. Others are created without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadFilter {
    /// None: the events are only counted and timed, and need no metadata either.
    Nothing,
    /// Events that show their payload at this level.
    ShownAt(DetailLevel),
}

impl PayloadFilter {
    pub(crate) fn has(self, event_type: EventType) -> bool {
        match self {
            Self::Nothing => false,
            Self::ShownAt(DetailLevel::Minimal) => event_type == EventType::MessageGenerated,
            Self::ShownAt(level) => level.shows(event_type),
        }
    }
}

impl Default for PayloadFilter {
    fn default() -> Self {
        Self::ShownAt(DetailLevel::Debug)
    }
}

impl RunEvent {
    /// Creates an event of a component without further data.
    pub(crate) fn bare(
        event_id: String,
        event_type: EventType,
        timestamp: Timestamp,
        component: &Component,
    ) -> Self {
        Self {
            event_id,
            event_type,
            timestamp,
            component_id: component.id.clone(),
            component_name: component.name.clone(),
            component_type: component.kind.clone(),
            inputs: None,
            outputs: None,
            error: None,
            elapsed_time: None,
            thoughts: None,
            metadata: EventMetadata::default(),
        }
    }
}

/// Returns the metadata of a step's event; the default if only counts are wanted.
pub(crate) fn metadata_of(step: &Step, span: &Span, pending: bool, wanted: PayloadFilter) -> EventMetadata {
    if wanted == PayloadFilter::Nothing {
        return EventMetadata::default();
    }
    EventMetadata {
        trace_id: Some(step.key.0),
        span_id: Some(step.key.1),
        parent_id: step.parent,
        pending,
        service: span.service_name.clone(),
        model: match step.kind {
            StepKind::LlmCall => content::first_text(&span.attributes, names::MODELS),
            _ => None,
        },
        call_id: match step.kind {
            StepKind::LlmCall | StepKind::ToolCall => call_id_of(&span.attributes),
            _ => None,
        },
        ..EventMetadata::default()
    }
}

/// Creates the start event of a step.
pub(crate) fn start_of(step: &Step, span: &Span, pending: bool, wanted: PayloadFilter) -> RunEvent {
    let event_type = step.kind.started();
    let id = format!("{}:start", step.key.1);
    let mut event = RunEvent::bare(id, event_type, step.start, &step.component);
    event.metadata = metadata_of(step, span, pending, wanted);
    if wanted.has(event_type) {
        event.inputs = content::inputs_of(step.kind, &span.attributes);
    }
    event
}

/// Creates the end events of a step: its message to the user, if it has one, and its end, unless
/// the run's own end covers that.
///
/// `tells_message` is whether no earlier event had its message.
pub(crate) fn ends_of(
    step: &Step,
    span: &Span,
    end: Timestamp,
    tells_message: bool,
    pending: bool,
    wanted: PayloadFilter,
) -> [Option<RunEvent>; 2] {
    let event_type = step.kind.ended(step.error.is_some());
    let tells_end = !step.is_run_itself();
    let message_is_wanted = tells_message && wanted.has(EventType::MessageGenerated);
    let end_is_wanted = tells_end && wanted.has(event_type);
    let outputs = (message_is_wanted || end_is_wanted)
        .then(|| content::outputs_of(step.kind, &span.attributes))
        .flatten();

    let message = tells_message.then(|| {
        let id = format!("{}:message", step.key.1);
        let mut event = RunEvent::bare(id, EventType::MessageGenerated, end, &step.component);
        event.metadata = metadata_of(step, span, pending, wanted);
        if message_is_wanted {
            let text = content::message_of(step.kind, &span.attributes, outputs.as_ref());
            event.outputs = text.map(|text| Payload::from_iter([("content".to_owned(), text.into())]));
        }
        event
    });
    let ended = tells_end.then(|| {
        let id = format!("{}:end", step.key.1);
        let mut event = RunEvent::bare(id, event_type, end, &step.component);
        event.error = content::error_of(span);
        event.elapsed_time = step.nanos().map(seconds);
        event.metadata = metadata_of(step, span, pending, wanted);
        if wanted != PayloadFilter::Nothing {
            event.metadata.tokens = tokens_of(&span.attributes);
        }
        if end_is_wanted {
            event.thoughts = content::thoughts_of(&span.attributes, outputs.as_ref());
            event.outputs = outputs;
        }
        event
    });
    [message, ended]
}

/// Creates an event from a log event of the run: one with an event type, an error, or a message to
/// the user (`answer`, which the caller has read). Returns `None` for other log events.
pub(crate) fn logged(
    log: &LogEvent,
    component: &Component,
    answer: Option<String>,
    parent: Option<SpanId>,
    wanted: PayloadFilter,
) -> Option<RunEvent> {
    let named = non_empty(&log.attributes, "event_type")
        .and_then(Value::as_str)
        .and_then(|word| word.parse().ok());
    let event_type: EventType = match named {
        Some(event_type) => event_type,
        None if log.severity >= Severity::Error => EventType::ErrorOccurred,
        None if answer.is_some() => EventType::MessageGenerated,
        None => return None,
    };
    let mut event = RunEvent::bare(format!("log:{}", log.id), event_type, log.timestamp, component);
    let own = |name| non_empty(&log.attributes, name).map(Value::to_string);
    let or_own = |field: &mut String, name| {
        if let Some(own) = own(name) {
            *field = own;
        }
    };
    or_own(&mut event.component_id, A::ComponentId.name());
    or_own(&mut event.component_name, A::ComponentName.name());
    or_own(&mut event.component_type, A::ComponentType.name());
    event.metadata = EventMetadata {
        trace_id: log.trace_id,
        span_id: log.span_id,
        parent_id: parent,
        service: log.service_name.clone(),
        ..EventMetadata::default()
    };
    event.elapsed_time = non_empty(&log.attributes, "elapsed_time").and_then(content::number_of);
    event.error = match event_type {
        EventType::ErrorOccurred => Some(error_text(log)),
        _ => own(A::PlainError.name()).filter(|error| error != "false"),
    };
    if wanted.has(event_type) {
        let payload =
            |meaning, key| content::value(&log.attributes, meaning).map(|value| content::object(value, key));
        event.inputs = payload(A::StepInputs, "input");
        event.outputs = payload(A::StepOutputs, "output").or_else(|| match event_type {
            EventType::MessageGenerated => Some(message_payload(log, answer)),
            _ => None,
        });
        event.thoughts = content::first_text(&log.attributes, &[A::Thoughts]);
    }
    Some(event)
}

/// Returns a log event's message with the details of its exception, without repetitions.
pub(crate) fn error_text(log: &LogEvent) -> String {
    let mut text = own_text(&log.attributes, A::PlainError.name()).filter(|_| log.message.is_empty());
    let mut text = text.take().unwrap_or_else(|| log.message.clone());
    if let Some(message) = own_text(&log.attributes, A::ExceptionMessage.name())
        && !text.contains(&message)
    {
        text = match text.is_empty() {
            true => message,
            false => format!("{text}: {message}"),
        };
    }
    if let Some(kind) = own_text(&log.attributes, A::ExceptionType.name())
        && !text.contains(&kind)
    {
        text = match text.is_empty() {
            true => kind,
            false => format!("{kind}: {text}"),
        };
    }
    if text.is_empty() {
        text.push_str("failed");
    }
    text
}

fn own_text(attributes: &Attributes, name: &str) -> Option<String> {
    non_empty(attributes, name)
        .filter(|value| !matches!(value, Value::Bool(_)))
        .map(Value::to_string)
}

/// Returns a message as outputs.
fn message_payload(log: &LogEvent, answer: Option<String>) -> Payload {
    if let Some(answer) = answer {
        return Payload::from_iter([("content".to_owned(), answer.into())]);
    }
    let found = content::value(&log.attributes, A::OutputMessages)
        .or_else(|| content::first(&log.attributes, names::CONTENTS))
        .or_else(|| content::first(&log.attributes, names::OUTPUTS));
    let text = match found {
        Some(value) => content::text_of(&content::json_of(value)).unwrap_or_else(|| value.to_string()),
        None => log.message.clone(),
    };
    Payload::from_iter([("content".to_owned(), text.into())])
}
