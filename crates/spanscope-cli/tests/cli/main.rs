//! The command as users run it: the real binary on a store that the real layer wrote.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod change;
mod data;
mod filters;
mod json;
mod list;
mod metrics;
mod otlp;
mod runs;
mod show;
mod support;
mod tokens;
mod unwritable;
mod usage;
