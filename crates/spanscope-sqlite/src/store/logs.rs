//! Log events.

use rusqlite::{Connection, OptionalExtension, Row};
use spanscope_model::{LogEvent, LogFilter, Severity, Timestamp};

use super::Failure;
use super::builder::{Sql, count};
use super::conditions::{Asked, Conditions, Table};
use super::row_cursor::RowCursor;
use super::rows::{Reader, attributes, span_id, span_number};
use super::scope::Scope;
use super::spans::{self, first_since};
use super::traces;
use crate::file::text::without_nul;

/// What an event takes in an answer beside its texts, about.
const EVENT_BYTES: usize = 300;
/// So many marks back the newest events are looked for first, before all are.
const NEAR_MARKS: [i64; 3] = [4, 64, 1024];

/// The columns that [`read`] reads, of an `_event` that the SQL calls `e`.
pub(super) const COLUMNS: &str = "e.id, e.callsite, e.time, e.trace, e.span_id, e.process, e.severity, e.name, e.message, \
     e.attributes, e.category";

/// The newest events that the filter lets through, oldest first.
///
/// Events lie in the order of storing, which is nearly that of their times but not quite. So a stretch at the end is
/// searched first: if it holds enough events that are younger than everything before it, the answer is exact.
pub(super) fn list(db: &Connection, scope: Scope, filter: &LogFilter) -> Result<Vec<LogEvent>, Failure> {
    let is_narrow = filter.trace_id.is_some() || filter.span_id.is_some() || filter.after.is_some();
    if !is_narrow {
        for back in NEAR_MARKS {
            let mark: Option<i64> = db
                .query_row(
                    "SELECT time FROM _mark ORDER BY time DESC LIMIT 1 OFFSET ?1",
                    [back],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(mark) = mark.map(|time| Timestamp::from_nanos(time.saturating_add(1))) else {
                break;
            };
            if filter.since.is_some_and(|since| since >= mark) {
                break;
            }
            let near = list_since(db, scope, filter, Some(mark))?;
            if u64::try_from(near.len()).is_ok_and(|found| found >= filter.limit) {
                return Ok(near);
            }
        }
    }
    list_since(db, scope, filter, filter.since)
}

fn list_since(
    db: &Connection,
    scope: Scope,
    filter: &LogFilter,
    since: Option<Timestamp>,
) -> Result<Vec<LogEvent>, Failure> {
    let mut sql = Sql::new("SELECT ")
        .push(COLUMNS)
        .push(" FROM _event e WHERE 1")
        .add(&scope.of_events());
    if let Some(since) = since {
        sql = sql
            .push(" AND e.id >= ")
            .bind(first_since(db, since)?.1)
            .push(" AND e.time >= ")
            .bind(since.as_nanos());
    }
    if let Some(after) = filter.after {
        sql = sql.push(" AND e.id > ").bind(RowCursor::from(after).event);
    }
    if let Some(trace) = filter.trace_id {
        let Some(trace) = traces::rowid(db, scope, trace)? else {
            return Ok(Vec::new());
        };
        sql = sql.push(" AND e.trace = ").bind(trace);
    }
    if let Some(span) = filter.span_id {
        sql = sql.push(" AND e.span_id = ").bind(span_number(span));
        // Events have no index of their own by span: they are found through the span's trace, if it is stored.
        if filter.trace_id.is_none() && spans::newest(db, scope, span)?.is_some() {
            sql = sql
                .push(" AND e.trace IN (SELECT trace FROM _span WHERE span_hex = ")
                .bind(span.to_string())
                .push(")");
        }
    }
    if let Some(severity) = filter.min_severity {
        sql = sql.add(&at_least(severity));
    }
    if let Some(until) = filter.until {
        sql = sql.push(" AND e.time < ").bind(until.as_nanos());
    }
    if let Some(service) = &filter.service {
        sql = sql
            .push(" AND e.process IN (SELECT id FROM _process WHERE service_name = ")
            .bind(without_nul(service).into_owned())
            .push(")");
    }
    if let Some(category) = &filter.category {
        sql = sql
            .push(" AND COALESCE(e.category, (SELECT category FROM _callsite WHERE id = e.callsite)) = ")
            .bind(without_nul(category).into_owned());
    }
    let asked = Asked {
        conditions: &[],
        filter: &filter.filter,
    };
    sql = sql.add(&Conditions::new(db, asked, Table::Events)?.probe());
    if let Some(grep) = &filter.grep {
        sql = sql
            .push(" AND (spanscope_contains(e.message, ")
            .bind(grep.clone())
            .push(") OR spanscope_contains(COALESCE(e.name, (SELECT name FROM _callsite WHERE id = e.callsite)), ")
            .bind(grep.clone())
            .push(") OR CASE WHEN e.attributes IS NULL THEN 0 ELSE spanscope_grep(e.attributes, ")
            .bind(grep.clone())
            .push(") END)");
    }
    sql = sql
        .push(" ORDER BY e.time DESC, e.id DESC LIMIT ")
        .bind(count(filter.limit));
    let mut reader = Reader::new(db, scope)?;
    let mut found = read(db, &mut reader, &sql)?;
    found.reverse();
    Ok(found)
}

/// ` AND ...` over a row `e` of `_event`: it is at least this serious.
pub(super) fn at_least(severity: Severity) -> Sql {
    Sql::new(" AND COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)) >= ")
        .bind(i64::from(severity.number()))
}

/// The events in the rows of [`COLUMNS`] that the SQL chooses.
pub(super) fn read(db: &Connection, reader: &mut Reader<'_>, sql: &Sql) -> Result<Vec<LogEvent>, Failure> {
    let found = numbered(db, reader, sql)?;
    Ok(found.into_iter().map(|(_, event)| event).collect())
}

/// The same events, each with the number of its row.
pub(super) fn numbered(
    db: &Connection,
    reader: &mut Reader<'_>,
    sql: &Sql,
) -> Result<Vec<(i64, LogEvent)>, Failure> {
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
        let bytes = text(8)?.map_or(0, str::len) + text(9)?.map_or(0, str::len);
        reader.room.take(EVENT_BYTES + bytes)?;
        found.push((row.get(0)?, event(reader, row)?));
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

fn event(reader: &mut Reader<'_>, row: &Row<'_>) -> rusqlite::Result<LogEvent> {
    let callsite = reader.callsite(row.get(1)?)?;
    let process = reader.process(row.get(5)?)?;
    let trace = match row.get::<_, Option<i64>>(3)? {
        Some(trace) => reader.trace_id(trace)?,
        None => None,
    };
    Ok(LogEvent {
        id: row.get::<_, i64>(0)?.to_string(),
        trace_id: trace,
        span_id: row.get::<_, Option<i64>>(4)?.and_then(span_id),
        timestamp: Timestamp::from_nanos(row.get(2)?),
        severity: row
            .get::<_, Option<u8>>(6)?
            .map_or(callsite.level, Severity::from_number),
        name: row
            .get::<_, Option<String>>(7)?
            .unwrap_or_else(|| callsite.name.clone()),
        message: row.get(8)?,
        target: callsite.target.clone(),
        category: row
            .get::<_, Option<String>>(10)?
            .unwrap_or_else(|| callsite.category.clone()),
        service_name: process.service_name.clone(),
        attributes: attributes(row.get_ref(9)?.as_str_or_null()?),
    })
}
