//! The open file as its one writer has it: the connection, the bounds, the marks, and the report of
//! trouble.
//!
//! Whoever writes calls [`prepare`](OpenFile::prepare) before a transaction and
//! [`confirm`](OpenFile::confirm) after it: a file that somebody deletes or replaces meanwhile must
//! never be taken for the one that was written.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use spanscope_model::{StoreError, StoreErrorKind};

use super::Failure;
use super::bounds::Bounds;
use super::marks::Marks;
use super::open;
use super::report::{Reports, Task};
use super::trouble::Trouble;

/// The records of one transaction take this many bytes at most, so that other processes get in and
/// the write-ahead log grows in small steps.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A file that is open for writing.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) db: Connection,
    pub(crate) bounds: Bounds,
    pub(crate) marks: Marks,
    reports: Reports,
    /// Grows whenever another file is opened, whose rows are others.
    generation: u64,
    /// Why nothing can be written now.
    trouble: Option<String>,
    /// It is because the disk is full.
    is_full: bool,
    /// The file is closed for the time of a fork.
    is_let_go: bool,
}

impl OpenFile {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = open::open_write(path)?;
        let marks = Marks::load(&db).map_err(|error| open::sql_error(path, error))?;
        Ok(Self {
            bounds: {
                let mut bounds = Bounds::new(path);
                bounds.watch_clock(); // what the clock says from now on is compared with this
                bounds
            },
            db,
            marks,
            reports: Reports::default(),
            generation: 0,
            trouble: None,
            is_full: false,
            is_let_go: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.bounds.path()
    }

    /// Tells the rows of this file from those of one that it replaced: a client that knows rows
    /// forgets them when this number is another one.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many bytes of records one transaction takes.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.bounds.batch_bytes().min(BATCH_BYTES)
    }

    /// Makes the file ready for a transaction: opens the one that is there now, and sees to room in
    /// the write-ahead log.
    pub(crate) fn prepare(&mut self) -> Result<(), Failure> {
        let result = self.ready();
        result.map_err(|trouble| self.failure_of(trouble))
    }

    /// As [`prepare`](Self::prepare), with the failure as a caller of the store sees it.
    pub(crate) fn prepared(&mut self) -> Result<(), StoreError> {
        let result = self.prepare();
        result.map_err(|failure| failure.of(self.path()))
    }

