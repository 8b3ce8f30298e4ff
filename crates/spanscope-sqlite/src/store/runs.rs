//! Agent runs: the list of them, and the records of one.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Row};
use spanscope_model::{
    RunCursor, RunFilter, RunInfo, RunPage, RunRange, RunRecords, RunSpan, RunStatus, StoreError, Timestamp,
    TraceId,
};

use super::Failure;
use super::builder::{Sql, count};
use super::logs;
use super::rows::{Reader, SPAN_COLUMNS, alive_since};
use super::scope::Scope;
use super::traces;
use crate::schema;

/// A run of which no root is stored counts as running for so long after its last span: its root is sent when it ends, and what it waits
/// for may be a model that thinks.
const ROOT_AWAITED_NANOS: i64 = 60_000_000_000;
/// A task that goes on in more traces is answered as its newest.
pub(super) const MAX_PARTS: i64 = 64;
/// What a run takes in a list, about.
const INFO_BYTES: usize = 500;

/// ` AND ...` over a row `r` of `_run` and its trace `t`: it is not over.
const UNFINISHED: &str = " AND (r.state = 0 OR (r.shared = 0 AND t.open_count > 0) \
     OR (r.shared = 0 AND t.root IS NULL AND t.end >= ";
const FINISHED: &str = " AND NOT (r.state = 0 OR (r.shared = 0 AND t.open_count > 0) \
     OR (r.shared = 0 AND t.root IS NULL AND t.end >= ";
/// Whether a program that runs a span of the trace is alive, from the moment on that follows.
const ALIVE: &str = "EXISTS (SELECT 1 FROM _span o INDEXED BY _span_trace JOIN _process p ON p.id = o.process \
     WHERE o.trace = t.id AND o.duration IS NULL AND p.ended_at IS NULL AND p.seen_at >= ";

/// ` AND ...` over a row `e` of `_event`: it may be told of a run. A program that says much need not be read for its errors.
const TOLD: &str = " AND (COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)) >= 17 \
     OR COALESCE(e.name, (SELECT name FROM _callsite WHERE id = e.callsite)) IN ('gen_ai.choice', 'gen_ai.assistant.message') \
     OR instr(e.attributes, '\"event_type\"') > 0)";

const COLUMNS: &str = "SELECT r.id, r.task_id, r.agent_id, r.session_id, r.user_id, \
     (SELECT name FROM _tenant WHERE id = r.tenant), r.trace_level, t.trace_id, \
     (SELECT COALESCE(s.name, c.name) FROM _span s JOIN _callsite c ON c.id = s.callsite WHERE s.id = r.head), \
     r.start, t.end, t.span_count, t.error_count, t.open_count, r.state, r.said, r.shared, r.parts, t.root IS NULL, \
     r.trace, r.tenant, (SELECT s.start + s.duration FROM _span s WHERE s.id = r.head), CASE WHEN t.open_count > 0 THEN ";
const FROM: &str = " ELSE 0 END FROM _run r JOIN _trace t ON t.id = r.trace WHERE 1";

/// A row of `_run` with what its trace says.
struct Part {
    trace: i64,
    tenant: i64,
    info: RunInfo,
    end: i64,
    open: u64,
    alive: bool,
    said: bool,
    shared: bool,
    has_parts: bool,
}

/// Refuses a file of a version that kept no list of runs.
fn check(db: &Connection) -> Result<(), Failure> {
    if schema::has_runs(db)? {
        return Ok(());
    }
    Err(StoreError::invalid(
        "this file is of an older version, which kept no list of agent runs: run any program that writes to it, or `spanscope serve` \
         with it, which brings it forward",
    )
    .into())
}

