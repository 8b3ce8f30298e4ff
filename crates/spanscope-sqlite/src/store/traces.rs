//! Lists of traces.

use rusqlite::{Connection, Row};
use spanscope_model::{
    Order, OrderKey, SpanState, SpanStatus, StoreError, Timestamp, Trace, TraceFilter, TraceId, TraceSummary,
};

use super::Failure;
use super::builder::{Sql, count};
use super::conditions::{Conditions, Criteria, Table};
use super::rows::{Reader, alive_since, parsed, span_id};
use super::scan;
use super::scope::Scope;

/// Approximate size of a trace in a list.
const SUMMARY_BYTES: usize = 300;

const SUMMARY: &str = "SELECT t.trace_id, r.span_id, t.start, t.end, t.open_count, t.span_count, t.error_count, \
     r.callsite, r.name, r.process, \
     CASE WHEN t.open_count > 0 THEN EXISTS (SELECT 1 FROM _span o INDEXED BY _span_trace \
        JOIN _process p ON p.id = o.process \
        WHERE o.trace = t.id AND o.duration IS NULL AND p.ended_at IS NULL AND p.seen_at >= ";

// The cross join prevents SQLite from starting with the roots, which would need a sort of all
// traces.
const SUMMARY_FROM: &str = ") END \
     FROM _trace t CROSS JOIN _span r ON r.id = \
        COALESCE(t.root, (SELECT id FROM _span WHERE trace = t.id ORDER BY start, id LIMIT 1)) \
     WHERE 1";

/// Returns the traces that match the filter, in its order. `matching` has the traces that meet the
/// conditions, if a scan has already found them.
pub(super) fn list(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    matching: Option<&[i64]>,
) -> Result<Vec<TraceSummary>, Failure> {
    let mut sql = Sql::new(SUMMARY)
        .bind(alive_since())
        .push(SUMMARY_FROM)
        .add(&chosen(db, scope, filter, matching)?)
        .push(" ORDER BY ");
    for order in &filter.order_by {
        sql = sql.push(order_piece(*order)).push(", ");
    }
    if filter.order_by.is_empty() {
        sql = sql.push("t.start DESC, t.trace_id DESC");
    } else {
        sql = sql.push("t.trace_id");
    }
    sql = sql
        .push(" LIMIT ")
        .bind(count(filter.limit))
        .push(" OFFSET ")
        .bind(count(filter.offset));
    summaries(db, scope, &sql)
}

/// Returns the row ids of the traces with a span that meets the conditions, newest first.
pub(super) fn rowids(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    matching: Option<&[i64]>,
) -> Result<Vec<i64>, Failure> {
    let sql = Sql::new("SELECT t.id FROM _trace t WHERE 1")
        .add(&chosen(db, scope, filter, matching)?)
        .push(" ORDER BY t.start DESC, t.trace_id DESC");
    Ok(sql.rows(db, |row| row.get(0))?)
}

/// One trace.
pub(super) fn get(db: &Connection, scope: Scope, trace_id: TraceId) -> Result<Trace, Failure> {
    let found = match rowid(db, scope, trace_id)? {
        Some(row) => of_row(db, scope, row)?.map(|summary| summary.trace),
        None => None,
    };
    Ok(found.ok_or_else(|| no_trace(trace_id))?)
}

/// Returns the trace in this row, as a list entry.
pub(super) fn of_row(db: &Connection, scope: Scope, trace: i64) -> Result<Option<TraceSummary>, Failure> {
    let sql = Sql::new(SUMMARY)
        .bind(alive_since())
        .push(SUMMARY_FROM)
        .push(" AND t.id = ")
        .bind(trace);
    Ok(summaries(db, scope, &sql)?.pop())
}

/// Returns the row id of a trace; of the first if several tenants use the trace id.
pub(super) fn rowid(db: &Connection, scope: Scope, trace_id: TraceId) -> rusqlite::Result<Option<i64>> {
    let sql = Sql::new("SELECT t.id FROM _trace t WHERE t.trace_id = ")
        .bind(trace_id.to_string())
        .add(&scope.of_traces())
        .push(" ORDER BY t.id LIMIT 1");
    Ok(sql.rows(db, |row| row.get(0))?.pop())
}

pub(super) fn no_trace(trace_id: TraceId) -> StoreError {
    StoreError::not_found(format!("no trace {trace_id} is stored here"))
}

