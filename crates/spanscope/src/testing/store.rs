//! [`TestStore`]: a subscriber, and the store that it writes to.

use std::time::Duration;

use spanscope_layers::{Categories, CategoryFilter, TokenMetricsLayer};
#[cfg(feature = "console")]
use spanscope_layers::{ConsoleGuard, ConsoleLayer};
use spanscope_model::{LogFilter, MetricQuery, SpanFilter, StoreFuture, Timestamp, TraceStore, block_on};
use spanscope_sqlite::{OverflowPolicy, SqliteGuard, SqliteLayer, SqliteStore};
use tracing::Dispatch;
use tracing::dispatcher::{self, DefaultGuard};
use tracing_subscriber::layer::SubscriberExt as _;

use super::folder::TestFolder;
use super::found::{Events, Measured, Measurements, Spans};

/// How long a query waits for records to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(60);
/// Maximum number of records that are read.
const MAX_RECORDS: u64 = 1_000_000;

/// Records what a test does, into a temporary store. See the [module](super).
#[derive(Debug)]
pub struct TestStore {
    // Dropped in this order: the writer of the file, its reader, the file.
    #[cfg(feature = "console")]
    _console: Option<ConsoleGuard>,
    guard: SqliteGuard,
    store: SqliteStore,
    dispatch: Dispatch,
    _folder: TestFolder,
}

impl TestStore {
    /// Creates a store that keeps spans and events of all levels, and measures model calls. The
    /// package of the calling line counts as the application, whose modules are categories.
    ///
    /// # Panics
    /// Panics if the folder of temporary files can't be written.
    #[expect(clippy::new_without_default, reason = "it opens a file, which may fail")]
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let categories = Categories::of_caller();
        Self::open(categories, |sinks| {
            Dispatch::new(tracing_subscriber::registry().with(sinks.0).with(sinks.1))
        })
    }

    /// Does the same as [`new`](Self::new), and prints what is recorded, as the console shows it:
    /// `cargo test` then shows the lines of failed tests.
    ///
    /// ```
    /// use spanscope::testing::TestStore;
    ///
    /// let store = TestStore::printing();
    /// store.record(|| tracing::info!(steps = 3, "planned"));
    /// store.events().with_message("planned").one();
    /// ```
    ///
    /// # Panics
    /// As [`new`](Self::new); also panics if the console's thread can't be started.
    #[cfg(feature = "console")]
    #[must_use]
    #[track_caller]
    pub fn printing() -> Self {
        let categories = Categories::of_caller();
        let console = ConsoleLayer::builder()
            .categories(categories.clone())
            .test_writer()
            .build();
        let (console, guard) = console.unwrap_or_else(|error| panic!("no console for a test: {error}"));
        let store = Self::open(categories, |sinks| {
            Dispatch::new(
                tracing_subscriber::registry()
                    .with(console)
                    .with(sinks.0)
                    .with(sinks.1),
            )
        });
        Self {
            _console: Some(guard),
            ..store
        }
    }

    /// Creates a store that keeps what this filter passes, such as the levels of the program.
    ///
    /// ```
    /// use spanscope::testing::TestStore;
    /// use spanscope::{Categories, CategoryFilter, Levels};
    ///
    /// let filter = CategoryFilter::new(Categories::of_caller(), Levels::default());
    /// let store = TestStore::with_filter(filter);
    /// store.record(|| tracing::debug!("hidden by the default levels"));
    /// store.events().none();
    /// ```
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn with_filter(filter: CategoryFilter) -> Self {
        let categories = Categories::of_caller();
        Self::open(categories, |sinks| {
            Dispatch::new(
                tracing_subscriber::registry()
                    .with(filter)
                    .with(sinks.0)
                    .with(sinks.1),
            )
        })
    }

    #[track_caller]
    fn open(
        categories: Categories,
        subscriber: impl FnOnce((SqliteLayer, TokenMetricsLayer)) -> Dispatch,
    ) -> Self {
        let folder = TestFolder::new().unwrap_or_else(|error| panic!("no folder for a test: {error}"));
        let path = folder.path().join("trace_store.db");
        let opened = SqliteLayer::builder()
            .categories(categories)
            .on_overflow(OverflowPolicy::Block)
            .open(&path)
            .and_then(|opened| Ok((opened, SqliteStore::open(&path)?)));
        let ((layer, guard), store) = opened.unwrap_or_else(|error| panic!("no store for a test: {error}"));
        let metrics = TokenMetricsLayer::builder().sink(layer.metric_sink()).build();
        Self {
            #[cfg(feature = "console")]
            _console: None,
            guard,
            store,
            dispatch: subscriber((layer, metrics)),
            _folder: folder,
        }
    }

    /// Runs work and records its spans and events on this thread.
    pub fn record<T>(&self, work: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, work)
    }

    /// Records this thread until the guard is dropped.
    #[must_use]
    pub fn set_default(&self) -> DefaultGuard {
        dispatcher::set_default(&self.dispatch)
    }

    /// Returns the subscriber, for other threads and for tasks.
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Returns the store, for other queries.
    ///
    /// # Panics
    /// Panics if records could not be stored.
    #[must_use]
    #[track_caller]
    pub fn store(&self) -> &SqliteStore {
        if let Err(error) = self.guard.flush(STORED_WITHIN) {
            panic!("the test's store: {error}");
        }
        &self.store
    }

    /// Returns all spans recorded so far, in the order of their starts. An open one has no end.
    ///
    /// # Panics
    /// Panics if records could not be stored.
    #[must_use]
    #[track_caller]
    pub fn spans(&self) -> Spans {
        let filter = SpanFilter::default().limit(MAX_RECORDS);
        let mut spans = run_query(self.store().list_spans(filter));
        spans.sort_by_key(|span| (span.start_time, span.span_id));
        Spans::of_spans(spans)
    }

    /// Returns all events recorded so far, in the order of their times. Those with a measurement
    /// are among the [`measurements`](Self::measurements) instead.
    ///
    /// # Panics
    /// Panics if records could not be stored.
    #[must_use]
    #[track_caller]
    pub fn events(&self) -> Events {
        let filter = LogFilter::default().limit(MAX_RECORDS);
        Events::of_events(run_query(self.store().list_logs(filter)))
    }

    /// Returns all measurements made so far: of events, of model calls, of requests. Those of one
    /// metric with the same labels are in the order of their times.
    ///
    /// # Panics
    /// Panics if records could not be stored.
    #[must_use]
    #[track_caller]
    pub fn measurements(&self) -> Measurements {
        let store = self.store();
        let (now, minute, hour) = (Timestamp::now(), 60_000_000_000, Duration::from_secs(3600));
        let series = run_query(store.list_metrics()).into_iter().flat_map(|metric| {
            let mut query = MetricQuery::range(metric.metric, now.before(24 * hour))
                // Includes measurements of a clock that is slightly ahead.
                .end(Timestamp::from_nanos(now.as_nanos() + minute));
            query.granularity = None;
            run_query(store.query_metrics(query))
        });
        Measurements::of_measurements(series.flat_map(Measured::of_series).collect())
    }
}

#[track_caller]
fn run_query<T>(future: StoreFuture<'_, T>) -> T {
    block_on(future).unwrap_or_else(|error| panic!("the test's store: {error}"))
}
