//! The token metrics of calls whose spans were received.
//!
//! The rule of [`CallFacts`](spanscope_model::semconv::CallFacts) decides which spans count, as for
//! spans of this program. Spans arrive in any order, so a counted call is subtracted when a span
//! that describes the same call, and counts instead, arrives later. A trace with one call, which is
//! the usual case, costs one look-up.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, params};
use spanscope_model::semconv::{NestedCalls, SemanticAttribute as A, SpanCall, separates_calls};
use spanscope_model::{Attributes, CACHE_METRICS, COST_METRIC, MetricKind, TOKEN_METRICS, TraceId};

use super::batch::Batch;
use super::responses::Verdict;
use super::state::{Call, Calls};
use crate::file::series::{self, Amount, NewPoint, labels_text};
use crate::file::text::without_nul;

/// The `_point.detail` of a measurement that was derived from a span.
pub(super) const OF_SPAN: &str = r#"{"read_from":"span"}"#;
/// The metric for calls that failed or report no usage, so that they count as calls.
const DURATION: &str = spanscope_layers::metrics::OPERATION_DURATION;
/// Maximum number of ancestors of a call that are considered.
const MAX_DEPTH: usize = 256;

impl Calls {
    /// Measures the calls that count. Their spans must be written.
    pub(super) fn count(self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let mut by_trace: Vec<_> = self.by_trace.into_iter().collect();
        // If spans in separate traces describe one call, the outer one counts, so it comes first.
        by_trace.sort_by_key(|(_, calls)| calls.iter().map(|call| call.time - call.duration).min());
        for ((tenant, trace_id), mut calls) in by_trace {
            let mut replaced = Vec::new();
            calls.retain(|call| match batch.state.responses.judge(call) {
                Verdict::IsNew => true,
                Verdict::Repeats => false,
                Verdict::Replaces { trace_id, key } => {
                    replaced.push((trace_id, key));
                    true
                }
            });
            for (trace_id, key) in replaced {
                if let Some(trace) = batch.trace_row(tenant, trace_id)? {
                    batch.flush_points()?;
                    take_back(batch, trace, trace_id, key)?;
                }
            }
            let counted = counted(batch, tenant, trace_id)?;
            if calls.is_empty() && counted.len() < 2 {
                continue;
            }
            if let ([call], true) = (calls.as_slice(), counted.is_empty()) {
                measure(batch, call)?;
                continue;
            }
            let Some(trace) = batch.trace_row(tenant, trace_id)? else {
                continue;
            };
            let decided = Tree::new(batch, trace, &calls).decide(&counted)?;
            let repeated: Vec<i64> = counted
                .iter()
                .copied()
                .filter(|key| decided.get(key) == Some(&false))
                .collect();
            if !repeated.is_empty() {
                batch.flush_points()?;
                for key in repeated {
                    take_back(batch, trace, trace_id, key)?;
                }
            }
            for call in &calls {
                if decided.get(&call.key) == Some(&true) && !counted.contains(&call.key) {
                    measure(batch, call)?;
                }
            }
        }
        Ok(())
    }
}

/// Deletes the measurements of a span, which must be written.
fn take_back(batch: &mut Batch<'_>, trace: i64, trace_id: TraceId, key: i64) -> rusqlite::Result<()> {
    batch.take_back_tokens(trace, trace_id, key)?;
    series::delete(
        batch.db,
        "DELETE FROM _point WHERE trace_hex = ?1 AND span_id = ?2 AND detail = ?3",
        params![trace_id.to_string(), key, OF_SPAN],
    )?;
    Ok(())
}

/// A call below another one: its index in the tree, and whether no tool and no agent is in between.
/// Packed into one number, because deep traces have many.
#[derive(Clone, Copy)]
struct CallBelow(u32);

