//! The open file as the writer sees it: connection, caches, the write-ahead log's size, age and size of what is kept.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use spanscope_layers::capture::{Capture, FieldReader, Ticks};
use spanscope_layers::queue::Chunk;
use spanscope_model::{StoreError, Timestamp};
use tracing_core::span::Id;

use super::batch::{self, Batch, Reading};
use super::decode::Prepared;
use super::tail::{Settle, SharedStats, Tail, TakenBack};
use crate::layer::SqliteLayerBuilder;
use crate::{open, retention};
use spanscope_layers::queue::LayerStats;

/// The write-ahead log is copied into the file once it is this large.
const WAL_CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;
/// Beyond this nothing is written until a reader lets go. One transaction adds at most about 16 MiB, so the log stays
/// under 64 MiB.
const WAL_STOP_BYTES: u64 = 40 * 1024 * 1024;
/// How often a process with running spans says that it is alive. Readers take it for dead after three times this.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often old traces are looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(30);
/// The next mark comes so long after the one before.
const MARK_EVERY_NANOS: i64 = 10_000_000_000;

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    Store(StoreError),
    /// A reader holds a snapshot, so the write-ahead log can't be emptied.
    WalHeld {
        bytes: u64,
    },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => write!(f, "the disk is full"),
                Some(ErrorCode::DatabaseBusy) => write!(f, "another process holds it locked"),
                _ => write!(f, "{error}"),
            },
            Self::Store(error) => write!(f, "{error}"),
            Self::WalHeld { bytes } => write!(
                f,
                "a reader has kept a transaction open until the write-ahead log had {} MiB; end that reader",
                bytes >> 20
            ),
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What became of the records of a transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) stored: u64,
    /// Left out by the tail rule.
    pub(super) sampled: u64,
    /// Stored before, and deleted by the tail rule now.
    pub(super) taken_back: u64,
}

/// A running span that has a row without an end.
#[derive(Debug)]
pub(super) struct OpenSpan {
    pub(super) row: i64,
    pub(super) id: Id,
    pub(super) field_bytes: usize,
    /// It was closed when last looked for, and its end has not come: the queue was full then.
    pub(super) missing: bool,
}

pub(super) struct Database {
    path: PathBuf,
    wal_path: PathBuf,
    db: Connection,
    file_id: Option<(u64, u64)>,
    service_name: String,
    wanted_keys: Vec<String>,
    retention: Duration,
    max_bytes: u64,
    max_series: u64,
    /// Metrics whose overflow was said, or is to be said.
    overflowed: HashSet<String>,
    new_overflows: Vec<String>,
    process: i64,
    reading: Reading,
    tail: Option<Tail>,
    /// By [`batch::span_key`].
    open_spans: HashMap<i64, OpenSpan>,
    /// Rows of `_attr_key`, in the order of `reading.indexed_keys`.
    indexed_rows: Vec<i64>,
    last_mark: i64,
    latest_time: i64,
    last_heartbeat: Instant,
    last_retention: Option<Instant>,
    written: Option<LayerStats>,
}

impl Database {
    pub(super) fn open(
        settings: &SqliteLayerBuilder,
        path: &Path,
        tail_stats: Option<&SharedStats>,
    ) -> Result<Self, StoreError> {
        let tail = settings.tail.clone().zip(tail_stats.cloned());
        let db = open::open_write(path)?;
        let mut wal_path = path.as_os_str().to_owned();
        wal_path.push("-wal");
        let mut database = Self {
            path: path.to_path_buf(),
            wal_path: wal_path.into(),
            db,
            file_id: None,
            service_name: settings.service_name.clone(),
            wanted_keys: settings.indexed_keys.clone(),
            retention: settings.retention,
            max_bytes: settings.max_bytes,
            max_series: settings.max_series,
            overflowed: HashSet::new(),
            new_overflows: Vec::new(),
            process: 0,
            reading: Reading::new(Arc::clone(&settings.categories)),
            tail: tail.map(|(rule, stats)| Tail::new(rule, stats)),
            open_spans: HashMap::new(),
            indexed_rows: Vec::new(),
            last_mark: 0,
            latest_time: 0,
            last_heartbeat: Instant::now(),
            last_retention: None,
            written: None,
        };
        database.register().map_err(|error| {
            StoreError::new(
                spanscope_model::StoreErrorKind::Unavailable,
                format!("{} can't be written: {}", path.display(), Trouble::from(error)),
            )
        })?;
        Ok(database)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn max_series(&self) -> u64 {
        self.max_series
    }

    /// Metrics that got too many label sets since this was asked last, each once.
    pub(super) fn new_overflows(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new_overflows)
    }

