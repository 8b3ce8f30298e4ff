//! Which steps of a run count as calls, by the one rule of [`CallFacts`](spanscope_model::semconv::CallFacts), so that
//! a run's summary and `usage` agree.

use std::collections::HashSet;

use spanscope_model::semconv::{CallsBelow, SpanCall, separates_calls};

use crate::Run;

/// A call that is further below another one than this is not compared with it: a run may be as deep as
/// it is long.
const MAX_DEPTH: usize = 64;

/// What is known of the calls below a step.
#[derive(Clone, Default)]
struct Below {
    with_usage: CallsBelow,
    /// Calls without usage that no tool or agent separates from the step: their identity and place.
    without: Vec<(u64, usize)>,
    /// The identities of all calls that nothing separates from the step.
    direct: HashSet<u64>,
}

/// For each step by its place whether it is a call of a model that counts. Steps that only repeat what
/// another one describes don't.
pub(crate) fn counted_calls(run: &Run<'_>) -> Vec<bool> {
    let steps = run.all_steps();
    let forest = run.forest();
    let mut counted = vec![false; steps.len()];
    let mut below: Vec<Below> = vec![Below::default(); steps.len()];
    let mut responses = HashSet::new();
    // Children before their parents: what counts above depends on what counts below.
    for &place in forest.order.iter().rev() {
        let attributes = &run.span(place).attributes;
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
        let is_new = |id: String| responses.insert((steps[place].key.0, id));
        if !counts || !call.response_id.is_none_or(is_new) {
            continue;
        }
        counted[place] = true;
        let mut is_direct = true;
        let mut above = forest.parents[place];
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
                is_direct = !separates_calls(run.span(parent).attributes.raw());
            }
            above = forest.parents[parent];
        }
    }
    counted
}
