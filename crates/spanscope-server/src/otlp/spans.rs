//! Spans of a trace request.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as sent, Status, span};
use spanscope_model::received::{self, SpanOrigin, take_category, take_level, take_state};
use spanscope_model::{
    Link, NewSpan, Source, SourceRecords, Span, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, TraceId,
    wire,
};

use super::attributes::{attributes, has_replacement, has_replacements, set_dropped};
use super::ids;
use super::logs::is_repaired;
use super::sources::{ResourceRecords, ScopeRecords, by_source};
use super::span_events;
use super::tally::{RequestTally, quoted};

pub(super) fn records(request: ExportTraceServiceRequest, tally: &mut RequestTally) -> Vec<SourceRecords> {
    let sent = request.resource_spans.into_iter().map(|of| ResourceRecords {
        resource: of.resource,
        schema_url: of.schema_url,
        scopes: of
            .scope_spans
            .into_iter()
            .map(|of| ScopeRecords {
                scope: of.scope,
                schema_url: of.schema_url,
                sent: of.spans,
            })
            .collect(),
    });
    by_source(sent, tally, |_| 1, add_span)
}

fn add_span(span: sent::Span, records: &mut SourceRecords, tally: &mut RequestTally) {
    let scope = &records.source.scope.name;
    // The span and each of its events have the scope's name as their target.
    let copies = scope.len().saturating_mul(span.events.len() + 1);
    match Frame::of(&span).and_then(|frame| tally.copy(copies).map(|()| frame)) {
        Ok(frame) => {
            tally.see_time(span.start_time_unix_nano);
            if ids::are_digits(&span.trace_id, &span.span_id) {
                tally.read_id(|| format!("of span {}", quoted(&span.name)));
            }
            if let Some(why) = &frame.bad_parent {
                tally.leave_out_parent(|| format!("span {}: {why}", quoted(&span.name)));
            }
            let mut new = new_span(span, frame, &records.source);
            if tally.repaired_texts() > 0 {
                mark_repaired(&mut new);
            }
            records.spans.push(new);
        }
        Err(why) => tally.reject(1, format!("span {}: {why}", quoted(&span.name))),
    }
}

/// Marks a span and those of its events in which bytes that are not UTF-8 were replaced.
fn mark_repaired(new: &mut NewSpan) {
    let span = &mut new.span;
    let message = span.status_message.as_deref().unwrap_or_default();
    if has_replacement(&span.name) || has_replacement(message) || has_replacements(&span.attributes) {
        span.attributes.set(wire::REPAIRED_TEXT, true);
    }
    for event in &mut new.events {
        if is_repaired(&event.event) {
            event.event.attributes.set(wire::REPAIRED_TEXT, true);
        }
    }
}

/// The mandatory parts of a span.
struct Frame {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    /// The error of a parent, which is left out because of it.
    bad_parent: Option<String>,
    start: Timestamp,
    end: Option<Timestamp>,
}

impl Frame {
    fn of(span: &sent::Span) -> Result<Self, String> {
        let (trace_id, span_id) = ids::both_ids(&span.trace_id, &span.span_id)?;
        let (parent, bad_parent) = match ids::span_id(&span.parent_span_id, "parent's span id") {
            Ok(Some(parent)) if parent == span_id => {
                let why = "it can't be its own parent: give the id of another span, or none";
                (None, Some(why.to_owned()))
            }
            Ok(parent) => (parent, None),
            Err(why) => (None, Some(why)),
        };
        let start = ids::time(span.start_time_unix_nano, "start")?
            .ok_or("it has no start: give nanoseconds since 1970")?;
        Ok(Self {
            trace_id,
            span_id,
            parent,
            bad_parent,
            start,
            end: ids::time(span.end_time_unix_nano, "end")?,
        })
    }
}

