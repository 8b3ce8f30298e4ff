//! [`SqliteLayer`]: capture on the calling threads, its settings, and the guard of the writing
//! thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_core::capture::{Capture, DEFAULT_MAX_VALUE_LEN, SpanRecord};
use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_core::queue::{FlushTimeout, LayerStats, OverflowPolicy, Queue, ShutdownError, WorkerHandle};
use spanscope_core::sync::lock;
use spanscope_core::tail::{TailRule, TailStats};
use spanscope_core::{ProcessResource, program_name};
use spanscope_layers::Categories;
use spanscope_model::{StoreError, semconv};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::ingest::local::{self, SharedStats, WriterSettings};

/// Maximum size of queued records, in bytes: about 200,000 spans and events. A program that records
/// faster than the disk writes grows by 56 MiB, which includes the writing thread's own memory.
pub const DEFAULT_QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// Maximum time before a record is written, if the disk keeps up.
pub const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// How long traces, events and measurements are kept.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Maximum size of the file, in bytes; beyond it the oldest traces and measurements are deleted.
pub const DEFAULT_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Maximum number of label sets of one metric in a file. Measurements with other label sets are
/// stored under the label `otel.metric.overflow=true`, which is reported once.
pub const DEFAULT_MAX_SERIES: u64 = 10_000;
/// How long dropping the guard waits for the last records.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Attributes with these keys are indexed: session, conversation, user, agent, task, tenant, model,
/// provider.
pub const DEFAULT_INDEXED_KEYS: &[&str] = &semconv::INDEXED_BY_DEFAULT;

/// The settings of a [`SqliteLayer`]. Every setter names its default.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct SqliteLayerBuilder {
    queue_bytes: usize,
    on_overflow: OverflowPolicy,
    max_value_len: usize,
    shutdown_timeout: Duration,
    writer: WriterSettings,
}

impl SqliteLayerBuilder {
    #[track_caller]
    fn new() -> Self {
        Self {
            queue_bytes: DEFAULT_QUEUE_BYTES,
            on_overflow: OverflowPolicy::Drop,
            max_value_len: DEFAULT_MAX_VALUE_LEN,
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            writer: WriterSettings {
                service_name: program_name().to_owned(),
                resource: ProcessResource::default(),
                flush_interval: DEFAULT_FLUSH_INTERVAL,
                retention: DEFAULT_RETENTION,
                max_bytes: DEFAULT_MAX_BYTES,
                max_series: DEFAULT_MAX_SERIES,
                indexed_keys: DEFAULT_INDEXED_KEYS.iter().map(ToString::to_string).collect(),
                categories: Arc::new(Categories::of_caller()),
                tail: None,
            },
        }
    }

