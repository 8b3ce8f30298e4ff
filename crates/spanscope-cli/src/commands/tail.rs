//! `spanscope tail`: follows what any program writes to the store, and shows it as that program's
//! console would.
//!
//! Each reading continues at the cursor of the previous one, so an idle store costs almost nothing
//! and no record of a busy one is missed. A span that was stored while it was running is
//! shown when its end is stored, or when its program has died.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{
    Cursor, LogEvent, LogFilter, Severity, Span, SpanFilter, SpanId, SpanKind, SpanState, StoreOrder,
    StoredFilter, Timestamp, TraceId, TraceStore, block_on, block_on_for,
};

use super::store::Location;
use crate::args::{Format, TailArgs};
use crate::output::{Output, json_line};
use crate::render::json::SpanJson;
use crate::render::line::{EntryLines, severity_of};
use crate::resolve::severity;

/// Maximum number of records of each kind per query.
const RECORDS_AT_ONCE: u64 = 5_000;
/// Number of newest spans that are read at the start: the last ones are shown, and those that are
/// still running are followed.
const LOOK_BACK: u64 = 10_000;
/// Maximum number of running spans to wait for; beyond it the oldest are given up.
const MAX_RUNNING: usize = 10_000;
/// At least this many ids of shown records are kept, for a store that returns records again.
const MAX_SHOWN: usize = 200_000;
/// The interval at which running spans are checked: a program that dies changes nothing in the
/// store.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of running spans per check.
const SPANS_PER_CHECK: usize = 200;

pub(super) fn run(location: &Location, args: &TailArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let least = args.severity.as_deref().map(severity).transpose()?;
    let mut lines = EntryLines::new(&out, false);
    let store = location.open()?;
    let mut follower = TailFollower::new(&*store)?;
    let mut seen = 0;
    let last = follower.last(&*store, usize::try_from(args.lines).unwrap_or(usize::MAX), least)?;
    show(&out, &mut lines, &last)?;
    loop {
        let mut records = follower.new_records(&*store)?;
        records.retain(|record| record.is_at_least(least));
        show(&out, &mut lines, &records)?;
        let change = store.wait_for_change(seen);
        let change = match follower.next_check_in() {
            Some(pause) => block_on_for(change, pause),
            None => Some(block_on(change)),
        };
        if let Some(change) = change {
            seen = change?;
        }
    }
}

/// A log event, or the end of a span.
#[derive(Debug)]
enum Record {
    Log(LogEvent),
    Span(Box<Span>),
}

