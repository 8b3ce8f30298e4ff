//! One transaction of records.
//!
//! Row numbers are given out here, inside of the write transaction, so that several processes never give out the same.
//! Traces are read once and written once a batch, however many of their spans it holds. Nothing outside changes until
//! the caller has committed: what it must remember comes back as [`Outcome`].

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use spanscope_layers::Categories;
use spanscope_layers::capture::{
    CallsiteTable, Capture, FieldReader, SpanIds, SpanRecord, WallClock, can_measure,
};
use spanscope_layers::queue::{Chunk, Entry, EventEntry, SpanEntry};
use spanscope_model::{SpanId, SpanKind, SpanStatus, Timestamp, TraceId};
use tracing_core::span::Id;

use super::bulk::{Bulk, number_or_null, text_or_null};
use super::database::{OpenSpan, callsite_row};
use super::decode::{Decoded, Indexed, Prepared, extra};
use super::measurements::Measurements;
use super::tail::{Fate, InFile, Tail};

/// A span id as the `span_id` column has it.
pub(super) fn span_key(span_id: SpanId) -> i64 {
    i64::from_be_bytes(span_id.to_bytes())
}

/// What the writer keeps from batch to batch to read records with.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) callsites: CallsiteTable<Prepared>,
    /// Targets that records of the `log` crate brought with them, by level.
    pub(super) log_callsites: HashMap<(String, u8), i64>,
    pub(super) decoded: Decoded,
    pub(super) indexed_keys: Vec<String>,
}

impl Reading {
    pub(super) fn new(categories: Arc<Categories>) -> Self {
        Self {
            callsites: CallsiteTable::new(categories),
            log_callsites: HashMap::new(),
            decoded: Decoded::default(),
            indexed_keys: Vec::new(),
        }
    }
}

/// What the caller has to remember once the transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) opened: HashMap<i64, OpenSpan>,
    pub(super) ended: Vec<i64>,
    pub(super) latest_time: i64,
    /// Metrics that had too many label sets.
    pub(super) overflowed: Vec<String>,
    /// Records that the tail rule left out.
    pub(super) sampled: u64,
    /// What was written of traces that are not decided.
    pub(super) undecided: HashMap<TraceId, InFile>,
    /// The first numbers that were given to no row, of traces, spans and events.
    pub(super) next: [i64; 3],
}

/// How a batch changes one trace.
#[derive(Debug)]
struct TraceChange {
    row: i64,
    is_new: bool,
    start: i64,
    end: i64,
    root: Option<(i64, i64)>,
    spans: i64,
    errors: i64,
    open: i64,
}

/// What a span's row has beside what was read from its fields.
struct SpanRow<'s> {
    row: i64,
    callsite: i64,
    start: i64,
    ended: Option<(i64, SpanStatus)>,
    trace: i64,
    key: i64,
    parent: Option<i64>,
    links: &'s [SpanIds],
}

pub(super) struct Batch<'a> {
    db: &'a Connection,
    reading: &'a mut Reading,
    process: i64,
    open: &'a HashMap<i64, OpenSpan>,
    indexed_rows: &'a [i64],
    tail: Option<&'a Tail>,
    clock: WallClock,
    next_trace: i64,
    next_span: i64,
    next_event: i64,
    traces: HashMap<TraceId, TraceChange>,
    outcome: Outcome,
    find_trace: CachedStatement<'a>,
    spans: Bulk<'a, 14>,
    events: Bulk<'a, 12>,
    insert_attr: CachedStatement<'a>,
    measurements: Measurements<'a>,
}

