//! The settings of the export: what, where and how, by signal, from code or from the environment.

mod endpoint;
mod env;
mod limits;
mod sourced;
mod variables;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use spanscope_model::wire::STORED_IN;

pub(crate) use endpoint::Endpoint;
pub(crate) use env::read;
pub use limits::Limits;
pub(crate) use sourced::Located;
pub use variables::{VARIABLES, Variable};

/// A signal of OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Measurements.
    Metrics,
    /// Events, as log records.
    Logs,
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// Returns its name in paths.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Returns the name of its records in messages.
    pub(crate) fn records(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "metric points",
            Self::Logs => "log records",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Traces => 0,
            Self::Metrics => 1,
            Self::Logs => 2,
        }
    }
}

/// The protocol of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// Protobuf over HTTP, the default.
    #[default]
    HttpProtobuf,
    /// JSON over HTTP.
    HttpJson,
    /// gRPC. Needs the feature `grpc`.
    Grpc,
}

impl Protocol {
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("http/protobuf", Self::HttpProtobuf),
        ("http/json", Self::HttpJson),
        ("grpc", Self::Grpc),
    ];
}

/// The compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// None, the default.
    #[default]
    None,
    /// Gzip: about a tenth of the bytes, for about ten microseconds of CPU per span.
    Gzip,
}

impl Compression {
    pub(crate) const NAMES: [(&'static str, Self); 2] = [("gzip", Self::Gzip), ("none", Self::None)];
}

/// Which traces are exported, decided when a span starts by OpenTelemetry's samplers. Local sinks
/// are not sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// `always_on`.
    AlwaysOn,
    /// `always_off`.
    AlwaysOff,
    /// `traceidratio`: this share of all traces, by their ids.
    Ratio(f64),
    /// `parentbased_always_on`, the default: the decision of the remote parent, if there is one.
    ParentBasedAlwaysOn,
    /// `parentbased_always_off`.
    ParentBasedAlwaysOff,
    /// `parentbased_traceidratio`.
    ParentBasedRatio(f64),
}

impl Sampler {
    pub(crate) fn build(self) -> Box<dyn opentelemetry_sdk::trace::ShouldSample> {
        use opentelemetry_sdk::trace::Sampler;
        let parent_based = |root: Sampler| Sampler::ParentBased(Box::new(root));
        Box::new(match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
            Self::ParentBasedAlwaysOn => parent_based(Sampler::AlwaysOn),
            Self::ParentBasedAlwaysOff => parent_based(Sampler::AlwaysOff),
            Self::ParentBasedRatio(ratio) => parent_based(Sampler::TraceIdRatioBased(ratio)),
        })
    }
}

/// How much content is exported: prompts, completions, arguments and results of tools, retrieved
/// documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ContentPolicy {
    /// No content, the default.
    #[default]
    None,
    /// The length and the hash of each.
    Redacted,
    /// All of it.
    Full,
}

/// Whether sums count from the start or since the last export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Temporality {
    /// From the start, the default: after a lost export the next one contains its sums.
    #[default]
    Cumulative,
    /// Since the last export.
    Delta,
    /// Delta for counters and histograms, for backends that keep little state.
    LowMemory,
}

/// A setting that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingError {
    /// Its origin: the name of a variable or a method.
    pub place: String,
    /// The invalid value; if it can contain secrets, only the part that contains none.
    pub input: String,
    /// The accepted values, or the error.
    pub accepted: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: {}", self.place, self.input, self.accepted)
    }
}

impl std::error::Error for SettingError {}

/// How one signal or all signals are exported. A `None` of one signal means the setting of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExporterConfig {
    pub(crate) endpoint: Option<Located>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) headers: Option<Headers>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) compression: Option<Compression>,
    pub(crate) insecure: Option<bool>,
    pub(crate) certificate: Option<(String, PathBuf)>,
    pub(crate) client_certificate: Option<(String, PathBuf)>,
    pub(crate) client_key: Option<(String, PathBuf)>,
}

/// Headers of every request. `Debug` omits their values, which may be secret.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(http::HeaderName, http::HeaderValue)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// All settings that the environment can change.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whether each signal is sent, by [`Signal::index`].
    pub(crate) is_on: [bool; 3],
    /// The settings in code, of all signals and of each; they have priority over the environment.
    pub(crate) code: ExporterConfig,
    pub(crate) code_own: [ExporterConfig; 3],
    pub(crate) all: ExporterConfig,
    pub(crate) own: [ExporterConfig; 3],
    /// The file name of the store that the program also writes, for a header.
    pub(crate) stored_in: Option<http::HeaderValue>,
    pub(crate) service_name: Option<String>,
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) detects_resource: bool,
    pub(crate) sampler: Sampler,
    pub(crate) span_content: ContentPolicy,
    pub(crate) log_content: ContentPolicy,
    pub(crate) limits: Limits,
    pub(crate) spans: BatchSettings,
    pub(crate) logs: BatchSettings,
    pub(crate) metric_interval: Duration,
    pub(crate) metric_timeout: Duration,
    pub(crate) temporality: Temporality,
    pub(crate) exponential_histograms: bool,
    /// Whether exceptions are exported as log records and not as events of their spans.
    pub(crate) exceptions_are_logs: bool,
    pub(crate) propagators: Vec<Propagator>,
    /// Values that are used but probably mistaken; reported when the bridge starts.
    pub(crate) notices: Vec<SettingError>,
}

