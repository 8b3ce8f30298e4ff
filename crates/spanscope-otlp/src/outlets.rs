//! The senders of each signal's records, and their concurrent flush and end.
//!
//! Spanscope's queues and the conversion of records do not belong here.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use opentelemetry_sdk::logs::{BatchLogProcessor, LogProcessor as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor as _};
use spanscope_core::queue::log_to_stderr;
use spanscope_core::threads;

use crate::account::{Account, OtlpStats};
use crate::convert::Shape;
use crate::settings::Signal;

/// Time for a request that is cut off at the deadline to report its outcome.
const LAST_ANSWER: Duration = Duration::from_millis(200);

/// The sender of one signal's records.
pub(crate) struct Outlet<P> {
    pub(crate) processor: P,
    pub(crate) account: Arc<Account>,
    pub(crate) max_queue_size: usize,
    pub(crate) shape: Shape,
    /// The receiver's name in messages.
    pub(crate) endpoint: String,
}

/// The sender of metrics, which are aggregated before.
pub(crate) struct MetricOutlet {
    pub(crate) provider: SdkMeterProvider,
    pub(crate) account: Arc<Account>,
    /// The receiver's name in messages.
    pub(crate) endpoint: String,
}

/// The processors, which the flushing thread needs as well.
pub(crate) struct Outlets {
    pub(crate) spans: Option<Outlet<BatchSpanProcessor>>,
    pub(crate) logs: Option<Outlet<BatchLogProcessor>>,
    pub(crate) metrics: Option<MetricOutlet>,
}

impl std::fmt::Debug for Outlets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlets").finish_non_exhaustive()
    }
}

impl Outlets {
    /// Runs work for each signal on a separate thread, so that none waits for another one's
    /// collector, and waits for all.
    fn each(self: &Arc<Self>, deadline: Option<Instant>, work: fn(&Self, Signal, Option<Instant>)) {
        let (done, all_done) = mpsc::channel::<()>();
        for signal in Signal::ALL {
            let (outlets, sender) = (Arc::clone(self), done.clone());
            let spawned = threads::spawn("spanscope-otlp-end", move || {
                work(&outlets, signal, deadline);
                drop(sender);
            });
            if spawned.is_err() {
                work(self, signal, deadline);
            }
        }
        drop(done);
        // Nothing is ever sent; the channel ends when the last thread does.
        match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let _ = all_done.recv_timeout(left + LAST_ANSWER);
            }
            None => drop(all_done.recv()),
        }
    }

    /// Waits until all passed records are sent, or counted as lost.
    pub(crate) fn flush(self: &Arc<Self>) {
        self.each(None, |outlets, signal, _| {
            let until_sent = |account: &Account, flush: &dyn Fn() -> bool| {
                // A processor waits for five seconds at most, and returns false if a batch failed;
                // then there may be more.
                while !flush() && account.pending() > 0 && account.closing().deadline.is_none() {}
            };
            match (signal, &outlets.spans, &outlets.logs, &outlets.metrics) {
                (Signal::Traces, Some(outlet), ..) => {
                    until_sent(&outlet.account, &|| outlet.processor.force_flush().is_ok());
                }
                (Signal::Logs, _, Some(outlet), _) => {
                    until_sent(&outlet.account, &|| outlet.processor.force_flush().is_ok());
                }
                (Signal::Metrics, _, _, Some(outlet)) => drop(outlet.provider.force_flush()),
                _ => {}
            }
        });
    }

    /// Ends the processors by the deadline. Returns whether no further records were lost.
    pub(crate) fn end(self: &Arc<Self>, deadline: Instant) -> bool {
        let accounts = self.accounts();
        let lost = || {
            accounts
                .iter()
                .map(|account| account.lost_by_sending())
                .sum::<u64>()
        };
        let before = lost();
        for account in &accounts {
            account.begin_closing(deadline);
        }
        self.each(Some(deadline), |outlets, signal, deadline| {
            let left = deadline
                .unwrap_or_else(Instant::now)
                .saturating_duration_since(Instant::now());
            match (signal, &outlets.spans, &outlets.logs, &outlets.metrics) {
                (Signal::Traces, Some(outlet), ..) => drop(outlet.processor.shutdown_with_timeout(left)),
                (Signal::Logs, _, Some(outlet), _) => drop(outlet.processor.shutdown_with_timeout(left)),
                (Signal::Metrics, _, _, Some(outlet)) => drop(outlet.provider.shutdown_with_timeout(left)),
                _ => {}
            }
        });
        for account in &accounts {
            account.close();
        }
        lost() == before
    }

    /// Prints which records were lost and not reported yet, of all signals in one line. Call it at
    /// the end, after which no other message is possible.
    pub(crate) fn report_losses(&self, stats: &OtlpStats) {
        let lost = |signal| match signal {
            Signal::Traces => stats.spans.lost,
            Signal::Logs => stats.logs.lost,
            Signal::Metrics => stats.metrics.lost,
        };
        let unreported = self
            .each_account()
            .filter_map(|(account, endpoint)| account.unreported_losses(endpoint, lost(account.signal)));
        let unreported: Vec<String> = unreported.collect();
        if !unreported.is_empty() {
            let losses = unreported.join("; ");
            log_to_stderr(format!("spanscope: lost by the end of the program: {losses}"));
        }
    }

    fn accounts(&self) -> Vec<Arc<Account>> {
        self.each_account()
            .map(|(account, _)| Arc::clone(account))
            .collect()
    }

    /// Returns the statistics of each signal that is sent, and the receiver's name in messages.
    fn each_account(&self) -> impl Iterator<Item = (&Arc<Account>, &str)> {
        let spans = self
            .spans
            .as_ref()
            .map(|outlet| (&outlet.account, &*outlet.endpoint));
        let logs = self
            .logs
            .as_ref()
            .map(|outlet| (&outlet.account, &*outlet.endpoint));
        let metrics = self
            .metrics
            .as_ref()
            .map(|outlet| (&outlet.account, &*outlet.endpoint));
        [spans, logs, metrics].into_iter().flatten()
    }
}
