//! Conversion of OpenTelemetry's records to the model: fields that a sender has put into
//! attributes, and values that are inferred because the record lacks them.
//!
//! The OTLP receiver and the store that reads a collector's tables use the same functions, so a
//! record looks the same whether it was sent or read. Wire formats and tables do not belong here.

use crate::semconv::{SemanticAttribute, indicates_failure, is_exception_event};
use crate::{
    Attributes, LogEvent, Severity, SpanId, SpanState, SpanStatus, Timestamp, TraceId, UNCATEGORIZED, Value,
    category_of, wire,
};

/// Removes and returns a text. A value of another type stays.
pub fn take_text(attributes: &mut Attributes, key: &str) -> Option<String> {
    let text = attributes.get(key)?.as_str()?.to_owned();
    attributes.retain(|have, _| have != key);
    Some(text)
}

/// Removes and returns the text that Spanscope's exporter added under this key, or under the
/// [alternative key](wire::fallback_key) if the record has its own attribute there.
pub fn take_exported_text(attributes: &mut Attributes, key: &str) -> Option<String> {
    take_text(attributes, &wire::fallback_key(key)).or_else(|| take_text(attributes, key))
}

/// Removes and returns the category; `None` if it is empty.
pub fn take_category(attributes: &mut Attributes) -> Option<String> {
    let category = take_exported_text(attributes, wire::CATEGORY)?;
    let category = category.trim();
    (!category.is_empty()).then(|| category.to_owned())
}

/// Removes and returns the level of a span that Spanscope's exporter sent.
pub fn take_level(attributes: &mut Attributes) -> Option<Severity> {
    let level = attributes.get(wire::LEVEL)?.as_str()?.parse().ok()?;
    attributes.retain(|key, _| key != wire::LEVEL);
    Some(level)
}

/// Removes an exported span's state from its attributes, if the record agrees.
pub fn take_state(attributes: &mut Attributes, state: SpanState) {
    let word = attributes.get(wire::STATE).and_then(Value::as_str);
    if word == Some(state.as_str()) {
        attributes.retain(|key, _| key != wire::STATE);
    }
}

/// Returns the status of a span. One that ended without a status succeeded, unless it
/// [names its failure](implies_failure): many instrumentations leave the status unset then. A running
/// span has a status only if its program reported an error.
#[must_use]
pub fn span_status(sent: Option<SpanStatus>, has_ended: bool, implies_failure: bool) -> Option<SpanStatus> {
    match sent {
        Some(SpanStatus::Error) => Some(SpanStatus::Error),
        None if implies_failure && has_ended => Some(SpanStatus::Error),
        Some(SpanStatus::Ok) | None => has_ended.then_some(SpanStatus::Ok),
    }
}

/// Returns whether a span without a status names a failure: by its attributes, or by an exception
/// among the names of its events.
#[must_use]
pub fn implies_failure<'a>(attributes: &Attributes, events: impl IntoIterator<Item = &'a str>) -> bool {
    attributes.raw().any(|(key, value)| indicates_failure(key, value))
        || events.into_iter().any(is_exception_event)
        || reports_no_success(attributes)
}

/// Returns whether a span of Claude Code, for a model call or a tool, reports that it failed.
fn reports_no_success(attributes: &Attributes) -> bool {
    let kind = attributes.get("span.type").and_then(Value::as_str);
    let is_step = matches!(kind, Some("llm_request" | "tool"));
    is_step
        && match attributes.get("success") {
            Some(Value::Bool(success)) => !success,
            Some(Value::Str(word)) => word.eq_ignore_ascii_case("false"),
            _ => false,
        }
}

/// The span that an event happened in.
#[derive(Debug, Clone, Copy)]
pub struct SpanOrigin<'a> {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// When it began.
    pub start: Timestamp,
    /// The name of its scope, which is the target of events that name none.
    pub scope: &'a str,
}

