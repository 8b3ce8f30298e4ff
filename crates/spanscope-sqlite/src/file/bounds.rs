//! Keeps a file within its bounds, for every writer: its age, its size, the size of its
//! write-ahead log, and whether it is still the file that was opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use spanscope_model::Timestamp;

use super::checkpoint::Checkpointer;
use super::identity::{FileId, file_id};
use super::trouble::Trouble;
use super::{open, retention};

/// From this size on the helper thread copies the write-ahead log into the file. Not less than what
/// SQLite leaves of a log that is written from its start again (`journal_size_limit`), so that an
/// idle file has none to copy.
const WAL_HELP_BYTES: u64 = 24 * 1024 * 1024;
/// The helper is asked again each time that the log has grown so much.
const WAL_HELP_STEP: u64 = 8 * 1024 * 1024;
/// What is left is copied by the writer once the log is this large.
const WAL_CHECKPOINT_BYTES: u64 = 32 * 1024 * 1024;
/// Beyond this nothing is written until a reader lets go. One transaction adds at most about 8 MiB,
/// so the log stays under 64 MiB.
const WAL_STOP_BYTES: u64 = 40 * 1024 * 1024;
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

/// The bounds of one file.
#[derive(Debug)]
pub(crate) struct Bounds {
    path: PathBuf,
    wal_path: PathBuf,
    file_id: Option<FileId>,
    /// None while nobody writes records: an import and a cleanup delete nothing by themselves.
    limits: Option<Limits>,
    next_retention: Instant,
    helper: Option<Checkpointer>,
    /// How large the log was when the helper was asked last.
    helped_at: u64,
    /// A reader was waited for in vain.
    is_held: bool,
}

impl Bounds {
    /// The bounds of a file that has just been opened.
    pub(crate) fn new(path: &Path) -> Self {
        let mut wal_path = path.as_os_str().to_owned();
        wal_path.push("-wal");
        Self {
            path: path.to_path_buf(),
            wal_path: wal_path.into(),
            file_id: file_id(path),
            limits: None,
            next_retention: Instant::now() + FIRST_RETENTION,
            helper: None,
            helped_at: 0,
            is_held: false,
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

    /// The file was opened anew.
    pub(crate) fn opened(&mut self) {
        self.file_id = file_id(&self.path);
        self.helper = None;
        self.helped_at = 0;
    }

    /// What follows a written batch: the log's size and the file's.
    pub(crate) fn keep(&mut self, db: &Connection) -> Result<(), Trouble> {
        let bytes = self.wal_bytes();
        if bytes > WAL_CHECKPOINT_BYTES {
            self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
            self.helped_at = 0;
        } else if bytes > WAL_HELP_BYTES {
            self.help(bytes);
        } else {
            self.helped_at = 0;
        }
        self.keep_size(db)
    }

    /// Has the helper copy the log while the next records are written.
    fn help(&mut self, bytes: u64) {
        if bytes < self.helped_at {
            self.helped_at = 0; // it is written from its start again
        }
        if self.helped_at > 0 && bytes < self.helped_at + WAL_HELP_STEP {
            return;
        }
        self.helped_at = bytes;
        if self.helper.is_none() {
            self.helper = Checkpointer::start(&self.path);
        }
        if let Some(helper) = &self.helper {
            helper.request();
        }
    }

    /// Ends the helper, whose connection would otherwise keep the log from being removed with the
    /// last one.
    pub(crate) fn close(&mut self, db: &Connection) -> Result<(), Trouble> {
        self.helper = None;
        self.checkpoint(db, "TRUNCATE", HELD_PATIENCE).map(drop)
    }

    /// What is to be done now and then: age, and free space.
    pub(crate) fn upkeep(&mut self, db: &Connection) -> Result<(), Trouble> {
        let Some(limits) = self.limits else { return Ok(()) };
        if Instant::now() >= self.next_retention {
            self.next_retention = Instant::now() + RETENTION_EVERY;
            keep_age(db, limits.retention)?;
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

    /// Keeps the file under its cap: whole traces go, the oldest first.
    fn keep_size(&mut self, db: &Connection) -> Result<(), Trouble> {
        // Under the cap by more than one transaction adds.
        let Some(limits) = self.limits else { return Ok(()) };
        let limit = limits.max_bytes - limits.max_bytes / 8;
        let mut used = retention::used_bytes(db)?;
        if used <= limit {
            return Ok(());
        }
        let target = limit - limit / 10;
        while used > target {
            let deleted = retention::delete_oldest(db, 200)?;
            if deleted.traces + deleted.events + deleted.points == 0 {
                break;
            }
            used = retention::used_bytes(db)?;
            if self.wal_bytes() > WAL_CHECKPOINT_BYTES {
                self.checkpoint(db, "PASSIVE", HELD_PATIENCE)?;
                self.make_wal_room(db)?;
            }
        }
        Ok(())
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
        if self.wal_bytes() < WAL_STOP_BYTES {
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
