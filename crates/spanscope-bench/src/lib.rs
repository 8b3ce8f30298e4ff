//! Tools to measure one program against another on a machine that is never quiet.
//!
//! Absolute times tell about the machine as much as about the code, so what counts is a ratio of two things measured
//! in one run. Each subject runs in a [child process](subject) of its own, where it may set the global subscriber as
//! a real program does and where its peak memory and its bytes on disk are its own. The parent takes the subjects
//! round by round in turn, so that a slow second of the machine meets all of them, and reports [medians](sample).
//!
//! `cargo bench -p spanscope-bench` runs the comparison. No test asserts a time.

pub mod machine;
pub mod sample;
pub mod subject;
pub mod table;
