//! [`SqliteStore`]: queries the records of a file, while programs write it.
//!
//! Every query is one or more short read transactions, on connections of a small pool, run on the
//! store's own threads. A reader that stays in a transaction would prevent SQLite from reusing its
//! log (`-wal`), which then grows without a bound. So no reader does: a scan reads in pieces, and a
//! query that takes too long is stopped.

mod backup;
mod builder;
mod cleanup;
mod completions;
mod conditions;
mod connections;
mod delete_runs;
mod export;
mod histograms;
mod lanes;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod lanes_tests;
mod logs;
mod matches;
mod metrics;
mod neighbours;
mod opening;
mod overviews;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod pieces_tests;
mod restore;
mod row_cursor;
mod rows;
mod runs;
mod scan;
mod scope;
mod shape;
mod spans;
mod sql;
mod stats;
mod stored;
mod traces;
mod tree;
mod turn;
mod usage;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::filter::Filter;
use spanscope_model::{
    Capabilities, Completion, CompletionQuery, Condition, Cursor, DurationRank, FoundSpans, Histogram,
    HistogramRange, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution, MetricInfo, MetricQuery,
    MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords, Span, SpanFilter, SpanId,
    SpanNeighbours, SpanNode, SpanUsage, SqlResult, SqlStore, StoreError, StoreFuture, StoreStats, Stored,
    StoredFilter, Tenant, Timestamp, Trace, TraceFilter, TraceId, TraceOverview, TraceShape, TraceStore,
    TraceSummary, UsageQuery, UsageRow,
};

use self::connections::{File, QueryContext};
pub use self::export::Records;
use self::lanes::{LaneTimes, Lanes};
pub use self::opening::{DEFAULT_MAX_RESULT_BYTES, DEFAULT_STORE_QUEUE_BYTES, SqliteStoreBuilder};
use self::scope::Scope;
use self::turn::Turn;
use self::watch::Watch;
use crate::file::Failure;
use crate::file::open::open_read;
use crate::file::retention::CleanupReport;
use crate::ingest::import::{self, ImportReport};
use crate::ingest::remote::Intake;

/// Reads a span store. Clones share their connections and threads.
///
/// The methods of [`TraceStore`] are async and need no particular runtime; a program without one
/// calls [`block_on`](spanscope_model::block_on).
///
/// ```
/// use spanscope_model::{TraceQuery, TraceStore, block_on};
/// use spanscope_sqlite::SqliteStore;
///
/// # fn main() {
/// match SqliteStore::open("no/such/trace_store.db") {
///     Ok(store) => println!("{:?}", block_on(store.query_traces(TraceQuery::default()))),
///     Err(error) => assert!(error.is_not_found()),
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteStore {
    file: Arc<File>,
    lanes: Arc<Lanes>,
    watch: Arc<Watch>,
    context: QueryContext,
    /// The intake; `None` if the store was opened for reading.
    intake: Option<Arc<Intake>>,
    /// How long records are kept; `None` if the store was opened for reading.
    retention: Option<Duration>,
}

impl SqliteStore {
    /// Opens a store for reading. It never changes the file and creates none.
    ///
    /// # Errors
    /// Not found if there is no file; unusable if the file is not a store or is one of a newer
    /// version; unavailable if it can't be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        let store = Self {
            lanes: Arc::new(Lanes::new(LaneTimes::READ)),
            watch: Arc::default(),
            context: QueryContext {
                tenant: None,
                max_result_bytes: usize::MAX,
            },
            intake: None,
            retention: None,
            file: Arc::new(File {
                path,
                idle: Mutex::default(),
                met_damage: Arc::default(),
            }),
        };
        let connection = store.file.connection()?;
        store.file.give_back(connection);
        Ok(store)
    }

    /// Returns a builder of a store that accepts records.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::new()
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Copies the current state of the store to the new file `to`. Programs may continue to write
    /// to the store. `progress` is called with the number of pages copied and the total.
    ///
    /// # Errors
    /// The kind is invalid input if the file `to` already exists, and unavailable if it can't be
    /// written or the store can't be read.
    pub fn backup(&self, to: impl AsRef<Path>, progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
        backup::copy(&open_read(self.path())?, to.as_ref(), progress)
    }

    /// Replaces the store at `path` with a copy of a backup. Programs may write to the store
    /// meanwhile: they continue in the new file, which contains the records that they acknowledge
    /// from then on. The contents of the old file are lost. `progress` is called with the number of
    /// pages copied and the total.
    ///
    /// # Errors
    /// The kind is not found if there is no backup; unusable if the backup is not a store or is
    /// damaged; and invalid input if it is the store itself. Nothing is changed then. It is
    /// unavailable if the store's folder can't be written.
    pub fn restore(
        path: impl AsRef<Path>,
        backup: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        restore::run(path.as_ref(), backup.as_ref(), progress)
    }

    /// Deletes traces that ended and measurements that were made at least `older_than` ago, and
    /// expired records, and frees the space. With `dry_run` it only counts them.
    ///
    /// # Errors
    /// As [`open`](Self::open), and unavailable if the file can't be written.
    pub fn cleanup(
        path: impl AsRef<Path>,
        older_than: Duration,
        dry_run: bool,
    ) -> Result<CleanupReport, StoreError> {
        cleanup::run(path.as_ref(), older_than, dry_run)
    }

    /// Copies spans, events and measurements from Llama Stack's `trace_store.db` or another
    /// Spanscope store into the store `target`, which is created if it is missing. Records that are
    /// stored already are skipped, so that a second import adds nothing. `progress` gets the number
    /// of records done and of all records.
    ///
    /// # Errors
    /// Unusable if the source is neither of them; unavailable if one of the files can't be read or
    /// written.
    pub fn import(
        target: impl AsRef<Path>,
        source: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<ImportReport, StoreError> {
        import::run(target.as_ref(), source.as_ref(), progress)
    }

    fn change<T: Send + 'static>(
        &self,
        change: impl Fn(&File, &QueryContext) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        if self.intake.is_none() {
            return Box::pin(async { Err(only_read()) });
        }
        let (file, context) = (self.file.clone(), self.context.clone());
        self.lanes.change(move |_| change(&file, &context))
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Connection, Scope) -> Result<T, Failure> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        self.ask_file(move |file, turn, context| file.read(turn, context, &question))
    }

    /// Runs a query that may take more than one transaction.
    fn ask_file<T: Send + 'static>(
        &self,
        question: impl Fn(&File, &Turn, &QueryContext) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (file, context) = (self.file.clone(), self.context.clone());
        let tenant = self.context.tenant.as_ref();
        self.lanes
            .ask(tenant, move |turn| question(&file, turn, &context))
    }
}

