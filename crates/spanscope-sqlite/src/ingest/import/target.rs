//! Stores the groups of an import with the `RowWriter` that every writer of a file uses.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, Statement, Transaction, TransactionBehavior};
use serde_json::Value;
use spanscope_model::{Attributes, StoreError, StoreErrorKind, Timestamp, TraceId};

use super::points::{PointTarget, RepeatedPoint};
use super::record::{Callsite, Group, ImportReport, InEvent, InPoint, InSpan, Program};
use crate::file::Failure;
use crate::file::callsites::callsite_row;
use crate::file::open_file::OpenFile;
use crate::file::processes::{add_copied, tenant_row};
use crate::file::rows::Indexed;
use crate::file::rows::{EventRow, RowWriter, SpanRow};
use crate::file::runs;
use crate::file::traces::Owner;
use crate::file::write_error::WriteError;

/// Number of records after which a transaction is written. A transaction may be larger, because a
/// trace is never split.
pub(super) const BATCH: u64 = 5_000;

/// The state of an import between transactions.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The file's generation when the import began, and that time. The cached row ids are valid
    /// only in this generation.
    began: Option<(u64, i64)>,
    callsites: HashMap<Callsite, i64>,
    /// The row id in `_process` of each program of the source, by tenant.
    programs: HashMap<(i64, Program), i64>,
    /// The latest time of all imported records: the start of a span, or the time of an event.
    latest: i64,
    point: Option<RepeatedPoint>,
    /// The last event that was stored before the import.
    last_event: Option<i64>,
    /// For events outside traces: how many equal events were stored before the import and have not
    /// been matched with an event of the source yet.
    loose_left: HashMap<LooseKey, i64>,
    pub(super) done: ImportReport,
}

/// Stores the new records of these groups, in one transaction.
pub(super) fn store(file: &mut OpenFile, known: &mut Known, groups: &[Group]) -> Result<(), Failure> {
    let now = Timestamp::now().as_nanos();
    let (generation, import_started) = *known.began.get_or_insert((file.generation(), now));
    if generation != file.generation() {
        return Err(Failure::Store(replaced(file)));
    }
    let transaction = Transaction::new_unchecked(&file.db, TransactionBehavior::Immediate)?;
    let mut target = Target::begin(&transaction, known, import_started)?;
    for group in groups {
        target.store(group)?;
    }
    let latest = target.finish()?;
    transaction.commit()?;
    match file.confirm() {
        Ok(()) => {}
        Err(WriteError::Replaced) => return Err(Failure::Store(replaced(file))),
        Err(write_error) => return Err(Failure::Store(file.error_of(&write_error))),
    }
    if latest > import_started {
        file.marks.committed(Some(latest), latest);
    }
    file.keep();
    Ok(())
}

fn replaced(file: &OpenFile) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        format!(
            "{} was deleted or replaced during the import: import again",
            file.path().display()
        ),
    )
}

/// One transaction of an import.
struct Target<'db> {
    db: &'db Connection,
    known: &'db mut Known,
    statements: Statements<'db>,
    /// The time when the import started.
    import_started: i64,
    keys: HashMap<String, i64>,
    /// The tenant of the current records.
    tenant: i64,
    /// Stored records per process that the counts in its row of `_process` do not include yet.
    unaccounted: HashMap<i64, u64>,
    rows: RowWriter<'db>,
    /// Traces that got spans.
    grown: BTreeSet<i64>,
    points: PointTarget<'db>,
}

struct Statements<'db> {
    update_trace: Statement<'db>,
    account: Statement<'db>,
    known_spans: Statement<'db>,
    known_events: Statement<'db>,
    loose_events: Statement<'db>,
}

/// The identity of a span in a trace: its id, and 1 if it is the server's half of a call whose
/// halves share an id.
type SpanKey = (i64, Option<i64>);
/// The identity of an event outside traces: its time, name, message and attributes.
type LooseKey = (i64, String, String, String);
/// The identity of an event in a trace.
type EventKey = (i64, Option<i64>, String);

