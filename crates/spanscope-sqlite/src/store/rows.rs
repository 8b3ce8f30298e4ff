//! Converts rows of the file to the model's spans.
//!
//! Data that spans share (callsite, process, trace id) are looked up once per query and cached,
//! which is several times faster than joining them to each row.

use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::{Connection, OptionalExtension, Row, Statement};
use serde::Deserialize;
use spanscope_model::{
    Attributes, Link, Severity, Span, SpanId, SpanState, SpanStatus, Timestamp, TraceId, Value,
};

use super::Failure;
use super::scope::{ResultBudget, Scope};
use crate::file::rows::kind_of;
use crate::file::schema;

/// Approximate size of a span in a result in addition to its attributes.
const SPAN_BYTES: usize = 400;

/// The columns that [`Reader::span`] reads, of a `_span` that the SQL calls `s`.
pub(super) const SPAN_COLUMNS: &str = "s.id, s.callsite, s.name, s.start, s.duration, s.status, s.trace, s.process, \
     s.kind, s.span_id, s.parent, s.attributes, s.extra, s.category";
/// The number of these columns: the index of a column that follows them.
pub(super) const SPAN_COLUMN_COUNT: usize = 14;

pub(super) use crate::file::processes::alive_since;

/// The data that all spans of one callsite share.
#[derive(Debug, Clone)]
pub(super) struct Callsite {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) level: Severity,
    pub(super) category: String,
}

/// The data that all spans of one process share.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) service_name: String,
    pub(super) is_alive: bool,
}

/// Reads rows of one connection within one query.
pub(super) struct Reader<'db> {
    db: &'db Connection,
    pub(super) budget: ResultBudget,
    find_callsite: Statement<'db>,
    find_process: Statement<'db>,
    find_trace: Statement<'db>,
    callsites: HashMap<i64, Rc<Callsite>>,
    processes: HashMap<i64, Rc<Process>>,
    traces: HashMap<i64, Option<TraceId>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extra {
    status_message: Option<String>,
    links: Vec<Link>,
    trace_state: Option<String>,
}

