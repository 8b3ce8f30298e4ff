//! [`Hooked`]: a store with a hook before each of its methods.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spanscope_model::filter::Filter;
use spanscope_model::{
    Capabilities, Completion, CompletionQuery, Condition, Cursor, DurationRank, FoundSpans, Histogram,
    HistogramRange, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution, MetricInfo, MetricQuery,
    MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords, Span, SpanFilter, SpanId,
    SpanNeighbours, SpanNode, SpanUsage, StoreError, StoreFuture, StoreStats, Stored, StoredFilter, Tenant,
    Timestamp, Trace, TraceFilter, TraceId, TraceOverview, TraceShape, TraceStore, TraceSummary, UsageQuery,
    UsageRow,
};

use crate::Put;

/// A future that is awaited before a method is called.
pub type Before = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Passes each call on to another store, after it has awaited the hook, which gets the method's
/// name and may fail instead.
#[derive(Clone)]
pub struct Hooked {
    inner: Arc<dyn TraceStore>,
    capabilities: Capabilities,
    hook: Arc<dyn Fn(&'static str) -> Before + Send + Sync>,
    /// What stores records in place of the inner store.
    put: Option<Put>,
    tenant: Option<Tenant>,
}

impl Hooked {
    pub fn new(
        inner: Arc<dyn TraceStore>,
        hook: impl Fn(&'static str) -> Before + Send + Sync + 'static,
    ) -> Self {
        Self {
            capabilities: inner.capabilities(),
            inner,
            hook: Arc::new(hook),
            put: None,
            tenant: None,
        }
    }

    /// Returns a store that stores records by `put` and reads them from the inner one.
    #[must_use]
    pub fn filled(inner: Arc<dyn TraceStore>, put: Put) -> Self {
        let mut filled = Self::new(inner, |_| Box::pin(async { Ok(()) }));
        filled.put = Some(put);
        filled
    }

    /// Returns a store with fewer capabilities than the inner one: the other methods are
    /// unsupported.
    #[must_use]
    pub fn limited(inner: Arc<dyn TraceStore>, capabilities: Capabilities) -> Self {
        let hook = move |method: &'static str| -> Before {
            let can = match method {
                "store" => capabilities.writes,
                "delete_run" | "delete_runs_before" => capabilities.deletes,
                _ => true,
            };
            Box::pin(async move {
                match can {
                    true => Ok(()),
                    false => Err(StoreError::unsupported(format!("this store has no {method}"))),
                }
            })
        };
        Self {
            capabilities,
            inner,
            hook: Arc::new(hook),
            put: None,
            tenant: None,
        }
    }
}

macro_rules! pass_on {
    ($(fn $method:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $method(&self, $($name: $kind),*) -> StoreFuture<'_, $answer> {
            let before = (self.hook)(stringify!($method));
            Box::pin(async move {
                before.await?;
                self.inner.$method($($name),*).await
            })
        })*
    };
}

impl TraceStore for Hooked {
    pass_on! {
        fn get_trace(trace_id: TraceId) -> Trace;
        fn get_span(trace_id: TraceId, span_id: SpanId) -> Span;
        fn get_span_tree(span_id: SpanId, attributes: Option<Vec<String>>, depth: Option<u32>) -> BTreeMap<SpanId, SpanNode>;
        fn query_spans(conditions: Vec<Condition>, filter: Filter, attributes: Vec<String>, depth: Option<u32>) -> Vec<Span>;
        fn resolve_id(prefix: String) -> IdMatch;
        fn list_traces(filter: TraceFilter) -> Vec<TraceSummary>;
        fn list_spans(filter: SpanFilter) -> Vec<Span>;
        fn trace_spans(trace_id: TraceId) -> Vec<Span>;
        fn list_logs(filter: LogFilter) -> Vec<LogEvent>;
        fn statistics() -> StoreStats;
        fn name_statistics(since: Option<Timestamp>, until: Option<Timestamp>) -> Vec<NameStats>;
        fn attribute_keys(newest: u64) -> Vec<String>;
        fn trace_overviews(ids: Vec<TraceId>) -> Vec<TraceOverview>;
        fn trace_histogram(filter: TraceFilter, range: HistogramRange) -> Histogram;
        fn log_histogram(filter: LogFilter, range: HistogramRange) -> Histogram;
        fn trace_shape(trace_id: TraceId, max_events: u64) -> TraceShape;
        fn trace_usage(trace_id: TraceId) -> Vec<SpanUsage>;
        fn find_spans(trace_id: TraceId, filter: Filter, limit: u64) -> FoundSpans;
        fn span_neighbours(trace_id: TraceId, span_id: SpanId) -> SpanNeighbours;
        fn spans_linking_to(trace_id: TraceId, span_id: SpanId, limit: u64) -> Vec<Span>;
        fn oldest() -> Option<Timestamp>;
        fn completions(query: CompletionQuery) -> Vec<Completion>;
        fn duration_rank(name: String, since: Timestamp, nanos: u64) -> DurationRank;
        fn query_metrics(query: MetricQuery) -> Vec<MetricSeries>;
        fn metric_distributions(query: MetricQuery) -> Vec<MetricDistribution>;
        fn list_metrics() -> Vec<MetricInfo>;
        fn usage(query: UsageQuery) -> Vec<UsageRow>;
        fn list_runs(filter: RunFilter) -> RunPage;
        fn run_records(task_id: String, range: RunRange) -> RunRecords;
        fn latest() -> Cursor;
        fn stored_after(cursor: Cursor, filter: StoredFilter, limit: u64) -> Stored;
        fn delete_run(task_id: String) -> u64;
        fn delete_runs_before(before_time: Timestamp) -> u64;
        fn wait_for_change(seen: u64) -> u64;
    }

    fn store(&self, records: NewRecords) -> StoreFuture<'_, IngestReceipt> {
        let before = (self.hook)("store");
        Box::pin(async move {
            before.await?;
            match &self.put {
                Some(put) => {
                    put(self.tenant.as_ref(), &records);
                    Ok(IngestReceipt::default())
                }
                None => self.inner.store(records).await,
            }
        })
    }

    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore> {
        Arc::new(Self {
            inner: self.inner.for_tenant(tenant),
            tenant: Some(tenant.clone()),
            ..self.clone()
        })
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}
