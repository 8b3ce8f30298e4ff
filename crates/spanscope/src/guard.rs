//! What [`init`](crate::init) returns.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use spanscope_core::queue::{FlushTimeout, LayerStats, MAX_TIMEOUT, log_to_stderr};
use spanscope_core::tail::TailStats;
#[cfg(feature = "console")]
use spanscope_layers::ConsoleGuard;
use spanscope_layers::{Categories, CategoryFilter, LevelHandle, Levels};
use spanscope_model::Severity;
#[cfg(feature = "sqlite")]
use spanscope_sqlite::SqliteGuard;

#[cfg(not(feature = "console"))]
use crate::stubs::ConsoleGuard;
#[cfg(not(feature = "sqlite"))]
use crate::stubs::SqliteGuard;

/// The console's part of the shutdown timeout. It keeps writing while the others end, so that only
/// their reports are left.
const CONSOLE_TIME: Duration = Duration::from_millis(250);

/// The program's sinks, and the handle to its levels.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) sqlite: Option<SqliteGuard>,
    pub(crate) console: Option<ConsoleGuard>,
    pub(crate) log_file: Option<ConsoleGuard>,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<spanscope_otlp::OtlpGuard>,
    pub(crate) levels: LevelHandle,
    /// Whether the records left at an end were reported.
    pub(crate) reported: AtomicBool,
}

