//! Keeps a file within its bounds, for every writer: age, size and the size of its write-ahead log.
//! Detects whether it is still the file that was opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use spanscope_model::Timestamp;

use super::checkpoint::Checkpointer;
use super::clock::ClockWatch;
use super::identity::{FileId, LogId, file_id, sibling};
use super::integrity::Integrity;
use super::log_limits::{LEAST_LOG_BYTES, LogLimits, free_bytes};
use super::programs::ProgramSweep;
use super::shares::Shares;
use super::write_error::WriteError;
use super::{oldest, open, relocate, retention};

/// How long one check of a log that readers hold waits for them.
const HELD_PATIENCE: Duration = Duration::from_millis(50);
/// How long records with a waiting caller wait while readers hold a full log, before they are
/// refused. A read transaction that began before the log was full holds it, and so may one that
/// began before the first ended: the log is free after two of the longest. OTLP clients give up
/// after 10 s.
const READER_PATIENCE: Duration = Duration::from_millis(9_500);
/// A log that readers hold for a shorter time is not reported: most release it soon.
const REPORTED_FROM: Duration = Duration::from_secs(1);
/// The time from opening the file to the first search for old traces: a program that has just
/// opened it has other work.
const FIRST_RETENTION: Duration = Duration::from_secs(5);
/// How long a deletion of old traces may take before other work gets a turn.
const DELETING: Duration = Duration::from_millis(50);
/// How often old traces are searched.
const RETENTION_EVERY: Duration = Duration::from_secs(30);

/// Maximum age of records, and maximum size of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
}

impl Limits {
    /// Returns the stricter limit of each kind.
    pub(crate) fn narrower(self, other: Self) -> Self {
        Self {
            retention: self.retention.min(other.retention),
            max_bytes: self.max_bytes.min(other.max_bytes),
        }
    }
}

/// The bounds of one file.
#[derive(Debug)]
pub(crate) struct Bounds {
    path: PathBuf,
    wal_path: PathBuf,
    file_id: Option<FileId>,
    log_id: LogId,
    integrity: Integrity,
    /// `None` while no records are written: an import and a cleanup delete nothing by themselves.
    limits: Option<Limits>,
    next_retention: Instant,
    /// Whether old traces have been searched at least once.
    is_looked_after: bool,
    helper: Option<Checkpointer>,
    /// Since when the log is full and held by readers.
    held_since: Option<Instant>,
    /// The log size that the connection is configured to keep (`journal_size_limit`).
    kept: Option<u64>,
    /// Whether everything that could be deleted is, and the file is still larger than its limit.
    is_over_cap: bool,
    clock: ClockWatch,
    programs: ProgramSweep,
    /// The shares of tenants, while the file is made smaller.
    shrinking: Option<Shares>,
}

impl Bounds {
    /// Creates the bounds of a file that has just been opened.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            wal_path: sibling(path, "-wal"),
            file_id: file_id(path),
            log_id: LogId::of(path),
            integrity: Integrity::new(path),
            limits: None,
            next_retention: Instant::now() + FIRST_RETENTION,
            is_looked_after: false,
            helper: None,
            held_since: None,
            kept: None,
            is_over_cap: false,
            clock: ClockWatch::default(),
            programs: ProgramSweep::default(),
            shrinking: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn set_limits(&mut self, limits: Option<Limits>) {
        if limits != self.limits {
            self.limits = limits;
            self.next_retention = self.next_retention.min(Instant::now() + FIRST_RETENTION);
        }
    }

