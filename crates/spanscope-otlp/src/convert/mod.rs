//! Conversion of records to the types of OpenTelemetry's exporters: pure functions, which the
//! sink's thread calls.
//!
//! Exported records have the same names, attributes, statuses and times as in every other sink, and
//! the same format as `spanscope export --to otlp-json`.

mod log;
mod span;
mod value;

pub(crate) use log::LogConverter;
pub(crate) use span::{EndedSpan, Shape, late_event, span_data, span_event};
pub(crate) use value::{model_value, otel_value, system_time};
