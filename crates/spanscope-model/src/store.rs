//! [`TraceStore`]: the contract of a span store.
//!
//! How a store works does not belong here. A method that a store can't offer fails as
//! [unsupported](crate::StoreErrorKind::Unsupported), and [`Capabilities`] announces it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::filter::Filter;
use crate::{
    Capabilities, Completion, CompletionQuery, Condition, Cursor, DurationRank, Event, FoundSpans, Histogram,
    HistogramRange, IngestReceipt, LogEvent, LogFilter, MetricDistribution, MetricInfo, MetricQuery,
    MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords, Span, SpanFilter, SpanId,
    SpanNeighbours, SpanNode, SpanUsage, SqlStore, StoreError, StoreStats, Stored, StoredFilter, Tenant,
    Timestamp, Trace, TraceFilter, TraceId, TraceOverview, TraceQuery, TraceShape, TraceSummary, UsageQuery,
    UsageRow,
};

/// What an id or a prefix of one identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMatch {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(TraceId, SpanId),
}

/// The future that the methods of [`TraceStore`] return. It is boxed, so that servers can hold any
/// store as `dyn TraceStore`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of spans with queries.
///
/// All conditions of a query must match the same span. An attribute key is literal. Cycles, orphans
/// and duplicate ids in the data are harmless. Nothing that a caller sends becomes part of a
/// query's text.
pub trait TraceStore: Send + Sync {
    /// Returns the traces that have a matching span, newest first unless `order_by` is set.
    ///
    /// # Errors
    /// Invalid input for an unknown order key or a negative limit.
    fn query_traces(&self, query: TraceQuery) -> StoreFuture<'_, Vec<Trace>> {
        let filter = TraceFilter::try_from(query);
        Box::pin(async move {
            let found = self.list_traces(filter?).await?;
            Ok(found.into_iter().map(|summary| summary.trace).collect())
        })
    }

    /// Returns one trace.
    ///
    /// # Errors
    /// Not found.
    fn get_trace(&self, trace_id: TraceId) -> StoreFuture<'_, Trace>;

    /// Returns one span.
    ///
    /// # Errors
    /// Not found.
    fn get_span(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, Span>;

    /// Returns a span and its descendants, by span id, down to `max_depth` (1 is the span alone;
    /// `None`: all). `attributes_to_return` limits the attributes to these keys.
    ///
    /// # Errors
    /// Not found.
    fn get_span_tree(
        &self,
        span_id: SpanId,
        attributes_to_return: Option<Vec<String>>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>>;

    /// Returns spans of the traces that have a matching span: those down to `max_depth` below their
    /// root that have all `attributes_to_return`. Their attributes are limited to these keys,
    /// unless the list is empty. A span matches if all conditions and all terms of the filter match
    /// it.
    ///
    /// # Errors
    /// Invalid input for an invalid condition.
    fn query_spans(
        &self,
        attribute_filters: Vec<Condition>,
        filter: Filter,
        attributes_to_return: Vec<String>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, Vec<Span>>;

    /// Returns what an id, or an unambiguous prefix of at least 4 digits, identifies.
    ///
    /// # Errors
    /// Not found, which may name the [nearest](StoreError::nearest) ids; invalid input if it is not
    /// hexadecimal, too short, or ambiguous.
    fn resolve_id(&self, prefix: String) -> StoreFuture<'_, IdMatch>;

    /// Returns the entries of a list of traces.
    ///
    /// # Errors
    /// Invalid input for an invalid condition.
    fn list_traces(&self, filter: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>>;

    /// Returns spans across all traces.
    ///
    /// # Errors
    /// Invalid input for an invalid condition.
    fn list_spans(&self, filter: SpanFilter) -> StoreFuture<'_, Vec<Span>>;

    /// Returns all spans of a trace, ordered by start.
    ///
    /// # Errors
    /// Not found.
    fn trace_spans(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<Span>>;

    /// Returns log events in the order of their times.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn list_logs(&self, filter: LogFilter) -> StoreFuture<'_, Vec<LogEvent>>;

    /// Returns sizes, counts and losses.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn statistics(&self) -> StoreFuture<'_, StoreStats>;

    /// Returns count, errors and percentiles of duration by span name, the largest total first, of
    /// the spans that started at `since` or later and before `until`.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn name_statistics(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreFuture<'_, Vec<NameStats>>;

    /// Returns the attribute keys of the last `newest` stored spans, and of the resources of
    /// programs, sorted. They distinguish a typo in a filter from a rare key.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn attribute_keys(&self, newest: u64) -> StoreFuture<'_, Vec<String>>;

    /// Returns the data that a list of traces shows in addition to
    /// [`list_traces`](Self::list_traces), in the order of `ids`; traces that are not stored are
    /// left out.
    ///
    /// # Errors
    /// Unsupported by default, like the other methods that only the web pages need.
    fn trace_overviews(&self, ids: Vec<TraceId>) -> StoreFuture<'_, Vec<TraceOverview>> {
        let _ = ids;
        unsupported("overviews of traces")
    }

    /// Counts the traces that match the filter, by start and by status: `ok`, `error` and
    /// `running`. Order, limit and pages of the filter are ignored.
    ///
    /// # Errors
    /// As [`list_traces`](Self::list_traces), and unsupported by default.
    fn trace_histogram(&self, filter: TraceFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        let _ = (filter, range);
        unsupported("histograms")
    }

    /// Counts the log events that match the filter, by time and severity. The limit of the filter
    /// is ignored.
    ///
    /// # Errors
    /// As [`list_logs`](Self::list_logs), and unsupported by default.
    fn log_histogram(&self, filter: LogFilter, range: HistogramRange) -> StoreFuture<'_, Histogram> {
        let _ = (filter, range);
        unsupported("histograms")
    }

    /// Returns all spans of a trace without their attributes, and up to `max_events` of their
    /// events.
    ///
    /// # Errors
    /// Not found; the trace may be too large for this store; unsupported by default.
    fn trace_shape(&self, trace_id: TraceId, max_events: u64) -> StoreFuture<'_, TraceShape> {
        let _ = (trace_id, max_events);
        unsupported("shapes of traces")
    }

    /// Returns the tokens that each span of a trace reported; empty if the trace is not stored.
    ///
    /// # Errors
    /// Unsupported by default.
    fn trace_usage(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<SpanUsage>> {
        let _ = trace_id;
        unsupported("usage by span")
    }

    /// Returns the spans of a trace that a filter matches.
    ///
    /// # Errors
    /// Not found; unsupported by default.
    fn find_spans(&self, trace_id: TraceId, filter: Filter, limit: u64) -> StoreFuture<'_, FoundSpans> {
        let _ = (trace_id, filter, limit);
        unsupported("a search in a trace")
    }

    /// Returns the failed spans and the model calls that are next to a span in its trace.
    ///
    /// # Errors
    /// Not found; unsupported by default.
    fn span_neighbours(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, SpanNeighbours> {
        let _ = (trace_id, span_id);
        unsupported("neighbours of spans")
    }

    /// Returns up to `limit` spans that have a link to this one, most recently stored first. Spans
    /// that were stored before its trace began are not searched.
    ///
    /// # Errors
    /// Not found; unsupported by default.
    fn spans_linking_to(&self, trace_id: TraceId, span_id: SpanId, limit: u64) -> StoreFuture<'_, Vec<Span>> {
        let _ = (trace_id, span_id, limit);
        unsupported("links to spans")
    }

    /// Returns when the oldest stored trace or log event began; `None` for an empty store.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn oldest(&self) -> StoreFuture<'_, Option<Timestamp>> {
        Box::pin(async move { Ok(self.statistics().await?.oldest) })
    }

    /// Returns stored texts that complete what a user types: first those that begin with the part,
    /// then the most frequent. Keys, values, names and categories are those of the most recently
    /// stored spans.
    ///
    /// # Errors
    /// Unsupported by default.
    fn completions(&self, query: CompletionQuery) -> StoreFuture<'_, Vec<Completion>> {
        let _ = query;
        unsupported("completions")
    }

    /// Returns how a duration compares with those of the spans of this name that began at `since`
    /// or later.
    ///
    /// # Errors
    /// Unsupported by default.
    fn duration_rank(&self, name: String, since: Timestamp, nanos: u64) -> StoreFuture<'_, DurationRank> {
        let _ = (name, since, nanos);
        unsupported("ranks of durations")
    }

    /// Returns the measurements of one metric between two times, the first included and the second
    /// excluded: a series for each label set that has any, ordered by labels.
    ///
    /// A range has a point for each step with a measurement. Steps are aligned to
    /// 1970-01-01T00:00:00Z, a Thursday, so weeks begin on Thursdays; the first and the last step
    /// only cover their part of the range. An instant query has one point for the whole time. A
    /// point is the sum of a counter's or a histogram's measurements, and the last of a gauge's. A
    /// metric that is not stored has no series.
    ///
    /// # Errors
    /// Invalid input for a start after the end, a time beyond the store's range, and a regular
    /// expression that is invalid or too large.
    fn query_metrics(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>>;

    /// Returns the statistics of a histogram's observations between two times, the first included
    /// and the second excluded: one for each label set that has any, ordered by labels. Steps and
    /// kind of the query are ignored. The result is empty for a metric that is not stored or not a
    /// histogram.
    ///
    /// # Errors
    /// As [`query_metrics`](Self::query_metrics).
    fn metric_distributions(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricDistribution>>;

    /// Returns the stored metrics, ordered by name.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>>;

    /// Returns tokens, calls and errors of model calls, a row for each group and model.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn usage(&self, query: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>>;

    /// Returns runs of agents, newest first, and their total number. A run is a trace with an
    /// agent, a model, a retrieval or a tool, or one that has a `task_id` or `agent_id`.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn list_runs(&self, filter: RunFilter) -> StoreFuture<'_, RunPage>;

    /// Returns records of one run, by its task id or the id of its trace; a trace id works for any
    /// trace.
    ///
    /// # Errors
    /// Not found.
    fn run_records(&self, task_id: String, range: RunRange) -> StoreFuture<'_, RunRecords>;

    /// Returns the cursor after all stored records; [`stored_after`](Self::stored_after) continues
    /// from there.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn latest(&self) -> StoreFuture<'_, Cursor>;

    /// Returns records that were stored after a cursor, by any process, up to `limit` of each kind.
    /// The result reports how far it has read; continuing from there loses nothing.
    ///
    /// A store whose [order](crate::Capabilities::order) is marked may return a record again.
    ///
    /// # Errors
    /// The result may be too large for this store; retry with a smaller limit.
    fn stored_after(&self, cursor: Cursor, filter: StoredFilter, limit: u64) -> StoreFuture<'_, Stored>;

    /// Deletes a run, and returns its number of spans. Other records of its traces stay.
    ///
    /// # Errors
    /// Not found; unsupported if the store was opened for reading.
    fn delete_run(&self, task_id: String) -> StoreFuture<'_, u64>;

    /// Deletes the runs whose traces ended before this time, and returns their number.
    ///
    /// # Errors
    /// Unsupported if the store was opened for reading.
    fn delete_runs_before(&self, before: Timestamp) -> StoreFuture<'_, u64>;

    /// Returns once the store can handle queries, ahead of all waiting ones, and can write if it
    /// was opened for that; for health checks. The default implementation calls
    /// [`latest`](Self::latest).
    ///
    /// # Errors
    /// The store can't read, or can't write.
    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.latest().await.map(drop) })
    }

    /// Resolves when any process may have stored something since the store returned `seen`, and at
    /// the latest after the store's own interval of some seconds. It is only a hint: callers query
    /// the store afterwards in any case. With `seen` 0 it resolves at once.
    ///
    /// Returns the `seen` of the next wait; it is unchanged if only the interval has passed.
    ///
    /// # Errors
    /// Only the store's own failures.
    fn wait_for_change(&self, seen: u64) -> StoreFuture<'_, u64>;

    /// Returns the same store restricted to one tenant: it returns only that tenant's records, and
    /// records stored through it belong to that tenant. The unrestricted store returns everything;
    /// records stored through it join the trace with the same id, and a new trace belongs to
    /// [`Tenant::DEFAULT`].
    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore>;

    /// Stores records. When it returns `Ok`, all of them are durable and survive the end of this
    /// process, even a kill. When it fails, any of them may be stored; storing the same records
    /// again stores nothing twice.
    ///
    /// A span that is already stored is not stored again: missing data is added, such as an end, or
    /// the start of a span whose end arrived first. Events and measurements have no ids: they are
    /// recognized by their [batch](NewRecords::batch), and a batch that was stored before changes
    /// nothing. For a store that writes batches atomically, the id of the batch is enough.
    ///
    /// # Errors
    /// Overloaded if too much is queued to be written; unsupported if the store was opened for
    /// reading.
    fn store(&self, records: NewRecords) -> StoreFuture<'_, IngestReceipt>;

    /// Returns what this store can do, as it was opened.
    fn capabilities(&self) -> Capabilities;

    /// Returns the store as one that runs SQL, if it does. Returns `None` for a single tenant,
    /// because SQL reads the records of all tenants.
    fn as_sql(&self) -> Option<&dyn SqlStore> {
        None
    }

    /// Stores one event of Llama Stack's telemetry API, to be kept for `ttl_seconds` seconds.
    ///
    /// # Errors
    /// Invalid input for an invalid event, and the errors of [`store`](Self::store).
    fn log_event(&self, event: Event, ttl_seconds: i64) -> StoreFuture<'_, ()> {
        let records = NewRecords::of_event(event, ttl_seconds).map_err(StoreError::invalid);
        Box::pin(async move { self.store(records?).await.map(drop) })
    }
}

fn unsupported<'a, T>(what: &'static str) -> StoreFuture<'a, T> {
    Box::pin(async move { Err(StoreError::unsupported(format!("this store has no {what}"))) })
}
