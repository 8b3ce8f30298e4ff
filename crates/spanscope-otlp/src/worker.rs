//! The thread that assembles spans, log records and their events and passes them to OpenTelemetry's
//! batch processors.
//!
//! It never waits for the network: the processors have their own threads, and if the queue of one
//! is full, the record is dropped and counted. A flush waits for them on a separate thread, so that
//! draining continues.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::logs::LogProcessor as _;
use opentelemetry_sdk::trace::SpanProcessor as _;
use spanscope_core::capture::{
    CallsiteCache, CallsiteInfo, Capture, Clock, Decoder, MaskedTexts, Ticks, WallClock,
};
use spanscope_core::queue::{Chunk, EventEntry, QueuedRecord, SpanEntry, WorkerHandle};
use spanscope_core::tail::DecisionScope;
use spanscope_core::threads;
use spanscope_model::wire::{COUNTS_TOKENS, LOGS_EVENTS};

use crate::account::Account;
use crate::convert::{EndedSpan, LogConverter, late_event, span_data, span_event};
use crate::metrics::{Instruments, Reporter};
use crate::open::OpenSpans;
use crate::outlets::Outlets;
use crate::shared::Queues;
use crate::tail::{SampleDecision, Tail};

/// The interval at which the queues are drained.
const DRAIN_EVERY: Duration = Duration::from_millis(200);
/// Maximum number of scopes that are cached by target; a program that generates targets gets new
/// ones.
const MAX_SCOPES: usize = 10_000;

pub(crate) struct Worker {
    pub(crate) queues: Arc<Queues>,
    pub(crate) control: Arc<WorkerHandle>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) callsites: CallsiteCache<CallsiteInfo>,
    pub(crate) decoder: Decoder,
    pub(crate) exceptions_are_logs: bool,
    pub(crate) instruments: Option<Instruments>,
    pub(crate) reporter: Reporter,
    pub(crate) accounts: [Arc<Account>; 3],
    pub(crate) capture: Arc<Capture>,
    pub(crate) tail: Option<Tail>,
    /// The marks of the exported scopes.
    pub(crate) marks: Marks,
}

/// Marks of scopes, by which Spanscope's receivers avoid storing data twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// Whether the counters of tokens are among the exported metrics.
    pub(crate) counts_tokens: bool,
    /// Whether every event of a span is also exported as a log record.
    pub(crate) logs_events: bool,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> std::io::Result<()> {
        threads::spawn("spanscope-otlp", move || {
            let control = Arc::clone(&self.control);
            let queue = self.queues.main().clone();
            let limits = self.outlets.spans.as_ref().map(|outlet| outlet.shape.limits);
            let max_events = limits.unwrap_or_default().span_events;
            let scopes = Scopes {
                known: HashMap::new(),
                marks: self.marks,
            };
            let mut work = Loop {
                worker: self,
                clock: Clock::global().anchored(),
                open: OpenSpans::new(max_events),
                scopes,
                logs: LogConverter::new(),
                is_flushing: Arc::new(AtomicBool::new(false)),
            };
            control.run(&queue, "the OTLP bridge", || work.run());
        })?;
        Ok(())
    }
}

struct Scopes {
    known: HashMap<Box<str>, InstrumentationScope>,
    marks: Marks,
}

impl Scopes {
    /// Returns the scope of a target.
    fn of(&mut self, target: &str) -> InstrumentationScope {
        if let Some(scope) = self.known.get(target) {
            return scope.clone();
        }
        if self.known.len() >= MAX_SCOPES {
            self.known.clear();
        }
        let marks = [
            (COUNTS_TOKENS, self.marks.counts_tokens),
            (LOGS_EVENTS, self.marks.logs_events),
        ];
        let marks = marks.into_iter().filter(|(_, is_set)| *is_set);
        let scope = InstrumentationScope::builder(target.to_owned())
            .with_attributes(marks.map(|(mark, _)| KeyValue::new(mark, true)))
            .build();
        self.known.insert(target.into(), scope.clone());
        scope
    }
}

struct Loop {
    worker: Worker,
    clock: WallClock,
    open: OpenSpans,
    scopes: Scopes,
    logs: LogConverter,
    is_flushing: Arc<AtomicBool>,
}

