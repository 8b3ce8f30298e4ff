//! Stores with behaviour that no real one has on demand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spanscope_model::filter::Filter;
use spanscope_model::{
    Capabilities, Condition, Cursor, IdMatch, IngestReceipt, LogEvent, LogFilter, MetricDistribution,
    MetricInfo, MetricQuery, MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords,
    Span, SpanFilter, SpanId, SpanNode, StoreError, StoreErrorKind, StoreFuture, StoreStats, Stored,
    StoredFilter, Tenant, Timestamp, Trace, TraceFilter, TraceId, TraceQuery, TraceStore, TraceSummary,
    UsageQuery, UsageRow,
};
use tokio::sync::watch;

/// A store whose disk fails, at once or when released.
#[derive(Clone)]
pub(crate) struct Failing {
    kind: StoreErrorKind,
    is_released: watch::Receiver<bool>,
    query_count: Arc<AtomicUsize>,
}

impl Failing {
    pub(crate) fn new(kind: StoreErrorKind) -> Self {
        Self {
            kind,
            is_released: watch::channel(true).1,
            query_count: Arc::default(),
        }
    }

    /// Responds to nothing before `true` is sent, or the sender is dropped.
    pub(crate) fn held(kind: StoreErrorKind) -> (Self, watch::Sender<bool>) {
        let (release_sender, is_released) = watch::channel(false);
        (
            Self {
                is_released,
                ..Self::new(kind)
            },
            release_sender,
        )
    }

    /// Returns how many queries it received.
    pub(crate) fn query_count(&self) -> usize {
        self.query_count.load(Ordering::SeqCst)
    }

    fn fail<T: Send + 'static>(&self) -> StoreFuture<'_, T> {
        let cause = std::io::Error::other("disk 7 is on fire");
        let error = StoreError::new(self.kind, "cannot read /secret/place.db").with_source(cause);
        let mut is_released = self.is_released.clone();
        Box::pin(async move {
            self.query_count.fetch_add(1, Ordering::SeqCst);
            let _ = is_released.wait_for(|is_released| *is_released).await;
            Err(error)
        })
    }
}

impl TraceStore for Failing {
    fn query_traces(&self, _: TraceQuery) -> StoreFuture<'_, Vec<Trace>> {
        self.fail()
    }
    fn get_trace(&self, _: TraceId) -> StoreFuture<'_, Trace> {
        self.fail()
    }
    fn get_span(&self, _: TraceId, _: SpanId) -> StoreFuture<'_, Span> {
        self.fail()
    }
    fn get_span_tree(
        &self,
        _: SpanId,
        _: Option<Vec<String>>,
        _: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>> {
        self.fail()
    }
    fn query_spans(
        &self,
        _: Vec<Condition>,
        _: Filter,
        _: Vec<String>,
        _: Option<u32>,
    ) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn resolve_id(&self, _: String) -> StoreFuture<'_, IdMatch> {
        self.fail()
    }
    fn list_traces(&self, _: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>> {
        self.fail()
    }
    fn list_spans(&self, _: SpanFilter) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn trace_spans(&self, _: TraceId) -> StoreFuture<'_, Vec<Span>> {
        self.fail()
    }
    fn list_logs(&self, _: LogFilter) -> StoreFuture<'_, Vec<LogEvent>> {
        self.fail()
    }
    fn statistics(&self) -> StoreFuture<'_, StoreStats> {
        self.fail()
    }
    fn name_statistics(&self, _: Option<Timestamp>, _: Option<Timestamp>) -> StoreFuture<'_, Vec<NameStats>> {
        self.fail()
    }
    fn attribute_keys(&self, _: u64) -> StoreFuture<'_, Vec<String>> {
        self.fail()
    }
    fn query_metrics(&self, _: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>> {
        self.fail()
    }
    fn metric_distributions(&self, _: MetricQuery) -> StoreFuture<'_, Vec<MetricDistribution>> {
        self.fail()
    }

    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>> {
        self.fail()
    }
    fn usage(&self, _: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>> {
        self.fail()
    }
    fn list_runs(&self, _: RunFilter) -> StoreFuture<'_, RunPage> {
        self.fail()
    }
    fn run_records(&self, _: String, _: RunRange) -> StoreFuture<'_, RunRecords> {
        self.fail()
    }
    fn latest(&self) -> StoreFuture<'_, Cursor> {
        self.fail()
    }
    fn stored_after(&self, _: Cursor, _: StoredFilter, _: u64) -> StoreFuture<'_, Stored> {
        self.fail()
    }
    fn delete_run(&self, _: String) -> StoreFuture<'_, u64> {
        self.fail()
    }
    fn delete_runs_before(&self, _: Timestamp) -> StoreFuture<'_, u64> {
        self.fail()
    }
    fn wait_for_change(&self, _: u64) -> StoreFuture<'_, u64> {
        self.fail()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }
    fn for_tenant(&self, _: &Tenant) -> Arc<dyn TraceStore> {
        Arc::new(self.clone())
    }
    fn store(&self, _: NewRecords) -> StoreFuture<'_, IngestReceipt> {
        self.fail()
    }
}
