//! The thread that renders and writes.
//!
//! It sleeps until a record is pushed, gathers for a few milliseconds, sorts what all threads
//! pushed by time, renders it and writes it in whole lines. A blocked terminal or pipe only blocks
//! this thread: the queue then fills and drops, and the number of lost lines is reported as soon as
//! output is possible again.
//!
//! A synchronous console has the same thread, for lines without a record, and its callers write as
//! well. A caller pushes its record and writes it under one lock, so that it never writes the
//! record of another thread.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use spanscope_model::Severity;

use super::SpanDisplay;
use super::limit::{Limiter, RateLimit};
use super::links::Links;
use super::page::{OpenSpans, Page};
use super::render::Renderer;
use super::sink::{Sink, Stream};
use super::tree::Trees;
use crate::filter::Categories;
use spanscope_core::capture::{CallsiteCache, CallsiteInfo, Clock, Decoder, Ticks, suppress};
use spanscope_core::queue::{Chunk, ControlRequest, Queue, QueuedRecord, WorkerHandle, log_to_stderr};
use spanscope_core::sync::lock;
use spanscope_core::threads;

/// Records within this time after the first are taken together. Too short to be noticed.
const GATHER: Duration = Duration::from_millis(4);
/// Rendered text is written from this size on.
const WRITE_AT: usize = 64 * 1024;
/// Maximum number of waiting lines that are not records.
const MAX_NOTICES: usize = 1_000;

/// Lines that are not records: messages about the telemetry's configuration.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Mutex<Vec<(Severity, String)>>,
}

impl Notices {
    pub(super) fn add(&self, severity: Severity, text: String) {
        let mut waiting = lock(&self.waiting);
        // A configuration never has that many messages; a loop that reports is not buffered without
        // bounds while stderr is blocked.
        if waiting.len() < MAX_NOTICES {
            waiting.push((severity, text));
        }
    }

    fn take(&self) -> Vec<(Severity, String)> {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) name: &'static str,
    pub(super) queue: Queue,
    pub(super) control: Arc<WorkerHandle>,
    pub(super) notices: Arc<Notices>,
    pub(super) renderer: Renderer,
    /// Called before each batch if the width follows a terminal.
    pub(super) width: Option<fn() -> Option<usize>>,
    pub(super) sink: Sink,
    pub(super) callsites: CallsiteCache<CallsiteInfo>,
    pub(super) categories: Arc<Categories>,
    pub(super) spans: SpanDisplay,
    pub(super) reads_markup: bool,
    pub(super) slow: Option<Duration>,
    pub(super) limit: Option<RateLimit>,
    /// Whether source locations are hyperlinks.
    pub(super) has_links: bool,
}

impl Writer {
    /// Starts the thread. Returns the part with which synchronous callers write.
    pub(super) fn spawn(self, is_synchronous: bool) -> std::io::Result<Work> {
        let name = self.name;
        let (control, queue) = (Arc::clone(&self.control), self.queue.clone());
        let work = Work {
            stream: is_synchronous.then(|| self.sink.stream()).flatten(),
            work: Arc::new(Mutex::new(Loop {
                page: Page {
                    renderer: self.renderer,
                    callsites: self.callsites,
                    decoder: Decoder::default(),
                    categories: self.categories,
                    spans: self.spans,
                    reads_markup: self.reads_markup,
                    slow: self.slow,
                    limiter: self.limit.map(Limiter::new),
                    open: OpenSpans::default(),
                    last_trace: None,
                    trees: Trees::default(),
                    clock: Clock::global().anchored(),
                    links: self.has_links.then(Links::new),
                    text: String::new(),
                    records: 0,
                },
                name: self.name,
                queue: self.queue,
                control: self.control,
                notices: self.notices,
                sink: self.sink,
                width: self.width,
                held: Vec::new(),
                lost: (0, 0),
                reported_error: None,
            })),
        };
        let for_callers = work.clone();
        threads::spawn(name, move || {
            control.run(&queue, name, || work.run(&queue, &control));
        })?;
        Ok(for_callers)
    }
}

/// The writing part, for the thread and for the callers of a synchronous console.
#[derive(Clone)]
pub(super) struct Work {
    /// The process's stream, which is locked before the work: a caller may hold it already, while
    /// it formats its output.
    stream: Option<Stream>,
    work: Arc<Mutex<Loop>>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Work {
    fn run(&self, queue: &Queue, control: &WorkerHandle) {
        loop {
            let rest = lock(&self.work).max_sleep();
            queue.sleep(rest, GATHER);
            let wanted = control.request();
            let _stream = self.stream.map(Stream::lock);
            if lock(&self.work).take_turn(wanted) {
                return;
            }
        }
    }

    /// Pushes a record and writes it, on the calling thread.
    pub(super) fn push<T>(&self, push: impl FnOnce() -> T) -> T {
        let _stream = self.stream.map(Stream::lock);
        let mut work: MutexGuard<'_, Loop> = lock(&self.work);
        let pushed = push();
        // Records of the user's writer must not be written by that writer.
        let _quiet = suppress();
        work.drain();
        work.prepare();
        work.write_batch(Some(Clock::global().now()));
        pushed
    }
}

struct Held {
    chunk: Chunk,
    from: usize,
}

struct Loop {
    page: Page,
    name: &'static str,
    queue: Queue,
    control: Arc<WorkerHandle>,
    notices: Arc<Notices>,
    sink: Sink,
    width: Option<fn() -> Option<usize>>,
    /// Collected chunks, each with the first record that is not yet rendered.
    held: Vec<Held>,
    /// Records whose loss has been reported: those that found no room, and those that could not be
    /// written.
    lost: (u64, u64),
    reported_error: Option<String>,
}

impl Loop {
    /// Returns how long the thread may sleep.
    fn max_sleep(&self) -> Duration {
        if self.held.is_empty() {
            self.page.max_sleep()
        } else {
            Duration::ZERO
        }
    }

