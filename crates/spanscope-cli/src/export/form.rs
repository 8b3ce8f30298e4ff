//! What a form of export is given, and what it has to write. No form knows another.

use std::collections::HashMap;

use anyhow::Result;
use spanscope_model::{LogEvent, Span, SpanId};

/// One trace as it is stored.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Its spans, by start.
    pub(crate) spans: Vec<Span>,
    /// Its events, by time.
    pub(crate) events: Vec<LogEvent>,
}

impl Recorded {
    /// The events by the span they happened in.
    pub(super) fn events_by_span(&self) -> HashMap<SpanId, Vec<&LogEvent>> {
        let mut by_span: HashMap<SpanId, Vec<&LogEvent>> = HashMap::new();
        for event in &self.events {
            if let Some(span) = event.span_id {
                by_span.entry(span).or_default().push(event);
            }
        }
        by_span
    }
}

/// A form of export.
pub(crate) trait Form {
    /// What stands before the first trace.
    fn head(&self) -> &'static str {
        ""
    }

    /// A trace.
    fn trace(&mut self, trace: &Recorded) -> Result<String>;

    /// What stands after the last trace.
    fn foot(&self) -> &'static str {
        ""
    }
}