impl CallBelow {
    fn new(index: usize, is_direct: bool) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX) & (u32::MAX >> 1);
        Self(index << 1 | u32::from(is_direct))
    }

    fn index(self) -> usize {
        (self.0 >> 1) as usize
    }

    fn is_direct(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The data of a span that counting depends on.
struct Node {
    key: i64,
    parent: Option<i64>,
    end: i64,
    call: Option<SpanCall>,
    separates: bool,
    /// The index of its parent.
    above: Option<usize>,
    depth: usize,
}

/// The spans of a trace around its calls, read on demand and once each.
///
/// All writes wait while calls are counted, so the time is linear in the sum of their depths:
/// comparing each call with each other one would be quadratic.
struct Tree<'b, 'd> {
    batch: &'b Batch<'d>,
    trace: i64,
    /// The calls of this transaction.
    new: HashMap<i64, &'b SpanCall>,
    nodes: Vec<Node>,
    indices: HashMap<i64, usize>,
}

impl<'b, 'd> Tree<'b, 'd> {
    fn new(batch: &'b Batch<'d>, trace: i64, calls: &'b [Call]) -> Self {
        Self {
            batch,
            trace,
            new: calls.iter().map(|call| (call.key, &call.call)).collect(),
            nodes: Vec::new(),
            indices: HashMap::new(),
        }
    }

    /// Decides which spans count, among the new ones and those on which they have an effect.
    fn decide(mut self, counted: &HashSet<i64>) -> rusqlite::Result<HashMap<i64, bool>> {
        let considered: Vec<i64> = match self.new.is_empty() {
            // There are no new calls, but a new span may connect two counted ones.
            true => counted.iter().copied().collect(),
            false => self.new.keys().copied().collect(),
        };
        let considered: Vec<usize> = self.indices_of(considered)?;
        let known: Vec<usize> = self.indices_of(counted.iter().copied())?;
        let is_considered = self.with_ancestors(&considered);
        let is_call = |index: usize| is_considered[index] && self.nodes[index].call.is_some();
        let mut in_order: Vec<usize> = (0..self.nodes.len()).filter(|index| is_call(*index)).collect();
        // The deepest first, because calls below decide whether a call counts.
        in_order.sort_unstable_by_key(|index| {
            let node = &self.nodes[*index];
            std::cmp::Reverse((node.depth, node.key))
        });
        let mut counts: Vec<Option<bool>> = vec![None; self.nodes.len()];
        for index in known {
            counts[index] = Some(true);
        }
        let below = self.below(&is_considered, &counts);
        for index in in_order {
            let (is_counted, covered) = self.counts(index, &below[index], &counts);
            counts[index] = Some(is_counted);
            for below in covered {
                counts[below] = Some(false);
            }
        }
        self.keep_one_of_each_response(counted, &mut counts);
        self.keep_the_reports_of_streams(&mut counts);
        let decided = self.nodes.iter().zip(counts);
        Ok(decided
            .filter_map(|(node, counts)| Some((node.key, counts?)))
            .collect())
    }

    fn indices_of(&mut self, keys: impl IntoIterator<Item = i64>) -> rusqlite::Result<Vec<usize>> {
        keys.into_iter().map(|key| self.index(key)).collect()
    }

    /// Marks these spans and their ancestors.
    fn with_ancestors(&self, indices: &[usize]) -> Vec<bool> {
        let mut is_considered = vec![false; self.nodes.len()];
        for index in indices {
            let mut next = Some(*index);
            while let Some(index) = next.filter(|index| !is_considered[*index]) {
                is_considered[index] = true;
                next = self.nodes[index].above;
            }
        }
        is_considered
    }

    /// Returns for each requested call the calls below it that may count.
    fn below(&self, is_considered: &[bool], counts: &[Option<bool>]) -> Vec<Vec<CallBelow>> {
        let mut below: Vec<Vec<CallBelow>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if node.call.is_none() || !(is_considered[index] || counts[index].is_some()) {
                continue;
            }
            let mut is_direct = true;
            let mut next = node.above;
            for _ in 0..MAX_DEPTH {
                let Some(above) = next else { break };
                let node = &self.nodes[above];
                if is_considered[above] && node.call.is_some() {
                    below[above].push(CallBelow::new(index, is_direct));
                }
                is_direct &= !node.separates;
                next = node.above;
            }
        }
        below
    }

    /// Returns whether a call counts, given those below it; and which of these it replaces, because
    /// they describe the same call without usage.
    fn counts(&self, index: usize, below: &[CallBelow], counts: &[Option<bool>]) -> (bool, Vec<usize>) {
        let Some(call) = &self.nodes[index].call else {
            return (false, Vec::new());
        };
        let mut with_usage = NestedCalls::default();
        let mut same_without = Vec::new();
        let mut has_same = false;
        for other in below.iter().filter(|other| counts[other.index()] == Some(true)) {
            let Some(inner) = &self.nodes[other.index()].call else {
                continue;
            };
            let is_same = other.is_direct() && inner.facts.identity == call.facts.identity;
            has_same |= is_same;
            if inner.facts.usage.is_any() {
                with_usage.add(&inner.facts, other.is_direct());
            } else if is_same {
                same_without.push(other.index());
            }
        }
        if call.facts.usage.is_any() {
            return (call.facts.counts(&with_usage), same_without);
        }
        (!has_same, Vec::new())
    }

    /// Keeps one of the spans with the same response id, which describe one call.
    fn keep_one_of_each_response(&self, counted: &HashSet<i64>, counts: &mut [Option<bool>]) {
        if !self.new.values().any(|call| call.response_id.is_some()) {
            return;
        }
        let mut responses: Vec<(bool, bool, i64, usize)> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(call) = &node.call
                && counts[index] == Some(true)
                && call.response_id.is_some()
            {
                let has_no_usage = !call.facts.usage.is_any();
                responses.push((has_no_usage, !counted.contains(&node.key), node.key, index));
            }
        }
        // A span with usage comes first, then one that already counted.
        responses.sort_unstable();
        let mut known: HashSet<&str> = HashSet::new();
        for (_, _, _, index) in responses {
            let id = self.nodes[index]
                .call
                .as_ref()
                .and_then(|call| call.response_id.as_deref());
            if id.is_some_and(|id| !known.insert(id)) {
                counts[index] = Some(false);
            }
        }
    }

    /// If one span opens a stream and another one reports it, only the report counts.
    fn keep_the_reports_of_streams(&self, counts: &mut [Option<bool>]) {
        let counted: Vec<(usize, &SpanCall)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| counts[*index] == Some(true))
            .filter_map(|(index, node)| Some((index, node.call.as_ref()?)))
            .collect();
        for (report, call) in &counted {
            if call.facts.stream_length.is_none() {
                continue;
            }
            let report = &self.nodes[*report];
            let opened = counted.iter().find(|(index, opened)| {
                let node = &self.nodes[*index];
                counts[*index] == Some(true)
                    && node.parent == report.parent
                    && call.facts.reports_stream_of(report.end, &opened.facts, node.end)
            });
            if let Some((index, _)) = opened {
                counts[*index] = Some(false);
            }
        }
    }

    /// Returns the index of a span in the tree. If it is not there, it and its ancestors are read.
    fn index(&mut self, key: i64) -> rusqlite::Result<usize> {
        if let Some(index) = self.indices.get(&key) {
            return Ok(*index);
        }
        let first = self.nodes.len();
        let mut next = Some(key);
        let mut top = None;
        while let Some(key) = next {
            if let Some(index) = self.indices.get(&key) {
                // A cycle ends where it began.
                top = Some(*index).filter(|index| *index < first);
                break;
            }
            let Stored {
                parent,
                end,
                attributes,
            } = self.batch.stored_span(self.trace, key)?;
            let call = match self.new.get(&key) {
                Some(call) => Some((*call).clone()),
                None => SpanCall::of(attributes.raw()),
            };
            self.indices.insert(key, self.nodes.len());
            self.nodes.push(Node {
                key,
                parent,
                end,
                call,
                separates: separates_calls(attributes.raw()),
                above: None,
                depth: 0,
            });
            next = parent;
        }
        for index in (first..self.nodes.len()).rev() {
            let above = if index + 1 < self.nodes.len() {
                Some(index + 1)
            } else {
                top
            };
            self.nodes[index].depth = above.map_or(0, |above| self.nodes[above].depth + 1);
            self.nodes[index].above = above;
        }
        Ok(first)
    }
}

