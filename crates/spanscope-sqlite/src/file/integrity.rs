//! Detects damage of an open file: other programs may truncate or overwrite it, and disks fail. No
//! record may be acknowledged that is written to such a file.
//!
//! SQLite detects damage only when it reads a damaged page, and a writer has most pages in memory.
//! So whenever the file has changed, which copying the log does too, connections with empty caches
//! read the beginning of the file and the ends of its tables (0.3 ms). If a reader finds other
//! damage, the whole file is checked.
//!
//! The file is always read through SQLite: closing any other handle would release the locks of this
//! process's connections.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::identity::sibling;
use super::write_error::WriteError;
use super::{open, schema, unwritable};

/// Minimum interval between two checks of a whole file without damage.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// The time between two checks of a file that seems damaged.
const SECOND_LOOK: Duration = Duration::from_millis(10);
/// The bytes of a log before its first frame, and of a frame before its page.
const LOG_HEAD: u64 = 32;
const FRAME_HEAD: u64 = 24;
/// Tables with row ids, of which both ends are read.
const TABLES: [&str; 13] = [
    "_process",
    "_callsite",
    "_trace",
    "_span",
    "_event",
    "_attr_key",
    "_mark",
    "_metric",
    "_series",
    "_point",
    "_tenant",
    "_run",
    "_ended",
];
/// Tables without row ids, of which the beginning is read.
const TABLES_BY_KEY: [&str; 5] = ["_attr", "_rollup", "_total", "_batch", "_continued"];

/// The damage of a file; it remains until another file replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut,
    LogCut,
    Damaged,
}

/// The state of an open file.
#[derive(Debug)]
pub(super) struct Integrity {
    path: PathBuf,
    /// The file's length, pages, log length and modification time at the last check.
    length: u64,
    pages: i64,
    log_length: u64,
    changed_at: Option<SystemTime>,
    /// Whether the file itself had a store's header. A new file has none while all of it is in the
    /// log.
    has_header: bool,
    fault: Option<Fault>,
    verified_at: Option<Instant>,
}

impl Integrity {
    /// Creates the state of a file that was just opened.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            length: 0,
            pages: 0,
            log_length: 0,
            changed_at: None,
            has_header: false,
            fault: None,
            verified_at: None,
        }
    }

    /// Returns whether damage was found.
    pub(super) const fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Fails once another program has truncated or overwritten the file. Freed pages make it
    /// shorter too, but its page count is then lower.
    pub(super) fn check(&mut self, db: &Connection, wal_bytes: u64) -> Result<(), WriteError> {
        let Ok(file) = fs::metadata(&self.path) else {
            return Ok(());
        };
        let bytes = file.len();
        self.stays_well(bytes)?;
        self.note_log(db, wal_bytes)?;
        self.log_length = wal_bytes;
        if bytes != self.length {
            let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let pages = number("page_count")?;
            let whole = u64::try_from(pages * number("page_size")?).unwrap_or(0);
            let is_shorter = bytes < self.length && pages >= self.pages && bytes < whole;
            let may_be_cut = is_shorter || bytes + wal_bytes < whole;
            // Another process may have truncated it and extended it again since the last check.
            let is_cut = match bytes {
                0 => Some(true),
                _ if may_be_cut => is_damaged(&self.path),
                _ => Some(false),
            };
            match is_cut {
                Some(true) => self.fault = Some(Fault::Cut),
                Some(false) => {}
                None => return Ok(()), // the next check repeats it
            }
            (self.length, self.pages) = (bytes, pages);
        }
        let changed_at = file.modified().ok();
        if self.fault.is_none() && changed_at != self.changed_at {
            if self.is_surely_overwritten() {
                self.fault = Some(Fault::Damaged);
            }
            self.changed_at = changed_at;
        }
        self.stays_well(bytes)
    }

    /// Notes whether another program has truncated the log since the last check, and returns it.
    /// A log that was truncated is shorter than its index says. If frames were written behind the
    /// truncated end, it is as long as before, but has a hole there.
    pub(super) fn note_log(&mut self, db: &Connection, wal_bytes: u64) -> rusqlite::Result<bool> {
        let is_cut = if wal_bytes < self.log_length {
            is_log_cut(db, &self.path)?
        } else {
            has_hole_before(&self.path, self.log_length, frame_size(db)?)
        };
        if is_cut {
            self.fault.get_or_insert(Fault::LogCut);
        }
        Ok(self.fault == Some(Fault::LogCut))
    }

    fn stays_well(&self, bytes: u64) -> Result<(), WriteError> {
        match self.fault {
            None => Ok(()),
            Some(Fault::Cut) => Err(WriteError::Truncated { bytes }),
            Some(Fault::LogCut) => Err(WriteError::LogTruncated),
            Some(Fault::Damaged) => Err(WriteError::Damaged),
        }
    }

    /// Reads the whole file, because a reader found damage in it. It takes about a second per GiB.
    pub(super) fn verify(&mut self, db: &Connection, wal_bytes: u64) -> Result<(), WriteError> {
        // Readers see the zeros of a truncated log as damage too.
        let _ = self.note_log(db, wal_bytes);
        let is_due = self.verified_at.is_none_or(|at| at.elapsed() >= VERIFY_EVERY);
        if self.fault.is_none() && is_due {
            if self.is_surely_overwritten() || is_damaged(&self.path) == Some(true) {
                self.fault = Some(Fault::Damaged);
            }
            self.verified_at = Some(Instant::now());
        }
        self.stays_well(self.length)
    }

    /// Returns the file's length if another program has cut it, as far as its length tells. Freed
    /// pages make a file shorter too, so this is only for a file in which damage was found.
    pub(super) fn cut_length(&mut self) -> Option<u64> {
        let bytes = fs::metadata(&self.path).ok()?.len();
        if bytes < self.length {
            self.fault.get_or_insert(Fault::Cut);
        }
        (self.fault == Some(Fault::Cut)).then_some(bytes)
    }

    /// Notes that SQLite has found damage while writing.
    pub(super) fn note_damage(&mut self) {
        self.fault.get_or_insert(Fault::Damaged);
    }

    /// Resets the state for another file.
    pub(super) fn clear(&mut self) {
        *self = Self::new(&self.path);
    }

    /// Returns whether two checks find the file [overwritten](Self::is_overwritten). A positive
    /// result stops all writing, so a concurrent change by another process must not cause it.
    fn is_surely_overwritten(&mut self) -> bool {
        self.is_overwritten() && {
            std::thread::sleep(SECOND_LOOK);
            self.is_overwritten()
        }
    }

    /// Returns whether the beginning of the file, or one of the read positions, differs from what
    /// was written. Only definite results count.
    fn is_overwritten(&mut self) -> bool {
        match application_id(&self.path) {
            Ok(schema::APPLICATION_ID) => self.has_header = true,
            Ok(_) if self.has_header => return true,
            // While the log is copied, or could not be copied completely, the first page may name
            // more pages than the file has, which SQLite reports as damage.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => return true,
            _ => {}
        }
        read_ends(&self.path).is_err_and(|error| is_damage(&error))
    }
}

