//! The page that the writer thread fills: selects the entries, their order and their spans.
//!
//! It tracks open spans, applies rate limits and assembles trees. It never writes and never waits;
//! a record that can't be rendered only loses its own line.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_model::{Severity, SpanId, SpanStatus, Timestamp, TraceId};

use super::SpanDisplay;
use super::decode::Shown;
use super::limit::{Held as RateLimited, Limiter};
use super::links::Links;
use super::render::{Entry, EntryKind, Outcome, Renderer, markup};
use super::tree::{self, Trees};
use crate::filter::Categories;
use crate::metrics::Measurement;
use spanscope_core::capture::{
    CallsiteCache, CallsiteInfo, Decoder, FieldReader, MaskedTexts, Ticks, WallClock, span_outcome,
};
use spanscope_core::queue::{Chunk, EventEntry, QueuedRecord, SpanEntry, StartEntry};

/// Names in an error's span trace.
const MAX_SPAN_TRACE: usize = 32;
/// Maximum number of open spans whose names and depths are tracked; if their ends are lost in a
/// full queue they would accumulate.
const MAX_OPEN: usize = 100_000;

/// The state of an open span.
pub(super) struct Open {
    name: String,
    parent: Option<SpanId>,
    root: SpanId,
    trace: TraceId,
    depth: usize,
    /// The number of bytes of its fields that its start has shown.
    shown: usize,
}

/// The open spans, and their number in each trace.
#[derive(Default)]
pub(super) struct OpenSpans {
    spans: HashMap<SpanId, Open>,
    traces: HashMap<TraceId, usize>,
}

impl OpenSpans {
    fn get(&self, span: SpanId) -> Option<&Open> {
        self.spans.get(&span)
    }

    fn insert(&mut self, span: SpanId, open: Open) {
        if self.spans.len() >= MAX_OPEN {
            self.spans.clear();
            self.traces.clear();
        }
        *self.traces.entry(open.trace).or_default() += 1;
        if let Some(before) = self.spans.insert(span, open) {
            self.leave(before.trace);
        }
    }

    fn remove(&mut self, span: SpanId) -> Option<Open> {
        let open = self.spans.remove(&span)?;
        self.leave(open.trace);
        Some(open)
    }

    fn leave(&mut self, trace: TraceId) {
        if let Some(count) = self.traces.get_mut(&trace) {
            *count -= 1;
            if *count == 0 {
                self.traces.remove(&trace);
            }
        }
    }

    /// Returns whether spans of several traces are open.
    fn interleave(&self) -> bool {
        self.traces.len() > 1
    }
}

/// The text under construction, and everything that it depends on.
pub(super) struct Page {
    pub(super) renderer: Renderer,
    pub(super) callsites: CallsiteCache<CallsiteInfo>,
    pub(super) decoder: Decoder,
    pub(super) categories: Arc<Categories>,
    pub(super) spans: SpanDisplay,
    /// Whether every message of the application is markup.
    pub(super) reads_markup: bool,
    pub(super) slow: Option<Duration>,
    pub(super) limiter: Option<Limiter>,
    pub(super) open: OpenSpans,
    /// The trace of the last line that belongs to one.
    pub(super) last_trace: Option<TraceId>,
    pub(super) trees: Trees,
    pub(super) clock: WallClock,
    /// Set if source locations are shown as hyperlinks.
    pub(super) links: Option<Links>,
    pub(super) text: String,
    /// The number of records whose lines are in the text, or that have none.
    pub(super) records: u64,
}

/// The kinds of a callsite's lines: starts and ends have separate buckets.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    Start,
    End,
}

impl Page {
    /// A panic here would be a bug in Spanscope; it only loses its own line.
    pub(super) fn record_or_report(&mut self, chunk: &Chunk, record: &QueuedRecord) {
        let before = self.text.len();
        if catch_unwind(AssertUnwindSafe(|| self.record(chunk, record))).is_err() {
            self.text.truncate(before);
            self.notice(
                Severity::Error,
                "a line could not be rendered; please report this",
            );
        }
    }

    fn record(&mut self, chunk: &Chunk, record: &QueuedRecord) {
        match record {
            QueuedRecord::Start(start) => self.start(chunk, start),
            QueuedRecord::Event(event) => self.event(chunk, event),
            QueuedRecord::Span(span) => self.end(chunk, span),
            // measurements are for programs, not for people
            QueuedRecord::Measurement(_) => self.records += 1,
        }
    }