impl<'a> Batch<'a> {
    /// Begins; the caller holds the write transaction.
    pub(super) fn begin(
        db: &'a Connection,
        reading: &'a mut Reading,
        process: i64,
        open: &'a HashMap<i64, OpenSpan>,
        indexed_rows: &'a [i64],
        capture: &Capture,
        max_series: u64,
    ) -> rusqlite::Result<Self> {
        let [next_trace, next_span, next_event] = db
            .prepare_cached(
                "SELECT MAX(trace, COALESCE((SELECT MAX(id) FROM _trace), 0)) + 1,
                     MAX(span, COALESCE((SELECT MAX(id) FROM _span), 0)) + 1,
                     MAX(event, COALESCE((SELECT MAX(id) FROM _event), 0)) + 1 FROM _given",
            )?
            .query_row([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        Ok(Self {
            db,
            reading,
            process,
            open,
            indexed_rows,
            tail: None,
            clock: capture.clock().anchored(),
            next_trace,
            next_span,
            next_event,
            traces: HashMap::new(),
            outcome: Outcome::default(),
            find_trace: db.prepare_cached("SELECT id FROM _trace WHERE trace_id = ?1")?,
            spans: Bulk::new(
                db,
                "INSERT INTO _span (id, callsite, name, start, duration, status, trace, process, kind, span_id, parent,
                 attributes, extra, category)",
            )?,
            events: Bulk::new(
                db,
                "INSERT INTO _event (id, callsite, time, trace, span_id, process, severity, name, message, attributes,
                 expires, category)",
            )?,
            insert_attr: db.prepare_cached("INSERT OR IGNORE INTO _attr (key, value, span) VALUES (?1, ?2, ?3)")?,
            measurements: Measurements::begin(db, process, max_series),
        })
    }

    /// Leaves out what the tail rule has dropped, if there is one.
    pub(super) fn following(mut self, tail: Option<&'a Tail>) -> Self {
        self.tail = tail;
        self
    }

    /// Sets a mark: what was stored until now began before `time`.
    pub(super) fn mark(&self, time: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("INSERT OR IGNORE INTO _mark (time, span, event) VALUES (?1, ?2, ?3)")?
            .execute(params![time, self.next_span, self.next_event])?;
        Ok(())
    }

    fn fate(&self, trace_id: TraceId) -> Fate {
        self.tail.map_or(Fate::Wanted, |tail| tail.fate(trace_id))
    }

    /// Notes what is written of a trace, if it may have to be taken back.
    fn note(&mut self, fate: Fate, trace_id: TraceId, add: impl FnOnce(&mut InFile)) {
        if fate == Fate::Undecided {
            add(self.outcome.undecided.entry(trace_id).or_default());
        }
    }

    /// Gives rows to the spans of these chunks that still run.
    pub(super) fn write_running(&mut self, chunks: &[Chunk], capture: &Capture) -> rusqlite::Result<()> {
        let mut result = Ok(());
        capture.look_at_opened(chunks.iter().flat_map(Chunk::opened), |id, record| {
            if let Some(record) = record
                && result.is_ok()
            {
                result = self.write_running_span(id, record);
            }
        });
        result?;
        // Their ends may be in the same batch, and update these rows.
        self.spans.flush()
    }

    fn write_running_span(&mut self, id: &Id, record: &SpanRecord) -> rusqlite::Result<()> {
        let ids = record.ids();
        let key = span_key(ids.span_id);
        if self.open.contains_key(&key) || self.outcome.opened.contains_key(&key) {
            return Ok(());
        }
        let fate = self
            .tail
            .map_or(Fate::Wanted, |tail| tail.fate_of_running(ids.trace_id));
        if fate == Fate::Unwanted {
            return Ok(());
        }
        let row = self.next_span;
        self.next_span += 1;
        self.note(fate, ids.trace_id, |in_file| in_file.add_span_row(row));
        let start = self.clock.wall(record.start()).as_nanos();
        let trace = self.touch(ids.trace_id, start, start)?;
        trace.spans += 1;
        trace.open += 1;
        if record.is_local_root() && trace.root.is_none_or(|(_, other)| start < other) {
            trace.root = Some((row, start));
        }
        let trace_row = trace.row;
        let callsite = self.read(record.metadata(), FieldReader::new(record.fields()))?;
        self.insert_span(SpanRow {
            row,
            callsite,
            start,
            ended: None,
            trace: trace_row,
            key,
            parent: record.parent().map(span_key),
            links: record.links(),
        })?;
        let open = OpenSpan {
            row,
            id: id.clone(),
            field_bytes: record.fields().len(),
            missing: false,
        };
        self.outcome.opened.insert(key, open);
        Ok(())
    }

    /// Writes all records of these chunks.
    pub(super) fn write_chunks(&mut self, chunks: &[Chunk]) -> rusqlite::Result<()> {
        for chunk in chunks {
            for entry in chunk.entries() {
                match entry {
                    Entry::Span(span) => self.write_span(span, chunk.span_fields(span))?,
                    Entry::Measurement(measured) => {
                        let time = self.clock.wall(measured.time).as_nanos();
                        self.measurements
                            .add_entry(measured, chunk.measurement_fields(measured), time)?;
                    }
                    Entry::Start(_) => {} // this layer asks for none: what runs has a row of its own
                    Entry::Event(event) => self.write_event(event, chunk.event_fields(event))?,
                }
            }
        }
        Ok(())
    }

