//! Exports all stored records by source, in the form that another store accepts.
//!
//! [`Records`] reads trace after trace and page after page, each in a separate short transaction,
//! so that an export of a large file does not prevent programs from reusing its log. The order
//! depends only on the records: without the ids of events, exporting an imported store yields the
//! same text.

use std::collections::{HashMap, VecDeque};

use rusqlite::{Connection, OptionalExtension};
use spanscope_model::{
    Attributes, LogEvent, MetricKind, NewEvent, NewPoint, NewSpan, Source, SourceRecords, Span, SpanState,
    StoreError, Timestamp, TraceId, Value, block_on, wire,
};

use super::builder::{Sql, count};
use super::rows::{Reader, SPAN_COLUMNS, span_id};
use super::scope::Scope;
use super::{Failure, SqliteStore, logs, traces};
use crate::file::schema;
use crate::file::series::{self, Amount};

/// Number of traces that one query lists.
const TRACES: u64 = 5_000;
/// Number of events, or of measurements, outside traces that one query reads.
const PAGE: u64 = 1_000;
/// Approximate size of a measurement in a result in addition to its texts.
const POINT_BYTES: usize = 300;

/// All records of a store: each trace with everything that belongs to it, then events and
/// measurements outside stored traces, up to 1,000 at a time. Records stored meanwhile may be
/// included.
#[derive(Debug)]
#[must_use = "iterators are lazy and read nothing unless consumed"]
pub struct Records<'s> {
    store: &'s SqliteStore,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// The traces to read next.
    traces: VecDeque<TraceKey>,
    part: Part,
}

/// The order of traces: start, id, row.
type TraceKey = (i64, String, i64);

/// The next part to read.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Traces after this one.
    Traces(Option<TraceKey>),
    /// Events after this time and row.
    Events(i64, i64),
    /// Measurements from this time on.
    Points(i64),
    End,
}

impl SqliteStore {
    /// Returns all records of a trace, by source; none if no such trace is stored.
    ///
    /// # Errors
    /// Unavailable if the file can't be read.
    pub fn trace_records(&self, trace_id: TraceId) -> Result<Option<Vec<SourceRecords>>, StoreError> {
        block_on(
            self.ask(move |db, scope| match traces::rowid(db, scope, trace_id)? {
                Some(row) => of_trace(db, scope, row),
                None => Ok(None),
            }),
        )
    }

