//! From records to what OpenTelemetry's exporters take: pure, on the sink's thread.
//!
//! What goes out is what every other sink shows: the same names, attributes, statuses and times, and in the form in which
//! `spanscope export --to otlp-json` writes them.

mod log;
mod span;
mod value;

pub(crate) use log::LogMaker;
pub(crate) use span::{EndedSpan, Shape, late_event, span_data, span_event};
pub(crate) use value::{model_value, otel_value, system_time};