impl Loop {
    fn run(&mut self) {
        loop {
            self.worker.queues.main().wait(DRAIN_EVERY);
            let wanted = self.worker.control.request();
            let must_flush = !self.worker.control.is_flushed(wanted.flush);
            self.drain(if must_flush {
                DecisionScope::Ended
            } else {
                DecisionScope::Due
            });
            if wanted.stop {
                return self.end(wanted.deadline);
            }
            if must_flush {
                self.flush(wanted.flush);
            }
            self.report_losses();
            if self.worker.reporter.is_due() {
                self.report();
            }
        }
    }

    fn report(&mut self) {
        let stats = self.worker.queues.stats(&self.worker.accounts);
        self.worker.reporter.report([
            ("traces", stats.spans),
            ("metrics", stats.metrics),
            ("logs", stats.logs),
        ]);
    }

    fn drain(&mut self, scope: DecisionScope) {
        let before = Clock::global().now();
        self.clock = Clock::global().anchored();
        let queues = Arc::clone(&self.worker.queues);
        // Spans before events: see `Queues`.
        let (mut spans, mut events) = (Vec::new(), Vec::new());
        queues.spans.drain(&mut spans);
        queues.events.drain(&mut events);
        if let Some(tail) = &mut self.worker.tail {
            tail.report(&spans, &self.worker.capture);
            tail.report(&events, &self.worker.capture);
        }
        let mut logs = Vec::new();
        if let Some(own_logs) = &queues.own_logs {
            own_logs.drain(&mut logs);
        }
        let is_for_both = queues.own_logs.is_none();
        for (chunk, event) in events.iter().flat_map(events_of) {
            self.span_event(chunk, event);
            if is_for_both {
                self.log(chunk, event);
            }
        }
        for (chunk, event) in logs.iter().flat_map(events_of) {
            self.log(chunk, event);
        }
        let outlets = Arc::clone(&self.worker.outlets);
        if let Some(outlet) = &outlets.spans {
            for late in queues.take_late() {
                for event in late.events {
                    self.open.add(late.ids, late_event(event, &outlet.shape));
                }
                self.open.add_lost(late.ids, late.lost);
            }
        }
        for chunk in &spans {
            for entry in chunk.entries() {
                if let QueuedRecord::Span(span) = entry {
                    self.span(chunk, span);
                }
            }
        }
        self.decide(before, scope);
        if let (Some(queue), Some(instruments)) = (&queues.measurements, &mut self.worker.instruments) {
            let mut chunks = Vec::new();
            queue.drain(&mut chunks);
            for chunk in chunks {
                for entry in chunk.entries() {
                    if let QueuedRecord::Measurement(measurement) = entry {
                        let added = instruments.record(chunk.measurement_fields(measurement));
                        if !added && let Some(outlet) = &self.worker.outlets.metrics {
                            outlet.account.add_rejected(1);
                        }
                    }
                }
                queue.recycle(chunk);
            }
        }
        spans.into_iter().for_each(|chunk| queues.spans.recycle(chunk));
        events.into_iter().for_each(|chunk| queues.events.recycle(chunk));
        if let Some(own_logs) = &queues.own_logs {
            logs.into_iter().for_each(|chunk| own_logs.recycle(chunk));
        }
    }

    fn span_event(&mut self, chunk: &Chunk, event: &EventEntry) {
        let outlets = Arc::clone(&self.worker.outlets);
        if let (Some(outlet), Some(ids)) = (&outlets.spans, event.ids) {
            let info = self
                .worker
                .callsites
                .get_or_insert_with(event.metadata, |info| info);
            let fields = chunk.event_fields(event);
            let (made, is_exception) = span_event(
                &mut self.worker.decoder,
                info,
                event,
                fields,
                &self.clock,
                &outlet.shape,
            );
            if !(is_exception && self.worker.exceptions_are_logs && outlets.logs.is_some()) {
                self.open.add(ids, made);
            }
        }
    }

    fn log(&mut self, chunk: &Chunk, event: &EventEntry) {
        let outlets = Arc::clone(&self.worker.outlets);
        let fields = chunk.event_fields(event);
        if let Some(outlet) = &outlets.logs
            && outlet.account.admit(outlet.max_queue_size, fields.bytes_left())
        {
            let info = self
                .worker
                .callsites
                .get_or_insert_with(event.metadata, |info| info);
            let texts = MaskedTexts::new();
            let (mut record, target) = self.logs.record(
                &mut self.worker.decoder,
                info,
                event,
                (fields, &texts),
                &self.clock,
                &outlet.shape,
            );
            outlet.processor.emit(&mut record, &self.scopes.of(target));
        }
    }

