//! The same settings in code as in the environment and in the file. Code wins, then the environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spanscope_core::program_name;
use spanscope_layers::console::{ConsoleLayerBuilder, ConsoleStyle, LogFileLayerBuilder, RateLimit};
use spanscope_layers::metrics::MetricSink;
use spanscope_layers::{Categories, CategoryFilter, ConsoleLayer, Levels, LogFileLayer};
use spanscope_sqlite::{OverflowPolicy, SqliteLayer, SqliteLayerBuilder, TailRule};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Filter;

use crate::compose::{self, Sinks};
use crate::ends::{self, EndSettings};
use crate::paths::{db_path, path_variable};
use crate::settings::{LevelSources, Settings};
use crate::sinks::{DEFAULT_SINKS, LEVEL_SINKS, SINKS, unknown_sink};
use crate::{Guard, InitError, InitErrorKind, Signals};

/// The variable with the path of a file of settings.
pub const CONFIG_VARIABLE: &str = "SPANSCOPE_CONFIG";

type SetStore = Box<dyn FnOnce(SqliteLayerBuilder) -> SqliteLayerBuilder>;
type SetConsole = Box<dyn FnOnce(ConsoleLayerBuilder) -> ConsoleLayerBuilder>;
type SetLogFile = Box<dyn FnOnce(LogFileLayerBuilder) -> LogFileLayerBuilder>;

/// Settings for the whole program's telemetry, in code. Start with [`builder`] or [`Builder::from_env`].
#[must_use = "a builder does nothing until `try_init`"]
pub struct Builder {
    code: Settings,
    env: Option<Settings>,
    file: Option<PathBuf>,
    problems: Vec<InitErrorKind>,
    categories: Categories,
    directives: Vec<String>,
    store: Vec<SetStore>,
    console: Vec<SetConsole>,
    log_file: Vec<SetLogFile>,
    metric_sinks: Vec<Arc<dyn MetricSink>>,
    #[cfg(feature = "otlp")]
    otlp: Vec<crate::bridge::SetOtlp>,
    tail: Option<TailRule>,
    ends: EndSettings,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("code", &self.code)
            .field("env", &self.env)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Default settings, whatever the environment says: the sinks `console` and `sqlite`, the latter at
/// [`default_db_path`](crate::default_db_path), every category at INFO, other crates at WARN. The package that holds the
/// calling line counts as the application.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let guard = spanscope::builder()
///     .service_name("my-agent")
///     .sqlite_path(folder.path().join("trace_store.db"))
///     .levels("inference=debug, core::routers=warn")
///     .try_init()?;
/// tracing::info!("stored and shown");
/// guard.flush(std::time::Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn builder() -> Builder {
    Builder {
        code: Settings::default(),
        env: None,
        file: None,
        problems: Vec::new(),
        categories: Categories::of_caller(),
        directives: Vec::new(),
        store: Vec::new(),
        console: Vec::new(),
        log_file: Vec::new(),
        metric_sinks: Vec::new(),
        #[cfg(feature = "otlp")]
        otlp: Vec::new(),
        tail: None,
        ends: EndSettings::default(),
    }
}

impl Builder {
    /// Settings from the environment, as [`init`](crate::init) lists them, and from the file that it names.
    ///
    /// # Errors
    /// A variable has a value that is not accepted. Levels are never an error: bad parts are warned about, and the
    /// others count.
    #[track_caller]
    pub fn from_env() -> Result<Self, InitError> {
        let mut builder = Self::from_env_with_problems();
        if builder.problems.is_empty() {
            Ok(builder)
        } else {
            Err(builder.problems.swap_remove(0).into())
        }
    }

    /// The same, but what is not accepted is left out and said when the telemetry starts.
    #[track_caller]
    pub(crate) fn from_env_with_problems() -> Self {
        let mut builder = builder();
        let (settings, problems) = Settings::from_env();
        builder.env = Some(settings);
        builder.problems = problems;
        builder.file = path_variable(CONFIG_VARIABLE);
        builder
    }

    /// A YAML file of settings, with the blocks `telemetry` (`service_name`, `sinks`, `sqlite_db_path`) and
    /// `logging_config` (`category_levels`, `log_file`, and under `sinks` the `category_levels` of a sink); a run.yaml of
    /// the described system can be given as it is. `${env.NAME:=default}` is replaced in these blocks. Default: the file
    /// that `SPANSCOPE_CONFIG` names, with [`from_env`](Self::from_env); else none.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Which sinks to use, by name, of [`SINKS`]. Default: [`DEFAULT_SINKS`]. An empty list turns all off.
    ///
    /// # Errors
    /// A name that is none of [`SINKS`].
    pub fn sinks(mut self, names: &[&str]) -> Result<Self, InitError> {
        if let Some(unknown) = names.iter().find(|name| !SINKS.contains(name)) {
            return Err(unknown_sink("sinks", unknown, &SINKS).into());
        }
        self.code.sinks = Some(names.iter().map(ToString::to_string).collect());
        Ok(self)
    }

