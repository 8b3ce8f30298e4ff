//! The builder, which sets in code what the environment and the configuration file can set. Code
//! has priority over the environment, and the environment over the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "sqlite")]
use spanscope_core::queue::OverflowPolicy;
use spanscope_core::tail::TailRule;
use spanscope_core::{ProcessResource, program_name};
use spanscope_layers::console::ConsoleStyle;
#[cfg(feature = "console")]
use spanscope_layers::console::{ConsoleLayerBuilder, LogFileLayerBuilder, RateLimit};
use spanscope_layers::metrics::MetricSink;
use spanscope_layers::{Categories, CategoryFilter, Levels};
#[cfg(feature = "console")]
use spanscope_layers::{ConsoleLayer, LogFileLayer};
#[cfg(feature = "sqlite")]
use spanscope_sqlite::{SqliteLayer, SqliteLayerBuilder};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Filter;

use crate::compose::{self, Sinks};
#[cfg(feature = "sqlite")]
use crate::paths::db_path;
use crate::paths::path_variable;
use crate::process_end::{self, EndSettings};
use crate::settings::{LevelSources, Settings};
use crate::sinks::{DEFAULT_SINKS, LEVEL_SINKS, SINKS, missing_feature, unknown_sink, without_feature};
use crate::{Guard, InitError, InitErrorKind, Signals};

/// The variable with the path of a configuration file.
pub const CONFIG_VARIABLE: &str = "SPANSCOPE_CONFIG";

#[cfg(feature = "sqlite")]
type SetStore = Box<dyn FnOnce(SqliteLayerBuilder) -> SqliteLayerBuilder>;
#[cfg(feature = "console")]
type SetConsole = Box<dyn FnOnce(ConsoleLayerBuilder) -> ConsoleLayerBuilder>;
#[cfg(feature = "console")]
type SetLogFile = Box<dyn FnOnce(LogFileLayerBuilder) -> LogFileLayerBuilder>;

/// A builder of the whole program's telemetry. Start with [`builder`] or [`Builder::from_env`].
#[must_use = "a builder does nothing until `try_init`"]
pub struct Builder {
    code: Settings,
    env: Option<Settings>,
    file: Option<PathBuf>,
    problems: Vec<InitErrorKind>,
    categories: Categories,
    directives: Vec<String>,
    #[cfg(feature = "sqlite")]
    store: Vec<SetStore>,
    #[cfg(feature = "console")]
    console: Vec<SetConsole>,
    #[cfg(feature = "console")]
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

/// Returns a builder with the default settings, independent of the environment: the sinks `console`
/// and `sqlite`, the latter at [`default_db_path`](crate::default_db_path), every category at INFO,
/// other crates at WARN. The package of the calling line counts as the application.
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
        #[cfg(feature = "sqlite")]
        store: Vec::new(),
        #[cfg(feature = "console")]
        console: Vec::new(),
        #[cfg(feature = "console")]
        log_file: Vec::new(),
        metric_sinks: Vec::new(),
        #[cfg(feature = "otlp")]
        otlp: Vec::new(),
        tail: None,
        ends: EndSettings::default(),
    }
}

impl Builder {
    /// Creates a builder with the settings of the environment, as [`init`](crate::init) lists them,
    /// and of the file that it names. An invalid value counts as not set: [`init`](Self::init)
    /// reports it, and [`try_init`](Self::try_init) returns it as an error.
    #[track_caller]
    pub fn from_env() -> Self {
        let mut builder = builder();
        let (settings, problems) = Settings::from_env();
        builder.env = Some(settings);
        builder.problems = problems;
        builder.file = path_variable(CONFIG_VARIABLE);
        builder
    }

    /// Creates a builder as [`from_env`](Self::from_env) does, if all values in the environment are
    /// valid.
    ///
    /// # Errors
    /// A variable has a value that is not accepted. Levels are never an error: malformed parts are
    /// reported, and the others apply.
    #[track_caller]
    pub fn try_from_env() -> Result<Self, InitError> {
        let mut builder = Self::from_env();
        if builder.problems.is_empty() {
            Ok(builder)
        } else {
            Err(builder.problems.swap_remove(0).into())
        }
    }

    /// Sets a YAML settings file, with the blocks `telemetry` (`service_name`, `sinks`,
    /// `sqlite_db_path`) and `logging_config` (`category_levels`, `log_file`, and under `sinks` the
    /// `category_levels` of a sink); Llama Stack's run.yaml works unchanged. `${env.NAME:=default}`
    /// is replaced in these blocks. Default: the file in `SPANSCOPE_CONFIG`, with
    /// [`from_env`](Self::from_env); else none.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Sets the sinks by their names in [`SINKS`]. Default: [`DEFAULT_SINKS`]. An empty list turns
    /// all off.
    ///
    /// # Errors
    /// Fails for a name that is not in [`SINKS`].
    pub fn sinks(mut self, names: &[&str]) -> Result<Self, InitError> {
        if let Some(unknown) = names.iter().find(|name| !SINKS.contains(name)) {
            return Err(unknown_sink("sinks", unknown, &SINKS).into());
        }
        self.code.sinks = Some(names.iter().map(ToString::to_string).collect());
        Ok(self)
    }

