//! The three ways into a file. Each fills the rows of `file` and knows nothing of the others:
//! [`local`] what this process records, [`remote`] what other programs send, [`import`] what
//! another file holds.

pub(crate) mod import;
pub(crate) mod local;
pub(crate) mod remote;

use std::collections::HashSet;

use spanscope_core::queue::log_to_stderr;

/// Metrics that have got too many label sets. Each is reported once.
#[derive(Debug, Default)]
struct Overflows(HashSet<String>);

impl Overflows {
    fn report(&mut self, metrics: Vec<String>, max_series: u64) {
        for metric in metrics {
            if !self.0.contains(&metric) {
                log_to_stderr(format!(
                    "spanscope: metric {metric:?} has more label sets than the {max_series} that are kept apart: what comes with \
                     others is stored under otel.metric.overflow=true"
                ));
                self.0.insert(metric);
            }
        }
    }
}