/// The error of a change on a store that was opened for reading.
fn only_read() -> StoreError {
    StoreError::unsupported(
        "this store was opened for reading: open it with SqliteStore::builder() to store or delete in it",
    )
}

impl SqlStore for SqliteStore {
    fn sql(&self, query: &str, limit: usize) -> Result<SqlResult, StoreError> {
        // A separate connection, because its restrictions are permanent.
        let mut db = open_read(self.path())?;
        sql::run(&mut db, query, limit).map_err(|failure| failure.into_store_error(self.path()))
    }
}

impl TraceStore for SqliteStore {
    fn get_trace(&self, trace_id: TraceId) -> StoreFuture<'_, Trace> {
        self.ask(move |db, scope| traces::get(db, scope, trace_id))
    }

    fn get_span(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, Span> {
        self.ask(move |db, scope| spans::get(db, scope, trace_id, span_id))
    }

    fn get_span_tree(
        &self,
        span_id: SpanId,
        attributes_to_return: Option<Vec<String>>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>> {
        self.ask(move |db, scope| tree::below(db, scope, span_id, attributes_to_return.as_deref(), max_depth))
    }

    fn query_spans(
        &self,
        attribute_filters: Vec<Condition>,
        filter: Filter,
        attributes_to_return: Vec<String>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, Vec<Span>> {
        let filter = TraceFilter::default()
            .conditions(attribute_filters)
            .filter(filter);
        self.ask_file(move |file, turn, context| {
            let mut found = Vec::new();
            let mut budget = scope::ResultBudget::new(context.max_result_bytes);
            file.chosen_spans(
                turn,
                context,
                &filter,
                &attributes_to_return,
                max_depth,
                |spans| {
                    for span in &spans {
                        budget.take(rows::bytes_of(span))?;
                    }
                    found.extend(spans);
                    Ok(())
                },
            )?;
            Ok(found)
        })
    }

    fn resolve_id(&self, prefix: String) -> StoreFuture<'_, IdMatch> {
        self.ask(move |db, scope| spans::resolve(db, scope, &prefix))
    }

    fn list_traces(&self, filter: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>> {
        self.ask_file(move |file, turn, context| file.list_traces(turn, context, &filter))
    }

    fn list_spans(&self, filter: SpanFilter) -> StoreFuture<'_, Vec<Span>> {
        self.ask_file(move |file, turn, context| file.list_spans(turn, context, &filter))
    }

    fn trace_spans(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<Span>> {
        self.ask(move |db, scope| spans::of_trace(db, scope, trace_id))
    }

    fn list_logs(&self, filter: LogFilter) -> StoreFuture<'_, Vec<LogEvent>> {
        self.ask_file(move |file, turn, context| file.list_logs(turn, context, &filter))
    }

    fn statistics(&self) -> StoreFuture<'_, StoreStats> {
        let file = self.file.clone();
        self.ask(move |db, scope| stats::store(db, scope, &file.path))
    }

    fn name_statistics(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreFuture<'_, Vec<NameStats>> {
        self.ask_file(move |file, turn, context| file.name_statistics(turn, context, since, until))
    }

    fn attribute_keys(&self, newest: u64) -> StoreFuture<'_, Vec<String>> {
        self.ask(move |db, scope| spans::attribute_keys(db, scope, newest))
    }

    fn trace_overviews(&self, ids: Vec<TraceId>) -> StoreFuture<'_, Vec<TraceOverview>> {
        self.ask(move |db, scope| overviews::of(db, scope, &ids))
    }

    fn trace_histogram(&self, filter: TraceFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        self.ask_file(move |file, turn, context| file.trace_histogram(turn, context, &filter, range))
    }

    fn log_histogram(&self, filter: LogFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        self.ask_file(move |file, turn, context| file.log_histogram(turn, context, &filter, range))
    }

    fn trace_shape(&self, trace_id: TraceId, max_events: u64) -> StoreFuture<'_, TraceShape> {
        self.ask_file(move |file, turn, context| file.trace_shape(turn, context, trace_id, max_events))
    }

    fn trace_usage(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<SpanUsage>> {
        self.ask(move |db, scope| usage::of_spans(db, scope, trace_id))
    }

    fn find_spans(&self, trace_id: TraceId, filter: Filter, limit: u64) -> StoreFuture<'_, FoundSpans> {
        self.ask(move |db, scope| shape::find(db, scope, trace_id, &filter, limit))
    }

    fn span_neighbours(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, SpanNeighbours> {
        self.ask(move |db, scope| neighbours::neighbours(db, scope, trace_id, span_id))
    }

    fn spans_linking_to(&self, trace_id: TraceId, span_id: SpanId, limit: u64) -> StoreFuture<'_, Vec<Span>> {
        self.ask_file(move |file, turn, context| {
            file.spans_linking_to(turn, context, (trace_id, span_id), limit)
        })
    }

    fn oldest(&self) -> StoreFuture<'_, Option<Timestamp>> {
        self.ask(stats::oldest)
    }

    fn completions(&self, query: CompletionQuery) -> StoreFuture<'_, Vec<Completion>> {
        self.ask(move |db, scope| completions::of(db, scope, &query))
    }

    fn duration_rank(&self, name: String, since: Timestamp, nanos: u64) -> StoreFuture<'_, DurationRank> {
        self.ask_file(move |file, turn, context| file.duration_rank(turn, context, &name, since, nanos))
    }

    fn query_metrics(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>> {
        self.ask(move |db, scope| metrics::query(db, scope, &query))
    }

    fn metric_distributions(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricDistribution>> {
        self.ask(move |db, scope| metrics::distributions(db, scope, &query))
    }

    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>> {
        self.ask(metrics::list)
    }

    fn usage(&self, query: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>> {
        self.ask(move |db, scope| usage::query(db, scope, &query))
    }

    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore> {
        let mut store = self.clone();
        store.context.tenant = Some(tenant.clone());
        Arc::new(store)
    }

    fn list_runs(&self, filter: RunFilter) -> StoreFuture<'_, RunPage> {
        self.ask(move |db, scope| runs::list(db, scope, &filter))
    }

    fn run_records(&self, task_id: String, range: RunRange) -> StoreFuture<'_, RunRecords> {
        self.ask(move |db, scope| runs::records(db, scope, &task_id, range))
    }

    fn latest(&self) -> StoreFuture<'_, Cursor> {
        self.ask(|db, _| Ok(stored::latest(db)?.into()))
    }

    fn stored_after(&self, cursor: Cursor, filter: StoredFilter, limit: u64) -> StoreFuture<'_, Stored> {
        self.ask(move |db, scope| stored::after(db, scope, cursor, &filter, limit))
    }

    fn delete_run(&self, task_id: String) -> StoreFuture<'_, u64> {
        self.change(move |file, context| delete_runs::run(file, context, &task_id))
    }

    fn delete_runs_before(&self, before: Timestamp) -> StoreFuture<'_, u64> {
        self.change(move |file, context| delete_runs::before(file, context, before))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        if let Some(Err(error)) = self.intake.as_ref().map(|intake| intake.check()) {
            return Box::pin(async { Err(error) });
        }
        let (file, context) = (self.file.clone(), self.context.clone());
        self.lanes.ask_first(move |turn| {
            file.read(turn, &context, |db, _| {
                db.query_row("SELECT EXISTS (SELECT 1 FROM _trace)", [], |_| Ok(()))?;
                Ok(())
            })
        })
    }

    fn wait_for_change(&self, seen: u64) -> StoreFuture<'_, u64> {
        self.watch.wait_for_change(self.file.path.clone(), seen)
    }

    fn store(&self, records: NewRecords) -> StoreFuture<'_, IngestReceipt> {
        let Some(intake) = &self.intake else {
            return Box::pin(async { Err(only_read()) });
        };
        intake.enqueue(self.context.tenant.as_ref(), records)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::all();
        capabilities.writes = self.intake.is_some();
        capabilities.deletes = self.intake.is_some();
        capabilities.label_regex = cfg!(feature = "regex");
        capabilities.retention = self.retention;
        capabilities
    }

    fn as_sql(&self) -> Option<&dyn SqlStore> {
        // The views show all tenants.
        match self.context.tenant {
            None => Some(self),
            Some(_) => None,
        }
    }
}
