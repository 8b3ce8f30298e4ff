//! Spans and log records.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::common::{any_value, attributes};
use super::node::Node;
use super::object::Object;
use super::wrong::Wrong;
use crate::otlp::ids::UNREADABLE;

pub(super) fn span(span: Node<'_>) -> Result<Span, Wrong> {
    let mut span = Object::of(span)?;
    Ok(Span {
        trace_id: span.id("traceId")?,
        span_id: span.id("spanId")?,
        trace_state: span.text("traceState")?,
        parent_span_id: span.id("parentSpanId")?,
        flags: span.whole("flags")?,
        name: span.text("name")?,
        kind: span.one_of("kind", |name| Some(SpanKind::from_str_name(name)? as i32))?,
        start_time_unix_nano: span.whole("startTimeUnixNano")?,
        end_time_unix_nano: span.whole("endTimeUnixNano")?,
        attributes: attributes(&mut span, "attributes")?,
        dropped_attributes_count: span.whole("droppedAttributesCount")?,
        events: span.list("events", event)?,
        dropped_events_count: span.whole("droppedEventsCount")?,
        links: span.list("links", link)?,
        dropped_links_count: span.whole("droppedLinksCount")?,
        status: span.message("status", status)?,
    })
}

fn event(event: Node<'_>) -> Result<Event, Wrong> {
    let mut event = Object::of(event)?;
    Ok(Event {
        time_unix_nano: event.whole("timeUnixNano")?,
        name: event.text("name")?,
        attributes: attributes(&mut event, "attributes")?,
        dropped_attributes_count: event.whole("droppedAttributesCount")?,
    })
}

fn link(link: Node<'_>) -> Result<Link, Wrong> {
    let mut link = Object::of(link)?;
    Ok(Link {
        // A link with bad ids costs no span, as in protobuf: without ids it is dropped and counted later.
        trace_id: link.id("traceId").unwrap_or_default(),
        span_id: link.id("spanId").unwrap_or_default(),
        trace_state: link.text("traceState")?,
        attributes: attributes(&mut link, "attributes")?,
        dropped_attributes_count: link.whole("droppedAttributesCount")?,
        flags: link.whole("flags")?,
    })
}

fn status(mut status: Object<'_>) -> Result<Status, Wrong> {
    Ok(Status {
        message: status.text("message")?,
        code: status.one_of("code", |name| Some(StatusCode::from_str_name(name)? as i32))?,
    })
}

/// A log record. A line is worth more than where it belongs, so ids that can't be read cost it nothing.
pub(super) fn log(record: Node<'_>) -> Result<LogRecord, Wrong> {
    let mut record = Object::of(record)?;
    Ok(LogRecord {
        time_unix_nano: record.whole("timeUnixNano")?,
        observed_time_unix_nano: record.whole("observedTimeUnixNano")?,
        severity_number: record.one_of("severityNumber", |name| {
            Some(SeverityNumber::from_str_name(name)? as i32)
        })?,
        severity_text: record.text("severityText")?,
        body: record.message("body", any_value)?,
        attributes: attributes(&mut record, "attributes")?,
        dropped_attributes_count: record.whole("droppedAttributesCount")?,
        flags: record.whole("flags")?,
        trace_id: record.id("traceId").unwrap_or_else(|_| UNREADABLE.to_vec()),
        span_id: record.id("spanId").unwrap_or_else(|_| UNREADABLE.to_vec()),
        event_name: record.text("eventName")?,
    })
}
