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
use super::limit::{Held, Limit, Limiter};
use super::render::{Entry, Outcome, Renderer, What};
use super::sink::Sink;
use super::tree::{self, Trees};
use crate::capture::{CallsiteInfo, CallsiteTable, Clock, Ticks, WallClock, suppress};
use crate::filter::Categories;
use crate::queue::{Chunk, Control, Entry as Record, EventEntry, Queue, SpanEntry, StartEntry, Wanted, say};

/// What comes within this time after the first is taken with it. Short enough that nobody sees it.
const GATHER: Duration = Duration::from_millis(4);
/// Rendered text is written when it has grown to this.
const WRITE_AT: usize = 64 * 1024;
/// Open spans whose names and depths are known; where their ends are lost in a full queue they would pile up.
const MAX_OPEN: usize = 100_000;
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
        waiting.push((severity, text));
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
                },
                name: self.name,
                queue: self.queue,
                control: self.control,
                notices: self.notices,
                sink: self.sink,
                width: self.width,
                chunks: Vec::new(),
                lost: 0,
                said_error: None,
            };
            control.run(&queue, self.name, || work.run());
        })?;
        Ok(())
    }
}

struct Loop {
    page: Page,
    name: &'static str,
    queue: Queue,
    control: Arc<Control>,
    notices: Arc<Notices>,
    sink: Sink,
    width: Option<fn() -> Option<usize>>,
    chunks: Vec<Chunk>,
    /// Records whose loss has been said.
    lost: u64,
    said_error: Option<String>,
}

impl Loop {
    fn run(&mut self) {
        loop {
            self.queue.sleep(self.page.rest(), GATHER);
            let wanted = self.control.wanted();
            self.queue.drain(&mut self.chunks);
            if let Some(width) = self.width.and_then(|ask| ask()) {
                self.page.renderer.set_width(width);
            }
            self.page.clock = Clock::global().anchored();
            let all = wanted.stop || !self.control.is_flushed(wanted.flush);
            let written = self.write_batch(all);
            self.control.flushed(wanted.flush);
            if wanted.stop {
                return self.end(wanted, written);
            }
        }
    }

    fn end(&mut self, wanted: Wanted, written: bool) {
        self.queue.close();
        self.queue.drain(&mut self.chunks);
        let in_time = wanted.deadline.is_none_or(|deadline| Instant::now() < deadline);
        let rest_written = if self.chunks.is_empty() || in_time {
            self.write_batch(true)
        } else {
            let records = self.chunks.iter().map(|chunk| chunk.entries().len() as u64);
            self.control.add_write_failed(records.sum());
            false
        };
        let written = rest_written && written;
        self.control.ended(written);
    }

    /// Renders what was drained and writes it; with `all` also what else waits.
    fn write_batch(&mut self, all: bool) -> bool {
        let chunks = std::mem::take(&mut self.chunks);
        let mut order: Vec<(Ticks, usize, usize)> = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let times = chunk.entries().iter().enumerate();
            order.extend(times.map(|(place, record)| (time_of(record), number, place)));
        }
        order.sort_by_key(|(time, ..)| *time);
        let mut written = true;
        let mut pending = 0;
        for (severity, text) in self.notices.take() {
            self.page.notice(severity, &text);
        }
        for (_, number, place) in order {
            let chunk = &chunks[number];
            if let Some(record) = chunk.entries().get(place) {
                self.page.record_or_say(chunk, record);
            }
            pending += 1;
            if self.page.text.len() >= WRITE_AT {
                written &= self.write_text(std::mem::take(&mut pending));
            }
        }
        self.page.rest_of_batch(all);
        written &= self.write_text(pending);
        for chunk in chunks {
            self.queue.recycle(chunk);
        }
        if self.say_losses() {
            written &= self.write_text(0);
        }
        written
    }

    /// Writes the rendered text, which so many records went into.
    fn write_text(&mut self, records: u64) -> bool {
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
        let lost = dropped.queue_full + dropped.write_failed;
        if lost == self.lost || self.said_error.is_some() {
            return false;
        }
        let lines = lost - self.lost;
        self.lost = lost;
        let lines = if lines == 1 {
            "1 line was".to_owned()
        } else {
            format!("{lines} lines were")
        };
        let text = format!("{lines} lost here, because {} did not keep up", self.sink);
        self.page.notice(Severity::Warn, &text);
        true
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
            Record::Measurement(_) => {} // numbers are for those who add them up
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
        let open = Open {
            name: decoded.said.to_string(),
            parent: start.parent,
            root,
            depth,
            shown,
        };
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
        let root = self.mode.is_tree().then_some(root);
        show(
            &entry,
            root,
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            &mut self.text,
        );
        self.open.insert(start.ids.span_id, open);
    }

    fn end(&mut self, chunk: &Chunk, span: &SpanEntry) {
        let open = self.open.remove(&span.ids.span_id);
        if !self.mode.shows_spans() {
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
                    Outcome::Failed(whole.reason)
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
            &mut self.text,
        );
        if root == span.ids.span_id {
            self.trees.finish(root, &mut self.text);
        }
    }

    fn event(&mut self, chunk: &Chunk, event: &EventEntry) {
        let info = &*self.callsites.get_or_insert_with(event.metadata, |info| info);
        let decoded = Decoded::new(info, chunk.event_fields(event));
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
                markup: is_app,
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
            &mut self.text,
        );
    }

    /// What follows the records of a batch: sums of floods, and trees that have waited long enough.
    fn rest_of_batch(&mut self, all: bool) {
        if all {
            self.trees.all(&mut self.text);
        } else {
            self.trees.overdue(Instant::now(), &mut self.text);
        }
        let now = Timestamp::now();
        let due = match &mut self.limiter {
            Some(limiter) => limiter.due(nanos(now), all),
            None => Vec::new(),
        };
        for held in due {
            self.held_back(now, &held);
        }
    }

    fn held_back(&mut self, time: Timestamp, held: &Held) {
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

/// Renders an entry, unless its callsite floods, into the text or among the lines of its tree.
fn show(
    entry: &Entry<'_>,
    root: Option<SpanId>,
    key: (u64, u8),
    limiter: &mut Option<Limiter>,
    renderer: &mut Renderer,
    trees: &mut Trees,
    text: &mut String,
) {
    if let Some(limiter) = limiter {
        let describe = || Held {
            lines: 0,
            first: 0,
            last: 0,
            severity: entry.severity,
            target: entry.target.to_owned(),
            line: entry.line,
            category: entry.category.to_owned(),
            message: match &entry.what {
                What::Event { message, .. } => (*message).to_owned(),
                What::SpanStart { name } => format!("[START] {name}"),
                What::SpanEnd { name, .. } => format!("[END] {name}"),
                What::HeldBack { .. } => String::new(),
            },
        };
        if !limiter.passes(key, nanos(entry.time), describe) {
            return;
        }
    }
    match root {
        Some(root) => trees.add(root, Instant::now(), text, |text| renderer.render(entry, text)),
        None => renderer.render(entry, text),
    }
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