    fn write_span(&mut self, span: &SpanEntry, fields: FieldReader<'_>) -> rusqlite::Result<()> {
        let fate = self.fate(span.ids.trace_id);
        if fate == Fate::Unwanted {
            self.outcome.sampled += 1;
            return Ok(());
        }
        self.note(fate, span.ids.trace_id, InFile::add_record);
        let callsite = self.read(span.metadata, fields)?;
        let status = self.reading.decoded.status.unwrap_or(if span.failed {
            SpanStatus::Error
        } else {
            SpanStatus::Ok
        });
        let start = self.clock.wall(span.start).as_nanos();
        let duration = self.clock.nanos_between(span.start, span.end);
        let duration = i64::try_from(duration).unwrap_or(i64::MAX - start.max(0));
        let key = span_key(span.ids.span_id);
        let running = self
            .open
            .get(&key)
            .or_else(|| self.outcome.opened.get(&key))
            .map(|open| open.row);
        let trace = self.touch(span.ids.trace_id, start, start.saturating_add(duration))?;
        trace.errors += i64::from(status == SpanStatus::Error);
        let trace_row = trace.row;
        if let Some(row) = running {
            self.outcome.ended.push(key);
            if self.end_running(row, key, callsite, duration, status, span)? {
                if let Some(trace) = self.traces.get_mut(&span.ids.trace_id) {
                    trace.open -= 1;
                }
                return Ok(());
            }
            // Its row was deleted meanwhile; it is stored anew.
        }
        let row = self.next_span;
        self.next_span += 1;
        self.note(fate, span.ids.trace_id, |in_file| in_file.add_span_row(row));
        if let Some(trace) = self.traces.get_mut(&span.ids.trace_id) {
            trace.spans += 1;
            if span.is_local_root && trace.root.is_none_or(|(_, other)| start < other) {
                trace.root = Some((row, start));
            }
        }
        self.insert_span(SpanRow {
            row,
            callsite,
            start,
            ended: Some((duration, status)),
            trace: trace_row,
            key,
            parent: span.parent.map(span_key),
            links: &span.links,
        })
    }

    /// Inserts a span whose fields have just been read.
    fn insert_span(&mut self, span: SpanRow<'_>) -> rusqlite::Result<()> {
        let decoded = &self.reading.decoded;
        let extra = extra(decoded.status_message.as_deref(), span.links);
        self.spans.push([
            Value::Integer(span.row),
            Value::Integer(span.callsite),
            text_or_null(decoded.name.as_deref()),
            Value::Integer(span.start),
            number_or_null(span.ended.map(|(duration, _)| duration)),
            number_or_null(
                span.ended
                    .map(|(_, status)| i64::from(status == SpanStatus::Error)),
            ),
            Value::Integer(span.trace),
            Value::Integer(self.process),
            Value::Integer(kind_number(decoded.kind).into()),
            Value::Integer(span.key),
            number_or_null(span.parent),
            Value::Text(decoded.attributes.clone()),
            extra.map_or(Value::Null, Value::Text),
            text_or_null(decoded.category.as_deref()),
        ])?;
        self.index(span.row)
    }

    fn end_running(
        &mut self,
        row: i64,
        key: i64,
        callsite: i64,
        duration: i64,
        status: SpanStatus,
        span: &SpanEntry,
    ) -> rusqlite::Result<bool> {
        let decoded = &self.reading.decoded;
        let changed = self
            .db
            .prepare_cached(
                "UPDATE _span SET callsite = ?3, name = ?4, duration = ?5, status = ?6, kind = ?7, parent = ?8,
                 attributes = ?9, extra = ?10, category = ?11 WHERE id = ?1 AND span_id = ?2 AND duration IS NULL",
            )?
            .execute(params![
                row,
                key,
                callsite,
                decoded.name,
                duration,
                i64::from(status == SpanStatus::Error),
                kind_number(decoded.kind),
                span.parent.map(span_key),
                decoded.attributes,
                extra(decoded.status_message.as_deref(), &span.links),
                decoded.category,
            ])?;
        if changed == 0 {
            return Ok(false);
        }
        if !decoded.indexed.is_empty() {
            self.db
                .prepare_cached("DELETE FROM _attr WHERE span = ?1")?
                .execute([row])?;
            self.index(row)?;
        }
        Ok(true)
    }

