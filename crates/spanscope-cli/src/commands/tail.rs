//! `spanscope tail`: follows what any program writes into the store, and shows it as that program's console would.
//!
//! It asks a few times a second for what was stored after the last answer, by the growing numbers of the store, so
//! that an idle store costs next to nothing and a busy one loses nothing. A span that was stored while it ran is asked
//! for until it ends.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{
    LogEvent, LogFilter, Severity, Span, SpanId, SpanState, Timestamp, TraceId, TraceStore,
};
use spanscope_sqlite::{SqliteStore, wait};

use super::StoreFile;
use crate::args::{Format, TailArgs};
use crate::output::{Output, json_line};
use crate::render::line::{EntryLines, severity_of};
use crate::resolve::severity;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// Spans read in one go.
const SPANS_AT_ONCE: u64 = 5_000;
/// At the start, spans that still run are looked for among so many that were stored last.
const LOOK_BACK: i64 = 10_000;
/// More running spans than this are not waited for; the oldest are given up first.
const MAX_RUNNING: usize = 10_000;
/// Running spans asked for in one look.
const ASKED_AT_ONCE: usize = 200;

pub(super) fn run(file: &StoreFile, args: &TailArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let least = args.severity.as_deref().map(severity).transpose()?;
    let mut lines = EntryLines::new(&out, false);
    let store = file.open()?;
    let mut follower = Follower::new(&store)?;
    let last = follower.last(&store, usize::try_from(args.lines).unwrap_or(usize::MAX), least)?;
    show(&out, &mut lines, &last)?;
    loop {
        let mut records = follower.news(&store)?;
        records.retain(|record| record.is_at_least(least));
        show(&out, &mut lines, &records)?;
        sleep(INTERVAL);
    }
}

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record {
    Log(LogEvent),
    Span(Box<Span>),
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
            // What never ends is no one document: JSON is a line a record here.
            (Format::Json | Format::Jsonl, record) => text.push_str(&json_line(record)?),
        }
    }
    if text.is_empty() { Ok(()) } else { out.print(&text) }
}

/// How far has been read.
struct Follower {
    event: i64,
    span: i64,
    running: BTreeMap<i64, (TraceId, SpanId)>,
    /// Where among the running spans the next look begins.
    next_running: i64,
}

impl Follower {
    fn new(store: &SqliteStore) -> Result<Self> {
        Ok(Self {
            event: store.latest_event_id()?,
            span: store.latest_span_number()?,
            running: BTreeMap::new(),
            next_running: 0,
        })
    }

    /// What happened last before the start.
    fn last(&mut self, store: &SqliteStore, lines: usize, least: Option<Severity>) -> Result<Vec<Record>> {
        let now = self.span;
        self.span = now.saturating_sub(LOOK_BACK).max(0);
        let mut records = self.ended_spans(store, now)?;
        let events = wait(store.list_logs(LogFilter {
            min_severity: least,
            limit: u64::try_from(lines).unwrap_or(u64::MAX),
            ..LogFilter::default()
        }))?;
        let upto = self.event;
        records.extend(
            events
                .into_iter()
                .filter(|event| event.id <= upto)
                .map(Record::Log),
        );
        records.retain(|record| record.is_at_least(least));
        records.sort_by_key(Record::time);
        Ok(records.split_off(records.len().saturating_sub(lines)))
    }

    /// What was stored since the last look, in the order of its times.
    fn news(&mut self, store: &SqliteStore) -> Result<Vec<Record>> {
        let mut records = self.ends_of_running_spans(store)?;
        records.extend(self.ended_spans(store, i64::MAX)?);
        let events = wait(store.list_logs(LogFilter {
            after_id: Some(self.event),
            limit: u64::MAX,
            ..LogFilter::default()
        }))?;
        self.event = events.iter().map(|event| event.id).max().unwrap_or(self.event);
        records.extend(events.into_iter().map(Record::Log));
        records.sort_by_key(Record::time);
        Ok(records)
    }

    fn ended_spans(&mut self, store: &SqliteStore, upto: i64) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        loop {
            let spans = store.spans_after(self.span, SPANS_AT_ONCE)?;
            let is_last = u64::try_from(spans.len()).unwrap_or(u64::MAX) < SPANS_AT_ONCE;
            for (number, span) in spans {
                if number > upto {
                    return Ok(records);
                }
                self.span = number;
                match span.state {
                    SpanState::Running => drop(self.running.insert(number, (span.trace_id, span.span_id))),
                    SpanState::Ended | SpanState::Abandoned => records.push(Record::Span(Box::new(span))),
                }
            }
            while self.running.len() > MAX_RUNNING {
                self.running.pop_first();
            }
            if is_last {
                return Ok(records);
            }
        }
    }

    fn ends_of_running_spans(&mut self, store: &SqliteStore) -> Result<Vec<Record>> {
        let asked: Vec<_> = {
            let first = self.running.range(self.next_running..);
            let rest = self.running.range(..self.next_running);
            first
                .chain(rest)
                .take(ASKED_AT_ONCE)
                .map(|(number, ids)| (*number, *ids))
                .collect()
        };
        self.next_running = asked.last().map_or(0, |(number, _)| number.saturating_add(1));
        let mut records = Vec::new();
        for (number, (trace, span)) in asked {
            match wait(store.get_span(trace, span)) {
                Ok(span) if span.state == SpanState::Running => continue,
                Ok(span) => records.push(Record::Span(Box::new(span))),
                // Deleted meanwhile.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
            self.running.remove(&number);
        }
        Ok(records)
    }
}
