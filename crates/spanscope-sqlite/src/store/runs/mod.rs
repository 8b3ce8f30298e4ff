//! Agent runs in the store: lists, and look-up by id.

mod list;
mod records;

use rusqlite::{Connection, Row};
use spanscope_model::text::first_chars;
use spanscope_model::{RunInfo, RunStatus, StoreError, Timestamp, TraceId};

pub(super) use self::list::{ended_before, list};
pub(super) use self::records::records;
use super::Failure;
use super::builder::Sql;
use super::rows::alive_since;
use super::scope::Scope;
use super::traces;
use crate::file::schema;

/// A run without a stored root counts as running for this long after its last span: its program
/// sends the root when it ends, and may still wait for a slow model or a user.
const ROOT_AWAITED_NANOS: i64 = 60_000_000_000;
/// Maximum number of traces that one query returns of a task: the newest.
pub(super) const MAX_PARTS: i64 = 64;

/// The condition that a trace `t` has no root and may still get one: a coding agent sends none, and
/// marks the end of a session in its last event.
macro_rules! awaits_root {
    () => {
        "t.root IS NULL AND NOT COALESCE((SELECT e.attributes LIKE '%\"spanscope.session_ended\":true%' FROM _event e \
         WHERE e.id = (SELECT MAX(id) FROM _event WHERE trace = t.id)), 0)"
    };
}
use awaits_root;

/// Whether a program that runs a span of the trace was seen since a time, which the query appends.
const ALIVE: &str = "EXISTS (SELECT 1 FROM _span o INDEXED BY _span_trace JOIN _process p ON p.id = o.process \
     WHERE o.trace = t.id AND o.duration IS NULL AND p.ended_at IS NULL AND p.seen_at >= ";

const COLUMNS: &str = concat!(
    "SELECT r.id, r.task_id, r.agent_id, r.session_id, r.user_id, \
     (SELECT name FROM _tenant WHERE id = r.tenant), r.trace_level, t.trace_id, \
     (SELECT COALESCE(s.name, c.name) FROM _span s JOIN _callsite c ON c.id = s.callsite WHERE s.id = r.head), \
     r.start, t.end, t.span_count, t.error_count, t.open_count, r.state, r.said, r.shared, r.parts, ",
    awaits_root!(),
    ", r.trace, r.tenant, (SELECT s.start + s.duration FROM _span s WHERE s.id = r.head), r.said OR r.rank = 2, \
     CASE WHEN t.open_count > 0 THEN "
);
const FROM: &str = " ELSE 0 END FROM _run r JOIN _trace t ON t.id = r.trace WHERE 1";

/// A row of `_run` with its trace's data. A task in several traces has several parts.
struct Part {
    trace: i64,
    tenant: i64,
    info: RunInfo,
    /// The time when it ended, or of its last activity.
    completed: i64,
    open: u64,
    alive: bool,
    said: bool,
    shared: bool,
    has_parts: bool,
}

/// Refuses a file of a version without a list of runs.
fn check(db: &Connection) -> Result<(), Failure> {
    if schema::has_runs(db)? {
        return Ok(());
    }
    Err(StoreError::invalid(
        "this file is of an older version without a list of agent runs: run any program that writes to it, or `spanscope serve` with it, which upgrades it",
    )
    .into())
}

fn parts(db: &Connection, sql: &Sql, now: i64) -> rusqlite::Result<Vec<Part>> {
    Ok(sql
        .rows(db, |row| part(row, now))?
        .into_iter()
        .flatten()
        .collect())
}

/// Returns `None` if the stored trace id is invalid.
fn part(row: &Row<'_>, now: i64) -> rusqlite::Result<Option<Part>> {
    let Some(trace_id) = super::rows::parsed::<TraceId>(row, 7)? else {
        return Ok(None);
    };
    let number = |column: usize| {
        row.get::<_, i64>(column)
            .map(|number| u64::try_from(number).unwrap_or(0))
    };
    let text = |column: usize| {
        row.get::<_, Option<String>>(column)
            .map(Option::unwrap_or_default)
    };
    let (open, state): (u64, i64) = (number(13)?, row.get(14)?);
    let (said, shared, awaits_root): (bool, bool, bool) = (row.get(15)?, row.get(16)?, row.get(18)?);
    let (end, head_end): (i64, Option<i64>) = (row.get(10)?, row.get(21)?);
    // The head span is the run itself, or only its representative, whose end is not the run's.
    let head_is_run: bool = row.get(22)?;
    let alive: bool = row.get(23)?;
    let root_awaited = !shared && awaits_root && end >= now.saturating_sub(ROOT_AWAITED_NANOS);
    let unfinished = state == 0 || (!shared && open > 0);
    let status = match (unfinished, state) {
        (true, _) if open > 0 && !alive => RunStatus::Abandoned,
        (true, _) => RunStatus::Running,
        (false, _) if root_awaited => RunStatus::Running,
        (false, 2) => RunStatus::Failed,
        (false, _) => RunStatus::Completed,
    };
    let end = if shared { head_end.unwrap_or(end) } else { end };
    let is_over = matches!(status, RunStatus::Completed | RunStatus::Failed);
    // Work that the run left in the background ends later.
    let completed = if head_is_run { head_end.unwrap_or(end) } else { end };
    Ok(Some(Part {
        trace: row.get(19)?,
        tenant: row.get(20)?,
        info: RunInfo::new(
            row.get::<_, String>(1)?,
            trace_id,
            text(8)?,
            Timestamp::from_nanos(row.get(9)?),
            status,
        )
        .agent_id(row.get::<_, String>(2)?)
        .session_id(row.get::<_, String>(3)?)
        .user_id(row.get::<_, String>(4)?)
        .tenant_id(text(5)?)
        .trace_level(row.get::<_, String>(6)?)
        .completed_at(is_over.then(|| Timestamp::from_nanos(completed)))
        .updated_at(Timestamp::from_nanos(end))
        .span_count(number(11)?)
        .error_count(number(12)?),
        completed,
        open,
        alive,
        said,
        shared,
        has_parts: row.get(17)?,
    }))
}

