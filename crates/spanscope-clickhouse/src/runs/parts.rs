//! The runs in one trace, read from its spans: what a store that is written by us notes while it
//! writes, found when it is asked for.
//!
//! If several spans set an attribute, the highest-ranked counts: a root, an agent, a step; of equal
//! ranks the earlier.

use std::collections::{BTreeMap, HashMap};

use spanscope_model::{RunInfo, RunStatus, Span, SpanId, SpanStatus, Tenant, Timestamp, TraceSummary};
use spanscope_runs::{RunAttributes, run_attributes};

use crate::light::LightSpan;

/// A run without a stored root counts as running for this long after its last span: its root is
/// sent when it ends, and it may wait for a slow model, or a user.
const ROOT_AWAITED_NANOS: i64 = 60_000_000_000;
/// An ancestor that is further above is not looked for.
const MAX_DEPTH: usize = 64;
/// Runs with a task id in one trace; further ones count as the trace's own.
const MAX_TASKS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Step,
    Agent,
    Root,
}

/// A part of a run: what one trace has of it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) info: RunInfo,
    /// When it ended, or its last activity.
    pub(crate) completed: Timestamp,
    /// Whether its spans name the task.
    pub(crate) is_named: bool,
    /// Whether the trace has other named runs.
    pub(crate) is_shared: bool,
    /// Whether named runs of its trace stand for it in lists.
    pub(crate) is_hidden: bool,
}

struct Run {
    facts: RunAttributes,
    rank: Rank,
    head: usize,
    start: i64,
    /// Of the spans with the head's rank, the one that started last.
    last: usize,
}

/// Returns the runs of a trace; none if nothing in it makes it one. `spans` are those that may say
/// something about a run, and the roots, by start; `trace` has the sums of all spans.
pub(crate) fn of_trace(spans: &[LightSpan], trace: &TraceSummary, now: Timestamp) -> Vec<Part> {
    let start_of = |place: usize| spans[place].span.start_time.as_nanos();
    let mut runs: BTreeMap<Option<String>, Run> = BTreeMap::new();
    for (place, light) in spans.iter().enumerate() {
        let Some(mut facts) = run_attributes(light.span.attributes.raw()) else {
            continue;
        };
        let rank = match (
            light.span.parent_span_id,
            facts.is_agent || facts.task_id.is_some(),
        ) {
            (None, _) => Rank::Root,
            (Some(_), true) => Rank::Agent,
            (Some(_), false) => Rank::Step,
        };
        let task = facts.task_id.take();
        if task.is_some() && !runs.contains_key(&task) && runs.len() > MAX_TASKS {
            continue;
        }
        let new = Run {
            facts,
            rank,
            head: place,
            start: start_of(place),
            last: place,
        };
        match runs.remove(&task) {
            Some(known) => runs.insert(task, joined(known, new, &start_of)),
            None => runs.insert(task, new),
        };
    }
    let root = spans.iter().position(|light| light.span.parent_span_id.is_none());
    let named = runs.keys().filter(|task| task.is_some()).count();
    let mut parts = Vec::new();
    for (task, mut run) in runs {
        match (&task, root) {
            (None, Some(root)) if run.rank < Rank::Root => {
                run.head = root;
                run.start = run.start.min(start_of(root));
            }
            _ => {}
        }
        take_last_attempt(&mut run, task.as_deref(), spans);
        if task.is_none() {
            run.start = run.start.min(trace.trace.start_time.as_nanos());
        }
        let is_shared = task.is_some() && named > 1;
        let is_hidden = task.is_none() && named > 0;
        parts.push(part(
            task,
            run,
            spans,
            trace,
            root.is_some(),
            (is_shared, is_hidden),
            now,
        ));
    }
    parts
}

/// Two spans of one run: the one that counts more is its head.
fn joined(known: Run, other: Run, start_of: &impl Fn(usize) -> i64) -> Run {
    let other_is_head =
        other.rank > known.rank || (other.rank == known.rank && start_of(other.head) < start_of(known.head));
    let start = known.start.min(other.start);
    let last = match known.rank.cmp(&other.rank) {
        std::cmp::Ordering::Less => other.last,
        std::cmp::Ordering::Equal if start_of(other.last) >= start_of(known.last) => other.last,
        _ => known.last,
    };
    let (mut first, second) = if other_is_head {
        (other, known)
    } else {
        (known, other)
    };
    let facts = &mut first.facts;
    facts.agent_id = facts.agent_id.take().or(second.facts.agent_id);
    facts.session_id = facts.session_id.take().or(second.facts.session_id);
    facts.user_id = facts.user_id.take().or(second.facts.user_id);
    facts.trace_level = facts.trace_level.take().or(second.facts.trace_level);
    first.start = start;
    first.last = last;
    first
}

