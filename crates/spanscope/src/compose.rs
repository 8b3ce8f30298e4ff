//! The subscriber: one filter for all sinks if that is enough, else a filter for each sink behind
//! it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spanscope_layers::metrics::MetricSink;
use spanscope_layers::{CategoryFilter, TokenMetricsLayer};
#[cfg(feature = "console")]
use spanscope_layers::{ConsoleGuard, ConsoleLayer, LogFileLayer};
#[cfg(feature = "otlp")]
use spanscope_otlp::{OtlpGuard, OtlpLayer, Propagator, propagation};
#[cfg(feature = "sqlite")]
use spanscope_sqlite::{SqliteGuard, SqliteLayer};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
#[cfg(feature = "otlp")]
use tracing_subscriber::{Registry, layer::Layered};

use crate::guard::Running;
#[cfg(not(feature = "console"))]
use crate::stubs::{ConsoleGuard, ConsoleLayer, LogFileLayer};
#[cfg(not(feature = "sqlite"))]
use crate::stubs::{SqliteGuard, SqliteLayer};
use crate::{InitErrorKind, logger};

/// The base of all sinks.
#[cfg(feature = "otlp")]
pub(crate) type Filtered = Layered<CategoryFilter, Registry>;

/// The parts of the subscriber.
pub(crate) struct Sinks {
    /// The filter of all sinks; if some have their own, it passes what any of them passes.
    pub(crate) global: CategoryFilter,
    pub(crate) console: Option<(ConsoleLayer, ConsoleGuard)>,
    pub(crate) console_filter: Option<CategoryFilter>,
    pub(crate) sqlite: Option<(SqliteLayer, SqliteGuard)>,
    pub(crate) sqlite_filter: Option<CategoryFilter>,
    pub(crate) log_file: Option<(LogFileLayer, ConsoleGuard)>,
    pub(crate) log_file_filter: Option<CategoryFilter>,
    /// Its filters are inside it.
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<(OtlpLayer<Filtered>, OtlpGuard)>,
    /// The program's propagators without a bridge, which has its own.
    #[cfg(feature = "otlp")]
    pub(crate) propagators: Vec<Propagator>,
    /// Receivers of measurements besides the store and the collector.
    pub(crate) metric_sinks: Vec<Arc<dyn MetricSink>>,
}

/// Builds the subscriber and makes it the program's. Also returns messages about settings without
/// effect.
pub(crate) fn install(sinks: Sinks) -> Result<(Running, Vec<String>), InitErrorKind> {
    let (console, console_guard) = sinks.console.unzip();
    let (sqlite, sqlite_guard) = sinks.sqlite.unzip();
    let (log_file, log_file_guard) = sinks.log_file.unzip();
    let global = sinks.global;
    let levels = global.handle();
    let metrics = TokenMetricsLayer::builder();
    #[cfg(feature = "sqlite")]
    let metrics = match &sqlite {
        Some(sqlite) => metrics.sink(sqlite.metric_sink()),
        None => metrics,
    };
    let metrics = sinks
        .metric_sinks
        .into_iter()
        .fold(metrics, |metrics, sink| metrics.sink(sink));
    let subscriber = tracing_subscriber::registry().with(global);
    // The bridge first: attributes that `OpenTelemetrySpanExt` sets on a span are then shown by the
    // other sinks too.
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
        // After the sinks: if one of them creates the records of spans, this layer skips most
        // spans. Everything that any sink sees is measured.
        .with(metrics.build());
    tracing::dispatcher::set_global_default(Dispatch::new(subscriber))
        .map_err(|_| InitErrorKind::AlreadySet)?;
    let notices = logger::install().into_iter().collect();
    #[cfg(feature = "otlp")]
    match &otlp_guard {
        Some(otlp) => otlp.set_globals(),
        // A trace that is only stored here still continues in other processes.
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

/// Boxes a sink that may be off. Not an `Option` of a layer: that does not forward
/// `on_register_dispatch`, and running spans would not be seen.
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

/// Takes the place of a sink that is off. A layer without a level hint, next to layers with their
/// own filters, would switch off the level hint of the whole subscriber.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }
}
