//! A line a span: the span's own JSON with its `events`. Events whose span is not stored get lines of their own.

use std::collections::HashSet;

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{LogEvent, SpanId};

use super::form::{Form, Recorded};
use crate::output::json_line;
use crate::render::json::SpanJson;

/// The form.
pub(super) struct Jsonl;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    span: SpanJson<'a>,
    events: Vec<&'a LogEvent>,
}

impl Form for Jsonl {
    fn trace(&mut self, trace: &Recorded) -> Result<String> {
        let mut events = trace.events_by_span();
        let mut text = String::new();
        for span in &trace.spans {
            let events = events.remove(&span.span_id).unwrap_or_default();
            text.push_str(&json_line(&Line {
                span: SpanJson::of(span),
                events,
            })?);
        }
        let stored: HashSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
        for event in &trace.events {
            if !event.span_id.is_some_and(|span| stored.contains(&span)) {
                text.push_str(&json_line(event)?);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use spanscope_model::Span;

    use super::*;
    use crate::render::fixtures::span;

    #[test]
    fn a_line_is_the_span_with_its_events() {
        let trace = Recorded {
            spans: vec![span(1, 0, "a\nb", 0, 5)],
            events: Vec::new(),
        };
        let text = Jsonl.trace(&trace).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["name"], "a\nb");
        assert_eq!(line["events"], serde_json::json!([]));
        let back: Span = serde_json::from_value(line).unwrap();
        assert_eq!(back, trace.spans[0]);
    }
}
