//! Traces: lists of them, their sums, and their spans.

use std::collections::HashMap;

use serde::Deserialize;
use spanscope_model::filter::{SpanSubject, TraceNumbers};
use spanscope_model::{
    Histogram, HistogramRange, Order, OrderKey, SpanId, SpanState, SpanStatus, StoreError, Timestamp, Trace,
    TraceFilter, TraceId, TraceSummary,
};

use crate::filter::Candidates;
use crate::reader::{MARGIN, Reader, Window, too_many};
use crate::spans::{Detail, StoredSpan, columns, without_copies};
use crate::sql::Sql;
use crate::statistics::{bucket_of, check_range};
use crate::tables::{END, IS_RECEIVER};
use crate::usage;

/// The largest number of traces of which spans are compared for one page.
const MAX_COMPARED: usize = 20_000;
/// What a histogram counts.
const TRACE_WORDS: [&str; 3] = ["ok", "error", "running"];
/// Traces whose spans are read at once.
const BATCH: usize = 200;

/// The columns of [`Reader::sums`].
#[derive(Debug, Deserialize)]
struct SumRow(String, i64, i64, u64, u64, (String, String, String), String);

impl Reader {
    /// `SELECT ... FROM otel_traces WHERE 1` of the sums of traces, to be grouped by `TraceId`.
    fn sums(&self) -> Sql {
        let failed = self.tables.traces.failed();
        Sql::default()
            .column(&format!(
                "SELECT TraceId, min(toUnixTimestamp64Nano(Timestamp)) AS begun, max({END}) AS ended, \
             uniqExact(SpanId, {IS_RECEIVER}) AS span_count, \
             uniqExactIf((SpanId, {IS_RECEIVER}), {failed}) AS error_count, \
             argMin((SpanId, SpanName, ServiceName), (ParentSpanId != '', Timestamp, SpanId)) AS root, \
             ended - begun AS duration_nanos, "
            ))
            .add(&self.tenant_column())
            .push(" AS tenant FROM otel_traces WHERE 1")
            .add(&self.scope_of_spans())
    }

    fn summaries(&self, sql: &Sql) -> Result<Vec<TraceSummary>, StoreError> {
        let found = self.summaries_of_tenants(sql)?.into_iter();
        Ok(found.map(|(_, summary)| summary).collect())
    }

    /// The sums, each with its tenant where the caller sees several.
    fn summaries_of_tenants(&self, sql: &Sql) -> Result<Vec<(String, TraceSummary)>, StoreError> {
        // The duration is for conditions and orders only.
        let sql = Sql::new("SELECT TraceId, begun, ended, span_count, error_count, root, tenant FROM (")
            .add(sql)
            .push(")");
        let rows: Vec<SumRow> = self.client.rows(&sql)?;
        Ok(rows.into_iter().filter_map(summary).collect())
    }

    pub(crate) fn list_traces(&self, filter: &TraceFilter) -> Result<Vec<TraceSummary>, StoreError> {
        let candidates = Candidates::new(&self.tables.traces, &filter.conditions, &filter.filter)?;
        // No span of these tables runs.
        if filter.running || filter.limit == 0 {
            return Ok(Vec::new());
        }
        let wanted = usize::try_from(filter.offset.saturating_add(filter.limit)).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let windows = self.windows(filter.since, until_of(filter))?;
        let windows = match filter.order_by.is_empty() {
            true => &windows[..],
            // Another order needs all traces of the time.
            false => windows
                .split_last()
                .map_or(&[][..], |(last, _)| std::slice::from_ref(last)),
        };
        for window in windows {
            found = self.list_in(*window, filter, &candidates, wanted)?;
            if found.len() >= wanted {
                break;
            }
        }
        let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
        Ok(found.into_iter().take(wanted).skip(offset).collect())
    }