    /// Reads all records: traces that began at `since` or later and before `until`, the oldest
    /// first, and events and measurements of that time. Events have their ids of this store.
    pub fn records(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Records<'_> {
        Records {
            store: self,
            since,
            until,
            traces: VecDeque::new(),
            part: Part::Traces(None),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<SourceRecords>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_part() {
                Ok(Some(records)) if records.is_empty() => {}
                Ok(Some(records)) => return Some(Ok(records)),
                Ok(None) => return None,
                Err(error) => {
                    self.part = Part::End;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Records<'_> {
    /// Reads the next part; empty if it has no records, `None` if all parts are read.
    fn read_part(&mut self) -> Result<Option<Vec<SourceRecords>>, StoreError> {
        let store = self.store;
        let (since, until) = (self.since, self.until);
        match self.part.clone() {
            Part::Traces(after) => {
                if let Some((.., row)) = self.traces.pop_front() {
                    // Retention may have deleted it meanwhile.
                    let records = block_on(store.ask(move |db, scope| of_trace(db, scope, row)))?;
                    return Ok(Some(records.unwrap_or_default()));
                }
                let page = block_on(
                    store.ask(move |db, scope| trace_rows(db, scope, after.as_ref(), since, until)),
                )?;
                self.part = match page.last() {
                    Some(last) => Part::Traces(Some(last.clone())),
                    None => Part::Events(since.map_or(i64::MIN, Timestamp::as_nanos), i64::MIN),
                };
                self.traces = page.into();
                Ok(Some(Vec::new()))
            }
            Part::Events(time, row) => {
                let page = block_on(store.ask(move |db, scope| loose_events(db, scope, (time, row), until)))?;
                self.part = match page.next {
                    Some((time, row)) => Part::Events(time, row),
                    None => Part::Points(since.map_or(i64::MIN, Timestamp::as_nanos)),
                };
                Ok(Some(page.records))
            }
            Part::Points(time) => {
                let page = block_on(store.ask(move |db, scope| loose_points(db, scope, time, until)))?;
                self.part = page.next.map_or(Part::End, Part::Points);
                Ok(Some(page.records))
            }
            Part::End => Ok(None),
        }
    }
}

/// Records, and where the next page starts.
struct Page<N> {
    records: Vec<SourceRecords>,
    next: Option<N>,
}

fn trace_rows(
    db: &Connection,
    scope: Scope,
    after: Option<&TraceKey>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<TraceKey>, Failure> {
    let mut sql = Sql::new("SELECT t.start, t.trace_id, t.id FROM _trace t WHERE 1").add(&scope.of_traces());
    if let Some((start, trace_id, row)) = after {
        sql = sql
            .push(" AND t.start >= ")
            .bind(*start)
            .push(" AND (t.start, t.trace_id, t.id) > (")
            .bind(*start)
            .push(", ")
            .bind(trace_id.clone())
            .push(", ")
            .bind(*row)
            .push(")");
    }
    if let Some(since) = since {
        sql = sql.push(" AND t.start >= ").bind(since.as_nanos());
    }
    if let Some(until) = until {
        sql = sql.push(" AND t.start < ").bind(until.as_nanos());
    }
    sql = sql
        .push(" ORDER BY t.start, t.trace_id, t.id LIMIT ")
        .bind(count(TRACES));
    Ok(sql.rows(db, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
}

/// Returns everything that belongs to the trace in this row.
fn of_trace(db: &Connection, scope: Scope, row: i64) -> Result<Option<Vec<SourceRecords>>, Failure> {
    let mut reader = Reader::new(db, scope)?;
    let Some(trace_id) = reader.trace_id(row)? else {
        return Ok(None);
    };
    let mut sources = Sources::new(db);
    let mut spans: Vec<(i64, Span)> = Vec::new();
    Sql::new("SELECT ")
        .push(SPAN_COLUMNS)
        .push(" FROM _span s WHERE s.trace = ")
        .bind(row)
        .for_each(db, |row| {
            if let Some(span) = reader.span(row)? {
                spans.push((row.get(7)?, with_kept_state(span)));
            }
            Ok::<_, Failure>(())
        })?;
    spans.sort_by_key(|(_, span)| (span.start_time, span.span_id));
    // By span id: the index of its source, and of the span in that source's list.
    let mut places = HashMap::new();
    for (process, span) in spans {
        let source = sources.place(process)?;
        let list = &mut sources.records[source].spans;
        places.insert(span.span_id, (source, list.len()));
        list.push(NewSpan::new(span));
    }
    let sql = Sql::new("SELECT ")
        .push(logs::COLUMNS)
        .push(" FROM _event e WHERE e.trace = ")
        .bind(row)
        .push(" ORDER BY e.time, e.id");
    for (process, event) in events(db, &mut reader, &sql)? {
        let source = sources.place(process)?;
        let span = event.span_id.and_then(|id| places.get(&id));
        let records = &mut sources.records[source];
        // Events that another program, or another part of this one, logged in a span are not part
        // of the span.
        match span.filter(|(of, _)| *of == source) {
            Some((_, place)) => records.spans[*place].events.push(new_event(event)),
            None => records.events.push(new_event(event)),
        }
    }
    let of_trace = Sql::new(" AND p.trace_hex = ").bind(trace_id.to_string());
    let points = points(db, scope, &of_trace, "", u64::MAX)?;
    sources.add_points(points)?;
    Ok(Some(sources.records))
}

/// Restores the state that an import kept as an attribute: the program of an imported span cannot
/// end it in this store.
fn with_kept_state(mut span: Span) -> Span {
    let kept = span.attributes.get(wire::STATE).and_then(Value::as_str);
    let kept: Option<SpanState> = kept.and_then(|word| word.parse().ok());
    if let (None, Some(state)) = (span.end_time, kept) {
        span.state = state;
        span.attributes.retain(|key, _| key != wire::STATE);
    }
    span
}

fn new_event(event: LogEvent) -> NewEvent {
    NewEvent::new(event)
}

/// Returns events, each with its process.
fn events(db: &Connection, reader: &mut Reader<'_>, sql: &Sql) -> Result<Vec<(i64, LogEvent)>, Failure> {
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        let event = logs::event(reader, row)?;
        found.push((row.get(5)?, event));
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

fn loose_events(
    db: &Connection,
    scope: Scope,
    (time, row): (i64, i64),
    until: Option<Timestamp>,
) -> Result<Page<(i64, i64)>, Failure> {
    let mut sql = Sql::new("SELECT ")
        .push(logs::COLUMNS)
        .push(" FROM _event e WHERE e.trace IS NULL AND e.time >= ")
        .bind(time)
        .push(" AND (e.time, e.id) > (")
        .bind(time)
        .push(", ")
        .bind(row)
        .push(")")
        .add(&scope.of_events());
    if let Some(until) = until {
        sql = sql.push(" AND e.time < ").bind(until.as_nanos());
    }
    sql = sql.push(" ORDER BY e.time, e.id LIMIT ").bind(count(PAGE));
    let mut reader = Reader::new(db, scope)?;
    let mut next = None;
    sql.for_each(db, |row| {
        next = Some((row.get(2)?, row.get(0)?));
        Ok::<_, Failure>(())
    })?;
    let mut sources = Sources::new(db);
    for (process, event) in events(db, &mut reader, &sql)? {
        let source = sources.place(process)?;
        sources.records[source].events.push(new_event(event));
    }
    Ok(Page {
        records: sources.records,
        next,
    })
}

/// Measurements outside stored traces. All measurements with the same time are on one page, so that
/// pages don't depend on the order of storing.
fn loose_points(
    db: &Connection,
    scope: Scope,
    from: i64,
    until: Option<Timestamp>,
) -> Result<Page<i64>, Failure> {
    if !schema::has_metrics(db)? {
        return Ok(Page {
            records: Vec::new(),
            next: None,
        });
    }
    let loose =
        " AND (p.trace IS NULL OR NOT EXISTS (SELECT 1 FROM _trace t WHERE t.trace_id = p.trace_hex))";
    let mut range = Sql::new(" AND p.time >= ").bind(from);
    if let Some(until) = until {
        range = range.push(" AND p.time < ").bind(until.as_nanos());
    }
    let found = points(db, scope, &range.add(&Sql::new(loose)), " ORDER BY p.time", PAGE)?;
    let is_full = u64::try_from(found.len()).is_ok_and(|found| found >= PAGE);
    let time_of = |point: Option<&(i64, NewPoint)>| point.map(|(_, point)| point.timestamp.as_nanos());
    let (found, next) = match (is_full, time_of(found.first()), time_of(found.last())) {
        // The page may end in the middle of its last moment, which the next page then reads whole.
        (true, Some(first), Some(last)) if first < last => {
            let whole = |point: &(i64, NewPoint)| point.1.timestamp.as_nanos() < last;
            (found.into_iter().filter(whole).collect(), Some(last))
        }
        (true, Some(moment), _) => {
            let range = Sql::new(" AND p.time = ").bind(moment).push(loose);
            (points(db, scope, &range, "", u64::MAX)?, moment.checked_add(1))
        }
        _ => (found, None),
    };
    let mut sources = Sources::new(db);
    sources.add_points(found)?;
    Ok(Page {
        records: sources.records,
        next,
    })
}

/// Measurements, each with its process.
fn points(
    db: &Connection,
    scope: Scope,
    which: &Sql,
    order: &'static str,
    limit: u64,
) -> Result<Vec<(i64, NewPoint)>, Failure> {
    if !schema::has_metrics(db)? {
        return Ok(Vec::new());
    }
    let detail = match schema::has_tenants(db)? {
        true => "p.detail",
        false => "NULL",
    };
    let sql =
        Sql::new("SELECT p.process, m.name, m.unit, m.kind, s.labels, p.time, p.value, p.trace, p.span_id, ")
            .push(detail)
            .push(
                " FROM _point p JOIN _series s ON s.id = p.series JOIN _metric m ON m.id = s.metric WHERE 1",
            )
            .add(&scope.of_metrics())
            .add(which)
            .push(order)
            .push(" LIMIT ")
            .bind(count(limit));
    let mut budget = scope.budget();
    let mut found = Vec::new();
    sql.for_each(db, |row| {
        let mut labels: String = row.get(4)?;
        let detail: Option<String> = row.get(9)?;
        budget.take(POINT_BYTES + labels.len() + detail.as_ref().map_or(0, String::len))?;
        // A label has the unit if it is not the metric's; another store may choose otherwise.
        let unit = match series::take_unit(&mut labels) {
            Some(unit) => unit,
            None => row.get(2)?,
        };
        let labels: Attributes = serde_json::from_str(&labels).unwrap_or_default();
        let point = NewPoint::new(
            row.get::<_, String>(1)?,
            row.get::<_, Amount>(6)?.into(),
            row.get_ref(3)?.as_str()?.parse().unwrap_or(MetricKind::Gauge),
            Timestamp::from_nanos(row.get(5)?),
        )
        .unit(unit)
        .labels(
            labels
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_string()))
                .collect(),
        )
        .trace_id(row.get::<_, Option<[u8; 16]>>(7)?.and_then(TraceId::from_bytes))
        .span_id(row.get::<_, Option<i64>>(8)?.and_then(span_id))
        .detail(detail.and_then(|detail| serde_json::from_str::<serde_json::Value>(&detail).ok()));
        found.push((row.get(0)?, point));
        Ok::<_, Failure>(())
    })?;
    Ok(found)
}

/// Records by source, in the order of their first records.
struct Sources<'db> {
    db: &'db Connection,
    records: Vec<SourceRecords>,
    /// The index of each process; processes with the same description share one.
    places: HashMap<i64, usize>,
    same: HashMap<Description, usize>,
}

impl<'db> Sources<'db> {
    fn new(db: &'db Connection) -> Self {
        Self {
            db,
            records: Vec::new(),
            places: HashMap::new(),
            same: HashMap::new(),
        }
    }

    /// Returns the index of the records of a process.
    fn place(&mut self, process: i64) -> Result<usize, Failure> {
        if let Some(place) = self.places.get(&process) {
            return Ok(*place);
        }
        let description = description_of(self.db, process)?;
        let place = match self.same.get(&description) {
            Some(place) => *place,
            None => {
                self.records
                    .push(SourceRecords::default().source(source_of(&description)));
                self.same.insert(description, self.records.len() - 1);
                self.records.len() - 1
            }
        };
        self.places.insert(process, place);
        Ok(place)
    }

    /// Adds measurements, in the order of their contents.
    fn add_points(&mut self, points: Vec<(i64, NewPoint)>) -> Result<(), Failure> {
        let mut processes: HashMap<i64, Description> = HashMap::new();
        for (process, _) in &points {
            if !processes.contains_key(process) {
                processes.insert(*process, description_of(self.db, *process)?);
            }
        }
        let mut points = points;
        points.sort_by_cached_key(|(process, point)| {
            let names = [point.metric.clone(), point.unit.clone()];
            let text = format!("{:?} {:?}", point.value, point.detail);
            let source = processes.get(process).cloned();
            (
                point.timestamp,
                names,
                point.labels.clone(),
                point.span_id,
                text,
                source,
            )
        });
        for (process, point) in points {
            let source = self.place(process)?;
            self.records[source].points.push(point);
        }
        Ok(())
    }
}

/// The columns of a row of `_process`: service, resource and scope.
type Description = [Option<String>; 3];

fn description_of(db: &Connection, process: i64) -> Result<Description, Failure> {
    let sql = match schema::has_tenants(db)? {
        true => "SELECT service_name, resource, scope FROM _process WHERE id = ?1",
        false => "SELECT service_name, NULL, NULL FROM _process WHERE id = ?1",
    };
    let description: Option<Description> = db
        .prepare_cached(sql)?
        .query_row([process], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        .optional()?;
    Ok(description.unwrap_or_default())
}

/// Returns the source of a row of `_process`. It counts tokens itself: those of its spans are
/// exported as measurements.
fn source_of([service_name, resource, scope]: &Description) -> Source {
    Source::default()
        .service_name(service_name.clone().unwrap_or_default())
        .resource(
            resource
                .as_deref()
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
        )
        .scope(
            scope
                .as_deref()
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
        )
        .counts_tokens(true)
}
