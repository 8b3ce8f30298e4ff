//! The tail rule of the bridge: spans wait until their trace is decided.
//!
//! They count as queued meanwhile, so that the limit on queued records includes them; log records
//! are always exported.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry_sdk::trace::SpanData;
use spanscope_core::capture::{Capture, Ticks};
use spanscope_core::queue::Chunk;
use spanscope_core::sync::lock;
use spanscope_core::tail::{DecisionScope, TailDecider, TailRule, TailStats, Verdict};
use spanscope_model::TraceId;

/// The decision about a span.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is matched right where it is created, and a box would cost an allocation per span"
)]
pub(crate) enum SampleDecision {
    Export(SpanData),
    Wait,
    Drop,
}

/// Spans of traces that are not decided yet.
#[derive(Debug)]
pub(crate) struct Tail {
    decider: TailDecider,
    held: HashMap<TraceId, Vec<SpanData>>,
    stats: Arc<Mutex<TailStats>>,
}

impl Tail {
    pub(crate) fn new(rule: TailRule, stats: Arc<Mutex<TailStats>>) -> Self {
        Self {
            decider: TailDecider::new(rule),
            held: HashMap::new(),
            stats,
        }
    }

    pub(crate) fn report(&mut self, chunks: &[Chunk], capture: &Capture) {
        self.decider.report_drained(chunks, capture);
    }

    pub(crate) fn take(&mut self, trace_id: TraceId, span: SpanData) -> SampleDecision {
        match self.decider.verdict(trace_id) {
            Some(Verdict::Undecided) => {
                self.held.entry(trace_id).or_default().push(span);
                SampleDecision::Wait
            }
            Some(Verdict::Drop) => SampleDecision::Drop,
            Some(Verdict::Keep) | None => SampleDecision::Export(span),
        }
    }

    /// Decides traces, given all records before `now`. Passes on the exported spans, and returns
    /// how many are dropped.
    pub(crate) fn decide(
        &mut self,
        now: Ticks,
        capture: &Capture,
        scope: DecisionScope,
        mut export: impl FnMut(SpanData),
    ) -> u64 {
        let now = capture.clock().moment(now);
        let decisions = self.decider.decide(scope, now);
        let mut dropped = 0;
        for decision in decisions {
            let spans = self.held.remove(&decision.trace_id).unwrap_or_default();
            if decision.verdict == Verdict::Drop {
                dropped += spans.len() as u64;
            } else {
                spans.into_iter().for_each(&mut export);
            }
        }
        *lock(&self.stats) = self.decider.stats();
        dropped
    }
}
