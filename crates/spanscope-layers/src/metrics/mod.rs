//! Measurements: from `tracing` events and from spans to whatever keeps, exports or adds them up.
//!
//! A [`Measurement`] is what seed 1 calls a metric event: a number of a metric, with labels, of a span. An event with the
//! fields `metric` (a text) and `value` (a number), and maybe `unit` and `instrument`, is one; its other fields are labels:
//!
//! ```
//! tracing::info!(metric = "queue_length", value = 17, unit = "requests", queue = "embeddings");
//! ```
//!
//! Sinks that are layers read such events themselves. What is measured otherwise reaches them, and sinks that are no
//! layers, as [`MetricSink`]s. Nothing here adds up, makes histograms or knows a text format: that is for sinks.

mod measurement;

pub use measurement::{MEASUREMENT_FIELDS, Measurement, MetricSink, Number};