/// What a report counts: the noun, and the sink.
type Left = (&'static str, &'static str);

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
        // Local sinks first: a collector may use up the whole timeout.
        let results: Vec<_> = sqlite.into_iter().chain(logs).chain(otlp).collect();
        results.into_iter().collect()
    }

    /// Writes the lines for people, on the console and in the log file.
    pub(crate) fn flush_lines(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        for log in [&self.console, &self.log_file].into_iter().flatten() {
            let _ = log.flush(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Ends the sinks, all within one timeout, and reports the records that they left. A second
    /// call does nothing.
    ///
    /// The console comes last, because the others may report something, and has a quarter of a
    /// second reserved for it, or a fifth of a short timeout: a collector may use up everything
    /// else.
    pub(crate) fn end(&self, timeout: Duration) {
        let timeout = timeout.min(MAX_TIMEOUT);
        let before = self.unwritten();
        let deadline = Instant::now() + timeout;
        let of_console = CONSOLE_TIME.min(timeout / 5);
        let of_others = deadline.checked_sub(of_console).unwrap_or(deadline);
        if let Some(sqlite) = &self.sqlite {
            sqlite.begin_shutdown(of_others);
        }
        if let Some(log_file) = &self.log_file {
            log_file.begin_shutdown(of_others);
        }
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            otlp.begin_shutdown(of_others);
            let _ = otlp.shutdown(); // `report_left` reports unwritten records
        }
        if let Some(sqlite) = &self.sqlite {
            let _ = sqlite.shutdown(); // `report_left` reports unwritten records
        }
        if let Some(log_file) = &self.log_file {
            let _ = log_file.shutdown(); // `report_left` reports unwritten records
        }
        if let Some(console) = &self.console {
            console.begin_shutdown(deadline);
            let _ = console.shutdown(); // `report_left` reports unwritten records
        }
        self.report_left(before);
    }

    /// Returns the records that were offered and not written, queued or given up, by sink.
    fn unwritten(&self) -> [(Left, LayerStats); 3] {
        let of_log = |log: &Option<ConsoleGuard>| log.as_ref().map(ConsoleGuard::stats).unwrap_or_default();
        [
            (("line", "of the console"), of_log(&self.console)),
            (("line", "of the log file"), of_log(&self.log_file)),
            (
                ("record", "of the store"),
                self.sqlite.as_ref().map(SqliteGuard::stats).unwrap_or_default(),
            ),
        ]
    }

    /// Reports the records left at the end, once. The bridge reports its own.
    fn report_left(&self, before: [(Left, LayerStats); 3]) {
        let left: Vec<String> = self
            .unwritten()
            .iter()
            .zip(before)
            .filter_map(|(((what, of_sink), now), (_, before))| {
                let waiting = now.offered.saturating_sub(now.stored + now.dropped.total());
                let given_up = now
                    .dropped
                    .write_failed
                    .saturating_sub(before.dropped.write_failed);
                match waiting + given_up {
                    0 => None,
                    1 => Some(format!("1 {what} {of_sink}")),
                    left => Some(format!("{left} {what}s {of_sink}")),
                }
            })
            .collect();
        if !left.is_empty() && !self.reported.swap(true, Ordering::Relaxed) {
            log_to_stderr(format!(
                "spanscope: the time to write the last records is over; left out: {}",
                left.join(", ")
            ));
        }
    }

    /// Returns how many records arrived after the end: in the sink with the most.
    pub(crate) fn late_records(&self) -> u64 {
        let late = self.unwritten().map(|(_, stats)| stats.dropped.shutdown);
        late.into_iter().max().unwrap_or_default()
    }
}

/// A guard that keeps the sinks running. Dropping it writes all queued records, also while a panic
/// unwinds.
///
/// All sinks together have one timeout,
/// [`Builder::shutdown_timeout`](crate::Builder::shutdown_timeout), 5 s by default; then they are
/// abandoned, which takes at most half a second more, and what is missing is reported on stderr.
/// Later records are counted, and reported once.
///
/// A guard that is leaked or that `std::process::exit` skips loses nothing: an exit hook does the
/// same within [`Builder::exit_timeout`](crate::Builder::exit_timeout), 1 s by default.
#[derive(Debug)]
#[must_use = "dropping the guard ends the telemetry; bind it: let _guard = spanscope::init();"]
pub struct Guard {
    running: Option<Arc<Running>>,
    shutdown_timeout: Duration,
}

impl Guard {
    pub(crate) fn new(running: Running, shutdown_timeout: Duration) -> Self {
        Self {
            running: Some(Arc::new(running)),
            shutdown_timeout,
        }
    }

    /// Creates the guard of a program whose telemetry is switched off: changing its levels has no
    /// effect.
    pub(crate) fn disabled(categories: Categories) -> Self {
        let running = Running {
            sqlite: None,
            console: None,
            log_file: None,
            #[cfg(feature = "otlp")]
            otlp: None,
            levels: CategoryFilter::new(categories, Levels::new()).handle(),
            reported: AtomicBool::default(),
        };
        Self::new(running, Duration::ZERO)
    }

    pub(crate) fn empty() -> Self {
        Self {
            running: None,
            shutdown_timeout: Duration::ZERO,
        }
    }

    pub(crate) fn running(&self) -> Option<&Arc<Running>> {
        self.running.as_ref()
    }

    /// Waits until everything recorded before the call is written.
    ///
    /// # Errors
    /// Fails if it takes longer than the timeout; nothing is lost by that.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.running
            .as_ref()
            .map_or(Ok(()), |running| running.flush(timeout))
    }

    /// Returns the statistics of the records offered to the span store; `None` without that sink.
    #[must_use]
    pub fn stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.sqlite.as_ref()?.stats())
    }

    /// Returns how many traces the store's tail rule kept and dropped; `None` without that sink or
    /// without a rule.
    #[must_use]
    pub fn tail_stats(&self) -> Option<TailStats> {
        self.running.as_ref()?.sqlite.as_ref()?.tail_stats()
    }

    /// Returns the statistics of the lines offered to the console; `None` without that sink.
    #[must_use]
    pub fn console_stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.console.as_ref()?.stats())
    }

    /// Returns the statistics of the lines offered to the log file; `None` without one.
    #[must_use]
    pub fn log_file_stats(&self) -> Option<LayerStats> {
        Some(self.running.as_ref()?.log_file.as_ref()?.stats())
    }

    /// Returns the statistics of the records to export; `None` without an OTLP sink.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn otlp_stats(&self) -> Option<spanscope_otlp::OtlpStats> {
        Some(self.running.as_ref()?.otlp.as_ref()?.stats())
    }

    /// Returns the span store's file; `None` without that sink.
    #[must_use]
    pub fn db_path(&self) -> Option<&Path> {
        Some(self.running.as_ref()?.sqlite.as_ref()?.path())
    }

    /// Returns a handle to change levels while the program runs; `None` if the telemetry could not
    /// be set up.
    #[must_use]
    pub fn levels(&self) -> Option<&LevelHandle> {
        Some(&self.running.as_ref()?.levels)
    }

    /// Reports something about the telemetry itself: on the console if it is on, else on stderr.
    pub(crate) fn report(&self, text: &str) {
        match self.running.as_ref().and_then(|running| running.console.as_ref()) {
            Some(console) => console.report(Severity::Warn, text),
            None => spanscope_core::queue::log_to_stderr(format!("spanscope: {text}")),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The hooks hold the same sinks, so their own drop is not enough.
        if let Some(running) = &self.running {
            running.end(self.shutdown_timeout);
            // From here on a signal has its original effect.
            spanscope_process::signals::stop();
        }
    }
}