    /// The first `wanted` traces that began in a window, in the filter's order.
    fn list_in(
        &self,
        window: Window,
        filter: &TraceFilter,
        candidates: &Candidates,
        wanted: usize,
    ) -> Result<Vec<TraceSummary>, StoreError> {
        let is_decided = candidates.is_exact;
        let limit = match is_decided {
            true => wanted,
            false => MAX_COMPARED,
        };
        let sql = self
            .chosen(window, filter, candidates, Some(limit))
            .push(" ORDER BY ")
            .add(&order_of(&filter.order_by))
            .push(" LIMIT ")
            .count(limit as u64);
        let mut found = self.summaries(&sql)?;
        self.leave_older(window, &mut found)?;
        if is_decided {
            return Ok(found);
        }
        let is_cut = found.len() >= MAX_COMPARED;
        let mut matching = Vec::new();
        for batch in found.chunks(BATCH) {
            matching.extend(self.matching(batch, candidates)?);
            if matching.len() >= wanted {
                return Ok(matching);
            }
        }
        if is_cut {
            return Err(too_many());
        }
        Ok(matching)
    }

    /// Counts traces by start, as a list would have them.
    pub(crate) fn trace_histogram(
        &self,
        filter: &TraceFilter,
        range: HistogramRange,
    ) -> Result<Histogram, StoreError> {
        check_range(range)?;
        let mut filter = filter.clone();
        filter.since = Some(filter.since.map_or(range.from, |since| since.max(range.from)));
        filter.until = Some(filter.until.map_or(range.to, |until| until.min(range.to)));
        filter.before = None;
        filter.order_by = Vec::new();
        filter.offset = 0;
        filter.limit = u64::MAX;
        let candidates = Candidates::new(&self.tables.traces, &filter.conditions, &filter.filter)?;
        let mut counts = vec![vec![0_u64; range.buckets as usize]; TRACE_WORDS.len()];
        let mut add = |start: i64, has_failed: bool, count: u64| {
            if let Some(bucket) = bucket_of(range, Timestamp::from_nanos(start)) {
                counts[usize::from(has_failed)][bucket] += count;
            }
        };
        if filter.running {
            // No span of these tables runs.
        } else if candidates.is_exact && !candidates.needs_tokens {
            let window = Window {
                from: filter.since.map(Timestamp::as_nanos),
                is_last: true,
            };
            let sql = Sql::new("SELECT min(begun), error_count > 0 AS failed, count() FROM (")
                .add(&self.chosen(window, &filter, &candidates, None))
                .push(") GROUP BY intDiv(begun - ")
                .integer(range.from.as_nanos())
                .push(", ")
                .integer(range.step_nanos())
                .push("), failed");
            self.client
                .for_each(&sql, |(start, failed, count): (i64, u8, u64)| {
                    add(start, failed != 0, count);
                    Ok(())
                })?;
        } else {
            for summary in self.list_traces(&filter)? {
                add(summary.trace.start_time.as_nanos(), summary.error_count > 0, 1);
            }
        }
        Ok(Histogram::default()
            .series(TRACE_WORDS.into_iter().zip(counts).collect())
            .every(1))
    }

    /// The sums of the traces that began in a window and that the filter lets through, as far as
    /// the server can decide it.
    fn chosen(
        &self,
        window: Window,
        filter: &TraceFilter,
        candidates: &Candidates,
        limit: Option<usize>,
    ) -> Sql {
        let mut inner =
            Sql::new("SELECT TraceId FROM otel_traces WHERE TraceId != ''").add(&self.scope_of_spans());
        let mut sql = self.sums();
        if let Some(from) = window.from {
            inner = inner.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
            let from = from.saturating_sub(MARGIN);
            sql = sql.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
        }
        let until = until_of(filter);
        if candidates.on_span.is_empty()
            && let Some(until) = until
        {
            // The first span of a trace is one of these.
            inner = inner.push(" AND Timestamp < ").time(until);
        }
        inner = inner.add(&candidates.and_on_span()).push(" GROUP BY TraceId");
        let is_plain = candidates.is_empty() && !filter.errors && filter.service.is_none();
        if is_plain
            && filter.order_by.is_empty()
            && filter.before.is_none()
            && let Some(limit) = limit
        {
            // Traces that go on in the window without having begun in it are among these.
            let limit = limit.saturating_mul(2).saturating_add(50);
            inner = inner
                .push(" ORDER BY min(Timestamp) DESC, TraceId DESC LIMIT ")
                .count(limit as u64);
        }
        sql = sql
            .push(" AND TraceId GLOBAL IN (")
            .add(&inner)
            .push(") GROUP BY TraceId, tenant HAVING 1");
        if let Some(from) = window.from {
            sql = sql.push(" AND begun >= ").integer(from);
        }
        if let Some(until) = filter.until {
            sql = sql.push(" AND begun < ").integer(until.as_nanos());
        }
        if filter.errors {
            sql = sql.push(" AND error_count > 0");
        }
        if let Some((start, id)) = filter.before {
            let start = start.as_nanos();
            sql = sql
                .push(" AND (begun < ")
                .integer(start)
                .push(" OR (begun = ")
                .integer(start)
                .push(" AND TraceId < ")
                .text(&id.to_string())
                .push("))");
        }
        if let Some(service) = &filter.service {
            sql = sql.push(" AND root.3 = ").text(service);
        }
        sql.add(&candidates.and_on_trace())
    }

