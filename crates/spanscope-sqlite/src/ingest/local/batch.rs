//! One transaction of this process's records.
//!
//! It changes no state of the writer: [`Outcome`] has the changes, which the caller applies after
//! the commit.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use spanscope_core::capture::{
    Capture, FieldReader, MaskedTexts, SpanIds, SpanRecord, WallClock, can_measure, span_outcome,
};
use spanscope_core::queue::{Chunk, EventEntry, QueuedRecord, SpanEntry};
use spanscope_model::{SpanKind, SpanStatus, TraceId};
use tracing_core::span::Id;

use super::decode::{PreparedCallsite, extra};
use super::measurements::Measurements;
use super::open_span::{OpenSpan, next_look};
use super::reading::Reading;
use super::tail::{InFile, SampleDecision, Tail};
use crate::file::callsites::callsite_row;
use crate::file::processes::tenant_row;
use crate::file::rows::{EventRow, RowWriter, SpanRow, kind_number, span_key, status_number};
use crate::file::runs::Found;
use crate::file::text::without_nul;
use crate::file::traces::Owner;

/// The changes that the caller applies once the transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) opened: HashMap<i64, OpenSpan>,
    pub(super) ended: Vec<i64>,
    pub(super) latest_time: i64,
    /// Metrics with too many label sets.
    pub(super) overflowed: Vec<String>,
    /// Records that the tail rule dropped.
    pub(super) sampled: u64,
    /// The rows that were written of undecided traces.
    pub(super) undecided: HashMap<TraceId, InFile>,
    /// The first unassigned ids of traces, spans and events.
    pub(super) next: [i64; 3],
}

/// A span's row without the data from its fields.
struct NewRow<'s> {
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
    rows: RowWriter<'a>,
    outcome: Outcome,
    measurements: Measurements<'a>,
}

