//! Stores the groups of an import, through the rows that every writer of a file shares.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, Statement};
use serde_json::Value;
use spanscope_model::{Attributes, Timestamp, TraceId};

use super::points::PointTarget;
use super::record::{Group, ImportReport, InEvent, InPoint, InSpan, Place};
use crate::file::callsites::callsite_row;
use crate::file::processes::{add_copied, tenant_row};
use crate::file::rows::Indexed;
use crate::file::rows::{EventRow, RowWriter, SpanRow};
use crate::file::runs;
use crate::file::traces::Owner;

/// Records of a transaction, more or less: a trace is never cut.
const BATCH: u64 = 5_000;

/// The store that an import writes into.
pub(super) struct Target<'db> {
    db: &'db Connection,
    statements: Statements<'db>,
    now: i64,
    keys: HashMap<String, i64>,
    places: HashMap<Place, i64>,
    /// The tenant whose records are being stored.
    tenant: i64,
    /// A process stands for each service of a tenant of the source.
    services: HashMap<(i64, String), i64>,
    /// Records of each process that its account does not show yet.
    unaccounted: HashMap<i64, u64>,
    in_batch: u64,
    /// The latest start of all that was imported.
    latest: i64,
    /// The rows of the transaction that is open.
    rows: Option<RowWriter<'db>>,
    /// Traces that got spans in it.
    grown: BTreeSet<i64>,
    points: PointTarget<'db>,
    done: ImportReport,
}

struct Statements<'db> {
    update_trace: Statement<'db>,
    account: Statement<'db>,
    known_spans: Statement<'db>,
    known_events: Statement<'db>,
    loose_event: Statement<'db>,
}

/// What tells one span of a trace from another: its id and its half.
type SpanKey = (i64, Option<i64>);
/// What tells one event of a trace from another.
type EventKey = (i64, Option<i64>, String);