    /// Sets the service name of spans. Default: the program's name.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.code.service_name = Some(name.into());
        self
    }

    /// Sets an attribute of the resource, which describes this process in the store and to
    /// collectors, such as `service.version`. Default: the detected attributes of host and process;
    /// `OTEL_RESOURCE_ATTRIBUTES` adds to them.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.code.resource.push((key.into(), value.into()));
        self
    }

    /// Sets the span store's file. Default: [`default_db_path`](crate::default_db_path).
    #[cfg(feature = "sqlite")]
    pub fn sqlite_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.code.db_path = Some(path.into());
        self
    }

    /// Sets further options of the span store: retention, size, queue.
    ///
    /// ```
    /// let builder = spanscope::builder().sqlite(|store| store.max_bytes(64 << 20));
    /// # drop(builder);
    /// ```
    #[cfg(feature = "sqlite")]
    pub fn sqlite(mut self, set: impl FnOnce(SqliteLayerBuilder) -> SqliteLayerBuilder + 'static) -> Self {
        self.store.push(Box::new(set));
        self
    }

    /// Sets further options of the console: mode, width, colours, slow spans. The rate limit per
    /// callsite is on by default.
    ///
    /// ```
    /// use spanscope::console::SpanDisplay;
    /// let builder = spanscope::builder().console(|console| console.spans(SpanDisplay::Tree).rate_limit(None));
    /// # drop(builder);
    /// ```
    #[cfg(feature = "console")]
    pub fn console(mut self, set: impl FnOnce(ConsoleLayerBuilder) -> ConsoleLayerBuilder + 'static) -> Self {
        self.console.push(Box::new(set));
        self
    }

    /// Sets a file that gets the console's text without colour, independent of the console.
    /// Default: none.
    #[cfg(feature = "console")]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.code.log_file = Some(path.into());
        self
    }

    /// Sets further options of the log file: mode, format, rate limit. They have an effect if a
    /// file is named, in code or elsewhere.
    ///
    /// ```
    /// use spanscope::console::SpanDisplay;
    /// let builder = spanscope::builder().log_file_with(|file| file.spans(SpanDisplay::Events).rate_limit(None));
    /// # drop(builder);
    /// ```
    #[cfg(feature = "console")]
    pub fn log_file_with(
        mut self,
        set: impl FnOnce(LogFileLayerBuilder) -> LogFileLayerBuilder + 'static,
    ) -> Self {
        self.log_file.push(Box::new(set));
        self
    }

    /// Sets what happens to a record when the store's queue is full. Default:
    /// [`OverflowPolicy::Drop`].
    #[cfg(feature = "sqlite")]
    pub fn on_overflow(self, on_overflow: OverflowPolicy) -> Self {
        self.sqlite(move |store| store.on_overflow(on_overflow))
    }

    /// Sets how long dropping the guard waits for the last records of all sinks together, plus at
    /// most half a second for counting the rest. A sink with a shorter timeout gets
    /// less. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`].
    ///
    /// [`DEFAULT_SHUTDOWN_TIMEOUT`]: crate::DEFAULT_SHUTDOWN_TIMEOUT
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.ends.shutdown_timeout = timeout;
        self
    }

    /// Sets how long `std::process::exit`, a return from `main` with a leaked guard, and `abort`
    /// wait for the last records of all sinks together; the rest is reported on stderr. With zero
    /// none of them waits, and what was not written is lost. Default: [`DEFAULT_EXIT_TIMEOUT`].
    ///
    /// `abort` waits on Unix only. On Windows, `std::process::exit` ends all threads first, so that
    /// nothing can be written: drop the guard before.
    ///
    /// [`DEFAULT_EXIT_TIMEOUT`]: crate::DEFAULT_EXIT_TIMEOUT
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.ends.exit_timeout = timeout;
        self
    }

    /// Sets whether panics are recorded, as ERROR events of the target `panic` with
    /// `exception.type`, `exception.message`, the location, the thread, and, if `RUST_BACKTRACE`
    /// enables it, the backtrace. Default: `true`.
    ///
    /// A hook records them, which [`try_init`](Self::try_init) installs in front of the existing
    /// one. It writes the console and the log file before that one prints its message, so the lines
    /// are in the order of events. A hook that the program sets later without calling the previous
    /// one replaces it.
    pub fn record_panics(mut self, enabled: bool) -> Self {
        self.ends.record_panics = enabled;
        self
    }

    /// Sets the application's own categories, mapped targets, and crates. Default:
    /// [`Categories::of_caller`] of the code that created the builder.
    pub fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    /// Sets levels by category for every sink, in the syntax of `LLAMA_STACK_LOGGING`:
    /// `server=debug, core::routers=warn`. Of several calls, later pairs have priority. An invalid
    /// pair is an error of `try_init`.
    pub fn levels(mut self, pairs: impl Into<String>) -> Self {
        self.code.levels.push(pairs.into());
        self
    }

    /// Sets levels by target on top of the categories, in the syntax of `RUST_LOG`:
    /// `my_crate::db=debug`. An invalid part is an error of `try_init`.
    pub fn directives(mut self, directives: impl Into<String>) -> Self {
        self.directives.push(directives.into());
        self
    }

    /// Sets levels by category for one sink, on top of those for all: `.sink_levels("console",
    /// "all=warn")`.
    ///
    /// # Errors
    /// Fails for a name that is not in [`LEVEL_SINKS`].
    pub fn sink_levels(mut self, sink: &str, pairs: impl Into<String>) -> Result<Self, InitError> {
        if !LEVEL_SINKS.contains(&sink) {
            return Err(unknown_sink("sink_levels", sink, &LEVEL_SINKS).into());
        }
        self.code.sink_levels.push((sink.to_owned(), pairs.into()));
        Ok(self)
    }

    /// Adds a receiver of measurements in addition to the store: token counts and times of model
    /// calls, metric events, requests. `spanscope-server`'s `PrometheusSink` is one. May be called
    /// more than once. Default: the store alone.
    pub fn metric_sink(mut self, sink: impl MetricSink + 'static) -> Self {
        self.metric_sinks.push(Arc::new(sink));
        self
    }

    /// Sets further options of the OTLP sinks: where, how and what they send. They have an effect
    /// if one of `otel_trace`, `otel_metric` and `otel_log` is among the [`sinks`](Self::sinks).
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

    /// Sets which traces the store keeps, and which are exported, once they are over: complete,
    /// with their events. Default: all.
    ///
    /// Dropped traces are counted in [`Guard::stats`] and shown by `spanscope stats`. The console
    /// still shows all spans, because it can't remove a line; metrics include all spans too.
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

    /// Sets what happens on SIGTERM and SIGINT. Default: [`Signals::FlushAndEnd`].
    pub fn signals(mut self, signals: Signals) -> Self {
        self.ends.signals = signals;
        self
    }

    /// Opens the sinks and sets the global subscriber; records of the `log` crate are captured too.
    /// Never fails: what can't be set up is reported on the console, and the program continues
    /// without it.
    pub fn init(self) -> Guard {
        match self.init_as_far_as_possible() {
            Ok(guard) => guard,
            Err(error) => {
                spanscope_core::queue::log_to_stderr(format!("spanscope: no telemetry: {error}"));
                Guard::empty()
            }
        }
    }

    /// Opens the sinks and sets the global subscriber; records of the `log` crate are captured too.
    ///
    /// # Errors
    /// See [`InitError`]. The program's telemetry is then unchanged.
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

    /// Sets up as much as possible, and reports what failed.
    ///
    /// # Errors
    /// Fails if the program already has a global subscriber.
    fn init_as_far_as_possible(mut self) -> Result<Guard, InitErrorKind> {
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
        let mut note_problem = |problem: InitErrorKind| {
            if strict {
                return Err(problem);
            }
            problems.push(problem);
            Ok(())
        };
        let file = match self.file.as_deref().map(Settings::from_file) {
            Some(Ok(settings)) => settings,
            Some(Err(problem)) => {
                note_problem(problem)?;
                Settings::default()
            }
            None => Settings::default(),
        };
        let reads_env = self.env.is_some();
        let env = self.env.unwrap_or_default();
        if env.is_disabled {
            // OpenTelemetry's specification: propagation between processes continues.
            #[cfg(feature = "otlp")]
            for problem in crate::bridge::set_propagators(reads_env) {
                note_problem(problem)?;
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
        let sets_levels = base != Levels::new() || own.iter().any(Option::is_some);
        let base = CategoryFilter::new(categories.clone(), base);
        // A sink's own filter may pass what the others don't, so the first filter then passes what
        // any of them does, and every sink has its own.
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
            note_problem(InitErrorKind::Levels(first))?;
        }
        let compiled_out = if sets_levels {
            compiled_out(&global)
        } else {
            Vec::new()
        };

        let style = env.console.or(file.console).unwrap_or_default();
        let sinks = code.sinks.or(env.sinks).or(file.sinks);
        let has = |sink: &str| {
            let is_off = sink == "console" && style == ConsoleStyle::Off;
            !is_off
                && sinks.as_ref().map_or_else(
                    || DEFAULT_SINKS.contains(&sink) && missing_feature(sink).is_none(),
                    |sinks| sinks.iter().any(|name| name == sink),
                )
        };
        let missing = SINKS.iter().filter(|sink| has(sink));
        for (sink, feature) in missing.filter_map(|sink| Some((*sink, missing_feature(sink)?))) {
            note_problem(without_feature("sinks", sink, feature))?;
        }
        let categories = Arc::new(categories);
        let max_value_len = code.max_value_len.or(env.max_value_len);

        let mut resource = ProcessResource::default();
        for (key, value) in env.resource.iter().chain(&code.resource) {
            resource.set(key, value);
        }
        let service_name = code.service_name.or(env.service_name).or_else(|| {
            // Among the attributes.
            resource.service_name().map(str::to_owned)
        });
        let service_name = service_name.or(file.service_name);
        // The same for every sink, and never empty.
        let service_name = service_name.unwrap_or_else(|| program_name().to_owned());

        #[cfg(feature = "sqlite")]
        let sqlite = if has("sqlite") {
            let mut store = SqliteLayer::builder()
                .shutdown_timeout(self.ends.shutdown_timeout)
                .categories(Arc::clone(&categories))
                .service_name(service_name.clone())
                .resource(resource);
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
                    note_problem(problem)?;
                    None
                }
            }
        } else {
            None
        };
        #[cfg(not(feature = "sqlite"))]
        let sqlite = None;
        #[cfg(feature = "console")]
        let markup = env.markup.or(file.markup).unwrap_or(false);
        #[cfg(feature = "console")]
        let console = if has("console") {
            let sync = env.sync.or(file.sync).unwrap_or(false);
            let mut console = ConsoleLayer::builder()
                .shutdown_timeout(self.ends.shutdown_timeout)
                .rate_limit(RateLimit::default())
                .style(style)
                .markup(markup)
                .synchronous(sync);
            if let Some(env) = env.console_env {
                console = console.env(env);
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
                    note_problem(InitErrorKind::Thread(error))?;
                    None
                }
            }
        } else {
            None
        };
        #[cfg(feature = "console")]
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
                        note_problem(InitErrorKind::Thread(error))?;
                        None
                    }
                }
            }
            None => None,
        };
        #[cfg(not(feature = "console"))]
        let (console, log_file) = (None, None);
        #[cfg(not(feature = "console"))]
        if let Some(path) = file.log_file {
            let path = path.to_string_lossy();
            note_problem(without_feature("logging_config.log_file", path, "console"))?;
        }
        // Unused if the sinks that need them are not built in.
        let _ = (&categories, max_value_len);

        #[cfg(feature = "otlp")]
        let (otlp, propagators) = {
            let report_to = self.metric_sinks.clone();
            #[cfg(feature = "sqlite")]
            let report_to = {
                let of_store = sqlite.as_ref().map(|(store, _)| store.metric_sink());
                let of_store = of_store.map(|sink| Arc::new(sink) as Arc<dyn MetricSink>);
                report_to.into_iter().chain(of_store).collect()
            };
            #[cfg(feature = "sqlite")]
            let stored_in = sqlite.as_ref().map(|(_, guard)| guard.store_name().to_owned());
            #[cfg(not(feature = "sqlite"))]
            let stored_in = None;
            let (builder, wrong) = crate::bridge::builder(crate::bridge::OtlpSettings {
                has: &has,
                reads_env,
                endpoint: file.otlp_endpoint,
                service_name,
                resource: code.resource,
                max_value_len,
                categories: Arc::clone(&categories),
                trace_filter,
                log_filter: event_filter,
                tail: self.tail.clone(),
                shutdown_timeout: self.ends.shutdown_timeout,
                report_to,
                stored_in,
                set: self.otlp,
            });
            for problem in wrong {
                note_problem(problem)?;
            }
            let otlp = match builder.map(spanscope_otlp::OtlpLayerBuilder::build).transpose() {
                Ok(built) => built,
                Err(error) => {
                    note_problem(InitErrorKind::Otlp(error))?;
                    None
                }
            };
            let mut propagators = Vec::new();
            if otlp.is_none() {
                let (read, wrong) = crate::bridge::propagators(reads_env);
                propagators = read;
                for problem in wrong {
                    note_problem(problem)?;
                }
            }
            (otlp, propagators)
        };
        #[cfg(not(feature = "otlp"))]
        {
            let _ = (service_name, trace_filter, event_filter, file.otlp_endpoint);
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
            .flat_map(|running| process_end::watch(self.ends, running))
        {
            guard.report(&problem);
        }
        Ok((guard, problems))
    }
}

/// Reports levels that are configured but that the program was built without.
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
