//! Lists of spans, single spans, and resolution of ids.

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{IdMatch, Order, OrderKey, Span, SpanFilter, SpanId, StoreError, Timestamp, TraceId};

use super::Failure;
use super::builder::{Sql, count};
use super::conditions::{Conditions, Table};
use super::rows::{Reader, SPAN_COLUMNS, parsed, span_id};
use super::scope::Scope;
use super::traces;
use super::{neighbours, scan};
use crate::file::schema;

/// Minimum number of digits of an id's prefix.
const MIN_PREFIX: usize = 4;

/// Returns the rows of the first span and event to read: every record in an earlier row started
/// before `since`.
pub(super) fn first_since(db: &Connection, since: Timestamp) -> rusqlite::Result<(i64, i64)> {
    // The clocks of other machines may be ahead of this one's.
    let ahead: i64 = match schema::has_tenants(db)? {
        true => db.query_row("SELECT ahead FROM _given", [], |row| row.get(0))?,
        false => 0,
    };
    let mark = db
        .query_row(
            "SELECT span, event FROM _mark WHERE time < ?1 ORDER BY time DESC LIMIT 1",
            [since.as_nanos().saturating_sub(ahead)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(mark.unwrap_or((i64::MIN, i64::MIN)))
}

/// Returns the spans that match the filter, in its order. `matching` has the spans that meet the
/// conditions, if a scan has already found them.
pub(super) fn list(
    db: &Connection,
    scope: Scope,
    filter: &SpanFilter,
    matching: Option<&[i64]>,
) -> Result<Vec<Span>, Failure> {
    let order = filter.order_by.first();
    let longest_first = order.is_some_and(|order| order.key == OrderKey::DurationMs && order.descending);
    if longest_first {
        // Slow spans have an index; if they fill the page, the others need not be read.
        let slow = list_with(db, scope, filter, matching, " AND s.duration >= 1000000000")?;
        if u64::try_from(slow.len()).is_ok_and(|found| found >= filter.limit) {
            return Ok(slow);
        }
    }
    list_with(db, scope, filter, matching, "")
}

fn list_with(
    db: &Connection,
    scope: Scope,
    filter: &SpanFilter,
    matching: Option<&[i64]>,
    hint: &'static str,
) -> Result<Vec<Span>, Failure> {
    let meets_conditions = match matching {
        Some(matching) => Sql::new(" AND s.id IN (SELECT value FROM json_each(")
            .bind(scan::list(matching))
            .push("))"),
        None => {
            let conditions = Conditions::new(db, scan::criteria_of(filter), Table::Spans(None))?;
            match conditions.is_frequent(db)? {
                true => conditions.probe(),
                false => conditions.seek(),
            }
        }
    };
    let mut sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s WHERE 1")
        .push(hint)
        .add(&scope.of_spans())
        .add(&meets_conditions);
    if let Some(since) = filter.since {
        sql = sql.push(" AND s.id >= ").bind(first_since(db, since)?.0);
    }
    sql = sql.add(&scan::began_between(filter));
    if let Some((trace, span)) = filter.before {
        // No page follows a span that is not stored.
        let before = row_index(db, scope, trace, span)?.unwrap_or(i64::MIN);
        sql = sql.push(" AND s.id < ").bind(before);
    }
    if filter.errors {
        sql = sql.push(" AND s.status = 1");
    }
    if let Some(service) = &filter.service {
        sql = sql
            .push(" AND s.process IN (SELECT id FROM _process WHERE service_name = ")
            .bind(service.clone())
            .push(")");
    }
    sql = sql.push(" ORDER BY ");
    for order in &filter.order_by {
        sql = sql.push(order_piece(*order)?).push(", ");
    }
    sql = sql
        .push("s.id DESC LIMIT ")
        .bind(count(filter.limit))
        .push(" OFFSET ")
        .bind(count(filter.offset));
    collect(db, scope, &sql)
}

/// Returns the row id of a span; of the first row if the span is stored twice.
pub(super) fn row_index(
    db: &Connection,
    scope: Scope,
    trace_id: TraceId,
    span_id: SpanId,
) -> rusqlite::Result<Option<i64>> {
    let sql = Sql::new("SELECT s.id FROM _span s INDEXED BY _span_hex WHERE s.span_hex = ")
        .bind(span_id.to_string())
        .push(" AND s.trace = ")
        .bind(traces::rowid(db, scope, trace_id)?)
        .push(" ORDER BY s.id LIMIT 1");
    Ok(sql.rows(db, |row| row.get(0))?.pop())
}

fn order_piece(order: Order) -> Result<&'static str, StoreError> {
    Ok(match (order.key, order.descending) {
        (OrderKey::StartTime, false) => "s.start",
        (OrderKey::StartTime, true) => "s.start DESC",
        (OrderKey::EndTime, false) => "s.start + s.duration",
        (OrderKey::EndTime, true) => "s.start + s.duration DESC",
        (OrderKey::DurationMs, false) => "s.duration",
        (OrderKey::DurationMs, true) => "s.duration DESC",
        (OrderKey::TraceId, false) => "(SELECT trace_id FROM _trace WHERE id = s.trace)",
        (OrderKey::TraceId, true) => "(SELECT trace_id FROM _trace WHERE id = s.trace) DESC",
        (OrderKey::SpanCount, _) => {
            return Err(StoreError::invalid(
                "span_count orders traces, not spans: use one of start_time end_time duration_ms trace_id",
            ));
        }
    })
}

/// The attribute keys of the spans that were stored last, and of resources, sorted.
pub(super) fn attribute_keys(db: &Connection, scope: Scope, newest: u64) -> Result<Vec<String>, Failure> {
    let mut sql = Sql::new("SELECT DISTINCT k.key FROM (SELECT s.attributes FROM _span s WHERE 1")
        .add(&scope.of_spans())
        .push(" ORDER BY s.id DESC LIMIT ")
        .bind(count(newest))
        .push(") a, json_each(a.attributes) k");
    if schema::has_tenants(db)? {
        sql = sql
            .push(" UNION SELECT k.key FROM _process p, json_each(p.resource) k WHERE p.resource IS NOT NULL")
            .add(&scope.of_processes());
    }
    Ok(sql.push(" ORDER BY 1").rows(db, |row| row.get(0))?)
}

/// All spans of a trace, by start.
pub(super) fn of_trace(db: &Connection, scope: Scope, trace_id: TraceId) -> Result<Vec<Span>, Failure> {
    let trace = traces::rowid(db, scope, trace_id)?.ok_or_else(|| traces::no_trace(trace_id))?;
    let sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s WHERE s.trace = ")
        .bind(trace);
    let mut spans = collect(db, scope, &sql)?;
    if spans.is_empty() {
        return Err(traces::no_trace(trace_id).into());
    }
    // Sorted here: SQLite's sorter would copy every attribute text twice. It is stable, so that
    // ties keep the order of storing.
    spans.sort_by_key(|span| span.start_time);
    Ok(spans)
}

/// One span.
pub(super) fn get(
    db: &Connection,
    scope: Scope,
    trace_id: TraceId,
    span_id: SpanId,
) -> Result<Span, Failure> {
    let sql = Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s INDEXED BY _span_hex WHERE s.span_hex = ")
        .bind(span_id.to_string())
        .push(" AND s.trace = ")
        .bind(traces::rowid(db, scope, trace_id)?)
        .push(" ORDER BY s.id DESC LIMIT 1");
    let mut reader = Reader::new(db, scope)?;
    let mut found = None;
    sql.for_each(db, |row| {
        found = reader.whole_span(row)?;
        Ok::<_, Failure>(())
    })?;
    Ok(found.ok_or_else(|| {
        StoreError::not_found(format!("no span {span_id} of trace {trace_id} is stored here"))
    })?)
}

pub(super) fn collect(db: &Connection, scope: Scope, sql: &Sql) -> Result<Vec<Span>, Failure> {
    let mut reader = Reader::new(db, scope)?;
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        found.extend(reader.span(row)?);
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

/// Returns the trace's row id and the number of the newest span with this id.
pub(super) fn newest(db: &Connection, scope: Scope, id: SpanId) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = Sql::new("SELECT s.trace, s.span_id FROM _span s INDEXED BY _span_hex WHERE s.span_hex = ")
        .bind(id.to_string())
        .add(&scope.of_spans())
        .push(" ORDER BY s.id DESC LIMIT 1");
    Ok(sql.rows(db, |row| Ok((row.get(0)?, row.get(1)?)))?.pop())
}

/// Resolves an id, or a prefix of one. The complete id of a span means that span, in its newest
/// trace.
pub(super) fn resolve(db: &Connection, scope: Scope, prefix: &str) -> Result<IdMatch, Failure> {
    let prefix = prefix.trim().to_ascii_lowercase();
    let is_hex = prefix.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex || prefix.len() < MIN_PREFIX || prefix.len() > TraceId::DIGITS {
        return Err(StoreError::invalid(format!(
            "{prefix:?} is not an id: give {MIN_PREFIX} to {} hexadecimal digits, a prefix of a trace id or of a span id",
            TraceId::DIGITS
        ))
        .into());
    }
    if let Ok(id) = prefix.parse::<SpanId>()
        && let Some((trace, _)) = newest(db, scope, id)?
        && let Some(trace) = Reader::new(db, scope)?.trace_id(trace)?
    {
        return Ok(IdMatch::Span(trace, id));
    }
    // Every text that begins with the prefix sorts before prefix + 'g', the letter after the
    // hexadecimal ones.
    let after = format!("{prefix}g");
    let mut matches = Sql::new("SELECT DISTINCT t.trace_id FROM _trace t WHERE t.trace_id >= ")
        .bind(prefix.clone())
        .push(" AND t.trace_id < ")
        .bind(after.clone())
        .add(&scope.of_traces())
        .push(" ORDER BY t.trace_id LIMIT 2")
        .rows(db, |row| parsed(row, 0))?
        .into_iter()
        .flatten()
        .map(IdMatch::Trace)
        .collect::<Vec<_>>();
    let spans =
        Sql::new("SELECT DISTINCT s.trace, s.span_id FROM _span s INDEXED BY _span_hex WHERE s.span_hex >= ")
            .bind(prefix.clone())
            .push(" AND s.span_hex < ")
            .bind(after)
            .add(&scope.of_spans())
            .push(" LIMIT 2")
            .rows(db, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut reader = Reader::new(db, scope)?;
    for (trace, span) in spans {
        if let (Some(trace), Some(span)) = (reader.trace_id(trace)?, span_id(span)) {
            matches.push(IdMatch::Span(trace, span));
        }
    }
    match matches[..] {
        [] => Err(
            StoreError::not_found(format!("no trace or span id begins with {prefix}"))
                .with_nearest(neighbours::nearest_traces(db, scope, &prefix)?)
                .into(),
        ),
        [only] => Ok(only),
        [first, second, ..] => Err(StoreError::invalid(format!(
            "{prefix} is ambiguous: {} and {} begin with it, give more digits",
            shown(first),
            shown(second)
        ))
        .into()),
    }
}

fn shown(id: IdMatch) -> String {
    match id {
        IdMatch::Trace(trace) => format!("trace {trace}"),
        IdMatch::Span(_, span) => format!("span {span}"),
    }
}