impl<'db> Target<'db> {
    pub(super) fn new(db: &'db Connection) -> rusqlite::Result<Self> {
        let keys = db
            .prepare("SELECT key, id FROM _attr_key")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            db,
            statements: Statements::new(db)?,
            now: Timestamp::now().as_nanos(),
            keys,
            places: HashMap::new(),
            tenant: 0,
            services: HashMap::new(),
            unaccounted: HashMap::new(),
            in_batch: 0,
            latest: 0,
            rows: None,
            grown: BTreeSet::new(),
            points: PointTarget::new(db)?,
            done: ImportReport::default(),
        })
    }

    /// Stores what of a trace is not there yet.
    pub(super) fn store(&mut self, group: &Group) -> rusqlite::Result<()> {
        if self.db.is_autocommit() {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
        }
        self.done.skipped += group.unusable;
        self.tenant = tenant_row(self.db, &group.tenant)?;
        let mut rows = match self.rows.take() {
            Some(mut rows) => {
                rows.set_owner(Owner::Copy(self.tenant))?;
                rows
            }
            None => RowWriter::begin(self.db, Owner::Copy(self.tenant))?,
        };
        match &group.trace_id {
            Some(trace_id) => match trace_id.parse() {
                Ok(trace_id) => self.store_trace(&mut rows, trace_id, group)?,
                // Only a foreign hand can have written an invalid id.
                Err(_) => self.done.skipped += (group.spans.len() + group.events.len()) as u64,
            },
            None => {
                self.store_loose(&mut rows, &group.events)?;
                self.store_points(&group.points)?;
            }
        }
        self.rows = Some(rows);
        if self.in_batch >= BATCH {
            self.commit()?;
        }
        Ok(())
    }

    /// Ends the last transaction and says what was stored.
    pub(super) fn finish(mut self) -> rusqlite::Result<ImportReport> {
        self.commit()?;
        self.db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(self.done)
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        if self.db.is_autocommit() {
            return Ok(());
        }
        if let Some(mut rows) = self.rows.take() {
            rows.flush()?;
            // Rows stored from here on may not begin before what was imported, so the marks must
            // know about it.
            // Of the whole import: a mark that a later transaction sets may not be earlier than one before.
            self.latest = self.latest.max(rows.latest_time);
            if self.latest > self.now {
                rows.mark(self.latest)?;
            }
        }
        for trace in std::mem::take(&mut self.grown) {
            self.statements.update_trace.execute([trace])?;
            runs::find_again(self.db, trace)?;
        }
        self.points.finish()?;
        for (process, records) in self.unaccounted.drain() {
            self.statements
                .account
                .execute((process, i64::try_from(records).unwrap_or(i64::MAX)))?;
        }
        self.db.execute_batch("COMMIT")?;
        self.in_batch = 0;
        self.db
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    fn store_trace(
        &mut self,
        rows: &mut RowWriter<'db>,
        trace_id: TraceId,
        group: &Group,
    ) -> rusqlite::Result<()> {
        if group.spans.is_empty() && group.events.is_empty() {
            return Ok(());
        }
        // Two ids of a source can stand for one id of ours.
        let was_met = rows.touched(trace_id).is_some();
        let change = rows.change(trace_id)?;
        let trace = change.row;
        let is_new = change.is_new && !was_met;
        change.created = change.created.or(group.created);
        let (mut seen, known_events): (HashSet<SpanKey>, HashSet<EventKey>) = if is_new {
            (HashSet::new(), HashSet::new())
        } else {
            rows.flush_records()?;
            (self.known_spans(trace)?, self.known_events(trace)?)
        };
        let before = self.done.spans;
        for span in &group.spans {
            if seen.insert((span.id, span.half)) {
                rows.touch(
                    trace_id,
                    span.start,
                    span.start.saturating_add(span.duration.unwrap_or(0)),
                )?
                .note_span(span.duration, span.status);
                self.add_span(rows, trace, span)?;
            } else {
                self.done.skipped += 1;
            }
        }
        for event in &group.events {
            let key = (event.time, event.span, event.message.clone());
            if !known_events.is_empty() && known_events.contains(&key) {
                self.done.skipped += 1;
            } else {
                rows.touch_beside(trace_id, event.time)?;
                self.add_event(rows, Some(trace), event)?;
            }
        }
        if self.done.spans > before {
            self.done.traces += 1;
            self.grown.insert(trace);
        }
        Ok(())
    }

    fn store_loose(&mut self, rows: &mut RowWriter<'db>, events: &[InEvent]) -> rusqlite::Result<()> {
        for event in events {
            rows.flush_records()?;
            let is_known = self.statements.loose_event.exists((event.time, &event.message))?;
            if is_known {
                self.done.skipped += 1;
            } else {
                self.add_event(rows, None, event)?;
            }
        }
        Ok(())
    }

    fn store_points(&mut self, points: &[InPoint]) -> rusqlite::Result<()> {
        for point in points {
            let process = self.process(&point.service)?;
            if self.points.store(point, process, self.tenant)? {
                self.done.points += 1;
                self.count(process);
            } else {
                self.done.skipped += 1;
            }
        }
        Ok(())
    }

    fn known_spans(&mut self, trace: i64) -> rusqlite::Result<HashSet<SpanKey>> {
        self.statements
            .known_spans
            .query_map([trace], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    fn known_events(&mut self, trace: i64) -> rusqlite::Result<HashSet<EventKey>> {
        self.statements
            .known_events
            .query_map([trace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    }

    fn add_span(&mut self, rows: &mut RowWriter<'db>, trace: i64, span: &InSpan) -> rusqlite::Result<()> {
        let process = self.process(&span.service)?;
        let callsite = self.place(&span.place)?;
        let row = rows.new_span();
        let span_row = SpanRow {
            callsite,
            name: span.name.as_deref(),
            start: span.start,
            duration: span.duration,
            status: span.status,
            trace,
            process,
            kind: span.kind,
            key: span.id,
            parent: span.parent,
            attributes: &span.attributes,
            extra: span.extra.as_deref(),
            category: span.category.as_deref(),
            half: span.half,
        };
        rows.add_span(row, &span_row)?;
        self.index(rows, row, &span.attributes)?;
        self.done.spans += 1;
        self.count(process);
        Ok(())
    }

    /// Keeps the values of the attributes that are looked up by index.
    fn index(&self, rows: &mut RowWriter<'db>, row: i64, attributes: &str) -> rusqlite::Result<()> {
        let is_there = |key: &String| attributes.contains(key.as_str());
        if !self.keys.keys().any(is_there) {
            return Ok(());
        }
        let attributes: Attributes = serde_json::from_str(attributes).unwrap_or_default();
        for (key, value) in attributes.iter() {
            let Some(key) = self.keys.get(key) else { continue };
            let value = match serde_json::to_value(value).unwrap_or_default() {
                Value::String(text) => Indexed::Text(text),
                Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(integer), _) => Indexed::Integer(integer),
                    (None, real) => Indexed::Float(real.unwrap_or(f64::MAX)),
                },
                _ => continue,
            };
            rows.index(*key, &value, row)?;
        }
        Ok(())
    }

    fn add_event(
        &mut self,
        rows: &mut RowWriter<'db>,
        trace: Option<i64>,
        event: &InEvent,
    ) -> rusqlite::Result<()> {
        let process = self.process(&event.service)?;
        let callsite = self.place(&event.place)?;
        rows.add_event(&EventRow {
            callsite,
            time: event.time,
            trace,
            span: event.span,
            process,
            severity: event.severity,
            name: event.name.as_deref(),
            message: &event.message,
            attributes: event.attributes.as_deref().unwrap_or_default(),
            expires: event.expires,
            category: event.category.as_deref(),
        })?;
        rows.latest_time = rows.latest_time.max(event.time);
        self.done.events += 1;
        self.count(process);
        Ok(())
    }

    fn count(&mut self, process: i64) {
        *self.unaccounted.entry(process).or_default() += 1;
        self.in_batch += 1;
    }

    fn process(&mut self, service: &str) -> rusqlite::Result<i64> {
        let key = (self.tenant, service.to_owned());
        if let Some(process) = self.services.get(&key) {
            return Ok(*process);
        }
        let process = add_copied(self.db, service, self.tenant, self.now)?;
        self.services.insert(key, process);
        Ok(process)
    }

    fn place(&mut self, place: &Place) -> rusqlite::Result<i64> {
        if let Some(id) = self.places.get(place) {
            return Ok(*id);
        }
        let id = callsite_row(self.db, &place.name, &place.target, place.level, &place.category)?;
        self.places.insert(place.clone(), id);
        Ok(id)
    }
}

impl<'db> Statements<'db> {
    fn new(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            update_trace: db.prepare(
                "UPDATE _trace SET (start, end, span_count, error_count, open_count) = \
                    (SELECT min(start), max(start + COALESCE(duration, 0)), count(*), \
                     count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE duration IS NULL) \
                     FROM _span WHERE trace = ?1), \
                 (root, root_start) = (SELECT id, start FROM _span WHERE trace = ?1 AND (parent IS NULL \
                     OR parent NOT IN (SELECT span_id FROM _span WHERE trace = ?1)) ORDER BY start, id LIMIT 1) \
                 WHERE id = ?1",
            )?,
            account: db.prepare(
                "UPDATE _process SET offered = offered + ?2, stored = stored + ?2 WHERE id = ?1",
            )?,
            known_spans: db.prepare("SELECT span_id, half FROM _span WHERE trace = ?1")?,
            known_events: db.prepare("SELECT time, span_id, message FROM _event WHERE trace = ?1")?,
            loose_event: db
                .prepare("SELECT 1 FROM _event WHERE trace IS NULL AND time = ?1 AND message = ?2")?,
        })
    }
}
