//! Events of spans, in the two shapes that they come in.
//!
//! Our own bridge says the severity and the target of every event, because they were events of `tracing`. What comes from
//! elsewhere has a name, and a message only by the conventions for exceptions.

use opentelemetry_proto::tonic::trace::v1::span::Event;
use spanscope_model::semconv::{EXCEPTION_EVENT, SemanticAttribute};
use spanscope_model::{
    Attributes, LogEvent, NewEvent, Severity, SpanId, Timestamp, TraceId, UNCATEGORIZED, Value, category_of,
    wire,
};

use super::attributes::{attributes, set_dropped, take_category, take_ours, take_text};
use super::ids;

/// The span that events happened in.
pub(super) struct SpanOrigin<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) start: Timestamp,
    pub(super) scope: &'a str,
}

/// The events, and how many have no possible time. Those are lost as the sender's own dropped ones are. What our bridge put into
/// the span and sends as log records too is left to those.
pub(super) fn of_span(
    mut events: Vec<Event>,
    span: &SpanOrigin<'_>,
    logs_events: bool,
) -> (Vec<NewEvent>, u32) {
    if logs_events {
        events.retain(|event| !is_bridged(event));
    }
    let count = events.len();
    let events: Vec<NewEvent> = events
        .into_iter()
        .filter_map(|event| {
            // An event without a time happened in the span at some time.
            let time = ids::time(event.time_unix_nano, "time").ok()?;
            Some(new_event(event, time.unwrap_or(span.start), span))
        })
        .collect();
    let lost = u32::try_from(count - events.len()).unwrap_or(u32::MAX);
    (events, lost)
}

fn new_event(event: Event, timestamp: Timestamp, span: &SpanOrigin<'_>) -> NewEvent {
    let mut attributes = attributes(event.attributes);
    let category = take_category(&mut attributes);
    let head = match take_bridged(&mut attributes) {
        Some((severity, target)) => {
            let category = category_of(&target).to_owned();
            // Named events of `tracing` keep their name, all others are named by their message.
            let (name, message) = match take_text(&mut attributes, wire::NAME) {
                Some(name) => (name, event.name),
                None => match take_ours(&mut attributes, wire::MESSAGE) {
                    Some(message) => (event.name, message),
                    None => (String::new(), event.name),
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
        None => foreign(event.name, &mut attributes, span.scope),
    };
    set_dropped(
        &mut attributes,
        wire::DROPPED_ATTRIBUTES,
        event.dropped_attributes_count,
    );
    let event = LogEvent {
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
    };
    NewEvent { event, expires: None }
}

/// What an event is called, how serious it is, and where it was logged.
struct EventHead {
    severity: Severity,
    target: String,
    /// Where the event names none itself.
    category: String,
    name: String,
    message: String,
}

/// Whether our bridge made it of an event of `tracing`.
fn is_bridged(event: &Event) -> bool {
    let says = |key: &str| {
        let beside = wire::beside(key);
        let mut attributes = event.attributes.iter();
        attributes.any(|attribute| attribute.key == key || attribute.key == beside)
    };
    says(wire::SEVERITY) && says(wire::TARGET)
}

/// Takes out severity and target where both are there: then our bridge sent them.
fn take_bridged(attributes: &mut Attributes) -> Option<(Severity, String)> {
    let beside = wire::beside(wire::SEVERITY);
    let (key, word) = match attributes.get(&beside) {
        Some(word) => (beside.as_str(), word),
        None => (wire::SEVERITY, attributes.get(wire::SEVERITY)?),
    };
    let severity = word.as_str()?.parse().ok()?;
    let target = take_ours(attributes, wire::TARGET)?;
    attributes.retain(|have, _| have != key);
    Some((severity, target))
}

fn foreign(name: String, attributes: &mut Attributes, scope: &str) -> EventHead {
    let message = take_text(attributes, wire::MESSAGE).unwrap_or_else(|| {
        // This one stays: whoever knows the conventions asks for it by its name.
        let of_exception = attributes
            .get(SemanticAttribute::ExceptionMessage.name())
            .and_then(Value::as_str);
        of_exception.unwrap_or(&name).to_owned()
    });
    EventHead {
        severity: if name == EXCEPTION_EVENT {
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
