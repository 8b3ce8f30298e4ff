//! Measurements to OpenTelemetry's instruments, which add them up for the periodic reader.
//!
//! The calling thread only records a measurement: looking up an instrument's label set takes
//! OpenTelemetry some hundred nanoseconds. The SDK bounds the label sets of a metric (2,000;
//! further ones are one series with `otel.metric.overflow`), this module the number of metrics.

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
