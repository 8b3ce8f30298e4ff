//! [`TraceStore`]: the contract of a span store.
//!
//! Never here: how a store does it. A method that one kind of store can't offer fails as
//! [unsupported](crate::StoreErrorKind::Unsupported), and [`Capabilities`] says so before.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::filter::Filter;
use crate::{
    Capabilities, Condition, Cursor, Event, IngestReceipt, LogEvent, LogFilter, MetricDistribution,
    MetricInfo, MetricQuery, MetricSeries, NameStats, NewRecords, RunFilter, RunPage, RunRange, RunRecords,
    Span, SpanFilter, SpanId, SpanNode, SqlStore, StoreError, StoreStats, Stored, StoredFilter, Tenant,
    Timestamp, Trace, TraceFilter, TraceId, TraceQuery, TraceSummary, UsageQuery, UsageRow,
};

/// What an id, or the beginning of one, stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMatch {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(TraceId, SpanId),
}

/// What the methods of [`TraceStore`] return. Boxed, so that servers can hold any store as `dyn TraceStore`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place that keeps spans and answers questions about them (seed 1, specification section 6).
///
/// All conditions of one question must hold on one same span. An attribute key is literal. Data with cycles,
/// orphans and doubled ids does no harm. Nothing that a caller sends becomes part of a query's text.
pub trait TraceStore: Send + Sync {
    /// Traces that have a matching span, newest first unless `order_by` says else.
    ///
    /// # Errors
    /// An unknown order key or a negative limit is invalid input.
    fn query_traces(&self, query: TraceQuery) -> StoreFuture<'_, Vec<Trace>> {
        let filter = TraceFilter::try_from(query);
        Box::pin(async move {
            let found = self.list_traces(filter?).await?;
            Ok(found.into_iter().map(|summary| summary.trace).collect())
        })
    }

    /// One trace.
    ///
    /// # Errors
    /// Not found.
    fn get_trace(&self, trace_id: TraceId) -> StoreFuture<'_, Trace>;

    /// One span.
    ///
    /// # Errors
    /// Not found.
    fn get_span(&self, trace_id: TraceId, span_id: SpanId) -> StoreFuture<'_, Span>;

    /// A span and everything below it, by span id, down to `max_depth` (1 is the span alone; none: all).
    /// `attributes_to_return` cuts the attributes to these keys.
    ///
    /// # Errors
    /// Not found.
    fn get_span_tree(
        &self,
        span_id: SpanId,
        attributes_to_return: Option<Vec<String>>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, BTreeMap<SpanId, SpanNode>>;

    /// The spans, to `max_depth` below their root, of the traces that have a matching span, if they carry all
    /// `attributes_to_return`; their attributes are cut to these, unless the list is empty. A span matches if
    /// all conditions and all terms of the filter hold on it.
    ///
    /// # Errors
    /// A condition that makes no sense is invalid input.
    fn query_spans(
        &self,
        attribute_filters: Vec<Condition>,
        filter: Filter,
        attributes_to_return: Vec<String>,
        max_depth: Option<u32>,
    ) -> StoreFuture<'_, Vec<Span>>;

    /// What an id stands for, or an unambiguous beginning of at least 4 digits of one.
    ///
    /// # Errors
    /// Not found; invalid input if it is no hex, too short, or fits several.
    fn resolve_id(&self, prefix: String) -> StoreFuture<'_, IdMatch>;

    /// Traces with what a list of them shows.
    ///
    /// # Errors
    /// A condition that makes no sense is invalid input.
    fn list_traces(&self, filter: TraceFilter) -> StoreFuture<'_, Vec<TraceSummary>>;

    /// Spans across all traces.
    ///
    /// # Errors
    /// A condition that makes no sense is invalid input.
    fn list_spans(&self, filter: SpanFilter) -> StoreFuture<'_, Vec<Span>>;

    /// All spans of a trace, by start.
    ///
    /// # Errors
    /// Not found.
    fn trace_spans(&self, trace_id: TraceId) -> StoreFuture<'_, Vec<Span>>;

    /// Log events, in the order of their times.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn list_logs(&self, filter: LogFilter) -> StoreFuture<'_, Vec<LogEvent>>;

    /// Sizes, counts, losses.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn statistics(&self) -> StoreFuture<'_, StoreStats>;

    /// Count, errors and percentiles of duration by span name, the largest total first, of the spans that
    /// began at `since` or later and before `until`.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn name_statistics(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreFuture<'_, Vec<NameStats>>;

    /// The attribute keys of the `newest` spans that were stored last, and of the resources of programs,
    /// sorted: to tell a slip in a filter from a key that is rare.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn attribute_keys(&self, newest: u64) -> StoreFuture<'_, Vec<String>>;

    /// The measurements of one metric between two times, the first included and the second not: a series for each label
    /// set that has any, by labels.
    ///
    /// A range has a point for each step that holds a measurement. Steps are aligned to 1970-01-01T00:00:00Z, which was a
    /// Thursday, so weeks begin on Thursdays; the first and the last step hold what of them is inside of the range. An
    /// instant query has one point, for all of the time. A point is the sum of a counter's or a histogram's measurements,
    /// and the last of a gauge's. A metric that is not stored has no series.
    ///
    /// # Errors
    /// A start after the end, a time that the store can't tell from "beyond all times" and a regular expression that is
    /// wrong or would grow too large are invalid input.
    fn query_metrics(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricSeries>>;

    /// What the observations of a histogram between two times come to, the first included and the second not: one for each
    /// label set that has any, by labels. Steps and kind of the query do not matter. A metric that is not stored, or is no
    /// histogram, has none.
    ///
    /// # Errors
    /// As [`query_metrics`](Self::query_metrics).
    fn metric_distributions(&self, query: MetricQuery) -> StoreFuture<'_, Vec<MetricDistribution>>;

    /// The stored metrics, by name.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn list_metrics(&self) -> StoreFuture<'_, Vec<MetricInfo>>;

    /// Tokens, calls and errors of model calls, a row for each group and model.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn usage(&self, query: UsageQuery) -> StoreFuture<'_, Vec<UsageRow>>;

    /// Runs of agents, newest first, and how many there are: traces in which an agent, a model, a retrieval or a tool was at
    /// work, or that say `task_id` or `agent_id` (specification section 10).
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn list_runs(&self, filter: RunFilter) -> StoreFuture<'_, RunPage>;

    /// Records of one run, by its task id or the id of its trace; by the latter, of any trace.
    ///
    /// # Errors
    /// Not found.
    fn run_records(&self, task_id: String, range: RunRange) -> StoreFuture<'_, RunRecords>;

    /// The cursor behind everything that is stored now: from here on,
    /// [`stored_after`](Self::stored_after) follows what is being written.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn latest(&self) -> StoreFuture<'_, Cursor>;

    /// Records that were stored after a cursor, by any process, up to `limit` of each kind. The
    /// answer says how far it has read; asking from there loses nothing.
    ///
    /// A store whose [order](crate::Capabilities::order) is marked may answer a record again.
    ///
    /// # Errors
    /// The answer may be too large for this store; then ask with a smaller limit.
    fn stored_after(&self, cursor: Cursor, filter: StoredFilter, limit: u64) -> StoreFuture<'_, Stored>;

    /// Deletes a run, and says how many spans it had. What else lies in its traces stays.
    ///
    /// # Errors
    /// Not found; unsupported, where the store was opened for reading.
    fn delete_run(&self, task_id: String) -> StoreFuture<'_, u64>;

    /// Deletes the runs whose traces ended before then, and says how many they were.
    ///
    /// # Errors
    /// Unsupported, where the store was opened for reading.
    fn delete_runs_before(&self, before: Timestamp) -> StoreFuture<'_, u64>;

    /// Returns once the store can answer questions, in front of all that wait, and can write where it
    /// was opened for that; for those who watch a server. By default it asks for
    /// [`latest`](Self::latest).
    ///
    /// # Errors
    /// The store can't answer, or can't write.
    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.latest().await.map(drop) })
    }

    /// A hint that reading again may be worth it: resolves when something may have been stored, by
    /// any process, since the store returned `seen`, and at the latest after the store's own
    /// interval, some seconds. Callers read then, whatever it returns. 0 resolves at once.
    ///
    /// Returns the number to wait with next; it is the same one where only the interval is over.
    ///
    /// # Errors
    /// Only what a store's own failure makes.
    fn wait_for_change(&self, seen: u64) -> StoreFuture<'_, u64>;

    /// The same store as one tenant sees it: it answers nothing of the others', and what is given to it is that tenant's.
    /// The store itself answers all; what is given to it joins the trace that is there under the same id, and a new trace
    /// belongs to [`Tenant::DEFAULT`].
    fn for_tenant(&self, tenant: &Tenant) -> Arc<dyn TraceStore>;

    /// Stores records. When it returns `Ok`, all of them are stored and outlive the end of this
    /// process, however it comes. When it fails, any of them may be stored; giving the same records
    /// again stores nothing twice.
    ///
    /// A span that is there already is not stored again: what it lacked is added, an end, the start
    /// of one whose end came first. Events and measurements have no ids: they are known again by
    /// their [batch](NewRecords::batch), and a batch that was stored before changes nothing. A store
    /// that writes all of a batch or nothing needs none for it.
    ///
    /// # Errors
    /// Overloaded, where too much is queued to be written; unsupported, where the store was opened
    /// for reading.
    fn store(&self, records: NewRecords) -> StoreFuture<'_, IngestReceipt>;

    /// What this store can do, as it was opened.
    fn capabilities(&self) -> Capabilities;

    /// The store as one that runs SQL, where it is one. Never for a single tenant, because SQL sees
    /// all of them.
    fn as_sql(&self) -> Option<&dyn SqlStore> {
        None
    }

    /// Stores one event of the telemetry API (seed 1), to be kept for so many seconds.
    ///
    /// # Errors
    /// An event that makes no sense is invalid input; and as [`store`](Self::store).
    fn log_event(&self, event: Event, ttl_seconds: i64) -> StoreFuture<'_, ()> {
        let records = NewRecords::of_event(event, ttl_seconds).map_err(StoreError::invalid);
        Box::pin(async move { self.store(records?).await.map(drop) })
    }
}
