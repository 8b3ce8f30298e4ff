//! A layer's state for the open file, and the transactions that store its records.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use spanscope_core::capture::{Capture, FieldReader, Ticks};
use spanscope_core::queue::Chunk;
use spanscope_core::tail::DecisionScope;
use spanscope_model::{Attributes, StoreError, Timestamp};
use tracing_core::span::Id;

use super::batch::Batch;
use super::decode::PreparedCallsite;
use super::open_span::{OpenSpan, end_lost_span, next_look};
use super::reading::Reading;
use super::settings::WriterSettings;
use super::tail::{SharedStats, Tail, TakenBack};
use crate::file::open;
use crate::file::open_file::OpenFile;
use crate::file::processes::{add_program, add_program_again, write_account};
use crate::file::rows::span_key;
use crate::file::runs::{Found, Runs};
use crate::file::write_error::WriteError;
use crate::ingest::Overflows;
use spanscope_core::queue::LayerStats;

/// How often a process with running spans, or with records in flight, reports that it is alive.
/// Readers consider it dead after three times this.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How often an idle process reports that it is alive, so that its row is not mistaken for that of
/// a program that was killed.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(3600);

/// The result of a transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) stored: u64,
    /// Records that the tail rule dropped.
    pub(super) sampled: u64,
    /// Records that were stored earlier, and that the tail rule deleted.
    pub(super) taken_back: u64,
}

pub(super) struct Database {
    /// The generation of the file in which this process has a row; `None` before it has one.
    generation: Option<u64>,
    service_name: String,
    resource: Attributes,
    wanted_keys: Vec<String>,
    max_series: u64,
    overflows: Overflows,
    process: i64,
    reading: Reading,
    tail: Option<Tail>,
    /// By [`span_key`](span_key).
    open_spans: HashMap<i64, OpenSpan>,
    /// Rows of `_attr_key`, in the order of `reading.indexed_keys`.
    indexed_rows: Vec<i64>,
    last_heartbeat: Instant,
    written: Option<LayerStats>,
}

impl Database {
    /// Adds this process to the file.
    pub(super) fn begin(
        settings: &WriterSettings,
        file: &mut OpenFile,
        tail_stats: Option<SharedStats>,
    ) -> Result<Self, StoreError> {
        let tail = settings.tail.clone().zip(tail_stats);
        let mut database = Self {
            generation: None,
            service_name: settings.service_name.clone(),
            resource: settings.resource(),
            wanted_keys: settings.indexed_keys.clone(),
            max_series: settings.max_series,
            overflows: Overflows::default(),
            process: 0,
            reading: Reading::new(Arc::clone(&settings.categories)),
            tail: tail.map(|(rule, stats)| Tail::new(rule, stats)),
            open_spans: HashMap::new(),
            indexed_rows: Vec::new(),
            last_heartbeat: Instant::now(),
            written: None,
        };
        database
            .ready(file)
            .map_err(|write_error| file.error_of(&write_error))?;
        Ok(database)
    }

    /// Ensures that the open file can be written and has this process's row. If the file was
    /// replaced, cached rows of the old one are dropped.
    fn ready(&mut self, file: &mut OpenFile) -> Result<(), WriteError> {
        file.ready()?;
        if self.generation == Some(file.generation()) {
            return Ok(());
        }
        self.reading.forget_rows();
        self.open_spans.clear();
        let tx = Transaction::new_unchecked(&file.db, TransactionBehavior::Immediate)?;
        let process = add_program(&tx, &self.service_name, &self.resource)?;
        open::index_keys(&tx, &self.wanted_keys)?;
        tx.commit()?;
        self.load_indexed_keys(&file.db)?;
        self.process = process;
        self.written = None;
        self.generation = Some(file.generation());
        Ok(())
    }

    fn load_indexed_keys(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement = db.prepare_cached("SELECT id, key FROM _attr_key ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        (self.indexed_rows, self.reading.indexed_keys) = rows.into_iter().unzip();
        self.reading.callsites.clear();
        Ok(())
    }

    /// Reports drained records to the tail rule, if there is one. The drain began at
    /// `before_drain`.
    pub(super) fn report(
        &mut self,
        chunks: &[Chunk],
        capture: &Capture,
        before_drain: Ticks,
        settle: DecisionScope,
    ) {
        if let Some(tail) = &mut self.tail {
            tail.report(chunks, capture, before_drain, settle);
        }
    }

    /// Returns whether rows of dropped traces have to be deleted.
    pub(super) fn has_unwanted(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::has_unwanted)
    }

