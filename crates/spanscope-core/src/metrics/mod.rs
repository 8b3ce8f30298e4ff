//! Measurements: what one is, what takes it, and a bound on the label sets that a sink keeps.
//!
//! Which measurements are made of which spans is the business of the layers; nothing here adds up,
//! keeps histograms or knows a text format.

mod label_limit;
mod measurement;

pub use label_limit::{DEFAULT_MAX_LABEL_SETS, LabelLimit, MAX_METRICS, OVERFLOW_LABELS};
pub use measurement::{MEASUREMENT_FIELDS, Measurement, MetricSink, Number};
