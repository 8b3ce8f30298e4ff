//! Measurements, their receivers, and a limit on the label sets that a sink keeps.
//!
//! The layers decide which measurements are derived from which spans; nothing here sums, keeps
//! histograms or knows a text format.

mod label_limit;
mod measurement;

pub use label_limit::{DEFAULT_MAX_LABEL_SETS, LabelLimit, MAX_METRICS, OVERFLOW_LABELS};
pub use measurement::{MEASUREMENT_FIELDS, Measurement, MetricSink, Number};
