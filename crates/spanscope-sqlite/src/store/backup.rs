//! A consistent copy of the store while programs write it.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use spanscope_model::StoreError;

use crate::file::open::{BUSY_TIMEOUT, create_private, io_error, sql_error};

/// Pages copied between two reports of progress: 4 MiB.
const STEP: i32 = 1024;

/// Copies the current state of the store.
///
/// The source stays in one read transaction: concurrent writes are not included, and SQLite does
/// not start the copy again because of them.
pub(super) fn copy(
    source: &Connection,
    to: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), StoreError> {
    create_private(to).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => StoreError::invalid(format!(
            "{} is there already: a backup overwrites nothing, name another file",
            to.display()
        )),
        _ => io_error(to, "make the file", error),
    })?;
    let copied = pages(source, to, &mut progress);
    if copied.is_err() {
        // Half a copy would be mistaken for a whole one. If it can't be removed, the copy's error
        // is still the one to report.
        drop(std::fs::remove_file(to));
    }
    copied.map_err(|error| sql_error(to, error))
}

fn pages(source: &Connection, to: &Path, progress: &mut impl FnMut(u64, u64)) -> rusqlite::Result<()> {
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(to)?;
    target.busy_timeout(BUSY_TIMEOUT)?;
    let backup = Backup::new(&snapshot, &mut target)?;
    loop {
        let step = backup.step(STEP)?;
        let now = backup.progress();
        let total = u64::try_from(now.pagecount).unwrap_or(0);
        progress(
            total.saturating_sub(u64::try_from(now.remaining).unwrap_or(0)),
            total,
        );
        match step {
            StepResult::Done => break,
            StepResult::Busy | StepResult::Locked => std::thread::sleep(std::time::Duration::from_millis(20)),
            _ => {}
        }
    }
    drop(backup);
    snapshot.finish()
}