    /// Leaves out traces that began before the window and paused longer than its margin.
    fn leave_older(&self, window: Window, found: &mut Vec<TraceSummary>) -> Result<(), StoreError> {
        let (Some(from), true) = (window.from, self.tables.traces.has_times) else {
            return Ok(());
        };
        if found.is_empty() {
            return Ok(());
        }
        let seen_from = from.saturating_sub(MARGIN).div_euclid(1_000_000_000);
        let sql = Sql::new("SELECT TraceId FROM otel_traces_trace_id_ts WHERE TraceId IN ")
            .texts(found.iter().map(|summary| summary.trace.trace_id.to_string()))
            .push(" GROUP BY TraceId HAVING toInt64(toUnixTimestamp(min(Start))) < ")
            .integer(seen_from);
        let older: Vec<(String,)> = self.client.rows(&sql)?;
        found.retain(|summary| {
            let id = summary.trace.trace_id.to_string();
            !older.iter().any(|(older,)| *older == id)
        });
        Ok(())
    }

    /// Those of some traces that have a matching span.
    fn matching(
        &self,
        traces: &[TraceSummary],
        candidates: &Candidates,
    ) -> Result<Vec<TraceSummary>, StoreError> {
        let ids: Vec<TraceId> = traces.iter().map(|summary| summary.trace.trace_id).collect();
        let spans = self.spans_of_traces(&ids, &candidates.and_on_span(), Detail::FILTER)?;
        let tokens = self.tokens_of(&ids, candidates)?;
        let numbers: HashMap<TraceId, TraceNumbers> = traces
            .iter()
            .map(|summary| {
                let id = summary.trace.trace_id;
                let mut numbers = TraceNumbers::from(summary);
                numbers.tokens = tokens.get(&id).copied();
                (id, numbers)
            })
            .collect();
        let mut matching: HashMap<TraceId, bool> = HashMap::new();
        for span in &spans {
            let of = numbers.get(&span.span.trace_id).copied().unwrap_or_default();
            let known = matching.entry(span.span.trace_id).or_default();
            *known = *known || span_matches(span, of, candidates);
        }
        let is_matching = |summary: &&TraceSummary| matching.get(&summary.trace.trace_id) == Some(&true);
        Ok(traces.iter().filter(is_matching).cloned().collect())
    }

    /// The tokens of some traces, where the filter asks for them.
    pub(crate) fn tokens_of(
        &self,
        ids: &[TraceId],
        candidates: &Candidates,
    ) -> Result<HashMap<TraceId, u64>, StoreError> {
        if !candidates.needs_tokens {
            return Ok(HashMap::new());
        }
        let spans = self.spans_of(ids, Detail::default())?;
        Ok(usage::tokens_by_trace(&spans))
    }

