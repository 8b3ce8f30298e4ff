//! The thread that renders and writes.
//!
//! It sleeps until something comes, gathers for a few milliseconds, brings what all threads pushed into the order of
//! its times, renders it and writes it in whole lines. A terminal or pipe that does not take more holds up this thread
//! alone: the queue then fills and drops, and how many lines were lost is said as soon as it goes on.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use spanscope_model::{Severity, SpanId, SpanStatus, Timestamp};

use super::Mode;
use super::decode::Decoded;
use super::limit::{Held as HeldBack, Limit, Limiter};
use super::render::{Entry, Outcome, Renderer, What, markup};
use super::sink::Sink;
use super::tree::{self, Trees};
use crate::capture::{CallsiteInfo, CallsiteTable, Clock, FieldReader, Ticks, WallClock, suppress};
use crate::filter::Categories;
use crate::metrics::Measurement;
use crate::queue::{Chunk, Control, Entry as Record, EventEntry, Queue, SpanEntry, StartEntry, Wanted, say};

/// What comes within this time after the first is taken with it. Short enough that nobody sees it.
const GATHER: Duration = Duration::from_millis(4);
/// Rendered text is written when it has grown to this.
const WRITE_AT: usize = 64 * 1024;
/// Open spans whose names and depths are known; where their ends are lost in a full queue they would pile up.
const MAX_OPEN: usize = 100_000;
/// Lines that are no records and wait.
const MAX_NOTICES: usize = 1_000;
/// Names in an error's span trace.
const MAX_SPAN_TRACE: usize = 32;

/// Lines that are not records: what the setting up has to say.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Mutex<Vec<(Severity, String)>>,
}

impl Notices {
    pub(super) fn add(&self, severity: Severity, text: String) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody sets up so much that it has more to say; a loop that does is not kept while stderr is blocked.
        if waiting.len() < MAX_NOTICES {
            waiting.push((severity, text));
        }
    }

    fn take(&self) -> Vec<(Severity, String)> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything the thread needs.
pub(super) struct Writer {
    pub(super) name: &'static str,
    pub(super) queue: Queue,
    pub(super) control: Arc<Control>,
    pub(super) notices: Arc<Notices>,
    pub(super) renderer: Renderer,
    /// Asked before each batch where the width follows a terminal.
    pub(super) width: Option<fn() -> Option<usize>>,
    pub(super) sink: Sink,
    pub(super) callsites: CallsiteTable<CallsiteInfo>,
    pub(super) categories: Arc<Categories>,
    pub(super) mode: Mode,
    pub(super) slow: Option<Duration>,
    pub(super) limit: Option<Limit>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn spawn(self) -> std::io::Result<()> {
        let name = self.name.to_owned();
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || {
            let _quiet = suppress();
            let (control, queue) = (Arc::clone(&self.control), self.queue.clone());
            let mut work = Loop {
                page: Page {
                    renderer: self.renderer,
                    callsites: self.callsites,
                    categories: self.categories,
                    mode: self.mode,
                    slow: self.slow,
                    limiter: self.limit.map(Limiter::new),
                    open: HashMap::new(),
                    trees: Trees::default(),
                    clock: Clock::global().anchored(),
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
                said_error: None,
            };
            control.run(&queue, self.name, || work.run());
        })?;
        Ok(())
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
    control: Arc<Control>,
    notices: Arc<Notices>,
    sink: Sink,
    width: Option<fn() -> Option<usize>>,
    /// Collected, and not rendered from that record on.
    held: Vec<Held>,
    /// Records whose loss has been said: those that found no room, and those that could not be written.
    lost: (u64, u64),
    said_error: Option<String>,
}

impl Loop {
    fn run(&mut self) {
        loop {
            let rest = if self.held.is_empty() {
                self.page.rest()
            } else {
                Duration::ZERO
            };
            self.queue.sleep(rest, GATHER);
            let wanted = self.control.wanted();
            // Threads are collected one after another: what one pushes after its turn may come before what is collected of
            // the next, so only what was made before all turns is in order.
            let until = Clock::global().now();
            self.drain();
            if let Some(width) = self.width.and_then(|ask| ask()) {
                self.page.renderer.set_width(width);
            }
            self.page.clock = Clock::global().anchored();
            let all = wanted.stop || !self.control.is_flushed(wanted.flush);
            let written = self.write_batch((!all).then_some(until));
            self.control.flushed(wanted.flush);
            if wanted.stop {
                return self.end(wanted, written);
            }
        }
    }

