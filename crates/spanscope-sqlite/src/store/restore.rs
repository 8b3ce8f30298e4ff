//! Replaces a store with a backup, while programs write it.
//!
//! Moving a copy over the file by hand is not enough: the log next to it (`-wal`) still belongs to
//! the old file, and the next program that opens the new file would copy the log into it. So the
//! old file's log is emptied and locked while the new file is renamed to its name, and is removed
//! before the lock is released. Programs with the old file open notice the new one before they
//! acknowledge their writes, and write these again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::StoreError;

use super::backup;
use crate::file::identity::{LogId, lock_folder, sibling};
use crate::file::open::{io_error, open_read, sql_error};

/// How long to wait for programs that are writing the old file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Replaces the store with a copy of the backup.
pub(super) fn run(path: &Path, backup: &Path, progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    if let (Ok(from), Ok(to)) = (backup.canonicalize(), path.canonicalize())
        && from == to
    {
        return Err(StoreError::invalid(format!(
            "{} is the store itself: name a backup of it",
            backup.display()
        )));
    }
    let source = open_read(backup)?;
    check(&source, backup)?;
    // Next to the store, because only there it can be renamed atomically.
    let copy = sibling(path, ".restored");
    let _ = fs::remove_file(&copy);
    backup::copy(&source, &copy, progress)?;
    drop(source);
    let placed = place(&copy, path);
    if placed.is_err() {
        let _ = fs::remove_file(&copy);
    }
    placed
}

/// Fails if the backup is damaged.
fn check(backup: &Connection, path: &Path) -> Result<(), StoreError> {
    let answer: String = backup
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| sql_error(path, error))?;
    match answer.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::new(
            spanscope_model::StoreErrorKind::Unusable,
            format!("{} is damaged ({answer}): use another backup", path.display()),
        )),
    }
}

fn place(copy: &Path, path: &Path) -> Result<(), StoreError> {
    let _folder = lock_folder(path);
    // A store that is damaged or missing can't be locked, and need not be.
    let held = hold(path);
    let log = LogId::of(path);
    fs::rename(copy, path).map_err(|error| io_error(path, "replace", error))?;
    log.remove_unlocked(path);
    // Closed only here: SQLite does not touch the new file under the old one's name.
    drop(held);
    Ok(())
}

/// Empties the log and takes the write lock.
fn hold(path: &Path) -> Option<Connection> {
    if !path.exists() {
        return None;
    }
    let db = Connection::open(path).ok()?;
    db.busy_timeout(PATIENCE).ok()?;
    // It fails if a reader uses the log. Programs that open the file meanwhile then see the old log
    // until they check again.
    let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let _ = db.execute_batch("BEGIN IMMEDIATE");
    Some(db)
}
