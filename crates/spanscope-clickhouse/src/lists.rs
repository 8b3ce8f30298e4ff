//! Lists of spans, single spans, trees, and the resolution of ids.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use spanscope_model::filter::{Filter, TraceNumbers};
use spanscope_model::{
    Condition, IdMatch, Order, OrderKey, Span, SpanFilter, SpanId, SpanNode, StoreError, Timestamp,
    TraceFilter, TraceId,
};

use crate::filter::Candidates;
use crate::reader::{Reader, too_many};
use crate::spans::{Detail, StoredSpan, columns};
use crate::sql::Sql;
use crate::tables::END;
use crate::traces::span_matches;
use crate::tree;
use crate::values::RawAttributes;

/// How few digits of an id are still accepted.
const MIN_PREFIX: usize = 4;
/// Rows that are read for a page in addition to it, because some are copies.
const MORE: u64 = 50;
/// The largest number of spans that are compared for one page.
const MAX_COMPARED: u64 = 100_000;

/// Where a span is in the list without an order, which [`order_of`] has.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: Timestamp,
    span: SpanId,
    trace: TraceId,
}

impl Place {
    /// ` AND ...` over spans: they come behind this one.
    fn and_behind(self) -> Sql {
        Sql::new(" AND Timestamp <= ")
            .time(self.start)
            .push(" AND (Timestamp < ")
            .time(self.start)
            .push(" OR (SpanId, TraceId) < (")
            .text(&self.span.to_string())
            .push(", ")
            .text(&self.trace.to_string())
            .push("))")
    }
}

