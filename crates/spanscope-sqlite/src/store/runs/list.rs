//! The list of runs, and those of them that are old.

use std::collections::BTreeSet;

use rusqlite::Connection;
use spanscope_model::{RunFilter, RunPage, RunStatus, Timestamp};

use super::{ALIVE, COLUMNS, FROM, ROOT_AWAITED_NANOS, check, merged, of_task, parts};
use crate::store::Failure;
use crate::store::builder::{Sql, count};
use crate::store::rows::alive_since;
use crate::store::scope::Scope;

/// What a run takes in a list, about.
const INFO_BYTES: usize = 500;

/// ` AND ...` over a row `r` of `_run` and its trace `t`: it is not over.
const UNFINISHED: &str = " AND (r.state = 0 OR (r.shared = 0 AND t.open_count > 0) \
     OR (r.shared = 0 AND t.root IS NULL AND t.end >= ";
const FINISHED: &str = " AND NOT (r.state = 0 OR (r.shared = 0 AND t.open_count > 0) \
     OR (r.shared = 0 AND t.root IS NULL AND t.end >= ";

/// Runs that the filter lets through, newest first.
pub(in crate::store) fn list(db: &Connection, scope: Scope, filter: &RunFilter) -> Result<RunPage, Failure> {
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
            .bind(crate::store::rows::alive_since())
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

/// The rows of the traces of runs that ended before then, and how many runs that is. What goes on has not ended.
pub(in crate::store) fn ended_before(
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
