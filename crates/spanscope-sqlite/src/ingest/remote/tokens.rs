//! The token metrics of calls whose spans were sent.
//!
//! Which spans count is the rule of [`CallFacts`](spanscope_model::semconv::CallFacts), the same as for
//! spans of this program. Spans come in any order, so a call that was counted is taken back when one
//! that covers it comes later. A trace with one call, which is most of them, costs one look.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rusqlite::{OptionalExtension, params};
use spanscope_model::semconv::{CallsBelow, SemanticAttribute as A, SpanCall, separates_calls};
use spanscope_model::{Attributes, CACHE_METRICS, COST_METRIC, MetricKind, TOKEN_METRICS, TraceId};

use super::batch::Batch;
use super::state::{Call, Calls};
use crate::file::series::{self, Amount, NewPoint, labels_text};
use crate::file::text::without_nul;

/// What `_point.detail` has of a measurement that was read from a span.
const OF_SPAN: &str = r#"{"read_from":"span"}"#;
/// The duration of calls that failed or report no usage, so that they count as calls.
const DURATION: &str = spanscope_layers::metrics::OPERATION_DURATION;

impl Calls {
    /// Counts those that no other one covers. All their spans are written.
    pub(super) fn count(self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        for ((tenant, trace_id), calls) in self.by_trace {
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
                    series::delete(
                        batch.db,
                        "DELETE FROM _point WHERE trace_hex = ?1 AND span_id = ?2 AND detail = ?3",
                        params![trace_id.to_string(), key, OF_SPAN],
                    )?;
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

/// What a span is, as far as counting depends on it.
struct Node {
    call: Option<SpanCall>,
    separates: bool,
}

/// The spans of a trace around its calls, read as far as they are asked for.
struct Tree<'b, 'd> {
    batch: &'b Batch<'d>,
    trace: i64,
    /// The calls that came in this transaction.
    new: HashMap<i64, &'b SpanCall>,
    nodes: HashMap<i64, Rc<Node>>,
    /// For each span those above it, the nearest first.
    paths: HashMap<i64, Rc<Vec<i64>>>,
}

impl<'b, 'd> Tree<'b, 'd> {
    fn new(batch: &'b Batch<'d>, trace: i64, calls: &'b [Call]) -> Self {
        Self {
            batch,
            trace,
            new: calls.iter().map(|call| (call.key, &call.call)).collect(),
            nodes: HashMap::new(),
            paths: HashMap::new(),
        }
    }

    /// Which spans count, of those that came and of those that may count otherwise because of them.
    fn decide(mut self, counted: &HashSet<i64>) -> rusqlite::Result<HashMap<i64, bool>> {
        let mut decided: HashMap<i64, bool> = counted.iter().map(|key| (*key, true)).collect();
        let mut asked: HashSet<i64> = match self.new.is_empty() {
            // A span came that may join two others.
            true => counted.clone(),
            false => self.new.keys().copied().collect(),
        };
        for key in asked.clone() {
            asked.extend(self.path(key)?.iter().copied());
        }
        let mut in_order: Vec<(usize, i64)> = Vec::new();
        for key in asked {
            in_order.push((self.path(key)?.len(), key));
        }
        // The deepest first: what counts above depends on what counts below.
        in_order.sort_unstable_by(|one, other| other.cmp(one));
        for (_, key) in in_order {
            let node = self.node(key)?;
            let Some(call) = &node.call else { continue };
            let (counts, covered) = self.counts(key, call, &decided)?;
            decided.insert(key, counts);
            for below in covered {
                decided.insert(below, false);
            }
        }
        self.leave_one_of_each_response(counted, &mut decided)?;
        Ok(decided)
    }

    /// Whether a call counts, given those below it; and which of these it makes superfluous, because
    /// they describe the same call without saying what it used.
    fn counts(
        &mut self,
        key: i64,
        call: &SpanCall,
        decided: &HashMap<i64, bool>,
    ) -> rusqlite::Result<(bool, Vec<i64>)> {
        let mut with_usage = CallsBelow::default();
        let mut same_without = Vec::new();
        let mut has_same = false;
        let below: Vec<i64> = decided
            .iter()
            .filter(|(_, counts)| **counts)
            .map(|(key, _)| *key)
            .collect();
        for other in below {
            let path = self.path(other)?;
            let Some(place) = path.iter().position(|above| *above == key) else {
                continue;
            };
            let mut is_direct = true;
            for between in &path[..place] {
                is_direct &= !self.node(*between)?.separates;
            }
            let node = self.node(other)?;
            let Some(inner) = &node.call else { continue };
            let is_same = is_direct && inner.facts.identity == call.facts.identity;
            has_same |= is_same;
            if inner.facts.usage.is_any() {
                with_usage.add(&inner.facts, is_direct);
            } else if is_same {
                same_without.push(other);
            }
        }
        if call.facts.usage.is_any() {
            return Ok((call.facts.counts(&with_usage), same_without));
        }
        Ok((!has_same, Vec::new()))
    }

    /// Two spans that report one response are one call, wherever they are.
    fn leave_one_of_each_response(
        &mut self,
        counted: &HashSet<i64>,
        decided: &mut HashMap<i64, bool>,
    ) -> rusqlite::Result<()> {
        if !self.new.values().any(|call| call.response_id.is_some()) {
            return Ok(());
        }
        let keys = decided.iter().filter(|(_, counts)| **counts);
        let keys: Vec<i64> = keys.map(|(key, _)| *key).collect();
        let mut responses: Vec<(bool, bool, i64, String)> = Vec::new();
        for key in keys {
            let node = self.node(key)?;
            if let Some(call) = &node.call
                && let Some(id) = &call.response_id
            {
                let tells_nothing = !call.facts.usage.is_any();
                responses.push((tells_nothing, !counted.contains(&key), key, id.clone()));
            }
        }
        // The one that tells what was used; of equals what was counted before stays.
        responses.sort_unstable();
        let mut known: HashSet<String> = HashSet::new();
        for (_, _, key, id) in responses {
            if !known.insert(id) {
                decided.insert(key, false);
            }
        }
        Ok(())
    }

    fn path(&mut self, key: i64) -> rusqlite::Result<Rc<Vec<i64>>> {
        if let Some(path) = self.paths.get(&key) {
            return Ok(Rc::clone(path));
        }
        let path = Rc::new(self.batch.above(self.trace, key)?);
        self.paths.insert(key, Rc::clone(&path));
        Ok(path)
    }

    fn node(&mut self, key: i64) -> rusqlite::Result<Rc<Node>> {
        if let Some(node) = self.nodes.get(&key) {
            return Ok(Rc::clone(node));
        }
        let attributes = self.batch.attributes_of(self.trace, key)?;
        let call = match self.new.get(&key) {
            Some(call) => Some((*call).clone()),
            None => SpanCall::of(attributes.raw()),
        };
        let node = Rc::new(Node {
            call,
            separates: separates_calls(attributes.raw()),
        });
        self.nodes.insert(key, Rc::clone(&node));
        Ok(node)
    }
}

impl Batch<'_> {
    /// What a stored span says; nothing where it is not stored.
    fn attributes_of(&self, trace: i64, key: i64) -> rusqlite::Result<Attributes> {
        let text: Option<String> = self
            .db
            .prepare_cached(
                "SELECT attributes FROM _span INDEXED BY _span_hex WHERE span_hex = printf('%016x', ?1) AND trace = ?2
                 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([key, trace], |row| row.get(0))
            .optional()?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }
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

/// Labels as JSON, without those that say nothing.
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