    fn span(&mut self, chunk: &Chunk, entry: &SpanEntry) {
        let outlets = Arc::clone(&self.worker.outlets);
        let Some(outlet) = &outlets.spans else { return };
        let (events, lost_events, event_bytes) = self.open.take(entry.ids);
        if !entry.is_sampled {
            return outlet.account.add_sampled(1);
        }
        let fields = chunk.span_fields(entry);
        if !outlet
            .account
            .admit(outlet.max_queue_size, fields.bytes_left() + event_bytes)
        {
            return;
        }
        let info = self
            .worker
            .callsites
            .get_or_insert_with(entry.metadata, |info| info);
        let scope = self.scopes.of(entry.metadata.target());
        let span = EndedSpan {
            info,
            entry,
            fields,
            events,
            lost_events,
        };
        let data = span_data(&mut self.worker.decoder, span, scope, &self.clock, &outlet.shape);
        let decision = match &mut self.worker.tail {
            Some(tail) => tail.take(entry.ids.trace_id, data),
            None => SampleDecision::Export(data),
        };
        match decision {
            SampleDecision::Export(data) => outlet.processor.on_end(data),
            SampleDecision::Wait => {}
            SampleDecision::Drop => outlet.account.leave_out(1),
        }
    }

    /// Decides traces by the tail rule, if there is one.
    fn decide(&mut self, before: Ticks, scope: DecisionScope) {
        if let (Some(tail), Some(outlet)) = (&mut self.worker.tail, &self.worker.outlets.spans) {
            let export = |data| outlet.processor.on_end(data);
            let dropped = tail.decide(before, &self.worker.capture, scope, export);
            outlet.account.leave_out(dropped);
        }
    }

    /// Flushes the batch processors on a separate thread.
    fn flush(&mut self, number: u64) {
        if self.is_flushing.swap(true, Ordering::AcqRel) {
            return; // the running flush has to end first
        }
        let outlets = Arc::clone(&self.worker.outlets);
        let control = Arc::clone(&self.worker.control);
        let is_flushing = Arc::clone(&self.is_flushing);
        let queue = self.worker.queues.main().clone();
        let flush = move || {
            outlets.flush();
            control.flushed(number);
            is_flushing.store(false, Ordering::Release);
            queue.wake();
        };
        if threads::spawn("spanscope-otlp-flush", flush).is_err() {
            self.is_flushing.store(false, Ordering::Release);
        }
    }

    /// Shuts down: closes the queues, and sends the queued records before the deadline.
    fn end(&mut self, deadline: Option<Instant>) {
        let deadline = deadline.unwrap_or_else(Instant::now);
        self.report();
        self.worker.queues.spans.close();
        self.worker.queues.events.close();
        if let Some(own_logs) = &self.worker.queues.own_logs {
            own_logs.close();
        }
        if let Some(measurements) = &self.worker.queues.measurements {
            measurements.close();
        }
        // After all of them, so that earlier records are sent and later ones are counted.
        self.drain(DecisionScope::All);
        let clean = self.worker.outlets.end(deadline);
        let stats = self.worker.queues.stats(&self.worker.accounts);
        self.worker.outlets.report_losses(&stats);
        self.worker.control.ended(clean);
    }

    fn report_losses(&self) {
        let stats = self.worker.queues.stats(&self.worker.accounts);
        if let Some(outlet) = &self.worker.outlets.spans {
            outlet
                .account
                .note_losses(&outlet.endpoint, stats.spans.lost.queue_full);
        }
        if let Some(outlet) = &self.worker.outlets.logs {
            outlet
                .account
                .note_losses(&outlet.endpoint, stats.logs.lost.queue_full);
        }
    }
}

fn events_of(chunk: &Chunk) -> impl Iterator<Item = (&Chunk, &EventEntry)> {
    chunk.entries().iter().filter_map(move |entry| match entry {
        QueuedRecord::Event(event) => Some((chunk, event)),
        _ => None,
    })
}
