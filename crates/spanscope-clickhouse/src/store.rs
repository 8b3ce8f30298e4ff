//! [`ClickHouseStore`]: the contract of a store, over the tables of a collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spanscope_model::filter::Filter;
use spanscope_model::{
    Capabilities, Completion, CompletionQuery, Condition, Cursor, DurationRank, FoundSpans, Histogram,
    HistogramRange, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution, MetricInfo, MetricQuery,
    MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords, Span, SpanFilter, SpanId,
    SpanNode, SpanUsage, StoreError, StoreFuture, StoreOrder, StoreStats, Stored, StoredFilter, Tenant,
    Timestamp, Trace, TraceFilter, TraceId, TraceOverview, TraceShape, TraceStore, TraceSummary, UsageQuery,
    UsageRow,
};

use crate::address::StoreAddress;
use crate::client::Client;
use crate::pool::Pool;
use crate::reader::Reader;
use crate::spans::{Detail, StoredSpan};
use crate::sql::Sql;
use crate::tables::Tables;
use crate::usage;
use crate::watch::Watch;

/// The largest answer to one statement, in bytes of columns.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// Answers questions from the tables that an OpenTelemetry collector writes to ClickHouse.
///
/// It only reads. Clones share their threads and connections. The futures need no particular
/// runtime; a program without one calls [`block_on`](spanscope_model::block_on).
///
/// ```no_run
/// use spanscope_clickhouse::{ClickHouseStore, StoreAddress};
/// use spanscope_model::{TraceQuery, TraceStore, block_on};
///
/// let address: StoreAddress = "clickhouse://otel@localhost:8123/otel".parse()?;
/// let store = ClickHouseStore::open(address.password_from_env())?;
/// for trace in block_on(store.query_traces(TraceQuery::default()))? {
///     println!("{}", trace.trace_id);
/// }
/// # Ok::<(), spanscope_model::StoreError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClickHouseStore {
    reader: Reader,
    pool: Arc<Pool>,
    watch: Arc<Watch>,
}

impl ClickHouseStore {
    /// Connects to the server, and describes its tables. Blocks until that is done.
    ///
    /// # Errors
    /// Unavailable if no host can be reached; unusable if the user, the database or the tables are
    /// not what the store needs, with what to do in the message.
    pub fn open(address: StoreAddress) -> Result<Self, StoreError> {
        // What the HTTP client logs must not become telemetry.
        let _quiet = spanscope_core::suppress();
        let client = Client::open(address, MAX_ANSWER_BYTES)?;
        let tables = Tables::detect(&client)?;
        Ok(Self {
            reader: Reader {
                client: Arc::new(client),
                tables: Arc::new(tables),
                tenant: None,
            },
            pool: Arc::new(Pool::start()?),
            watch: Arc::default(),
        })
    }

    /// Returns where the store is, without its password.
    #[must_use]
    pub fn address(&self) -> &StoreAddress {
        self.reader.client.address()
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let reader = self.reader.clone();
        self.pool.ask(move || question(&reader))
    }
}

/// The error of a change.
fn only_reads<'a, T>() -> StoreFuture<'a, T> {
    Box::pin(async {
        Err(StoreError::unsupported(
            "this store reads the tables of a collector, and the collector writes them: send records to the collector, \
             and let the tables' TTL delete them",
        ))
    })
}

