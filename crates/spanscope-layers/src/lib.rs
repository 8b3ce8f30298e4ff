//! The layers of Spanscope that need nothing but `tracing`.
//!
//! - [`filter`]: [`CategoryFilter`], the levels of one environment variable for every sink.
//! - [`console`]: [`ConsoleLayer`] and [`LogFileLayer`], what the program says, for people.
//! - [`genai`]: spans of model calls, tools, agents, with the conventional names and fields.
//! - [`metrics`]: measurements, from events and spans to sinks; [`TokenMetricsLayer`] makes those of model calls.
//! - [`LogBridge`] brings records of the `log` crate in, with their key-values.
//! - [`SpanExt`] adds to spans what `tracing` alone can't: attributes under any key, remote parents, ids.
//!
//! Nothing here blocks the caller unless it asked for that, emits events of its own, or holds a lock while code of the
//! user (`Debug`, `Display`, another layer) runs. The environment is read by calls that say so (`from_env`, `env`).

pub mod console;
pub mod filter;
pub mod genai;
pub mod metrics;

pub use console::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LogFileLayer};
pub use filter::{
    BadCategoryName, Categories, CategoryFilter, FilteredSink, LevelHandle, LevelWarning, Levels, Origin,
    Threshold, UnknownCategory, UnknownLevel,
};
pub use metrics::TokenMetricsLayer;
pub use spanscope_core::{LogBridge, SpanExt, suppress};