    fn drain(&mut self) {
        let mut chunks = Vec::new();
        self.queue.drain(&mut chunks);
        self.held
            .extend(chunks.into_iter().map(|chunk| Held { chunk, from: 0 }));
    }

    fn end(&mut self, wanted: Wanted, written: bool) {
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

    /// Renders what was collected until a time and writes it; without a time everything, also what else waits.
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
            self.page.record_or_say(chunk, &chunk.entries()[place]);
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
        if self.say_losses() {
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
                if self.said_error.take().is_some() {
                    say(format!("{}: {} is written again", self.name, self.sink));
                }
                true
            }
            Err(error) => {
                self.control.add_write_failed(records);
                // Said once a kind of trouble, and not on a stderr that is itself the trouble.
                let error = error.to_string();
                if self.said_error.as_ref() != Some(&error) && !self.sink.is_stderr() {
                    say(format!(
                        "{}: {} can't be written, its lines are lost until it can: {error}",
                        self.name, self.sink
                    ));
                }
                self.said_error = Some(error);
                false
            }
        }
    }

    /// Adds a line that says how many were lost, if some were since the last time.
    fn say_losses(&mut self) -> bool {
        let dropped = self.control.stats(&self.queue).dropped;
        if self.said_error.is_some() {
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

/// What is known of a span that has begun and not ended.
struct Open {
    name: String,
    parent: Option<SpanId>,
    root: SpanId,
    depth: usize,
    /// How many bytes of its fields its start has shown.
    shown: usize,
}

/// The text that is being made, and all that its making depends on.
struct Page {
    renderer: Renderer,
    callsites: CallsiteTable<CallsiteInfo>,
    categories: Arc<Categories>,
    mode: Mode,
    slow: Option<Duration>,
    limiter: Option<Limiter>,
    open: HashMap<SpanId, Open>,
    trees: Trees,
    clock: WallClock,
    text: String,
    /// Records whose lines are in the text, or that have none.
    records: u64,
}

/// Which of a callsite's lines: its own bucket for starts and for ends.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    Start,
    End,
}

impl Page {
    /// A panic here would be a mistake of ours; it costs its own line, not all that come after it.
    fn record_or_say(&mut self, chunk: &Chunk, record: &Record) {
        let before = self.text.len();
        if catch_unwind(AssertUnwindSafe(|| self.record(chunk, record))).is_err() {
            self.text.truncate(before);
            self.notice(
                Severity::Error,
                "a line could not be rendered; please report this",
            );
        }
    }

    fn record(&mut self, chunk: &Chunk, record: &Record) {
        match record {
            Record::Start(start) => self.start(chunk, start),
            Record::Event(event) => self.event(chunk, event),
            Record::Span(span) => self.end(chunk, span),
            Record::Measurement(_) => self.records += 1, // numbers are for those who add them up
        }
    }

    fn start(&mut self, chunk: &Chunk, start: &StartEntry) {
        let fields = chunk.start_fields(start);
        let shown = fields.bytes_left();
        let info = &*self.callsites.get_or_insert_with(start.metadata, |info| info);
        let decoded = Decoded::new(info, fields);
        let parent = start.parent.and_then(|parent| self.open.get(&parent));
        let (root, depth) = parent.map_or((start.ids.span_id, 0), |parent| (parent.root, parent.depth + 1));
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        let time = self.clock.wall(start.start);
        let entry = Entry {
            severity: info.severity,
            time,
            target: info.metadata.target(),
            line: info.metadata.line(),
            service: "",
            category: decoded.category.unwrap_or(&info.category),
            what: What::SpanStart { name: &decoded.said },
            fields: &decoded.fields,
            trace_id: Some(start.ids.trace_id),
            span_id: Some(start.ids.span_id),
            parent_span_id: start.parent,
            depth: self.mode.depth(depth),
            spans: &[],
        };
        let key = (callsite_key(start.metadata), Kind::Start as u8);
        let passed = show(
            &entry,
            self.mode.is_tree().then_some(root),
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
        let open = Open {
            name: decoded.said.to_string(),
            parent: start.parent,
            root,
            depth,
            shown: if passed { shown } else { 0 },
        };
        self.open.insert(start.ids.span_id, open);
    }

    fn end(&mut self, chunk: &Chunk, span: &SpanEntry) {
        let open = self.open.remove(&span.ids.span_id);
        if !self.mode.shows_spans() {
            self.records += 1;
            return;
        }
        let info = &*self.callsites.get_or_insert_with(span.metadata, |info| info);
        let fields = chunk.span_fields(span);
        let whole = Decoded::new(info, fields.clone());
        // What the start has shown need not be said again; what came or changed since is.
        let late = Decoded::new(info, fields.behind(open.as_ref().map_or(0, |open| open.shown)));
        let failed = match whole.status {
            Some(status) => status == SpanStatus::Error,
            None => span.failed,
        };
        let total = Duration::from_nanos(self.clock.nanos_between(span.start, span.end));
        let depth = open.as_ref().map_or(0, |open| open.depth);
        let root = open.as_ref().map_or(span.ids.span_id, |open| open.root);
        let entry = Entry {
            severity: if failed {
                info.severity.max(Severity::Error)
            } else {
                info.severity
            },
            time: self.clock.wall(span.end),
            target: info.metadata.target(),
            line: info.metadata.line(),
            service: "",
            category: whole.category.unwrap_or(&info.category),
            what: What::SpanEnd {
                name: &whole.said,
                total,
                busy: span.busy_nanos.map(Duration::from_nanos),
                outcome: if failed {
                    Outcome::Failed(whole.reason.as_deref())
                } else {
                    Outcome::Ok
                },
                slow: self.slow.is_some_and(|slow| total >= slow),
            },
            fields: &late.fields,
            trace_id: Some(span.ids.trace_id),
            span_id: Some(span.ids.span_id),
            parent_span_id: span.parent,
            depth: self.mode.depth(depth),
            spans: &[],
        };
        let key = (callsite_key(span.metadata), Kind::End as u8);
        let in_tree = self.mode.is_tree().then_some(root);
        show(
            &entry,
            in_tree,
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
        if root == span.ids.span_id {
            self.records += self.trees.finish(root, &mut self.text);
        }
    }

    fn event(&mut self, chunk: &Chunk, event: &EventEntry) {
        let info = &*self.callsites.get_or_insert_with(event.metadata, |info| info);
        let decoded = Decoded::new(info, chunk.event_fields(event));
        if info.measures && decoded.said.is_empty() && is_measurement(info, chunk.event_fields(event)) {
            // Numbers are for those who add them up.
            self.records += 1;
            return;
        }
        let around = event.ids.and_then(|ids| self.open.get(&ids.span_id));
        let mut spans = Vec::new();
        let mut next = around;
        while let Some(span) = next
            && spans.len() < MAX_SPAN_TRACE
        {
            spans.push(span.name.as_str());
            next = span.parent.and_then(|parent| self.open.get(&parent));
        }
        let origin = decoded.log_target.map(|target| {
            self.categories
                .of_place(target, decoded.log_module, decoded.log_file)
        });
        let category = origin
            .as_ref()
            .map_or(info.category.as_str(), |origin| origin.category);
        let is_app = origin.as_ref().map_or(info.is_app, |origin| origin.is_app);
        let entry = Entry {
            severity: decoded.severity(info),
            time: self.clock.wall(event.time),
            target: decoded.log_target.unwrap_or_else(|| info.metadata.target()),
            line: decoded.log_line.or_else(|| info.metadata.line()),
            service: "",
            category: decoded.category.unwrap_or(category),
            what: What::Event {
                message: &decoded.said,
                markup: is_app && decoded.is_own_text,
            },
            fields: &decoded.fields,
            trace_id: event.ids.map(|ids| ids.trace_id),
            span_id: event.ids.map(|ids| ids.span_id),
            parent_span_id: None,
            depth: self.mode.depth(around.map_or(0, |span| span.depth + 1)),
            spans: &spans,
        };
        let callsite = match decoded.log_target {
            Some(target) => log_key(target, decoded.log_line),
            None => callsite_key(event.metadata),
        };
        let key = (callsite, Kind::Event as u8);
        let root = around.map(|span| span.root).filter(|_| self.mode.is_tree());
        show(
            &entry,
            root,
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
    }

    /// What follows the records of a batch: sums of floods, and trees that have waited long enough.
    fn rest_of_batch(&mut self, all: bool) {
        self.records += if all {
            self.trees.all(&mut self.text)
        } else {
            self.trees.overdue(Instant::now(), &mut self.text)
        };
        let now = Timestamp::now();
        let due = match &mut self.limiter {
            Some(limiter) => limiter.due(nanos(now), all),
            None => Vec::new(),
        };
        for held in due {
            self.held_back(now, &held);
        }
    }

    fn held_back(&mut self, time: Timestamp, held: &HeldBack) {
        let what = What::HeldBack {
            lines: held.lines,
            during: held.during(),
            message: &held.message,
        };
        let entry = bare(held.severity, time, &held.target, what);
        let entry = Entry {
            line: held.line,
            category: &held.category,
            ..entry
        };
        self.renderer.render(&entry, &mut self.text);
    }

    /// A line of our own.
    fn notice(&mut self, severity: Severity, text: &str) {
        let what = What::Event {
            message: text,
            markup: false,
        };
        let entry = bare(severity, Timestamp::now(), "spanscope", what);
        self.renderer.render(&entry, &mut self.text);
    }

    /// How long the thread may sleep.
    fn rest(&self) -> Duration {
        if self.limiter.as_ref().is_some_and(Limiter::is_holding) {
            Duration::from_millis(500)
        } else if self.trees.is_waiting() {
            tree::PATIENCE
        } else {
            Duration::from_secs(3600)
        }
    }
}

fn bare<'a>(severity: Severity, time: Timestamp, target: &'a str, what: What<'a>) -> Entry<'a> {
    Entry {
        severity,
        time,
        target,
        line: None,
        service: "",
        category: spanscope_model::UNCATEGORIZED,
        what,
        fields: &[],
        trace_id: None,
        span_id: None,
        parent_span_id: None,
        depth: 0,
        spans: &[],
    }
}

/// Renders an entry, unless its callsite floods, into the text or among the lines of its tree. Answers whether it did.
fn show(
    entry: &Entry<'_>,
    root: Option<SpanId>,
    key: (u64, u8),
    limiter: &mut Option<Limiter>,
    renderer: &mut Renderer,
    trees: &mut Trees,
    (text, records): (&mut String, &mut u64),
) -> bool {
    if let Some(limiter) = limiter {
        let describe = || HeldBack {
            lines: 0,
            first: 0,
            last: 0,
            severity: entry.severity,
            target: entry.target.to_owned(),
            line: entry.line,
            category: entry.category.to_owned(),
            message: match &entry.what {
                What::Event {
                    message,
                    markup: true,
                } => markup::strip(message),
                What::Event { message, .. } => (*message).to_owned(),
                What::SpanStart { name } => format!("[START] {name}"),
                What::SpanEnd { name, .. } => format!("[END] {name}"),
                What::HeldBack { .. } => String::new(),
            },
        };
        if !limiter.passes(key, nanos(entry.time), describe) {
            *records += 1;
            return false;
        }
    }
    *records += match root {
        Some(root) => trees.add(root, Instant::now(), text, |text| renderer.render(entry, text)),
        None => {
            renderer.render(entry, text);
            1
        }
    };
    true
}

/// Whether an event that could be one is one: its value is a number.
fn is_measurement(info: &CallsiteInfo, fields: FieldReader<'_>) -> bool {
    let fields = info.resolve(fields);
    Measurement::read(&fields, None, Ticks::default(), &mut Vec::new()).is_some()
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

fn time_of(record: &Record) -> Ticks {
    match record {
        Record::Start(start) => start.told,
        Record::Event(event) => event.time,
        Record::Span(span) => span.end,
        Record::Measurement(measurement) => measurement.time,
    }
}

fn callsite_key(metadata: &'static tracing_core::Metadata<'static>) -> u64 {
    std::ptr::from_ref(metadata) as u64
}

/// Records of the `log` crate share one callsite a level; what tells them apart is where they came from.
fn log_key(target: &str, line: Option<u32>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (target, line).hash(&mut hasher);
    hasher.finish()
}
