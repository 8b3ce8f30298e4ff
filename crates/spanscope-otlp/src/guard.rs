//! The guard of a bridge.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use spanscope_core::queue::{FlushTimeout, MAX_TIMEOUT, ShutdownError, WorkerHandle};
use spanscope_core::sync::lock;
use spanscope_core::tail::TailStats;

use crate::account::{Account, OtlpStats};
use crate::propagation;
use crate::settings::{Propagator, Signal};
use crate::shared::Queues;

/// Keeps the threads of a bridge running. Dropping it sends the queued records, within the shutdown
/// timeout, even if the collector hangs; later and unsent records are counted as lost.
#[derive(Debug)]
#[must_use = "dropping the guard ends the sending"]
pub struct OtlpGuard {
    queues: Arc<Queues>,
    control: Arc<WorkerHandle>,
    accounts: [Arc<Account>; 3],
    shutdown_timeout: Duration,
    propagators: Vec<Propagator>,
    meter_provider: Option<SdkMeterProvider>,
    tail: Option<Arc<Mutex<TailStats>>>,
}

impl OtlpGuard {
    pub(crate) fn new(
        queues: Arc<Queues>,
        control: Arc<WorkerHandle>,
        accounts: [Arc<Account>; 3],
        shutdown_timeout: Duration,
        propagators: Vec<Propagator>,
        meter_provider: Option<SdkMeterProvider>,
        tail: Option<Arc<Mutex<TailStats>>>,
    ) -> Self {
        Self {
            queues,
            control,
            accounts,
            shutdown_timeout,
            propagators,
            meter_provider,
            tail,
        }
    }

    /// Waits until everything recorded before the call is sent. Records that the collector refuses
    /// are counted as lost, and are not an error: see [`stats`](Self::stats).
    ///
    /// # Errors
    /// Fails if it takes longer than the timeout, because the collector does not accept it; queued
    /// records are retried.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.control
            .flush(self.queues.main(), timeout)
            .map_err(|_| FlushTimeout::new(self.stats().spans.waiting() + self.stats().logs.waiting()))
    }

    /// Returns the current statistics.
    #[must_use]
    pub fn stats(&self) -> OtlpStats {
        self.queues.stats(&self.accounts)
    }

    /// Returns the statistics of the tail rule; `None` without a rule.
    #[must_use]
    pub fn tail_stats(&self) -> Option<TailStats> {
        let stats = lock(self.tail.as_ref()?);
        Some(*stats)
    }

    /// Requests the end before the deadline, or within the bridge's own shutdown timeout if that is
    /// earlier, and returns at once, so that several sinks end at the same time.
    /// [`shutdown`](Self::shutdown) waits for it.
    pub fn begin_shutdown(&self, deadline: Instant) {
        // The thread reads the deadline when its shutdown begins.
        let own = Instant::now() + self.shutdown_timeout.min(MAX_TIMEOUT);
        self.control.begin_shutdown(self.queues.main(), deadline.min(own));
    }

    /// Sends the queued records and ends the threads now instead of when the guard is dropped. A
    /// second call does not wait again.
    ///
    /// # Errors
    /// Fails if the collector did not accept all records in time, or records were lost before.
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        let ended = self.control.shutdown(self.queues.main(), self.shutdown_timeout);
        ended.map_err(|_| {
            let stats = self.stats();
            let unsent = [stats.spans, stats.logs, stats.metrics]
                .map(|of| of.offered.saturating_sub(of.exported + of.lost.sampled));
            ShutdownError::new(unsent.iter().sum())
        })
    }

    /// Sets OpenTelemetry's globals for other crates: the propagators of the settings, and the
    /// meter provider, so that the program's own instruments are exported too. A program has one of
    /// each.
    pub fn set_globals(&self) {
        propagation::set_global(&self.propagators);
        if let Some(provider) = &self.meter_provider {
            opentelemetry::global::set_meter_provider(provider.clone());
        }
    }

    /// Returns whether a signal is sent.
    #[must_use]
    pub fn sends(&self, signal: Signal) -> bool {
        match signal {
            Signal::Traces => self.queues.takes_spans,
            Signal::Metrics => self.meter_provider.is_some(),
            Signal::Logs => self.queues.sends_logs,
        }
    }
}

impl Drop for OtlpGuard {
    fn drop(&mut self) {
        let _ = self.shutdown(); // the stats and a report on stderr count unwritten records
    }
}
