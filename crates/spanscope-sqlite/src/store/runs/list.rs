//! The list of runs, and the runs that ended before a time.
//!
//! A list has a total, so each query reads all runs that its filter may match. Rows of `_run` are
//! found through an index by start, or by a scan of the whole table: a row found through an index
//! costs as much as scanning [`INDEX_COST`] rows, and counts decide which is cheaper. Whether a run
//! is unfinished is read from the few open spans, and not from the trace of each run. Rejected: an
//! index by agent, session and user, because it would slow down writing every run.

use std::collections::BTreeSet;

use rusqlite::Connection;
use spanscope_model::{RunFilter, RunPage, RunStatus, Timestamp};

use super::{ALIVE, COLUMNS, FROM, ROOT_AWAITED_NANOS, awaits_root, check, merged, of_task, parts};
use crate::file::Failure;
use crate::store::builder::{Sql, count};
use crate::store::rows::alive_since;
use crate::store::scope::Scope;

/// Approximate size of a run in a list.
const INFO_BYTES: usize = 500;

/// The cost of a row that is found through an index, in rows of a scan: 0.27 us against 0.05 us,
/// with 50,000 runs.
const INDEX_COST: u64 = 5;
/// Up to this number of open spans, a query lists their traces once; beyond it, it looks up each
/// run's trace.
const MAX_LISTED_OPEN: u64 = 10_000;

/// Condition over a row `r` of `_run`: it is unfinished. A run whose attributes come from a root
/// span (rank 2) waits for no root.
const UNFINISHED: &str = "(r.state = 0 OR (r.shared = 0 AND (";
const OPEN_BY_LIST: &str = "r.trace IN (SELECT trace FROM _span WHERE duration IS NULL)";
const OPEN_BY_TRACE: &str = "EXISTS (SELECT 1 FROM _trace t WHERE t.id = r.trace AND t.open_count > 0)";
const ROOT_AWAITED: &str = concat!(
    " OR (r.rank < 2 AND EXISTS (SELECT 1 FROM _trace t WHERE t.id = r.trace AND ",
    awaits_root!(),
    " AND t.end >= "
);

/// Of a task in several traces the part that began last is listed. What it does not name, the
/// latest other part tells: the rest of a condition on one of its texts, up to that text.
macro_rules! in_parts {
    ($column:literal) => {
        concat!(
            " OR (r.parts = 1 AND r.",
            $column,
            " = '' AND (SELECT o.",
            $column,
            " FROM _run o WHERE o.task_id = r.task_id AND o.tenant = r.tenant AND o.hidden = 0 AND o.",
            $column,
            " <> '' ORDER BY o.start DESC, o.id DESC LIMIT 1) = "
        )
    };
}

