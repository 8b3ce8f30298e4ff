//! Rows of spans, events and attributes, and the common code that stores them in a transaction:
//! shared by every writer of a file.
//!
//! A writer fills rows and does not know their columns; each INSERT statement exists once, here or
//! in `traces`. Row ids are assigned here, inside the write transaction, so that several processes
//! never assign the same.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{SpanId, SpanKind, SpanStatus, Timestamp, TraceId};

use super::bulk::{Bulk, Cell, Table};
use super::processes::add_bytes;
use super::runs::{Found, Runs};
use super::traces::{self, Owner, TraceChange};

/// Converts a span id to the `span_id` column.
pub(crate) fn span_key(span_id: SpanId) -> i64 {
    i64::from_be_bytes(span_id.to_bytes())
}

/// Converts a status to the `status` column.
pub(crate) fn status_number(status: SpanStatus) -> i64 {
    i64::from(status == SpanStatus::Error)
}

/// Converts a kind to the `kind` column.
pub(crate) fn kind_number(kind: SpanKind) -> i64 {
    match kind {
        SpanKind::Internal => 0,
        SpanKind::Server => 1,
        SpanKind::Client => 2,
        SpanKind::Producer => 3,
        SpanKind::Consumer => 4,
    }
}

/// Converts the `kind` column to a kind.
pub(crate) fn kind_of(number: i64) -> SpanKind {
    match number {
        1 => SpanKind::Server,
        2 => SpanKind::Client,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

/// A number or text under an indexed key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Indexed {
    Text(String),
    Integer(i64),
    Float(f64),
}

/// A row of `_span` without its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanRow<'s> {
    pub(crate) callsite: i64,
    /// Set if it differs from the callsite's.
    pub(crate) name: Option<&'s str>,
    pub(crate) start: i64,
    pub(crate) duration: Option<i64>,
    pub(crate) status: Option<i64>,
    pub(crate) trace: i64,
    pub(crate) process: i64,
    pub(crate) kind: i64,
    pub(crate) key: i64,
    pub(crate) parent: Option<i64>,
    pub(crate) attributes: &'s str,
    pub(crate) extra: Option<&'s str>,
    /// Set if it differs from the callsite's.
    pub(crate) category: Option<&'s str>,
    /// 1 for the server's half of a call whose halves share an id.
    pub(crate) half: Option<i64>,
}

/// A row of `_event`; its id is assigned when it is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventRow<'e> {
    pub(crate) callsite: i64,
    pub(crate) time: i64,
    pub(crate) trace: Option<i64>,
    pub(crate) span: Option<i64>,
    pub(crate) process: i64,
    /// Set if it differs from the callsite's, like `name` and `category`.
    pub(crate) severity: Option<i64>,
    pub(crate) name: Option<&'e str>,
    pub(crate) message: &'e str,
    /// A JSON object; `{}` if there are none.
    pub(crate) attributes: &'e str,
    pub(crate) expires: Option<i64>,
    pub(crate) category: Option<&'e str>,
}

/// The size of a span's row in addition to its texts, with its part of the indexes.
const SPAN_BYTES: i64 = 110;
/// The size of an event's row in addition to its texts.
const EVENT_BYTES: i64 = 50;

const SPANS: Table<14> = Table {
    insert: "INSERT OR FAIL INTO _span",
    columns: [
        "callsite",
        "start",
        "duration",
        "status",
        "trace",
        "process",
        "kind",
        "span_id",
        "parent",
        "attributes",
        "name",
        "extra",
        "category",
        "half",
    ],
    rare: 4,
};

const EVENTS: Table<11> = Table {
    insert: "INSERT OR FAIL INTO _event",
    columns: [
        "callsite",
        "time",
        "trace",
        "span_id",
        "process",
        "message",
        "attributes",
        "severity",
        "name",
        "expires",
        "category",
    ],
    rare: 4,
};

const ATTRIBUTES: Table<3> = Table {
    insert: "INSERT OR IGNORE INTO _attr",
    columns: ["key", "value", "span"],
    rare: 0,
};

/// The rows of one transaction.
pub(crate) struct RowWriter<'a> {
    db: &'a Connection,
    owner: Owner,
    next_trace: i64,
    next_span: i64,
    next_event: i64,
    /// The latest start of the transaction's records.
    pub(crate) latest_time: i64,
    traces: Vec<(TraceId, TraceChange)>,
    /// The indices of `traces`, by trace id.
    places: HashMap<TraceId, usize>,
    /// The last one used: records of a trace are usually consecutive.
    current: Option<(TraceId, usize)>,
    /// The bytes that processes stored outside traces.
    loose_bytes: HashMap<i64, i64>,
    runs: Runs,
    spans: Bulk<'a, 14>,
    events: Bulk<'a, 11>,
    attributes: Bulk<'a, 3>,
}

