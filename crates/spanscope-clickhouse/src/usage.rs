//! Tokens, calls and errors of model calls, counted when they are asked for.
//!
//! Which spans count as calls depends on the spans above and below them, so all spans of a trace
//! are read, with those attributes only that say something about a call. The rule is
//! [`counted_calls`](spanscope_runs::counted_calls), as for a run's summary.

use std::collections::{BTreeMap, HashMap};

use spanscope_model::semconv::{SemanticAttribute as A, SpanCall, is_model_operation, names_of};
use spanscope_model::{
    Span, SpanId, SpanStatus, SpanUsage, StoreError, TraceId, UsageBy, UsageQuery, UsageRow,
};
use spanscope_runs::counted_calls;

use crate::light::Wanted;
use crate::reader::{MARGIN, Reader};
use crate::spans::StoredSpan;
use crate::sql::Sql;

/// An agent that is further above a call is not looked for.
const MAX_DEPTH: usize = 64;

/// A call that counts.
struct Call {
    span_id: SpanId,
    has_failed: bool,
    call: SpanCall,
    /// Index of its span.
    place: usize,
}

/// The calls of a trace that count.
fn calls_of(spans: &[Span]) -> Vec<Call> {
    let counted = counted_calls(spans);
    let calls = spans
        .iter()
        .zip(counted)
        .enumerate()
        .filter(|(_, (_, counts))| *counts);
    calls
        .filter_map(|(place, (span, _))| {
            let call = SpanCall::of(span.attributes.raw())?;
            Some(Call {
                span_id: span.span_id,
                has_failed: span.status == Some(SpanStatus::Error),
                call,
                place,
            })
        })
        .collect()
}

/// The sum of what calls of one group used.
#[derive(Debug)]
struct Sum {
    row: UsageRow,
    cost: f64,
    with_cost: u64,
    with_tokens: u64,
}

impl Sum {
    fn new(group: String, model: &str, provider: &str) -> Self {
        Self {
            row: UsageRow::new(group, model, provider),
            cost: 0.0,
            with_cost: 0,
            with_tokens: 0,
        }
    }

    fn add(&mut self, call: &Call) {
        let usage = &call.call.facts.usage;
        let has_tokens = usage.is_any();
        let row = &mut self.row;
        row.input = row.input.saturating_add(usage.input.unwrap_or(0));
        row.output = row.output.saturating_add(usage.output.unwrap_or(0));
        row.total = row.total.saturating_add(usage.total.unwrap_or(0));
        row.cached_read = row.cached_read.saturating_add(usage.cache_read.unwrap_or(0));
        row.cached_write = row.cached_write.saturating_add(usage.cache_write.unwrap_or(0));
        row.calls += u64::from(has_tokens || call.has_failed || is_model_operation(&call.call.operation));
        row.errors += u64::from(call.has_failed);
        self.with_tokens += u64::from(has_tokens);
        if let Some(cost) = call.call.facts.cost.filter(|_| has_tokens) {
            self.cost += cost;
            self.with_cost += 1;
        }
    }

    /// The row, with the cost where each call that used tokens reported its own.
    fn finish(mut self) -> UsageRow {
        let is_whole = self.with_cost > 0 && self.with_cost >= self.with_tokens;
        self.row.reported_cost = is_whole.then_some(self.cost);
        self.row
    }
}

/// Returns the tokens of each trace that used any.
pub(crate) fn tokens_by_trace(spans: &[StoredSpan]) -> HashMap<TraceId, u64> {
    let mut by_trace: HashMap<TraceId, Vec<Span>> = HashMap::new();
    for stored in spans {
        by_trace
            .entry(stored.span.trace_id)
            .or_default()
            .push(stored.span.clone());
    }
    let tokens = by_trace.into_iter().filter_map(|(id, spans)| {
        let calls = calls_of(&spans);
        let used = calls.iter().filter(|call| call.call.facts.usage.is_any());
        let used = used.map(|call| {
            let usage = &call.call.facts.usage;
            usage.input.unwrap_or(0).saturating_add(usage.output.unwrap_or(0))
        });
        let used: Vec<u64> = used.collect();
        (!used.is_empty()).then(|| (id, used.into_iter().fold(0, u64::saturating_add)))
    });
    tokens.collect()
}