    /// Keeps the rows of dropped traces in the file.
    pub(super) fn leave_unwanted(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.leave_unwanted();
        }
    }

    /// Writes these chunks and the running spans among them in one transaction, which also deletes
    /// rows of dropped traces. On an error nothing has changed, in the file or here, and the same
    /// call may be repeated.
    pub(super) fn write(
        &mut self,
        file: &mut OpenFile,
        chunks: &[Chunk],
        capture: &Capture,
        account: &LayerStats,
    ) -> Result<Written, WriteError> {
        self.ready(file)?;
        let result = self.write_transaction(file, chunks, capture, account);
        if result.is_err() {
            // Rows of callsites may have been rolled back with the rest.
            self.reading.forget_rows();
        }
        result
    }

    fn write_transaction(
        &mut self,
        file: &mut OpenFile,
        chunks: &[Chunk],
        capture: &Capture,
        account: &LayerStats,
    ) -> Result<Written, WriteError> {
        let keys: i64 = file
            .db
            .prepare_cached("SELECT COUNT(*) FROM _attr_key")?
            .query_row([], |row| row.get(0))?;
        if usize::try_from(keys).ok() != Some(self.indexed_rows.len()) {
            self.load_indexed_keys(&file.db)?; // another process has added a key
        }
        let records: usize = chunks.iter().map(|chunk| chunk.entries().len()).sum();
        let tx = Transaction::new_unchecked(&file.db, TransactionBehavior::Immediate)?;
        let rows = &self.indexed_rows;
        let mut batch = Batch::begin(
            &tx,
            &mut self.reading,
            self.process,
            &self.open_spans,
            rows,
            capture,
            self.max_series,
        )?
        .following(self.tail.as_ref());
        let mark = file.marks.due();
        if let Some(time) = mark {
            batch.mark(time)?;
        }
        batch.write_running(chunks, capture)?;
        batch.write_chunks(chunks)?;
        let outcome = batch.finish()?;
        let taken = match &self.tail {
            Some(tail) => tail.take_back(&tx, self.process)?,
            None => TakenBack::default(),
        };
        if taken.any {
            let [trace, span, event] = outcome.next.map(|next| next - 1);
            tx.prepare_cached(
                "UPDATE _given SET trace = MAX(trace, ?1), span = MAX(span, ?2), event = MAX(event, ?3)",
            )?
            .execute([trace, span, event])?;
        }
        let written = Written {
            stored: records as u64 - outcome.sampled,
            sampled: outcome.sampled,
            taken_back: taken.records,
        };
        let mut after = *account;
        after.stored = (after.stored + written.stored).saturating_sub(written.taken_back);
        after.dropped.sampled += written.sampled + written.taken_back;
        write_own_account(&tx, self.process, &self.service_name, &after, false)?;
        tx.commit()?;
        file.confirm()?;
        if let Some(tail) = &mut self.tail {
            tail.committed(outcome.undecided, &taken);
        }
        self.written = Some(after);
        file.marks.committed(mark, outcome.latest_time);
        self.open_spans.extend(outcome.opened);
        for ended in outcome.ended {
            self.open_spans.remove(&ended);
        }
        self.overflows.report(outcome.overflowed, self.max_series);
        Ok(written)
    }

    /// Does periodic work: running spans, heartbeat, account.
    pub(super) fn upkeep(
        &mut self,
        file: &mut OpenFile,
        capture: &Capture,
        account: &LayerStats,
    ) -> Result<(), WriteError> {
        self.ready(file)?;
        if !self.open_spans.is_empty() {
            self.look_after_open_spans(&file.db, capture)?;
        }
        // Records in flight at the last check count as lost once the process is dead.
        let waits = account.offered > account.stored + account.dropped.total();
        let heartbeat = (waits || !self.open_spans.is_empty()) && self.last_heartbeat.elapsed() >= HEARTBEAT;
        let changed = self.written.is_none_or(|written| {
            (written.offered, written.dropped, written.stored)
                != (account.offered, account.dropped, account.stored)
        });
        if heartbeat || changed || self.last_heartbeat.elapsed() >= IDLE_HEARTBEAT {
            self.last_heartbeat = Instant::now();
            write_own_account(&file.db, self.process, &self.service_name, account, false)?;
            self.written = Some(*account);
        }
        Ok(())
    }

    /// Updates the rows of running spans with their new fields. A span that is closed and whose end
    /// has not arrived within two checks lost its end in a full queue; its row is ended and marked
    /// here.
    fn look_after_open_spans(&mut self, db: &Connection, capture: &Capture) -> Result<(), WriteError> {
        let ids: Vec<Id> = self.open_spans.values().map(|span| span.id.clone()).collect();
        let keys: HashMap<u64, i64> = self
            .open_spans
            .iter()
            .map(|(key, span)| (span.id.into_u64(), *key))
            .collect();
        let mut lost = Vec::new();
        let mut grown = Vec::new();
        let looked_at = Instant::now();
        let Self {
            open_spans,
            reading:
                Reading {
                    callsites,
                    decoder,
                    decoded,
                    indexed_keys,
                    ..
                },
            ..
        } = self;
        capture.visit_spans(ids.iter(), |id, record| {
            let Some(key) = keys.get(&id.into_u64()) else {
                return;
            };
            let Some(span) = open_spans.get_mut(key) else {
                return;
            };
            // The registry reuses a closed span's id.
            match record.filter(|record| span_key(record.ids().span_id) == *key) {
                None if span.missing => lost.push(span.row),
                None => span.missing = true,
                Some(record)
                    if record.field_changes() != span.field_changes && span.next_look <= looked_at =>
                {
                    span.next_look = next_look(record.fields().len());
                    let prepare = |info| PreparedCallsite::new(info, indexed_keys);
                    let callsite = callsites.get_or_insert_with(record.metadata(), prepare);
                    decoded.read(decoder, callsite, FieldReader::new(record.fields()), indexed_keys);
                    let found = decoded.facts.take().map(|facts| Found {
                        facts,
                        row: span.row,
                        key: *key,
                        start: span.start,
                        has_parent: record.parent().is_some(),
                    });
                    grown.push((
                        *key,
                        span.row,
                        record.field_changes(),
                        decoded.attributes.clone(),
                        found,
                    ));
                }
                Some(_) => {}
            }
        });
        if lost.is_empty() && grown.is_empty() {
            return Ok(());
        }
        let tx = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        let mut runs = Runs::default();
        for (_, row, _, attributes, found) in &mut grown {
            let trace: Option<i64> = tx
                .query_row(
                    "UPDATE _span SET attributes = ?2 WHERE id = ?1 AND duration IS NULL RETURNING trace",
                    params![*row, *attributes],
                    |row| row.get(0),
                )
                .optional()?;
            if let (Some(trace), Some(found)) = (trace, found.take()) {
                runs.note(trace, found);
            }
        }
        runs.write(&tx)?;
        let now = Timestamp::now().as_nanos();
        for row in &lost {
            end_lost_span(&tx, *row, now)?;
        }
        tx.commit()?;
        // Noted after the commit, so that a failed update is repeated.
        for (key, _, field_changes, _, _) in grown {
            if let Some(span) = open_spans.get_mut(&key) {
                span.field_changes = field_changes;
            }
        }
        self.open_spans.retain(|_, span| !lost.contains(&span.row));
        Ok(())
    }

    /// Writes the account and marks running spans as abandoned.
    pub(super) fn end(&mut self, file: &mut OpenFile, account: &LayerStats) -> Result<(), WriteError> {
        self.ready(file)?;
        write_own_account(&file.db, self.process, &self.service_name, account, true)?;
        Ok(())
    }
}

fn write_own_account(
    db: &Connection,
    process: i64,
    service_name: &str,
    account: &LayerStats,
    ended: bool,
) -> rusqlite::Result<()> {
    if !write_account(db, process, account, ended)? {
        add_program_again(db, process, service_name)?;
        write_account(db, process, account, ended)?;
    }
    Ok(())
}