fn new_span(span: sent::Span, frame: Frame, source: &Source) -> NewSpan {
    let scope = source.scope.name.as_str();
    let Frame { start, end, .. } = frame;
    let mut attributes = attributes(span.attributes);
    let category = take_category(&mut attributes);
    let level = take_level(&mut attributes);
    take_state(&mut attributes, state_of(end));
    // The clock was set back while the span ran. The span is worth more than its duration.
    let end = match end {
        Some(end) if end < start => {
            attributes.set(
                wire::END_BEFORE_START,
                start.as_nanos().saturating_sub(end.as_nanos()),
            );
            Some(start)
        }
        end => end,
    };
    let origin = SpanOrigin {
        trace_id: frame.trace_id,
        span_id: frame.span_id,
        start,
        scope,
    };
    let (events, lost_events) = span_events::of_span(span.events, &origin, source.logs_events);
    let (links, lost_links) = links(span.links);
    let dropped_events = span.dropped_events_count.saturating_add(lost_events);
    let dropped_links = span.dropped_links_count.saturating_add(lost_links);
    set_dropped(
        &mut attributes,
        wire::DROPPED_ATTRIBUTES,
        span.dropped_attributes_count,
    );
    set_dropped(&mut attributes, wire::DROPPED_EVENTS, dropped_events);
    set_dropped(&mut attributes, wire::DROPPED_LINKS, dropped_links);
    let kind = kind(span.kind);
    if kind.is_none() {
        attributes.set(wire::KIND, i64::from(span.kind));
    }
    let names = events.iter().map(|new| new.event.name.as_str());
    let implies_failure = received::implies_failure(&attributes, names);
    let status_message = span.status.as_ref().map(|status| status.message.clone());
    let span = Span::new(frame.trace_id, frame.span_id, span.name, start)
        .parent_span_id(frame.parent)
        .end_time(end)
        .attributes(attributes)
        .status(received::span_status(
            sent_status(span.status.as_ref()),
            end.is_some(),
            implies_failure,
        ))
        .status_message(status_message.filter(|message| !message.is_empty()))
        .kind(kind.unwrap_or(SpanKind::Internal))
        .state(state_of(end))
        .target((!scope.is_empty()).then(|| scope.to_owned()))
        .level(level)
        .category(category)
        .links(links)
        .trace_state((!span.trace_state.is_empty()).then_some(span.trace_state));
    NewSpan::new(span).events(events)
}

/// Returns the state with which a received span with this end is stored.
pub(super) fn state_of(end: Option<Timestamp>) -> SpanState {
    match end {
        Some(_) => SpanState::Ended,
        None => SpanState::Running,
    }
}

/// Returns `None` for a kind of a later version of the protocol.
fn kind(number: i32) -> Option<SpanKind> {
    Some(match span::SpanKind::try_from(number).ok()? {
        span::SpanKind::Unspecified | span::SpanKind::Internal => SpanKind::Internal,
        span::SpanKind::Server => SpanKind::Server,
        span::SpanKind::Client => SpanKind::Client,
        span::SpanKind::Producer => SpanKind::Producer,
        span::SpanKind::Consumer => SpanKind::Consumer,
    })
}

/// Returns the status that a span was sent with; `None` if it is unset.
fn sent_status(status: Option<&Status>) -> Option<SpanStatus> {
    match status.map_or(StatusCode::Unset as i32, |status| status.code) {
        code if code == StatusCode::Error as i32 => Some(SpanStatus::Error),
        code if code == StatusCode::Ok as i32 => Some(SpanStatus::Ok),
        _ => None,
    }
}

/// Returns the links, and the number of invalid ones. A span is worth more than its links, so it is
/// kept.
fn links(sent: Vec<span::Link>) -> (Vec<Link>, u32) {
    let count = sent.len();
    let links: Vec<Link> = sent
        .into_iter()
        .filter_map(|link| {
            let (trace_id, span_id) = ids::both_ids(&link.trace_id, &link.span_id).ok()?;
            let mut attributes = attributes(link.attributes);
            set_dropped(
                &mut attributes,
                wire::DROPPED_ATTRIBUTES,
                link.dropped_attributes_count,
            );
            Some(Link::new(trace_id, span_id).attributes(attributes))
        })
        .collect();
    let lost = u32::try_from(count - links.len()).unwrap_or(u32::MAX);
    (links, lost)
}
