//! `spanscope backup FILE`: makes a consistent copy, even while programs write.

use anyhow::Result;

use super::store::{Location, must_be_file};
use crate::args::BackupArgs;
use crate::progress;
use crate::remark::remark;

pub(super) fn run(location: &Location, args: &BackupArgs) -> Result<()> {
    must_be_file(&args.file)?;
    let store = location.open_file()?;
    let bar = progress::bar("pages");
    let copied = store.backup(&args.file, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    copied?;
    remark(format_args!(
        "copied {} to {}",
        store.path().display(),
        args.file.display()
    ));
    Ok(())
}
