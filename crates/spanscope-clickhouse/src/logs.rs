//! Log events: those of spans, and the records of `otel_logs`.
//!
//! Both are read from the newest on, window by window, and merged. What a filter means is decided
//! here, on the events; the server only leaves out what can't match.

use std::collections::HashSet;

use serde::Deserialize;
use spanscope_model::filter::EventSubject;
use spanscope_model::received::SpanOrigin;
use spanscope_model::{
    Attributes, Histogram, HistogramRange, LogEvent, LogFilter, Severity, SpanId, StoreError, Timestamp,
    TraceId, UNCATEGORIZED, received,
};

use crate::filter::Candidates;
use crate::marks::Mark;
use crate::reader::{Reader, too_many};
use crate::sql::Sql;
use crate::statistics::{bucket_of, check_range};
use crate::tables::{AttributeColumn, AttributeForm};
use crate::values::RawAttributes;

/// Events of a span that began this long before a window are found in it.
const LONGEST_SPAN: i64 = 6 * 3_600_000_000_000;
/// Events that are compared for one page, or counted for one histogram.
const MAX_COMPARED: u64 = 500_000;
/// The first number of events that are read for a page; it grows.
const FIRST_READ: u64 = 500;

/// An event, and the resource of its program.
type Found = (LogEvent, Attributes);

/// Which events are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogQuery {
    /// Nanoseconds since 1970, of the first and after the last.
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) service: Option<String>,
    pub(crate) min_severity: Option<Severity>,
    pub(crate) grep: Option<String>,
    pub(crate) is_ascending: bool,
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct EventRow(
    (String, String, String, String),
    i64,
    String,
    u32,
    RawAttributes,
    RawAttributes,
    Vec<String>,
);

#[derive(Debug, Deserialize)]
struct LogRow(
    (String, String, String, String),
    i64,
    (String, i32, String, String),
    RawAttributes,
    Vec<String>,
    RawAttributes,
    Vec<String>,
    u64,
);