impl<'db> Reader<'db> {
    pub(super) fn new(db: &'db Connection, scope: Scope) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            budget: scope.budget(),
            find_callsite: db.prepare("SELECT name, target, level, category FROM _callsite WHERE id = ?1")?,
            find_process: db.prepare("SELECT service_name, ended_at, seen_at FROM _process WHERE id = ?1")?,
            find_trace: db.prepare("SELECT trace_id FROM _trace WHERE id = ?1")?,
            callsites: HashMap::new(),
            processes: HashMap::new(),
            traces: HashMap::new(),
        })
    }

    pub(super) fn callsite(&mut self, id: i64) -> rusqlite::Result<Rc<Callsite>> {
        if let Some(callsite) = self.callsites.get(&id) {
            return Ok(callsite.clone());
        }
        let callsite = Rc::new(self.find_callsite.query_row([id], |row| {
            Ok(Callsite {
                name: row.get(0)?,
                target: row.get(1)?,
                level: Severity::from_number(row.get(2)?),
                category: row.get(3)?,
            })
        })?);
        self.callsites.insert(id, callsite.clone());
        Ok(callsite)
    }

    pub(super) fn process(&mut self, id: i64) -> rusqlite::Result<Rc<Process>> {
        if let Some(process) = self.processes.get(&id) {
            return Ok(process.clone());
        }
        let found = self.find_process.query_row([id], |row| {
            let (ended_at, seen_at): (Option<i64>, i64) = (row.get(1)?, row.get(2)?);
            Ok(Process {
                service_name: row.get(0)?,
                is_alive: ended_at.is_none() && seen_at >= alive_since(),
            })
        });
        // A sender without records for the whole retention time is deleted.
        let process = Rc::new(found.optional()?.unwrap_or_default());
        self.processes.insert(id, process.clone());
        Ok(process)
    }

    /// Returns the trace's id; `None` if the stored text is not a valid id, which only a foreign
    /// program can have written.
    pub(super) fn trace_id(&mut self, id: i64) -> rusqlite::Result<Option<TraceId>> {
        if let Some(trace) = self.traces.get(&id) {
            return Ok(*trace);
        }
        let trace = self.find_trace.query_row([id], |row| parsed(row, 0))?;
        self.traces.insert(id, trace);
        Ok(trace)
    }

    /// Reads one span; returns `None` if its ids are invalid.
    pub(super) fn span(&mut self, row: &Row<'_>) -> Result<Option<Span>, Failure> {
        let Some(trace_id) = self.trace_id(row.get(6)?)? else {
            return Ok(None);
        };
        let Some(span_id) = span_id(row.get(9)?) else {
            return Ok(None);
        };
        let json = row.get_ref(11)?.as_str_or_null()?;
        self.budget.take(SPAN_BYTES + json.map_or(0, str::len))?;
        let callsite = self.callsite(row.get(1)?)?;
        let process = self.process(row.get(7)?)?;
        let start: i64 = row.get(3)?;
        let duration: Option<i64> = row.get(4)?;
        let extra: Extra = match row.get_ref(12)?.as_str_or_null()? {
            Some(json) => serde_json::from_str(json).unwrap_or_default(),
            None => Extra::default(),
        };
        Ok(Some(
            Span::new(
                trace_id,
                span_id,
                row.get::<_, Option<String>>(2)?
                    .unwrap_or_else(|| callsite.name.clone()),
                Timestamp::from_nanos(start),
            )
            .parent_span_id(row.get::<_, Option<i64>>(10)?.and_then(self::span_id))
            .end_time(duration.map(|duration| Timestamp::from_nanos(start.saturating_add(duration))))
            .attributes(attributes(json))
            .status(status(row.get(5)?))
            .status_message(extra.status_message)
            .kind(kind_of(row.get(8)?))
            .state(match (duration, process.is_alive) {
                (Some(_), _) => SpanState::Ended,
                (None, true) => SpanState::Running,
                (None, false) => SpanState::Abandoned,
            })
            .service_name(process.service_name.clone())
            .target(callsite.target.clone())
            .level(callsite.level)
            .category(
                row.get::<_, Option<String>>(13)?
                    .unwrap_or_else(|| callsite.category.clone()),
            )
            .links(extra.links)
            .trace_state(extra.trace_state),
        ))
    }

    /// Returns the span in a row of [`SPAN_COLUMNS`], with its sender's data.
    pub(super) fn whole_span(&mut self, row: &Row<'_>) -> Result<Option<Span>, Failure> {
        let Some(mut span) = self.span(row)? else {
            return Ok(None);
        };
        if schema::has_tenants(self.db)? {
            let mut find = self
                .db
                .prepare("SELECT resource, scope FROM _process WHERE id = ?1")?;
            let mut sender = find.query([row.get::<_, i64>(7)?])?;
            if let Some(sender) = sender.next()? {
                let json =
                    |column: usize| Ok::<_, rusqlite::Error>(sender.get_ref(column)?.as_str_or_null()?);
                span.resource = json(0)?.and_then(|json| serde_json::from_str(json).ok());
                span.scope = json(1)?.and_then(|json| serde_json::from_str(json).ok());
            }
        }
        Ok(Some(span))
    }
}

/// Parses attributes. Spanscope writes only valid JSON.
pub(super) fn attributes(json: Option<&str>) -> Attributes {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// Parses the text of a column; `None` if it is null or invalid.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    Ok(row
        .get_ref(column)?
        .as_str_or_null()?
        .and_then(|text| text.parse().ok()))
}

/// Returns the span id that the file stores as a signed number; `None` if it is 0.
pub(super) fn span_id(number: i64) -> Option<SpanId> {
    SpanId::from_bytes(number.to_be_bytes())
}

/// Returns the signed number that the file stores for a span id.
pub(super) fn span_number(id: SpanId) -> i64 {
    i64::from_be_bytes(id.to_bytes())
}

pub(super) fn status(number: Option<i64>) -> Option<SpanStatus> {
    match number {
        Some(0) => Some(SpanStatus::Ok),
        Some(_) => Some(SpanStatus::Error),
        None => None,
    }
}

/// Returns the approximate size of a span in a result.
pub(super) fn bytes_of(span: &Span) -> usize {
    let value = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::Json(json) => json.to_string().len(),
        _ => 8,
    };
    let attributes = span.attributes.iter();
    SPAN_BYTES + attributes.map(|(key, of)| key.len() + value(of)).sum::<usize>()
}
