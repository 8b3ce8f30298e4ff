//! Tail sampling: decides which traces to keep when they are over: those with an error, the slow
//! ones, and a share of the others.
//!
//! A program that serves a thousand requests a second wants the ten that failed, complete, and not
//! nine hundred and ninety copies of the same successful one. A sampler that decides when a trace
//! starts can't know which ones will fail. So a sink buffers, or writes and deletes, and asks
//! [`TailDecider`] about each trace; [`TailRule`] is the program's setting.
//!
//! Spans and events are reported to the decider on the sink's thread; it has no thread and no clock
//! and does no I/O. Times are durations since any fixed moment:
//! [`Clock::moment`](crate::capture::Clock::moment) provides one. Guarantees:
//!
//! - A trace is decided once, as a whole. Later records follow the decision for as long as it is
//!   remembered.
//! - A trace that cannot be decided is kept: one that has to be decided before it is over because
//!   there are too many, or one whose end was never reported.
//! - A trace is undecided no longer than the rule's `slower_than` and `wait` together: once its
//!   root is open for longer than `slower_than`, it is slow.
//! - Memory is bounded by [`TailRule::max_traces`] and the spans that are open.
//!
//! Not possible: a trace that runs through several processes is judged by each of them for its own
//! part, because none sees the others' errors. The share of unremarkable traces is the same in all
//! of them.

mod decider;
mod report;
mod rule;

#[cfg(test)]
mod tests;

pub use decider::{Decision, DecisionScope, EndedSpan, TailDecider, TailStats, Verdict};
pub use rule::{DEFAULT_MAX_TRACES, DEFAULT_SLOW, DEFAULT_WAIT, TailRule};
