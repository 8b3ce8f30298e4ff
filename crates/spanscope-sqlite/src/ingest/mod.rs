//! The three ways into a file. Each fills the rows of `file` and knows nothing of the others:
//! [`local`] what this process records, [`remote`] what other programs send, [`import`] what
//! another file holds.

pub(crate) mod import;
pub(crate) mod local;
pub(crate) mod remote;

use std::collections::HashSet;

use spanscope_core::queue::log_to_stderr;

/// Metrics that have got too many label sets, and tenants with too many senders. Each is reported once.
#[derive(Debug, Default)]
struct Overflows {
    metrics: HashSet<String>,
    senders: bool,
}

impl Overflows {
    fn report_senders(&mut self) {
        if !std::mem::replace(&mut self.senders, true) {
            log_to_stderr(
                "spanscope: a tenant has more senders, or longer descriptions of them, than the file keeps apart: what further \
                 ones send is stored under otel.resource.overflow=true"
                    .to_owned(),
            );
        }
    }

    fn report(&mut self, metrics: Vec<String>, max_series: u64) {
        for metric in metrics {
            if !self.metrics.contains(&metric) {
                log_to_stderr(format!(
                    "spanscope: metric {metric:?} has more label sets than the {max_series} that are kept apart: what comes with \
                     others is stored under otel.metric.overflow=true"
                ));
                self.metrics.insert(metric);
            }
        }
    }
}
