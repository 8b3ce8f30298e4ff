//! The records of a run, in the order in which they were stored.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use spanscope_model::semconv::ContentEvent;
use spanscope_model::{Cursor, RunRange, RunRecords, RunSpan};

use super::find;
use crate::store::builder::{Sql, count};
use crate::store::row_cursor::{RowCursor, order_of};
use crate::store::rows::{Reader, SPAN_COLUMNS};
use crate::store::scope::Scope;
use crate::store::stored::still_running;
use crate::store::{Failure, logs};

/// Returns ` AND ...` over a row `e` of `_event`: it is an error, or part of a run's contents. A
/// program's other log events, which may be many, are not read.
fn run_events() -> Sql {
    let mut sql = Sql::new(
        " AND (COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)) >= 17 \
         OR instr(e.attributes, '\"event_type\"') > 0 \
         OR COALESCE(e.name, (SELECT name FROM _callsite WHERE id = e.callsite)) IN (",
    );
    for (place, name) in ContentEvent::names().enumerate() {
        sql = sql.push(if place > 0 { ", " } else { "" }).bind(name.to_owned());
    }
    sql.push("))")
}

/// Returns the records of a run in a range.
pub(in crate::store) fn records(
    db: &Connection,
    scope: Scope,
    task_id: &str,
    range: RunRange,
) -> Result<RunRecords, Failure> {
    let found = find(db, scope, task_id)?;
    let after = RowCursor::from(range.after);
    let bound = RowCursor::from(range.upto.unwrap_or(Cursor::END));
    let mut reader = Reader::new(db, scope)?;
    let mut upto = range.upto.map_or(after, RowCursor::from);
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
    let mut processes = HashSet::new();
    sql.for_each(db, |row| {
        if u64::try_from(spans.len()).is_ok_and(|read| read >= limit) {
            more = true;
            return Ok::<_, Failure>(());
        }
        let number = row.get(0)?;
        upto.span = upto.span.max(number);
        processes.insert(row.get(7)?);
        if let Some(span) = reader.span(row)? {
            spans.push((number, span));
        }
        Ok(())
    })?;
    if more {
        // Rows after the last of these spans are read with the next ones.
        upto = RowCursor {
            span: spans.last().map_or(after.span, |(number, _)| *number),
            ..after
        };
    }
    // The row id of each end after the start of the range. A span whose end is stored after the
    // range still runs in it.
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
    let mut ended = Vec::new();
    let mut events = Vec::new();
    if !more {
        let mut numbers: Vec<(i64, i64)> = ends
            .iter()
            .map(|(span, number)| (*number, *span))
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
                ended.push(RunSpan::new(order_of(number), span));
            }
        }
        let chosen = of_traces(
            "SELECT ",
            logs::COLUMNS,
            " FROM _event e WHERE e.trace IN (",
            &found.traces,
        );
        let chosen = in_range(chosen, after.event, bound.event)
            .add(&run_events())
            .push(" ORDER BY e.id");
        events = logs::read(db, &mut reader, &chosen)?;
        // The cursor passes the other events too, so that the next query does not search them.
        for trace in &found.traces {
            let last = Sql::new("SELECT MAX(e.id) FROM _event e WHERE e.trace = ").bind(*trace);
            let last =
                in_range(last, after.event, bound.event).rows(db, |row| row.get::<_, Option<i64>>(0))?;
            upto.event = upto
                .event
                .max(last.into_iter().flatten().max().unwrap_or(after.event));
        }
    }
    for (number, span) in &mut spans {
        if ends.get(number).is_some_and(|end| *end > upto.end) {
            still_running(span);
        }
    }
    let spans = spans
        .into_iter()
        .map(|(number, span)| RunSpan::new(order_of(number), span));
    let spans = spans.collect();
    let mut traces = Vec::new();
    for trace in &found.traces {
        traces.extend(reader.trace_id(*trace)?);
    }
    Ok(RunRecords::new(found.info)
        .traces(traces)
        .is_shared(found.is_shared)
        .spans(spans)
        .ended(ended)
        .events(events)
        .upto(upto.into())
        .more(more)
        .open(found.open)
        .alive(found.alive)
        .has_sent(any_sends(db, &processes)?))
}

/// Returns whether one of these rows of `_process` is a sender: only these have a scope.
fn any_sends(db: &Connection, processes: &HashSet<i64>) -> rusqlite::Result<bool> {
    let mut find = db.prepare("SELECT 1 FROM _process WHERE id = ?1 AND scope IS NOT NULL")?;
    for process in processes {
        if find.exists([process])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A query over rows of some traces.
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

/// Appends ` AND ...` over the row ids of events.
fn in_range(sql: Sql, after: i64, upto: i64) -> Sql {
    sql.push(" AND e.id > ")
        .bind(after)
        .push(" AND e.id <= ")
        .bind(upto)
}