impl<'db> Target<'db> {
    fn begin(db: &'db Connection, known: &'db mut Known, import_started: i64) -> rusqlite::Result<Self> {
        let keys = db
            .prepare("SELECT key, id FROM _attr_key")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            db,
            statements: Statements::new(db)?,
            import_started,
            keys,
            tenant: 0,
            unaccounted: HashMap::new(),
            rows: RowWriter::begin(db, Owner::Copy(0))?,
            grown: BTreeSet::new(),
            points: PointTarget::new(db, known.point.take())?,
            known,
        })
    }

    fn store(&mut self, group: &Group) -> rusqlite::Result<()> {
        self.known.done.skipped += group.unusable;
        self.tenant = tenant_row(self.db, &group.tenant)?;
        self.rows.set_owner(Owner::Copy(self.tenant))?;
        match &group.trace_id {
            Some(trace_id) => match trace_id.parse() {
                Ok(trace_id) => self.store_trace(trace_id, group),
                // Only a foreign program can have written an invalid id.
                Err(_) => {
                    self.known.done.skipped += (group.spans.len() + group.events.len()) as u64;
                    Ok(())
                }
            },
            None => {
                self.store_loose(&group.events)?;
                self.store_points(&group.points)
            }
        }
    }

    /// Writes the remaining rows, and returns the latest start of all imported records.
    fn finish(mut self) -> rusqlite::Result<i64> {
        self.rows.flush()?;
        // Imported records may start in the future, but records that are stored before a mark must
        // start before the mark's time. The times of marks must not decrease either, so the latest
        // start of the whole import counts.
        let latest = self.known.latest.max(self.rows.latest_time);
        self.known.latest = latest;
        if latest > self.import_started {
            self.rows.mark(latest)?;
        }
        for trace in std::mem::take(&mut self.grown) {
            self.statements.update_trace.execute([trace])?;
            runs::find_again(self.db, trace)?;
        }
        self.known.point = self.points.finish()?;
        for (process, records) in self.unaccounted.drain() {
            self.statements
                .account
                .execute((process, i64::try_from(records).unwrap_or(i64::MAX)))?;
        }
        Ok(latest)
    }

    fn store_trace(&mut self, trace_id: TraceId, group: &Group) -> rusqlite::Result<()> {
        if group.spans.is_empty() && group.events.is_empty() {
            return Ok(());
        }
        // Two trace ids of a source can become the same id here: they may differ only in leading
        // zeros. So this transaction may have changed the trace already.
        let was_met = self.rows.touched(trace_id).is_some();
        let change = self.rows.change(trace_id)?;
        let trace = change.row;
        let is_new = change.is_new && !was_met;
        change.created = change.created.or(group.created);
        let (mut seen, known_events): (HashSet<SpanKey>, HashSet<EventKey>) = if is_new {
            (HashSet::new(), HashSet::new())
        } else {
            self.rows.flush_records()?;
            (self.known_spans(trace)?, self.known_events(trace)?)
        };
        let before = self.known.done.spans;
        for span in &group.spans {
            if seen.insert((span.id, span.half)) {
                self.rows
                    .touch(
                        trace_id,
                        span.start,
                        span.start.saturating_add(span.duration.unwrap_or(0)),
                    )?
                    .note_span(span.duration, span.status);
                self.add_span(trace, span)?;
            } else {
                self.known.done.skipped += 1;
            }
        }
        for event in &group.events {
            let key = (event.time, event.span, event.message.clone());
            if !known_events.is_empty() && known_events.contains(&key) {
                self.known.done.skipped += 1;
            } else {
                self.rows.touch_adjacent(trace_id, event.time)?;
                self.add_event(Some(trace), event)?;
            }
        }
        if self.known.done.spans > before {
            self.known.done.traces += 1;
            self.grown.insert(trace);
        }
        Ok(())
    }

    fn store_loose(&mut self, events: &[InEvent]) -> rusqlite::Result<()> {
        let last = match self.known.last_event {
            Some(last) => last,
            None => {
                let sql = "SELECT COALESCE(max(id), 0) FROM _event";
                *self
                    .known
                    .last_event
                    .insert(self.db.query_row(sql, [], |row| row.get(0))?)
            }
        };
        for event in events {
            // Events have no id, so equal ones are counted, as equal measurements are in
            // `points.rs`.
            let key: LooseKey = (
                event.time,
                event.name.clone().unwrap_or_else(|| event.callsite.name.clone()),
                event.message.clone(),
                event.attributes.clone().unwrap_or_default(),
            );
            let left = match self.known.loose_left.get_mut(&key) {
                Some(left) => left,
                None => {
                    let there: i64 = self
                        .statements
                        .loose_events
                        .query_row((last, key.0, &key.1, &key.2, &key.3), |row| row.get(0))?;
                    if there == 0 {
                        self.add_event(None, event)?;
                        continue;
                    }
                    self.known.loose_left.entry(key).or_insert(there)
                }
            };
            *left -= 1;
            if *left >= 0 {
                self.known.done.skipped += 1;
            } else {
                self.add_event(None, event)?;
            }
        }
        Ok(())
    }

    fn store_points(&mut self, points: &[InPoint]) -> rusqlite::Result<()> {
        for point in points {
            let process = self.process(&point.program)?;
            if self.points.store(point, process, self.tenant)? {
                self.known.done.points += 1;
                self.count(process);
            } else {
                self.known.done.skipped += 1;
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

    fn add_span(&mut self, trace: i64, span: &InSpan) -> rusqlite::Result<()> {
        let process = self.process(&span.program)?;
        let callsite = self.callsite(&span.callsite)?;
        let row = self.rows.new_span();
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
        self.rows.add_span(row, &span_row)?;
        self.index(row, &span.attributes)?;
        self.known.done.spans += 1;
        self.count(process);
        Ok(())
    }

    /// Stores the values of indexed attributes.
    fn index(&mut self, row: i64, attributes: &str) -> rusqlite::Result<()> {
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
            self.rows.index(*key, &value, row)?;
        }
        Ok(())
    }

    fn add_event(&mut self, trace: Option<i64>, event: &InEvent) -> rusqlite::Result<()> {
        let process = self.process(&event.program)?;
        let callsite = self.callsite(&event.callsite)?;
        self.rows.add_event(&EventRow {
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
        self.rows.latest_time = self.rows.latest_time.max(event.time);
        self.known.done.events += 1;
        self.count(process);
        Ok(())
    }

    fn count(&mut self, process: i64) {
        *self.unaccounted.entry(process).or_default() += 1;
    }

    fn process(&mut self, program: &Program) -> rusqlite::Result<i64> {
        let key = (self.tenant, program.clone());
        if let Some(process) = self.known.programs.get(&key) {
            return Ok(*process);
        }
        let description = (program.resource.as_deref(), program.scope.as_deref());
        let process = add_copied(
            self.db,
            &program.service,
            description,
            self.tenant,
            self.import_started,
        )?;
        self.known.programs.insert(key, process);
        Ok(process)
    }

    fn callsite(&mut self, callsite: &Callsite) -> rusqlite::Result<i64> {
        if let Some(id) = self.known.callsites.get(callsite) {
            return Ok(*id);
        }
        let id = callsite_row(
            self.db,
            &callsite.name,
            &callsite.target,
            callsite.level,
            &callsite.category,
        )?;
        self.known.callsites.insert(callsite.clone(), id);
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
            loose_events: db.prepare(
                "SELECT count(*) FROM _event e LEFT JOIN _callsite c ON c.id = e.callsite
                 WHERE e.trace IS NULL AND e.time = ?2 AND e.id <= ?1 AND COALESCE(e.name, c.name, '') = ?3
                 AND e.message = ?4 AND COALESCE(e.attributes, '') = ?5",
            )?,
        })
    }
}