    fn write_event(&mut self, event: &EventEntry, fields: FieldReader<'_>) -> rusqlite::Result<()> {
        let fate = match event.ids {
            Some(SpanIds { trace_id, .. }) => self.fate(trace_id),
            None => Fate::Wanted,
        };
        if fate == Fate::Unwanted && !can_measure(event.metadata) {
            self.outcome.sampled += 1;
            return Ok(());
        }
        let mut callsite = self.read(event.metadata, fields.clone())?;
        let time = self.clock.wall(event.time).as_nanos();
        let decoded = &self.reading.decoded;
        let expires = decoded
            .ttl_seconds
            .map(|ttl| time.saturating_add(ttl.max(0).saturating_mul(1_000_000_000)));
        let measured = decoded.measures && self.measure(event, fields, time, expires)?;
        if measured && (fate == Fate::Unwanted || self.reading.decoded.message.is_empty()) {
            return Ok(());
        }
        if fate == Fate::Unwanted {
            self.outcome.sampled += 1;
            return Ok(());
        }
        let trace = match event.ids {
            Some(SpanIds { trace_id, .. }) => Some(self.touch(trace_id, time, time)?.row),
            None => {
                self.outcome.latest_time = self.outcome.latest_time.max(time);
                None
            }
        };
        if let Some(target) = self.reading.decoded.log_target.take() {
            callsite = self.log_callsite(
                target,
                spanscope_layers::capture::severity_of(*event.metadata.level()).number(),
            )?;
        }
        let row = self.next_event;
        self.next_event += 1;
        if let Some(SpanIds { trace_id, .. }) = event.ids {
            self.note(fate, trace_id, |in_file| {
                in_file.add_event_row(row);
                // What it measured stays stored.
                if !measured {
                    in_file.add_record();
                }
            });
        }
        let decoded = &self.reading.decoded;
        self.events.push([
            Value::Integer(row),
            Value::Integer(callsite),
            Value::Integer(time),
            number_or_null(trace),
            number_or_null(event.ids.map(|ids| span_key(ids.span_id))),
            Value::Integer(self.process),
            number_or_null(decoded.severity.map(i64::from)),
            text_or_null(decoded.name.as_deref()),
            Value::Text(decoded.message.clone()),
            text_or_null((decoded.attributes.len() > 2).then_some(&decoded.attributes)),
            number_or_null(expires),
            text_or_null(decoded.category.as_deref()),
        ])
    }

    /// Stores what an event measured; `false` where it measured nothing, as its value says only now.
    fn measure(
        &mut self,
        event: &EventEntry,
        fields: FieldReader<'_>,
        time: i64,
        expires: Option<i64>,
    ) -> rusqlite::Result<bool> {
        let Reading {
            callsites,
            indexed_keys,
            ..
        } = &mut *self.reading;
        let callsite = callsites.get_or_insert_with(event.metadata, |info| Prepared::new(info, indexed_keys));
        let fields = callsite.info.resolve(fields);
        self.measurements.add_event(event, &fields, time, expires)
    }

    /// Reads a record's fields into the shared buffers and answers its callsite's row.
    fn read(
        &mut self,
        metadata: &'static tracing_core::Metadata<'static>,
        fields: FieldReader<'_>,
    ) -> rusqlite::Result<i64> {
        let Reading {
            callsites,
            decoded,
            indexed_keys,
            ..
        } = &mut *self.reading;
        let callsite = callsites.get_or_insert_with(metadata, |info| Prepared::new(info, indexed_keys));
        decoded.read(callsite, fields, indexed_keys);
        if let Some(row) = callsite.row {
            return Ok(row);
        }
        let info = &callsite.info;
        let level = info.severity.number();
        let row = callsite_row(
            self.db,
            callsite.name(),
            info.metadata.target(),
            level,
            &info.category,
        )?;
        callsite.row = Some(row);
        Ok(row)
    }

    fn log_callsite(&mut self, target: String, level: u8) -> rusqlite::Result<i64> {
        if let Some(row) = self.reading.log_callsites.get(&(target.clone(), level)) {
            return Ok(*row);
        }
        let decoded = &self.reading.decoded;
        let (module, file) = (decoded.log_module.as_deref(), decoded.log_file.as_deref());
        let categories = self.reading.callsites.categories();
        let origin = categories.of_place(&target, module, file);
        let row = callsite_row(self.db, "", &target, level, origin.category)?;
        if self.reading.log_callsites.len() < 10_000 {
            self.reading.log_callsites.insert((target, level), row);
        }
        Ok(row)
    }