/// Runs that the filter lets through, newest first.
pub(super) fn list(db: &Connection, scope: Scope, filter: &RunFilter) -> Result<RunPage, Failure> {
    check(db)?;
    let now = Timestamp::now().as_nanos();
    let chosen = chosen(scope, filter, now);
    // What the filter says of a trace needs the trace; without that, counting needs one index.
    let counted = match filter.status {
        Some(_) => Sql::new("SELECT COUNT(*) FROM _run r JOIN _trace t ON t.id = r.trace WHERE 1"),
        None => Sql::new("SELECT COUNT(*) FROM _run r WHERE 1"),
    };
    let total: i64 = counted
        .add(&chosen)
        .rows(db, |row| row.get(0))?
        .pop()
        .unwrap_or(0);
    let sql = Sql::new(COLUMNS)
        .push(ALIVE)
        .bind(alive_since())
        .push(")")
        .push(FROM)
        .add(&chosen)
        .push(" ORDER BY r.start DESC, r.id DESC LIMIT ")
        .bind(count(filter.limit))
        .push(" OFFSET ")
        .bind(count(filter.offset));
    let mut room = scope.room();
    let mut runs = Vec::new();
    for part in parts(db, &sql, now)? {
        room.take(INFO_BYTES)?;
        runs.push(if part.has_parts {
            let of_task = of_task(db, scope, &part.info.task_id, now)?;
            merged(
                &of_task
                    .into_iter()
                    .filter(|other| other.tenant == part.tenant)
                    .collect::<Vec<_>>(),
            )
            .unwrap_or(part.info)
        } else {
            part.info
        });
    }
    Ok(RunPage {
        total: u64::try_from(total).unwrap_or(0),
        runs,
    })
}

/// ` AND ...` over `r` and, where the filter names a status, `t`.
fn chosen(scope: Scope, filter: &RunFilter, now: i64) -> Sql {
    let mut sql = Sql::new(
        " AND r.hidden = 0 AND (r.parts = 0 OR NOT EXISTS (SELECT 1 FROM _run o WHERE o.task_id = r.task_id \
         AND o.tenant = r.tenant AND o.hidden = 0 AND o.id > r.id))",
    )
    .add(&scope.of_runs());
    for (is, value) in [
        (" AND r.agent_id = ", &filter.agent_id),
        (" AND r.session_id = ", &filter.session_id),
        (" AND r.user_id = ", &filter.user_id),
    ] {
        if let Some(value) = value {
            sql = sql.push(is).bind(value.clone());
        }
    }
    if let Some(since) = filter.since {
        sql = sql.push(" AND r.start >= ").bind(since.as_nanos());
    }
    if let Some(until) = filter.until {
        sql = sql.push(" AND r.start < ").bind(until.as_nanos());
    }
    if let Some(alive_since) = filter.alive_since {
        // Most runs of a list began later, and of those nothing needs to be looked up.
        sql = sql
            .push(" AND (r.start >= ")
            .bind(alive_since.as_nanos())
            .push(" OR EXISTS (SELECT 1 FROM _trace t WHERE t.id = r.trace AND (t.end >= ")
            .bind(alive_since.as_nanos())
            .push(" OR (t.open_count > 0 AND ")
            .push(ALIVE)
            .bind(self::alive_since())
            .push(")))))");
    }
    let unfinished = |sql: Sql, is: &'static str| {
        sql.push(is)
            .bind(now.saturating_sub(ROOT_AWAITED_NANOS))
            .push("))")
    };
    let alive = |sql: Sql| sql.push(ALIVE).bind(alive_since()).push(")");
    match filter.status {
        None => sql,
        Some(RunStatus::Completed) => unfinished(sql.push(" AND r.state = 1"), FINISHED),
        Some(RunStatus::Failed) => unfinished(sql.push(" AND r.state = 2"), FINISHED),
        Some(RunStatus::Running) => {
            alive(unfinished(sql, UNFINISHED).push(" AND (t.open_count = 0 OR ")).push(")")
        }
        Some(RunStatus::Abandoned) => {
            alive(unfinished(sql, UNFINISHED).push(" AND t.open_count > 0 AND NOT "))
        }
    }
}

fn parts(db: &Connection, sql: &Sql, now: i64) -> rusqlite::Result<Vec<Part>> {
    Ok(sql
        .rows(db, |row| part(row, now))?
        .into_iter()
        .flatten()
        .collect())
}

