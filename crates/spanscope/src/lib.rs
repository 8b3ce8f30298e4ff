//! Telemetry for Rust LLM servers and agents: ordinary `tracing` spans on a rich console and in a local SQLite file you
//! can ask.
//!
//! ```no_run
//! let _guard = spanscope::init(); // reads the environment; dropping the guard writes what is left
//! tracing::info_span!("chat", model = "llama").in_scope(|| tracing::info!(markup = true, "[bold]hello[/bold]"));
//! ```
//!
//! A program that composes subscribers by hand takes [`CategoryFilter`], [`ConsoleLayer`],
//! [`LogFileLayer`], [`SqliteLayer`] and `OtlpLayer` alone, and misses only the file of settings and
//! the hooks for the end of a program (exit, panics, signals). This crate is the only one of the
//! libraries that reads the environment by itself, and only in [`init`], [`try_init`],
//! [`Builder::from_env`], [`default_db_path`], and where a file of settings names a variable.

#[cfg(feature = "otlp")]
mod bridge;
mod builder;
mod compose;
mod config;
mod ends;
mod error;
mod guard;
mod logger;
mod panics;
mod paths;
mod settings;
mod signals;
mod sinks;
pub mod testing;

pub use builder::{Builder, CONFIG_VARIABLE, builder};
pub use ends::{DEFAULT_EXIT_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT};
pub use error::{InitError, InitErrorKind};
pub use guard::Guard;
pub use paths::default_db_path;
pub use signals::Signals;
pub use sinks::{DEFAULT_SINKS, LEVEL_SINKS, SINKS};
pub use spanscope_layers::{
    Categories, CategoryFilter, ConsoleGuard, ConsoleHandle, ConsoleLayer, LevelHandle, Levels, LogBridge,
    LogFileLayer, SpanExt, Threshold, TokenMetricsLayer, console, genai, metrics, suppress,
};
pub use spanscope_model as model;
#[cfg(feature = "otlp")]
pub use spanscope_otlp as otlp;
pub use spanscope_sqlite::{
    FlushTimeout, LayerStats, OverflowPolicy, SqliteGuard, SqliteLayer, TailRule, TailStats,
};

/// Sets up what the environment asks for, for the whole program, and never fails: what can't be done is said on the
/// console, and the program goes on without it. The package that holds the calling line counts as the application: its
/// modules are categories.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `TELEMETRY_SINKS` | comma-separated: `console`, `sqlite`, `otel_trace`, `otel_metric`, `otel_log` | `console,sqlite` |
/// | `OTEL_SERVICE_NAME` | service name, else `service.name` in `OTEL_RESOURCE_ATTRIBUTES` | the program's name |
/// | `OTEL_SDK_DISABLED` | `true` switches everything off; the guard then does nothing | `false` |
/// | `SPANSCOPE_CONSOLE` | `lines`, `verbose`, `events`, `tree`, `json`, `off` | `lines` |
/// | `SPANSCOPE_CONSOLE_LEVELS` | levels for the console alone, as in `LLAMA_STACK_LOGGING` | as the other sinks |
/// | `SPANSCOPE_CONSOLE_MARKUP` | `1`: the application's messages are markup, as in Llama Stack | a message is data |
/// | `SPANSCOPE_CONSOLE_SYNC` | `1`: the thread that records a line writes it, in order with `println!` | a separate thread writes |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | where the last three sinks send; `spanscope-otlp` lists all `OTEL_*` variables | `http://localhost:4318` |
/// | `OTEL_PROPAGATORS` | what `otlp::propagation` writes and reads: `tracecontext`, `baggage`, `none` | `tracecontext,baggage` |
/// | `SQLITE_STORE_DIR` | folder of `trace_store.db` | the user's data folder |
/// | `LLAMA_STACK_LOGGING` | levels by category: `server=debug,core::routers=warn` | every category `info`, other crates `warn` |
/// | `RUST_LOG` | levels by target on top of that: `my_crate::db=debug` | none |
/// | `LLAMA_STACK_LOG_FILE` | a file that gets the console's text without colour | none |
/// | `LLAMA_STACK_LOG_WIDTH` | columns of the console | the terminal's, 120 where there is none |
/// | `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` | colours | on a terminal |
/// | `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | longer values are cut | 16384 |
/// | `SPANSCOPE_CONFIG` | a YAML file of settings, see [`Builder::config_file`] | none |
///
/// Token counts and times of model calls are measured from spans, and stored. A level that switches a span off switches
/// off what it would have measured.
///
/// What was recorded is written however the program ends short of a kill: when the guard is dropped, by
/// `std::process::exit`, by a return from `main` with a leaked guard, by a panic and by `abort`, each within a bound;
/// [`Guard`] and [`Builder::exit_timeout`] say which. A panic is recorded as an ERROR event before its message is
/// printed; see [`Builder::record_panics`]. SIGTERM and SIGINT write what is left before they end the program, and are
/// left to programs that handle them; see [`Signals`].
#[track_caller]
pub fn init() -> Guard {
    match Builder::from_env_with_problems().init_as_far_as_possible() {
        Ok(guard) => guard,
        Err(error) => {
            spanscope_core::queue::log_to_stderr(format!("spanscope: no telemetry: {error}"));
            Guard::empty()
        }
    }
}

/// As [`init`], but a wrong variable, a file that can't be opened, or a subscriber that is already set is an error.
/// Levels are never one: bad parts are warned about, and the others count.
///
/// # Errors
/// See [`InitError`]. The program then runs without telemetry; an error that is dropped without having been looked at is
/// reported on stderr.
#[track_caller]
pub fn try_init() -> Result<Guard, InitError> {
    Builder::from_env()
        .map_err(InitError::reported_if_unseen)?
        .try_init()
}