/// The formats that are written into outgoing requests and read from incoming ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C trace context: `traceparent`, `tracestate`.
    TraceContext,
    /// W3C baggage: `baggage`.
    Baggage,
}

/// How records wait for others to be sent together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSettings {
    pub(crate) delay: Duration,
    pub(crate) max_queue_size: usize,
    pub(crate) max_batch_size: usize,
    pub(crate) export_timeout: Duration,
}

/// How long a span waits for others to be sent together (`OTEL_BSP_SCHEDULE_DELAY`).
pub const DEFAULT_SPAN_DELAY: Duration = Duration::from_millis(5000);
/// How long a log record waits (`OTEL_BLRP_SCHEDULE_DELAY`).
pub const DEFAULT_LOG_DELAY: Duration = Duration::from_millis(1000);
/// Maximum number of queued records, of spans and of logs each; more are dropped and counted
/// (`OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_QUEUE_SIZE`). OpenTelemetry's own default is 2048.
/// Here records arrive in bulk five times a second, so with 2048, records would be dropped from
/// 10,000 spans a second on.
pub const DEFAULT_MAX_QUEUE_SIZE: usize = 32_768;
/// Maximum number of records in one request (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`,
/// `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`).
pub const DEFAULT_MAX_BATCH_SIZE: usize = 512;
/// How long one batch is retried before it is counted as lost
/// (`OTEL_BSP_EXPORT_TIMEOUT`, `OTEL_BLRP_EXPORT_TIMEOUT`). OpenTelemetry's own default is 30 s; a
/// restart of a collector takes a minute.
pub const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long one request may take (`OTEL_EXPORTER_OTLP_TIMEOUT`).
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often metrics are sent (`OTEL_METRIC_EXPORT_INTERVAL`).
pub const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(60);
/// How long an export of metrics is retried (`OTEL_METRIC_EXPORT_TIMEOUT`).
pub const DEFAULT_METRIC_TIMEOUT: Duration = Duration::from_secs(30);

impl Default for Settings {
    fn default() -> Self {
        let batch = |delay| BatchSettings {
            delay,
            max_queue_size: DEFAULT_MAX_QUEUE_SIZE,
            max_batch_size: DEFAULT_MAX_BATCH_SIZE,
            export_timeout: DEFAULT_EXPORT_TIMEOUT,
        };
        Self {
            is_on: [true; 3],
            code: ExporterConfig::default(),
            code_own: Default::default(),
            all: ExporterConfig::default(),
            own: Default::default(),
            stored_in: None,
            service_name: None,
            resource: Vec::new(),
            detects_resource: true,
            sampler: Sampler::ParentBasedAlwaysOn,
            span_content: ContentPolicy::None,
            log_content: ContentPolicy::None,
            limits: Limits::default(),
            spans: batch(DEFAULT_SPAN_DELAY),
            logs: batch(DEFAULT_LOG_DELAY),
            metric_interval: DEFAULT_METRIC_INTERVAL,
            metric_timeout: DEFAULT_METRIC_TIMEOUT,
            temporality: Temporality::Cumulative,
            exponential_histograms: false,
            exceptions_are_logs: false,
            propagators: vec![Propagator::TraceContext, Propagator::Baggage],
            notices: Vec::new(),
        }
    }
}

impl Settings {
    /// Returns how a signal is exported: code has priority over the environment; in each, the
    /// signal's own setting over that of all.
    pub(crate) fn config(&self, signal: Signal) -> ExporterConfig {
        let mut sources = self.sources(signal).into_iter();
        let first = sources.next().cloned().unwrap_or_default();
        let mut config = sources.fold(first, |config, weaker| config.or(weaker));
        if let Some(name) = &self.stored_in {
            let header = (http::HeaderName::from_static(STORED_IN), name.clone());
            config.headers.get_or_insert_with(Headers::default).0.push(header);
        }
        config
    }

    /// Returns the origins of a setting, the strongest first.
    fn sources(&self, signal: Signal) -> [&ExporterConfig; 4] {
        let place = signal.index();
        [&self.code_own[place], &self.code, &self.own[place], &self.all]
    }

    /// Returns the configured endpoint, and whether it is the signal's own, which is used
    /// unchanged.
    pub(crate) fn endpoint(&self, signal: Signal) -> Option<(&Located, bool)> {
        let sources = self.sources(signal).into_iter().zip([true, false, true, false]);
        sources
            .into_iter()
            .find_map(|(config, is_own)| Some((config.endpoint.as_ref()?, is_own)))
    }
}

impl ExporterConfig {
    fn or(self, weaker: &Self) -> Self {
        Self {
            endpoint: self.endpoint.or_else(|| weaker.endpoint.clone()),
            protocol: self.protocol.or(weaker.protocol),
            headers: self.headers.or_else(|| weaker.headers.clone()),
            timeout: self.timeout.or(weaker.timeout),
            compression: self.compression.or(weaker.compression),
            insecure: self.insecure.or(weaker.insecure),
            certificate: self.certificate.or_else(|| weaker.certificate.clone()),
            client_certificate: self
                .client_certificate
                .or_else(|| weaker.client_certificate.clone()),
            client_key: self.client_key.or_else(|| weaker.client_key.clone()),
        }
    }
}