/// None if what the file holds as the trace's id is no id.
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
    let (said, shared, rootless): (bool, bool, bool) = (row.get(15)?, row.get(16)?, row.get(18)?);
    let (end, head_end): (i64, Option<i64>) = (row.get(10)?, row.get(21)?);
    let alive: bool = row.get(22)?;
    let root_awaited = !shared && rootless && end >= now.saturating_sub(ROOT_AWAITED_NANOS);
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
    Ok(Some(Part {
        trace: row.get(19)?,
        tenant: row.get(20)?,
        info: RunInfo {
            task_id: row.get(1)?,
            agent_id: row.get(2)?,
            session_id: row.get(3)?,
            user_id: row.get(4)?,
            tenant_id: text(5)?,
            trace_level: row.get(6)?,
            trace_id,
            name: text(8)?,
            created_at: Timestamp::from_nanos(row.get(9)?),
            completed_at: is_over.then(|| Timestamp::from_nanos(end)),
            updated_at: Timestamp::from_nanos(end),
            status,
            span_count: number(11)?,
            error_count: number(12)?,
        },
        end,
        open,
        alive,
        said,
        shared,
        has_parts: row.get(17)?,
    }))
}

/// What is stored of a task, the earliest first, of all tenants in the scope.
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

/// Several traces of one task as one run.
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
        // The part that came last is how it went out.
        parts.last()?.info.status
    };
    let is_over = matches!(info.status, RunStatus::Completed | RunStatus::Failed);
    let end = parts.iter().map(|part| part.end).max()?;
    info.completed_at = is_over.then(|| Timestamp::from_nanos(end));
    Some(info)
}

/// A run, as it lies in the file.
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
    // Two tenants may call a task the same: whoever sees both is shown the newer one.
    if let Some(tenant) = parts.last().map(|part| part.tenant) {
        parts.retain(|part| part.tenant == tenant);
    }
    let no_run = || {
        StoreError::not_found(format!(
            "no run {:?} is stored here: give the task id of a run, or the id of a trace",
            task_id.chars().take(80).collect::<String>()
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
            // The trace is that run.
            1 => parts.retain(|part| part.said),
            // All of them together are called by the trace.
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

/// A trace in which nothing tells of agents; none where it has no spans.
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
        info: RunInfo {
            task_id: trace_id.to_string(),
            agent_id: String::new(),
            session_id: String::new(),
            user_id: String::new(),
            tenant_id: tenant.into_iter().next().unwrap_or_default(),
            trace_level: String::new(),
            trace_id,
            name: summary.root_name,
            created_at: summary.trace.start_time,
            completed_at: summary.trace.end_time,
            updated_at: Timestamp::from_nanos(end),
            status,
            span_count: summary.span_count,
            error_count: summary.error_count,
        },
        traces: vec![trace],
        is_shared: false,
        open,
        alive,
    }))
}

