//! What [`init`](crate::init) returns.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_core::queue::MAX_TIMEOUT;
use spanscope_layers::{ConsoleGuard, LevelHandle};
use spanscope_model::Severity;
use spanscope_sqlite::{FlushTimeout, LayerStats, SqliteGuard, TailStats};

/// The sinks of the program, and the handle on its levels.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) sqlite: Option<SqliteGuard>,
    pub(crate) console: Option<ConsoleGuard>,
    pub(crate) log_file: Option<ConsoleGuard>,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<spanscope_otlp::OtlpGuard>,
    pub(crate) levels: LevelHandle,
}

impl Running {
    /// Writes everything recorded before the call, all sinks within one timeout.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
        let left = || deadline.saturating_duration_since(Instant::now());
        let sqlite = self.sqlite.as_ref().map(|sqlite| sqlite.flush(left()));
        let logs = [&self.log_file, &self.console]
            .into_iter()
            .flatten()
            .map(|log| log.flush(left()));
        #[cfg(feature = "otlp")]
        let otlp = self.otlp.as_ref().map(|otlp| otlp.flush(left()));
        #[cfg(not(feature = "otlp"))]
        let otlp = None;
        // What stays here first: a collector may take all the time there is.
        let results: Vec<_> = sqlite.into_iter().chain(logs).chain(otlp).collect();
        results.into_iter().collect()
    }

    /// Ends the sinks, the console last, because the others may have something to say.
    pub(crate) fn shutdown(&self) {
        if let Some(sqlite) = &self.sqlite {
            sqlite.shutdown();
        }
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            otlp.shutdown();
        }
        for log in [&self.log_file, &self.console].into_iter().flatten() {
            log.shutdown();
        }
    }
}

/// Keeps the sinks running. Dropping it writes what is left, within the sinks' shutdown timeouts; also while a panic
/// unwinds.
#[derive(Debug)]
#[must_use = "dropping the guard ends the telemetry; bind it: let _guard = spanscope::init();"]
pub struct Guard {
    running: Option<Arc<Running>>,
}

impl Guard {
    pub(crate) fn new(running: Running) -> Self {
        Self {
            running: Some(Arc::new(running)),
        }
    }

    pub(crate) fn empty() -> Self {
        Self { running: None }
    }

    pub(crate) fn running(&self) -> Option<&Arc<Running>> {
        self.running.as_ref()
    }

    /// Writes everything recorded before the call.
    ///
    /// # Errors
    /// It took longer than the timeout; nothing is lost by that.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.running
            .as_ref()
            .map_or(Ok(()), |running| running.flush(timeout))
    }

    /// What became of the records offered to the span store; none without that sink.
    #[must_use]
    pub fn stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.sqlite.as_ref()?.stats())
    }

    /// How many traces the store's tail rule kept and dropped; none without that sink or without a rule.
    #[must_use]
    pub fn tail_stats(&self) -> Option<TailStats> {
        self.running.as_ref()?.sqlite.as_ref()?.tail_stats()
    }

    /// What became of the lines offered to the console; none without that sink.
    #[must_use]
    pub fn console_stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.console.as_ref()?.stats())
    }

    /// What became of the lines offered to the log file; none without one.
    #[must_use]
    pub fn log_file_stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.log_file.as_ref()?.stats())
    }

    /// What became of what was to be sent; none without a sink that sends.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn otlp_stats(&self) -> Option<spanscope_otlp::OtlpStats> {
        Some(self.running.as_ref()?.otlp.as_ref()?.stats())
    }

    /// The span store's file; none without that sink.
    #[must_use]
    pub fn db_path(&self) -> Option<&Path> {
        Some(self.running.as_ref()?.sqlite.as_ref()?.path())
    }

    /// Changes the levels while the program runs; none where the telemetry could not be set up.
    #[must_use]
    pub fn levels(&self) -> Option<&LevelHandle> {
        Some(&self.running.as_ref()?.levels)
    }

    /// Says something about the telemetry itself: on the console where that is on, else on stderr.
    pub(crate) fn report(&self, text: &str) {
        match self.running.as_ref().and_then(|running| running.console.as_ref()) {
            Some(console) => console.report(Severity::Warn, text),
            None => spanscope_core::queue::log_to_stderr(format!("spanscope: {text}")),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The thread that waits for signals may hold the same sinks, so their own drop is not enough.
        if let Some(running) = &self.running {
            running.shutdown();
        }
    }
}