    fn failure_of(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Sqlite(error) => Failure::Sql(error),
            Trouble::Store(error) => Failure::Store(error),
            trouble => Failure::Store(self.error_of(&trouble)),
        }
    }

    /// As [`prepare`](Self::prepare), with the cause as the writer knows it.
    pub(crate) fn ready(&mut self) -> Result<(), Trouble> {
        if self.bounds.is_gone() {
            self.reopen()?;
        }
        self.come_back()?;
        self.bounds.check_length(&self.db)?;
        if self.is_full {
            self.bounds.empty_log(&self.db);
        }
        self.bounds.check_cap(&self.db)?;
        self.bounds.make_wal_room(&self.db)
    }

    /// Why nothing can be written now; none while all is well.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Tells whether what was committed is in the file that the path leads to. Records that are not
    /// are written again.
    pub(crate) fn confirm(&self) -> Result<(), Trouble> {
        match self.bounds.is_gone() {
            true => Err(Trouble::Replaced),
            false => Ok(()),
        }
    }

    /// Closes the file before a fork. A child inherits what SQLite knows of its open files, but none of
    /// their locks: it would write beside its parent, or wait for itself. The next use opens the file
    /// again.
    pub(crate) fn let_go(&mut self) {
        self.bounds.end_helper();
        let Ok(nothing) = Connection::open_in_memory() else {
            return;
        };
        let db = std::mem::replace(&mut self.db, nothing);
        self.is_let_go = true;
        // To copy the log into the file would keep the fork waiting.
        let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        drop(db);
    }

    fn come_back(&mut self) -> Result<(), Trouble> {
        if self.is_let_go {
            self.db = open::open_write(self.bounds.path())?;
            self.bounds.opened();
            self.is_let_go = false;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Trouble> {
        self.is_let_go = false;
        self.reports
            .note_replaced(self.bounds.path(), self.bounds.path().exists());
        // Before the new file is opened, which would begin by copying the old one's log into it.
        // SQLite neither copies nor removes a log whose file is gone.
        self.db = Connection::open_in_memory()?;
        self.bounds.remove_log();
        let db = open::open_write(self.bounds.path())?;
        let marks = Marks::load(&db)?;
        self.bounds.opened();
        self.db = db;
        self.marks = marks;
        self.generation += 1;
        Ok(())
    }

    /// Notes how the writing of records went.
    pub(crate) fn note_write<T>(&mut self, result: Result<T, &Trouble>) {
        if matches!(result, Err(Trouble::Replaced)) {
            return; // which is reported when the new one is opened
        }
        self.trouble = match &result {
            Ok(_) => None,
            // Others can be written.
            Err(trouble) if trouble.is_of_records() => None,
            Err(trouble) => Some(trouble.to_string()),
        };
        self.is_full = matches!(&result, Err(trouble) if trouble.is_full());
        self.reports.note(self.bounds.path(), Task::Write, result);
    }

    /// Notes how the looking after the file went.
    pub(crate) fn note_keep<T>(&mut self, result: Result<T, &Trouble>) {
        if matches!(
            result,
            Err(Trouble::Replaced | Trouble::WalHeld { .. } | Trouble::WalBusy)
        ) {
            return; // what can't be written is reported by who writes it
        }
        self.reports.note(self.bounds.path(), Task::Keep, result);
    }

    /// Keeps the file within its bounds after a batch.
    pub(crate) fn keep(&mut self) {
        let result = self.bounds.keep(&self.db);
        self.note_keep(result.as_ref().map(drop));
    }

    /// What is to be done now and then. A file that could not be written is tried, so that its
    /// recovery is noticed without anything to write.
    pub(crate) fn upkeep(&mut self) {
        let result = match self.trouble.is_some() || self.bounds.is_gone() {
            true => self.probe(),
            false => self.come_back().and_then(|()| self.bounds.check_length(&self.db)),
        };
        if result.is_err() || self.trouble.is_some() {
            self.note_write(result.as_ref());
        }
        if let Some(jump) = self.bounds.watch_clock() {
            self.reports.note_clock(self.bounds.path(), jump);
        }
        // A file that is full has room again once something in it is too old.
        if matches!(result, Ok(()) | Err(Trouble::OverCap { .. })) {
            let result = self.bounds.upkeep(&self.db);
            self.note_keep(result.as_ref().map(drop));
        }
    }

    /// Writes a page and changes nothing. SQLite writes nothing where a value stays as it was.
    fn probe(&mut self) -> Result<(), Trouble> {
        self.ready()?;
        self.db
            .execute_batch("BEGIN IMMEDIATE; UPDATE _given SET ahead = ahead + 1; UPDATE _given SET ahead = ahead - 1; COMMIT")
            .inspect_err(|_| {
                let _ = self.db.execute_batch("ROLLBACK");
            })?;
        self.confirm()
    }

    /// Copies the log into the file and cuts it. What a reader holds is copied later.
    pub(crate) fn shrink_log(&mut self) -> Result<(), Failure> {
        self.bounds
            .close(&self.db)
            .map_err(|trouble| self.failure_of(trouble))
    }

    /// Leaves the file whole: the log is copied in. Nothing may be written afterwards.
    pub(crate) fn close(&mut self) {
        let result = self.come_back().and_then(|()| self.bounds.close(&self.db));
        self.note_keep(result.as_ref().map(drop));
        // With it the connection is closed, before anybody learns that the file is free.
        if let Ok(nothing) = Connection::open_in_memory() {
            self.db = nothing;
        }
    }

    /// The trouble as a caller of the store sees it.
    pub(crate) fn error_of(&self, trouble: &Trouble) -> StoreError {
        let kind = match trouble {
            Trouble::OverCap { .. } => StoreErrorKind::Full,
            _ => StoreErrorKind::Unavailable,
        };
        self.not_written(kind, trouble)
    }

    /// Why nothing can be written now, as a caller of the store sees it.
    pub(crate) fn trouble_error(&self) -> Option<StoreError> {
        let trouble = self.trouble.as_deref()?;
        Some(self.not_written(StoreErrorKind::Unavailable, trouble))
    }

    fn not_written(&self, kind: StoreErrorKind, trouble: impl std::fmt::Display) -> StoreError {
        StoreError::new(
            kind,
            format!("{} can't be written now: {trouble}", self.path().display()),
        )
    }
}
