//! Tools to measure one program against another on a machine that is never quiet.
//!
//! Absolute times depend on the machine as much as on the code, so the relevant figure is a ratio
//! of two things measured in one run. Each subject runs in a [child process](subject), where it may
//! set the global subscriber as a real program does and where its peak memory and its bytes on disk
//! are its own. The parent runs the subjects round by round in turn, so that a slow second of the
//! machine affects all of them, and reports [medians](sample).
//!
//! `cargo bench -p spanscope-bench` runs the comparison; with `-- --write` it replaces the measured
//! sections of `docs/performance.md`. No test asserts a time.

pub mod machine;
pub mod page;
pub mod sample;
pub mod subject;
pub mod table;

/// The sections of the benchmark, by their names on the command line and in `docs/performance.md`.
pub const SECTIONS: [&str; 15] = [
    "caller",
    "client",
    "console",
    "filters",
    "measuring",
    "sending",
    "sustained",
    "killed",
    "reads",
    "receiving",
    "serving",
    "pages",
    "clickhouse",
    "metrics",
    "runs",
];
