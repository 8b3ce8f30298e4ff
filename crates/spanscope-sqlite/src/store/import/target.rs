//! Stores the groups of an import.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Statement, params};
use serde_json::Value;
use spanscope_model::{Attributes, Timestamp};

use super::points::PointTarget;
use super::{Group, Imported, InEvent, InPoint, InSpan, Place};
use crate::writer::rows::tenant_row;
use crate::writer::runs;

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
    points: PointTarget<'db>,
    latest: i64,
    done: Imported,
}

struct Statements<'db> {
    find_trace: Statement<'db>,
    add_trace: Statement<'db>,
    update_trace: Statement<'db>,
    find_place: Statement<'db>,
    add_place: Statement<'db>,
    add_process: Statement<'db>,
    account: Statement<'db>,
    add_span: Statement<'db>,
    add_attribute: Statement<'db>,
    known_spans: Statement<'db>,
    known_events: Statement<'db>,
    loose_event: Statement<'db>,
    add_event: Statement<'db>,
}

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
            points: PointTarget::new(db)?,
            latest: i64::MIN,
            done: Imported::default(),
        })
    }

    /// Stores what of a trace is not there yet.
    pub(super) fn store(&mut self, group: &Group) -> rusqlite::Result<()> {
        if self.db.is_autocommit() {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
        }
        self.done.skipped += group.unusable;
        self.tenant = tenant_row(self.db, &group.tenant)?;
        match &group.trace_id {
            Some(trace_id) => self.store_trace(trace_id, group)?,
            None => {
                self.store_loose(&group.events)?;
                self.store_points(&group.points)?;
            }
        }
        if self.in_batch >= BATCH {
            self.commit()?;
        }
        Ok(())
    }

    /// Ends the last transaction and says what was stored.
    pub(super) fn finish(mut self) -> rusqlite::Result<Imported> {
        self.commit()?;
        self.db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(self.done)
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        if self.db.is_autocommit() {
            return Ok(());
        }
        self.points.finish()?;
        for (process, records) in self.unaccounted.drain() {
            self.statements
                .account
                .execute((process, i64::try_from(records).unwrap_or(i64::MAX)))?;
        }
        // Rows stored from here on may not begin before what was imported, so the marks must know about it.
        if self.latest > self.now {
            self.db.execute(
                "INSERT OR IGNORE INTO _mark (time, span, event) VALUES (?1, \
                 (SELECT COALESCE(max(id), 0) + 1 FROM _span), (SELECT COALESCE(max(id), 0) + 1 FROM _event))",
                [self.latest],
            )?;
        }
        self.db.execute_batch("COMMIT")?;
        self.in_batch = 0;
        self.db
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    fn store_trace(&mut self, trace_id: &str, group: &Group) -> rusqlite::Result<()> {
        let found: Option<i64> = self
            .statements
            .find_trace
            .query_row(params![trace_id, self.tenant], |row| row.get(0))
            .optional()?;
        let (trace, known_spans, known_events) = match found {
            Some(trace) => (trace, self.known_spans(trace)?, self.known_events(trace)?),
            None if group.spans.is_empty() && group.events.is_empty() => return Ok(()),
            None => {
                let first = group.spans.iter().map(|span| span.start).min();
                let start = first.or_else(|| group.events.iter().map(|event| event.time).min());
                let start = start.unwrap_or(self.now);
                let created = group.created.unwrap_or(self.now);
                self.statements
                    .add_trace
                    .execute((trace_id, start, created, self.tenant))?;
                (self.db.last_insert_rowid(), HashSet::new(), HashSet::new())
            }
        };
        let mut seen = known_spans;
        let before = self.done.spans;
        for span in &group.spans {
            if seen.insert(span.id) {
                self.add_span(trace, span)?;
            } else {
                self.done.skipped += 1;
            }
        }
        for event in &group.events {
            let key = (event.time, event.span, event.message.clone());
            if !known_events.is_empty() && known_events.contains(&key) {
                self.done.skipped += 1;
            } else {
                self.add_event(Some(trace), event)?;
            }
        }
        if self.done.spans > before {
            self.done.traces += 1;
            self.statements.update_trace.execute([trace])?;
            runs::find_again(self.db, trace)?;
        }
        Ok(())
    }

    fn store_loose(&mut self, events: &[InEvent]) -> rusqlite::Result<()> {
        for event in events {
            let is_known = self.statements.loose_event.exists((event.time, &event.message))?;
            if is_known {
                self.done.skipped += 1;
            } else {
                self.add_event(None, event)?;
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

    fn known_spans(&mut self, trace: i64) -> rusqlite::Result<HashSet<i64>> {
        self.statements
            .known_spans
            .query_map([trace], |row| row.get(0))?
            .collect()
    }

    fn known_events(&mut self, trace: i64) -> rusqlite::Result<HashSet<EventKey>> {
        self.statements
            .known_events
            .query_map([trace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    }

    fn add_span(&mut self, trace: i64, span: &InSpan) -> rusqlite::Result<()> {
        let process = self.process(&span.service)?;
        let place = self.place(&span.place)?;
        self.statements.add_span.execute(params![
            place,
            span.name,
            span.start,
            span.duration,
            span.status,
            trace,
            process,
            span.kind,
            span.id,
            span.parent,
            span.attributes,
            span.extra,
            span.category,
        ])?;
        let row = self.db.last_insert_rowid();
        self.index(row, &span.attributes)?;
        self.latest = self.latest.max(span.start);
        self.done.spans += 1;
        self.count(process);
        Ok(())
    }

    /// Keeps the values of the attributes that are looked up by index.
    fn index(&mut self, row: i64, attributes: &str) -> rusqlite::Result<()> {
        let is_there = |key: &String| attributes.contains(key.as_str());
        if !self.keys.keys().any(is_there) {
            return Ok(());
        }
        let attributes: Attributes = serde_json::from_str(attributes).unwrap_or_default();
        for (key, value) in attributes.iter() {
            let Some(key) = self.keys.get(key) else { continue };
            let add = &mut self.statements.add_attribute;
            match serde_json::to_value(value).unwrap_or_default() {
                Value::String(text) => add.execute(params![key, text, row])?,
                Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(integer), _) => add.execute(params![key, integer, row])?,
                    (None, real) => add.execute(params![key, real.unwrap_or(f64::MAX), row])?,
                },
                _ => 0,
            };
        }
        Ok(())
    }

    fn add_event(&mut self, trace: Option<i64>, event: &InEvent) -> rusqlite::Result<()> {
        let process = self.process(&event.service)?;
        let place = self.place(&event.place)?;
        self.statements.add_event.execute(params![
            place,
            event.time,
            trace,
            event.span,
            process,
            event.severity,
            event.name,
            event.message,
            event.attributes,
            event.expires,
            event.category,
        ])?;
        self.latest = self.latest.max(event.time);
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
        self.statements
            .add_process
            .execute((service, self.now, self.tenant))?;
        let process = self.db.last_insert_rowid();
        self.services.insert(key, process);
        Ok(process)
    }

    fn place(&mut self, place: &Place) -> rusqlite::Result<i64> {
        if let Some(id) = self.places.get(place) {
            return Ok(*id);
        }
        let key = params![place.name, place.target, place.level, place.category];
        let found = self
            .statements
            .find_place
            .query_row(key, |row| row.get(0))
            .optional()?;
        let id = match found {
            Some(id) => id,
            None => {
                self.statements.add_place.execute(key)?;
                self.db.last_insert_rowid()
            }
        };
        self.places.insert(place.clone(), id);
        Ok(id)
    }
}

impl<'db> Statements<'db> {
    fn new(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find_trace: db.prepare("SELECT id FROM _trace WHERE trace_id = ?1 AND tenant = ?2")?,
            add_trace: db.prepare(
                "INSERT INTO _trace (trace_id, start, end, span_count, error_count, open_count, created, tenant, local) \
                 VALUES (?1, ?2, ?2, 0, 0, 0, ?3, ?4, 1)",
            )?,
            update_trace: db.prepare(
                "UPDATE _trace SET (start, end, span_count, error_count, open_count) = \
                    (SELECT min(start), max(start + COALESCE(duration, 0)), count(*), \
                     count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE duration IS NULL) \
                     FROM _span WHERE trace = ?1), \
                 (root, root_start) = (SELECT id, start FROM _span WHERE trace = ?1 AND (parent IS NULL \
                     OR parent NOT IN (SELECT span_id FROM _span WHERE trace = ?1)) ORDER BY start, id LIMIT 1) \
                 WHERE id = ?1",
            )?,
            find_place: db.prepare(
                "SELECT id FROM _callsite WHERE name = ?1 AND target = ?2 AND level = ?3 AND category = ?4",
            )?,
            add_place: db
                .prepare("INSERT INTO _callsite (name, target, level, category) VALUES (?1, ?2, ?3, ?4)")?,
            add_process: db.prepare(
                "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, tenant) \
                 VALUES (?1, 0, ?2, ?2, ?2, ?3)",
            )?,
            account: db.prepare(
                "UPDATE _process SET offered = offered + ?2, stored = stored + ?2 WHERE id = ?1",
            )?,
            add_span: db.prepare(
                "INSERT INTO _span (callsite, name, start, duration, status, trace, process, kind, span_id, parent, \
                 attributes, extra, category) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            add_attribute: db.prepare("INSERT OR IGNORE INTO _attr (key, value, span) VALUES (?1, ?2, ?3)")?,
            known_spans: db.prepare("SELECT span_id FROM _span WHERE trace = ?1")?,
            known_events: db.prepare("SELECT time, span_id, message FROM _event WHERE trace = ?1")?,
            loose_event: db
                .prepare("SELECT 1 FROM _event WHERE trace IS NULL AND time = ?1 AND message = ?2")?,
            add_event: db.prepare(
                "INSERT INTO _event (callsite, time, trace, span_id, process, severity, name, message, attributes, \
                 expires, category) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
        })
    }
}