/// A record as a line of JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum RecordJson<'a> {
    Log(&'a LogEvent),
    Span(SpanJson<'a>),
}

impl Record {
    fn time(&self) -> Timestamp {
        match self {
            Self::Log(event) => event.timestamp,
            Self::Span(span) => span.end_time.unwrap_or(span.start_time),
        }
    }

    fn is_at_least(&self, least: Option<Severity>) -> bool {
        least.is_none_or(|least| match self {
            Self::Log(event) => event.severity >= least,
            Self::Span(span) => severity_of(span) >= least,
        })
    }
}

fn show(out: &Output, lines: &mut EntryLines, records: &[Record]) -> Result<()> {
    let mut text = String::new();
    for record in records {
        match (out.format, record) {
            (Format::Table, Record::Log(event)) => lines.event(event, &mut text),
            (Format::Table, Record::Span(span)) => lines.span_end(span, &mut text),
            // The records never end, so there is no single document: JSON is one line per record
            // here.
            (Format::Json | Format::Jsonl, Record::Log(event)) => {
                text.push_str(&json_line(&RecordJson::Log(event))?);
            }
            (Format::Json | Format::Jsonl, Record::Span(span)) => {
                text.push_str(&json_line(&RecordJson::Span(SpanJson::of(span)))?);
            }
        }
    }
    if text.is_empty() { Ok(()) } else { out.print(&text) }
}

/// The position in the store, and the running spans whose ends are still to be shown.
struct TailFollower {
    cursor: Cursor,
    running: Running,
    last_check: Instant,
    /// Records that were shown and that the store may return again.
    shown: Shown,
    past: Past,
}

/// What a store that returns records again had at the start, as far as its records are not among
/// those that were shown: everything that began before these times.
#[derive(Default)]
struct Past {
    spans: Option<Timestamp>,
    events: Option<Timestamp>,
}

impl Past {
    fn is_before(&self, record: &Record) -> bool {
        let (past, time) = match record {
            Record::Log(event) => (self.events, event.timestamp),
            Record::Span(span) => (self.spans, span.start_time),
        };
        past.is_none_or(|past| past <= time)
    }
}

/// Records that were shown, by their ids.
///
/// A store with exact order returns again only what was read at the start, in the first reading.
/// Any other one does so whenever a record arrives late, so the newest ids are kept.
#[derive(Default)]
struct Shown {
    spans: HashSet<ShownSpan>,
    events: HashSet<String>,
    /// The ids before those: the oldest are given up by halves.
    older: Option<Box<Shown>>,
}

/// Two sides of one call may share an id, and differ in their kinds.
type ShownSpan = (TraceId, SpanId, SpanKind);

impl Shown {
    /// Adds a record. Returns whether it was new.
    fn add(&mut self, record: &Record) -> bool {
        if self.older.as_ref().is_some_and(|older| older.has(record)) {
            return false;
        }
        match record {
            Record::Log(event) => self.events.insert(event.id.clone()),
            Record::Span(span) => self.spans.insert(span_key(span)),
        }
    }

    fn has(&self, record: &Record) -> bool {
        match record {
            Record::Log(event) => self.events.contains(&event.id),
            Record::Span(span) => self.spans.contains(&span_key(span)),
        }
    }

    /// Forgets the oldest: about `max` to twice as many are left.
    fn limit(&mut self, max: usize) {
        if self.spans.len() + self.events.len() > max {
            let mut older = std::mem::take(self);
            older.older = None;
            self.older = Some(Box::new(older));
        }
    }
}

fn span_key(span: &Span) -> ShownSpan {
    (span.trace_id, span.span_id, span.kind)
}

impl TailFollower {
    fn new(store: &dyn TraceStore) -> Result<Self> {
        Ok(Self {
            cursor: block_on(store.latest())?,
            running: Running::default(),
            last_check: Instant::now(),
            shown: Shown::default(),
            past: Past::default(),
        })
    }

    /// Returns the last records before the start.
    fn last(&mut self, store: &dyn TraceStore, lines: usize, least: Option<Severity>) -> Result<Vec<Record>> {
        let lines_at_most = u64::try_from(lines).unwrap_or(u64::MAX);
        let mut spans = block_on(store.list_spans(SpanFilter::default().limit(LOOK_BACK)))?;
        if store.capabilities().order != StoreOrder::Exact {
            let events = block_on(store.list_logs(LogFilter::default().limit(LOOK_BACK)))?;
            self.forget(&spans, events);
        }
        spans.reverse(); // the newest is the first
        let events =
            block_on(store.list_logs(LogFilter::default().min_severity(least).limit(lines_at_most)))?;
        let mut records = self.ended(spans);
        records.extend(events.into_iter().map(Record::Log));
        records.retain(|record| record.is_at_least(least));
        records.sort_by_key(Record::time);
        let last = records.split_off(records.len().saturating_sub(lines));
        for record in &last {
            self.shown.add(record);
        }
        Ok(last)
    }

    /// Treats records that are stored at the start as shown.
    fn forget(&mut self, spans: &[Span], events: Vec<LogEvent>) {
        let is_full = |number: usize| u64::try_from(number).is_ok_and(|number| number >= LOOK_BACK);
        if is_full(spans.len()) {
            self.past.spans = spans.iter().map(|span| span.start_time).min();
        }
        if is_full(events.len()) {
            self.past.events = events.iter().map(|event| event.timestamp).min();
        }
        self.shown.spans.extend(spans.iter().map(span_key));
        self.shown.events.extend(events.into_iter().map(|event| event.id));
    }

    /// Returns the records stored since the last reading, by time.
    fn new_records(&mut self, store: &dyn TraceStore) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        loop {
            let filter = StoredFilter::default();
            let stored = block_on(store.stored_after(self.cursor, filter, RECORDS_AT_ONCE))?;
            self.cursor = stored.upto;
            for span in &stored.ended {
                self.running.remove((span.trace_id, span.span_id));
            }
            records.extend(self.ended(stored.spans));
            records.extend(self.ended(stored.ended));
            records.extend(stored.events.into_iter().map(Record::Log));
            if !stored.more {
                break;
            }
        }
        if store.capabilities().order == StoreOrder::Exact {
            let before = std::mem::take(&mut self.shown);
            records.retain(|record| !before.has(record));
        } else {
            records.retain(|record| self.past.is_before(record) && self.shown.add(record));
            self.shown.limit(MAX_SHOWN);
        }
        if self.last_check.elapsed() >= CHECK_INTERVAL {
            self.last_check = Instant::now();
            records.extend(self.abandoned(store)?);
        }
        records.sort_by_key(Record::time);
        Ok(records)
    }

    /// Returns the time until running spans are checked again; `None` if no span is running.
    fn next_check_in(&self) -> Option<Duration> {
        let pause = CHECK_INTERVAL.saturating_sub(self.last_check.elapsed());
        (!self.running.spans.is_empty()).then_some(pause)
    }

    /// Returns those of these spans that ended, and remembers the others as running.
    fn ended(&mut self, spans: Vec<Span>) -> Vec<Record> {
        let mut ended = Vec::new();
        for span in spans {
            match span.state {
                SpanState::Running => self.running.add((span.trace_id, span.span_id)),
                SpanState::Ended | SpanState::Abandoned => ended.push(Record::Span(Box::new(span))),
            }
        }
        ended
    }

    /// Checks some of the running spans, and returns those whose programs have died.
    fn abandoned(&mut self, store: &dyn TraceStore) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for (trace, span) in self.running.next(SPANS_PER_CHECK) {
            match block_on(store.get_span(trace, span)) {
                Ok(found) if found.state == SpanState::Abandoned => {
                    records.push(Record::Span(Box::new(found)));
                    self.running.remove((trace, span));
                }
                // Its end will be read after the cursor.
                Ok(_) => {}
                // Deleted meanwhile.
                Err(error) if error.is_not_found() => self.running.remove((trace, span)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(records)
    }
}

/// Running spans, in the order in which they were found.
#[derive(Default)]
struct Running {
    spans: BTreeMap<u64, (TraceId, SpanId)>,
    numbers: HashMap<(TraceId, SpanId), u64>,
    last: u64,
    /// Where the next check begins.
    next: u64,
}

impl Running {
    fn add(&mut self, span: (TraceId, SpanId)) {
        self.last += 1;
        if let Some(known) = self.numbers.insert(span, self.last) {
            self.spans.remove(&known);
        }
        self.spans.insert(self.last, span);
        while self.spans.len() > MAX_RUNNING
            && let Some((_, oldest)) = self.spans.pop_first()
        {
            self.numbers.remove(&oldest);
        }
    }

    fn remove(&mut self, span: (TraceId, SpanId)) {
        if let Some(number) = self.numbers.remove(&span) {
            self.spans.remove(&number);
        }
    }

    /// Returns up to `count` spans, in rotation.
    fn next(&mut self, count: usize) -> Vec<(TraceId, SpanId)> {
        let first = self.spans.range(self.next..);
        let rest = self.spans.range(..self.next);
        let chosen: Vec<_> = first.chain(rest).take(count).collect();
        self.next = chosen.last().map_or(0, |(number, _)| *number + 1);
        chosen.into_iter().map(|(_, span)| *span).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn span(number: u8) -> (TraceId, SpanId) {
        (
            TraceId::from_bytes([1; 16]).unwrap(),
            SpanId::from_bytes([number; 8]).unwrap(),
        )
    }

    fn record(number: u8) -> Record {
        let (trace, id) = span(number);
        Record::Span(Box::new(Span::new(
            trace,
            id,
            "step".to_owned(),
            Timestamp::now(),
        )))
    }

    #[test]
    fn a_record_that_the_store_returns_again_is_shown_once() {
        let mut shown = Shown::default();
        for number in 1..=3 {
            assert!(shown.add(&record(number)));
            assert!(!shown.add(&record(number)));
            shown.limit(2);
        }
        assert!(
            shown.older.is_some() && !shown.add(&record(1)),
            "half of the ids is kept"
        );
        assert!(shown.add(&record(4)));
        for number in 5..=9 {
            shown.add(&record(number));
            shown.limit(2);
        }
        assert!(shown.add(&record(1)), "the oldest are given up");
    }

    #[test]
    fn running_spans_are_checked_in_turn() {
        let mut running = Running::default();
        for number in 1..=5 {
            running.add(span(number));
        }
        assert_eq!(running.next(2), [span(1), span(2)]);
        running.remove(span(3));
        running.add(span(1)); // found again: moves to the end
        assert_eq!(running.next(2), [span(4), span(5)]);
        assert_eq!(running.next(3), [span(1), span(2), span(4)]);
        for number in [1, 2, 4, 5] {
            running.remove(span(number));
        }
        assert_eq!(running.next(2), []);
    }
}
