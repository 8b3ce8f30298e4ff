//! The three writers of a file, which do not know each other: [`local`] stores the records of this
//! process, [`remote`] those that other programs send, [`import`] those of another file.

pub(crate) mod import;
pub(crate) mod local;
pub(crate) mod remote;

use std::collections::HashSet;

use spanscope_core::queue::log_to_stderr;

/// Reports, once each, metrics with too many label sets, and that a tenant has too many senders.
#[derive(Debug, Default)]
struct Overflows {
    metrics: HashSet<String>,
    senders: bool,
}

impl Overflows {
    fn report_senders(&mut self) {
        if !std::mem::replace(&mut self.senders, true) {
            log_to_stderr(
                "spanscope: a tenant has more senders, or longer descriptions of them, than a file may have: the records of further ones are stored under otel.resource.overflow=true"
                    .to_owned(),
            );
        }
    }

    fn report(&mut self, metrics: Vec<String>, max_series: u64) {
        for metric in metrics {
            if !self.metrics.contains(&metric) {
                log_to_stderr(format!(
                    "spanscope: metric {metric:?} has more label sets than the maximum of {max_series}: further measurements are stored under otel.metric.overflow=true"
                ));
                self.metrics.insert(metric);
            }
        }
    }
}
