//! Decides which spans count as model calls, by the rule of
//! [`CallFacts`](spanscope_model::semconv::CallFacts), so that a run's summary and `usage` agree.

use std::collections::{HashMap, HashSet};

use spanscope_model::semconv::{NestedCalls, SpanCall, separates_calls};
use spanscope_model::{Span, SpanId, TraceId};

use crate::Run;
use crate::forest::{children_of, cut_cycles, parents_first};

/// Maximum number of ancestors with which a call is compared: a run may be as deep as it is long.
const MAX_DEPTH: usize = 64;

/// The calls below a step.
#[derive(Clone, Default)]
struct NestedSpanCalls {
    with_usage: NestedCalls,
    /// Calls without usage that no tool or agent separates from the step: their identity and index.
    without: Vec<(u64, usize)>,
    /// The identities of all calls that nothing separates from the step.
    direct: HashSet<u64>,
}

/// Returns for each step, by index, whether it is a model call that counts. A step that repeats
/// another step's call does not count.
pub(crate) fn counted_steps(run: &Run<'_>) -> Vec<bool> {
    let forest = run.forest();
    let span = |place: usize| run.span(place);
    counted(run.all_steps().len(), &forest.parents, &forest.order, &span)
}

/// Returns for each span, by index, whether it is a model call that counts: for stores that keep
/// only spans and count calls at query time. It needs all spans of a trace, because it recognizes a
/// call that is reported twice by its ancestors and descendants.
///
/// ```
/// use spanscope_model::{Span, SpanId, Timestamp, TraceId};
/// use spanscope_runs::counted_calls;
///
/// let trace = TraceId::from_bytes([1; 16]).unwrap();
/// let call = |id: u8, parent: Option<SpanId>| {
///     let mut span = Span::new(trace, SpanId::from_bytes([id; 8]).unwrap(), "chat", Timestamp::now());
///     span.parent_span_id = parent;
///     span.attributes.set("gen_ai.operation.name", "chat");
///     span.attributes.set("gen_ai.usage.input_tokens", 12);
///     span
/// };
/// let outer = call(1, None);
/// let inner = call(2, Some(outer.span_id));
/// assert_eq!(counted_calls(&[outer, inner]), [false, true]);
/// ```
#[must_use]
pub fn counted_calls(spans: &[Span]) -> Vec<bool> {
    let places: HashMap<(TraceId, SpanId), usize> = spans
        .iter()
        .enumerate()
        .map(|(place, span)| ((span.trace_id, span.span_id), place))
        .collect();
    let mut parents: Vec<Option<usize>> = spans
        .iter()
        .map(|span| places.get(&(span.trace_id, span.parent_span_id?)).copied())
        .collect();
    cut_cycles(&mut parents);
    let children = children_of(&parents);
    let roots = (0..spans.len()).filter(|place| parents[*place].is_none());
    let order = parents_first(roots.collect(), &children);
    counted(spans.len(), &parents, &order, &|place| &spans[place])
}

/// Decides for `count` spans, given the index of each one's parent and an order of the indices with
/// parents before their children.
fn counted<'a>(
    count: usize,
    parents: &[Option<usize>],
    order: &[usize],
    span: &impl Fn(usize) -> &'a Span,
) -> Vec<bool> {
    let mut counted = vec![false; count];
    let mut below: Vec<NestedSpanCalls> = vec![NestedSpanCalls::default(); count];
    let mut responses = HashSet::new();
    let (mut opened, mut reports) = (Vec::new(), Vec::new());
    // Children before their parents, because calls below decide whether a call counts.
    for &place in order.iter().rev() {
        let attributes = &span(place).attributes;
        let Some(call) = SpanCall::of(attributes.raw()) else {
            continue;
        };
        let known = std::mem::take(&mut below[place]);
        let identity = call.facts.identity;
        let has_usage = call.facts.usage.is_any();
        if has_usage {
            for (_, other) in known.without.iter().filter(|(other, _)| *other == identity) {
                counted[*other] = false;
            }
        }
        let counts = match has_usage {
            true => call.facts.counts(&known.with_usage),
            false => !known.direct.contains(&identity),
        };
        let is_new = |id: String| responses.insert((span(place).trace_id, id));
        if !counts || !call.response_id.is_none_or(is_new) {
            continue;
        }
        counted[place] = true;
        if call.facts.stream_length.is_some() {
            reports.push((place, call.facts));
        } else if call.facts.opens_stream() {
            opened.push((place, call.facts));
        }
        let mut is_direct = true;
        let mut above = parents[place];
        for _ in 0..MAX_DEPTH {
            let Some(parent) = above else { break };
            let known = &mut below[parent];
            if has_usage {
                known.with_usage.add(&call.facts, is_direct);
            } else if is_direct {
                known.without.push((identity, place));
            }
            if is_direct {
                known.direct.insert(identity);
                is_direct = !separates_calls(span(parent).attributes.raw());
            }
            above = parents[parent];
        }
    }
    // If one span opens a stream and another one reports it, only the report counts.
    for (report, of_report) in reports {
        let (parent, time) = (span(report).parent_span_id, end_of(span(report)));
        let reported = opened.iter().find(|(place, of_opened)| {
            counted[*place]
                && span(*place).parent_span_id == parent
                && of_report.reports_stream_of(time, of_opened, end_of(span(*place)))
        });
        if let Some((place, _)) = reported {
            counted[*place] = false;
        }
    }
    counted
}

/// Returns the end of a span in nanoseconds, or its start while it runs.
fn end_of(span: &Span) -> i64 {
    span.end_time.unwrap_or(span.start_time).as_nanos()
}
