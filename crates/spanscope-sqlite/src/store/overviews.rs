//! The overview of each trace in a list: usage, the first error, the run.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{TraceError, TraceId, TraceOverview, TraceRun};
use spanscope_runs::error_of;

use super::Failure;
use super::builder::Sql;
use super::rows::{Reader, SPAN_COLUMNS, parsed};
use super::scope::Scope;
use super::{scan, usage};
use crate::file::schema;

/// Approximate size of an overview in a result, without its error.
const OVERVIEW_BYTES: usize = 400;

/// Returns overviews of the traces that are stored, in the order of `ids`.
pub(super) fn of(db: &Connection, scope: Scope, ids: &[TraceId]) -> Result<Vec<TraceOverview>, Failure> {
    let texts: Vec<String> = ids.iter().map(TraceId::to_string).collect();
    let list = serde_json::to_string(&texts).unwrap_or_default();
    let mut found: HashMap<TraceId, (i64, bool)> = HashMap::new();
    let sql = Sql::new(
        "SELECT t.trace_id, t.id, t.error_count > 0 FROM _trace t WHERE t.trace_id IN (SELECT value FROM json_each(",
    )
    .bind(list)
    .push("))")
    .add(&scope.of_traces())
    .push(" ORDER BY t.id DESC");
    sql.for_each(db, |row| {
        // If several tenants use one id, the first trace counts, as in `traces::rowid`.
        if let Some(id) = parsed(row, 0)? {
            found.insert(id, (row.get(1)?, row.get(2)?));
        }
        Ok::<_, Failure>(())
    })?;
    let rows: Vec<i64> = found.values().map(|(row, _)| *row).collect();
    let mut runs = runs(db, &rows)?;
    let mut usage = usage::of_traces(db, scope, ids)?;
    let mut reader = Reader::new(db, scope)?;
    let mut overviews = Vec::new();
    for id in ids {
        let Some((row, has_error)) = found.get(id) else {
            continue;
        };
        reader.budget.take(OVERVIEW_BYTES)?;
        overviews.push(
            TraceOverview::new(*id)
                .usage(usage.remove(id).unwrap_or_default())
                .error(match has_error {
                    true => first_error(db, &mut reader, *row)?,
                    false => None,
                })
                .run(runs.remove(row)),
        );
    }
    Ok(overviews)
}

/// Returns the error of the failed span that began first.
fn first_error(db: &Connection, reader: &mut Reader<'_>, trace: i64) -> Result<Option<TraceError>, Failure> {
    let mut find = db.prepare_cached(
        "SELECT s.id FROM _span s INDEXED BY _span_trace WHERE s.trace = ?1 AND s.status = 1 \
         ORDER BY s.start, s.id LIMIT 1",
    )?;
    let first: Option<i64> = find.query_row([trace], |row| row.get(0)).optional()?;
    let Some(first) = first else { return Ok(None) };
    let sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s WHERE s.id = ")
        .bind(first);
    let mut error = None;
    sql.for_each(db, |row| {
        error = reader.span(row)?.map(|span| {
            let message = error_of(&span).unwrap_or_default();
            TraceError::new(span.span_id, span.name).message(message)
        });
        Ok::<_, Failure>(())
    })?;
    Ok(error)
}

/// Returns the run of each of these traces. If several runs share a trace, it is the one whose
/// attributes have the highest rank, and the oldest of these.
fn runs(db: &Connection, traces: &[i64]) -> Result<HashMap<i64, TraceRun>, Failure> {
    let mut runs = HashMap::new();
    if !schema::has_runs(db)? {
        return Ok(runs);
    }
    let sql = Sql::new(
        "SELECT r.trace, r.task_id, r.agent_id, r.session_id, r.user_id FROM _run r \
         WHERE r.hidden = 0 AND r.trace IN (SELECT value FROM json_each(",
    )
    .bind(scan::list(traces))
    .push(")) ORDER BY r.rank, r.id DESC");
    sql.for_each(db, |row| {
        runs.insert(
            row.get(0)?,
            TraceRun::default()
                .task_id(row.get::<_, String>(1)?)
                .agent_id(row.get::<_, String>(2)?)
                .session_id(row.get::<_, String>(3)?)
                .user_id(row.get::<_, String>(4)?),
        );
        Ok::<_, Failure>(())
    })?;
    Ok(runs)
}
