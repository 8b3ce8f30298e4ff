//! Records stored after a cursor, for followers of the whole file.

use std::collections::HashSet;

use rusqlite::Connection;
use spanscope_model::{Cursor, Span, SpanState, Stored, StoredFilter};

use super::builder::{Sql, count};
use super::row_cursor::RowCursor;
use super::rows::{Reader, SPAN_COLUMN_COUNT, SPAN_COLUMNS};
use super::scope::Scope;
use super::{Failure, logs, traces};
use crate::file::schema;

/// Returns the cursor after all stored records.
///
/// Row ids are assigned in write transactions, one after the other, so no row can appear later with
/// a smaller id than the three largest that are read here.
pub(super) fn latest(db: &Connection) -> Result<RowCursor, Failure> {
    let last = |table: &'static str| -> rusqlite::Result<i64> {
        let rows = Sql::new("SELECT COALESCE(max(id), 0) FROM ")
            .push(table)
            .rows(db, |row| row.get(0))?;
        Ok(rows.into_iter().next().unwrap_or(0))
    };
    Ok(RowCursor {
        span: last("_span")?,
        end: match schema::has_runs(db)? {
            true => last("_ended")?,
            false => 0,
        },
        event: last("_event")?,
    })
}

/// Returns the records after a cursor: up to `limit` each of spans, ends and events.
pub(super) fn after(
    db: &Connection,
    scope: Scope,
    after: Cursor,
    filter: &StoredFilter,
    limit: u64,
) -> Result<Stored, Failure> {
    let after = RowCursor::from(after);
    let limit = limit.max(1);
    let latest = latest(db)?;
    // After a deletion the largest ids are smaller than the cursor's.
    let mut upto = RowCursor {
        span: latest.span.max(after.span),
        end: latest.end.max(after.end),
        event: latest.event.max(after.event),
    };
    let trace = match filter.trace_id {
        None => None,
        Some(trace) => match traces::rowid(db, scope, trace)? {
            Some(trace) => Some(trace),
            None => {
                return Ok(Stored::default().upto(upto.into()));
            }
        },
    };
    let mut reader = Reader::new(db, scope)?;
    let sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(", s.id FROM _span s WHERE s.id > ")
        .bind(after.span)
        .add(&scope.of_spans())
        .add(&of_trace(" AND s.trace = ", trace))
        .push(" ORDER BY s.id LIMIT ")
        .bind(count(limit.saturating_add(1)));
    let (mut spans, mut more) = read(db, &mut reader, &sql, limit, &mut upto.span)?;

    let mut ended = Vec::new();
    if schema::has_runs(db)? {
        let sql = Sql::new("SELECT ")
            .push(SPAN_COLUMNS)
            .push(", e.id FROM _ended e JOIN _span s ON s.id = e.span WHERE e.id > ")
            .bind(after.end)
            .push(" AND e.span <= ")
            .bind(after.span)
            .add(&scope.of_spans())
            .add(&of_trace(" AND e.trace = ", trace))
            .push(" ORDER BY e.id LIMIT ")
            .bind(count(limit.saturating_add(1)));
        let more_ended;
        (ended, more_ended) = read(db, &mut reader, &sql, limit, &mut upto.end)?;
        if more_ended {
            more = true;
            // A span whose end is returned with the next records still runs in these.
            let later = Sql::new("SELECT span FROM _ended WHERE id > ")
                .bind(upto.end)
                .push(" AND span > ")
                .bind(after.span)
                .push(" AND span <= ")
                .bind(upto.span);
            let later: HashSet<i64> = later.rows(db, |row| row.get(0))?.into_iter().collect();
            for (number, span) in &mut spans {
                if later.contains(number) {
                    still_running(span);
                }
            }
        }
    }
    let sql = Sql::new("SELECT ")
        .push(logs::COLUMNS)
        .push(" FROM _event e WHERE e.id > ")
        .bind(after.event)
        .add(&scope.of_events())
        .add(&of_trace(" AND e.trace = ", trace))
        .add(&filter.min_severity.map_or_else(Sql::default, logs::at_least))
        .push(" ORDER BY e.id LIMIT ")
        .bind(count(limit.saturating_add(1)));
    let mut events = logs::numbered(db, &mut reader, &sql)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    if events.len() > kept {
        more = true;
        events.truncate(kept);
        upto.event = events.last().map_or(upto.event, |(number, _)| *number);
    }
    Ok(Stored::default()
        .spans(spans.into_iter().map(|(_, span)| span).collect())
        .ended(ended.into_iter().map(|(_, span)| span).collect())
        .events(events.into_iter().map(|(_, event)| event).collect())
        .upto(upto.into())
        .more(more))
}

fn of_trace(is: &'static str, trace: Option<i64>) -> Sql {
    trace.map_or_else(Sql::default, |trace| Sql::new(is).bind(trace))
}

/// Reads rows of [`SPAN_COLUMNS`] and a row id, up to the limit. If there are more, it sets `upto`
/// to the last row id that was read.
fn read(
    db: &Connection,
    reader: &mut Reader<'_>,
    sql: &Sql,
    limit: u64,
    upto: &mut i64,
) -> Result<(Vec<(i64, Span)>, bool), Failure> {
    let mut found = Vec::new();
    let mut rows = 0;
    let mut last = None;
    sql.for_each(db, |row| {
        rows += 1;
        if rows <= limit {
            let number = row.get(SPAN_COLUMN_COUNT)?;
            last = Some(number);
            // A row without valid ids, from a foreign program, is skipped.
            found.extend(reader.span(row)?.map(|span| (number, span)));
        }
        Ok::<_, Failure>(())
    })?;
    let more = rows > limit;
    if more {
        *upto = last.unwrap_or(*upto);
    }
    Ok((found, more))
}

/// Resets a span to its state before its end was stored.
pub(super) fn still_running(span: &mut Span) {
    span.end_time = None;
    span.status = None;
    span.status_message = None;
    span.state = SpanState::Running;
}
