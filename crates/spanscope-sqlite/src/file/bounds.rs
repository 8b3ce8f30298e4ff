//! Keeps a file within its bounds, for every writer: its age, its size, the size of its
//! write-ahead log, and whether it is still the file that was opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use spanscope_model::Timestamp;

use super::checkpoint::Checkpointer;
use super::clock::ClockWatch;
use super::identity::{FileId, LogId, beside, file_id};
use super::shares::Shares;
use super::trouble::Trouble;
use super::{oldest, open, retention};

/// Once the log is this large, the writer copies it into the file. Less where the cap or the free
/// space is small, see [`LogLimits`]. One transaction adds at most about 8 MiB, so the log stays under
/// 64 MiB.
const LOG_BYTES: u64 = 32 * 1024 * 1024;
/// The least that a log takes before it is copied in: with less, each batch would wait for the disk.
const LEAST_LOG_BYTES: u64 = 512 * 1024;
/// How long readers are waited for that hold the log. A question is over by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same once they were waited for in vain.
const HELD_PATIENCE: Duration = Duration::from_millis(50);
/// When old traces are looked for first: a program that has just opened the file has other things to do.
const FIRST_RETENTION: Duration = Duration::from_secs(5);
/// How often old traces are looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(30);

/// How old records may get, and how large the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
}

impl Limits {
    /// The narrower of both.
    pub(crate) fn narrower(self, other: Self) -> Self {
        Self {
            retention: self.retention.min(other.retention),
            max_bytes: self.max_bytes.min(other.max_bytes),
        }
    }
}

/// How large the write-ahead log may grow, by the file's cap and the room on the disk: a log that
/// fills a disk can't be copied into a file that has to grow for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogLimits {
    /// The writer copies it.
    copy: u64,
}

impl LogLimits {
    fn new(max_bytes: u64, room: u64) -> Self {
        Self {
            copy: LOG_BYTES.min(max_bytes / 4).min(room / 4).max(LEAST_LOG_BYTES),
        }
    }

    /// From here on the helper thread copies it. More than what SQLite leaves of a log that is written
    /// from its start again, so that an idle file has none to copy.
    const fn help(self) -> u64 {
        self.copy / 4 * 3
    }

    /// The helper is asked again each time that the log has grown by so much.
    const fn help_step(self) -> u64 {
        self.copy / 4
    }

    /// Beyond this nothing is written until a reader lets go.
    const fn stop(self) -> u64 {
        self.copy / 4 * 5
    }

    /// What SQLite leaves of a log that is written from its start again.
    const fn kept(self) -> u64 {
        self.copy / 2
    }
}

/// The bounds of one file.
#[derive(Debug)]
pub(crate) struct Bounds {
    path: PathBuf,
    wal_path: PathBuf,
    file_id: Option<FileId>,
    log_id: LogId,
    /// The file's length and its pages when they were looked at last.
    length: u64,
    pages: i64,
    /// Another program cut the file: nothing is written into it any more.
    cut: Option<u64>,
    /// None while nobody writes records: an import and a cleanup delete nothing by themselves.
    limits: Option<Limits>,
    next_retention: Instant,
    helper: Option<Checkpointer>,
    /// How large the log was when the helper was asked last.
    helped_at: u64,
    /// A reader was waited for in vain.
    is_held: bool,
    /// How much of a log the connection was told to keep.
    kept: Option<u64>,
    /// All that could be deleted is, and the file is still larger than its cap.
    is_over_cap: bool,
    clock: ClockWatch,
}

impl Bounds {
    /// The bounds of a file that has just been opened.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            wal_path: beside(path, "-wal"),
            file_id: file_id(path),
            log_id: LogId::of(path),
            length: 0,
            pages: 0,
            cut: None,
            limits: None,
            next_retention: Instant::now() + FIRST_RETENTION,
            helper: None,
            helped_at: 0,
            is_held: false,
            kept: None,
            is_over_cap: false,
            clock: ClockWatch::default(),
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

