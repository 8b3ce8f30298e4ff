//! The settings of a bridge, in code.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry::metrics::MeterProvider as _;
use spanscope_core::capture::{CallsiteCache, Capture, DEFAULT_MAX_VALUE_LEN, Decoder};
use spanscope_core::metrics::MetricSink;
use spanscope_core::queue::{MAX_TIMEOUT, OverflowPolicy, Queue, WorkerHandle, log_to_stderr};
use spanscope_core::tail::TailRule;
use spanscope_layers::{Categories, CategoryFilter};
use tracing_core::Subscriber;
use tracing_subscriber::registry::LookupSpan;

use crate::account::Account;
use crate::error::OtlpError;
use crate::guard::OtlpGuard;
use crate::layer::{OtlpLayer, SignalFilters};
use crate::metrics::{Instruments, OtlpMetricSink, Reporter};
use crate::outlets::Outlets;
use crate::pipeline::Pipelines;
use crate::resource::resource;
use crate::settings::{
    Compression, ContentPolicy, Headers, Limits, Located, Propagator, Protocol, Sampler, SettingError,
    Settings, Signal, Temporality, read,
};
use crate::shared::Queues;
use crate::tail::Tail;
use crate::tracer::BridgeTracer;
use crate::worker::{Marks, Worker};

/// Maximum size in bytes of the records that wait for their conversion to OTLP, of spans and of
/// events each. They wait for about a fifth of a second.
pub const DEFAULT_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Maximum length of a queue, even if a larger one is configured.
const MAX_QUEUE_SIZE: usize = 10_000_000;
/// How long dropping the guard waits until the queued records are sent.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of an [`OtlpLayer`]. Every setter names its default; otherwise the defaults are
/// those of OpenTelemetry's specification.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct OtlpLayerBuilder {
    settings: Settings,
    queue_bytes: usize,
    counts_tokens: bool,
    max_value_len: usize,
    shutdown_timeout: Duration,
    categories: Arc<Categories>,
    report_to: Vec<Arc<dyn MetricSink>>,
    filters: SignalFilters,
    tail: Option<TailRule>,
    wrong: Option<SettingError>,
    /// Invalid variables that were not reported yet.
    problems: Vec<SettingError>,
}

