//! What keeps a bridge running.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use spanscope_core::queue::{FlushTimeout, MAX_TIMEOUT, WorkerHandle};
use spanscope_core::sync::lock;
use spanscope_core::tail::TailStats;

use crate::account::{Account, OtlpStats};
use crate::propagation;
use crate::settings::{Propagator, Signal};
use crate::shared::Queues;

/// Keeps the threads of a bridge running. Dropping it sends what is left, within the shutdown timeout, also when the
/// collector hangs; what comes later, or was not sent in time, is counted as lost.
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

    /// Has everything sent that was recorded before the call. What the collector refuses meanwhile is counted as lost, and no error:
    /// see [`stats`](Self::stats).
    ///
    /// # Errors
    /// It took longer than the timeout, because the collector does not take it; what waits is tried again.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.control
            .flush(self.queues.main(), timeout)
            .map_err(|_| FlushTimeout {
                waiting: self.stats().spans.waiting() + self.stats().logs.waiting(),
            })
    }

    /// The account until now.
    #[must_use]
    pub fn stats(&self) -> OtlpStats {
        self.queues.stats(&self.accounts)
    }

    /// What the tail rule has judged until now; none without one.
    #[must_use]
    pub fn tail_stats(&self) -> Option<TailStats> {
        let stats = lock(self.tail.as_ref()?);
        Some(*stats)
    }

    /// Asks for the end, to be reached until then, or within the bridge's own shutdown timeout if that
    /// is earlier, and returns at once: so that several sinks end within one time.
    /// [`shutdown`](Self::shutdown) waits for it.
    pub fn begin_shutdown(&self, deadline: Instant) {
        // The thread goes by the deadline that it finds when it begins to end.
        let own = Instant::now() + self.shutdown_timeout.min(MAX_TIMEOUT);
        self.control.begin_shutdown(self.queues.main(), deadline.min(own));
    }

    /// What dropping does, for whoever wants to do it earlier; a second time it does nothing. Answers whether everything was
    /// taken in time that was not lost before.
    pub fn shutdown(&self) -> bool {
        self.control.shutdown(self.queues.main(), self.shutdown_timeout)
    }

    /// Sets what other crates find by OpenTelemetry's globals: the propagators of the settings, and the meter provider, so
    /// that instruments of the program's own go the same way. There can be one of each in a program.
    pub fn set_globals(&self) {
        propagation::set_global(&self.propagators);
        if let Some(provider) = &self.meter_provider {
            opentelemetry::global::set_meter_provider(provider.clone());
        }
    }

    /// Whether a signal is sent.
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
        self.shutdown();
    }
}
