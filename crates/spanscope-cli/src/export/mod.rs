//! Stored traces in the forms that other programs read. Each form turns one trace at a time into text, so that the
//! memory of an export does not grow with the store.

mod chrome;
mod jsonl;
mod otlp_json;

use std::collections::HashMap;

use anyhow::Result;
use spanscope_model::{LogEvent, Span, SpanId};

use crate::args::ExportTo;

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
    fn events_by_span(&self) -> HashMap<SpanId, Vec<&LogEvent>> {
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

/// The form of this name.
pub(crate) fn form(to: ExportTo) -> Box<dyn Form> {
    match to {
        ExportTo::Jsonl => Box::new(jsonl::Jsonl),
        ExportTo::OtlpJson => Box::new(otlp_json::OtlpJson),
        ExportTo::Chrome => Box::new(chrome::Chrome::default()),
    }
}
