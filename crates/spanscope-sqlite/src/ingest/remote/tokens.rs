//! The token metrics of calls whose spans were received.
//!
//! The rule of [`CallFacts`](spanscope_model::semconv::CallFacts) decides which spans count, as for
//! spans of this program. Spans arrive in any order, so a counted call is subtracted when one that
//! covers it arrives later. A trace with one call, which is the usual case, costs one lookup.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, params};
use spanscope_model::semconv::{CallsBelow, SemanticAttribute as A, SpanCall, separates_calls};
use spanscope_model::{Attributes, CACHE_METRICS, COST_METRIC, MetricKind, TOKEN_METRICS, TraceId};

use super::batch::Batch;
use super::responses::Verdict;
use super::state::{Call, Calls};
use crate::file::series::{self, Amount, NewPoint, labels_text};
use crate::file::text::without_nul;

/// The `_point.detail` of a measurement that was derived from a span.
pub(super) const OF_SPAN: &str = r#"{"read_from":"span"}"#;
/// The duration of calls that failed or report no usage, so that they count as calls.
const DURATION: &str = spanscope_layers::metrics::OPERATION_DURATION;
/// The number of spans above a call that are looked at.
const MAX_DEPTH: usize = 256;

impl Calls {
    /// Counts those that no other one covers. All their spans are written.
    pub(super) fn count(self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        let mut by_trace: Vec<_> = self.by_trace.into_iter().collect();
        // Of two that describe a call in separate traces the outer one counts: it comes first.
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

/// Deletes what was measured of a span. All of it is written.
fn take_back(batch: &mut Batch<'_>, trace: i64, trace_id: TraceId, key: i64) -> rusqlite::Result<()> {
    batch.take_back_tokens(trace, trace_id, key)?;
    series::delete(
        batch.db,
        "DELETE FROM _point WHERE trace_hex = ?1 AND span_id = ?2 AND detail = ?3",
        params![trace_id.to_string(), key, OF_SPAN],
    )?;
    Ok(())
}

/// A call below another one: its place in the tree, and whether no tool and no agent is between. Of
/// deep traces there are many, so it is one number.
#[derive(Clone, Copy)]
struct CallBelow(u32);

impl CallBelow {
    fn new(place: usize, is_direct: bool) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX) & (u32::MAX >> 1);
        Self(place << 1 | u32::from(is_direct))
    }

    fn place(self) -> usize {
        (self.0 >> 1) as usize
    }