impl Reader {
    pub(crate) fn list_logs(&self, filter: &LogFilter) -> Result<Vec<LogEvent>, StoreError> {
        // Conditions on whole traces are refused as in a list of traces.
        Candidates::new(&self.tables.traces, &[], &filter.filter)?;
        if filter.limit == 0 {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let is_narrow = filter.oldest || filter.trace_id.is_some() || filter.span_id.is_some();
        let windows = self.windows_of_logs(filter)?;
        let windows = match (is_narrow, windows.split_last()) {
            (true, Some((last, _))) => std::slice::from_ref(last),
            _ => &windows[..],
        };
        let mut found = Vec::new();
        for from in windows {
            found = self.chosen_logs(*from, filter, limit)?;
            if found.len() >= limit {
                break;
            }
        }
        if !filter.oldest {
            found.reverse();
        }
        Ok(found)
    }

    /// The beginnings of windows that go back in time; the last has everything.
    fn windows_of_logs(&self, filter: &LogFilter) -> Result<Vec<Option<i64>>, StoreError> {
        let since = filter.since.map(Timestamp::as_nanos);
        let after = filter.after.map(|after| Mark::from(after).time.saturating_add(1));
        let since = since.max(after);
        let mut newest = self.extent()?.map(|(_, newest)| newest);
        if self.tables.logs.is_some() {
            let sql = Sql::new("SELECT count(), toUnixTimestamp64Nano(max(Timestamp)) FROM otel_logs");
            let found: Option<(u64, i64)> = self.client.row(&sql)?;
            newest = newest.max(found.filter(|(count, _)| *count > 0).map(|(_, newest)| newest));
        }
        let Some(newest) = newest else {
            return Ok(Vec::new());
        };
        let upper = filter.until.map_or(newest, |until| until.as_nanos().min(newest));
        let mut windows = Vec::new();
        let mut width = LONGEST_SPAN / 12;
        // A year has no more than eight windows.
        for _ in 0..8 {
            let from = upper.saturating_sub(width);
            if since.is_some_and(|since| from <= since) {
                break;
            }
            windows.push(Some(from));
            width = width.saturating_mul(4);
        }
        windows.push(since);
        Ok(windows)
    }

    /// The first events from a time on that match, the newest first or, if the filter asks for
    /// them, the oldest.
    fn chosen_logs(
        &self,
        from: Option<i64>,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Vec<LogEvent>, StoreError> {
        let query = query_of(from, filter);
        let mut found = Vec::new();
        for source in [Source::Spans, Source::Logs] {
            found.extend(self.first_matching(source, &query, filter, limit)?);
        }
        Ok(merged(found, filter.oldest, limit))
    }

    fn first_matching(
        &self,
        source: Source,
        query: &LogQuery,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Vec<LogEvent>, StoreError> {
        let mut read = (limit as u64).saturating_mul(2).max(FIRST_READ);
        loop {
            let query = LogQuery {
                limit: Some(read),
                ..query.clone()
            };
            let found = match source {
                Source::Spans => self.events_of_spans(&query)?,
                Source::Logs => self.log_records(&query)?,
            };
            let is_all = (found.len() as u64) < read;
            let matching: Vec<LogEvent> = found
                .into_iter()
                .filter(|(event, resource)| is_wanted(event, resource, filter))
                .map(|(event, _)| event)
                .collect();
            if is_all || matching.len() >= limit {
                return Ok(matching);
            }
            if read >= MAX_COMPARED {
                return Err(too_many());
            }
            read = read.saturating_mul(8).min(MAX_COMPARED);
        }
    }

    /// Counts events by time and severity.
    pub(crate) fn log_histogram(
        &self,
        filter: &LogFilter,
        range: HistogramRange,
    ) -> Result<Histogram, StoreError> {
        check_range(range)?;
        Candidates::new(&self.tables.traces, &[], &filter.filter)?;
        let mut filter = filter.clone();
        filter.since = Some(filter.since.map_or(range.from, |since| since.max(range.from)));
        filter.until = Some(filter.until.map_or(range.to, |until| until.min(range.to)));
        let after = filter.after.map(|after| Mark::from(after).time.saturating_add(1));
        let from = filter.since.map(Timestamp::as_nanos).max(after);
        let mut query = query_of(from, &filter);
        query.limit = Some(MAX_COMPARED);
        let mut found = self.events_of_spans(&query)?;
        found.extend(self.log_records(&query)?);
        if found.len() as u64 >= MAX_COMPARED {
            return Err(too_many());
        }
        let matching = found
            .into_iter()
            .filter(|(event, resource)| is_wanted(event, resource, &filter))
            .map(|(event, _)| event);
        let mut counts = vec![vec![0_u64; range.buckets as usize]; Severity::ALL.len()];
        for event in merged(matching.collect(), true, usize::MAX) {
            let word = Severity::ALL
                .iter()
                .position(|severity| *severity == event.severity);
            if let (Some(word), Some(bucket)) = (word, bucket_of(range, event.timestamp)) {
                counts[word][bucket] += 1;
            }
        }
        Ok(Histogram::default()
            .series(
                Severity::ALL
                    .iter()
                    .map(|severity| severity.as_str())
                    .zip(counts)
                    .collect(),
            )
            .every(1))
    }

    /// Events of spans.
    pub(crate) fn events_of_spans(&self, query: &LogQuery) -> Result<Vec<Found>, StoreError> {
        let traces = &self.tables.traces;
        let scope = if traces.has_scope { "ScopeName" } else { "''" };
        let mut sql = Sql::default()
            .column(&format!(
                "SELECT (TraceId, SpanId, ServiceName, {scope}), toUnixTimestamp64Nano(toDateTime64(e.1, 9)) AS at, e.2, \
                 toUInt32(e.4), e.3, {} FROM otel_traces ARRAY JOIN arrayZip(Events.Timestamp, Events.Name, \
                 Events.Attributes, arrayEnumerate(Events.Name)) AS e WHERE 1",
                traces.resource.select()
            ))
            .add(&self.scope(&traces.resource))
            .add(&of_place(query));
        if let Some(trace) = query.trace_id {
            sql = sql.add(&self.in_time_of(&[trace])?);
        }
        if let Some(from) = query.from {
            sql = sql
                .push(" AND at >= ")
                .integer(from)
                .push(" AND Timestamp >= ")
                .time(Timestamp::from_nanos(from.saturating_sub(LONGEST_SPAN)));
        }
        if let Some(to) = query.to {
            sql = sql.push(" AND at < ").integer(to);
        }
        if query
            .min_severity
            .is_some_and(|severity| severity > Severity::Info)
            && traces.attributes.form == AttributeForm::Map
        {
            // What our bridge sends has a severity; of other events only exceptions are serious.
            sql = sql.push(
                " AND (endsWith(concat('.', e.2), '.exception') OR mapContains(e.3, 'severity') \
                 OR mapContains(e.3, 'spanscope.severity'))",
            );
        }
        if let (Some(grep), AttributeForm::Map) = (&query.grep, traces.attributes.form) {
            sql = sql
                .push(" AND (positionCaseInsensitive(e.2, ")
                .text(grep)
                .push(") > 0 OR arrayExists((k, v) -> positionCaseInsensitive(concat(k, '=', v), ")
                .text(grep)
                .push(") > 0, mapKeys(e.3), mapValues(e.3)))");
        }
        let mut found = Vec::new();
        self.client
            .for_each(&ordered(sql, query, "at, SpanId"), |row: EventRow| {
                found.extend(event_of_span(row));
                Ok(())
            })?;
        Ok(found)
    }

    /// Records of `otel_logs`.
    pub(crate) fn log_records(&self, query: &LogQuery) -> Result<Vec<Found>, StoreError> {
        let Some(logs) = &self.tables.logs else {
            return Ok(Vec::new());
        };
        let name = if logs.has_event_name { "EventName" } else { "''" };
        let mut sql = Sql::default()
            .column(&format!(
                "SELECT (TraceId, SpanId, ServiceName, ScopeName), toUnixTimestamp64Nano(Timestamp) AS at, \
                 (SeverityText, toInt32(SeverityNumber), Body, {name}), {}, {}, \
                 cityHash64(TraceId, SpanId, ServiceName, ScopeName, SeverityText, Body, {}) AS hash FROM otel_logs WHERE 1",
                logs.attributes.select(),
                logs.resource.select(),
                hashed(&logs.attributes)
            ))
            .add(&self.scope(&logs.resource))
            .add(&of_place(query));
        if let Some(from) = query.from {
            sql = sql.push(" AND Timestamp >= ").time(Timestamp::from_nanos(from));
        }
        if let Some(to) = query.to {
            sql = sql.push(" AND Timestamp < ").time(Timestamp::from_nanos(to));
        }
        if let Some(severity) = query.min_severity {
            sql = sql
                .push(" AND (SeverityNumber >= ")
                .count(severity.number().into())
                .push(" OR SeverityNumber = 0)");
        }
        if let (Some(grep), AttributeForm::Map) = (&query.grep, logs.attributes.form) {
            sql = sql
                .push(" AND (positionCaseInsensitive(Body, ")
                .text(grep)
                .push(") > 0 OR ")
                .column(&format!("positionCaseInsensitive({name}, "))
                .text(grep)
                .push(") > 0 OR arrayExists((k, v) -> positionCaseInsensitive(concat(k, '=', v), ")
                .text(grep)
                .push(") > 0, mapKeys(LogAttributes), mapValues(LogAttributes)))");
        }
        let mut found = Vec::new();
        self.client
            .for_each(&ordered(sql, query, "at, hash"), |row: LogRow| {
                found.push(log_record(row));
                Ok(())
            })?;
        Ok(found)
    }
}

/// Where events are kept.
#[derive(Debug, Clone, Copy)]
enum Source {
    Spans,
    Logs,
}

fn hashed(column: &AttributeColumn) -> String {
    match column.form {
        AttributeForm::Map => format!("toString({})", column.name),
        AttributeForm::Json => format!("toJSONString({})", column.name),
    }
}

fn of_place(query: &LogQuery) -> Sql {
    let mut sql = Sql::default();
    if let Some(trace) = query.trace_id {
        sql = sql.push(" AND TraceId = ").text(&trace.to_string());
    }
    if let Some(span) = query.span_id {
        sql = sql.push(" AND SpanId = ").text(&span.to_string());
    }
    if let Some(service) = &query.service {
        sql = sql.push(" AND ServiceName = ").text(service);
    }
    sql
}

fn ordered(sql: Sql, query: &LogQuery, ties: &'static str) -> Sql {
    let sql = match (query.is_ascending, ties) {
        (true, _) => sql.push(" ORDER BY ").push(ties),
        (false, "at, hash") => sql.push(" ORDER BY at DESC, hash DESC"),
        (false, _) => sql.push(" ORDER BY at DESC, SpanId DESC"),
    };
    match query.limit {
        Some(limit) => sql.push(" LIMIT ").count(limit),
        None => sql,
    }
}

fn query_of(from: Option<i64>, filter: &LogFilter) -> LogQuery {
    LogQuery {
        from,
        to: filter.until.map(Timestamp::as_nanos),
        trace_id: filter.trace_id,
        span_id: filter.span_id,
        service: filter.service.clone(),
        min_severity: filter.min_severity,
        grep: filter.grep.clone(),
        is_ascending: filter.oldest,
        limit: None,
    }
}

fn is_wanted(event: &LogEvent, resource: &Attributes, filter: &LogFilter) -> bool {
    let in_category = |category: &String| {
        event.category == *category
            || event
                .category
                .strip_prefix(category.as_str())
                .is_some_and(|rest| rest.starts_with("::"))
    };
    filter
        .min_severity
        .is_none_or(|severity| event.severity >= severity)
        && filter.category.as_ref().is_none_or(in_category)
        && filter.grep.as_ref().is_none_or(|grep| event.contains(grep))
        && filter.filter.matches_untyped(&EventSubject::new(event, resource))
}

/// Puts events in order, each once: a collector that repeats a batch stores it twice, and a program
/// may send the events of its spans as log records too.
fn merged(mut found: Vec<LogEvent>, is_ascending: bool, limit: usize) -> Vec<LogEvent> {
    found.sort_by(|one, other| {
        let order = (one.timestamp, &one.id).cmp(&(other.timestamp, &other.id));
        if is_ascending { order } else { order.reverse() }
    });
    type Key = (Option<TraceId>, Option<SpanId>, Timestamp, String);
    let key = |event: &LogEvent| -> Key {
        (
            event.trace_id,
            event.span_id,
            event.timestamp,
            event.message.clone(),
        )
    };
    let of_spans: HashSet<Key> = found.iter().filter(|event| is_of_span(event)).map(key).collect();
    let mut seen = HashSet::new();
    found.retain(|event| {
        seen.insert(event.id.clone())
            && (is_of_span(event) || event.span_id.is_none() || !of_spans.contains(&key(event)))
    });
    found.truncate(limit);
    found
}

/// Whether an event was read from a span: its id begins with the ids of the trace and the span.
fn is_of_span(event: &LogEvent) -> bool {
    event.id.bytes().filter(|byte| *byte == b'.').count() > 1
}

fn event_of_span(row: EventRow) -> Option<Found> {
    let EventRow((trace, span, service, scope), at, name, number, attributes, resource, keys) = row;
    let origin = SpanOrigin {
        trace_id: trace.parse().ok()?,
        span_id: span.parse().ok()?,
        start: Timestamp::from_nanos(at),
        scope: &scope,
    };
    let mut event = received::event_of_span(name, Timestamp::from_nanos(at), attributes.read(&[]), &origin);
    event.id = format!("{trace}.{span}.{at}.{}", number.saturating_sub(1));
    event.service_name = service;
    Some((event, resource.read(&keys)))
}

fn log_record(row: LogRow) -> Found {
    let LogRow(
        (trace, span, service, scope),
        at,
        (severity_text, number, body, event_name),
        attributes,
        keys,
        resource,
        resource_keys,
        hash,
    ) = row;
    let mut attributes = attributes.read(&keys);
    let category = received::take_category(&mut attributes);
    let severity = received::log_severity(number, &severity_text, &attributes);
    let name = received::log_name(event_name, &mut attributes);
    received::note_severity_text(severity_text, severity, &mut attributes);
    let trace_id: Option<TraceId> = trace.parse().ok();
    let event = LogEvent::new(Timestamp::from_nanos(at), severity, body)
        .id(format!("{at}.{hash:016x}"))
        .trace_id(trace_id)
        .span_id(span.parse().ok().filter(|_| trace_id.is_some()))
        .name(name)
        .target(scope)
        .category(category.unwrap_or_else(|| UNCATEGORIZED.to_owned()))
        .service_name(service)
        .attributes(attributes);
    (event, resource.read(&resource_keys))
}
