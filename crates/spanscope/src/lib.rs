//! Telemetry for Rust LLM servers and agents: ordinary `tracing` spans into a local SQLite file you can ask.
//!
//! ```no_run
//! let _guard = spanscope::init(); // reads the environment; dropping the guard writes what is left
//! tracing::info_span!("chat", model = "llama").in_scope(|| tracing::info!("hello"));
//! ```
//!
//! Who composes subscribers by hand takes [`SqliteLayer`] alone and misses nothing but the reading of the environment
//! and the signals. This crate is the only one of the libraries that reads the environment, and only in [`init`],
//! [`try_init`], [`Builder::from_env`] and [`default_db_path`].

mod builder;
mod error;
mod guard;
mod paths;
mod signals;

pub use builder::{Builder, SINKS, builder};
pub use error::InitError;
pub use guard::Guard;
pub use paths::default_db_path;
pub use signals::Signals;
pub use spanscope_layers::{SpanExt, suppress};
pub use spanscope_model as model;
pub use spanscope_sqlite::{FlushTimeout, LayerStats, SqliteGuard, SqliteLayer, WhenFull};

/// Sets up what the environment asks for, for the whole program, and never fails: what can't be done is said on stderr,
/// and the program goes on without it.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `TELEMETRY_SINKS` | comma-separated: `sqlite` | `sqlite` |
/// | `OTEL_SERVICE_NAME` | service name | empty |
/// | `SQLITE_STORE_DIR` | folder of `trace_store.db` | the user's data folder |
/// | `RUST_LOG` | levels by target: `info,my_crate=debug` | `info` |
/// | `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | longer values are cut | 16384 |
///
/// SIGTERM and SIGINT write what is left before they end the program; see [`Signals`].
pub fn init() -> Guard {
    match try_init() {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("spanscope: no telemetry: {error}");
            Guard::empty()
        }
    }
}

/// As [`init`], but a wrong variable, a file that can't be opened, or a subscriber that is already set is an error.
///
/// # Errors
/// See [`InitError`].
pub fn try_init() -> Result<Guard, InitError> {
    Builder::from_env()?.try_init()
}