impl Reader {
    /// Returns spans across all traces; the newest first without an order.
    pub(crate) fn list_spans(&self, filter: &SpanFilter) -> Result<Vec<Span>, StoreError> {
        let candidates = Candidates::new(&self.tables.traces, &filter.conditions, &filter.filter)?;
        let order = order_of(&filter.order_by)?;
        let wanted = usize::try_from(filter.offset.saturating_add(filter.limit)).unwrap_or(usize::MAX);
        if filter.limit == 0 {
            return Ok(Vec::new());
        }
        let before = match filter.before {
            Some(cursor) => match self.place_of(cursor)? {
                Some(place) => Some(place),
                // Nothing comes behind a span that is not stored any more.
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let after_first = before.map(|place| Timestamp::from_nanos(place.start.as_nanos().saturating_add(1)));
        let until = match (filter.until, after_first) {
            (Some(until), Some(after_first)) => Some(until.min(after_first)),
            (until, after_first) => until.or(after_first),
        };
        let windows = self.windows(filter.since, until)?;
        let windows = match filter.order_by.is_empty() {
            true => &windows[..],
            false => windows
                .split_last()
                .map_or(&[][..], |(last, _)| std::slice::from_ref(last)),
        };
        let mut found = Vec::new();
        for window in windows {
            let mut conditions = self.chosen_spans(window.from, filter, &candidates);
            if let Some(place) = before {
                conditions = conditions.add(&place.and_behind());
            }
            found = self.compared(&conditions, &order, &candidates, wanted)?;
            if found.len() >= wanted {
                break;
            }
        }
        let offset = usize::try_from(filter.offset).unwrap_or(usize::MAX);
        let page = found.into_iter().take(wanted).skip(offset);
        Ok(page.map(StoredSpan::into_listed).collect())
    }

    /// Returns the place of a span in the list without an order; of two halves of a call under one
    /// id that of the earlier, so that no page begins with a span of the page before.
    fn place_of(&self, (trace, span): (TraceId, SpanId)) -> Result<Option<Place>, StoreError> {
        let sql = Sql::new(
            "SELECT count(), toUnixTimestamp64Nano(min(Timestamp)) FROM otel_traces WHERE TraceId = ",
        )
        .text(&trace.to_string())
        .push(" AND SpanId = ")
        .text(&span.to_string())
        .add(&self.in_time_of(&[trace])?)
        .add(&self.scope_of_spans());
        let found: Option<(u64, i64)> = self.client.row(&sql)?;
        Ok(found.filter(|(count, _)| *count > 0).map(|(_, start)| Place {
            start: Timestamp::from_nanos(start),
            span,
            trace,
        }))
    }

    fn chosen_spans(&self, from: Option<i64>, filter: &SpanFilter, candidates: &Candidates) -> Sql {
        let mut sql = self.scope_of_spans();
        if let Some(from) = from {
            sql = sql.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
        }
        if let Some(until) = filter.until {
            sql = sql.push(" AND Timestamp < ").time(until);
        }
        if filter.errors {
            sql = sql.push(" AND ").column(&self.tables.traces.failed());
        }
        if let Some(service) = &filter.service {
            sql = sql.push(" AND ServiceName = ").text(service);
        }
        sql.add(&candidates.and_on_span())
    }

    /// Returns the first spans in an order that meet the conditions and match, without copies.
    fn compared(
        &self,
        conditions: &Sql,
        order: &Sql,
        candidates: &Candidates,
        wanted: usize,
    ) -> Result<Vec<StoredSpan>, StoreError> {
        let asks_of_trace = !candidates.on_trace.is_empty() || candidates.needs_tokens;
        let is_decided = candidates.is_exact && !asks_of_trace;
        let detail = match is_decided {
            true => Detail::default(),
            false => Detail::FILTER,
        };
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut offset = 0;
        loop {
            let missing = wanted.saturating_sub(found.len()) as u64;
            let limit = match is_decided {
                true => missing.saturating_add(MORE),
                false => missing.saturating_mul(2).saturating_add(MORE * 4),
            };
            let sql = Sql::new("SELECT ")
                .add(&columns(self, detail))
                .push(" FROM otel_traces WHERE 1")
                .add(conditions)
                .push(" ORDER BY ")
                .add(order)
                .push(" LIMIT ")
                .count(limit)
                .push(" OFFSET ")
                .count(offset);
            let mut spans = self.spans(&sql)?;
            let read = spans.len() as u64;
            spans.retain(|span| seen.insert(span.key()));
            if !is_decided {
                self.retain_matching(&mut spans, candidates, asks_of_trace)?;
            }
            found.append(&mut spans);
            if read < limit || found.len() >= wanted {
                found.truncate(wanted);
                return Ok(found);
            }
            offset += read;
            if offset > MAX_COMPARED {
                return Err(too_many());
            }
        }
    }

    fn retain_matching(
        &self,
        spans: &mut Vec<StoredSpan>,
        candidates: &Candidates,
        asks_of_trace: bool,
    ) -> Result<(), StoreError> {
        let mut numbers: HashMap<TraceId, TraceNumbers> = HashMap::new();
        if asks_of_trace {
            let ids: BTreeSet<TraceId> = spans.iter().map(|span| span.span.trace_id).collect();
            let ids: Vec<TraceId> = ids.into_iter().collect();
            let tokens = self.tokens_of(&ids, candidates)?;
            for summary in self.summaries_of(&ids)? {
                let id = summary.trace.trace_id;
                let mut of_trace = TraceNumbers::from(&summary);
                of_trace.tokens = tokens.get(&id).copied();
                numbers.insert(id, of_trace);
            }
        }
        spans.retain(|span| {
            let of_trace = numbers.get(&span.span.trace_id).copied().unwrap_or_default();
            span_matches(span, of_trace, candidates)
        });
        Ok(())
    }

    /// Returns the spans of the newest traces that have a matching span.
    pub(crate) fn query_spans(
        &self,
        conditions: Vec<Condition>,
        filter: Filter,
        attributes: &[String],
        max_depth: Option<u32>,
    ) -> Result<Vec<Span>, StoreError> {
        tree::check_depth(max_depth)?;
        let of_traces = TraceFilter::default().conditions(conditions).filter(filter);
        let traces = self.list_traces(&of_traces)?;
        let ids: Vec<TraceId> = traces.iter().map(|summary| summary.trace.trace_id).collect();
        let mut by_trace: HashMap<TraceId, Vec<Span>> = HashMap::new();
        for span in self.spans_of(&ids, Detail::default())? {
            by_trace
                .entry(span.span.trace_id)
                .or_default()
                .push(span.into_listed());
        }
        let mut found = Vec::new();
        for id in ids {
            let spans = by_trace.remove(&id).unwrap_or_default();
            found.extend(tree::of_trace(spans, attributes, max_depth));
        }
        Ok(found)
    }

    /// Returns one span, with its resource and scope.
    pub(crate) fn get_span(&self, trace_id: TraceId, span_id: SpanId) -> Result<Span, StoreError> {
        let condition = Sql::new(" AND SpanId = ").text(&span_id.to_string());
        let found = self.spans_of_traces(&[trace_id], &condition, Detail::FILTER)?;
        let last = found.into_iter().next_back();
        last.map(StoredSpan::into_whole).ok_or_else(|| {
            StoreError::not_found(format!("no span {span_id} of trace {trace_id} is stored here"))
        })
    }

    pub(crate) fn span_tree(
        &self,
        span_id: SpanId,
        attributes: Option<&[String]>,
        max_depth: Option<u32>,
    ) -> Result<BTreeMap<SpanId, SpanNode>, StoreError> {
        tree::check_depth(max_depth)?;
        let trace = self.newest_trace_of(span_id)?;
        let trace =
            trace.ok_or_else(|| StoreError::not_found(format!("no span {span_id} is stored here")))?;
        let spans = self.spans_of_trace(trace, Detail::default())?;
        let spans = spans.into_iter().map(StoredSpan::into_listed).collect();
        Ok(tree::below(spans, span_id, attributes, max_depth))
    }

    /// Returns the newest trace with a span of this id.
    fn newest_trace_of(&self, span_id: SpanId) -> Result<Option<TraceId>, StoreError> {
        let sql = Sql::new("SELECT TraceId FROM otel_traces WHERE SpanId = ")
            .text(&span_id.to_string())
            .add(&self.scope_of_spans())
            .push(" ORDER BY Timestamp DESC LIMIT 1");
        let found: Option<(String,)> = self.client.row(&sql)?;
        Ok(found.and_then(|(id,)| id.parse().ok()))
    }

    /// Resolves an id, or a prefix of one. The complete id of a span means that span, in its newest
    /// trace.
    pub(crate) fn resolve(&self, prefix: &str) -> Result<IdMatch, StoreError> {
        let prefix = prefix.trim().to_ascii_lowercase();
        let is_hex = prefix.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_hex || prefix.len() < MIN_PREFIX || prefix.len() > TraceId::DIGITS {
            return Err(StoreError::invalid(format!(
                "{prefix:?} is not an id: give {MIN_PREFIX} to {} hexadecimal digits, a prefix of a trace id or of a span id",
                TraceId::DIGITS
            )));
        }
        if let Ok(id) = prefix.parse::<SpanId>()
            && let Some(trace) = self.newest_trace_of(id)?
        {
            return Ok(IdMatch::Span(trace, id));
        }
        // Every text that begins with the prefix sorts before prefix + 'g', the letter after the
        // hexadecimal ones.
        let after = format!("{prefix}g");
        let between = |sql: Sql, column: &'static str| {
            sql.push(column)
                .push(" >= ")
                .text(&prefix)
                .push(" AND ")
                .push(column)
                .push(" < ")
                .text(&after)
        };
        // The table of times is sorted by id, but has no tenants.
        let traces = match self.tables.traces.has_times && self.scope_of_spans().is_empty() {
            true => between(
                Sql::new("SELECT DISTINCT TraceId FROM otel_traces_trace_id_ts WHERE "),
                "TraceId",
            ),
            false => between(
                Sql::new("SELECT DISTINCT TraceId FROM otel_traces WHERE "),
                "TraceId",
            )
            .add(&self.scope_of_spans()),
        };
        let traces: Vec<(String,)> = self.client.rows(&traces.push(" LIMIT 2"))?;
        let mut matches: Vec<IdMatch> = traces
            .iter()
            .filter_map(|(id,)| id.parse().ok().map(IdMatch::Trace))
            .collect();
        if prefix.len() <= SpanId::DIGITS && matches.len() < 2 {
            let sql = between(
                Sql::new("SELECT DISTINCT TraceId, SpanId FROM otel_traces WHERE "),
                "SpanId",
            )
            .add(&self.scope_of_spans())
            .push(" LIMIT 2");
            let spans: Vec<(String, String)> = self.client.rows(&sql)?;
            matches.extend(
                spans
                    .iter()
                    .filter_map(|(trace, span)| Some(IdMatch::Span(trace.parse().ok()?, span.parse().ok()?))),
            );
        }
        match matches[..] {
            [] => Err(StoreError::not_found(format!(
                "no trace or span id begins with {prefix}"
            ))),
            [only] => Ok(only),
            [first, second, ..] => Err(StoreError::invalid(format!(
                "{prefix} is ambiguous: {} and {} begin with it, give more digits",
                shown(first),
                shown(second)
            ))),
        }
    }

    /// Returns the attribute keys of the newest spans and of their resources, sorted.
    pub(crate) fn attribute_keys(&self, newest: u64) -> Result<Vec<String>, StoreError> {
        let traces = &self.tables.traces;
        let mut keys = BTreeSet::new();
        let Some(from) = self.begin_of_newest(newest)? else {
            return Ok(Vec::new());
        };
        let sql = Sql::new("SELECT DISTINCT ")
            .column(&format!(
                "{}, {}",
                traces.attributes.select(),
                traces.resource.select()
            ))
            .push(" FROM otel_traces WHERE Timestamp >= ")
            .time(Timestamp::from_nanos(from))
            .add(&self.scope_of_spans())
            .push(" LIMIT ")
            .count(newest);
        type Row = (RawAttributes, Vec<String>, RawAttributes, Vec<String>);
        self.client
            .for_each(&sql, |(own, names, shared, of_resource): Row| {
                for (attributes, names) in [(own, names), (shared, of_resource)] {
                    let attributes = attributes.read(&names);
                    // The name of the service is a field of the span.
                    let found = attributes
                        .iter()
                        .map(|(key, _)| key)
                        .filter(|key| *key != "service.name");
                    keys.extend(found.map(str::to_owned));
                }
                Ok(())
            })?;
        Ok(keys.into_iter().collect())
    }

    /// Returns when the oldest of the newest spans began; `None` without spans.
    pub(crate) fn begin_of_newest(&self, newest: u64) -> Result<Option<i64>, StoreError> {
        let mut begin = None;
        for window in self.windows(None, None)? {
            let mut sql = Sql::new(
                "SELECT count(), toUnixTimestamp64Nano(min(Timestamp)) FROM (SELECT Timestamp FROM otel_traces WHERE 1",
            )
            .add(&self.scope_of_spans());
            if let Some(from) = window.from {
                sql = sql.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
            }
            sql = sql
                .push(" ORDER BY Timestamp DESC LIMIT ")
                .count(newest)
                .push(")");
            let found: Option<(u64, i64)> = self.client.row(&sql)?;
            let Some((count, oldest)) = found else { break };
            begin = (count > 0).then_some(oldest);
            if count >= newest {
                break;
            }
        }
        Ok(begin)
    }
}

fn shown(id: IdMatch) -> String {
    match id {
        IdMatch::Trace(trace) => format!("trace {trace}"),
        IdMatch::Span(_, span) => format!("span {span}"),
    }
}

fn order_of(orders: &[Order]) -> Result<Sql, StoreError> {
    let mut sql = Sql::default();
    for order in orders {
        sql = sql
            .push(match order.key {
                OrderKey::StartTime => "Timestamp",
                OrderKey::EndTime => END,
                OrderKey::DurationMs => "Duration",
                OrderKey::TraceId => "TraceId",
                OrderKey::SpanCount => {
                    return Err(StoreError::invalid(
                        "span_count orders traces, not spans: use one of start_time end_time duration_ms trace_id",
                    ));
                }
            })
            .push(if order.descending { " DESC, " } else { ", " });
    }
    Ok(sql.push("Timestamp DESC, SpanId DESC, TraceId DESC"))
}
