//! What a filter is asked of: spans and log events.

use std::borrow::Cow;

use super::{FilterField, TraceField};
use crate::{Attributes, LogEvent, Severity, Span, Timestamp, TraceSummary, Value};

/// Something that a filter may match.
pub trait FilterSubject {
    /// The own field; none where it is not there.
    fn field(&self, field: FilterField) -> Option<FieldValue<'_>>;
    /// The attribute with this key, literally.
    fn attribute(&self, key: &str) -> Option<&Value>;
    /// The attribute with this key of the resource, which describes the program that made the record;
    /// none where it is not known.
    fn resource_attribute(&self, _key: &str) -> Option<&Value> {
        None
    }
    /// The number of the whole trace; none where it is not known.
    fn trace(&self, field: TraceField) -> Option<f64>;
    /// Whether the test holds for one of the texts that a word looks into.
    fn any_text(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// The value of an own field.
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

/// What is known of a whole trace. What is not known matches no comparison.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TraceNumbers {
    /// Milliseconds from the first start to the last end; none while a span runs.
    pub duration_ms: Option<f64>,
    /// The number of spans.
    pub spans: Option<u64>,
    /// The number of failed spans.
    pub errors: Option<u64>,
    /// Tokens of input and output.
    pub tokens: Option<u64>,
    /// The cost, in the currency of the table of prices.
    pub cost: Option<f64>,
}

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

/// A span with what is around it.
#[derive(Debug, Clone, Copy)]
pub struct SpanSubject<'a> {
    span: &'a Span,
    events: &'a [LogEvent],
    resource: Option<&'a Attributes>,
    trace: TraceNumbers,
}

impl<'a> SpanSubject<'a> {
    /// A span without events, of whose trace nothing is known.
    #[must_use]
    pub fn new(span: &'a Span) -> Self {
        Self {
            span,
            events: &[],
            resource: span.resource.as_ref(),
            trace: TraceNumbers::default(),
        }
    }

    /// With the resource of the span's program, where the span does not hold it itself.
    #[must_use]
    pub const fn resource(mut self, resource: &'a Attributes) -> Self {
        self.resource = Some(resource);
        self
    }

    /// With the events of the span, whose messages a word looks into.
    #[must_use]
    pub const fn events(mut self, events: &'a [LogEvent]) -> Self {
        self.events = events;
        self
    }

    /// With the numbers of the span's trace.
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
    /// The event and the resource.
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
