//! The subscriber: one filter for all sinks where that is enough, and each sink's own behind it where it is not.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spanscope_layers::metrics::MetricSink;
use spanscope_layers::{CategoryFilter, ConsoleGuard, ConsoleLayer, LogFileLayer, TokenMetricsLayer};
#[cfg(feature = "otlp")]
use spanscope_otlp::{OtlpGuard, OtlpLayer, Propagator, propagation};
use spanscope_sqlite::{SqliteGuard, SqliteLayer};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
#[cfg(feature = "otlp")]
use tracing_subscriber::{Registry, layer::Layered};

use crate::guard::Running;
use crate::{InitErrorKind, logger};

/// What all sinks stand on.
#[cfg(feature = "otlp")]
pub(crate) type Filtered = Layered<CategoryFilter, Registry>;

/// What goes into the subscriber.
pub(crate) struct Sinks {
    /// What holds for all sinks; where some have filters of their own, it lets through what any of them does.
    pub(crate) global: CategoryFilter,
    pub(crate) console: Option<(ConsoleLayer, ConsoleGuard)>,
    pub(crate) console_filter: Option<CategoryFilter>,
    pub(crate) sqlite: Option<(SqliteLayer, SqliteGuard)>,
    pub(crate) sqlite_filter: Option<CategoryFilter>,
    pub(crate) log_file: Option<(LogFileLayer, ConsoleGuard)>,
    pub(crate) log_file_filter: Option<CategoryFilter>,
    /// Its filters are within it.
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<(OtlpLayer<Filtered>, OtlpGuard)>,
    /// The program's where there is no bridge, which has its own.
    #[cfg(feature = "otlp")]
    pub(crate) propagators: Vec<Propagator>,
    /// What takes measurements beside the store and the collector.
    pub(crate) metric_sinks: Vec<Arc<dyn MetricSink>>,
}

/// Builds the subscriber and makes it the program's. Returns with it what has no effect, as messages.
pub(crate) fn install(sinks: Sinks) -> Result<(Running, Vec<String>), InitErrorKind> {
    let (console, console_guard) = sinks.console.unzip();
    let (sqlite, sqlite_guard) = sinks.sqlite.unzip();
    let (log_file, log_file_guard) = sinks.log_file.unzip();
    let global = sinks.global;
    let levels = global.handle();
    let mut metrics = TokenMetricsLayer::builder();
    if let Some(sqlite) = &sqlite {
        metrics = metrics.sink(sqlite.metric_sink());
    }
    let metrics = sinks
        .metric_sinks
        .into_iter()
        .fold(metrics, |metrics, sink| metrics.sink(sink));
    let subscriber = tracing_subscriber::registry().with(global);
    // The bridge first: what `OpenTelemetrySpanExt` sets on a span is then shown by the other sinks too.
    #[cfg(feature = "otlp")]
    let (otlp, otlp_guard) = sinks.otlp.unzip();
    #[cfg(feature = "otlp")]
    let metrics = match &otlp {
        Some(otlp) => metrics.sink(otlp.metric_sink()),
        None => metrics,
    };
    #[cfg(feature = "otlp")]
    let subscriber = subscriber.with(sink(otlp, None));
    let subscriber = subscriber
        .with(sink(sqlite, sinks.sqlite_filter))
        .with(sink(console, sinks.console_filter))
        .with(sink(log_file, sinks.log_file_filter))
        // After the sinks: where one of them makes the records of spans, this layer leaves most spans alone.
        // What any sink sees is measured.
        .with(metrics.build());
    tracing::dispatcher::set_global_default(Dispatch::new(subscriber))
        .map_err(|_| InitErrorKind::AlreadySet)?;
    let notices = logger::install().into_iter().collect();
    #[cfg(feature = "otlp")]
    match &otlp_guard {
        Some(otlp) => otlp.set_globals(),
        // A trace that is only kept here still goes on in other processes.
        None => propagation::set_global(&sinks.propagators),
    }
    let running = Running {
        sqlite: sqlite_guard,
        console: console_guard,
        log_file: log_file_guard,
        #[cfg(feature = "otlp")]
        otlp: otlp_guard,
        levels,
        reported: AtomicBool::new(false),
    };
    Ok((running, notices))
}

/// A sink that may be off. No `Option` of a layer: that forwards `on_register_dispatch` to nobody, and running spans
/// would not be seen.
fn sink<S, L>(layer: Option<L>, filter: Option<CategoryFilter>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S> + Send + Sync + 'static,
{
    match (layer, filter) {
        (Some(layer), Some(filter)) => Box::new(filter.for_sink(layer)),
        (Some(layer), None) => Box::new(layer),
        (None, _) => Box::new(Nothing),
    }
}

/// In the place of a sink that is off. A layer that says nothing of levels, beside layers with filters of their own, would
/// switch off the level hint of the whole subscriber.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }
}