/// Returns the parts of a task, of all tenants in the scope, the earliest first.
fn of_task(db: &Connection, scope: Scope, task_id: &str, now: i64) -> Result<Vec<Part>, Failure> {
    let sql = select(" AND r.task_id = ")
        .bind(task_id.to_owned())
        .push(" AND r.hidden = 0")
        .add(&scope.of_runs())
        .push(" ORDER BY r.id DESC LIMIT ")
        .bind(MAX_PARTS);
    let mut parts = parts(db, &sql, now)?;
    parts.sort_by_key(|part| part.info.created_at);
    Ok(parts)
}

fn select(which: &'static str) -> Sql {
    Sql::new(COLUMNS)
        .push(ALIVE)
        .bind(alive_since())
        .push(")")
        .push(FROM)
        .push(which)
}

/// Merges the parts of one task into one run.
fn merged(parts: &[Part]) -> Option<RunInfo> {
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
    let any = |status| parts.iter().any(|part| part.info.status == status);
    info.status = if any(RunStatus::Running) {
        RunStatus::Running
    } else if any(RunStatus::Abandoned) {
        RunStatus::Abandoned
    } else {
        // The last part determines its outcome.
        parts.last()?.info.status
    };
    let is_over = matches!(info.status, RunStatus::Completed | RunStatus::Failed);
    let completed = parts.iter().map(|part| part.completed).max()?;
    info.completed_at = is_over.then(|| Timestamp::from_nanos(completed));
    Some(info)
}

/// A stored run.
pub(super) struct Found {
    pub(super) info: RunInfo,
    /// Rows of `_trace`, the earliest first.
    pub(super) traces: Vec<i64>,
    pub(super) is_shared: bool,
    open: u64,
    alive: bool,
}

/// Finds a run by its task id, or by the id of its trace.
pub(super) fn find(db: &Connection, scope: Scope, task_id: &str) -> Result<Found, Failure> {
    check(db)?;
    let now = Timestamp::now().as_nanos();
    let mut parts = of_task(db, scope, task_id, now)?;
    // Two tenants may use the same task id: a caller that sees both gets the newer one.
    if let Some(tenant) = parts.last().map(|part| part.tenant) {
        parts.retain(|part| part.tenant == tenant);
    }
    let no_run = || {
        StoreError::not_found(format!(
            "no run {:?} is stored here: give the task id of a run, or the id of a trace",
            first_chars(task_id, 80)
        ))
    };
    if parts.is_empty() {
        let trace_id: TraceId = task_id.to_ascii_lowercase().parse().map_err(|_| no_run())?;
        let trace = traces::rowid(db, scope, trace_id)?.ok_or_else(no_run)?;
        let sql = select(" AND r.trace = ")
            .bind(trace)
            .push(" ORDER BY r.said, r.start, r.id");
        parts = self::parts(db, &sql, now)?;
        match parts.iter().filter(|part| part.said).count() {
            // The id means the trace's only run with a task id.
            1 => parts.retain(|part| part.said),
            // The id means all runs of the trace together.
            _ => parts.truncate(1),
        }
        let Some(part) = parts.first_mut() else {
            return Ok(of_any_trace(db, scope, trace_id, trace)?.ok_or_else(no_run)?);
        };
        if part.said && part.shared {
            part.info.task_id = trace_id.to_string();
        }
        part.shared = false;
    }
    let traces = parts.iter().map(|part| part.trace).collect();
    Ok(Found {
        is_shared: parts.iter().any(|part| part.shared),
        open: parts.iter().map(|part| part.open).sum(),
        alive: parts.iter().any(|part| part.alive),
        info: merged(&parts).ok_or_else(no_run)?,
        traces,
    })
}

/// Returns a trace without agents as a run; `None` if it has no spans.
fn of_any_trace(
    db: &Connection,
    scope: Scope,
    trace_id: TraceId,
    trace: i64,
) -> Result<Option<Found>, Failure> {
    let Some(summary) = traces::of_row(db, scope, trace)? else {
        return Ok(None);
    };
    let tenant: Vec<String> =
        Sql::new("SELECT n.name FROM _trace t JOIN _tenant n ON n.id = t.tenant WHERE t.id = ")
            .bind(trace)
            .rows(db, |row| row.get(0))?;
    let (open, end) = Sql::new("SELECT open_count, end FROM _trace WHERE id = ")
        .bind(trace)
        .rows(db, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
        .pop()
        .unwrap_or_default();
    let open = u64::try_from(open).unwrap_or(0);
    let alive = summary.state == spanscope_model::SpanState::Running;
    let status = match (open, alive, summary.status) {
        (1.., true, _) => RunStatus::Running,
        (1.., false, _) => RunStatus::Abandoned,
        (0, _, Some(spanscope_model::SpanStatus::Error)) => RunStatus::Failed,
        (0, ..) => RunStatus::Completed,
    };
    Ok(Some(Found {
        info: RunInfo::new(
            trace_id.to_string(),
            trace_id,
            summary.root_name,
            summary.trace.start_time,
            status,
        )
        .tenant_id(tenant.into_iter().next().unwrap_or_default())
        .completed_at(summary.trace.end_time)
        .updated_at(Timestamp::from_nanos(end))
        .span_count(summary.span_count)
        .error_count(summary.error_count),
        traces: vec![trace],
        is_shared: false,
        open,
        alive,
    }))
}
