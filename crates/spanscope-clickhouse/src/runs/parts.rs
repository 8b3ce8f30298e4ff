//! The runs in one trace, read from its spans: what a store that is written by us notes while it
//! writes, found when it is asked for.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};

use spanscope_model::{RunInfo, RunStatus, Span, SpanId, SpanStatus, Tenant, Timestamp, TraceSummary};
use spanscope_runs::{RunDescription, RunRank, RunSource, run_attributes};

use crate::light::LightSpan;

/// A run without a stored root counts as running for this long after its last span: its root is
/// sent when it ends, and it may wait for a slow model, or a user.
const ROOT_AWAITED_NANOS: i64 = 60_000_000_000;
/// An ancestor that is further above is not looked for.
const MAX_DEPTH: usize = 64;
/// Runs with a task id in one trace; further ones count as the trace's own.
const MAX_TASKS: usize = 1000;

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

/// What spans say about a run; their rows are their places among the spans of the trace.
type Description = RunDescription<usize>;

/// The parents of the spans of a trace that say nothing about a run.
pub(crate) type Ancestors = HashMap<SpanId, SpanId>;

/// What the spans of a trace say about each of its runs, by task.
type Described = BTreeMap<Option<String>, Description>;

fn described(spans: &[LightSpan]) -> Described {
    let mut runs = Described::new();
    for (place, light) in spans.iter().enumerate() {
        let span = &light.span;
        let Some(mut facts) = run_attributes(span.attributes.raw()) else {
            continue;
        };
        let rank = RunRank::of(&facts, span.parent_span_id.is_some());
        let task = facts.task_id.take();
        let id = u64::from_be_bytes(span.span_id.to_bytes());
        let source = RunSource::new(rank, span.start_time.as_nanos(), id, place);
        let described = RunDescription::new(facts, source);
        let is_full = runs.len() > MAX_TASKS;
        match runs.entry(task) {
            Entry::Occupied(mut known) => known.get_mut().add(described),
            Entry::Vacant(new) if is_full && new.key().is_some() => {}
            Entry::Vacant(new) => {
                new.insert(described);
            }
        }
    }
    runs
}

/// Returns whether the outcome of a run of the trace depends on spans which say nothing about runs:
/// they may be between two that name its task.
pub(crate) fn needs_ancestors(spans: &[LightSpan]) -> bool {
    let known: HashSet<SpanId> = spans.iter().map(|light| light.span.span_id).collect();
    described(spans).into_iter().any(|(task, run)| {
        let (first, last) = (run.first(), run.last());
        let has_attempts = task.is_some() && first.rank == RunRank::Agent && last.start > first.start;
        let mut next = has_attempts.then_some(last.row);
        for _ in 0..MAX_DEPTH {
            let Some(parent) = next.and_then(|at| spans[at].span.parent_span_id) else {
                return false;
            };
            if !known.contains(&parent) {
                return true;
            }
            next = spans.iter().position(|light| light.span.span_id == parent);
        }
        false
    })
}

/// Returns the runs of a trace; none if nothing in it makes it one. `spans` are those that may say
/// something about a run, and the roots, by start; `trace` has the sums of all spans.
pub(crate) fn of_trace(
    spans: &[LightSpan],
    ancestors: &Ancestors,
    trace: &TraceSummary,
    now: Timestamp,
) -> Vec<Part> {
    let runs = described(spans);
    let root = spans.iter().position(|light| light.span.parent_span_id.is_none());
    let named = runs.keys().filter(|task| task.is_some()).count();
    let mut parts = Vec::new();
    for (task, run) in runs {
        let head = match (&task, root) {
            // The trace's root is the head of the run that is called by the trace.
            (None, Some(root)) if run.first().rank < RunRank::Root => root,
            _ => last_attempt(&run, task.as_deref(), spans, ancestors),
        };
        let is_shared = task.is_some() && named > 1;
        let is_hidden = task.is_none() && named > 0;
        let of_trace = (trace, root.is_some(), now);
        parts.push(part(task, &run, &spans[head], of_trace, (is_shared, is_hidden)));
    }
    parts
}

/// A run has the name and the outcome of its last attempt: the topmost span of its task at or above
/// the one that started last.
fn last_attempt(run: &Description, task: Option<&str>, spans: &[LightSpan], ancestors: &Ancestors) -> usize {
    let (first, last) = (run.first(), run.last());
    if last.row == first.row || last.start <= first.start || first.rank == RunRank::Step {
        return first.row;
    }
    let mut top = last.row;
    if let (Some(task), RunRank::Agent) = (task, first.rank) {
        let places: HashMap<SpanId, usize> = spans.iter().map(|light| light.span.span_id).zip(0..).collect();
        let mut next = spans[last.row].span.parent_span_id;
        for _ in 0..MAX_DEPTH {
            let Some(id) = next else { break };
            let Some(above) = places.get(&id) else {
                next = ancestors.get(&id).copied();
                continue;
            };
            let facts = run_attributes(spans[*above].span.attributes.raw());
            if facts.and_then(|facts| facts.task_id).as_deref() == Some(task) {
                top = *above;
            }
            next = spans[*above].span.parent_span_id;
        }
    }
    match spans[top].span.start_time.as_nanos() > first.start {
        true => top,
        false => first.row,
    }
}

fn part(
    task: Option<String>,
    run: &Description,
    head: &LightSpan,
    (trace, has_root, now): (&TraceSummary, bool, Timestamp),
    (is_shared, is_hidden): (bool, bool),
) -> Part {
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
    // A run that is called by its trace begins with it.
    let start = match task {
        Some(_) => run.start(),
        None => run.start().min(trace.trace.start_time.as_nanos()),
    };
    let end = if is_shared { head_end } else { trace_end };
    // A head that only represents the run says nothing about its end.
    let completed = match task.is_some() || run.first().rank == RunRank::Root {
        true => head_end,
        false => end,
    };
    let is_named = task.is_some();
    Part {
        info: RunInfo::new(
            task.unwrap_or_else(|| trace.trace.trace_id.to_string()),
            trace.trace.trace_id,
            head.span.name.clone(),
            Timestamp::from_nanos(start),
            status,
        )
        .agent_id(run.agent_id())
        .session_id(run.session_id())
        .user_id(run.user_id())
        .tenant_id(tenant_of(&head.tenant))
        .trace_level(run.trace_level())
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