impl TraceStore for ClickHouseStore {
    fn get_trace(&self, trace_id: TraceId) -> StoreFuture<'_, Trace> {
        self.ask(move |reader| Ok(reader.summary_of(trace_id)?.trace))
    }

    fn get_span(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, Span> {
        self.ask(move |reader| reader.get_span(trace_id, span_id))
    }

    fn get_span_tree(
        &self,
        span_id: SpanId,
        attributes_to_return: Option<Vec<String>>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>> {
        self.ask(move |reader| reader.span_tree(span_id, attributes_to_return.as_deref(), max_depth))
    }

    fn query_spans(
        &self,
        attribute_filters: Vec<Condition>,
        filter: Filter,
        attributes_to_return: Vec<String>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, Vec<Span>> {
        self.ask(move |reader| {
            reader.query_spans(attribute_filters, filter, &attributes_to_return, max_depth)
        })
    }

    fn resolve_id(&self, prefix: String) -> StoreFuture<'_, IdMatch> {
        self.ask(move |reader| reader.resolve(&prefix))
    }

    fn list_traces(&self, filter: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>> {
        self.ask(move |reader| reader.list_traces(&filter))
    }

    fn list_spans(&self, filter: SpanFilter) -> StoreFuture<'_, Vec<Span>> {
        self.ask(move |reader| reader.list_spans(&filter))
    }

    fn trace_spans(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<Span>> {
        self.ask(move |reader| {
            let spans = reader.spans_of_trace(trace_id, Detail::default())?;
            Ok(spans.into_iter().map(StoredSpan::into_listed).collect())
        })
    }

    fn list_logs(&self, filter: LogFilter) -> StoreFuture<'_, Vec<LogEvent>> {
        self.ask(move |reader| reader.list_logs(&filter))
    }

    fn statistics(&self) -> StoreFuture<'_, StoreStats> {
        self.ask(Reader::statistics)
    }

    fn name_statistics(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreFuture<'_, Vec<NameStats>> {
        self.ask(move |reader| reader.name_statistics(since, until))
    }

    fn attribute_keys(&self, newest: u64) -> StoreFuture<'_, Vec<String>> {
        self.ask(move |reader| reader.attribute_keys(newest))
    }

    fn trace_overviews(&self, ids: Vec<TraceId>) -> StoreFuture<'_, Vec<TraceOverview>> {
        self.ask(move |reader| reader.overviews(&ids))
    }

    fn trace_histogram(&self, filter: TraceFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        self.ask(move |reader| reader.trace_histogram(&filter, range))
    }

    fn log_histogram(&self, filter: LogFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        self.ask(move |reader| reader.log_histogram(&filter, range))
    }

    fn trace_shape(&self, trace_id: TraceId, max_events: u64) -> StoreFuture<'_, TraceShape> {
        self.ask(move |reader| reader.trace_shape(trace_id, max_events))
    }

    fn trace_usage(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<SpanUsage>> {
        self.ask(move |reader| {
            let spans = reader.spans_of(&[trace_id], Detail::default())?;
            let spans: Vec<Span> = spans.into_iter().map(StoredSpan::into_listed).collect();
            Ok(usage::by_span(&spans))
        })
    }

    fn find_spans(&self, trace_id: TraceId, filter: Filter, limit: u64) -> StoreFuture<'_, FoundSpans> {
        self.ask(move |reader| reader.find_spans(trace_id, &filter, limit))
    }

    fn oldest(&self) -> StoreFuture<'_, Option<Timestamp>> {
        self.ask(Reader::oldest)
    }

    fn completions(&self, query: CompletionQuery) -> StoreFuture<'_, Vec<Completion>> {
        self.ask(move |reader| reader.completions(&query))
    }

    fn duration_rank(&self, name: String, since: Timestamp, nanos: u64) -> StoreFuture<'_, DurationRank> {
        self.ask(move |reader| reader.duration_rank(&name, since, nanos))
    }

    fn query_metrics(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>> {
        self.ask(move |reader| reader.query_metrics(&query))
    }

    fn metric_distributions(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricDistribution>> {
        self.ask(move |reader| reader.distributions(&query))
    }

    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>> {
        self.ask(Reader::list_metrics)
    }

    fn usage(&self, query: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>> {
        self.ask(move |reader| reader.usage(&query))
    }

    fn list_runs(&self, filter: RunFilter) -> StoreFuture<'_, RunPage> {
        self.ask(move |reader| reader.list_runs(&filter))
    }

    fn run_records(&self, task_id: String, range: RunRange) -> StoreFuture<'_, RunRecords> {
        self.ask(move |reader| reader.run_records(&task_id, range))
    }

    fn latest(&self) -> StoreFuture<'_, Cursor> {
        self.ask(Reader::latest)
    }

    fn stored_after(&self, cursor: Cursor, filter: StoredFilter, limit: u64) -> StoreFuture<'_, Stored> {
        self.ask(move |reader| reader.stored_after(cursor, &filter, limit))
    }

    fn delete_run(&self, _task_id: String) -> StoreFuture<'_, u64> {
        only_reads()
    }

    fn delete_runs_before(&self, _before: Timestamp) -> StoreFuture<'_, u64> {
        only_reads()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.ask(|reader| {
            let _: Option<(u8,)> = reader.client.row(&Sql::new("SELECT 1"))?;
            Ok(())
        })
    }

    fn wait_for_change(&self, seen: u64) -> StoreFuture<'_, u64> {
        self.watch.wait_for_change(&self.reader.client, seen)
    }

    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore> {
        let mut store = self.clone();
        store.reader.tenant = Some(tenant.clone());
        Arc::new(store)
    }

    fn store(&self, _records: NewRecords) -> StoreFuture<'_, IngestReceipt> {
        only_reads()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::all();
        capabilities.writes = false;
        capabilities.deletes = false;
        capabilities.running_spans = false;
        capabilities.typed_attributes = false;
        capabilities.exact_measurements = false;
        capabilities.neighbours = false;
        capabilities.ttl = false;
        capabilities.tenants = self.reader.tenant_key().is_some();
        capabilities.order = StoreOrder::Marked;
        capabilities.longest_without_since = None::<Duration>;
        capabilities.retention = None;
        capabilities
    }
}