/// Returns an event of a span as a log event.
///
/// Spanscope's exporter sends the severity and the target of every event, because `tracing` defines
/// them. Other events have a name, and a message only by the conventions for exceptions.
#[must_use]
pub fn event_of_span(
    name: String,
    timestamp: Timestamp,
    mut attributes: Attributes,
    span: &SpanOrigin<'_>,
) -> LogEvent {
    let category = take_category(&mut attributes);
    let head = match take_severity_and_target(&mut attributes) {
        Some((severity, target)) => {
            let category = category_of(&target).to_owned();
            // Named events of `tracing` keep their name, all others have their message as the name.
            let (name, message) = match take_text(&mut attributes, wire::NAME) {
                Some(own) => (own, name),
                None => match take_exported_text(&mut attributes, wire::MESSAGE) {
                    Some(message) => (name, message),
                    None => (String::new(), name),
                },
            };
            EventHead {
                severity,
                target,
                category,
                name,
                message,
            }
        }
        None => foreign_head(name, &mut attributes, span.scope),
    };
    LogEvent {
        id: String::new(),
        trace_id: Some(span.trace_id),
        span_id: Some(span.span_id),
        timestamp,
        severity: head.severity,
        name: head.name,
        message: head.message,
        target: head.target,
        category: category.unwrap_or(head.category),
        service_name: String::new(),
        attributes,
    }
}

/// The name, the severity and the target of an event.
struct EventHead {
    severity: Severity,
    target: String,
    /// Used if the event names none itself.
    category: String,
    name: String,
    message: String,
}

/// Removes severity and target if both are present: Spanscope's exporter has then sent them.
fn take_severity_and_target(attributes: &mut Attributes) -> Option<(Severity, String)> {
    let fallback = wire::fallback_key(wire::SEVERITY);
    let (key, word) = match attributes.get(&fallback) {
        Some(word) => (fallback.as_str(), word),
        None => (wire::SEVERITY, attributes.get(wire::SEVERITY)?),
    };
    let severity = word.as_str()?.parse().ok()?;
    let target = take_exported_text(attributes, wire::TARGET)?;
    attributes.retain(|have, _| have != key);
    Some((severity, target))
}

fn foreign_head(name: String, attributes: &mut Attributes, scope: &str) -> EventHead {
    let message = take_text(attributes, wire::MESSAGE).unwrap_or_else(|| {
        // `exception.message` stays an attribute, because users filter by it.
        let of_exception = attributes
            .get(SemanticAttribute::ExceptionMessage.name())
            .and_then(Value::as_str);
        of_exception.unwrap_or(&name).to_owned()
    });
    EventHead {
        severity: if is_exception_event(&name) {
            Severity::Error
        } else {
            Severity::Info
        },
        target: scope.to_owned(),
        category: UNCATEGORIZED.to_owned(),
        name,
        message,
    }
}

/// Returns the name of a log record: its field, else our export's mark of an event without a name,
/// else the attribute that OpenTelemetry defined before the field. That attribute stays, because
/// users filter by it.
pub fn log_name(field: String, attributes: &mut Attributes) -> String {
    if !field.is_empty() {
        return field;
    }
    take_text(attributes, wire::NAME).unwrap_or_else(|| {
        let keys = [wire::EVENT_NAME, wire::OTEL_EVENT_NAME];
        let name = keys.into_iter().find_map(|key| attributes.get(key)?.as_str());
        name.unwrap_or_default().to_owned()
    })
}

/// Returns the severity of a log record by its number; if that is missing or unknown, by the text,
/// by the numbers of pino and bunyan, else by an attribute that some libraries set.
#[must_use]
pub fn log_severity(number: i32, text: &str, attributes: &Attributes) -> Severity {
    if let Ok(number @ 1..=24) = u8::try_from(number) {
        return Severity::from_number(number);
    }
    if !text.is_empty() {
        return Severity::from_name(text).unwrap_or(Severity::Info);
    }
    if let Some(severity) = Severity::from_name(&number.to_string()) {
        return severity;
    }
    let word = ["level", "severity"]
        .into_iter()
        .find_map(|key| attributes.get(key)?.as_str().and_then(Severity::from_name));
    word.unwrap_or(Severity::Info)
}

/// Sets an attribute with a record's own text for its severity, if that text differs from ours.
pub fn note_severity_text(text: String, severity: Severity, attributes: &mut Attributes) {
    if !text.is_empty() && !text.eq_ignore_ascii_case(severity.as_str()) {
        attributes.set(wire::SEVERITY_TEXT, text);
    }
}
