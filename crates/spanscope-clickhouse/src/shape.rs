//! The spans of a trace without their attributes, and a search in them.

use std::collections::HashMap;

use spanscope_model::filter::{Filter, TraceNumbers};
use spanscope_model::{FoundSpans, ShapeEvent, ShapeSpan, SpanState, StoreError, TraceId, TraceShape};
use spanscope_runs::StepKind;

use crate::filter::Candidates;
use crate::logs::LogQuery;
use crate::reader::Reader;
use crate::spans::{Detail, StoredSpan};
use crate::traces::span_matches;
use crate::usage;

impl Reader {
    /// Returns the shape of one trace. Its numbers of spans are their places by start.
    pub(crate) fn trace_shape(&self, trace_id: TraceId, max_events: u64) -> Result<TraceShape, StoreError> {
        let detail = Detail {
            events: true,
            resource: false,
        };
        let stored = self.spans_of_trace(trace_id, detail)?;
        let query = LogQuery {
            trace_id: Some(trace_id),
            is_ascending: true,
            ..LogQuery::default()
        };
        let logs = self.log_records(&query)?;
        let mut events: Vec<ShapeEvent> = Vec::new();
        let logs = logs.iter().map(|(event, _)| event);
        for event in stored.iter().flat_map(|span| &span.events).chain(logs) {
            let Some(span_id) = event.span_id else { continue };
            events.push(ShapeEvent {
                span_id,
                time: event.timestamp,
                severity: event.severity,
            });
        }
        events.sort_by_key(|event| (event.time, event.span_id));
        let limit = usize::try_from(max_events).unwrap_or(usize::MAX);
        let more_events = events.len().saturating_sub(limit) as u64;
        events.truncate(limit);
        let mut names = Texts::default();
        let mut services = Texts::default();
        let mut shape = TraceShape::default();
        for (number, stored) in (0..).zip(&stored) {
            let span = &stored.span;
            shape.spans.push(
                ShapeSpan::new(
                    number,
                    span.span_id,
                    span.start_time,
                    StepKind::of(&span.attributes).as_str(),
                )
                .parent_span_id(span.parent_span_id)
                .name(names.number(&span.name))
                .service(services.number(&span.service_name))
                .duration_nanos(
                    span.end_time
                        .map(|end| end.as_nanos() - span.start_time.as_nanos()),
                )
                .status(span.status)
                .state(SpanState::Ended)
                .kind(span.kind),
            );
        }
        let spans: Vec<_> = stored.into_iter().map(StoredSpan::into_listed).collect();
        shape.names = names.all;
        shape.services = services.all;
        shape.usage = usage::by_span(&spans);
        shape.events = events;
        shape.more_events = more_events;
        shape.upto = self.latest()?;
        Ok(shape)
    }

    /// Returns the numbers of the spans that a filter matches, by start.
    pub(crate) fn find_spans(
        &self,
        trace_id: TraceId,
        filter: &Filter,
        limit: u64,
    ) -> Result<FoundSpans, StoreError> {
        let candidates = Candidates::new(&self.tables.traces, &[], filter)?;
        let stored = self.spans_of_trace(trace_id, Detail::FILTER)?;
        let mut of_trace = TraceNumbers::from(&self.summary_of(trace_id)?);
        if candidates.needs_tokens {
            of_trace.tokens = usage::tokens_by_trace(&stored).remove(&trace_id);
        }
        let mut found = FoundSpans::default();
        for (number, span) in (0..).zip(&stored) {
            if span_matches(span, of_trace, &candidates) {
                if found.total < limit {
                    found.numbers.push(number);
                }
                found.total += 1;
            }
        }
        Ok(found)
    }
}

/// Texts, each once, in their first order.
#[derive(Debug, Default)]
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