    /// Makes this process known to the file, and the keys to index.
    fn register(&mut self) -> rusqlite::Result<()> {
        self.file_id = file_id(&self.path);
        let now = Timestamp::now().as_nanos();
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "INSERT INTO _process (service_name, pid, started_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
            params![self.service_name, std::process::id(), now],
        )?;
        self.process = tx.last_insert_rowid();
        for key in &self.wanted_keys {
            if tx.execute("INSERT OR IGNORE INTO _attr_key (key) VALUES (?1)", [key])? > 0 {
                // Spans that are already there must be found by the new key too.
                tx.execute(
                    "INSERT OR IGNORE INTO _attr SELECT ?1, a.value, s.id FROM _span s, json_each(s.attributes) a
                     WHERE a.key = ?2 AND a.type IN ('text', 'integer', 'real')",
                    params![tx.last_insert_rowid(), key],
                )?;
            }
        }
        tx.commit()?;
        self.last_mark = self
            .db
            .query_row("SELECT COALESCE(MAX(time), 0) FROM _mark", [], |row| row.get(0))?;
        self.load_indexed_keys()
    }

    fn load_indexed_keys(&mut self) -> rusqlite::Result<()> {
        let mut statement = self
            .db
            .prepare_cached("SELECT id, key FROM _attr_key ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        (self.indexed_rows, self.reading.indexed_keys) = rows.into_iter().unzip();
        self.reading.callsites.clear();
        Ok(())
    }

    /// Tells the tail rule, if there is one, what was drained after that moment.
    pub(super) fn tell(&mut self, chunks: &[Chunk], capture: &Capture, before_drain: Ticks, settle: Settle) {
        if let Some(tail) = &mut self.tail {
            tail.tell(chunks, capture, before_drain, settle);
        }
    }

    /// Whether rows of dropped traces are to be deleted.
    pub(super) fn has_unwanted(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::has_unwanted)
    }

    /// Gives up deleting them.
    pub(super) fn leave_unwanted(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.leave_unwanted();
        }
    }

    /// Writes these chunks and the running spans among them in one transaction, and deletes in it what the tail rule has
    /// dropped. On an error nothing has changed, in the file or here, and the same call may be made again.
    pub(super) fn write(
        &mut self,
        chunks: &[Chunk],
        capture: &Capture,
        account: &LayerStats,
    ) -> Result<Written, Trouble> {
        self.reopen_if_gone()?;
        self.make_wal_room()?;
        let result = self.write_transaction(chunks, capture, account);
        if result.is_err() {
            // Rows of callsites may have been rolled back with the rest.
            self.reading.callsites.clear();
            self.reading.log_callsites.clear();
        }
        Ok(result?)
    }

    fn write_transaction(
        &mut self,
        chunks: &[Chunk],
        capture: &Capture,
        account: &LayerStats,
    ) -> rusqlite::Result<Written> {
        let keys: i64 = self
            .db
            .prepare_cached("SELECT COUNT(*) FROM _attr_key")?
            .query_row([], |row| row.get(0))?;
        if usize::try_from(keys).ok() != Some(self.indexed_rows.len()) {
            self.load_indexed_keys()?; // another process has begun to index one more
        }
        let records: usize = chunks.iter().map(|chunk| chunk.entries().len()).sum();
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
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
        let time = self
            .latest_time
            .max(self.last_mark)
            .max(Timestamp::now().as_nanos());
        let marked = time - self.last_mark >= MARK_EVERY_NANOS;
        if marked {
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
        write_account(&tx, self.process, &after, false)?;
        tx.commit()?;
        if let Some(tail) = &mut self.tail {
            tail.committed(outcome.undecided, &taken);
        }
        self.written = Some(after);
        self.latest_time = self.latest_time.max(outcome.latest_time);
        if marked {
            self.last_mark = time;
        }
        self.open_spans.extend(outcome.opened);
        for ended in outcome.ended {
            self.open_spans.remove(&ended);
        }
        for metric in outcome.overflowed {
            if self.overflowed.insert(metric.clone()) {
                self.new_overflows.push(metric);
            }
        }
        Ok(written)
    }

    /// What follows a written batch: the log's size and the file's.
    pub(super) fn keep_bounds(&mut self) -> Result<(), Trouble> {
        if self.wal_bytes() > WAL_CHECKPOINT_BYTES {
            self.checkpoint("PASSIVE")?;
        }
        self.keep_size()
    }

    /// What is to be done now and then: running spans, heartbeat, account, age.
    pub(super) fn upkeep(&mut self, capture: &Capture, account: &LayerStats) -> Result<(), Trouble> {
        self.reopen_if_gone()?;
        if !self.open_spans.is_empty() {
            self.look_after_open_spans(capture)?;
        }
        let heartbeat = !self.open_spans.is_empty() && self.last_heartbeat.elapsed() >= HEARTBEAT;
        let changed = self.written.is_none_or(|written| {
            (written.offered, written.dropped, written.stored)
                != (account.offered, account.dropped, account.stored)
        });
        if heartbeat || changed {
            self.last_heartbeat = Instant::now();
            write_account(&self.db, self.process, account, false)?;
            self.written = Some(*account);
        }
        if self
            .last_retention
            .is_none_or(|last| last.elapsed() >= RETENTION_EVERY)
        {
            self.last_retention = Some(Instant::now());
            self.keep_age()?;
            self.give_back()?;
        }
        Ok(())
    }

    /// Rows of running spans get the fields that came since. A span that is closed and whose end has not come within
    /// two looks lost its end in a full queue; its row is ended here, and says so.
    fn look_after_open_spans(&mut self, capture: &Capture) -> Result<(), Trouble> {
        let ids: Vec<Id> = self.open_spans.values().map(|span| span.id.clone()).collect();
        let keys: HashMap<u64, i64> = self
            .open_spans
            .iter()
            .map(|(key, span)| (span.id.into_u64(), *key))
            .collect();
        let mut lost = Vec::new();
        let mut grown = Vec::new();
        let Self {
            open_spans,
            reading:
                Reading {
                    callsites,
                    decoded,
                    indexed_keys,
                    ..
                },
            ..
        } = self;
        capture.look_at(ids.iter(), |id, record| {
            let Some(key) = keys.get(&id.into_u64()) else {
                return;
            };
            let Some(span) = open_spans.get_mut(key) else {
                return;
            };
            // The registry gives a closed span's id to another one.
            match record.filter(|record| batch::span_key(record.ids().span_id) == *key) {
                None if span.missing => lost.push(span.row),
                None => span.missing = true,
                Some(record) if record.fields().len() != span.field_bytes => {
                    let prepare = |info| Prepared::new(info, indexed_keys);
                    let callsite = callsites.get_or_insert_with(record.metadata(), prepare);
                    decoded.read(callsite, FieldReader::new(record.fields()), indexed_keys);
                    grown.push((*key, span.row, record.fields().len(), decoded.attributes.clone()));
                }
                Some(_) => {}
            }
        });
        if lost.is_empty() && grown.is_empty() {
            return Ok(());
        }
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        for (_, row, _, attributes) in &grown {
            tx.execute(
                "UPDATE _span SET attributes = ?2 WHERE id = ?1 AND duration IS NULL",
                params![row, attributes],
            )?;
        }
        let now = Timestamp::now().as_nanos();
        for row in &lost {
            batch::end_lost_span(&tx, *row, now)?;
        }
        tx.commit()?;
        // Only now: what a busy file or a full disk has refused is tried again.
        for (key, _, field_bytes, _) in grown {
            if let Some(span) = open_spans.get_mut(&key) {
                span.field_bytes = field_bytes;
            }
        }
        self.open_spans.retain(|_, span| !lost.contains(&span.row));
        Ok(())
    }

    /// Free pages are used again first; what is more than a quarter of the file goes back to the file system, in steps.
    fn give_back(&self) -> Result<(), Trouble> {
        let number = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number("freelist_count")? > number("page_count")? / 4 {
            retention::give_back(&self.db, 8192)?;
            self.checkpoint("PASSIVE")?;
        }
        Ok(())
    }

    fn keep_age(&mut self) -> Result<(), Trouble> {
        let now = Timestamp::now();
        retention::delete_expired(&self.db, now)?;
        let cutoff = now.before(self.retention);
        // In steps, so that the queue is looked at in between; what is left waits for the next time.
        for _ in 0..20 {
            let deleted = retention::delete_older_than(&self.db, cutoff, 500)?;
            if deleted.traces + deleted.events + deleted.points == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Keeps the file under its cap: whole traces go, the oldest first.
    fn keep_size(&mut self) -> Result<(), Trouble> {
        // Under the cap by more than one transaction adds.
        let limit = self.max_bytes - self.max_bytes / 8;
        let mut used = retention::used_bytes(&self.db)?;
        if used <= limit {
            return Ok(());
        }
        let target = limit - limit / 10;
        while used > target {
            let deleted = retention::delete_oldest(&self.db, 200)?;
            if deleted.traces + deleted.events + deleted.points == 0 {
                break;
            }
            used = retention::used_bytes(&self.db)?;
            if self.wal_bytes() > WAL_CHECKPOINT_BYTES {
                self.checkpoint("PASSIVE")?;
                self.make_wal_room()?;
            }
        }
        Ok(())
    }

    fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal_path).map_or(0, |file| file.len())
    }

    /// A log that was copied into the file is written from its start again, if no reader still needs it.
    fn make_wal_room(&self) -> Result<(), Trouble> {
        if self.wal_bytes() < WAL_STOP_BYTES {
            return Ok(());
        }
        if self.checkpoint("TRUNCATE")? {
            return Ok(());
        }
        Err(Trouble::WalHeld {
            bytes: self.wal_bytes(),
        })
    }

    fn checkpoint(&self, mode: &str) -> Result<bool, Trouble> {
        self.db.busy_timeout(Duration::from_millis(50))?;
        let busy = self
            .db
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                row.get::<_, i64>(0)
            });
        self.db.busy_timeout(open::BUSY_TIMEOUT)?;
        match busy {
            Ok(busy) => Ok(busy == 0),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Somebody deleted or replaced the file: what it held is theirs to lose, what comes now goes into a new one.
    fn reopen_if_gone(&mut self) -> Result<(), Trouble> {
        if self.file_id.is_none() || file_id(&self.path) == self.file_id {
            return Ok(());
        }
        self.db = open::open_write(&self.path)?;
        self.reading.log_callsites.clear();
        self.open_spans.clear();
        self.latest_time = 0;
        self.register()?;
        Ok(())
    }

    /// Leaves the file whole: account written, running spans marked as left behind, log copied in.
    pub(super) fn close(&mut self, account: &LayerStats) -> Result<(), Trouble> {
        self.reopen_if_gone()?;
        write_account(&self.db, self.process, account, true)?;
        self.checkpoint("TRUNCATE")?;
        Ok(())
    }
}