    /// Returns the sums of these traces, without an order.
    pub(crate) fn summaries_of(&self, ids: &[TraceId]) -> Result<Vec<TraceSummary>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self
            .sums()
            .push(" AND TraceId IN ")
            .texts(ids.iter().map(TraceId::to_string))
            .add(&self.in_time_of(ids)?)
            .push(" GROUP BY TraceId, tenant ORDER BY begun");
        self.summaries(&sql)
    }

    /// Returns the sums of the traces whose spans are chosen, with their tenants where the caller
    /// sees several.
    pub(crate) fn sums_of(&self, chosen: &Sql) -> Result<Vec<(String, TraceSummary)>, StoreError> {
        self.summaries_of_tenants(&self.sums().add(chosen).push(" GROUP BY TraceId, tenant"))
    }

    pub(crate) fn summary_of(&self, id: TraceId) -> Result<TraceSummary, StoreError> {
        let found = self.summaries_of(&[id])?.into_iter().next();
        found.ok_or_else(|| no_trace(id))
    }

    /// Returns all spans of these traces, by start.
    pub(crate) fn spans_of(&self, ids: &[TraceId], detail: Detail) -> Result<Vec<StoredSpan>, StoreError> {
        self.spans_of_traces(ids, &Sql::default(), detail)
    }

    /// Returns the spans of these traces that meet conditions, by start.
    pub(crate) fn spans_of_traces(
        &self,
        ids: &[TraceId],
        conditions: &Sql,
        detail: Detail,
    ) -> Result<Vec<StoredSpan>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = Sql::new("SELECT ")
            .add(&columns(self, detail))
            .push(" FROM otel_traces WHERE TraceId IN ")
            .texts(ids.iter().map(TraceId::to_string))
            .add(&self.in_time_of(ids)?)
            .add(&self.scope_of_spans())
            .add(conditions);
        let mut spans = self.spans(&sql)?;
        without_copies(&mut spans);
        spans.sort_by_key(|span| (span.span.start_time, span.span.span_id));
        Ok(spans)
    }

    /// Returns all spans of one trace, by start.
    pub(crate) fn spans_of_trace(&self, id: TraceId, detail: Detail) -> Result<Vec<StoredSpan>, StoreError> {
        let spans = self.spans_of(&[id], detail)?;
        if spans.is_empty() {
            return Err(no_trace(id));
        }
        Ok(spans)
    }
}

/// Returns whether a span matches all terms.
pub(crate) fn span_matches(span: &StoredSpan, of_trace: TraceNumbers, candidates: &Candidates) -> bool {
    let subject = SpanSubject::new(&span.span)
        .resource(&span.resource)
        .events(&span.events)
        .trace(of_trace);
    candidates.filter.matches_untyped(&subject)
}

pub(crate) fn no_trace(id: TraceId) -> StoreError {
    StoreError::not_found(format!("no trace {id} is stored here"))
}

/// The time before which all traces of a filter began.
fn until_of(filter: &TraceFilter) -> Option<Timestamp> {
    let before = filter
        .before
        .map(|(start, _)| Timestamp::from_nanos(start.as_nanos().saturating_add(1)));
    match (filter.until, before) {
        (Some(until), Some(before)) => Some(until.min(before)),
        (until, before) => until.or(before),
    }
}

fn order_of(orders: &[Order]) -> Sql {
    let mut sql = Sql::default();
    for order in orders {
        sql = sql
            .push(match order.key {
                OrderKey::StartTime => "begun",
                OrderKey::EndTime => "ended",
                OrderKey::DurationMs => "duration_nanos",
                OrderKey::TraceId => "TraceId",
                OrderKey::SpanCount => "span_count",
            })
            .push(if order.descending { " DESC, " } else { ", " });
    }
    match orders.is_empty() {
        true => sql.push("begun DESC, TraceId DESC"),
        false => sql.push("TraceId"),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the model shows milliseconds as a float"
)]
fn summary(row: SumRow) -> Option<(String, TraceSummary)> {
    let SumRow(id, begun, ended, span_count, error_count, (root, root_name, service_name), tenant) = row;
    let root_span_id: SpanId = root.parse().ok()?;
    let summary = TraceSummary::new(
        Trace::new(id.parse().ok()?, root_span_id, Timestamp::from_nanos(begun))
            .end_time(Some(Timestamp::from_nanos(ended))),
        root_name,
        SpanState::Ended,
    )
    .service_name(service_name)
    .duration_ms(Some(ended.saturating_sub(begun) as f64 / 1e6))
    .status(Some(match error_count {
        0 => SpanStatus::Ok,
        _ => SpanStatus::Error,
    }))
    .span_count(span_count)
    .error_count(error_count);
    Some((tenant, summary))
}
