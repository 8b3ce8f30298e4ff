//! Which traces are worth keeping, said when they are over: those with an error, the slow ones, and a share of the others.
//!
//! A program that serves a thousand requests a second wants the ten that failed, whole, and not nine hundred and ninety
//! copies of the same good one. A sampler that decides when a trace begins can't know which ones these are. So a sink
//! gathers, or writes and takes back, and asks [`TailDecider`] about each trace; [`TailRule`] is what the program sets.
//!
//! The decider is told of spans and events on the sink's thread and answers; it has no thread, no clock and does no I/O.
//! Times are passed in, as durations since any moment that stays the same:
//! [`Clock::moment`](crate::capture::Clock::moment) has one. What holds:
//!
//! - A trace is decided once, whole. What comes later follows the decision for as long as it is remembered.
//! - In doubt it is kept: a trace that is decided before it is over because there are too many, one whose end never came.
//! - A trace is undecided no longer than the rule's `slower_than` and `wait` together: while its root is open beyond
//!   `slower_than`, it is slow, whatever comes.
//! - Memory is bounded by [`TailRule::max_traces`] and the spans that are open.
//!
//! What can't be had: a trace that runs through several processes is judged by each of them for its own part, because none
//! sees the others' errors. The share that is kept of the unremarkable ones is the same in all of them.

mod decider;
mod rule;
mod tell;

#[cfg(test)]
mod tests;

pub use decider::{Decision, EndedSpan, Settle, TailDecider, TailStats, Verdict};
pub use rule::{DEFAULT_MAX_TRACES, DEFAULT_SLOW, DEFAULT_WAIT, TailRule};