fn write_account(db: &Connection, process: i64, account: &LayerStats, ended: bool) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_nanos();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "UPDATE _process SET offered = ?2, stored = ?3, dropped_queue_full = ?4, dropped_write_failed = ?5,
         dropped_shutdown = ?6, dropped_sampled = ?7, seen_at = ?8, ended_at = ?9 WHERE id = ?1",
    )?;
    statement.execute(params![
        process,
        count(account.offered),
        count(account.stored),
        count(account.dropped.queue_full),
        count(account.dropped.write_failed),
        count(account.dropped.shutdown),
        count(account.dropped.sampled),
        now,
        ended.then_some(now),
    ])?;
    Ok(())
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    // A missing file has an identity too: none that the open one could have.
    Some(fs::metadata(path).map_or((0, 0), |file| (file.dev(), file.ino())))
}

#[cfg(not(unix))]
fn file_id(_: &Path) -> Option<(u64, u64)> {
    None
}

/// The row of a callsite in the open file.
pub(super) fn callsite_row(
    db: &Connection,
    name: &str,
    target: &str,
    level: u8,
    category: &str,
) -> rusqlite::Result<i64> {
    let mut find = db.prepare_cached(
        "SELECT id FROM _callsite WHERE name = ?1 AND target = ?2 AND level = ?3 AND category = ?4",
    )?;
    if let Some(row) = find
        .query_row(params![name, target, level, category], |row| row.get(0))
        .optional()?
    {
        return Ok(row);
    }
    db.prepare_cached("INSERT INTO _callsite (name, target, level, category) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![name, target, level, category])?;
    Ok(db.last_insert_rowid())
}
