//! The writer's open file: the connection, the bounds, the marks, and the reported error.
//!
//! A writer calls [`prepare`](OpenFile::prepare) before a transaction and
//! [`confirm`](OpenFile::confirm) after it: a file that is deleted or replaced meanwhile must never
//! be mistaken for the written one.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use spanscope_model::{StoreError, StoreErrorKind};

use super::Failure;
use super::bounds::Bounds;
use super::marks::Marks;
use super::open;
use super::report::{Reports, Task};
use super::write_error::WriteError;

/// Maximum size of one transaction's records in bytes, so that other processes get a turn and the
/// write-ahead log grows in small steps.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A file that is open for writing.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) db: Connection,
    pub(crate) bounds: Bounds,
    pub(crate) marks: Marks,
    reports: Reports,
    /// Incremented whenever another file is opened, with other rows.
    generation: u64,
    /// Why nothing can be written now.
    write_error: Option<String>,
    /// Whether the disk is full.
    is_full: bool,
    /// Whether the file is closed for the duration of a fork.
    is_closed_for_fork: bool,
}

impl OpenFile {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = open::open_write(path)?;
        let marks = Marks::load(&db).map_err(|error| open::sql_error(path, error))?;
        Ok(Self {
            bounds: {
                let mut bounds = Bounds::new(path);
                bounds.watch_clock(); // later times are compared with this one
                bounds
            },
            db,
            marks,
            reports: Reports::default(),
            generation: 0,
            write_error: None,
            is_full: false,
            is_closed_for_fork: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.bounds.path()
    }

    /// Returns a number that distinguishes the rows of this file from those of one that it
    /// replaced: a client that caches rows drops them when the number changes.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the maximum size of one transaction's records in bytes.
    pub(crate) fn batch_bytes(&self) -> usize {
        self.bounds.batch_bytes().min(BATCH_BYTES)
    }

    /// Makes the file ready for a transaction: reopens it if it was replaced, and ensures room in
    /// the write-ahead log.
    pub(crate) fn prepare(&mut self) -> Result<(), Failure> {
        let result = self.ready();
        result.map_err(|write_error| self.failure_of(write_error))
    }

    /// Does the same as [`prepare`](Self::prepare), with the error for a caller of the store.
    pub(crate) fn prepared(&mut self) -> Result<(), StoreError> {
        let result = self.prepare();
        result.map_err(|failure| failure.into_store_error(self.path()))
    }

    fn failure_of(&self, write_error: WriteError) -> Failure {
        match write_error {
            WriteError::Sqlite(error) => Failure::Sql(error),
            WriteError::Store(error) => Failure::Store(error),
            write_error => Failure::Store(self.error_of(&write_error)),
        }
    }

    /// Does the same as [`prepare`](Self::prepare), with the error for the writer.
    pub(crate) fn ready(&mut self) -> Result<(), WriteError> {
        if self.bounds.is_gone() {
            self.reopen()?;
        }
        self.reopen_after_fork()?;
        if self.bounds.has_lost_log() {
            self.relocate()?;
        }
        self.bounds.check_content(&self.db)?;
        if self.is_full {
            self.bounds.empty_log(&self.db);
        }
        self.bounds.check_cap(&self.db)?;
        self.bounds.make_wal_room(&self.db)
    }

    /// Returns whether readers hold the log and callers should wait for them. Work that can't be
    /// retried is not started then.
    pub(crate) fn waits_for_readers(&mut self) -> bool {
        self.ready()
            .is_err_and(|write_error| self.bounds.may_pass(&write_error))
    }

    /// Returns why nothing can be written now; `None` if there is no error.
    pub(crate) fn write_error(&self) -> Option<&str> {
        self.write_error.as_deref()
    }

    /// Checks that committed records are in the path's file, and can be read there. Records in
    /// another file are written again.
    pub(crate) fn confirm(&mut self) -> Result<(), WriteError> {
        if self.bounds.has_lost_log() {
            // The committed records are copied too.
            return self.relocate();
        }
        match self.bounds.is_gone() {
            true => Err(WriteError::Replaced),
            false => self.bounds.check_content(&self.db),
        }
    }

    /// Checks the whole file, because a reader found damage in it. Damage is reported, and stops
    /// all writing.
    pub(crate) fn verify(&mut self) {
        let result = self.bounds.verify_content(&self.db);
        if result.is_err() {
            self.note_write(result.as_ref());
        }
    }

    /// Closes the file before a fork. A child inherits SQLite's memory of its open files, but none
    /// of their locks: it would write concurrently with its parent, or wait for itself. The next
    /// use reopens the file.
    pub(crate) fn close_for_fork(&mut self) {
        self.bounds.end_helper();
        let Ok(nothing) = Connection::open_in_memory() else {
            return;
        };
        let db = std::mem::replace(&mut self.db, nothing);
        self.is_closed_for_fork = true;
        // Copying the log into the file would delay the fork.
        let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        drop(db);
    }

    fn reopen_after_fork(&mut self) -> Result<(), WriteError> {
        if self.is_closed_for_fork {
            self.db = open::open_write(self.bounds.path())?;
            self.bounds.opened();
            self.is_closed_for_fork = false;
        }
        Ok(())
    }

    /// Continues in a copy of the file, because another program has removed its log.
    fn relocate(&mut self) -> Result<(), WriteError> {
        if !self.bounds.relocate(&self.db)? {
            return Err(WriteError::Replaced);
        }
        self.reports.note_log_removed(self.bounds.path());
        self.open_again()
    }

    fn reopen(&mut self) -> Result<(), WriteError> {
        self.reports
            .note_replaced(self.bounds.path(), self.bounds.path().exists());
        self.open_again()
    }

    fn open_again(&mut self) -> Result<(), WriteError> {
        self.is_closed_for_fork = false;
        // The old log is removed first: opening the new file would copy the log into it. SQLite
        // neither copies nor removes a log whose file is gone.
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

    /// Notes the result of writing records.
    pub(crate) fn note_write<T>(&mut self, result: Result<T, &WriteError>) {
        if matches!(result, Err(WriteError::Replaced)) {
            return; // reported when the new file is opened
        }
        if matches!(&result, Err(write_error) if self.bounds.is_brief(write_error)) {
            return;
        }
        // SQLite reads zeros or nothing from a truncated log, and reports damage or a failed disk.
        let result = match result {
            Err(error)
                if (error.is_damage() || error.is_disk_failure()) && self.bounds.is_log_cut(&self.db) =>
            {
                Err(&WriteError::LogTruncated)
            }
            result => result,
        };
        // A batch may read the missing part of a cut file before the next check sees its length.
        let cut = match &result {
            Err(error) if error.is_damage() => self.bounds.cut_length(),
            _ => None,
        };
        let truncated = cut.map(|bytes| WriteError::Truncated { bytes });
        let result = match &truncated {
            Some(truncated) => Err(truncated),
            None => result,
        };
        if matches!(&result, Err(write_error) if write_error.is_damage()) {
            self.bounds.note_damage();
        }
        self.write_error = match &result {
            Ok(_) => None,
            // Other records can be written.
            Err(write_error) if write_error.is_of_records() => None,
            Err(write_error) => Some(write_error.to_string()),
        };
        self.is_full = matches!(&result, Err(write_error) if write_error.is_full());
        self.reports.note(self.bounds.path(), Task::Write, result);
    }

    /// Notes the result of maintaining the file.
    pub(crate) fn note_keep<T>(&mut self, result: Result<T, &WriteError>) {
        if matches!(
            result,
            Err(WriteError::Replaced | WriteError::WalHeld { .. } | WriteError::WalBusy)
        ) {
            return; // `note_write` reports these
        }
        self.reports.note(self.bounds.path(), Task::Keep, result);
    }

    /// Enforces the file's bounds after a batch.
    pub(crate) fn keep(&mut self) {
        let result = self.bounds.keep(&self.db);
        self.note_keep(result.as_ref().map(drop));
    }

    /// Does periodic work. A file that could not be written is tried, so that its recovery is
    /// noticed without new records.
    pub(crate) fn upkeep(&mut self) {
        let is_elsewhere = self.bounds.is_gone() || (!self.is_closed_for_fork && self.bounds.has_lost_log());
        let result = match self.write_error.is_some() || is_elsewhere {
            true => self.probe(),
            false => self
                .reopen_after_fork()
                .and_then(|()| self.bounds.check_content(&self.db)),
        };
        if result.is_err() || self.write_error.is_some() {
            self.note_write(result.as_ref());
        }
        if let Some(jump) = self.bounds.watch_clock() {
            self.reports.note_clock(self.bounds.path(), jump);
        }
        // A full file has room again once old records are deleted.
        if matches!(result, Ok(()) | Err(WriteError::OverCap { .. })) {
            let result = self.bounds.upkeep(&self.db);
            self.note_keep(result.as_ref().map(drop));
        }
    }

    /// Writes a page without changing anything. SQLite writes nothing if a value stays the same.
    fn probe(&mut self) -> Result<(), WriteError> {
        self.ready()?;
        self.db
            .execute_batch("BEGIN IMMEDIATE; UPDATE _given SET ahead = ahead + 1; UPDATE _given SET ahead = ahead - 1; COMMIT")
            .inspect_err(|_| {
                let _ = self.db.execute_batch("ROLLBACK");
            })?;
        self.confirm()
    }

    /// Copies the log into the file and truncates it, except for the part that a reader holds.
    pub(crate) fn shrink_log(&mut self) -> Result<(), Failure> {
        self.bounds
            .close(&self.db)
            .map_err(|write_error| self.failure_of(write_error))
    }

    /// Copies the log into the file and closes it. Nothing may be written afterwards.
    pub(crate) fn close(&mut self) {
        let result = self
            .reopen_after_fork()
            .and_then(|()| self.bounds.close(&self.db));
        self.note_keep(result.as_ref().map(drop));
        // Closes the connection before the file is reported as closed.
        if let Ok(nothing) = Connection::open_in_memory() {
            self.db = nothing;
        }
    }

    /// Converts an error to the form that a caller of the store sees.
    pub(crate) fn error_of(&self, write_error: &WriteError) -> StoreError {
        let kind = match write_error {
            WriteError::OverCap { .. } => StoreErrorKind::Full,
            _ => StoreErrorKind::Unavailable,
        };
        self.not_written(kind, write_error)
    }

    /// Returns why nothing can be written now, in the form that a caller of the store sees.
    pub(crate) fn store_error(&self) -> Option<StoreError> {
        let write_error = self.write_error.as_deref()?;
        Some(self.not_written(StoreErrorKind::Unavailable, write_error))
    }

    fn not_written(&self, kind: StoreErrorKind, write_error: impl std::fmt::Display) -> StoreError {
        StoreError::new(
            kind,
            format!("{} can't be written now: {write_error}", self.path().display()),
        )
    }
}