/// A run has the name and the outcome of its last attempt: the topmost span of its task at or above
/// the one that started last.
fn take_last_attempt(run: &mut Run, task: Option<&str>, spans: &[LightSpan]) {
    let start_of = |place: usize| spans[place].span.start_time;
    if run.last == run.head || start_of(run.last) <= start_of(run.head) || run.rank == Rank::Step {
        return;
    }
    let mut top = run.last;
    if let (Some(task), Rank::Agent) = (task, run.rank) {
        let places: HashMap<SpanId, usize> = spans.iter().map(|light| light.span.span_id).zip(0..).collect();
        let mut next = run.last;
        for _ in 0..MAX_DEPTH {
            let above = spans[next]
                .span
                .parent_span_id
                .and_then(|parent| places.get(&parent));
            let Some(above) = above else { break };
            let facts = run_attributes(spans[*above].span.attributes.raw());
            if facts.and_then(|facts| facts.task_id).as_deref() == Some(task) {
                top = *above;
            }
            next = *above;
        }
    }
    if start_of(top) > start_of(run.head) {
        run.head = top;
    }
}

fn part(
    task: Option<String>,
    run: Run,
    spans: &[LightSpan],
    trace: &TraceSummary,
    has_root: bool,
    (is_shared, is_hidden): (bool, bool),
    now: Timestamp,
) -> Part {
    let head = &spans[run.head];
    let end_of = |span: &Span| span.end_time.unwrap_or(span.start_time);
    let trace_end = trace.trace.end_time.unwrap_or(trace.trace.start_time);
    let head_end = end_of(&head.span);
    let awaits_root =
        !is_shared && !has_root && trace_end.as_nanos() >= now.as_nanos().saturating_sub(ROOT_AWAITED_NANOS);
    let status = match head.span.status {
        _ if awaits_root => RunStatus::Running,
        Some(SpanStatus::Error) => RunStatus::Failed,
        _ => RunStatus::Completed,
    };
    let end = if is_shared { head_end } else { trace_end };
    // A head that only represents the run says nothing about its end.
    let completed = match task.is_some() || run.rank == Rank::Root {
        true => head_end,
        false => end,
    };
    let is_named = task.is_some();
    let text = |text: Option<String>| text.unwrap_or_default();
    Part {
        info: RunInfo::new(
            task.unwrap_or_else(|| trace.trace.trace_id.to_string()),
            trace.trace.trace_id,
            head.span.name.clone(),
            Timestamp::from_nanos(run.start),
            status,
        )
        .agent_id(text(run.facts.agent_id))
        .session_id(text(run.facts.session_id))
        .user_id(text(run.facts.user_id))
        .tenant_id(tenant_of(&head.tenant))
        .trace_level(text(run.facts.trace_level))
        .completed_at((status != RunStatus::Running).then_some(completed))
        .updated_at(end)
        .span_count(trace.span_count)
        .error_count(trace.error_count),
        completed,
        is_named,
        is_shared,
        is_hidden,
    }
}

pub(crate) fn tenant_of(named: &str) -> String {
    match named {
        "" => Tenant::DEFAULT.to_owned(),
        name => name.to_owned(),
    }
}

/// A trace without agents as a run.
pub(crate) fn of_any_trace(trace: &TraceSummary, tenant: &str) -> Part {
    let end = trace.trace.end_time.unwrap_or(trace.trace.start_time);
    let status = match trace.status {
        Some(SpanStatus::Error) => RunStatus::Failed,
        _ => RunStatus::Completed,
    };
    Part {
        info: RunInfo::new(
            trace.trace.trace_id.to_string(),
            trace.trace.trace_id,
            trace.root_name.clone(),
            trace.trace.start_time,
            status,
        )
        .tenant_id(tenant_of(tenant))
        .completed_at(trace.trace.end_time)
        .updated_at(end)
        .span_count(trace.span_count)
        .error_count(trace.error_count),
        completed: end,
        is_named: false,
        is_shared: false,
        is_hidden: false,
    }
}

/// Several traces of one task as one run. The parts are in the order of their starts.
pub(crate) fn merged(parts: &[Part]) -> Option<RunInfo> {
    let mut info = parts.last()?.info.clone();
    info.trace_id = parts.first()?.info.trace_id;
    info.name.clone_from(&parts.first()?.info.name);
    for part in parts.iter().rev().skip(1) {
        info.created_at = info.created_at.min(part.info.created_at);
        info.updated_at = info.updated_at.max(part.info.updated_at);
        info.span_count += part.info.span_count;
        info.error_count += part.info.error_count;
        for (text, instead) in [
            (&mut info.agent_id, &part.info.agent_id),
            (&mut info.session_id, &part.info.session_id),
            (&mut info.user_id, &part.info.user_id),
            (&mut info.trace_level, &part.info.trace_level),
        ] {
            if text.is_empty() {
                text.clone_from(instead);
            }
        }
    }
    let is_running = parts.iter().any(|part| part.info.status == RunStatus::Running);
    // The last part determines its outcome.
    info.status = match is_running {
        true => RunStatus::Running,
        false => parts.last()?.info.status,
    };
    let completed = parts.iter().map(|part| part.completed).max()?;
    info.completed_at = (!is_running).then_some(completed);
    Some(info)
}
