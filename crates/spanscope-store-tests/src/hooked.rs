//! [`Hooked`]: a store with something in front of each of its methods.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spanscope_model::filter::Filter;
use spanscope_model::{
    Capabilities, Condition, Cursor, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution,
    MetricInfo, MetricQuery, MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords,
    Span, SpanFilter, SpanId, SpanNode, StoreError, StoreFuture, StoreStats, Stored, StoredFilter, Tenant,
    Timestamp, Trace, TraceFilter, TraceId, TraceStore, TraceSummary, UsageQuery, UsageRow,
};

/// What is awaited before a method is called.
pub type Before = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Passes each call on to another store, after what its hook says for the method's name: a wait, or
/// a failure instead.
#[derive(Clone)]
pub struct Hooked {
    inner: Arc<dyn TraceStore>,
    capabilities: Capabilities,
    hook: Arc<dyn Fn(&'static str) -> Before + Send + Sync>,
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
        }
    }

    /// A store that can do less than the one inside: the other methods are unsupported.
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
        fn store(records: NewRecords) -> IngestReceipt;
    }

    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore> {
        Arc::new(Self {
            inner: self.inner.for_tenant(tenant),
            ..self.clone()
        })
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}