    /// Returns the maximum size of one transaction's records in bytes, so that the file stays under
    /// its limit.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.limits.map_or(usize::MAX, |limits| {
            usize::try_from(limits.max_bytes / 16).unwrap_or(usize::MAX)
        })
    }

    /// Returns whether another program deleted or replaced the file: its old content is gone, and
    /// new records are written to a new file.
    pub(crate) fn is_gone(&self) -> bool {
        self.file_id.is_some() && file_id(&self.path) != self.file_id
    }

    /// Whether another program has removed or replaced the log of the open file. SQLite does so
    /// only when no connection is left.
    pub(crate) fn has_lost_log(&self) -> bool {
        self.log_id.is_whole() && LogId::of(&self.path) != self.log_id && !self.is_gone()
    }

    /// Copies the connection's data into a new file of the same name. Returns `false` if another
    /// file already replaced it.
    pub(crate) fn relocate(&mut self, db: &Connection) -> Result<bool, WriteError> {
        self.end_helper();
        relocate::run(db, &self.path, self.file_id)
    }

    /// Removes the log of the closed file before the file is opened again: a new file must not get
    /// the old one's log.
    pub(crate) fn remove_log(&mut self) {
        self.end_helper();
        self.log_id.remove(&self.path);
    }

    /// Ends the helper thread, which has the file open too.
    pub(crate) fn end_helper(&mut self) {
        self.helper = None;
    }

    /// Resets the state for a reopened file.
    pub(crate) fn opened(&mut self) {
        let (limits, clock) = (self.limits, self.clock);
        *self = Self::new(&self.path);
        (self.limits, self.clock) = (limits, clock);
    }

    /// Fails once another program has truncated or overwritten the file, see [`Integrity`].
    pub(crate) fn check_content(&mut self, db: &Connection) -> Result<(), WriteError> {
        if !self.log_id.is_whole() {
            self.log_id = LogId::of(&self.path);
        }
        let result = self.integrity.check(db, self.wal_bytes());
        self.unless_gone(result)
    }

    /// Checks the whole file, because a reader found damage in it.
    pub(crate) fn verify_content(&mut self, db: &Connection) -> Result<(), WriteError> {
        let result = self.integrity.verify(db, self.wal_bytes());
        self.unless_gone(result)
    }

    /// Returns whether another program has truncated the log.
    pub(crate) fn is_log_cut(&mut self, db: &Connection) -> bool {
        let bytes = self.wal_bytes();
        !self.is_gone() && self.integrity.note_log(db, bytes).unwrap_or(false)
    }

    /// Returns the length of a damaged file that another program has cut.
    pub(crate) fn cut_length(&mut self) -> Option<u64> {
        match self.is_gone() {
            true => None,
            false => self.integrity.cut_length(),
        }
    }

    /// Notes that SQLite found damage while writing.
    pub(crate) fn note_damage(&mut self) {
        if !self.is_gone() {
            self.integrity.note_damage();
        }
    }

    /// Converts the damage of a replaced file: with the other file's log it only seems damaged.
    fn unless_gone(&mut self, result: Result<(), WriteError>) -> Result<(), WriteError> {
        if result.is_err() && self.is_gone() {
            self.integrity.clear();
            return Err(WriteError::Replaced);
        }
        result
    }

    /// Checks the sizes of log and file after a written batch.
    pub(crate) fn keep(&mut self, db: &Connection) -> Result<(), WriteError> {
        let bytes = self.wal_bytes();
        let log = self.log_limits(bytes);
        if self.kept != Some(log.kept()) {
            db.pragma_update(None, "journal_size_limit", log.kept().cast_signed())?;
            self.kept = Some(log.kept());
        }
        if bytes > log.copy() {
            self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
        } else if bytes > log.help() {
            self.help();
        }
        self.keep_size(db)
    }

    fn log_limits(&self, wal_bytes: u64) -> LogLimits {
        let max_bytes = self.limits.map_or(u64::MAX, |limits| limits.max_bytes);
        let room = free_bytes(&self.path).map_or(u64::MAX, |free| free.saturating_add(wal_bytes));
        LogLimits::new(max_bytes, room)
    }

    /// Copies the log into the file and frees its space, if the disk is full.
    pub(crate) fn empty_log(&mut self, db: &Connection) {
        // The next write fails with the same error.
        let _ = self.checkpoint(db, "TRUNCATE", HELD_PATIENCE);
    }

    /// Makes the helper thread copy the log while the writer continues. If it finishes before the
    /// next transaction, that one overwrites the log from its start, and the writer has not waited
    /// for the disk.
    fn help(&mut self) {
        if self.helper.is_none() {
            // If the path leads to another file, this file's log would destroy it.
            self.helper = Checkpointer::start(&self.path).filter(|_| !self.is_gone());
        }
        if let Some(helper) = &self.helper {
            helper.request();
        }
    }

    /// Ends the helper, whose connection would otherwise prevent the removal of the log with the
    /// last connection.
    pub(crate) fn close(&mut self, db: &Connection) -> Result<(), WriteError> {
        self.helper = None;
        if self.integrity.has_fault() {
            // The last connection would copy the log, or the rest of it, into the file.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            return Ok(());
        }
        self.checkpoint(db, "TRUNCATE", HELD_PATIENCE).map(drop)
    }

    /// Does periodic work: deletes old records, and returns free space.
    pub(crate) fn upkeep(&mut self, db: &Connection) -> Result<(), WriteError> {
        let Some(limits) = self.limits else { return Ok(()) };
        // Readers hold the log: further writes would make the next readers hold it too.
        if self.make_wal_room(db).is_err() {
            return Ok(());
        }
        if Instant::now() >= self.next_retention {
            self.next_retention = Instant::now() + RETENTION_EVERY;
            self.is_looked_after = true;
            oldest::date_rows(db, Timestamp::now(), limits.retention)?;
            if !self.clock.has_jumped() && !keep_age(db, limits.retention)? {
                self.next_retention = Instant::now();
            }
            self.give_back(db)?;
        }
        if self.is_looked_after && !self.clock.has_jumped() {
            self.programs.step(db, limits.retention)?;
        }
        Ok(())
    }

    /// Returns free pages to the file system, in steps, if they are more than a quarter of the
    /// file. Fewer are left for reuse.
    fn give_back(&self, db: &Connection) -> Result<(), WriteError> {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number("freelist_count")? > number("page_count")? / 4 {
            retention::give_back(db, 8192)?;
            self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
        }
        Ok(())
    }

    /// Returns how far the clock has jumped ahead since the last check, if it has.
    pub(crate) fn watch_clock(&mut self) -> Option<Duration> {
        let has_jumped = self.clock.has_jumped();
        let jump = self.clock.look(Timestamp::now().as_nanos(), Instant::now());
        if has_jumped && !self.clock.has_jumped() {
            // Records stored meanwhile have dates in the future.
            self.next_retention = Instant::now();
        }
        jump
    }

    /// Keeps the file under its limit by deleting whole traces, the oldest first, of the tenant
    /// with the most data.
    ///
    /// A tenth of the file is deleted, in short steps between batches, because recording and
    /// sending clients wait meanwhile. A step is as long as necessary only if the file is above its
    /// limit.
    fn keep_size(&mut self, db: &Connection) -> Result<(), WriteError> {
        let Some(limits) = self.limits else { return Ok(()) };
        // The margin is more than one transaction adds.
        let limit = limits.max_bytes - limits.max_bytes / 8;
        let mut used = retention::used_bytes(db)?;
        if self.shrinking.is_none() && used <= limit - limit / 32 {
            self.is_over_cap = false;
            return Ok(());
        }
        let mut shares = match self.shrinking.take() {
            Some(shares) => shares,
            None => {
                oldest::trim(db, limits.max_bytes / 64)?;
                Shares::of(db)?
            }
        };
        let target = limit - limit / 10;
        let began = Instant::now();
        while used > target {
            if used <= limit && began.elapsed() >= DELETING {
                shares.pause();
                self.shrinking = Some(shares);
                break;
            }
            let tenant = shares.next(db)?;
            let deadline = Instant::now().checked_add(DELETING);
            let deleted = oldest::delete(db, tenant, limits.retention, target, deadline)?;
            let count = deleted.traces + deleted.spans + deleted.events + deleted.points;
            if count == 0 && tenant.is_none() {
                break;
            }
            let left = retention::used_bytes(db)?;
            shares.shrink(tenant, used.saturating_sub(left), count == 0);
            used = left;
            let bytes = self.wal_bytes();
            if bytes > self.log_limits(bytes).copy() {
                self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
                self.make_wal_room(db)?;
            }
        }
        self.is_over_cap = used > limits.max_bytes;
        Ok(())
    }

    /// Fails while the file is larger than its limit and nothing is left to delete.
    pub(crate) fn check_cap(&mut self, db: &Connection) -> Result<(), WriteError> {
        if self.is_over_cap {
            self.keep_size(db)?;
        }
        match self.is_over_cap {
            true => Err(WriteError::OverCap {
                bytes: self.limits.map_or(0, |limits| limits.max_bytes),
            }),
            false => Ok(()),
        }
    }

    fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal_path).map_or(0, |file| file.len())
    }

    /// Copies a full log into the file and truncates it. Fails while a reader needs it.
    ///
    /// Nothing is written until all readers that hold the log are done: once it is copied, new
    /// readers read from the file, and do not hold it.
    pub(crate) fn make_wal_room(&mut self, db: &Connection) -> Result<(), WriteError> {
        let bytes = self.wal_bytes();
        if bytes < LEAST_LOG_BYTES || bytes < self.log_limits(bytes).stop() {
            self.held_since = None;
            return Ok(());
        }
        let began = Instant::now();
        match self.checkpoint(db, "TRUNCATE", HELD_PATIENCE)? {
            Checkpoint::Done => {
                self.held_since = None;
                Ok(())
            }
            // Another process copies the log: it is shorter then, or the next attempt succeeds.
            Checkpoint::Locked => {
                self.held_since.get_or_insert(began);
                Err(WriteError::WalBusy)
            }
            Checkpoint::Held => {
                self.held_since.get_or_insert(began);
                Err(WriteError::WalHeld {
                    bytes: self.wal_bytes(),
                })
            }
        }
    }

    /// Returns whether callers should wait for this error to pass: readers have held the log for
    /// less than [`READER_PATIENCE`].
    pub(crate) fn may_pass(&self, write_error: &WriteError) -> bool {
        self.is_held_for_less(write_error, READER_PATIENCE)
    }

    /// Returns whether this error has not lasted long enough to be reported.
    pub(crate) fn is_brief(&self, write_error: &WriteError) -> bool {
        self.is_held_for_less(write_error, REPORTED_FROM)
    }

    fn is_held_for_less(&self, write_error: &WriteError, time: Duration) -> bool {
        matches!(write_error, WriteError::WalHeld { .. } | WriteError::WalBusy)
            && self.held_since.is_some_and(|since| since.elapsed() < time)
    }

    fn checkpoint(&self, db: &Connection, mode: &str, patience: Duration) -> Result<Checkpoint, WriteError> {
        if let Some(helper) = &self.helper {
            helper.wait_until_idle();
        }
        let result = open::with_patience(patience, || {
            db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
        });
        match result {
            Ok((0, _)) => Ok(Checkpoint::Done),
            // SQLite returns the size of the log only if it got the lock that serializes
            // checkpoints.
            Ok((_, log)) if log < 0 => Ok(Checkpoint::Locked),
            Ok(_) => Ok(Checkpoint::Held),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Ok(Checkpoint::Locked)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The result of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoint {
    Done,
    /// Another connection runs one, or writes.
    Locked,
    /// A reader needs the log.
    Held,
}

/// Deletes old records, for a limited time. Returns whether all are deleted.
fn keep_age(db: &Connection, retention: Duration) -> Result<bool, WriteError> {
    let now = Timestamp::now();
    let deadline = Instant::now().checked_add(DELETING);
    retention::delete_expired(db, now, deadline)?;
    retention::forget(db, now, retention)?;
    let cutoff = now.before(retention);
    while !retention::is_over(deadline) {
        let deleted = retention::delete_older_than(db, cutoff, 500, deadline)?;
        if deleted == retention::CleanupReport::default() {
            return Ok(true);
        }
    }
    Ok(false)
}
