//! Log events.

use rusqlite::{Connection, OptionalExtension, Row};
use spanscope_model::{LogEvent, LogFilter, Severity, Timestamp};

use super::Failure;
use super::builder::{Sql, count};
use super::conditions::{Conditions, Criteria, Table};
use super::row_cursor::RowCursor;
use super::rows::{Reader, attributes, span_id, span_number};
use super::scope::Scope;
use super::spans::{self, first_since};
use super::{scan, traces};
use crate::file::schema;
use crate::file::text::without_nul;

/// Approximate size of an event in a result in addition to its texts.
const EVENT_BYTES: usize = 300;
/// The newest events are searched this number of marks back, before the whole table is.
const NEAR_MARKS: [i64; 3] = [4, 64, 1024];

/// The columns that [`read`] reads, of an `_event` that the SQL calls `e`.
pub(super) const COLUMNS: &str = "e.id, e.callsite, e.time, e.trace, e.span_id, e.process, e.severity, e.name, e.message, \
     e.attributes, e.category";

/// The newest events that the filter lets through, oldest first.
///
/// Events are stored in nearly the order of their times, but not exactly. So the events since a
/// recent mark are searched first: if they fill the limit, the result is exact.
pub(super) fn list(db: &Connection, scope: Scope, filter: &LogFilter) -> Result<Vec<LogEvent>, Failure> {
    let is_narrow =
        filter.trace_id.is_some() || filter.span_id.is_some() || filter.after.is_some() || filter.oldest;
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

/// The events that the filter lets through and that happened at `since` or later.
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
    let Some(of_place) = of_place(db, scope, filter)? else {
        return Ok(Vec::new());
    };
    sql = sql.add(&of_place);
    sql = sql.add(&lets_through(db, filter)?).add(&in_order(filter));
    let mut reader = Reader::new(db, scope)?;
    let mut found = read(db, &mut reader, &sql)?;
    if !filter.oldest {
        found.reverse();
    }
    Ok(found)
}

/// ` AND ...` over rows `e` of `_event`: they belong to the trace and the span that the filter
/// names. `None` if that trace is not stored.
pub(super) fn of_place(db: &Connection, scope: Scope, filter: &LogFilter) -> Result<Option<Sql>, Failure> {
    let mut sql = Sql::default();
    if let Some(trace) = filter.trace_id {
        let Some(trace) = traces::rowid(db, scope, trace)? else {
            return Ok(None);
        };
        sql = sql.push(" AND e.trace = ").bind(trace);
    }
    if let Some(span) = filter.span_id {
        sql = sql.push(" AND e.span_id = ").bind(span_number(span));
        // Events have no index by span: they are found through the span's trace, if it is stored.
        if filter.trace_id.is_none() && spans::newest(db, scope, span)?.is_some() {
            sql = sql
                .push(" AND e.trace IN (SELECT trace FROM _span WHERE span_hex = ")
                .bind(span.to_string())
                .push(")");
        }
    }
    Ok(Some(sql))
}

/// ` AND ...` over rows `e` of `_event`: what the filter asks of the event alone.
pub(super) fn lets_through(db: &Connection, filter: &LogFilter) -> Result<Sql, Failure> {
    let mut sql = Sql::default();
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
        // The category `core` includes `core::routers`.
        let within = format!("{}::", without_nul(category));
        sql = sql
            .push(" AND (COALESCE(e.category, (SELECT category FROM _callsite WHERE id = e.callsite)) = ")
            .bind(without_nul(category).into_owned())
            .push(" OR substr(COALESCE(e.category, (SELECT category FROM _callsite WHERE id = e.callsite)), 1, ")
            .bind(count(within.chars().count() as u64))
            .push(") = ")
            .bind(within)
            .push(")");
    }
    let criteria = Criteria {
        conditions: &[],
        filter: &filter.filter,
    };
    sql = sql.add(&Conditions::new(db, criteria, Table::Events)?.probe());
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
    Ok(sql)
}

/// The order and the limit that choose the newest events, or the oldest.
fn in_order(filter: &LogFilter) -> Sql {
    let order = match filter.oldest {
        true => " ORDER BY e.time, e.id LIMIT ",
        false => " ORDER BY e.time DESC, e.id DESC LIMIT ",
    };
    Sql::new(order).bind(count(filter.limit))
}

/// Whether an index finds all events that the filter may let through, so that no other has to be
/// read.
pub(super) fn is_found_by_index(filter: &LogFilter) -> bool {
    filter.trace_id.is_some() || filter.span_id.is_some()
}

/// The row ids of the first and the last event that the filter may let through.
pub(super) fn ends(db: &Connection, filter: &LogFilter) -> Result<(i64, i64), Failure> {
    let (mut first, last): (i64, i64) = db.query_row(
        "SELECT COALESCE((SELECT min(id) FROM _event), 0), COALESCE((SELECT max(id) FROM _event), -1)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if let Some(since) = filter.since {
        first = first.max(first_since(db, since)?.1);
    }
    if let Some(after) = filter.after {
        first = first.max(RowCursor::from(after).event.saturating_add(1));
    }
    Ok((first, last))
}