    /// The service that the spans belong to. Default: the program's name.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.writer.service_name = name.into();
        self
    }

    /// Sets the attributes of this process, besides its service. Queries find them like the
    /// resource of a sender. Default: the detected attributes of host and process.
    pub fn resource(mut self, resource: ProcessResource) -> Self {
        self.writer.resource = resource;
        self
    }

    /// Sets the maximum size of queued records, in bytes. Default: [`DEFAULT_QUEUE_BYTES`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets what happens when the queue is full. Default: [`OverflowPolicy::Drop`].
    pub fn on_overflow(mut self, on_overflow: OverflowPolicy) -> Self {
        self.on_overflow = on_overflow;
        self
    }

    /// Sets how long a record waits for others to be written in one transaction. Default:
    /// [`DEFAULT_FLUSH_INTERVAL`]. A shorter interval writes more bytes per span.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.writer.flush_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how long traces, events and measurements are kept. Default: [`DEFAULT_RETENTION`].
    pub fn retention(mut self, age: Duration) -> Self {
        self.writer.retention = age;
        self
    }

    /// Sets the maximum size of the file, in bytes. Default: [`DEFAULT_MAX_BYTES`]; minimum: 1 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.writer.max_bytes = bytes.max(1024 * 1024);
        self
    }

    /// Sets the maximum number of label sets of one metric in the file. Default:
    /// [`DEFAULT_MAX_SERIES`].
    pub fn max_series(mut self, count: u64) -> Self {
        self.writer.max_series = count;
        self
    }

    /// Sets the maximum length of a value in bytes; longer ones are truncated. Default:
    /// [`DEFAULT_MAX_VALUE_LEN`].
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = bytes;
        self
    }

    /// Sets how long dropping the guard waits. Default: [`DEFAULT_SHUTDOWN_TIMEOUT`].
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets attribute keys to index in addition to those that the file indexes already. Default:
    /// [`DEFAULT_INDEXED_KEYS`].
    pub fn indexed_keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.writer.indexed_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the categories of targets. Default: [`Categories::of_caller`] of the code that created
    /// the builder.
    pub fn categories(mut self, categories: impl Into<Arc<Categories>>) -> Self {
        self.writer.categories = categories.into();
        self
    }

    /// Sets which traces are kept once they are over. Default: all.
    ///
    /// Spans and events of dropped traces are skipped, or deleted if they are already written:
    /// running spans are written as without a rule. Measurements, events outside spans and other
    /// processes' records of the same trace stay. [`flush`](SqliteGuard::flush) decides traces
    /// that are over; the shutdown keeps those that are still open.
    ///
    /// ```
    /// use spanscope_sqlite::{SqliteLayer, TailRule};
    /// use tracing_subscriber::prelude::*;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("trace_store.db");
    /// let (layer, guard) = SqliteLayer::builder().tail(TailRule::new()).open(path)?;
    /// let subscriber = tracing_subscriber::registry().with(layer);
    /// tracing::subscriber::with_default(subscriber, || {
    ///     tracing::info_span!("fast").in_scope(|| tracing::info!("fine"));
    ///     tracing::info_span!("broken").in_scope(|| tracing::error!("refused"));
    /// });
    /// guard.flush(std::time::Duration::from_secs(5))?;
    /// let stats = guard.stats();
    /// assert_eq!((stats.stored, stats.dropped.sampled), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tail(mut self, rule: TailRule) -> Self {
        self.writer.tail = Some(rule);
        self
    }

    /// Opens or creates the file, in a folder that is created if it is missing, and starts the
    /// writing thread.
    ///
    /// # Errors
    /// Fails if the file is not a span store or is one of a newer version, or if its folder can't
    /// be created or written. Nothing is changed then, and the program can continue without the
    /// layer.
    pub fn open(self, path: impl AsRef<Path>) -> Result<(SqliteLayer, SqliteGuard), StoreError> {
        let queue = Queue::new(self.queue_bytes, self.on_overflow);
        let capture = Arc::new(Capture::new(self.max_value_len));
        let shutdown_timeout = self.shutdown_timeout;
        let path = path.as_ref().to_path_buf();
        let tail_stats = self.writer.tail.is_some().then(SharedStats::default);
        let (control, store_name) = local::start(
            self.writer,
            path.clone(),
            &queue,
            Arc::clone(&capture),
            tail_stats.as_ref(),
        )?;
        let layer = SqliteLayer {
            capture,
            queue: queue.clone(),
        };
        Ok((
            layer,
            SqliteGuard {
                queue,
                control,
                path,
                shutdown_timeout,
                tail_stats,
                store_name,
            },
        ))
    }
}

/// A `tracing` layer that stores spans and events in a SQLite file.
///
/// On the calling thread a span costs encoding its fields and one uncontended lock; a separate
/// thread does the rest. The caller never waits for the disk unless [`OverflowPolicy::Block`] was
/// chosen.
///
/// ```
/// use spanscope_sqlite::SqliteLayer;
/// use tracing_subscriber::prelude::*;
///
/// # let folder = tempfile::tempdir()?;
/// let (layer, guard) = SqliteLayer::open(folder.path().join("trace_store.db"))?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("greet", name = "world").in_scope(|| tracing::info!("hello"));
/// });
/// guard.flush(std::time::Duration::from_secs(5))?;
/// assert_eq!(guard.stats().stored, 2); // the span and the event
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteLayer {
    capture: Arc<Capture>,
    queue: Queue,
}

