//! Deletes old traces when the user asks for it; the writer does the same by itself.

use std::path::Path;
use std::time::Duration;

use spanscope_model::{StoreError, Timestamp};

use crate::file::open::{open_read, open_write, sql_error};
use crate::file::retention::{self, CleanupReport};

/// Traces looked at in one go.
const STEP: usize = 10_000;

/// Deletes what ended before then, gives the space back to the file system, and says what it was.
pub(super) fn run(path: &Path, older_than: Duration, dry_run: bool) -> Result<CleanupReport, StoreError> {
    let cutoff = Timestamp::now().before(older_than);
    if dry_run {
        let db = open_read(path)?;
        return retention::count_older_than(&db, cutoff).map_err(|error| sql_error(path, error));
    }
    // Opening for reading first: cleaning must not make a file where there is none.
    drop(open_read(path)?);
    let db = open_write(path)?;
    let mut deleted = CleanupReport::default();
    let mut clean = || {
        loop {
            let step = retention::delete_older_than(&db, cutoff, STEP)?;
            deleted += step;
            if step.traces == 0 {
                break;
            }
            // This connection checkpoints nothing by itself, and the log is to stay small.
            db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        deleted += retention::delete_expired(&db, Timestamp::now())?;
        retention::give_back(&db, u64::MAX)?;
        // Others may be reading; what can't be moved out of the log now, their own writers move later.
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    clean().map_err(|error| sql_error(path, error))?;
    Ok(deleted)
}
