//! The comparison's setup of Spanscope: the only place here that depends on the layer's interface.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use spanscope_sqlite::{OverflowPolicy, SqliteGuard, SqliteLayer};

/// No span may be removed for the file's size while a file is measured.
const MAX_BYTES: u64 = 64 << 30;

/// A layer that drops and counts what does not fit, which is the default.
pub(crate) fn dropping(file: &Path, queue_bytes: usize) -> Result<(SqliteLayer, SqliteGuard)> {
    Ok(SqliteLayer::builder()
        .queue_bytes(queue_bytes)
        .on_overflow(OverflowPolicy::Drop)
        .max_bytes(MAX_BYTES)
        .open(file)?)
}

/// A layer that makes the caller wait for space, with the default queue: all that is offered is
/// stored.
pub(crate) fn waiting(file: &Path) -> Result<(SqliteLayer, SqliteGuard)> {
    Ok(SqliteLayer::builder()
        .on_overflow(OverflowPolicy::Block)
        .max_bytes(MAX_BYTES)
        .open(file)?)
}

/// Returns when everything that was recorded before is stored.
pub(crate) fn flush(guard: &SqliteGuard, limit: Duration) -> Result<()> {
    Ok(guard.flush(limit)?)
}

/// Stores the queued records and closes the file.
pub(crate) fn close(guard: &SqliteGuard) -> Result<()> {
    guard.shutdown()?;
    Ok(())
}

/// Records lost so far.
#[expect(clippy::cast_precision_loss, reason = "counts of records are small")]
pub(crate) fn dropped(guard: &SqliteGuard) -> f64 {
    guard.stats().dropped.total() as f64
}
