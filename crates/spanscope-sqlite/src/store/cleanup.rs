//! Deletes old traces on the user's request; the writer does the same by itself.

use std::path::Path;
use std::time::Duration;

use spanscope_model::{StoreError, Timestamp};

use crate::file::open::{open_read, sql_error};
use crate::file::open_file::OpenFile;
use crate::file::retention::{self, CleanupReport};
use crate::file::writer::FileWriter;

/// Traces deleted per transaction, so that other programs can write in between.
const STEP: usize = 1_000;
/// Pages freed per step.
const PAGES: u64 = 1_024;

/// Deletes traces that ended at least `older_than` ago, and expired records, and returns the space
/// to the file system.
pub(super) fn run(path: &Path, older_than: Duration, dry_run: bool) -> Result<CleanupReport, StoreError> {
    let cutoff = Timestamp::now().before(older_than);
    if dry_run {
        let db = open_read(path)?;
        return retention::count_older_than(&db, cutoff).map_err(|error| sql_error(path, error));
    }
    // Fails if the file is missing: a cleanup must not create it.
    drop(open_read(path)?);
    let writer = FileWriter::open(path)?;
    let mut deleted = CleanupReport::default();
    loop {
        let step = writer.change(move |file| {
            let step = retention::delete_older_than(&file.db, cutoff, STEP, None)?;
            file.keep();
            Ok(step)
        })?;
        deleted += step;
        if step.traces == 0 {
            break;
        }
    }
    deleted += writer.change(|file| Ok(retention::delete_expired(&file.db, Timestamp::now(), None)?))?;
    while writer.change(|file| Ok(retention::give_back(&file.db, PAGES)?))? > 0 {}
    writer.change(OpenFile::shrink_log)?;
    Ok(deleted)
}
