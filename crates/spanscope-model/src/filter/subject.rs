//! The records that a filter can match: spans and log events.

use std::borrow::Cow;

use super::{FilterField, TraceField};
use crate::{Attributes, LogEvent, Severity, Span, Timestamp, TraceSummary, Value, setters};

/// A record that a filter can match.
pub trait FilterSubject {
    /// Returns a built-in field; `None` if it is missing.
    fn field(&self, field: FilterField) -> Option<FieldValue<'_>>;
    /// Returns the attribute with this literal key.
    fn attribute(&self, key: &str) -> Option<&Value>;
    /// Returns a resource attribute, which describes the program that made the record; `None` if it
    /// is unknown.
    fn resource_attribute(&self, _key: &str) -> Option<&Value> {
        None
    }
    /// Returns a number of the whole trace; `None` if it is unknown.
    fn trace(&self, field: TraceField) -> Option<f64>;
    /// Returns whether the test succeeds for one of the texts that a bare word searches.
    fn any_text(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// The value of a built-in field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A duration in milliseconds.
    Millis(f64),
    /// A point in time.
    Time(Timestamp),
    /// A level.
    Level(Severity),
}

/// Numbers of a whole trace. An unknown number matches no comparison.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct TraceNumbers {
    /// Milliseconds from the first start to the last end; `None` while a span runs.
    pub duration_ms: Option<f64>,
    /// The number of spans.
    pub spans: Option<u64>,
    /// The number of failed spans.
    pub errors: Option<u64>,
    /// Input and output tokens.
    pub tokens: Option<u64>,
    /// The cost, in the currency of the price table.
    pub cost: Option<f64>,
}

setters!(TraceNumbers {
    duration_ms: into [Option<f64>],
    spans: [Option<u64>],
    errors: [Option<u64>],
    tokens: [Option<u64>],
    cost: into [Option<f64>],
});

impl From<&TraceSummary> for TraceNumbers {
    fn from(trace: &TraceSummary) -> Self {
        Self {
            duration_ms: trace.duration_ms,
            spans: Some(trace.span_count),
            errors: Some(trace.error_count),
            tokens: None,
            cost: None,
        }
    }
}

/// A span with its context: resource, events and trace.
#[derive(Debug, Clone, Copy)]
pub struct SpanSubject<'a> {
    span: &'a Span,
    events: &'a [LogEvent],
    resource: Option<&'a Attributes>,
    trace: TraceNumbers,
}

impl<'a> SpanSubject<'a> {
    /// Creates a subject for a span without events, with unknown numbers of the trace.
    #[must_use]
    pub fn new(span: &'a Span) -> Self {
        Self {
            span,
            events: &[],
            resource: span.resource.as_ref(),
            trace: TraceNumbers::default(),
        }
    }

    /// Replaces the span's resource by that of its program.
    #[must_use]
    pub const fn resource(mut self, resource: &'a Attributes) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Adds the span's events, whose messages a bare word searches.
    #[must_use]
    pub const fn events(mut self, events: &'a [LogEvent]) -> Self {
        self.events = events;
        self
    }

    /// Adds the numbers of the span's trace.
    #[must_use]
    pub const fn trace(mut self, trace: TraceNumbers) -> Self {
        self.trace = trace;
        self
    }
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> FieldValue<'a> {
    FieldValue::Text(text.into())
}

impl FilterSubject for SpanSubject<'_> {
    fn field(&self, field: FilterField) -> Option<FieldValue<'_>> {
        let span = self.span;
        Some(match field {
            FilterField::Name => text(&span.name),
            FilterField::Status => text(span.status?.as_str()),
            FilterField::Kind => text(span.kind.as_str()),
            FilterField::Duration => FieldValue::Millis(span.duration_ms()?),
            FilterField::Start => FieldValue::Time(span.start_time),
            FilterField::End => FieldValue::Time(span.end_time?),
            FilterField::Service => text(&span.service_name),
            FilterField::Category => text(span.category.as_deref()?),
            FilterField::Trace => text(span.trace_id.to_string()),
            FilterField::Span => text(span.span_id.to_string()),
            FilterField::Parent => text(span.parent_span_id?.to_string()),
            FilterField::Level => FieldValue::Level(span.level?),
        })
    }

    fn attribute(&self, key: &str) -> Option<&Value> {
        self.span.attributes.get(key)
    }

    fn resource_attribute(&self, key: &str) -> Option<&Value> {
        self.resource?.get(key)
    }

    #[expect(clippy::cast_precision_loss, reason = "no trace has 2^53 spans or tokens")]
    fn trace(&self, field: TraceField) -> Option<f64> {
        let count = |count: Option<u64>| count.map(|count| count as f64);
        match field {
            TraceField::Duration => self.trace.duration_ms,
            TraceField::Spans => count(self.trace.spans),
            TraceField::Errors => count(self.trace.errors),
            TraceField::Tokens => count(self.trace.tokens),
            TraceField::Cost => self.trace.cost,
        }
    }

    fn any_text(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.span.name)
            || self.span.status_message.as_deref().is_some_and(&mut *test)
            || self.events.iter().any(|event| test(&event.message))
            || any_text_of(&self.span.attributes, test)
    }
}

/// An event with the resource of its program.
#[derive(Debug, Clone, Copy)]
pub struct EventSubject<'a> {
    event: &'a LogEvent,
    resource: &'a Attributes,
}

impl<'a> EventSubject<'a> {
    /// Creates a subject for the event and the resource.
    #[must_use]
    pub const fn new(event: &'a LogEvent, resource: &'a Attributes) -> Self {
        Self { event, resource }
    }
}

impl FilterSubject for EventSubject<'_> {
    fn field(&self, field: FilterField) -> Option<FieldValue<'_>> {
        self.event.field(field)
    }

    fn attribute(&self, key: &str) -> Option<&Value> {
        self.event.attribute(key)
    }

    fn resource_attribute(&self, key: &str) -> Option<&Value> {
        self.resource.get(key)
    }

    fn trace(&self, field: TraceField) -> Option<f64> {
        self.event.trace(field)
    }

    fn any_text(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.event.any_text(test)
    }
}

/// An event has a name, a level, a time, a service, a category, a trace and a span.
impl FilterSubject for LogEvent {
    fn field(&self, field: FilterField) -> Option<FieldValue<'_>> {
        Some(match field {
            FilterField::Name => text(&self.name),
            FilterField::Start => FieldValue::Time(self.timestamp),
            FilterField::Service => text(&self.service_name),
            FilterField::Category => text(&self.category),
            FilterField::Trace => text(self.trace_id?.to_string()),
            FilterField::Span => text(self.span_id?.to_string()),
            FilterField::Level => FieldValue::Level(self.severity),
            FilterField::Status
            | FilterField::Kind
            | FilterField::Duration
            | FilterField::End
            | FilterField::Parent => return None,
        })
    }

    fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.get(key)
    }

    fn trace(&self, _field: TraceField) -> Option<f64> {
        None
    }

    fn any_text(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name) || test(&self.message) || any_text_of(&self.attributes, test)
    }
}

fn any_text_of(attributes: &Attributes, test: &mut dyn FnMut(&str) -> bool) -> bool {
    attributes
        .iter()
        .any(|(_, value)| value.as_str().is_some_and(&mut *test))
}
