//! Measurements to OpenTelemetry's instruments, which add them up for the periodic reader.
//!
//! The calling thread only writes a measurement down: looking an instrument's label set up takes OpenTelemetry some hundred
//! nanoseconds. How many label sets a metric has is bounded by the SDK (2,000; what is beyond is one series with
//! `otel.metric.overflow`), how many metrics there are is bounded here.

mod instruments;
mod report;

use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_core::queue::Queue;

pub(crate) use instruments::Instruments;
pub(crate) use report::Reporter;

/// Takes measurements for the collector. Clones are the same sink; one of a bridge that sends no metrics takes nothing.
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
