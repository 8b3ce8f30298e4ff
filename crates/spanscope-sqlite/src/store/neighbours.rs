//! The neighbours of a span (failed spans and model calls of its trace), and spans that link to it.

use rusqlite::Connection;
use spanscope_model::{Span, SpanId, SpanNeighbours, StoreError, Timestamp, TraceId};

use super::Failure;
use super::builder::Sql;
use super::rows::{Reader, SPAN_COLUMNS, span_id, span_number};
use super::scope::Scope;
use super::{scan, traces, usage};

/// Returns the previous and the next failed span and model call of a span's trace.
pub(super) fn neighbours(
    db: &Connection,
    scope: Scope,
    trace_id: TraceId,
    id: SpanId,
) -> Result<SpanNeighbours, Failure> {
    let trace = traces::rowid(db, scope, trace_id)?.ok_or_else(|| traces::no_trace(trace_id))?;
    let at = Sql::new("SELECT s.start, s.id FROM _span s INDEXED BY _span_hex WHERE s.span_hex = ")
        .bind(id.to_string())
        .push(" AND s.trace = ")
        .bind(trace)
        .push(" ORDER BY s.id DESC LIMIT 1")
        .rows(db, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
        .pop()
        .ok_or_else(|| no_span(trace_id, id))?;
    let mut calls: Vec<i64> = usage::of_spans(db, scope, trace_id)?
        .into_iter()
        .map(|usage| span_number(usage.span_id))
        .collect();
    calls.sort_unstable();
    let has_errors = Sql::new("SELECT error_count > 0 FROM _trace WHERE id = ")
        .bind(trace)
        .rows(db, |row| row.get::<_, bool>(0))?;
    let mut found = SpanNeighbours::default();
    if calls.is_empty() && has_errors != [true] {
        return Ok(found);
    }
    // The nearest that were found, each with its position (start, row).
    let mut nearest: [Option<((i64, i64), i64)>; 4] = [None; 4];
    let sql = Sql::new(
        "SELECT s.start, s.id, s.span_id, s.status = 1 FROM _span s INDEXED BY _span_trace WHERE s.trace = ",
    )
    .bind(trace)
    .push(" AND (s.status = 1 OR s.span_id IN (SELECT value FROM json_each(")
    .bind(scan::list(&calls))
    .push(")))");
    sql.for_each(db, |row| {
        let place = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
        let number: i64 = row.get(2)?;
        let is_error = row.get::<_, Option<bool>>(3)? == Some(true);
        let is_call = calls.binary_search(&number).is_ok();
        for (kind, is_such) in [is_error, is_call].into_iter().enumerate() {
            let slot = match place.cmp(&at) {
                std::cmp::Ordering::Less => kind * 2,
                std::cmp::Ordering::Equal => continue,
                std::cmp::Ordering::Greater => kind * 2 + 1,
            };
            let is_nearer = nearest[slot].is_none_or(|(known, _)| (place < known) == (place > at));
            if is_such && is_nearer {
                nearest[slot] = Some((place, number));
            }
        }
        Ok::<_, Failure>(())
    })?;
    let [previous_error, next_error, previous_call, next_call] = nearest.map(|nearest| span_id(nearest?.1));
    found.previous_error = previous_error;
    found.next_error = next_error;
    found.previous_call = previous_call;
    found.next_call = next_call;
    Ok(found)
}

fn no_span(trace_id: TraceId, id: SpanId) -> StoreError {
    StoreError::not_found(format!("no span {id} of trace {trace_id} is stored here"))
}

/// Returns the first and the last row that may link to a span of this trace: rows that were stored
/// after the trace began.
pub(super) fn first_link(db: &Connection, scope: Scope, trace_id: TraceId) -> Result<(i64, i64), Failure> {
    let trace = traces::rowid(db, scope, trace_id)?.ok_or_else(|| traces::no_trace(trace_id))?;
    let start = Sql::new("SELECT start FROM _trace WHERE id = ")
        .bind(trace)
        .rows(db, |row| row.get(0))?
        .pop();
    scan::ends(db, start.map(Timestamp::from_nanos))
}

/// Returns the spans of a piece that link to this span, the last stored first.
pub(super) fn linking(
    db: &Connection,
    scope: Scope,
    (trace_id, id): (TraceId, SpanId),
    (first, last): (i64, i64),
) -> Result<Vec<Span>, Failure> {
    let sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s WHERE s.id BETWEEN ")
        .bind(first)
        .push(" AND ")
        .bind(last)
        .push(" AND s.extra IS NOT NULL AND instr(s.extra, ")
        .bind(id.to_string())
        .push(") > 0")
        .add(&scope.of_spans())
        .push(" ORDER BY s.id DESC");
    let mut reader = Reader::new(db, scope)?;
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        let span = reader.span(row)?;
        // The text of the id may also occur in a link to another trace, or in a message.
        found.extend(span.filter(|span| {
            let mut links = span.links.iter();
            links.any(|link| link.trace_id == trace_id && link.span_id == id)
        }));
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

/// Returns stored trace ids that share a prefix with this one, the longest prefix first.
pub(super) fn nearest_traces(db: &Connection, scope: Scope, id: &str) -> Result<Vec<String>, Failure> {
    const MOST: usize = 3;
    /// Ids with fewer digits in common are alike by chance.
    const LEAST_IN_COMMON: usize = 4;
    let side = |sql: Sql, order: &'static str| {
        sql.bind(id.to_owned())
            .add(&scope.of_traces())
            .push(order)
            .rows(db, |row| row.get::<_, String>(0))
    };
    let select = "SELECT t.trace_id FROM _trace t WHERE t.trace_id ";
    let mut found = side(Sql::new(select).push("< "), " ORDER BY t.trace_id DESC LIMIT 3")?;
    found.extend(side(
        Sql::new(select).push(">= "),
        " ORDER BY t.trace_id LIMIT 3",
    )?);
    let in_common = |found: &String| {
        let pairs = found.bytes().zip(id.bytes());
        pairs.take_while(|(one, other)| one == other).count()
    };
    found.retain(|found| in_common(found) >= LEAST_IN_COMMON);
    found.sort_by_key(|found| std::cmp::Reverse(in_common(found)));
    found.truncate(MOST);
    Ok(found)
}