impl std::fmt::Debug for OtlpLayerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpLayerBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl OtlpLayerBuilder {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            queue_bytes: DEFAULT_QUEUE_BYTES,
            counts_tokens: false,
            max_value_len: DEFAULT_MAX_VALUE_LEN,
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            categories: Arc::new(Categories::of_caller()),
            report_to: Vec::new(),
            filters: SignalFilters::default(),
            tail: None,
            wrong: None,
            problems: Vec::new(),
        }
    }

    /// Creates settings from the environment, on top of the defaults: the variables of
    /// [`VARIABLES`](crate::VARIABLES). An invalid value changes nothing, and
    /// [`build`](Self::build) reports it on stderr.
    #[track_caller]
    pub fn from_env() -> Self {
        let (mut builder, problems) = Self::new().env_from(&process_variable);
        builder.problems = problems;
        builder
    }

    /// Creates settings from the environment, on top of the defaults: the variables of
    /// [`VARIABLES`](crate::VARIABLES).
    ///
    /// # Errors
    /// Fails if a variable has a value that is not accepted.
    #[track_caller]
    pub fn try_from_env() -> Result<Self, SettingError> {
        let (builder, problems) = Self::new().env_from(&process_variable);
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(builder),
        }
    }

    /// Applies the variables that `get` returns on top of the current settings. Returns those that
    /// are not accepted, which change nothing. For variables that are not in the process's
    /// environment.
    pub fn env_from(mut self, get: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<SettingError>) {
        let problems = read(&mut self.settings, get);
        (self, problems)
    }

    /// Sets whether a signal is sent. Default: all are.
    pub fn send(mut self, signal: Signal, is_on: bool) -> Self {
        self.settings.is_on[signal.index()] = is_on;
        self
    }

    /// Returns whether a signal is sent with the current settings.
    #[must_use]
    pub fn sends(&self, signal: Signal) -> bool {
        self.settings.is_on[signal.index()]
    }

    /// Sets the endpoint of all signals; over HTTP each appends its path. Default:
    /// `http://localhost:4318`, for gRPC `http://localhost:4317`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.code.endpoint = Some(Located {
            place: "endpoint".to_owned(),
            text: url.into(),
        });
        self
    }

    /// Sets an endpoint from a configuration file, and the name of its position for messages: an
    /// endpoint in the environment has priority.
    pub fn endpoint_from_config(mut self, place: impl Into<String>, url: impl Into<String>) -> Self {
        self.settings.all.endpoint = Some(Located {
            place: place.into(),
            text: url.into(),
        });
        self
    }

    /// Sets the endpoint of one signal, unchanged. Default: that of all signals.
    pub fn endpoint_of(mut self, signal: Signal, url: impl Into<String>) -> Self {
        self.settings.code_own[signal.index()].endpoint = Some(Located {
            place: "endpoint_of".to_owned(),
            text: url.into(),
        });
        self
    }

    /// Sets the protocol. Default: [`Protocol::HttpProtobuf`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.code.protocol = Some(protocol);
        self
    }

    /// Adds a header to requests, such as `authorization`. Its value is never printed. Default:
    /// none. One that HTTP can't carry is an error of [`build`](Self::build).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let headers = self.settings.code.headers.get_or_insert_with(Headers::default);
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.0.retain(|(known, _)| *known != name);
                headers.0.push((name, value));
            }
            (name, _) => {
                self.wrong = Some(SettingError {
                    place: "header".to_owned(),
                    input: name.map_or_else(|_| "…".to_owned(), |name| format!("{name}: …")),
                    accepted: "this is not a valid HTTP header".to_owned(),
                });
            }
        }
        self
    }

    /// Sets how long one request may take. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.code.timeout = Some(timeout);
        self
    }

    /// Sets the compression of requests. Default: [`Compression::None`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.code.compression = Some(compression);
        self
    }

    /// Sets a PEM file with the certificate authorities to trust. Default: the system's.
    pub fn certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.code.certificate = Some(("certificate".to_owned(), file.into()));
        self
    }

    /// Sets PEM files with the program's own certificate and its key. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let place = || "client_certificate".to_owned();
        self.settings.code.client_certificate = Some((place(), certificate.into()));
        self.settings.code.client_key = Some((place(), key.into()));
        self
    }

    /// Sets the service name. Default: the program's name.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.settings.service_name = Some(name.into());
        self
    }

    /// Sets an attribute of the resource, such as `deployment.environment.name`. Default: the
    /// detected attributes of host and process.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.resource.push((key.into(), value.into()));
        self
    }

    /// Sets whether the resource contains detected attributes of host and process. Default: yes.
    pub fn detect_resource(mut self, detect: bool) -> Self {
        self.settings.detects_resource = detect;
        self
    }

    /// Sets which traces are sent. Default: [`Sampler::ParentBasedAlwaysOn`].
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = sampler;
        self
    }

    /// Sets how much of content is exported, in spans and in log records. Default:
    /// [`ContentPolicy::None`].
    pub fn content(mut self, policy: ContentPolicy) -> Self {
        self.settings.span_content = policy;
        self.settings.log_content = policy;
        self
    }

    /// Sets limits of exported records. Default: OpenTelemetry's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how long spans and log records wait for a batch. Default: 5 s and 1 s.
    pub fn schedule_delay(mut self, delay: Duration) -> Self {
        self.settings.spans.delay = delay;
        self.settings.logs.delay = delay;
        self
    }

    /// Sets the maximum number of spans, and of log records, that wait to be sent. Default:
    /// [`DEFAULT_MAX_QUEUE_SIZE`](crate::DEFAULT_MAX_QUEUE_SIZE).
    pub fn max_queue_size(mut self, records: usize) -> Self {
        self.settings.spans.max_queue_size = records.max(1);
        self.settings.logs.max_queue_size = records.max(1);
        self
    }

    /// Sets the maximum number of spans or log records in one request. Default: 512.
    pub fn max_batch_size(mut self, records: usize) -> Self {
        self.settings.spans.max_batch_size = records.max(1);
        self.settings.logs.max_batch_size = records.max(1);
        self
    }

    /// Sets how long a batch is retried before it is lost. Default:
    /// [`DEFAULT_EXPORT_TIMEOUT`](crate::DEFAULT_EXPORT_TIMEOUT).
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.settings.spans.export_timeout = timeout;
        self.settings.logs.export_timeout = timeout;
        self
    }

    /// Sets the interval of exports of metrics. Default: 60 s.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.settings.metric_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets whether sums count from the start or since the last export. Default:
    /// [`Temporality::Cumulative`].
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.settings.temporality = temporality;
        self
    }

    /// Sets the maximum size in bytes of the records that wait for their conversion to OTLP.
    /// Default: [`DEFAULT_QUEUE_BYTES`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets the maximum length of a value in bytes; longer ones are truncated. Default:
    /// [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = bytes;
        self
    }

    /// Sets how long dropping the guard waits. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`]. It does not
    /// wait for an unreachable collector.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets the name of the store that the program writes itself
    /// ([`SqliteGuard::store_name`](https://docs.rs/spanscope-sqlite)): a `spanscope serve` of that
    /// file then stores nothing twice, and other receivers ignore it. Default: none.
    pub fn stored_in(mut self, store_name: &str) -> Self {
        // An invalid name belongs to no store.
        self.settings.stored_in = HeaderValue::try_from(store_name).ok();
        self
    }

    /// Sets whether each scope declares that the token counters of model calls are among the
    /// exported metrics, so that receivers don't count them from the spans again. Without metrics
    /// it has no effect. Default: `false`; `spanscope::init()` sets it.
    pub fn counts_tokens(mut self, counts: bool) -> Self {
        self.counts_tokens = counts;
        self
    }

    /// Sets the categories of targets. Default: [`Categories::of_caller`] of the code that created
    /// the builder.
    pub fn categories(mut self, categories: impl Into<Arc<Categories>>) -> Self {
        self.categories = categories.into();
        self
    }

    /// Sets which traces are exported once they are over: complete, those with errors, slow ones,
    /// and a share of the others. Log records are always exported. Dropped records count as
    /// [`DropCounts::sampled`](crate::DropCounts::sampled). Default: all traces.
    pub fn tail(mut self, rule: TailRule) -> Self {
        self.tail = Some(rule);
        self
    }

    /// Sets which spans, with their events, are exported. Default: all that reach the layer. Use it
    /// in place of `.with_filter`, for a filter of one signal: spans that it hides still propagate
    /// the trace. A request from within a hidden span names that span as its parent, which the
    /// collector then lacks.
    pub fn span_filter(mut self, filter: CategoryFilter) -> Self {
        self.filters.spans = Some(filter);
        self
    }

    /// Sets which events are sent as log records. Default: all that reach the layer.
    pub fn log_filter(mut self, filter: CategoryFilter) -> Self {
        self.filters.logs = Some(filter);
        self
    }

    /// Sets a sink for the bridge's own statistics, as the metrics `spanscope.otlp.exported`,
    /// `spanscope.otlp.lost` (by `cause`) and `spanscope.otlp.retries`, all by `signal`; every ten
    /// seconds. The collector always gets them if metrics are exported. Default: none.
    pub fn statistics_sink(mut self, sink: Arc<dyn MetricSink>) -> Self {
        self.report_to.push(sink);
        self
    }

    /// Returns the propagators, for [`propagation::set_global`](crate::propagation::set_global).
    #[must_use]
    pub fn propagators(&self) -> &[Propagator] {
        &self.settings.propagators
    }

    /// Starts the threads. It does not connect: an unreachable collector is reported when there is
    /// something to send.
    ///
    /// # Errors
    /// Fails if a setting is not accepted, or a thread can't be started.
    pub fn build<S>(self) -> Result<(OtlpLayer<S>, OtlpGuard), OtlpError>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(wrong) = self.wrong {
            return Err(OtlpError::setting(wrong));
        }
        for problem in &self.problems {
            log_to_stderr(format!("spanscope: {problem}"));
        }
        let mut settings = self.settings;
        for batch in [&mut settings.spans, &mut settings.logs] {
            batch.delay = batch.delay.clamp(Duration::from_millis(1), MAX_TIMEOUT);
            batch.export_timeout = batch.export_timeout.min(MAX_TIMEOUT);
            batch.max_queue_size = batch.max_queue_size.min(MAX_QUEUE_SIZE);
        }
        settings.metric_interval = settings
            .metric_interval
            .clamp(Duration::from_millis(1), MAX_TIMEOUT);
        settings.metric_timeout = settings.metric_timeout.min(MAX_TIMEOUT);
        for notice in std::mem::take(&mut settings.notices) {
            log_to_stderr(format!("spanscope: {notice}"));
        }
        let resource = resource(&settings);
        let accounts = Signal::ALL.map(|signal| Arc::new(Account::new(signal)));
        let pipelines = Pipelines {
            settings: &settings,
            accounts: &accounts,
            max_value_len: self.max_value_len,
        };
        let spans = pipelines.spans(&resource)?;
        let logs = pipelines.logs(&resource)?;
        let metrics = pipelines.metrics(resource)?;

        let queue = || Queue::new(self.queue_bytes, OverflowPolicy::Drop);
        let measurements = metrics.is_some().then(queue);
        let (sends_logs, filters_are_open) = (logs.is_some(), self.filters.are_open());
        let queues = Arc::new(Queues::new(
            queue(),
            queue(),
            (sends_logs && !filters_are_open).then(queue),
            measurements.clone(),
            spans.is_some(),
            sends_logs,
            self.tail.is_some() && spans.is_some(),
        ));
        let metric_sink = OtlpMetricSink::new(measurements);
        let instruments = metrics
            .as_ref()
            .map(|outlet| Instruments::new(outlet.provider.meter("spanscope")));
        let mut report_to = self.report_to;
        if metrics.is_some() {
            report_to.push(Arc::new(metric_sink.clone()));
        }
        let meter_provider = metrics.as_ref().map(|outlet| outlet.provider.clone());
        let tail_rule = self.tail;
        let tail_stats = Arc::default();
        let has_tail = tail_rule.is_some();
        let control = Arc::new(WorkerHandle::default());
        let capture = Arc::new(Capture::new(self.max_value_len));
        Worker {
            marks: Marks {
                counts_tokens: self.counts_tokens && metrics.is_some(),
                // With filters, the events of spans and the log records may differ.
                logs_events: sends_logs && filters_are_open,
            },
            queues: Arc::clone(&queues),
            control: Arc::clone(&control),
            outlets: Arc::new(Outlets { spans, logs, metrics }),
            callsites: CallsiteCache::new(self.categories),
            decoder: Decoder::default(),
            exceptions_are_logs: settings.exceptions_are_logs,
            instruments,
            reporter: Reporter::new(report_to),
            accounts: accounts.clone(),
            capture: Arc::clone(&capture),
            tail: tail_rule.map(|rule| Tail::new(rule, Arc::clone(&tail_stats))),
        }
        .spawn()
        .map_err(OtlpError::thread)?;
        // OpenTelemetry's processors have threads that a child of a fork lacks, and can't be
        // restarted.
        let not_in_children = |_: &Queue, _: &Arc<WorkerHandle>| {
            Err(
                "the threads that send belong to the parent process; fork before the bridge is built"
                    .to_owned(),
            )
        };
        queues
            .main()
            .on_fork("the OTLP bridge", Arc::new(not_in_children));
        let tracer = BridgeTracer {
            capture: Arc::clone(&capture),
            sampler: settings.sampler.build(),
        };
        crate::propagation::install();
        let layer = OtlpLayer::new(capture, Arc::clone(&queues), tracer, metric_sink, self.filters);
        let guard = OtlpGuard::new(
            queues,
            control,
            accounts,
            self.shutdown_timeout,
            settings.propagators,
            meter_provider,
            has_tail.then_some(tail_stats),
        );
        Ok((layer, guard))
    }
}

fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