/// Runs that the filter lets through, newest first.
pub(in crate::store) fn list(db: &Connection, scope: Scope, filter: &RunFilter) -> Result<RunPage, Failure> {
    check(db)?;
    let now = Timestamp::now().as_nanos();
    let chosen = chosen(db, scope, filter, now)?;
    let rows = number(db, &Sql::new("SELECT COUNT(*) FROM _run"))?;
    let in_range = if scope.is_all() && filter.since.is_none() && filter.until.is_none() {
        rows
    } else {
        // A covering index has all columns that this reads.
        let counted =
            Sql::new("SELECT COUNT(*) FROM _run r WHERE r.hidden = 0").add(&in_range(scope, filter));
        number(db, &counted)?
    };
    let from = |found_by_index: u64| {
        Sql::new(if found_by_index.saturating_mul(INDEX_COST) > rows {
            " FROM _run r NOT INDEXED"
        } else {
            " FROM _run r"
        })
        .add(&chosen)
    };
    let total = number(db, &Sql::new("SELECT COUNT(*)").add(&from(in_range)))?;
    if filter.offset >= total {
        return Ok(RunPage::new(total, Vec::new()));
    }
    // The number of rows to read, from the newest on, until the page is full.
    let wanted = filter.offset.saturating_add(filter.limit).min(total);
    let walked = wanted.saturating_mul(in_range) / total;
    let page = Sql::new("SELECT r.id")
        .add(&from(walked))
        .push(" ORDER BY r.start DESC, r.id DESC LIMIT ")
        .bind(count(filter.limit))
        .push(" OFFSET ")
        .bind(count(filter.offset));
    let sql = Sql::new(COLUMNS)
        .push(ALIVE)
        .bind(alive_since())
        .push(")")
        .push(FROM)
        .push(" AND r.id IN (")
        .add(&page)
        .push(") ORDER BY r.start DESC, r.id DESC");
    let mut budget = scope.budget();
    let mut runs = Vec::new();
    for part in parts(db, &sql, now)? {
        budget.take(INFO_BYTES)?;
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
    Ok(RunPage::new(total, runs))
}

fn number(db: &Connection, counted: &Sql) -> Result<u64, Failure> {
    let found: Option<i64> = counted.rows(db, |row| row.get(0))?.pop();
    Ok(u64::try_from(found.unwrap_or(0)).unwrap_or(0))
}

/// Returns ` AND ...` over `r`: the conditions on columns of the indexes by start.
fn in_range(scope: Scope, filter: &RunFilter) -> Sql {
    let mut sql = scope.of_runs();
    if let Some(since) = filter.since {
        sql = sql.push(" AND r.start >= ").bind(since.as_nanos());
    }
    if let Some(until) = filter.until {
        sql = sql.push(" AND r.start < ").bind(until.as_nanos());
    }
    sql
}

/// Returns the rest of a statement after `FROM _run r`: a join, if the filter needs one, and the
/// conditions. A scan evaluates them in this order, so the most selective comes first.
fn chosen(db: &Connection, scope: Scope, filter: &RunFilter, now: i64) -> Result<Sql, Failure> {
    let mut sql = match filter.status {
        Some(RunStatus::Running | RunStatus::Abandoned) => {
            Sql::new(" CROSS JOIN _trace t ON t.id = r.trace WHERE 1")
        }
        _ => Sql::new(" WHERE 1"),
    };
    for (is, or_in_parts, value) in [
        (" AND (r.agent_id = ", in_parts!("agent_id"), &filter.agent_id),
        (
            " AND (r.session_id = ",
            in_parts!("session_id"),
            &filter.session_id,
        ),
        (" AND (r.user_id = ", in_parts!("user_id"), &filter.user_id),
    ] {
        if let Some(value) = value {
            sql = sql
                .push(is)
                .bind(value.clone())
                .push(or_in_parts)
                .bind(value.clone())
                .push("))");
        }
    }
    match filter.status {
        Some(RunStatus::Completed) => sql = sql.push(" AND r.state = 1"),
        Some(RunStatus::Failed) => sql = sql.push(" AND r.state = 2"),
        _ => {}
    }
    sql = sql.add(&in_range(scope, filter)).push(
        " AND r.hidden = 0 AND (r.parts = 0 OR NOT EXISTS (SELECT 1 FROM _run o WHERE o.task_id = r.task_id \
         AND o.tenant = r.tenant AND o.hidden = 0 AND (o.start, o.id) > (r.start, r.id)))",
    );
    if let Some(alive_since) = filter.alive_since {
        // Most runs of a list began later, and need no look-up.
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
    let Some(status) = filter.status else {
        return Ok(sql);
    };
    let unfinished = Sql::new(UNFINISHED)
        .push(is_open(db)?)
        .push(ROOT_AWAITED)
        .bind(now.saturating_sub(ROOT_AWAITED_NANOS))
        .push(")))))");
    let alive = |sql: Sql| sql.push(ALIVE).bind(alive_since()).push(")");
    Ok(match status {
        RunStatus::Completed | RunStatus::Failed => sql.push(" AND NOT ").add(&unfinished),
        RunStatus::Running => {
            let sql = sql.push(" AND ").add(&unfinished);
            alive(sql.push(" AND (t.open_count = 0 OR ")).push(")")
        }
        RunStatus::Abandoned => {
            let sql = sql.push(" AND ").add(&unfinished);
            alive(sql.push(" AND t.open_count > 0 AND NOT "))
        }
    })
}

/// The condition that a span of the trace of `r` is open.
fn is_open(db: &Connection) -> Result<&'static str, Failure> {
    let open = Sql::new("SELECT COUNT(*) FROM (SELECT 1 FROM _span WHERE duration IS NULL LIMIT ")
        .bind(count(MAX_LISTED_OPEN + 1))
        .push(")");
    Ok(if number(db, &open)? > MAX_LISTED_OPEN {
        OPEN_BY_TRACE
    } else {
        OPEN_BY_LIST
    })
}

/// Returns the rows of the traces of runs that ended before this time, and the number of these
/// runs.
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