impl<'a> RowWriter<'a> {
    /// Begins a batch; the caller holds the write transaction.
    pub(crate) fn begin(db: &'a Connection, owner: Owner) -> rusqlite::Result<Self> {
        let [next_trace, next_span, next_event] = db
            .prepare_cached(
                "SELECT MAX(trace, COALESCE((SELECT MAX(id) FROM _trace), 0)) + 1,
                     MAX(span, COALESCE((SELECT MAX(id) FROM _span), 0)) + 1,
                     MAX(event, COALESCE((SELECT MAX(id) FROM _event), 0)) + 1 FROM _given",
            )?
            .query_row([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        Ok(Self {
            db,
            owner,
            next_trace,
            next_span,
            next_event,
            latest_time: 0,
            traces: Vec::new(),
            places: HashMap::new(),
            current: None,
            loose_bytes: HashMap::new(),
            runs: Runs::default(),
            spans: Bulk::new(db, &SPANS),
            events: Bulk::new(db, &EVENTS),
            attributes: Bulk::new(db, &ATTRIBUTES),
        })
    }

    /// Sets the owner of the following traces.
    pub(crate) fn set_owner(&mut self, owner: Owner) -> rusqlite::Result<()> {
        if owner != self.owner {
            self.write_traces()?;
            self.owner = owner;
        }
        Ok(())
    }

    /// Returns the first unassigned ids of traces, spans and events.
    pub(crate) fn next(&self) -> [i64; 3] {
        [self.next_trace, self.next_span, self.next_event]
    }

    /// Writes a mark: everything stored so far started before `time`.
    pub(crate) fn mark(&self, time: i64) -> rusqlite::Result<()> {
        let now = Timestamp::now().as_nanos();
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO _mark (time, span, event, stored) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute([time, self.next_span, self.next_event, now])?;
        Ok(())
    }

    /// Assigns the id of a span's row.
    pub(crate) fn new_span(&mut self) -> i64 {
        self.next_span += 1;
        self.next_span - 1
    }

    /// Returns the trace, as changed by this batch, extended by a time range.
    pub(crate) fn touch(
        &mut self,
        trace_id: TraceId,
        start: i64,
        end: i64,
    ) -> rusqlite::Result<&mut TraceChange> {
        self.latest_time = self.latest_time.max(start);
        let trace = self.change(trace_id)?;
        trace.stretch(start, end);
        Ok(trace)
    }

    /// Returns the row of the trace that an event at `time` belongs to. Only a trace without spans
    /// is extended by events: it lasts from the first to the last of them.
    pub(crate) fn touch_adjacent(&mut self, trace_id: TraceId, time: i64) -> rusqlite::Result<i64> {
        let trace = self.change(trace_id)?;
        trace.other_times = Some(match trace.other_times {
            Some((first, last)) => (first.min(time), last.max(time)),
            None => (time, time),
        });
        Ok(trace.row)
    }

    /// Returns the trace, as changed by this batch.
    pub(crate) fn change(&mut self, trace_id: TraceId) -> rusqlite::Result<&mut TraceChange> {
        let place = match self.place(trace_id) {
            Some(place) => place,
            None => {
                let known = self.owner.find(self.db, trace_id)?;
                let (row, stored_spans) = known.unwrap_or_else(|| {
                    self.next_trace += 1;
                    (self.next_trace - 1, 0)
                });
                let change = TraceChange::new(row, known.is_none(), stored_spans);
                self.traces.push((trace_id, change));
                let place = self.traces.len() - 1;
                self.places.insert(trace_id, place);
                self.current = Some((trace_id, place));
                place
            }
        };
        Ok(&mut self.traces[place].1)
    }

    /// The trace, if this batch has changed it already.
    pub(crate) fn touched(&mut self, trace_id: TraceId) -> Option<&mut TraceChange> {
        let place = self.place(trace_id)?;
        self.traces.get_mut(place).map(|(_, trace)| trace)
    }

    fn place(&mut self, trace_id: TraceId) -> Option<usize> {
        if let Some((current, place)) = self.current
            && current == trace_id
        {
            return Some(place);
        }
        let place = *self.places.get(&trace_id)?;
        self.current = Some((trace_id, place));
        Some(place)
    }

    /// Counts the size of a record of the last used trace.
    fn account(&mut self, trace: i64, bytes: i64) {
        let current = self.current.and_then(|(_, place)| self.traces.get_mut(place));
        let change = match current {
            Some((_, change)) if change.row == trace => Some(change),
            _ => self
                .traces
                .iter_mut()
                .map(|(_, change)| change)
                .find(|change| change.row == trace),
        };
        if let Some(change) = change {
            change.bytes = change.bytes.saturating_add(bytes);
        }
    }

    /// Changes the stored row of a span of this trace, and counts the growth of its texts. Returns
    /// the number of changed rows.
    pub(crate) fn change_span(
        &mut self,
        trace: i64,
        row: i64,
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<usize> {
        self.spans.flush()?;
        let before = self.text_bytes(row)?;
        let changed = change(self.db)?;
        let growth = self.text_bytes(row)? - before;
        self.account(trace, growth);
        Ok(changed)
    }

    /// The bytes of the texts in a span's stored row; 0 if the row was deleted.
    fn text_bytes(&self, row: i64) -> rusqlite::Result<i64> {
        let bytes = self
            .db
            .prepare_cached(
                "SELECT octet_length(attributes) + COALESCE(octet_length(name), 0)
                     + COALESCE(octet_length(extra), 0) + COALESCE(octet_length(category), 0)
                 FROM _span WHERE id = ?1",
            )?
            .query_row([row], |found| found.get(0))
            .optional()?;
        Ok(bytes.unwrap_or(0))
    }

    /// Adds a span's row, with the assigned id.
    pub(crate) fn add_span(&mut self, row: i64, span: &SpanRow<'_>) -> rusqlite::Result<()> {
        let texts = [Some(span.attributes), span.name, span.extra, span.category];
        self.account(span.trace, SPAN_BYTES + bytes_of(texts));
        self.spans.push_numbered(
            row,
            [
                span.callsite.into(),
                span.start.into(),
                span.duration.into(),
                span.status.into(),
                span.trace.into(),
                span.process.into(),
                span.kind.into(),
                span.key.into(),
                span.parent.into(),
                span.attributes.into(),
                span.name.into(),
                span.extra.into(),
                span.category.into(),
                span.half.into(),
            ],
        )
    }

    /// Stores an indexed value of an attribute: its key's row in `_attr_key`, and the span's row.
    pub(crate) fn index(&mut self, key: i64, value: &Indexed, span: i64) -> rusqlite::Result<()> {
        let value = match value {
            Indexed::Text(text) => Cell::Text(text),
            Indexed::Integer(number) => Cell::Integer(*number),
            Indexed::Float(number) => Cell::Real(*number),
        };
        self.attributes.push([key.into(), value, span.into()])
    }

    /// Deletes the indexed values of a span, before its current ones are added.
    pub(crate) fn unindex(&mut self, span: i64) -> rusqlite::Result<()> {
        self.attributes.flush()?;
        self.db
            .prepare_cached("DELETE FROM _attr WHERE span = ?1")?
            .execute([span])?;
        Ok(())
    }

    /// Notes the run attributes of a span, if it has any.
    pub(crate) fn note_run(&mut self, trace: i64, found: Found) {
        self.runs.note(trace, found);
    }

    /// Notes that the root of a stored trace arrived or ended, or may have.
    pub(crate) fn note_root_of_run(&mut self, trace: i64) {
        self.runs.note_root(trace);
    }

    /// Notes that a span arrived in a stored trace that may be between two spans of one task.
    pub(crate) fn note_ancestor_in_run(&mut self, trace: i64) {
        self.runs.note_ancestor(trace);
    }

    /// Notes that a span that was stored while it was running has ended.
    pub(crate) fn note_end(&self, trace: i64, span: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("INSERT INTO _ended (trace, span) VALUES (?1, ?2)")?
            .execute([trace, span])?;
        Ok(())
    }

    /// Adds an event's row and returns its id.
    pub(crate) fn add_event(&mut self, event: &EventRow<'_>) -> rusqlite::Result<i64> {
        let row = self.next_event;
        self.next_event += 1;
        let texts = [
            Some(event.message),
            Some(event.attributes),
            event.name,
            event.category,
        ];
        let bytes = EVENT_BYTES + bytes_of(texts);
        match event.trace {
            Some(trace) => self.account(trace, bytes),
            None => *self.loose_bytes.entry(event.process).or_default() += bytes,
        }
        let attributes = (event.attributes.len() > 2).then_some(event.attributes);
        self.events.push_numbered(
            row,
            [
                event.callsite.into(),
                event.time.into(),
                event.trace.into(),
                event.span.into(),
                event.process.into(),
                event.message.into(),
                attributes.into(),
                event.severity.into(),
                event.name.into(),
                event.expires.into(),
                event.category.into(),
            ],
        )?;
        Ok(row)
    }

    /// Writes the collected spans.
    pub(crate) fn flush_spans(&mut self) -> rusqlite::Result<()> {
        self.spans.flush()
    }

    /// Writes the collected spans and events.
    pub(crate) fn flush_records(&mut self) -> rusqlite::Result<()> {
        self.spans.flush()?;
        self.events.flush()
    }

    /// Writes the remaining rows.
    pub(crate) fn flush(&mut self) -> rusqlite::Result<()> {
        self.spans.flush()?;
        self.events.flush()?;
        self.attributes.flush()?;
        self.write_traces()?;
        for (process, bytes) in self.loose_bytes.drain() {
            add_bytes(self.db, process, bytes)?;
        }
        std::mem::take(&mut self.runs).write(self.db)
    }

    fn write_traces(&mut self) -> rusqlite::Result<()> {
        self.places.clear();
        self.current = None;
        traces::write(self.db, self.owner, std::mem::take(&mut self.traces))
    }
}

/// Returns the total length of some texts in bytes.
fn bytes_of<const TEXTS: usize>(texts: [Option<&str>; TEXTS]) -> i64 {
    let bytes: usize = texts.into_iter().flatten().map(str::len).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX / 2)
}