    fn index(&mut self, span: i64) -> rusqlite::Result<()> {
        for (key, value) in &self.reading.decoded.indexed {
            let Some(key) = self.indexed_rows.get(*key) else {
                continue;
            };
            match value {
                Indexed::Text(text) => self.insert_attr.execute(params![key, text, span])?,
                Indexed::Integer(number) => self.insert_attr.execute(params![key, number, span])?,
                Indexed::Float(number) => self.insert_attr.execute(params![key, number, span])?,
            };
        }
        Ok(())
    }

    /// The trace, as far as this batch has changed it, stretched over a time.
    fn touch(&mut self, trace_id: TraceId, start: i64, end: i64) -> rusqlite::Result<&mut TraceChange> {
        self.outcome.latest_time = self.outcome.latest_time.max(start);
        let Self {
            traces,
            find_trace,
            next_trace,
            ..
        } = self;
        let trace = match traces.entry(trace_id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let known = find_trace
                    .query_row([trace_id.to_string()], |row| row.get(0))
                    .optional()?;
                let row = known.unwrap_or_else(|| {
                    *next_trace += 1;
                    *next_trace - 1
                });
                let is_new = known.is_none();
                entry.insert(TraceChange {
                    row,
                    is_new,
                    start,
                    end,
                    root: None,
                    spans: 0,
                    errors: 0,
                    open: 0,
                })
            }
        };
        trace.start = trace.start.min(start);
        trace.end = trace.end.max(end);
        Ok(trace)
    }

    /// Writes the traces.
    pub(super) fn finish(mut self) -> rusqlite::Result<Outcome> {
        self.spans.flush()?;
        self.events.flush()?;
        self.outcome.overflowed = self.measurements.finish()?;
        self.outcome.next = [self.next_trace, self.next_span, self.next_event];
        let mut insert = self.db.prepare_cached(
            "INSERT INTO _trace (id, trace_id, start, end, root, root_start, span_count, error_count, open_count, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut update = self.db.prepare_cached(
            "UPDATE _trace SET start = MIN(start, ?2), end = MAX(end, ?3),
             root = CASE WHEN ?5 < COALESCE(root_start, 9223372036854775807) THEN ?4 ELSE root END,
             root_start = CASE WHEN ?5 < COALESCE(root_start, 9223372036854775807) THEN ?5 ELSE root_start END,
             span_count = span_count + ?6, error_count = error_count + ?7, open_count = open_count + ?8 WHERE id = ?1",
        )?;
        let now = Timestamp::now().as_nanos();
        let mut traces: Vec<_> = self.traces.into_iter().collect();
        traces.sort_unstable_by_key(|(_, trace)| trace.row);
        for (trace_id, trace) in traces {
            let TraceChange {
                row,
                is_new,
                start,
                end,
                root,
                spans,
                errors,
                open,
            } = trace;
            let (root, root_start) = root.unzip();
            if is_new {
                let id = trace_id.to_string();
                insert.execute(params![
                    row, id, start, end, root, root_start, spans, errors, open, now
                ])?;
            } else {
                update.execute(params![row, start, end, root, root_start, spans, errors, open])?;
            }
        }
        Ok(self.outcome)
    }
}

fn kind_number(kind: Option<SpanKind>) -> u8 {
    match kind {
        None | Some(SpanKind::Internal) => 0,
        Some(SpanKind::Server) => 1,
        Some(SpanKind::Client) => 2,
        Some(SpanKind::Producer) => 3,
        Some(SpanKind::Consumer) => 4,
    }
}

/// Ends a running span whose end was lost in a full queue.
pub(super) fn end_lost_span(db: &Connection, row: i64, now: i64) -> rusqlite::Result<()> {
    let ended = db.execute(
        "UPDATE _span SET duration = MAX(0, ?2 - start),
         extra = json_set(COALESCE(extra, '{}'), '$.status_message', 'its end was dropped: the queue was full')
         WHERE id = ?1 AND duration IS NULL",
        params![row, now],
    )?;
    if ended > 0 {
        db.execute(
            "UPDATE _trace SET open_count = open_count - 1, end = MAX(end, ?2)
             WHERE id = (SELECT trace FROM _span WHERE id = ?1)",
            params![row, now],
        )?;
    }
    Ok(())
}
