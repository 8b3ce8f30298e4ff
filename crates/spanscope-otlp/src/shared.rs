//! Data that the calling threads leave for the sink's thread.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::Event;
use spanscope_core::capture::SpanIds;
use spanscope_core::queue::Queue;
use spanscope_core::sync::lock;

use crate::account::{Account, OtlpStats};
use crate::settings::Signal;

/// Maximum number of waiting spans with events that were added through OpenTelemetry's own API;
/// further events are only counted.
const MAX_LATE: usize = 10_000;

/// Events of one span that were added through OpenTelemetry's own API, and the number of dropped
/// ones.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) ids: SpanIds,
    pub(crate) events: Vec<Event>,
    pub(crate) lost: u32,
}

/// The queues of a bridge.
///
/// Spans and events have separate queues, because their statistics are separate, and because the
/// thread takes spans first and events after them: an event from before its span's end is then
/// always available when the span is converted.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) spans: Queue,
    pub(crate) events: Queue,
    /// The events for log records, if they differ from those of spans; otherwise `events` is for
    /// both.
    pub(crate) own_logs: Option<Queue>,
    /// `None` if metrics are not sent.
    pub(crate) measurements: Option<Queue>,
    /// Whether a tail rule needs to know which spans are open.
    pub(crate) watches_open: bool,
    pub(crate) takes_spans: bool,
    pub(crate) takes_events: bool,
    pub(crate) sends_logs: bool,
    late: Mutex<Vec<Late>>,
}

impl Queues {
    pub(crate) fn new(
        spans: Queue,
        events: Queue,
        own_logs: Option<Queue>,
        measurements: Option<Queue>,
        takes_spans: bool,
        sends_logs: bool,
        watches_open: bool,
    ) -> Self {
        Self {
            spans,
            events,
            own_logs,
            measurements,
            watches_open,
            takes_spans,
            takes_events: takes_spans || sends_logs,
            sends_logs,
            late: Mutex::default(),
        }
    }

    /// Adds events that are not `tracing` events. Call it before their span's end is pushed.
    pub(crate) fn add_late(&self, ids: SpanIds, mut events: Vec<Event>, mut lost: u32) {
        if (events.is_empty() && lost == 0) || !self.takes_spans {
            return;
        }
        let mut late = lock(&self.late);
        if late.len() >= MAX_LATE {
            lost = lost.saturating_add(u32::try_from(events.len()).unwrap_or(u32::MAX));
            events = Vec::new();
        }
        if late.len() < 2 * MAX_LATE {
            late.push(Late { ids, events, lost });
        }
    }

    pub(crate) fn take_late(&self) -> Vec<Late> {
        std::mem::take(&mut *lock(&self.late))
    }

    /// Returns the queue that the thread waits for; the others are drained with it.
    pub(crate) fn main(&self) -> &Queue {
        if self.takes_spans {
            &self.spans
        } else {
            &self.events
        }
    }

    pub(crate) fn stats(&self, accounts: &[Arc<Account>; 3]) -> OtlpStats {
        let of =
            |signal: Signal, queue: Option<&Queue>| accounts[signal.index()].stats(queue.map(Queue::counts));
        let spans = of(Signal::Traces, self.takes_spans.then_some(&self.spans));
        let logs = of(
            Signal::Logs,
            self.sends_logs
                .then_some(self.own_logs.as_ref().unwrap_or(&self.events)),
        );
        let mut metrics = of(Signal::Metrics, None);
        if let Some(queue) = &self.measurements {
            // Points are offered; a measurement that was lost before aggregation counts as one.
            let counts = queue.counts();
            metrics.lost.queue_full += counts.dropped_full;
            metrics.lost.shutdown += counts.dropped_closed;
            metrics.offered += counts.dropped_full + counts.dropped_closed;
        }
        OtlpStats { spans, logs, metrics }
    }
}
