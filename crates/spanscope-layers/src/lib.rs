//! The layers of Spanscope that need nothing but `tracing`.
//!
//! - [`filter`]: [`CategoryFilter`], the levels of one environment variable for every sink.
//! - [`console`]: [`ConsoleLayer`] and [`LogFileLayer`], the program's output for people.
//! - [`genai`]: spans of model calls, tools and agents, with the conventional names and fields.
//! - [`metrics`]: measurements, from events and spans to sinks; [`TokenMetricsLayer`] derives those
//!   of model calls.
//! - [`LogBridge`] captures records of the `log` crate, with their key-values.
//! - [`SpanExt`] adds to spans what `tracing` alone can't: attributes under any key, remote
//!   parents, ids.
//!
//! Nothing here blocks the caller unless it is configured to, emits its own events, or holds a
//! lock while code of the user (`Debug`, `Display`, another layer) runs. The environment is read by
//! calls that say so in their names (`from_env`, `try_from_env`).
//!
//! The feature `console` (default) has the console and the log file; without it the crate depends
//! on no crate for terminals.

#[cfg(feature = "console")]
pub mod console;
#[cfg(not(feature = "console"))]
#[path = "console/without.rs"]
pub mod console;
pub mod filter;
pub mod genai;
pub mod metrics;
mod variable;

#[cfg(feature = "console")]
pub use console::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LogFileLayer};
pub use filter::{
    BadCategoryName, Categories, CategoryFilter, CategoryMatch, FilteredSink, LevelFilter, LevelHandle,
    LevelWarning, Levels, UnknownCategory, UnknownLevel,
};
pub use metrics::TokenMetricsLayer;
pub use spanscope_core::{LogBridge, SetParentError, SpanExt, suppress};
pub use variable::VariableError;