    fn start(&mut self, chunk: &Chunk, start: &StartEntry) {
        let fields = chunk.start_fields(start);
        let bytes_shown = fields.bytes_left();
        let info = &*self.callsites.get_or_insert_with(start.metadata, |info| info);
        let texts = MaskedTexts::new();
        let shown = Shown::read(&mut self.decoder, info, fields, &texts);
        let parent = start.parent.and_then(|parent| self.open.get(parent));
        let (root, depth) = parent.map_or((start.ids.span_id, 0), |parent| (parent.root, parent.depth + 1));
        let time = self.clock.wall(start.start);
        let link = link(&mut self.links, info.metadata.file(), info.metadata.line());
        let entry = Entry {
            severity: info.severity,
            time,
            target: info.metadata.target(),
            line: info.metadata.line(),
            link: link.as_deref(),
            service: "",
            category: shown.category.unwrap_or(&info.category),
            kind: EntryKind::SpanStart { name: &shown.text },
            fields: &shown.fields,
            trace_id: Some(start.ids.trace_id),
            span_id: Some(start.ids.span_id),
            parent_span_id: start.parent,
            names_trace: true,
            span_name: "",
            depth: self.spans.depth(depth),
            spans: &[],
        };
        let key = (callsite_key(start.metadata), Kind::Start as u8);
        let passed = show(
            &entry,
            self.spans.is_tree().then_some(root),
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
        if passed {
            self.last_trace = Some(start.ids.trace_id);
        }
        let open = Open {
            name: shown.text.to_string(),
            parent: start.parent,
            root,
            trace: start.ids.trace_id,
            depth,
            shown: if passed { bytes_shown } else { 0 },
        };
        self.open.insert(start.ids.span_id, open);
    }

    fn end(&mut self, chunk: &Chunk, span: &SpanEntry) {
        let open = self.open.remove(span.ids.span_id);
        if !self.spans.shows_spans() {
            self.records += 1;
            return;
        }
        let info = &*self.callsites.get_or_insert_with(span.metadata, |info| info);
        let fields = chunk.span_fields(span);
        let texts = MaskedTexts::new();
        let whole = Shown::read(&mut self.decoder, info, fields.clone(), &texts);
        // Fields that the start has shown are not repeated; added or changed ones are shown.
        let late = Shown::read(
            &mut self.decoder,
            info,
            fields.skip_bytes(open.as_ref().map_or(0, |open| open.shown)),
            &texts,
        );
        let failed = span_outcome(whole.status, span.failed) == SpanStatus::Error;
        let total = Duration::from_nanos(self.clock.nanos_between(span.start, span.end));
        let depth = open.as_ref().map_or(0, |open| open.depth);
        let root = open.as_ref().map_or(span.ids.span_id, |open| open.root);
        let link = link(&mut self.links, info.metadata.file(), info.metadata.line());
        let entry = Entry {
            severity: if failed {
                info.severity.max(Severity::Error)
            } else {
                info.severity
            },
            time: self.clock.wall(span.end),
            target: info.metadata.target(),
            line: info.metadata.line(),
            link: link.as_deref(),
            service: "",
            category: whole.category.unwrap_or(&info.category),
            kind: EntryKind::SpanEnd {
                name: &whole.text,
                total,
                busy: span.busy_nanos().map(Duration::from_nanos),
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
            names_trace: true,
            span_name: "",
            depth: self.spans.depth(depth),
            spans: &[],
        };
        let key = (callsite_key(span.metadata), Kind::End as u8);
        let in_tree = self.spans.is_tree().then_some(root);
        let passed = show(
            &entry,
            in_tree,
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
        if passed {
            self.last_trace = Some(span.ids.trace_id);
        }
        if root == span.ids.span_id {
            self.records += self.trees.finish(root, &mut self.text);
        }
    }

    fn event(&mut self, chunk: &Chunk, event: &EventEntry) {
        let info = &*self.callsites.get_or_insert_with(event.metadata, |info| info);
        let texts = MaskedTexts::new();
        let shown = Shown::read(&mut self.decoder, info, chunk.event_fields(event), &texts);
        if info.measures && shown.text.is_empty() && is_measurement(info, chunk.event_fields(event)) {
            // Measurements are for programs, not for people.
            self.records += 1;
            return;
        }
        let around = event.ids.and_then(|ids| self.open.get(ids.span_id));
        let mut spans = Vec::new();
        let mut next = around;
        while let Some(span) = next
            && spans.len() < MAX_SPAN_TRACE
        {
            spans.push(span.name.as_str());
            next = span.parent.and_then(|parent| self.open.get(parent));
        }
        let origin = shown
            .log
            .target
            .map(|target| self.categories.of_place(target, shown.log.module, shown.log.file));
        let category = origin
            .as_ref()
            .map_or(info.category.as_str(), |origin| origin.category);
        let trace_id = event.ids.map(|ids| ids.trace_id);
        let interleaves = self.open.interleave() || (trace_id.is_some() && trace_id != self.last_trace);
        let is_app = origin.as_ref().map_or(info.is_app, |origin| origin.is_app);
        let line = shown.log.line.or_else(|| info.metadata.line());
        // A record of the `log` crate has a callsite of `tracing-log`, whose file is not its own.
        let file = match shown.log.target {
            Some(_) => shown.log.file,
            None => info.metadata.file(),
        };
        let link = link(&mut self.links, file, line);
        let entry = Entry {
            severity: shown.severity,
            time: self.clock.wall(event.time),
            target: shown.log.target.unwrap_or_else(|| info.metadata.target()),
            line,
            link: link.as_deref(),
            service: "",
            category: shown.category.unwrap_or(category),
            kind: EntryKind::Event {
                message: &shown.text,
                markup: shown.is_own_text && (shown.asks_for_markup || (self.reads_markup && is_app)),
                keeps_lines: is_app && shown.is_own_text,
            },
            fields: &shown.fields,
            trace_id,
            span_id: event.ids.map(|ids| ids.span_id),
            parent_span_id: None,
            names_trace: interleaves || shown.severity >= Severity::Warn,
            span_name: match around {
                Some(span) if interleaves && !self.spans.is_tree() => &span.name,
                _ => "",
            },
            depth: self.spans.depth(around.map_or(0, |span| span.depth + 1)),
            spans: &spans,
        };
        let callsite = match shown.log.target {
            Some(target) => log_key(target, shown.log.line),
            None => callsite_key(event.metadata),
        };
        let key = (callsite, Kind::Event as u8);
        let root = around.map(|span| span.root).filter(|_| self.spans.is_tree());
        let passed = show(
            &entry,
            root,
            key,
            &mut self.limiter,
            &mut self.renderer,
            &mut self.trees,
            (&mut self.text, &mut self.records),
        );
        if passed && trace_id.is_some() {
            self.last_trace = trace_id;
        }
    }

    /// Adds what follows the records of a batch: summaries of floods, and trees that have waited
    /// long enough.
    pub(super) fn rest_of_batch(&mut self, all: bool) {
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

    fn held_back(&mut self, time: Timestamp, held: &RateLimited) {
        let kind = EntryKind::RateLimited {
            lines: held.lines,
            during: held.during(),
            message: &held.message,
        };
        let entry = bare(held.severity, time, &held.target, kind);
        let entry = Entry {
            line: held.line,
            category: &held.category,
            ..entry
        };
        self.renderer.render(&entry, &mut self.text);
    }

    /// Adds a line that the program did not log.
    pub(super) fn notice(&mut self, severity: Severity, text: &str) {
        let kind = EntryKind::Event {
            message: text,
            markup: false,
            keeps_lines: false,
        };
        let entry = bare(severity, Timestamp::now(), "spanscope", kind);
        self.renderer.render(&entry, &mut self.text);
    }

    /// Returns how long the thread may sleep.
    pub(super) fn max_sleep(&self) -> Duration {
        if self.limiter.as_ref().is_some_and(Limiter::is_holding) {
            Duration::from_millis(500)
        } else if self.trees.is_waiting() {
            tree::PATIENCE
        } else {
            Duration::from_secs(3600)
        }
    }
}

/// Returns the URL of a source location, if links are shown.
fn link(links: &mut Option<Links>, file: Option<&str>, line: Option<u32>) -> Option<String> {
    links.as_mut()?.to(file, line)
}

fn bare<'a>(severity: Severity, time: Timestamp, target: &'a str, kind: EntryKind<'a>) -> Entry<'a> {
    Entry {
        severity,
        time,
        target,
        line: None,
        link: None,
        service: "",
        category: spanscope_model::UNCATEGORIZED,
        kind,
        fields: &[],
        trace_id: None,
        span_id: None,
        parent_span_id: None,
        names_trace: false,
        span_name: "",
        depth: 0,
        spans: &[],
    }
}

/// Renders an entry, unless its callsite is over its limit, to the text or to the lines of its
/// tree. Returns whether it did.
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
        let describe = || RateLimited {
            lines: 0,
            first: 0,
            last: 0,
            severity: entry.severity,
            target: entry.target.to_owned(),
            line: entry.line,
            category: entry.category.to_owned(),
            message: match &entry.kind {
                EntryKind::Event {
                    message,
                    markup: true,
                    ..
                } => markup::strip(message),
                EntryKind::Event { message, .. } => (*message).to_owned(),
                EntryKind::SpanStart { name } => format!("[START] {name}"),
                EntryKind::SpanEnd { name, .. } => format!("[END] {name}"),
                EntryKind::RateLimited { .. } => String::new(),
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

/// Returns whether an event that could be a measurement is one: its value is a number.
fn is_measurement(info: &CallsiteInfo, fields: FieldReader<'_>) -> bool {
    let texts = MaskedTexts::new();
    let fields = info.resolve(fields, &texts);
    Measurement::read(&fields, None, Ticks::default(), &mut Vec::new()).is_some()
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

fn callsite_key(metadata: &'static tracing_core::Metadata<'static>) -> u64 {
    std::ptr::from_ref(metadata) as u64
}

/// Records of the `log` crate share one callsite per level; their source location distinguishes
/// them.
fn log_key(target: &str, line: Option<u32>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (target, line).hash(&mut hasher);
    hasher.finish()
}
