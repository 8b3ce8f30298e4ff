//! What [`init`](crate::init) returns.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use spanscope_core::queue::{MAX_TIMEOUT, log_to_stderr};
use spanscope_layers::{Categories, CategoryFilter, ConsoleGuard, LevelHandle, Levels};
use spanscope_model::Severity;
use spanscope_sqlite::{FlushTimeout, LayerStats, SqliteGuard, TailStats};

/// What an end leaves to the console alone. It writes while the others end, so what is left then are their reports.
const CONSOLE_TIME: Duration = Duration::from_millis(250);

/// The sinks of the program, and the handle on its levels.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) sqlite: Option<SqliteGuard>,
    pub(crate) console: Option<ConsoleGuard>,
    pub(crate) log_file: Option<ConsoleGuard>,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<spanscope_otlp::OtlpGuard>,
    pub(crate) levels: LevelHandle,
    /// Whether what an end has left was reported.
    pub(crate) reported: AtomicBool,
}

/// What a report counts: the noun, and of which sink.
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
        // What stays here first: a collector may take all the time there is.
        let results: Vec<_> = sqlite.into_iter().chain(logs).chain(otlp).collect();
        results.into_iter().collect()
    }

    /// Has the lines written that people read while the program runs, on the console and in the log file.
    pub(crate) fn flush_lines(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        for log in [&self.console, &self.log_file].into_iter().flatten() {
            let _ = log.flush(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Ends the sinks, all within one timeout, and reports what they left. A second time it does nothing.
    ///
    /// The console comes last, because the others may have something to report, and has a quarter of a second to itself, or a
    /// fifth of a short timeout: a collector may take all that there is.
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
            otlp.shutdown();
        }
        if let Some(sqlite) = &self.sqlite {
            sqlite.shutdown();
        }
        if let Some(log_file) = &self.log_file {
            log_file.shutdown();
        }
        if let Some(console) = &self.console {
            console.begin_shutdown(deadline);
            console.shutdown();
        }
        self.report_left(before);
    }

    /// Records that were offered and not written, whether they wait or were given up, by sink.
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

    /// Reports what the end has left, once. What the bridge has left it reports itself.
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

    /// How many records came after the end: of the sink that was offered most.
    pub(crate) fn late_records(&self) -> u64 {
        let late = self.unwritten().map(|(_, stats)| stats.dropped.shutdown);
        late.into_iter().max().unwrap_or_default()
    }
}

/// Keeps the sinks running. Dropping it writes what is left, also while a panic unwinds.
///
/// All sinks together have one timeout, [`Builder::shutdown_timeout`](crate::Builder::shutdown_timeout), 5 s by default; then
/// they are left, which takes half a second more at most, and what is missing is reported on stderr. What is recorded later is
/// counted, and reported once.
///
/// A guard that is leaked or that `std::process::exit` skips loses nothing: an exit hook does the same within
/// [`Builder::exit_timeout`](crate::Builder::exit_timeout), 1 s by default.
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

    /// The guard of a program whose telemetry is switched off: its levels can be changed, which has no effect.
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
        // The hooks hold the same sinks, so their own drop is not enough.
        if let Some(running) = &self.running {
            running.end(self.shutdown_timeout);
            // From here on a signal does what it would without us.
            spanscope_process::signals::stop();
        }
    }
}
