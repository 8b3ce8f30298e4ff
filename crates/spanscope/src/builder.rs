//! The same settings in code as in the environment. Code wins.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spanscope_sqlite::{SqliteGuard, SqliteLayer, SqliteLayerBuilder, WhenFull};
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{Guard, InitError, Signals, default_db_path, signals};

/// The sinks that there are.
pub const SINKS: [&str; 1] = ["sqlite"];

/// Settings for the whole program's telemetry, in code. Start with [`builder`] or [`Builder::from_env`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `try_init` or `init`"]
pub struct Builder {
    sqlite: bool,
    db_path: Option<PathBuf>,
    store: SqliteLayerBuilder,
    levels: Targets,
    signals: Signals,
}

/// Default settings, whatever the environment says: the `sqlite` sink at [`default_db_path`], level INFO.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let guard = spanscope::builder()
///     .service_name("my-agent")
///     .sqlite_path(folder.path().join("trace_store.db"))
///     .try_init()?;
/// tracing::info!("stored");
/// guard.flush(std::time::Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn builder() -> Builder {
    Builder {
        sqlite: true,
        db_path: None,
        store: SqliteLayer::builder(),
        levels: Targets::new().with_default(LevelFilter::INFO),
        signals: Signals::default(),
    }
}

impl Builder {
    /// Settings from the environment, as [`init`](crate::init) lists them.
    ///
    /// # Errors
    /// A variable has a value that is not accepted.
    pub fn from_env() -> Result<Self, InitError> {
        let mut builder = builder();
        if let Some(sinks) = variable("TELEMETRY_SINKS")? {
            let names: Vec<&str> = sinks
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .collect();
            builder = builder.sinks_from("TELEMETRY_SINKS", &names)?;
        }
        if let Some(name) = variable("OTEL_SERVICE_NAME")? {
            builder = builder.service_name(name);
        }
        if let Some(levels) = variable("RUST_LOG")? {
            builder.levels = levels.parse().map_err(|_| InitError::Setting {
                place: "RUST_LOG",
                input: levels,
                accepted: "write levels by target, like info,my_crate=debug,hyper=off".to_owned(),
            })?;
        }
        if let Some(limit) = variable("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")? {
            let bytes = limit.parse().map_err(|_| InitError::Setting {
                place: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                input: limit,
                accepted: "write a number of bytes".to_owned(),
            })?;
            builder.store = builder.store.max_value_len(bytes);
        }
        Ok(builder)
    }

    /// Which sinks to use, by name. Default: `sqlite`. An empty list turns all off.
    ///
    /// # Errors
    /// A name that is none of [`SINKS`].
    pub fn sinks(self, names: &[&str]) -> Result<Self, InitError> {
        self.sinks_from("sinks", names)
    }

    fn sinks_from(mut self, place: &'static str, names: &[&str]) -> Result<Self, InitError> {
        if let Some(unknown) = names.iter().find(|name| !SINKS.contains(name)) {
            return Err(InitError::Setting {
                place,
                input: (*unknown).to_owned(),
                accepted: format!(
                    "a comma-separated list of these is accepted: {}",
                    SINKS.join(", ")
                ),
            });
        }
        self.sqlite = names.contains(&"sqlite");
        Ok(self)
    }

    /// The service that spans belong to. Default: empty.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.store = self.store.service_name(name);
        self
    }

    /// The span store's file. Default: [`default_db_path`].
    pub fn sqlite_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.db_path = Some(path.into());
        self
    }

    /// More settings of the span store: retention, size, queue.
    ///
    /// ```
    /// let builder = spanscope::builder().sqlite(|store| store.max_bytes(64 << 20));
    /// # drop(builder);
    /// ```
    pub fn sqlite(mut self, set: impl FnOnce(SqliteLayerBuilder) -> SqliteLayerBuilder) -> Self {
        self.store = set(self.store);
        self
    }

    /// What happens to a record when the store's queue is full. Default: [`WhenFull::Drop`].
    pub fn when_full(self, when_full: WhenFull) -> Self {
        self.sqlite(|store| store.when_full(when_full))
    }

    /// How long dropping the guard waits for the last records. Default: 5 s.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.sqlite(|store| store.shutdown_timeout(timeout))
    }

    /// Levels by target. Default: INFO for all.
    pub fn levels(mut self, levels: Targets) -> Self {
        self.levels = levels;
        self
    }

    /// What happens on SIGTERM and SIGINT. Default: [`Signals::FlushAndEnd`].
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }

    /// Opens the sinks and sets the global subscriber; records of the `log` crate come in too.
    ///
    /// # Errors
    /// See [`InitError`]. The program's telemetry is as it was then.
    pub fn try_init(self) -> Result<Guard, InitError> {
        let (layer, guard) = if self.sqlite {
            let path = self.db_path.map_or_else(default_db_path, Ok)?;
            let (layer, guard) = self.store.open(path).map_err(InitError::Store)?;
            (Some(layer), Some(Arc::<SqliteGuard>::new(guard)))
        } else {
            (None, None)
        };
        // One filter for all: per-layer filters of tracing-subscriber 0.3.23 lose the span after an `enabled!`. And no
        // `Option` of a layer: that forwards `on_register_dispatch` to nobody, and running spans would not be seen.
        let registry = tracing_subscriber::registry().with(self.levels);
        let dispatch = match layer {
            Some(layer) => Dispatch::new(registry.with(layer)),
            None => Dispatch::new(registry),
        };
        tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::AlreadySet)?;
        // A program with a logger of its own keeps it; only its `log` records then stay with that logger.
        let _ = tracing_log::LogTracer::init();
        if let Some(guard) = &guard
            && let Err(error) = signals::watch(self.signals, guard)
        {
            eprintln!("spanscope: signals will end the program without a last write: {error}");
        }
        Ok(Guard::new(guard))
    }
}

fn variable(name: &'static str) -> Result<Option<String>, InitError> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => Err(InitError::Setting {
            place: name,
            input: value.to_string_lossy().into_owned(),
            accepted: "it must be UTF-8".to_owned(),
        }),
    }
}
