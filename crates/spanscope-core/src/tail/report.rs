//! Reports the records that a sink's thread has drained to a decider.

use tracing_core::Level;

use super::{EndedSpan, TailDecider};
use crate::capture::{Capture, Clock, SpanIds};
use crate::queue::{Chunk, QueuedRecord};

impl TailDecider {
    /// Reports all drained records: open spans, ended spans, events. Read the clock before draining
    /// and settle by that time: for a trace whose root had ended by then, nothing is missing here.
    pub fn report_drained(&mut self, chunks: &[Chunk], capture: &Capture) {
        let clock = capture.clock();
        capture.visit_spans(chunks.iter().flat_map(Chunk::opened), |_, record| {
            if let Some(record) = record {
                self.opened(record.ids(), record.is_local_root(), clock.moment(record.start()));
            }
        });
        for chunk in chunks {
            for entry in chunk.entries() {
                self.report_entry(clock, chunk, entry);
            }
        }
    }

    fn report_entry(&mut self, clock: &Clock, chunk: &Chunk, entry: &QueuedRecord) {
        match entry {
            QueuedRecord::Span(span) => {
                self.ended(&EndedSpan {
                    ids: span.ids,
                    is_local_root: span.is_local_root,
                    failed: chunk.span_failed(span),
                    start: clock.moment(span.start),
                    end: clock.moment(span.end),
                    closed: clock.moment(span.closed),
                });
            }
            QueuedRecord::Event(event) => {
                if let Some(SpanIds { trace_id, .. }) = event.ids {
                    let is_error = *event.metadata.level() == Level::ERROR;
                    self.event(trace_id, is_error, clock.moment(event.time));
                }
            }
            // Measurements are kept even if their trace is dropped, and don't influence the
            // decision.
            QueuedRecord::Measurement(_) | QueuedRecord::Start(_) => {}
        }
    }
}