impl<'a> Batch<'a> {
    /// Begins a batch; the caller holds the write transaction.
    pub(super) fn begin(
        db: &'a Connection,
        reading: &'a mut Reading,
        process: i64,
        open: &'a HashMap<i64, OpenSpan>,
        indexed_rows: &'a [i64],
        capture: &Capture,
        max_series: u64,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            reading,
            process,
            open,
            indexed_rows,
            tail: None,
            clock: capture.clock().anchored(),
            rows: RowWriter::begin(db, Owner::Local)?,
            outcome: Outcome::default(),
            measurements: Measurements::begin(db, process, max_series),
        })
    }

    /// Skips records of traces that the tail rule has dropped, if there is one.
    pub(super) fn following(mut self, tail: Option<&'a Tail>) -> Self {
        self.tail = tail;
        self
    }

    /// Writes a mark: everything stored so far started before `time`.
    pub(super) fn mark(&self, time: i64) -> rusqlite::Result<()> {
        self.rows.mark(time)
    }

    fn fate(&self, trace_id: TraceId) -> SampleDecision {
        self.tail
            .map_or(SampleDecision::Wanted, |tail| tail.fate(trace_id))
    }

    /// Notes rows of a trace that may have to be deleted again.
    fn note(&mut self, fate: SampleDecision, trace_id: TraceId, add: impl FnOnce(&mut InFile)) {
        if fate == SampleDecision::Undecided {
            add(self.outcome.undecided.entry(trace_id).or_default());
        }
    }

    /// Creates rows for the running spans of these chunks.
    pub(super) fn write_running(&mut self, chunks: &[Chunk], capture: &Capture) -> rusqlite::Result<()> {
        let mut result = Ok(());
        capture.visit_opened_spans(chunks.iter().flat_map(Chunk::opened), |id, record| {
            if let Some(record) = record
                && result.is_ok()
            {
                result = self.write_running_span(id, record);
            }
        });
        result?;
        // Ends in the same batch update these rows.
        self.rows.flush_spans()
    }

    fn write_running_span(&mut self, id: &Id, record: &SpanRecord) -> rusqlite::Result<()> {
        let ids = record.ids();
        let key = span_key(ids.span_id);
        if self.open.contains_key(&key) || self.outcome.opened.contains_key(&key) {
            return Ok(());
        }
        let fate = self
            .tail
            .map_or(SampleDecision::Wanted, |tail| tail.fate_of_running(ids.trace_id));
        if fate == SampleDecision::Unwanted {
            return Ok(());
        }
        let row = self.rows.new_span();
        self.note(fate, ids.trace_id, |in_file| in_file.add_span_row(row));
        let start = self.clock.wall(record.start()).as_nanos();
        let callsite = self.read(record.metadata(), FieldReader::new(record.fields()))?;
        let trace = self.rows.touch(ids.trace_id, start, start)?;
        trace.note_span(None, None);
        let (trace_row, is_new) = (trace.row, trace.is_new);
        self.note_run(
            trace_row,
            is_new,
            (row, key),
            start,
            record.parent().is_some(),
            record.is_local_root(),
        );
        let Some(trace) = self.rows.touched(ids.trace_id) else {
            return Ok(());
        };
        if record.is_local_root() {
            trace.note_root(row, start);
            self.hand_over(ids.trace_id)?;
        }
        self.insert_span(NewRow {
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
            start,
            id: id.clone(),
            field_changes: record.field_changes(),
            next_look: next_look(record.fields().len()),
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
                    QueuedRecord::Span(span) => self.write_span(span, chunk.span_fields(span))?,
                    QueuedRecord::Measurement(measured) => {
                        let time = self.clock.wall(measured.time).as_nanos();
                        self.measurements
                            .add_entry(measured, chunk.measurement_fields(measured), time)?;
                    }
                    // The layer does not request these: running spans are written by
                    // `write_running`.
                    QueuedRecord::Start(_) => {}
                    QueuedRecord::Event(event) => self.write_event(event, chunk.event_fields(event))?,
                }
            }
        }
        Ok(())
    }

    fn write_span(&mut self, span: &SpanEntry, fields: FieldReader<'_>) -> rusqlite::Result<()> {
        let fate = self.fate(span.ids.trace_id);
        if fate == SampleDecision::Unwanted {
            self.outcome.sampled += 1;
            return Ok(());
        }
        self.note(fate, span.ids.trace_id, InFile::add_record);
        let callsite = self.read(span.metadata, fields)?;
        let status = span_outcome(self.reading.decoded.status, span.failed);
        let key = span_key(span.ids.span_id);
        let running = self
            .open
            .get(&key)
            .or_else(|| self.outcome.opened.get(&key))
            .map(|open| (open.row, open.start));
        let start = match running {
            Some((_, start)) => start,
            None => self.clock.wall(span.start).as_nanos(),
        };
        let duration = self.clock.nanos_between(span.start, span.end);
        let duration = i64::try_from(duration).unwrap_or(i64::MAX - start.max(0));
        let trace = self
            .rows
            .touch(span.ids.trace_id, start, start.saturating_add(duration))?;
        let (trace_row, is_new) = (trace.row, trace.is_new);
        if span.is_local_root {
            self.hand_over(span.ids.trace_id)?;
        }
        if let Some((row, _)) = running {
            self.outcome.ended.push(key);
            if self.end_running(trace_row, row, key, callsite, duration, status, span)? {
                if let Some(trace) = self.rows.touched(span.ids.trace_id) {
                    // A running span has no status in rows of this process.
                    trace.note_end(None, Some(status_number(status)));
                }
                self.rows.note_end(trace_row, row)?;
                self.note_run(
                    trace_row,
                    false,
                    (row, key),
                    start,
                    span.parent.is_some(),
                    span.is_local_root,
                );
                return Ok(());
            }
            // Its row was deleted meanwhile, so it is stored again.
        }
        let row = self.rows.new_span();
        self.note_run(
            trace_row,
            is_new,
            (row, key),
            start,
            span.parent.is_some(),
            span.is_local_root,
        );
        self.note(fate, span.ids.trace_id, |in_file| in_file.add_span_row(row));
        if let Some(trace) = self.rows.touched(span.ids.trace_id) {
            trace.note_span(Some(duration), Some(status_number(status)));
            if span.is_local_root {
                trace.note_root(row, start);
            }
        }
        self.insert_span(NewRow {
            row,
            callsite,
            start,
            ended: Some((duration, status)),
            trace: trace_row,
            key,
            parent: span.parent.map(span_key),
            links: span.links(),
        })
    }

    /// Notes the run attributes of the span whose fields have just been read.
    fn note_run(
        &mut self,
        trace: i64,
        trace_is_new: bool,
        (row, key): (i64, i64),
        start: i64,
        has_parent: bool,
        is_local_root: bool,
    ) {
        match self.reading.decoded.facts.take() {
            Some(facts) => self.rows.note_run(
                trace,
                Found {
                    facts,
                    row,
                    key,
                    start,
                    has_parent,
                },
            ),
            None if is_local_root && !trace_is_new => self.rows.note_root_of_run(trace),
            None => {}
        }
    }

    /// Assigns the trace to the tenant that its root, whose fields have just been read, names.
    fn hand_over(&mut self, trace_id: TraceId) -> rusqlite::Result<()> {
        let Some(name) = self.reading.decoded.tenant.take() else {
            return Ok(());
        };
        let tenant = match self.reading.tenants.get(&name) {
            Some(tenant) => *tenant,
            None => {
                let row = tenant_row(self.db, &name)?;
                // Bounded, because a program may use a different tenant for each trace.
                if self.reading.tenants.len() < 10_000 {
                    self.reading.tenants.insert(name, row);
                }
                row
            }
        };
        if let Some(trace) = self.rows.touched(trace_id) {
            trace.tenant = Some(tenant);
        }
        Ok(())
    }

    /// Inserts a span whose fields have just been read.
    fn insert_span(&mut self, span: NewRow<'_>) -> rusqlite::Result<()> {
        let decoded = &self.reading.decoded;
        let extra = extra(decoded.status_message.as_deref(), span.links);
        let row = SpanRow {
            callsite: span.callsite,
            name: decoded.name.as_deref(),
            start: span.start,
            duration: span.ended.map(|(duration, _)| duration),
            status: span.ended.map(|(_, status)| status_number(status)),
            trace: span.trace,
            process: self.process,
            kind: kind_number(decoded.kind.unwrap_or(SpanKind::Internal)),
            key: span.key,
            parent: span.parent,
            attributes: &decoded.attributes,
            extra: extra.as_deref(),
            category: decoded.category.as_deref(),
            half: None,
        };
        self.rows.add_span(span.row, &row)?;
        self.index(span.row)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "it has one caller, which has computed all of these"
    )]
    fn end_running(
        &mut self,
        trace: i64,
        row: i64,
        key: i64,
        callsite: i64,
        duration: i64,
        status: SpanStatus,
        span: &SpanEntry,
    ) -> rusqlite::Result<bool> {
        let decoded = &self.reading.decoded;
        let changed = self.rows.change_span(trace, row, |db| {
            db.prepare_cached(
                "UPDATE _span SET callsite = ?3, name = ?4, duration = ?5, status = ?6, kind = ?7, parent = ?8,
                 attributes = ?9, extra = ?10, category = ?11 WHERE id = ?1 AND span_id = ?2 AND duration IS NULL",
            )?
            .execute(params![
                row,
                key,
                callsite,
                decoded.name.as_deref().map(without_nul),
                duration,
                status_number(status),
                kind_number(decoded.kind.unwrap_or(SpanKind::Internal)),
                span.parent.map(span_key),
                decoded.attributes,
                extra(decoded.status_message.as_deref(), span.links()),
                decoded.category.as_deref().map(without_nul),
            ])
        })?;
        if changed == 0 {
            return Ok(false);
        }
        if !decoded.indexed.is_empty() {
            self.rows.unindex(row)?;
            self.index(row)?;
        }
        Ok(true)
    }

    fn write_event(&mut self, event: &EventEntry, fields: FieldReader<'_>) -> rusqlite::Result<()> {
        let fate = match event.ids {
            Some(SpanIds { trace_id, .. }) => self.fate(trace_id),
            None => SampleDecision::Wanted,
        };
        if fate == SampleDecision::Unwanted && !can_measure(event.metadata) {
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
        if measured && (fate == SampleDecision::Unwanted || self.reading.decoded.message.is_empty()) {
            return Ok(());
        }
        if fate == SampleDecision::Unwanted {
            self.outcome.sampled += 1;
            return Ok(());
        }
        let trace = match event.ids {
            Some(SpanIds { trace_id, .. }) => Some(self.rows.touch(trace_id, time, time)?.row),
            None => {
                self.rows.latest_time = self.rows.latest_time.max(time);
                None
            }
        };
        if let Some(target) = self.reading.decoded.log_target.take() {
            callsite = self.log_callsite(
                target,
                spanscope_core::capture::severity_of(*event.metadata.level()).number(),
            )?;
        }
        let decoded = &self.reading.decoded;
        let row = self.rows.add_event(&EventRow {
            callsite,
            time,
            trace,
            span: event.ids.map(|ids| span_key(ids.span_id)),
            process: self.process,
            severity: decoded.severity.map(i64::from),
            name: decoded.name.as_deref(),
            message: &decoded.message,
            attributes: &decoded.attributes,
            expires,
            category: decoded.category.as_deref(),
        })?;
        if let Some(SpanIds { trace_id, .. }) = event.ids {
            self.note(fate, trace_id, |in_file| {
                in_file.add_event_row(row);
                // If it has a measurement, that stays stored.
                if !measured {
                    in_file.add_record();
                }
            });
        }
        Ok(())
    }

    /// Stores the measurement of an event; returns `false` if its fields are not a valid one.
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
        let callsite =
            callsites.get_or_insert_with(event.metadata, |info| PreparedCallsite::new(info, indexed_keys));
        let texts = MaskedTexts::new();
        let fields = callsite.info.resolve(fields, &texts);
        self.measurements.add_event(event, &fields, time, expires)
    }

    /// Reads a record's fields into the shared buffers and returns its callsite's row.
    fn read(
        &mut self,
        metadata: &'static tracing_core::Metadata<'static>,
        fields: FieldReader<'_>,
    ) -> rusqlite::Result<i64> {
        let Reading {
            callsites,
            decoder,
            decoded,
            indexed_keys,
            ..
        } = &mut *self.reading;
        let callsite =
            callsites.get_or_insert_with(metadata, |info| PreparedCallsite::new(info, indexed_keys));
        decoded.read(decoder, callsite, fields, indexed_keys);
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
        let origin = categories.category_of_place(&target, module, file);
        let row = callsite_row(self.db, "", &target, level, origin.category)?;
        if self.reading.log_callsites.len() < 10_000 {
            self.reading.log_callsites.insert((target, level), row);
        }
        Ok(row)
    }

    fn index(&mut self, span: i64) -> rusqlite::Result<()> {
        for (key, value) in &self.reading.decoded.indexed {
            if let Some(key) = self.indexed_rows.get(*key) {
                self.rows.index(*key, value, span)?;
            }
        }
        Ok(())
    }

    /// Writes the remaining rows.
    pub(super) fn finish(mut self) -> rusqlite::Result<Outcome> {
        self.rows.flush()?;
        self.outcome.overflowed = self.measurements.finish()?;
        self.outcome.next = self.rows.next();
        self.outcome.latest_time = self.rows.latest_time;
        Ok(self.outcome)
    }
}
