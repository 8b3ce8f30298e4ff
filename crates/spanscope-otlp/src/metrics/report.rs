//! The bridge's own statistics as metrics: sent, lost and retried records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::MetricKind;

use crate::account::SignalStats;

/// The interval of reports.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Reports the growth of the statistics since the last report.
pub(crate) struct Reporter {
    sinks: Vec<Arc<dyn MetricSink>>,
    reported: [SignalStats; 3],
    last: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(sinks: Vec<Arc<dyn MetricSink>>) -> Self {
        Self {
            sinks,
            reported: [SignalStats::default(); 3],
            last: None,
        }
    }

    /// Returns whether the next report is due.
    pub(crate) fn is_due(&self) -> bool {
        !self.sinks.is_empty() && self.last.is_none_or(|last| last.elapsed() >= REPORT_EVERY)
    }

    pub(crate) fn report(&mut self, stats: [(&'static str, SignalStats); 3]) {
        self.last = Some(Instant::now());
        for ((signal, now), before) in stats.into_iter().zip(&mut self.reported) {
            let (lost, was_lost) = (now.lost, before.lost);
            let counts = [
                ("spanscope.otlp.exported", None, now.exported, before.exported),
                ("spanscope.otlp.retries", None, now.retries, before.retries),
                (
                    "spanscope.otlp.lost",
                    Some("queue_full"),
                    lost.queue_full,
                    was_lost.queue_full,
                ),
                (
                    "spanscope.otlp.lost",
                    Some("export_failed"),
                    lost.export_failed,
                    was_lost.export_failed,
                ),
                (
                    "spanscope.otlp.lost",
                    Some("rejected"),
                    lost.rejected,
                    was_lost.rejected,
                ),
                (
                    "spanscope.otlp.lost",
                    Some("sampled"),
                    lost.sampled,
                    was_lost.sampled,
                ),
                (
                    "spanscope.otlp.lost",
                    Some("shutdown"),
                    lost.shutdown,
                    was_lost.shutdown,
                ),
            ];
            for (name, cause, now, before) in counts {
                send(&self.sinks, name, signal, cause, now.saturating_sub(before));
            }
            *before = now;
        }
    }
}

fn send(
    sinks: &[Arc<dyn MetricSink>],
    name: &str,
    signal: &'static str,
    cause: Option<&'static str>,
    grown: u64,
) {
    if grown == 0 {
        return;
    }
    let mut labels = vec![("signal", RawValue::from(signal))];
    labels.extend(cause.map(|cause| ("cause", RawValue::from(cause))));
    for sink in sinks {
        sink.record(&Measurement {
            name,
            value: Number::from(grown),
            unit: "",
            kind: MetricKind::Counter,
            labels: &labels,
            span: None,
            time: Clock::global().now(),
            is_event: false,
        });
    }
}
