//! What the calling threads leave for the sink's thread.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::Event;
use spanscope_layers::capture::SpanIds;
use spanscope_layers::queue::Queue;

use crate::account::Account;
use crate::guard::OtlpStats;
use crate::settings::Signal;

/// Events that were added through OpenTelemetry's own API and wait; more are let go.
const MAX_LATE: usize = 10_000;

/// The queues of a bridge.
///
/// Spans and events have one each, because they have accounts of their own, and because the thread takes spans first and
/// events after them: an event that happened before its span's end is then always there when the span is made whole.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) spans: Queue,
    pub(crate) events: Queue,
    /// Events that go out as log records, where others go with spans; else `events` is for both.
    pub(crate) own_logs: Option<Queue>,
    /// Only where metrics are sent.
    pub(crate) measurements: Option<Queue>,
    /// A tail rule has to know of spans that are open.
    pub(crate) watches_open: bool,
    pub(crate) takes_spans: bool,
    pub(crate) takes_events: bool,
    pub(crate) sends_logs: bool,
    late: Mutex<Vec<(SpanIds, Event)>>,
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

    /// Leaves events that are no `tracing` events. To be called before their span's end is pushed.
    pub(crate) fn add_late(&self, ids: SpanIds, events: Vec<Event>) {
        if !events.is_empty() && self.takes_spans {
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_LATE.saturating_sub(late.len());
            late.extend(events.into_iter().take(room).map(|event| (ids, event)));
        }
    }

    pub(crate) fn take_late(&self) -> Vec<(SpanIds, Event)> {
        std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The queue that the thread waits at; the others are emptied with it.
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
            // What is offered are points; a measurement that was lost before it was added up counts as one.
            let counts = queue.counts();
            metrics.lost.queue_full += counts.dropped_full;
            metrics.lost.shutdown += counts.dropped_closed;
            metrics.offered += counts.dropped_full + counts.dropped_closed;
        }
        OtlpStats { spans, logs, metrics }
    }
}
