//! What [`init`](crate::init) returns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spanscope_sqlite::{FlushTimeout, LayerStats, SqliteGuard};

/// Keeps the sinks running. Dropping it writes what is left, within the shutdown timeout; also while a panic unwinds.
#[derive(Debug)]
#[must_use = "dropping the guard ends the telemetry; bind it: let _guard = spanscope::init();"]
pub struct Guard {
    sqlite: Option<Arc<SqliteGuard>>,
}

impl Guard {
    pub(crate) fn new(sqlite: Option<Arc<SqliteGuard>>) -> Self {
        Self { sqlite }
    }

    pub(crate) fn empty() -> Self {
        Self { sqlite: None }
    }

    /// Writes everything recorded before the call.
    ///
    /// # Errors
    /// It took longer than the timeout; nothing is lost by that.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.sqlite
            .as_ref()
            .map_or(Ok(()), |sqlite| sqlite.flush(timeout))
    }

    /// What became of the records offered to the span store; none without that sink.
    #[must_use]
    pub fn stats(&self) -> Option<LayerStats> {
        self.sqlite.as_ref().map(|sqlite| sqlite.stats())
    }

    /// The span store's file; none without that sink.
    #[must_use]
    pub fn db_path(&self) -> Option<&Path> {
        self.sqlite.as_ref().map(|sqlite| sqlite.path())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The thread that waits for signals may hold the same guard, so its own drop is not enough.
        if let Some(sqlite) = &self.sqlite {
            sqlite.shutdown();
        }
    }
}