    /// The service that spans belong to. Default: the program's name.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.code.service_name = Some(name.into());
        self
    }

    /// The span store's file. Default: [`default_db_path`](crate::default_db_path).
    pub fn sqlite_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.code.db_path = Some(path.into());
        self
    }

    /// More settings of the span store: retention, size, queue.
    ///
    /// ```
    /// let builder = spanscope::builder().sqlite(|store| store.max_bytes(64 << 20));
    /// # drop(builder);
    /// ```
    pub fn sqlite(mut self, set: impl FnOnce(SqliteLayerBuilder) -> SqliteLayerBuilder + 'static) -> Self {
        self.store.push(Box::new(set));
        self
    }

    /// More settings of the console: mode, width, colours, slow spans. It starts with the limit for callsites that
    /// flood.
    ///
    /// ```
    /// use spanscope::console::SpanDisplay;
    /// let builder = spanscope::builder().console(|console| console.spans(SpanDisplay::Tree).rate_limit(None));
    /// # drop(builder);
    /// ```
    pub fn console(mut self, set: impl FnOnce(ConsoleLayerBuilder) -> ConsoleLayerBuilder + 'static) -> Self {
        self.console.push(Box::new(set));
        self
    }

    /// A file that gets the console's text without colour, whether the console is on or not. Default: none.
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.code.log_file = Some(path.into());
        self
    }

    /// More settings of the log file: mode, format, limit. They matter where a file is named, in code or elsewhere.
    ///
    /// ```
    /// use spanscope::console::SpanDisplay;
    /// let builder = spanscope::builder().log_file_with(|file| file.spans(SpanDisplay::Events).rate_limit(None));
    /// # drop(builder);
    /// ```
    pub fn log_file_with(
        mut self,
        set: impl FnOnce(LogFileLayerBuilder) -> LogFileLayerBuilder + 'static,
    ) -> Self {
        self.log_file.push(Box::new(set));
        self
    }

    /// What happens to a record when the store's queue is full. Default: [`OverflowPolicy::Drop`].
    pub fn on_overflow(self, on_overflow: OverflowPolicy) -> Self {
        self.sqlite(move |store| store.on_overflow(on_overflow))
    }

    /// How long dropping the guard waits for the last records of all sinks together, up to half a second more for counting
    /// what they left. A sink whose own timeout is set to less gets less. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`].
    ///
    /// [`DEFAULT_SHUTDOWN_TIMEOUT`]: crate::DEFAULT_SHUTDOWN_TIMEOUT
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.ends.shutdown_timeout = timeout;
        self
    }

    /// How long `std::process::exit`, a return from `main` with a leaked guard, and `abort` wait for the last records of all
    /// sinks together; what is left then is reported on stderr. With zero nothing of this waits, and what
    /// was not written is lost. Default: [`DEFAULT_EXIT_TIMEOUT`].
    ///
    /// `abort` waits on Unix alone. On Windows, `std::process::exit` ends all threads first, so that nothing can be written:
    /// drop the guard before.
    ///
    /// [`DEFAULT_EXIT_TIMEOUT`]: crate::DEFAULT_EXIT_TIMEOUT
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.ends.exit_timeout = timeout;
        self
    }

    /// Whether panics are recorded, as ERROR events of the target `panic` with `exception.type`, `exception.message`, the
    /// place, the thread, and, where `RUST_BACKTRACE` asks for one, the backtrace. Default: `true`.
    ///
    /// A hook does it, which [`try_init`](Self::try_init) puts in front of the one that is there. It has the console and the
    /// log file written before that one prints its message, so the lines are in the order of what happened. A hook that the
    /// program sets later, and that does not call the one that it replaces, has the panics alone.
    pub fn record_panics(mut self, does: bool) -> Self {
        self.ends.record_panics = does;
        self
    }

    /// Categories of the application's own, mapped targets, and which crates are the application's. Default:
    /// [`Categories::of_caller`] of whoever asked for the builder.
    pub fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    /// Levels by category for every sink, as `LLAMA_STACK_LOGGING` has them: `server=debug, core::routers=warn`. Called
    /// more than once, later pairs win. A bad pair is an error of `try_init`.
    pub fn levels(mut self, pairs: impl Into<String>) -> Self {
        self.code.levels.push(pairs.into());
        self
    }

    /// Levels by target on top of the categories, as `RUST_LOG` has them: `my_crate::db=debug`. A bad part is an error of
    /// `try_init`.
    pub fn directives(mut self, directives: impl Into<String>) -> Self {
        self.directives.push(directives.into());
        self
    }

    /// Levels by category for one sink, on top of those for all: `.sink_levels("console", "all=warn")`.
    ///
    /// # Errors
    /// A name that is none of [`LEVEL_SINKS`].
    pub fn sink_levels(mut self, sink: &str, pairs: impl Into<String>) -> Result<Self, InitError> {
        if !LEVEL_SINKS.contains(&sink) {
            return Err(unknown_sink("sink_levels", sink, &LEVEL_SINKS).into());
        }
        self.code.sink_levels.push((sink.to_owned(), pairs.into()));
        Ok(self)
    }

    /// Something else that takes measurements, beside the store: token counts and times of model calls, metric events,
    /// requests. `spanscope-server`'s `PrometheusSink` is one. May be called more than once. Default: the store alone.
    pub fn metric_sink(mut self, sink: impl MetricSink + 'static) -> Self {
        self.metric_sinks.push(Arc::new(sink));
        self
    }

    /// More settings of the sinks that send: where to, how, what of it. They matter where one of `otel_trace`, `otel_metric` and
    /// `otel_log` is among the [`sinks`](Self::sinks).
    ///
    /// ```
    /// let builder = spanscope::builder()
    ///     .sinks(&["console", "sqlite", "otel_trace"])?
    ///     .otlp(|otlp| otlp.endpoint("http://localhost:4318").header("authorization", "Bearer ..."));
    /// # drop(builder);
    /// # Ok::<(), spanscope::InitError>(())
    /// ```
    #[cfg(feature = "otlp")]
    pub fn otlp(
        mut self,
        set: impl FnOnce(spanscope_otlp::OtlpLayerBuilder) -> spanscope_otlp::OtlpLayerBuilder + 'static,
    ) -> Self {
        self.otlp.push(Box::new(set));
        self
    }

    /// Which traces the store keeps, and which are sent, once they are over: whole, with their events. Default: all.
    ///
    /// What it leaves out is counted in [`Guard::stats`] and shown by `spanscope stats`. The console shows everything all
    /// the same, because it can't take back a line; measurements count everything too.
    ///
    /// ```
    /// use spanscope::TailRule;
    /// // Errors, what takes longer than a second, and one of a hundred others.
    /// let builder = spanscope::builder().tail_sampling(TailRule::new().ratio(0.01));
    /// # drop(builder);
    /// ```
    pub fn tail_sampling(mut self, rule: TailRule) -> Self {
        self.tail = Some(rule);
        self
    }

    /// What happens on SIGTERM and SIGINT. Default: [`Signals::FlushAndEnd`].
    pub fn signals(mut self, signals: Signals) -> Self {
        self.ends.signals = signals;
        self
    }

    /// Opens the sinks and sets the global subscriber; records of the `log` crate come in too.
    ///
    /// # Errors
    /// See [`InitError`]. The program's telemetry is as it was then.
    pub fn try_init(self) -> Result<Guard, InitError> {
        self.start_strictly()
            .map_err(|kind| InitError::from(kind).reported_if_unseen())
    }

    fn start_strictly(mut self) -> Result<Guard, InitErrorKind> {
        if !self.problems.is_empty() {
            return Err(self.problems.swap_remove(0));
        }
        let (guard, problems) = self.start(true)?;
        debug_assert!(problems.is_empty(), "strict means that a problem is an error");
        Ok(guard)
    }

    /// The same, but goes on without what can't be done, and says what that is.
    ///
    /// # Errors
    /// The program has a global subscriber already.
    pub(crate) fn init_as_far_as_possible(mut self) -> Result<Guard, InitErrorKind> {
        let mut problems = std::mem::take(&mut self.problems);
        let (guard, more) = self.start(false)?;
        problems.extend(more);
        for problem in problems {
            guard.report(&problem.to_string());
        }
        Ok(guard)
    }

    fn start(self, strict: bool) -> Result<(Guard, Vec<InitErrorKind>), InitErrorKind> {
        let mut problems = Vec::new();
        let mut meet = |problem: InitErrorKind| {
            if strict {
                return Err(problem);
            }
            problems.push(problem);
            Ok(())
        };
        let file = match self.file.as_deref().map(Settings::from_file) {
            Some(Ok(settings)) => settings,
            Some(Err(problem)) => {
                meet(problem)?;
                Settings::default()
            }
            None => Settings::default(),
        };
        let reads_env = self.env.is_some();
        let env = self.env.unwrap_or_default();
        if env.is_disabled {
            // The specification: propagation between processes goes on.
            #[cfg(feature = "otlp")]
            for problem in crate::bridge::set_propagators(reads_env) {
                meet(problem)?;
            }
            return Ok((Guard::disabled(self.categories), problems));
        }
        let code = self.code;

        let categories = self.categories;
        let level_sources = LevelSources {
            file: &file,
            env: reads_env.then_some(&env),
            code: &code,
            directives: &self.directives,
            categories: &categories,
        };
        let (base, mut warnings, mut wrong) = level_sources.of_all();
        let mut own_filter = |sink: &str| {
            let own = level_sources.of_sink(sink)?;
            warnings.extend(own.warnings);
            wrong.extend(own.wrong);
            Some(CategoryFilter::new(categories.clone(), own.levels))
        };
        let own = LEVEL_SINKS.map(&mut own_filter);
        let is_asked = base != Levels::new() || own.iter().any(Option::is_some);
        let base = CategoryFilter::new(categories.clone(), base);
        // A sink's own filter may let through what the others don't, so the first filter then lets through what any of them
        // does, and every sink has one of its own.
        let has_own = own.iter().any(Option::is_some);
        let (global, own) = if has_own {
            let own = own.map(|filter| filter.unwrap_or_else(|| base.clone()));
            (CategoryFilter::any_of(own.to_vec()), own.map(Some))
        } else {
            (base, own)
        };
        let [
            console_filter,
            sqlite_filter,
            log_file_filter,
            trace_filter,
            event_filter,
        ] = own;
        if let Some(first) = wrong.into_iter().next() {
            meet(InitErrorKind::Levels(first))?;
        }
        let compiled_out = if is_asked {
            compiled_out(&global)
        } else {
            Vec::new()
        };

        let style = env.console.or(file.console).unwrap_or_default();
        let markup = env.markup.or(file.markup).unwrap_or(false);
        let sync = env.sync.or(file.sync).unwrap_or(false);
        let sinks = code.sinks.or(env.sinks).or(file.sinks);
        let has = |sink: &str| {
            let is_off = sink == "console" && style == ConsoleStyle::Off;
            !is_off
                && sinks.as_ref().map_or_else(
                    || DEFAULT_SINKS.contains(&sink),
                    |sinks| sinks.iter().any(|name| name == sink),
                )
        };
        let categories = Arc::new(categories);
        let max_value_len = code.max_value_len.or(env.max_value_len);

        let service_name = code.service_name.or(env.service_name).or(file.service_name);
        // The same on every sink, and never empty.
        let service_name = service_name.unwrap_or_else(|| program_name().to_owned());

        let sqlite = if has("sqlite") {
            let mut store = SqliteLayer::builder()
                .shutdown_timeout(self.ends.shutdown_timeout)
                .categories(Arc::clone(&categories))
                .service_name(service_name.clone());
            if let Some(bytes) = max_value_len {
                store = store.max_value_len(bytes);
            }
            if let Some(rule) = &self.tail {
                store = store.tail(rule.clone());
            }
            let store = self.store.into_iter().fold(store, |store, set| set(store));
            let path = code.db_path.or(env.db_path).or(file.db_path);
            let path = path.map_or_else(db_path, Ok);
            match path.and_then(|path| store.open(path).map_err(InitErrorKind::Store)) {
                Ok(opened) => Some(opened),
                Err(problem) => {
                    meet(problem)?;
                    None
                }
            }
        } else {
            None
        };
        let console = if has("console") {
            let mut console = ConsoleLayer::builder()
                .shutdown_timeout(self.ends.shutdown_timeout)
                .rate_limit(RateLimit::default())
                .style(style)
                .markup(markup)
                .synchronous(sync);
            if reads_env {
                console = console.terminal_env();
            }
            if let Some(bytes) = max_value_len {
                console = console.max_value_len(bytes);
            }
            let console = console.categories(Arc::clone(&categories));
            let console = self
                .console
                .into_iter()
                .fold(console, |console, set| set(console));
            match console.build() {
                Ok(built) => Some(built),
                Err(error) => {
                    meet(InitErrorKind::Thread(error))?;
                    None
                }
            }
        } else {
            None
        };
        let log_file = match code.log_file.or(env.log_file).or(file.log_file) {
            Some(path) => {
                let mut log_file = LogFileLayer::builder()
                    .shutdown_timeout(self.ends.shutdown_timeout)
                    .rate_limit(RateLimit::default())
                    .markup(markup)
                    .categories(Arc::clone(&categories));
                if let Some(bytes) = max_value_len {
                    log_file = log_file.max_value_len(bytes);
                }
                let log_file = self.log_file.into_iter().fold(log_file, |file, set| set(file));
                match log_file.open(path) {
                    Ok(opened) => Some(opened),
                    Err(error) => {
                        meet(InitErrorKind::Thread(error))?;
                        None
                    }
                }
            }
            None => None,
        };

        #[cfg(feature = "otlp")]
        let (otlp, propagators) = {
            let mut report_to = self.metric_sinks.clone();
            if let Some((store, _)) = &sqlite {
                report_to.push(Arc::new(store.metric_sink()));
            }
            let (builder, wrong) = crate::bridge::builder(crate::bridge::OtlpSettings {
                has: &has,
                reads_env,
                endpoint: file.otlp_endpoint,
                service_name,
                max_value_len,
                categories: Arc::clone(&categories),
                trace_filter,
                log_filter: event_filter,
                tail: self.tail.clone(),
                shutdown_timeout: self.ends.shutdown_timeout,
                report_to,
                stored_in: sqlite.as_ref().map(|(_, guard)| guard.store_name().to_owned()),
                set: self.otlp,
            });
            for problem in wrong {
                meet(problem)?;
            }
            let otlp = match builder.map(spanscope_otlp::OtlpLayerBuilder::build).transpose() {
                Ok(built) => built,
                Err(error) => {
                    meet(InitErrorKind::Otlp(error))?;
                    None
                }
            };
            let mut propagators = Vec::new();
            if otlp.is_none() {
                let (read, wrong) = crate::bridge::propagators(reads_env);
                propagators = read;
                for problem in wrong {
                    meet(problem)?;
                }
            }
            (otlp, propagators)
        };
        #[cfg(not(feature = "otlp"))]
        {
            let _ = (service_name, trace_filter, event_filter, file.otlp_endpoint);
            if let Some(sink) = ["otel_trace", "otel_metric", "otel_log"]
                .into_iter()
                .find(|sink| has(sink))
            {
                meet(InitErrorKind::Setting {
                    place: "sinks".into(),
                    input: sink.to_owned(),
                    accepted: "this program is built without it: give spanscope its feature otlp".to_owned(),
                })?;
            }
        }

        let (running, notices) = compose::install(Sinks {
            global,
            console,
            console_filter,
            sqlite,
            sqlite_filter,
            log_file,
            log_file_filter,
            #[cfg(feature = "otlp")]
            otlp,
            #[cfg(feature = "otlp")]
            propagators,
            metric_sinks: self.metric_sinks,
        })?;
        let guard = Guard::new(running, self.ends.shutdown_timeout);
        for warning in warnings {
            guard.report(&warning.to_string());
        }
        for notice in notices.into_iter().chain(compiled_out) {
            guard.report(&notice);
        }
        for problem in guard
            .running()
            .into_iter()
            .flat_map(|running| ends::watch(self.ends, running))
        {
            guard.report(&problem);
        }
        Ok((guard, problems))
    }
}

/// Reports levels that are asked for and that the program was built without.
fn compiled_out(filter: &CategoryFilter) -> Vec<String> {
    let asked = Filter::<Registry>::max_level_hint(filter).unwrap_or(LevelFilter::TRACE);
    let say = |what: &str, of: &str, left: LevelFilter| {
        (asked > left).then(|| {
            format!(
                "the levels ask for {asked}, but this program was built without {what} beyond {left}: remove the feature \
                 `max_level_...` or `release_max_level_...` of the crate `{of}`, or ask for {left}"
            )
        })
    };
    let log = match log::STATIC_MAX_LEVEL {
        log::LevelFilter::Off => LevelFilter::OFF,
        log::LevelFilter::Error => LevelFilter::ERROR,
        log::LevelFilter::Warn => LevelFilter::WARN,
        log::LevelFilter::Info => LevelFilter::INFO,
        log::LevelFilter::Debug => LevelFilter::DEBUG,
        log::LevelFilter::Trace => LevelFilter::TRACE,
    };
    [
        say("spans and events", "tracing", STATIC_MAX_LEVEL),
        say("records of the `log` crate", "log", log),
    ]
    .into_iter()
    .flatten()
    .collect()
}