/// Records of a run.
pub(super) fn records(
    db: &Connection,
    scope: Scope,
    task_id: &str,
    range: RunRange,
) -> Result<RunRecords, Failure> {
    let found = find(db, scope, task_id)?;
    let after = range.after;
    let bound = range.upto.unwrap_or(RunCursor {
        span: i64::MAX,
        end: i64::MAX,
        event: i64::MAX,
    });
    let mut reader = Reader::new(db, scope)?;
    let mut upto = range.upto.unwrap_or(after);
    let limit = range.limit.max(1);
    let mut spans = Vec::new();
    let sql = of_traces(
        "SELECT ",
        SPAN_COLUMNS,
        " FROM _span s WHERE s.trace IN (",
        &found.traces,
    )
    .push(" AND s.id > ")
    .bind(after.span)
    .push(" AND s.id <= ")
    .bind(bound.span)
    .push(" ORDER BY s.id LIMIT ")
    .bind(count(limit.saturating_add(1)));
    let mut more = false;
    sql.for_each(db, |row| {
        if u64::try_from(spans.len()).is_ok_and(|read| read >= limit) {
            more = true;
            return Ok::<_, Failure>(());
        }
        let number = row.get(0)?;
        upto.span = upto.span.max(number);
        if let Some(span) = reader.span(row)? {
            spans.push(RunSpan {
                number,
                span,
                end_number: None,
            });
        }
        Ok(())
    })?;
    if more {
        // What comes after the last of these spans is read with the next ones.
        upto = RunCursor {
            span: spans.last().map_or(after.span, |span: &RunSpan| span.number),
            ..after
        };
    }
    // The number of every end after the range's beginning: a span whose end comes after the range has none in it.
    let ends: HashMap<i64, i64> = of_traces(
        "SELECT ",
        "id, span",
        " FROM _ended s WHERE s.trace IN (",
        &found.traces,
    )
    .push(" AND s.id > ")
    .bind(after.end)
    .rows(db, |row| Ok((row.get(1)?, row.get(0)?)))?
    .into_iter()
    .collect();
    for span in &mut spans {
        span.end_number = ends.get(&span.number).copied();
    }
    let mut ended = Vec::new();
    let mut events = Vec::new();
    if !more {
        let mut numbers: Vec<(i64, i64)> = ends
            .into_iter()
            .map(|(span, number)| (number, span))
            .filter(|(number, _)| *number <= bound.end)
            .collect();
        numbers.sort_unstable();
        let mut one = db.prepare(&format!("SELECT {SPAN_COLUMNS} FROM _span s WHERE s.id = ?1"))?;
        for (end_number, number) in numbers {
            upto.end = upto.end.max(end_number);
            if number > after.span {
                continue;
            }
            let mut rows = one.query([number])?;
            if let Some(row) = rows.next()?
                && let Some(span) = reader.span(row)?
            {
                ended.push(RunSpan {
                    number,
                    span,
                    end_number: Some(end_number),
                });
            }
        }
        let chosen = of_traces(
            "SELECT ",
            logs::COLUMNS,
            " FROM _event e WHERE e.trace IN (",
            &found.traces,
        );
        let chosen = in_range(chosen, after.event, bound.event)
            .push(TOLD)
            .push(" ORDER BY e.id");
        events = logs::read(db, &mut reader, &chosen)?;
        // Of the others, which may be many, nothing is read, now or the next time.
        for trace in &found.traces {
            let last = Sql::new("SELECT MAX(e.id) FROM _event e WHERE e.trace = ").bind(*trace);
            let last =
                in_range(last, after.event, bound.event).rows(db, |row| row.get::<_, Option<i64>>(0))?;
            upto.event = upto
                .event
                .max(last.into_iter().flatten().max().unwrap_or(after.event));
        }
    }
    let mut traces = Vec::new();
    for trace in &found.traces {
        traces.extend(reader.trace_id(*trace)?);
    }
    Ok(RunRecords {
        info: found.info,
        traces,
        is_shared: found.is_shared,
        spans,
        ended,
        events,
        upto,
        more,
        open: found.open,
        alive: found.alive,
    })
}

/// A question about rows of some traces.
fn of_traces(select: &'static str, columns: &'static str, from: &'static str, traces: &[i64]) -> Sql {
    let mut sql = Sql::new(select).push(columns).push(from);
    for (place, trace) in traces.iter().enumerate() {
        if place > 0 {
            sql = sql.push(", ");
        }
        sql = sql.bind(*trace);
    }
    sql.push(")")
}

/// ` AND ...` over the numbers of events.
fn in_range(sql: Sql, after: i64, upto: i64) -> Sql {
    sql.push(" AND e.id > ")
        .bind(after)
        .push(" AND e.id <= ")
        .bind(upto)
}

/// The rows of the traces of runs that ended before then, and how many runs that is. What goes on has not ended.
pub(super) fn ended_before(
    db: &Connection,
    scope: Scope,
    before: Timestamp,
) -> Result<(Vec<i64>, u64), Failure> {
    check(db)?;
    let sql = Sql::new(
        "SELECT r.trace, r.task_id, r.tenant FROM _run r JOIN _trace t ON t.id = r.trace WHERE r.hidden = 0 AND t.end < ",
    )
    .bind(before.as_nanos())
    .push(" AND t.start < ")
    .bind(before.as_nanos())
    .push(" AND NOT (t.open_count > 0 AND ")
    .push(ALIVE)
    .bind(alive_since())
    .push("))")
    .add(&scope.of_runs());
    let found = sql.rows(db, |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, i64>(2)?,
        ))
    })?;
    let traces: BTreeSet<i64> = found.iter().map(|(trace, ..)| *trace).collect();
    let tasks: BTreeSet<(&str, i64)> = found
        .iter()
        .map(|(_, task, tenant)| (task.as_str(), *tenant))
        .collect();
    let runs = tasks.len() as u64;
    Ok((traces.into_iter().collect(), runs))
}
