//! Spans and log records.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::common::{any_value, attributes, dropped, or_left_out};
use super::invalid_value::InvalidValue;
use super::node::Node;
use super::object::{Object, whole};
use crate::otlp::ids::UNREADABLE;
use crate::otlp::tally::RequestTally;

/// Reads a span. It needs valid ids, a start and an end; other unreadable parts are left out.
pub(super) fn span(span: Node<'_>, tally: &mut RequestTally) -> Result<Span, InvalidValue> {
    let mut span = Object::of(span)?;
    let trace_id = span.id("traceId", tally)?;
    let span_id = span.id("spanId", tally)?;
    let parent_span_id = span
        .id("parentSpanId", tally)
        .unwrap_or_else(|_| UNREADABLE.to_vec());
    let start_time_unix_nano = span.time("startTimeUnixNano", tally)?;
    let end_time_unix_nano = span.time("endTimeUnixNano", tally)?;
    let (attributes, lost_attributes) = attributes(&mut span, "attributes", tally);
    let (events, lost_events) = readable(&mut span, "events", tally, event);
    let (links, lost_links) = readable(&mut span, "links", tally, link);
    let kind = span.one_of("kind", "SPAN_KIND_", |name| {
        Some(SpanKind::from_str_name(name)? as i32)
    });
    let status = match span.take("status") {
        None => None,
        // Some writers send the code alone.
        Some(code @ (Node::Text(_) | Node::Number(_))) => {
            let status = Object::of(Node::Object(vec![("code".into(), code)]))?;
            Some(self::status(status, tally))
        }
        Some(of) => {
            let status = Object::of(of).map(|of| Some(self::status(of, tally)));
            or_left_out(status.map_err(|wrong| wrong.within("status")), tally)
        }
    };
    Ok(Span {
        trace_id,
        span_id,
        trace_state: or_left_out(span.text("traceState"), tally),
        parent_span_id,
        flags: or_left_out(span.whole("flags"), tally),
        name: or_left_out(span.text("name"), tally),
        kind: or_left_out(kind, tally),
        start_time_unix_nano,
        end_time_unix_nano,
        attributes,
        dropped_attributes_count: dropped(&mut span, "droppedAttributesCount", lost_attributes, tally),
        events,
        dropped_events_count: dropped(&mut span, "droppedEventsCount", lost_events, tally),
        links,
        dropped_links_count: dropped(&mut span, "droppedLinksCount", lost_links, tally),
        status,
    })
}

/// Returns the readable items of a list, and the number of the others.
fn readable<T>(
    span: &mut Object<'_>,
    field: &str,
    tally: &mut RequestTally,
    read: fn(Node<'_>, &mut RequestTally) -> Result<T, InvalidValue>,
) -> (Vec<T>, u32) {
    let mut index = 0;
    let mut lost = 0;
    let items = span.list(field, |item| {
        let read = read(item, tally).map_err(|wrong| {
            lost += 1;
            tally.leave_out_part(|| wrong.at(index).within(field).to_string());
        });
        index += 1;
        Ok(read.ok())
    });
    let items = or_left_out(items, tally);
    (items.into_iter().flatten().collect(), lost)
}

fn event(event: Node<'_>, tally: &mut RequestTally) -> Result<Event, InvalidValue> {
    let mut event = Object::of(event)?;
    let time_unix_nano = event.time("timeUnixNano", tally)?;
    let (attributes, lost) = attributes(&mut event, "attributes", tally);
    Ok(Event {
        time_unix_nano,
        name: or_left_out(event.text("name"), tally),
        attributes,
        dropped_attributes_count: dropped(&mut event, "droppedAttributesCount", lost, tally),
    })
}

fn link(link: Node<'_>, tally: &mut RequestTally) -> Result<Link, InvalidValue> {
    let mut link = Object::of(link)?;
    let (attributes, lost) = attributes(&mut link, "attributes", tally);
    Ok(Link {
        // Invalid ids of a link do not reject the span, as in protobuf. Without ids the link is
        // dropped and counted later.
        trace_id: link.id("traceId", tally).unwrap_or_default(),
        span_id: link.id("spanId", tally).unwrap_or_default(),
        trace_state: or_left_out(link.text("traceState"), tally),
        attributes,
        dropped_attributes_count: dropped(&mut link, "droppedAttributesCount", lost, tally),
        flags: or_left_out(link.whole("flags"), tally),
    })
}

fn status(mut status: Object<'_>, tally: &mut RequestTally) -> Status {
    let code = status.one_of("code", "STATUS_CODE_", |name| {
        Some(StatusCode::from_str_name(name)? as i32)
    });
    Status {
        message: or_left_out(status.text("message"), tally),
        code: or_left_out(code, tally),
    }
}

/// Reads a log record. The message is worth more than its context, so unreadable ids do not reject
/// it; an unreadable time does.
pub(super) fn log(record: Node<'_>, tally: &mut RequestTally) -> Result<LogRecord, InvalidValue> {
    let mut record = Object::of(record)?;
    let time_unix_nano = record.time("timeUnixNano", tally)?;
    let observed_time_unix_nano = record.time("observedTimeUnixNano", tally)?;
    let (attributes, lost) = attributes(&mut record, "attributes", tally);
    let mut severity_text = or_left_out(record.text("severityText"), tally);
    let severity_number = match record.take("severityNumber") {
        None => 0,
        Some(number) => severity_number(&number, &mut severity_text, tally),
    };
    let body = record.take("body").map(|body| {
        any_value(body, &mut |wrong| {
            tally.keep_as_it_is(|| wrong.within("body").to_string());
        })
    });
    Ok(LogRecord {
        time_unix_nano,
        observed_time_unix_nano,
        severity_number,
        severity_text,
        body,
        attributes,
        dropped_attributes_count: dropped(&mut record, "droppedAttributesCount", lost, tally),
        flags: or_left_out(record.whole("flags"), tally),
        trace_id: record
            .id("traceId", tally)
            .unwrap_or_else(|_| UNREADABLE.to_vec()),
        span_id: record.id("spanId", tally).unwrap_or_else(|_| UNREADABLE.to_vec()),
        event_name: or_left_out(record.text("eventName"), tally),
    })
}

/// Returns the number of a severity, or of its name. Another word becomes the severity's text, if
/// there is none.
fn severity_number(number: &Node<'_>, text: &mut String, tally: &mut RequestTally) -> i32 {
    let named = number.as_text().and_then(SeverityNumber::from_str_name);
    match (named, whole(number), number.as_text()) {
        (Some(named), ..) => named as i32,
        (None, Ok(number), _) => number,
        (None, Err(_), Some(word)) if text.is_empty() => {
            word.clone_into(text);
            0
        }
        (None, Err(wrong), _) => or_left_out(Err(wrong.within("severityNumber")), tally),
    }
}