/// Whether the log is shorter than its index says. Programs that copy it into the file make it
/// shorter too, but they update the index.
fn is_log_cut(db: &Connection, path: &Path) -> rusqlite::Result<bool> {
    let frame = frame_size(db)?;
    let is_short = || -> rusqlite::Result<bool> {
        // `NOOP` checkpoints nothing, and only counts the frames.
        let frames: i64 = db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
        let bytes = fs::metadata(sibling(path, "-wal")).map_or(0, |file| file.len());
        let frames = u64::try_from(frames).unwrap_or(0);
        Ok(frames > 0 && bytes < LOG_HEAD + frames * frame)
    };
    // Checked twice: another process may have made it shorter between reading the two numbers.
    Ok(is_short()? && {
        std::thread::sleep(SECOND_LOOK);
        is_short()?
    })
}

/// Returns the bytes of a frame of the log.
fn frame_size(db: &Connection) -> rusqlite::Result<u64> {
    let page_size: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(FRAME_HEAD + u64::try_from(page_size).unwrap_or(0))
}

/// Returns whether the last whole frame of a log that had this length is now zeros. A frame begins
/// with the number of its page, which is never 0. SQLite itself writes a log from its beginning and
/// leaves no hole. Unlike the file, the log carries no locks that closing it could release.
fn has_hole_before(path: &Path, length: u64, frame: u64) -> bool {
    let frames = length.saturating_sub(LOG_HEAD) / frame;
    let mut page = [0; 4];
    let read = |page: &mut [u8; 4]| {
        let mut log = fs::File::open(sibling(path, "-wal"))?;
        log.seek(SeekFrom::Start(LOG_HEAD + (frames - 1) * frame))?;
        log.read_exact(page)
    };
    // A log that can't be read to there is shorter by now; the next check sees that.
    frames > 0 && read(&mut page).is_ok() && page == [0; 4]
}

/// Reads the application id from the first page in the file itself, without the log.
fn application_id(path: &Path) -> rusqlite::Result<i32> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(unwritable::unchangeable(path), flags)?;
    db.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn read_ends(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let ends = TABLES.map(|table| {
        format!("(SELECT min(rowid) FROM {table}) IS NULL, (SELECT max(rowid) FROM {table}) IS NULL")
    });
    let begins = TABLES_BY_KEY.map(|table| format!("EXISTS (SELECT * FROM {table})"));
    let sql = format!(
        "SELECT (SELECT name FROM _given), {}, {}",
        ends.join(", "),
        begins.join(", ")
    );
    db.query_row(&sql, [], |_| Ok(()))
}

/// Returns whether pages of the file are missing or damaged; `None` if it can't be read now. A new
/// connection has an empty cache.
fn is_damaged(path: &Path) -> Option<bool> {
    let db = open::open_any(path).ok()?;
    let check = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match check {
        Ok(answer) => Some(answer != "ok"),
        Err(error) => is_damage(&error).then_some(true),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_truncated_and_written_on_has_a_hole_at_its_last_known_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        let frame = frame_size(&db).unwrap();
        let log = fs::OpenOptions::new()
            .write(true)
            .open(sibling(&path, "-wal"))
            .unwrap();
        let length = log.metadata().unwrap().len();
        assert!(!has_hole_before(&path, 0, frame), "nothing was known of it");
        assert!(!has_hole_before(&path, length, frame));
        log.set_len(0).unwrap();
        assert!(
            !has_hole_before(&path, length, frame),
            "it is shorter, which its index tells"
        );
        log.set_len(length + frame).unwrap();
        assert!(has_hole_before(&path, length, frame));
    }
}
