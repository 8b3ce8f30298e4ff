//! The command as users run it: the real binary on a store that the real layer wrote.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod change;
mod data;
mod features;
mod filters;
mod from_elsewhere;
mod json;
mod list;
mod metrics;
#[cfg(feature = "otlp")] // the demo sends its spans
mod otlp;
#[cfg(feature = "parquet")]
mod parquet;
mod round_trip;
mod runs;
mod show;
mod stores;
mod support;
mod tokens;
mod unwritable;
mod usage;
mod version;
