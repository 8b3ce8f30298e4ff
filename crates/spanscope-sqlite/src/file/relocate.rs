//! Copies an open file to a new one of the same name, because another program has removed its log.
//!
//! The connections that had the log open still read and write it, and no other program finds it
//! any more: what is in it would be lost with the last of them, and two programs would write the
//! file with a log each. A removed file can't get its name back. In a new file every connection
//! begins again: all of them find another file in the place of theirs, as after a restore.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::identity::{FileId, LogId, file_id, lock_folder, sibling};
use super::open::{BUSY_TIMEOUT, create_private, io_error};
use super::write_error::WriteError;

/// Pages that are copied in one step: 32 MiB.
const STEP: i32 = 4096;

/// Copies what the connection sees into a new file and gives it the name of the old one, which is
/// `id`. Returns `false` where another file has that name already.
///
/// What other programs commit meanwhile is not copied: they find another file before they
/// acknowledge it, and write it again.
pub(super) fn run(db: &Connection, path: &Path, id: Option<FileId>) -> Result<bool, WriteError> {
    let _folder = lock_folder(path);
    if file_id(path) != id {
        return Ok(false);
    }
    let copy = sibling(path, ".restored");
    let _ = fs::remove_file(&copy);
    let placed = copy_pages(db, &copy).and_then(|()| {
        fs::rename(&copy, path).map_err(|error| WriteError::Store(io_error(path, "replace", error)))
    });
    if placed.is_err() {
        let _ = fs::remove_file(&copy);
    }
    placed?;
    // Programs that opened the file in between have begun another log.
    LogId::of(path).remove_unlocked(path);
    Ok(true)
}

fn copy_pages(db: &Connection, to: &Path) -> Result<(), WriteError> {
    create_private(to).map_err(|error| WriteError::Store(io_error(to, "make the file", error)))?;
    let snapshot = db.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(to)?;
    target.busy_timeout(BUSY_TIMEOUT)?;
    let backup = Backup::new(&snapshot, &mut target)?;
    loop {
        match backup.step(STEP)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(WriteError::WalBusy),
        }
    }
    drop(backup);
    snapshot.finish()?;
    Ok(())
}
