//! Keeps a file within its bounds, for every writer: its age, its size, the size of its
//! write-ahead log, and whether it is still the file that was opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use spanscope_model::{StoreError, Timestamp};

use super::checkpoint::Checkpointer;
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
/// How often old traces are looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(30);

/// Why something was not written.
#[derive(Debug)]
pub(crate) enum Trouble {
    Sqlite(rusqlite::Error),
    Store(StoreError),
    /// A reader holds a snapshot, so the write-ahead log can't be emptied.
    WalHeld {
        bytes: u64,
    },
}

impl Trouble {
    /// Whether it may be the records that can't be written, and not the file.
    pub(crate) fn is_of_records(&self) -> bool {
        match self {
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                )
            ),
            Self::Store(_) | Self::WalHeld { .. } => false,
        }
    }
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

/// The bounds of one file.
#[derive(Debug)]
pub(crate) struct Bounds {
    path: PathBuf,
    wal_path: PathBuf,
    file_id: Option<(u64, u64)>,
    retention: Duration,
    max_bytes: u64,
    last_retention: Option<Instant>,
    helper: Option<Checkpointer>,
    /// How large the log was when the helper was asked last.
    helped_at: u64,
}

impl Bounds {
    /// The bounds of a file that has just been opened.
    pub(crate) fn new(path: &Path, retention: Duration, max_bytes: u64) -> Self {
        let mut wal_path = path.as_os_str().to_owned();
        wal_path.push("-wal");
        Self {
            path: path.to_path_buf(),
            wal_path: wal_path.into(),
            file_id: file_id(path),
            retention,
            max_bytes,
            last_retention: None,
            helper: None,
            helped_at: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
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

    /// Ends the helper for the time of a fork.
    pub(crate) fn let_go(&mut self) {
        self.helper = None;
        self.helped_at = 0;
    }

    /// What follows a written batch: the log's size and the file's.
    pub(crate) fn keep(&mut self, db: &Connection) -> Result<(), Trouble> {
        let bytes = self.wal_bytes();
        if bytes > WAL_CHECKPOINT_BYTES {
            self.checkpoint(db, "PASSIVE")?;
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
        self.checkpoint(db, "TRUNCATE").map(drop)
    }

    /// What is to be done now and then: age, and free space. Answers whether it was done now.
    pub(crate) fn upkeep(&mut self, db: &Connection) -> Result<bool, Trouble> {
        let is_due = self
            .last_retention
            .is_none_or(|last| last.elapsed() >= RETENTION_EVERY);
        if is_due {
            self.last_retention = Some(Instant::now());
            self.keep_age(db)?;
            self.give_back(db)?;
        }
        Ok(is_due)
    }

    /// Free pages are used again first; what is more than a quarter of the file goes back to the
    /// file system, in steps.
    fn give_back(&self, db: &Connection) -> Result<(), Trouble> {
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number("freelist_count")? > number("page_count")? / 4 {
            retention::give_back(db, 8192)?;
            self.checkpoint(db, "PASSIVE")?;
        }
        Ok(())
    }

    fn keep_age(&self, db: &Connection) -> Result<(), Trouble> {
        let now = Timestamp::now();
        retention::delete_expired(db, now)?;
        retention::forget(db, now, self.retention)?;
        let cutoff = now.before(self.retention);
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

    /// Keeps the file under its cap: whole traces go, the oldest first.
    fn keep_size(&self, db: &Connection) -> Result<(), Trouble> {
        // Under the cap by more than one transaction adds.
        let limit = self.max_bytes - self.max_bytes / 8;
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
                self.checkpoint(db, "PASSIVE")?;
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
    pub(crate) fn make_wal_room(&self, db: &Connection) -> Result<(), Trouble> {
        if self.wal_bytes() < WAL_STOP_BYTES {
            return Ok(());
        }
        if self.checkpoint(db, "TRUNCATE")? {
            return Ok(());
        }
        Err(Trouble::WalHeld {
            bytes: self.wal_bytes(),
        })
    }

    fn checkpoint(&self, db: &Connection, mode: &str) -> Result<bool, Trouble> {
        if let Some(helper) = &self.helper {
            helper.wait_until_idle();
        }
        db.busy_timeout(Duration::from_millis(50))?;
        let busy = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            row.get::<_, i64>(0)
        });
        db.busy_timeout(open::BUSY_TIMEOUT)?;
        match busy {
            Ok(busy) => Ok(busy == 0),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether this process has the file open, as far as the system tells; where it does not, it might.
#[cfg(unix)]
pub(crate) fn is_open_here(path: &Path) -> bool {
    let id = file_id(path);
    let mut folders = ["/proc/self/fd", "/dev/fd"].into_iter();
    let entries = folders.find_map(|folder| fs::read_dir(folder).ok());
    entries
        .is_none_or(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| file_id(&entry.path()) == id)))
}

#[cfg(not(unix))]
pub(crate) fn is_open_here(_: &Path) -> bool {
    true
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