    /// Writes what is queued. Returns whether the thread has ended.
    fn take_turn(&mut self, wanted: ControlRequest) -> bool {
        // Threads are collected one after another. A record that is pushed after its thread was
        // collected may be older than one of the next thread, so only records from before the
        // collection are in order.
        let until = Clock::global().now();
        self.drain();
        self.prepare();
        let all = wanted.stop || !self.control.is_flushed(wanted.flush);
        let written = self.write_batch((!all).then_some(until));
        self.control.flushed(wanted.flush);
        if wanted.stop {
            self.end(wanted, written);
        }
        wanted.stop
    }

    fn prepare(&mut self) {
        if let Some(width) = self.width.and_then(|ask| ask()) {
            self.page.renderer.set_width(width);
        }
        self.page.clock = Clock::global().anchored();
    }

    fn drain(&mut self) {
        let mut chunks = Vec::new();
        self.queue.drain(&mut chunks);
        self.held
            .extend(chunks.into_iter().map(|chunk| Held { chunk, from: 0 }));
    }

    fn end(&mut self, wanted: ControlRequest, written: bool) {
        self.queue.close();
        self.drain();
        let in_time = wanted.deadline.is_none_or(|deadline| Instant::now() < deadline);
        let rest_written = if self.held.is_empty() || in_time {
            self.write_batch(None)
        } else {
            let records = self
                .held
                .iter()
                .map(|held| held.chunk.entries().len() - held.from);
            self.control.add_write_failed(records.sum::<usize>() as u64);
            false
        };
        let written = rest_written && written;
        self.control.ended(written);
    }

    /// Renders what was collected up to a time and writes it; without a time, everything.
    fn write_batch(&mut self, until: Option<Ticks>) -> bool {
        let mut held = std::mem::take(&mut self.held);
        let mut order: Vec<(Ticks, usize, usize)> = Vec::new();
        for (number, Held { chunk, from }) in held.iter_mut().enumerate() {
            let records = chunk.entries();
            let ready = records[*from..]
                .iter()
                .take_while(|record| until.is_none_or(|until| time_of(record) <= until))
                .count();
            let ready = *from..*from + ready;
            order.extend(
                ready
                    .clone()
                    .map(|place| (time_of(&records[place]), number, place)),
            );
            *from = ready.end;
        }
        order.sort_by_key(|(time, ..)| *time);
        let mut written = true;
        for (severity, text) in self.notices.take() {
            self.page.notice(severity, &text);
        }
        for (_, number, place) in order {
            let chunk = &held[number].chunk;
            self.page.record_or_report(chunk, &chunk.entries()[place]);
            if self.page.text.len() >= WRITE_AT {
                written &= self.write_text();
            }
        }
        self.page.rest_of_batch(until.is_none());
        written &= self.write_text();
        for held in held {
            if held.from < held.chunk.entries().len() {
                self.held.push(held);
            } else {
                self.queue.recycle(held.chunk);
            }
        }
        if self.report_losses() {
            written &= self.write_text();
        }
        written
    }

    /// Writes the rendered text.
    fn write_text(&mut self) -> bool {
        let records = std::mem::take(&mut self.page.records);
        if self.page.text.is_empty() {
            self.control.add_stored(records);
            return true;
        }
        let result = self.sink.write_lines(&self.page.text);
        self.page.text.clear();
        match result {
            Ok(()) => {
                self.control.add_stored(records);
                if self.reported_error.take().is_some() {
                    log_to_stderr(format!("{}: {} is written again", self.name, self.sink));
                }
                true
            }
            Err(error) => {
                self.control.add_write_failed(records);
                // Reported once per cause, and not on a stderr that is itself the problem.
                let error = error.to_string();
                if self.reported_error.as_ref() != Some(&error) && !self.sink.is_stderr() {
                    log_to_stderr(format!(
                        "{}: {} can't be written, its lines are lost until it can: {error}",
                        self.name, self.sink
                    ));
                }
                self.reported_error = Some(error);
                false
            }
        }
    }

    /// Adds a line with the number of lost lines, if some were lost since the last report.
    fn report_losses(&mut self) -> bool {
        let dropped = self.control.stats(&self.queue).dropped;
        if self.reported_error.is_some() {
            return false;
        }
        let (slow, failed) = self.lost;
        self.lost = (dropped.queue_full, dropped.write_failed);
        let lines = |count: u64| match count {
            1 => "1 line was".to_owned(),
            count => format!("{count} lines were"),
        };
        let slow = dropped.queue_full - slow;
        if slow > 0 {
            let text = format!("{} lost here, because {} did not keep up", lines(slow), self.sink);
            self.page.notice(Severity::Warn, &text);
        }
        let failed = dropped.write_failed - failed;
        if failed > 0 {
            let text = format!(
                "{} lost here, because {} could not be written",
                lines(failed),
                self.sink
            );
            self.page.notice(Severity::Warn, &text);
        }
        slow + failed > 0
    }
}

fn time_of(record: &QueuedRecord) -> Ticks {
    match record {
        QueuedRecord::Start(start) => start.reported_at,
        QueuedRecord::Event(event) => event.time,
        // By its close, not its end, so that it follows all spans below it.
        QueuedRecord::Span(span) => span.closed,
        QueuedRecord::Measurement(measurement) => measurement.time,
    }
}
