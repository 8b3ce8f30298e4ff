//! `spanscope restore FILE`: replaces the store with a backup, even while programs write.

use anyhow::Result;
use spanscope_sqlite::SqliteStore;

use super::store::Location;
use crate::args::RestoreArgs;
use crate::progress;
use crate::remark::remark;

pub(super) fn run(location: &Location, args: &RestoreArgs) -> Result<()> {
    let path = location.path()?;
    let bar = progress::bar("pages");
    let restored = SqliteStore::restore(&path, &args.file, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    restored?;
    remark(format_args!(
        "put {} in place of {}",
        args.file.display(),
        path.display()
    ));
    Ok(())
}