    /// How many bytes of records one transaction may take, so that the file stays under its cap.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.limits.map_or(usize::MAX, |limits| {
            usize::try_from(limits.max_bytes / 16).unwrap_or(usize::MAX)
        })
    }

    /// Whether somebody deleted or replaced the file: what it held is theirs to lose, what comes
    /// now goes into a new one.
    pub(crate) fn is_gone(&self) -> bool {
        self.file_id.is_some() && file_id(&self.path) != self.file_id
    }

    /// The file is about to be opened anew, and the old one is closed: its log must not become the
    /// new one's.
    pub(crate) fn remove_log(&mut self) {
        self.end_helper();
        self.log_id.remove(&self.path);
    }

    /// Ends the helper, which has the file open too.
    pub(crate) fn end_helper(&mut self) {
        self.helper = None;
        self.helped_at = 0;
    }

    /// The file was opened anew.
    pub(crate) fn opened(&mut self) {
        let (limits, clock) = (self.limits, self.clock);
        *self = Self::new(&self.path);
        (self.limits, self.clock) = (limits, clock);
    }

    /// Fails once another program has cut the file. Pages that are given back make it shorter too,
    /// but then it has fewer of them.
    pub(crate) fn check_length(&mut self, db: &Connection) -> Result<(), Trouble> {
        let Ok(file) = fs::metadata(&self.path) else {
            return Ok(());
        };
        if self.log_id == LogId::default() {
            self.log_id = LogId::of(&self.path);
        }
        let bytes = file.len();
        if let Some(bytes) = self.cut {
            return Err(Trouble::Truncated { bytes });
        }
        if bytes != self.length {
            let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let pages = number("page_count")?;
            let whole = u64::try_from(pages * number("page_size")?).unwrap_or(0);
            let is_shorter = bytes < self.length && pages >= self.pages && bytes < whole;
            let may_be_cut = is_shorter || bytes + self.wal_bytes() < whole;
            // Another process may have made it shorter and let it grow again since the last look.
            if bytes == 0 || (may_be_cut && is_damaged(&self.path)) {
                self.cut = Some(bytes);
                return Err(Trouble::Truncated { bytes });
            }
            (self.length, self.pages) = (bytes, pages);
        }
        Ok(())
    }

    /// What follows a written batch: the log's size and the file's.
    pub(crate) fn keep(&mut self, db: &Connection) -> Result<(), Trouble> {
        let bytes = self.wal_bytes();
        let log = self.log_limits(bytes);
        if self.kept != Some(log.kept()) {
            db.pragma_update(None, "journal_size_limit", log.kept().cast_signed())?;
            self.kept = Some(log.kept());
        }
        if bytes > log.copy {
            self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
            self.helped_at = 0;
        } else if bytes > log.help() {
            self.help(bytes, log.help_step());
        } else {
            self.helped_at = 0;
        }
        self.keep_size(db)
    }

    fn log_limits(&self, wal_bytes: u64) -> LogLimits {
        let max_bytes = self.limits.map_or(u64::MAX, |limits| limits.max_bytes);
        let room = free_bytes(&self.path).map_or(u64::MAX, |free| free.saturating_add(wal_bytes));
        LogLimits::new(max_bytes, room)
    }

    /// Copies the log into the file and frees what it takes, where the disk is full.
    pub(crate) fn empty_log(&mut self, db: &Connection) {
        // A failure is what the next write fails by.
        let _ = self.checkpoint(db, "TRUNCATE", HELD_PATIENCE);
    }

    /// Has the helper copy the log while the next records are written.
    fn help(&mut self, bytes: u64, step: u64) {
        if bytes < self.helped_at {
            self.helped_at = 0; // it is written from its start again
        }
        if self.helped_at > 0 && bytes < self.helped_at + step {
            return;
        }
        self.helped_at = bytes;
        if self.helper.is_none() {
            // It must be the same file: with the log of this one, another would be destroyed.
            self.helper = Checkpointer::start(&self.path).filter(|_| !self.is_gone());
        }
        if let Some(helper) = &self.helper {
            helper.request();
        }
    }

    /// Ends the helper, whose connection would otherwise keep the log from being removed with the
    /// last one.
    pub(crate) fn close(&mut self, db: &Connection) -> Result<(), Trouble> {
        self.helper = None;
        if self.cut.is_some() {
            return Ok(());
        }
        self.checkpoint(db, "TRUNCATE", HELD_PATIENCE).map(drop)
    }

    /// What is to be done now and then: age, and free space.
    pub(crate) fn upkeep(&mut self, db: &Connection) -> Result<(), Trouble> {
        let Some(limits) = self.limits else { return Ok(()) };
        if Instant::now() >= self.next_retention {
            self.next_retention = Instant::now() + RETENTION_EVERY;
            oldest::date_rows(db, Timestamp::now(), limits.retention)?;
            if !self.clock.has_jumped() {
                keep_age(db, limits.retention)?;
            }
            self.give_back(db)?;
        }
        Ok(())
    }

    /// Free pages are used again first; what is more than a quarter of the file goes back to the
    /// file system, in steps.
    fn give_back(&self, db: &Connection) -> Result<(), Trouble> {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number("freelist_count")? > number("page_count")? / 4 {
            retention::give_back(db, 8192)?;
            self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
        }
        Ok(())
    }

    /// How far ahead the clock has jumped since the last look, if it has.
    pub(crate) fn watch_clock(&mut self) -> Option<Duration> {
        let has_jumped = self.clock.has_jumped();
        let jump = self.clock.look(Timestamp::now().as_nanos(), Instant::now());
        if has_jumped && !self.clock.has_jumped() {
            // What was stored meanwhile is dated ahead.
            self.next_retention = Instant::now();
        }
        jump
    }

    /// Keeps the file under its cap: whole traces go, the oldest first, of the tenant that has most.
    fn keep_size(&mut self, db: &Connection) -> Result<(), Trouble> {
        let Some(limits) = self.limits else { return Ok(()) };
        // Under the cap by more than one transaction adds.
        let limit = limits.max_bytes - limits.max_bytes / 8;
        let mut used = retention::used_bytes(db)?;
        if used <= limit {
            self.is_over_cap = false;
            return Ok(());
        }
        oldest::trim(db, limits.max_bytes / 64)?;
        let target = limit - limit / 10;
        let mut shares = Shares::of(db)?;
        while used > target {
            let tenant = shares.largest();
            let deleted = oldest::delete(db, tenant, limits.retention, target)?;
            let count = deleted.traces + deleted.events + deleted.points;
            if count == 0 && tenant.is_none() {
                break;
            }
            let left = retention::used_bytes(db)?;
            shares.shrink(tenant, used.saturating_sub(left), count == 0);
            used = left;
            let bytes = self.wal_bytes();
            if bytes > self.log_limits(bytes).copy {
                self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
                self.make_wal_room(db)?;
            }
        }
        self.is_over_cap = used > limits.max_bytes;
        Ok(())
    }

    /// Fails while the file is larger than its cap and nothing is left to delete.
    pub(crate) fn check_cap(&mut self, db: &Connection) -> Result<(), Trouble> {
        if self.is_over_cap {
            self.keep_size(db)?;
        }
        match self.is_over_cap {
            true => Err(Trouble::OverCap {
                bytes: self.limits.map_or(0, |limits| limits.max_bytes),
            }),
            false => Ok(()),
        }
    }

    fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal_path).map_or(0, |file| file.len())
    }

    /// A log that was copied into the file is written from its start again, if no reader still
    /// needs it.
    ///
    /// Readers come and go, and each of them may hold the log for a moment. So the first look waits
    /// until all that were there are gone: no new one can hold the log meanwhile, because what is
    /// copied is read from the file.
    pub(crate) fn make_wal_room(&mut self, db: &Connection) -> Result<(), Trouble> {
        let bytes = self.wal_bytes();
        if bytes < LEAST_LOG_BYTES || bytes < self.log_limits(bytes).stop() {
            self.is_held = false;
            return Ok(());
        }
        let patience = if self.is_held { HELD_PATIENCE } else { PATIENCE };
        match self.checkpoint(db, "TRUNCATE", patience)? {
            Checkpoint::Done => {
                self.is_held = false;
                Ok(())
            }
            // Another process does the same; the log is shorter then, or the next try gets there.
            Checkpoint::Locked => Err(Trouble::WalBusy),
            Checkpoint::Held => {
                self.is_held = true;
                Err(Trouble::WalHeld {
                    bytes: self.wal_bytes(),
                })
            }
        }
    }

    fn checkpoint(&self, db: &Connection, mode: &str, patience: Duration) -> Result<Checkpoint, Trouble> {
        if let Some(helper) = &self.helper {
            helper.wait_until_idle();
        }
        db.busy_timeout(patience)?;
        let result = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        db.busy_timeout(open::BUSY_TIMEOUT)?;
        match result {
            Ok((0, _)) => Ok(Checkpoint::Done),
            // SQLite fills in the size of the log only where it had the lock that one checkpoint at a
            // time holds.
            Ok((_, log)) if log < 0 => Ok(Checkpoint::Locked),
            Ok(_) => Ok(Checkpoint::Held),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Ok(Checkpoint::Locked)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How a checkpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoint {
    Done,
    /// Another connection runs one, or writes.
    Locked,
    /// A reader needs what is in the log.
    Held,
}

fn keep_age(db: &Connection, retention: Duration) -> Result<(), Trouble> {
    let now = Timestamp::now();
    retention::delete_expired(db, now)?;
    retention::forget(db, now, retention)?;
    let cutoff = now.before(retention);
    // In steps, so that the queue is looked at in between; what is left waits for the next
    // time.
    for _ in 0..20 {
        let deleted = retention::delete_older_than(db, cutoff, 500)?;
        if deleted.traces + deleted.events + deleted.points == 0 {
            break;
        }
    }
    Ok(())
}

/// Whether pages of the file are missing. A connection that has just been opened has none in memory.
fn is_damaged(path: &Path) -> bool {
    let Ok(db) = open::open_any(path) else { return true };
    let check = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    check.map_or(true, |answer| answer != "ok")
}

/// Free space of the disk that a file is on. None where it can't be told.
fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let disk = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_follows_the_cap_and_the_room_on_the_disk() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(LogLimits::new(1024 * MIB, u64::MAX).copy, 32 * MIB);
        assert_eq!(LogLimits::new(16 * MIB, u64::MAX).copy, 4 * MIB);
        assert_eq!(LogLimits::new(1024 * MIB, 8 * MIB).copy, 2 * MIB);
        assert_eq!(LogLimits::new(MIB, 8 * MIB).copy, LEAST_LOG_BYTES);
        let log = LogLimits::new(u64::MAX, u64::MAX);
        assert!(log.kept() < log.help() && log.help() < log.copy && log.copy < log.stop());
    }
}