/// The newest events, or the oldest, that were found in pieces.
#[derive(Debug)]
pub(super) struct Chosen {
    limit: usize,
    /// Times and row ids of events.
    found: Vec<(i64, i64)>,
}

impl Chosen {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            found: Vec::new(),
        }
    }

    /// Adds the events of a piece that the filter lets through. Returns whether the search is done:
    /// no event before the piece is newer than these. A search for the oldest events has to read
    /// every piece.
    pub(super) fn add_piece(
        &mut self,
        db: &Connection,
        scope: Scope,
        filter: &LogFilter,
        (first, last): (i64, i64),
    ) -> Result<bool, Failure> {
        let mut sql = Sql::new("SELECT e.time, e.id FROM _event e WHERE e.id BETWEEN ")
            .bind(first)
            .push(" AND ")
            .bind(last)
            .add(&scope.of_events());
        if let Some(since) = filter.since {
            sql = sql.push(" AND e.time >= ").bind(since.as_nanos());
        }
        let sql = sql.add(&lets_through(db, filter)?).add(&in_order(filter));
        self.found
            .extend(sql.rows(db, |row| Ok((row.get(0)?, row.get(1)?)))?);
        self.found.sort_unstable_by(|one, other| match filter.oldest {
            true => one.cmp(other),
            false => other.cmp(one),
        });
        self.found.dedup(); // a piece that took too long is read again
        self.found.truncate(self.limit);
        if filter.oldest {
            return Ok(self.limit == 0);
        }
        let Some((oldest, _)) = self.found.last().filter(|_| self.found.len() == self.limit) else {
            return Ok(self.limit == 0);
        };
        Ok(latest_before(db, first)?.is_some_and(|latest| latest <= *oldest))
    }

    /// The events, oldest first.
    pub(super) fn read(self, db: &Connection, scope: Scope) -> Result<Vec<LogEvent>, Failure> {
        let ids: Vec<i64> = self.found.into_iter().map(|(_, id)| id).collect();
        let sql = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM _event e WHERE e.id IN (SELECT value FROM json_each(")
            .bind(scan::list(&ids))
            .push(")) ORDER BY e.time, e.id");
        let mut reader = Reader::new(db, scope)?;
        read(db, &mut reader, &sql)
    }
}

/// Returns an upper bound of the times of all events before this row; `None` if it is unknown.
fn latest_before(db: &Connection, number: i64) -> Result<Option<i64>, Failure> {
    // The clocks of other machines may be ahead of this one's.
    let ahead: i64 = match schema::has_tenants(db)? {
        true => db.query_row("SELECT ahead FROM _given", [], |row| row.get(0))?,
        false => 0,
    };
    let mark: Option<i64> =
        db.query_row("SELECT min(time) FROM _mark WHERE event >= ?1", [number], |row| {
            row.get(0)
        })?;
    Ok(mark.map(|time| time.saturating_add(ahead)))
}

/// ` AND ...` over a row `e` of `_event`: it is at least this serious.
pub(super) fn at_least(severity: Severity) -> Sql {
    Sql::new(" AND COALESCE(e.severity, (SELECT level FROM _callsite WHERE id = e.callsite)) >= ")
        .bind(i64::from(severity.number()))
}

/// Reads the events that `sql` selects as [`COLUMNS`].
pub(super) fn read(db: &Connection, reader: &mut Reader<'_>, sql: &Sql) -> Result<Vec<LogEvent>, Failure> {
    let found = numbered(db, reader, sql)?;
    Ok(found.into_iter().map(|(_, event)| event).collect())
}

/// Reads the events that `sql` selects as [`COLUMNS`], each with its row id.
pub(super) fn numbered(
    db: &Connection,
    reader: &mut Reader<'_>,
    sql: &Sql,
) -> Result<Vec<(i64, LogEvent)>, Failure> {
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
        let bytes = text(8)?.map_or(0, str::len) + text(9)?.map_or(0, str::len);
        reader.budget.take(EVENT_BYTES + bytes)?;
        found.push((row.get(0)?, event(reader, row)?));
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

/// The event in a row of [`COLUMNS`].
pub(super) fn event(reader: &mut Reader<'_>, row: &Row<'_>) -> rusqlite::Result<LogEvent> {
    let callsite = reader.callsite(row.get(1)?)?;
    let process = reader.process(row.get(5)?)?;
    let trace = match row.get::<_, Option<i64>>(3)? {
        Some(trace) => reader.trace_id(trace)?,
        None => None,
    };
    Ok(LogEvent::new(
        Timestamp::from_nanos(row.get(2)?),
        row.get::<_, Option<u8>>(6)?
            .map_or(callsite.level, Severity::from_number),
        row.get::<_, String>(8)?,
    )
    .id(row.get::<_, i64>(0)?.to_string())
    .trace_id(trace)
    .span_id(row.get::<_, Option<i64>>(4)?.and_then(span_id))
    .name(
        row.get::<_, Option<String>>(7)?
            .unwrap_or_else(|| callsite.name.clone()),
    )
    .target(callsite.target.clone())
    .category(
        row.get::<_, Option<String>>(10)?
            .unwrap_or_else(|| callsite.category.clone()),
    )
    .service_name(process.service_name.clone())
    .attributes(attributes(row.get_ref(9)?.as_str_or_null()?)))
}
