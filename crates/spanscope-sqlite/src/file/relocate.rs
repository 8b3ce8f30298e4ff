//! Copies an open file to a new one of the same name, because another program has removed its log.
//!
//! Connections that had the log open still read and write it, but no other program can find it: its
//! records would be lost with the last of these connections, and programs with different logs would
//! write one file. A removed file can't get its name back. With a new file, every connection
//! notices that its file was replaced and opens the new one, as after a restore.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::identity::{FileId, LogId, file_id, lock_folder, sibling};
use super::open::{BUSY_TIMEOUT, create_private, io_error};
use super::write_error::WriteError;

/// Pages that are copied in one step: 32 MiB.
const STEP: i32 = 4096;

/// Copies the connection's data into a new file and gives it the name of the old one, which is
/// `id`. Returns `false` if another file already has that name.
///
/// Records that other programs commit meanwhile are not copied: these programs notice the new file
/// before they acknowledge the records, and write them again.
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
    // Programs that opened the old file in between have created another log.
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
