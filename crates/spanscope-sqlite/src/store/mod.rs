//! [`SqliteStore`]: answers questions about the spans in a file, while programs write it.
//!
//! Every question is one short read transaction, or several, on connections of a small pool, run on
//! threads of the store's own. A reader that stays in a transaction would keep SQLite from using its
//! log again, which then grows without bound; so none does, not even for a list that is read page by
//! page: a scan reads in pieces, and what is not answered in time is stopped.

mod backup;
mod builder;
mod cleanup;
mod conditions;
mod connections;
mod forget;
mod lanes;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod lanes_tests;
mod logs;
mod matches;
mod metrics;
mod opening;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod pieces_tests;
mod restore;
mod row_cursor;
mod rows;
mod runs;
mod scan;
mod scope;
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
    Capabilities, Condition, Cursor, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution,
    MetricInfo, MetricQuery, MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords,
    Span, SpanFilter, SpanId, SpanNode, SqlResult, SqlStore, StoreError, StoreFuture, StoreStats, Stored,
    StoredFilter, Tenant, Timestamp, Trace, TraceFilter, TraceId, TraceStore, TraceSummary, UsageQuery,
    UsageRow,
};

use self::connections::{File, QueryContext};
use self::lanes::{LaneTimes, Lanes};
pub use self::opening::{DEFAULT_INTAKE_BYTES, DEFAULT_MAX_ANSWER_BYTES, SqliteStoreBuilder};
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
/// The methods of [`TraceStore`] are async and need no particular runtime; a program without one calls
/// [`block_on`](spanscope_model::block_on).
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
    /// Takes in records; none where the store was opened for reading.
    intake: Option<Arc<Intake>>,
    /// How long records are kept; known where they are taken in.
    retention: Option<Duration>,
}

impl SqliteStore {
    /// Opens a store for reading. Nothing is ever changed by it, and no file is made.
    ///
    /// # Errors
    /// Not found if there is no file; unusable if the file is no store, or one of a newer version; unavailable if it
    /// can't be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        let store = Self {
            lanes: Arc::new(Lanes::new(LaneTimes::READ)),
            watch: Arc::default(),
            context: QueryContext {
                tenant: None,
                max_answer_bytes: usize::MAX,
            },
            intake: None,
            retention: None,
            file: Arc::new(File {
                path,
                idle: Mutex::default(),
            }),
        };
        let connection = store.file.connection()?;
        store.file.give_back(connection);
        Ok(store)
    }

    /// A store that programs send records to, to be opened with settings of its own.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::new()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Copies the store as it is now, while programs go on writing. `progress` gets pages done and pages in all.
    ///
    /// # Errors
    /// Invalid input if the target exists: a backup overwrites nothing. Unavailable if it can't be written.
    pub fn backup(&self, to: impl AsRef<Path>, progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
        backup::copy(&open_read(self.path())?, to.as_ref(), progress)
    }

    /// Puts a copy of a backup in the place of the store at `path`, also while programs write it: they go on in the new
    /// file, and what they acknowledge from then on is in it. What the old file held is lost. `progress` gets pages done and
    /// pages in all.
    ///
    /// # Errors
    /// Not found, or unusable, if the backup is no store or a damaged one; nothing is changed then. Unavailable if the
    /// store's folder can't be written.
    pub fn restore(
        path: impl AsRef<Path>,
        backup: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        restore::run(path.as_ref(), backup.as_ref(), progress)
    }

    /// Deletes the traces that ended and the measurements that were made this long ago, what has expired, and gives the space back. With `dry_run` it only
    /// counts them.
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

    /// Copies spans, events and measurements into the store `target`, which is made if it is not there, out of a `trace_store.db`
    /// of the described system or another store of ours. What is stored already is passed over, so that a second
    /// import adds nothing. `progress` gets records done and records in all.
    ///
    /// # Errors
    /// Unusable if the source is neither; unavailable if one of the files can't be read or written.
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

    /// Asks what may take more than one transaction.
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

/// A change is asked of a store that was opened for reading.
fn only_read() -> StoreError {
    StoreError::unsupported(
        "this store was opened for reading: open it with SqliteStore::builder() to store or delete in it",
    )
}

impl SqlStore for SqliteStore {
    fn sql(&self, query: &str, limit: usize) -> Result<SqlResult, StoreError> {
        // A separate connection, because what is denied on it stays denied.
        let mut db = open_read(self.path())?;
        sql::run(&mut db, query, limit).map_err(|failure| failure.of(self.path()))
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
        let filter = TraceFilter {
            conditions: attribute_filters,
            filter,
            ..TraceFilter::default()
        };
        self.ask_file(move |file, turn, context| {
            let mut found = Vec::new();
            let mut room = scope::Room::new(context.max_answer_bytes);
            file.chosen_spans(
                turn,
                context,
                &filter,
                &attributes_to_return,
                max_depth,
                |spans| {
                    for span in &spans {
                        room.take(rows::bytes_of(span))?;
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
        self.ask(move |db, scope| logs::list(db, scope, &filter))
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
        self.change(move |file, context| forget::run(file, context, &task_id))
    }

    fn delete_runs_before(&self, before: Timestamp) -> StoreFuture<'_, u64> {
        self.change(move |file, context| forget::before(file, context, before))
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
