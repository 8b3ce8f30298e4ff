//! Events of spans: which of them are kept, and their times.

use opentelemetry_proto::tonic::trace::v1::span::Event;
use spanscope_model::received::{self, SpanOrigin};
use spanscope_model::{NewEvent, Timestamp, wire};

use super::attributes::{attributes, set_dropped};
use super::ids;

/// Returns the events of a span, without those with an invalid time, and the number of these, which
/// the caller adds to the events that the sender dropped. If `logs_events` is set, events that
/// Spanscope's exporter also sent as log records are skipped, and are not in the number.
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
            // An event without a time gets the start of its span.
            let time = ids::time(event.time_unix_nano, "time").ok()?;
            Some(new_event(event, time.unwrap_or(span.start), span))
        })
        .collect();
    let lost = u32::try_from(count - events.len()).unwrap_or(u32::MAX);
    (events, lost)
}

fn new_event(event: Event, timestamp: Timestamp, span: &SpanOrigin<'_>) -> NewEvent {
    let mut log = received::event_of_span(event.name, timestamp, attributes(event.attributes), span);
    set_dropped(
        &mut log.attributes,
        wire::DROPPED_ATTRIBUTES,
        event.dropped_attributes_count,
    );
    NewEvent::new(log)
}

/// Returns whether Spanscope's exporter created the event from an event of `tracing`.
fn is_bridged(event: &Event) -> bool {
    let has = |key: &str| {
        let fallback = wire::fallback_key(key);
        let mut attributes = event.attributes.iter();
        attributes.any(|attribute| attribute.key == key || attribute.key == fallback)
    };
    has(wire::SEVERITY) && has(wire::TARGET)
}