impl SqliteLayer {
    /// Opens or creates a file with the default settings.
    ///
    /// # Errors
    /// As [`SqliteLayerBuilder::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, SqliteGuard), StoreError> {
        Self::builder().open(path)
    }

    /// Returns a builder; call [`open`](SqliteLayerBuilder::open) at the end. The package of the
    /// calling line counts as the application, whose modules are categories.
    #[track_caller]
    pub fn builder() -> SqliteLayerBuilder {
        SqliteLayerBuilder::new()
    }

    /// Returns a sink for measurements that are not events: for code that derives them from spans
    /// or requests.
    #[must_use]
    pub fn metric_sink(&self) -> SqliteMetricSink {
        SqliteMetricSink {
            queue: self.queue.clone(),
        }
    }
}

/// A sink that stores measurements in the file of a [`SqliteLayer`]. Clones are the same sink.
///
/// They use the queue and the statistics of the layer's own records. A measurement from a `tracing`
/// event is skipped, because the layer captures that itself.
#[derive(Debug, Clone)]
pub struct SqliteMetricSink {
    queue: Queue,
}

impl MetricSink for SqliteMetricSink {
    fn record(&self, measurement: &Measurement<'_>) {
        // A measurement without a name or a finite number is neither stored nor counted.
        let is_valid = !measurement.name.is_empty() && measurement.value.as_f64().is_finite();
        if is_valid && !measurement.is_event {
            self.queue.push_measurement(measurement);
        }
    }
}

impl<S> Layer<S> for SqliteLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.capture.on_register_dispatch(dispatch);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.capture.on_new_span(attributes, id, &context) {
            self.queue.push_opened(id);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.capture.on_record(id, values, &context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.capture.on_follows_from(id, follows, &context);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.capture.on_enter(id);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.capture.on_exit(id, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.capture.on_event(event, &context, |ids, time, fields| {
            self.queue.push_event(ids, event.metadata(), time, fields);
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let push = |record: &SpanRecord, parent, failed, end| {
            self.queue.try_push_span(&id, record, parent, failed, end)
        };
        self.capture
            .on_close(&id, &context, push, || self.queue.wait_for_room());
    }
}

impl Drop for SqliteLayer {
    fn drop(&mut self) {
        // The writing thread keeps the capture.
        self.capture.retire();
    }
}

/// Keeps the writing thread running. Dropping it writes what is queued, within the shutdown
/// timeout, and ends the thread; later records are counted as dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the writing thread"]
pub struct SqliteGuard {
    queue: Queue,
    control: Arc<WorkerHandle>,
    path: PathBuf,
    shutdown_timeout: Duration,
    tail_stats: Option<SharedStats>,
    store_name: String,
}

impl SqliteGuard {
    /// Waits until everything recorded before the call is written. With a tail rule, traces that
    /// are over by then are decided.
    ///
    /// # Errors
    /// Fails if it took longer than the timeout; no record is lost by that.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        self.control.flush(&self.queue, timeout)
    }

    /// Returns the counts of records offered, stored and dropped until now.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.control.stats(&self.queue)
    }

    /// Returns how many traces the tail rule has kept and dropped; `None` without one.
    #[must_use]
    pub fn tail_stats(&self) -> Option<TailStats> {
        let stats = self.tail_stats.as_ref()?;
        Some(*lock(stats))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the store's name. A program that also exports its records sends this name, so that a
    /// receiver with the same file does not store them again.
    #[must_use]
    pub fn store_name(&self) -> &str {
        &self.store_name
    }

    /// Starts the shutdown, which ends at the deadline, and returns at once, so that several sinks
    /// shut down in parallel. [`shutdown`](Self::shutdown) waits for it.
    pub fn begin_shutdown(&self, deadline: Instant) {
        self.control.begin_shutdown(&self.queue, deadline);
    }

    /// Writes the queued records and ends the thread now instead of when the guard is dropped. A
    /// second call does not wait again.
    ///
    /// # Errors
    /// Fails if some records were not written in time.
    pub fn shutdown(&self) -> Result<(), ShutdownError> {
        self.control.shutdown(&self.queue, self.shutdown_timeout)
    }
}

impl Drop for SqliteGuard {
    fn drop(&mut self) {
        let _ = self.shutdown(); // the stats and a report on stderr count unwritten records
    }
}
