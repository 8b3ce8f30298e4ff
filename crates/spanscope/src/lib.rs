//! Telemetry for Rust LLM servers and agents: ordinary `tracing` spans on a rich console and in a
//! local SQLite file to query.
//!
//! ```no_run
//! let _guard = spanscope::init(); // reads the environment; the guard flushes on drop
//! tracing::info_span!("chat", model = "llama").in_scope(|| tracing::info!(markup = true, "[bold]hello[/bold]"));
//! ```
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `console` | the sink `console` and the log file | yes |
//! | `sqlite` | the sink `sqlite` with a bundled SQLite, and `testing` | yes |
//! | `http` | `http::HeaderMap` as a carrier of trace context | yes |
//! | `otlp` | the sinks `otel_trace`, `otel_metric` and `otel_log`, over HTTP | no |
//! | `otlp-grpc` | the same over gRPC too | no |
//!
//! If a variable asks for a sink that the program is built without, the message names the feature
//! to switch on.
//!
//! A program that composes subscribers by hand uses [`CategoryFilter`], [`ConsoleLayer`],
//! [`LogFileLayer`], [`SqliteLayer`] and `OtlpLayer` alone, and misses only the settings file and
//! the hooks for the end of a program (exit, panics, signals). This crate is the only one of the
//! libraries that reads the environment by itself, and only in [`init`], [`try_init`],
//! [`Builder::from_env`], [`Builder::try_from_env`], `default_db_path`, and where a settings file
//! names a variable.

#[cfg(feature = "otlp")]
mod bridge;
mod builder;
mod compose;
mod config;
mod error;
mod guard;
mod logger;
mod panics;
mod paths;
pub mod prelude;
mod process_end;
mod settings;
mod signals;
mod sinks;
#[cfg(not(all(feature = "console", feature = "sqlite")))]
mod stubs;
#[cfg(feature = "sqlite")]
pub mod testing;

pub use builder::{Builder, CONFIG_VARIABLE, builder};
pub use error::{InitError, InitErrorKind};
pub use guard::Guard;
#[cfg(feature = "sqlite")]
pub use paths::default_db_path;
pub use process_end::{DEFAULT_EXIT_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT};
pub use signals::Signals;
pub use sinks::{DEFAULT_SINKS, LEVEL_SINKS, SINKS};
pub use spanscope_core::propagation;
pub use spanscope_core::queue::{FlushTimeout, LayerStats, OverflowPolicy, ShutdownError};
pub use spanscope_core::tail::{TailRule, TailStats};
pub use spanscope_layers::{
    Categories, CategoryFilter, LevelFilter, LevelHandle, Levels, LogBridge, SetParentError, SpanExt,
    TokenMetricsLayer, VariableError, console, genai, metrics, suppress,
};
#[cfg(feature = "console")]
pub use spanscope_layers::{ConsoleGuard, ConsoleHandle, ConsoleLayer, LogFileLayer};
pub use spanscope_model as model;
#[cfg(feature = "otlp")]
pub use spanscope_otlp as otlp;
#[cfg(feature = "sqlite")]
pub use spanscope_sqlite::{SqliteGuard, SqliteLayer};

/// Sets up telemetry from the environment, for the whole program, and never fails: problems are
/// reported on the console, and the program continues. The package of the calling line counts as
/// the application: its modules are categories.
///
#[doc = include_str!("variables.md")]
///
/// Token counts and times of model calls are measured from spans, and stored. A level that disables
/// a span disables its measurements too.
///
/// Records are written at every end of the program short of a kill: when the guard is dropped, by
/// `std::process::exit`, by a return from `main` with a leaked guard, by a panic and by `abort`,
/// each within a time limit; see [`Guard`] and [`Builder::exit_timeout`]. A panic is recorded as an
/// ERROR event before its message is printed; see [`Builder::record_panics`]. At SIGTERM and SIGINT
/// all records are written before the signal ends the program; a program that handles these signals
/// ends as it wants. See [`Signals`].
#[track_caller]
pub fn init() -> Guard {
    Builder::from_env().init()
}

/// Sets up telemetry as [`init`] does, but returns an error for an invalid variable, a file that
/// can't be opened, or an existing global subscriber. Levels never cause one: invalid parts are
/// reported as warnings, and the others apply.
///
/// # Errors
/// See [`InitError`]. The program then runs without telemetry; an error that is dropped unseen is
/// reported on stderr.
#[track_caller]
pub fn try_init() -> Result<Guard, InitError> {
    Builder::from_env().try_init()
}
