//! The token metrics from outside: what sinks get for the spans that programs and crates write.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod agents;
mod bad_input;
mod beside_others;
mod conventions;
mod counted_once;
mod histograms;
mod late;
mod recorded;
mod support;