/// Returns ` AND ...` over the trace `t`: it matches the filter.
pub(super) fn chosen(
    db: &Connection,
    scope: Scope,
    filter: &TraceFilter,
    matching: Option<&[i64]>,
) -> Result<Sql, Failure> {
    let mut sql = scope.of_traces();
    if let Some(since) = filter.since {
        sql = sql.push(" AND t.start >= ").bind(since.as_nanos());
    }
    if let Some(until) = filter.until {
        sql = sql.push(" AND t.start < ").bind(until.as_nanos());
    }
    if filter.errors {
        sql = sql.push(" AND t.error_count > 0");
    }
    if filter.running {
        sql = sql
            .push(
                " AND t.open_count > 0 AND EXISTS (SELECT 1 FROM _span o INDEXED BY _span_trace \
                 JOIN _process p ON p.id = o.process WHERE o.trace = t.id AND o.duration IS NULL \
                 AND p.ended_at IS NULL AND p.seen_at >= ",
            )
            .bind(alive_since())
            .push(")");
    }
    if let Some((start, trace_id)) = filter.before {
        // Two comparisons, because SQLite uses an index for the first alone.
        sql = sql
            .push(" AND t.start <= ")
            .bind(start.as_nanos())
            .push(" AND (t.start < ")
            .bind(start.as_nanos())
            .push(" OR t.trace_id < ")
            .bind(trace_id.to_string())
            .push(")");
    }
    if let Some(service) = &filter.service {
        sql = sql
            .push(
                " AND (SELECT process FROM _span WHERE id = COALESCE(t.root, \
                 (SELECT id FROM _span WHERE trace = t.id ORDER BY start, id LIMIT 1))) \
                 IN (SELECT id FROM _process WHERE service_name = ",
            )
            .bind(service.clone())
            .push(")");
    }
    if let Some(matching) = matching {
        return Ok(sql
            .push(" AND t.id IN (SELECT value FROM json_each(")
            .bind(scan::list(matching))
            .push("))"));
    }
    let criteria = criteria_of(filter);
    for id in criteria.trace_ids() {
        // This trace is looked up, while the conditions alone would read all of them.
        sql = sql.push(" AND t.trace_id = ").bind(id);
    }
    let conditions = Conditions::new(db, criteria, Table::Spans(None))?;
    if conditions.is_empty() {
        return Ok(sql);
    }
    Ok(if conditions.is_frequent(db)? {
        sql.push(" AND EXISTS (SELECT 1 FROM _span s INDEXED BY _span_trace WHERE s.trace = t.id")
            .add(&conditions.probe())
            .push(")")
    } else {
        sql.push(" AND t.id IN (SELECT s.trace FROM _span s WHERE 1")
            .add(&conditions.seek())
            .push(")")
    })
}

/// Returns the conditions that one span of each listed trace must meet.
pub(super) fn criteria_of(filter: &TraceFilter) -> Criteria<'_> {
    Criteria {
        conditions: &filter.conditions,
        filter: &filter.filter,
    }
}

fn order_piece(order: Order) -> &'static str {
    match (order.key, order.descending) {
        (OrderKey::StartTime, false) => "t.start",
        (OrderKey::StartTime, true) => "t.start DESC",
        (OrderKey::EndTime, false) => "CASE WHEN t.open_count = 0 THEN t.end END",
        (OrderKey::EndTime, true) => "CASE WHEN t.open_count = 0 THEN t.end END DESC",
        (OrderKey::DurationMs, false) => "CASE WHEN t.open_count = 0 THEN t.end - t.start END",
        (OrderKey::DurationMs, true) => "CASE WHEN t.open_count = 0 THEN t.end - t.start END DESC",
        (OrderKey::TraceId, false) => "t.trace_id",
        (OrderKey::TraceId, true) => "t.trace_id DESC",
        (OrderKey::SpanCount, false) => "t.span_count",
        (OrderKey::SpanCount, true) => "t.span_count DESC",
    }
}

fn summaries(db: &Connection, scope: Scope, sql: &Sql) -> Result<Vec<TraceSummary>, Failure> {
    let mut reader = Reader::new(db, scope)?;
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        reader.budget.take(SUMMARY_BYTES)?;
        found.extend(summary(&mut reader, row)?);
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the model shows milliseconds as a float"
)]
fn summary(reader: &mut Reader<'_>, row: &Row<'_>) -> rusqlite::Result<Option<TraceSummary>> {
    let (Some(trace_id), Some(root_span_id)) = (parsed(row, 0)?, span_id(row.get(1)?)) else {
        return Ok(None);
    };
    let (start, end, open): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let errors = u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0);
    let is_running = row.get::<_, Option<bool>>(10)?.unwrap_or(false);
    Ok(Some(
        TraceSummary::new(
            Trace::new(trace_id, root_span_id, Timestamp::from_nanos(start))
                .end_time((open == 0).then(|| Timestamp::from_nanos(end))),
            match row.get::<_, Option<String>>(8)? {
                Some(name) => name,
                None => reader.callsite(row.get(7)?)?.name.clone(),
            },
            match (open, is_running) {
                (0, _) => SpanState::Ended,
                (_, true) => SpanState::Running,
                (_, false) => SpanState::Abandoned,
            },
        )
        .service_name(reader.process(row.get(9)?)?.service_name.clone())
        .duration_ms((open == 0).then(|| end.saturating_sub(start) as f64 / 1e6))
        .status(match (errors, open) {
            (1.., _) => Some(SpanStatus::Error),
            (0, 0) => Some(SpanStatus::Ok),
            (0, _) => None,
        })
        .span_count(u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0))
        .error_count(errors),
    ))
}