    fn is_direct(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A span, as far as counting depends on it.
struct Node {
    key: i64,
    parent: Option<i64>,
    end: i64,
    call: Option<SpanCall>,
    separates: bool,
    /// The place of the span above it.
    above: Option<usize>,
    depth: usize,
}

/// The spans of a trace around its calls, read on demand and once each.
///
/// Everything that is written to the file waits while calls are counted, so it takes no more than
/// the sum of their depths: to look at all calls for each call would take the square of their
/// number.
struct Tree<'b, 'd> {
    batch: &'b Batch<'d>,
    trace: i64,
    /// The calls of this transaction.
    new: HashMap<i64, &'b SpanCall>,
    nodes: Vec<Node>,
    places: HashMap<i64, usize>,
}

impl<'b, 'd> Tree<'b, 'd> {
    fn new(batch: &'b Batch<'d>, trace: i64, calls: &'b [Call]) -> Self {
        Self {
            batch,
            trace,
            new: calls.iter().map(|call| (call.key, &call.call)).collect(),
            nodes: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Returns which spans count, among the new ones and those that may count differently because
    /// of them.
    fn decide(mut self, counted: &HashSet<i64>) -> rusqlite::Result<HashMap<i64, bool>> {
        let asked: Vec<i64> = match self.new.is_empty() {
            // A new span may connect two others.
            true => counted.iter().copied().collect(),
            false => self.new.keys().copied().collect(),
        };
        let asked: Vec<usize> = self.places_of(asked)?;
        let known: Vec<usize> = self.places_of(counted.iter().copied())?;
        let is_asked = self.with_those_above(&asked);
        let is_call = |place: usize| is_asked[place] && self.nodes[place].call.is_some();
        let mut in_order: Vec<usize> = (0..self.nodes.len()).filter(|place| is_call(*place)).collect();
        // The deepest first: calls below decide what counts above.
        in_order.sort_unstable_by_key(|place| {
            let node = &self.nodes[*place];
            std::cmp::Reverse((node.depth, node.key))
        });
        let mut counts: Vec<Option<bool>> = vec![None; self.nodes.len()];
        for place in known {
            counts[place] = Some(true);
        }
        let below = self.below(&is_asked, &counts);
        for place in in_order {
            let (is_counted, covered) = self.counts(place, &below[place], &counts);
            counts[place] = Some(is_counted);
            for below in covered {
                counts[below] = Some(false);
            }
        }
        self.leave_one_of_each_response(counted, &mut counts);
        self.leave_the_reports_of_streams(&mut counts);
        let decided = self.nodes.iter().zip(counts);
        Ok(decided
            .filter_map(|(node, counts)| Some((node.key, counts?)))
            .collect())
    }

    fn places_of(&mut self, keys: impl IntoIterator<Item = i64>) -> rusqlite::Result<Vec<usize>> {
        keys.into_iter().map(|key| self.place(key)).collect()
    }

    /// These spans and all above them.
    fn with_those_above(&self, places: &[usize]) -> Vec<bool> {
        let mut is_asked = vec![false; self.nodes.len()];
        for place in places {
            let mut next = Some(*place);
            while let Some(place) = next.filter(|place| !is_asked[*place]) {
                is_asked[place] = true;
                next = self.nodes[place].above;
            }
        }
        is_asked
    }

    /// Returns for each requested call the calls below it that may count.
    fn below(&self, is_asked: &[bool], counts: &[Option<bool>]) -> Vec<Vec<CallBelow>> {
        let mut below: Vec<Vec<CallBelow>> = vec![Vec::new(); self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            if node.call.is_none() || !(is_asked[place] || counts[place].is_some()) {
                continue;
            }
            let mut is_direct = true;
            let mut next = node.above;
            for _ in 0..MAX_DEPTH {
                let Some(above) = next else { break };
                let node = &self.nodes[above];
                if is_asked[above] && node.call.is_some() {
                    below[above].push(CallBelow::new(place, is_direct));
                }
                is_direct &= !node.separates;
                next = node.above;
            }
        }
        below
    }

    /// Returns whether a call counts, given those below it; and which of these it replaces, because
    /// they describe the same call without usage.
    fn counts(&self, place: usize, below: &[CallBelow], counts: &[Option<bool>]) -> (bool, Vec<usize>) {
        let Some(call) = &self.nodes[place].call else {
            return (false, Vec::new());
        };
        let mut with_usage = CallsBelow::default();
        let mut same_without = Vec::new();
        let mut has_same = false;
        for other in below.iter().filter(|other| counts[other.place()] == Some(true)) {
            let Some(inner) = &self.nodes[other.place()].call else {
                continue;
            };
            let is_same = other.is_direct() && inner.facts.identity == call.facts.identity;
            has_same |= is_same;
            if inner.facts.usage.is_any() {
                with_usage.add(&inner.facts, other.is_direct());
            } else if is_same {
                same_without.push(other.place());
            }
        }
        if call.facts.usage.is_any() {
            return (call.facts.counts(&with_usage), same_without);
        }
        (!has_same, Vec::new())
    }

    /// Two spans that report one response are one call, wherever they are.
    fn leave_one_of_each_response(&self, counted: &HashSet<i64>, counts: &mut [Option<bool>]) {
        if !self.new.values().any(|call| call.response_id.is_some()) {
            return;
        }
        let mut responses: Vec<(bool, bool, i64, usize)> = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            if let Some(call) = &node.call
                && counts[place] == Some(true)
                && call.response_id.is_some()
            {
                let tells_nothing = !call.facts.usage.is_any();
                responses.push((tells_nothing, !counted.contains(&node.key), node.key, place));
            }
        }
        // The one with usage; of equal ones the one that counted before stays.
        responses.sort_unstable();
        let mut known: HashSet<&str> = HashSet::new();
        for (_, _, _, place) in responses {
            let id = self.nodes[place]
                .call
                .as_ref()
                .and_then(|call| call.response_id.as_deref());
            if id.is_some_and(|id| !known.insert(id)) {
                counts[place] = Some(false);
            }
        }
    }

    /// Of a call whose stream another span reports, that one counts.
    fn leave_the_reports_of_streams(&self, counts: &mut [Option<bool>]) {
        let counted: Vec<(usize, &SpanCall)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(place, _)| counts[*place] == Some(true))
            .filter_map(|(place, node)| Some((place, node.call.as_ref()?)))
            .collect();
        for (report, call) in &counted {
            if call.facts.stream_length.is_none() {
                continue;
            }
            let report = &self.nodes[*report];
            let opened = counted.iter().find(|(place, opened)| {
                let node = &self.nodes[*place];
                counts[*place] == Some(true)
                    && node.parent == report.parent
                    && call.facts.reports_stream_of(report.end, &opened.facts, node.end)
            });
            if let Some((place, _)) = opened {
                counts[*place] = Some(false);
            }
        }
    }

    /// The place of a span in the tree. It is read if it is not there, with those above it.
    fn place(&mut self, key: i64) -> rusqlite::Result<usize> {
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let first = self.nodes.len();
        let mut next = Some(key);
        let mut top = None;
        while let Some(key) = next {
            if let Some(place) = self.places.get(&key) {
                // A cycle ends where it began.
                top = Some(*place).filter(|place| *place < first);
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
            self.places.insert(key, self.nodes.len());
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
        for place in (first..self.nodes.len()).rev() {
            let above = if place + 1 < self.nodes.len() {
                Some(place + 1)
            } else {
                top
            };
            self.nodes[place].depth = above.map_or(0, |above| self.nodes[above].depth + 1);
            self.nodes[place].above = above;
        }
        Ok(first)
    }
}

impl Batch<'_> {
    /// Returns the attributes of a stored span; nothing if it is not stored.
    pub(super) fn attributes_of(&self, trace: i64, key: i64) -> rusqlite::Result<Attributes> {
        Ok(self.stored_span(trace, key)?.attributes)
    }

    /// What counting reads of a span; nothing where it is not stored.
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

/// A span of the file: the key of the span above it, its end in nanoseconds, and what it says.
struct Stored {
    parent: Option<i64>,
    end: i64,
    attributes: Attributes,
}

/// The spans of a trace that were counted here.
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
