//! The token metrics from outside: what sinks get for the spans of programs and crates.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod agents;
mod bad_input;
mod conventions;
mod counted_once;
mod histograms;
mod late;
mod recorded;
mod support;
mod with_others;
