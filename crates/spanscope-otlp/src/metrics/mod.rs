//! Passes measurements to OpenTelemetry's instruments, which aggregate them for the periodic
//! reader.
//!
//! The calling thread only queues a measurement, because OpenTelemetry needs a few hundred
//! nanoseconds to look up the label set of an instrument. The SDK limits the label sets of a metric
//! (2,000; further ones are one series with `otel.metric.overflow`), and this module limits the
//! number of metrics.

mod instruments;
mod report;

use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_core::queue::Queue;

pub(crate) use instruments::Instruments;
pub(crate) use report::Reporter;

/// A sink that sends measurements to the collector. Clones are the same sink; that of a bridge
/// without metrics ignores them.
#[derive(Debug, Clone)]
pub struct OtlpMetricSink {
    queue: Option<Queue>,
}

impl OtlpMetricSink {
    pub(crate) fn new(queue: Option<Queue>) -> Self {
        Self { queue }
    }
}

impl MetricSink for OtlpMetricSink {
    fn record(&self, measurement: &Measurement<'_>) {
        if let Some(queue) = &self.queue
            && !measurement.name.is_empty()
            && measurement.value.as_f64().is_finite()
        {
            queue.push_measurement(measurement);
        }
    }
}