/// Returns what each span of a trace used.
pub(crate) fn by_span(spans: &[Span]) -> Vec<SpanUsage> {
    let mut found: Vec<SpanUsage> = Vec::new();
    for call in calls_of(spans) {
        let usage = &call.call.facts.usage;
        if !usage.is_any() {
            continue;
        }
        found.push(
            SpanUsage::new(call.span_id)
                .model(call.call.model.clone())
                .provider(call.call.provider.clone())
                .input(usage.input.unwrap_or(0))
                .output(usage.output.unwrap_or(0))
                .cached_read(usage.cache_read.unwrap_or(0))
                .cached_write(usage.cache_write.unwrap_or(0))
                .reported_cost(call.call.facts.cost),
        );
    }
    found.sort_by_key(|usage| usage.span_id);
    found
}

/// Returns what a trace used, a row for each model and provider.
pub(crate) fn of_trace(spans: &[Span]) -> Vec<UsageRow> {
    let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for call in calls_of(spans) {
        let key = (call.call.model.clone(), call.call.provider.clone());
        let new = || Sum::new(call.call.model.clone(), &call.call.model, &call.call.provider);
        sums.entry(key).or_insert_with(new).add(&call);
    }
    sums.into_values().map(Sum::finish).collect()
}

impl Reader {
    pub(crate) fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        let mut sums: BTreeMap<(String, String, String), Sum> = BTreeMap::new();
        let (since, until) = (
            query.since.map_or(i64::MIN, |since| since.as_nanos()),
            query.until.map_or(i64::MAX, |until| until.as_nanos()),
        );
        let mut chosen = Sql::default();
        if let Some(trace) = query.trace_id {
            chosen = chosen
                .push(" AND TraceId = ")
                .text(&trace.to_string())
                .add(&self.in_time_of(&[trace])?);
        }
        // A call is measured when it ends. The spans above it may have begun before, and those
        // below it, which are the same call, after.
        if let Some(since) = query.since {
            let from = since.as_nanos().saturating_sub(MARGIN);
            chosen = chosen
                .push(" AND Timestamp >= ")
                .time(spanscope_model::Timestamp::from_nanos(from));
        }
        if let Some(until) = query.until {
            let until = until.as_nanos().saturating_add(MARGIN);
            chosen = chosen
                .push(" AND Timestamp < ")
                .time(spanscope_model::Timestamp::from_nanos(until));
        }
        self.each_trace(Wanted::Calls, &chosen, |spans| {
            for call in calls_of(spans) {
                let span = &spans[call.place];
                let end = span.end_time.unwrap_or(span.start_time).as_nanos();
                if end < since || end >= until {
                    continue;
                }
                let group = match query.by {
                    UsageBy::Model => call.call.model.clone(),
                    UsageBy::Service => span.service_name.clone(),
                    UsageBy::Agent => agent_of(spans, call.place),
                };
                let key = (group.clone(), call.call.model.clone(), call.call.provider.clone());
                let new = || Sum::new(group, &call.call.model, &call.call.provider);
                sums.entry(key).or_insert_with(new).add(&call);
            }
            Ok(())
        })?;
        Ok(sums.into_values().map(Sum::finish).collect())
    }
}

/// Returns the name of the nearest agent at or above a span; empty if there is none.
fn agent_of(spans: &[Span], place: usize) -> String {
    let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
    let mut next = spans.get(place);
    for _ in 0..MAX_DEPTH {
        let Some(span) = next else { break };
        let mut names = names_of(&[A::AgentName, A::AgentId]);
        if let Some(name) = names.find_map(|name| span.attributes.get(name)) {
            return name.to_string();
        }
        next = span.parent_span_id.and_then(|parent| by_id.get(&parent).copied());
    }
    String::new()
}