impl Batch<'_> {
    /// Returns the attributes of a stored span; nothing if it is not stored.
    pub(super) fn attributes_of(&self, trace: i64, key: i64) -> rusqlite::Result<Attributes> {
        Ok(self.stored_span(trace, key)?.attributes)
    }

    /// Reads a stored span; the default if it is not stored.
    fn stored_span(&self, trace: i64, key: i64) -> rusqlite::Result<Stored> {
        let found: Option<(Option<i64>, i64, Option<String>)> = self
            .db
            .prepare_cached(
                "SELECT parent, start + COALESCE(duration, 0), attributes FROM _span INDEXED BY _span_hex
                 WHERE span_hex = printf('%016x', ?1) AND trace = ?2 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([key, trace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let (parent, end, text) = found.unwrap_or_default();
        let attributes = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Stored {
            parent,
            end,
            attributes: attributes.unwrap_or_default(),
        })
    }
}

/// A stored span: its parent's key, its end in nanoseconds, and its attributes.
struct Stored {
    parent: Option<i64>,
    end: i64,
    attributes: Attributes,
}

/// Returns the spans of a trace whose tokens were measured here.
fn counted(batch: &Batch<'_>, tenant: i64, trace_id: TraceId) -> rusqlite::Result<HashSet<i64>> {
    batch
        .db
        .prepare_cached(
            "SELECT DISTINCT q.span_id FROM _point q JOIN _process p ON p.id = q.process
             WHERE q.trace_hex = ?1 AND q.detail = ?2 AND p.tenant = ?3",
        )?
        .query_map(params![trace_id.to_string(), OF_SPAN, tenant], |row| row.get(0))?
        .collect()
}

fn measure(batch: &mut Batch<'_>, call: &Call) -> rusqlite::Result<()> {
    let of = &call.call;
    let usage = &of.facts.usage;
    let model = without_nul(&of.model);
    let provider = without_nul(&of.provider);
    if usage.is_any() {
        let labels = text_of(&[("model_id", &model), ("provider_id", &provider)]);
        let cached = |count: Option<u64>| count.filter(|count| *count > 0);
        let [(prompt, _), (completion, _), (total, _)] = TOKEN_METRICS;
        let [cache_read, cache_write] = CACHE_METRICS;
        for (metric, count) in [
            (prompt, usage.input),
            (completion, usage.output),
            (total, usage.total),
            (cache_read, cached(usage.cache_read)),
            (cache_write, cached(usage.cache_write)),
        ] {
            let Some(count) = count else { continue };
            let value = Amount::Integer(i64::try_from(count).unwrap_or(i64::MAX));
            add(
                batch,
                call,
                (metric, "tokens", MetricKind::Counter),
                &labels,
                value,
            )?;
        }
        if let Some(cost) = of.facts.cost {
            let metric = (COST_METRIC, "USD", MetricKind::Counter);
            add(batch, call, metric, &labels, Amount::Real(cost))?;
        }
    }
    if call.failed || !usage.is_any() {
        let error = match call.failed {
            true => without_nul(of.error_type.as_deref().unwrap_or("_OTHER")),
            false => "".into(),
        };
        let labels = text_of(&[
            (A::ErrorType.name(), &error),
            (A::Operation.name(), &without_nul(&of.operation)),
            (A::Provider.name(), &provider),
            (A::RequestModel.name(), &model),
        ]);
        #[expect(
            clippy::cast_precision_loss,
            reason = "nanoseconds beyond 2^53 are more than a hundred days"
        )]
        let seconds = Amount::Real(call.duration as f64 / 1e9);
        add(
            batch,
            call,
            (DURATION, "s", MetricKind::Histogram),
            &labels,
            seconds,
        )?;
    }
    Ok(())
}

/// Returns labels as JSON, without empty ones.
fn text_of(labels: &[(&str, &str)]) -> String {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    labels_text(labels.map(|(key, value)| (*key, *value)))
}

fn add(
    batch: &mut Batch<'_>,
    call: &Call,
    (metric, unit, kind): (&str, &str, MetricKind),
    labels: &str,
    value: Amount,
) -> rusqlite::Result<()> {
    batch.add_point(&NewPoint {
        metric,
        unit,
        kind,
        labels,
        time: call.time,
        value,
        trace: Some(call.trace_id.to_bytes()),
        span: Some(call.key),
        process: call.process,
        expires: call.expires,
        tenant: call.tenant,
        detail: Some(OF_SPAN),
    })
}
