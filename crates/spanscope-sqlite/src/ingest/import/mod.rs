//! Copies spans, events and measurements of another file into a store.
//!
//! A [`described`] or an [`ours`] source gives one trace after the other, with its events; the [`target`] stores what it
//! does not have yet. A trace goes in as a whole, in one transaction, so that an import that was interrupted is
//! completed by the next one. Records are known again by their ids, events by time, span and text, measurements
//! by series, time, span and value.

mod described;
mod id;
mod ours;
mod points;
mod target;

use std::path::Path;

use spanscope_model::{MetricKind, StoreError, StoreErrorKind, Tenant};

use self::target::Target;
use crate::file::Failure;
use crate::file::open::{Identity, identify, open_any, open_write, sql_error};
use crate::file::series::Amount;

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Traces that got at least one new span.
    pub traces: u64,
    /// Spans that were stored.
    pub spans: u64,
    /// Events that were stored.
    pub events: u64,
    /// Measurements that were stored.
    pub points: u64,
    /// Records that were not: they were stored already, or have no time or no span.
    pub skipped: u64,
}

/// One trace of the source, or what is outside of every trace: events, measurements.
#[derive(Debug)]
struct Group {
    /// 32 hexadecimal digits; none for events outside of every trace.
    trace_id: Option<String>,
    /// Whose it is.
    tenant: String,
    created: Option<i64>,
    spans: Vec<InSpan>,
    events: Vec<InEvent>,
    /// Equal ones follow each other, from one group to the next too.
    points: Vec<InPoint>,
    /// Records of the source that can't be stored.
    unusable: u64,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            trace_id: None,
            tenant: Tenant::DEFAULT.to_owned(),
            created: None,
            spans: Vec::new(),
            events: Vec::new(),
            points: Vec::new(),
            unusable: 0,
        }
    }
}

impl Group {
    fn records(&self) -> u64 {
        (self.spans.len() + self.events.len() + self.points.len()) as u64 + self.unusable
    }
}

/// What spans or events of one place share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    name: String,
    target: String,
    level: u8,
    category: String,
}

#[derive(Debug)]
struct InSpan {
    id: i64,
    parent: Option<i64>,
    place: Place,
    name: Option<String>,
    start: i64,
    duration: Option<i64>,
    status: Option<i64>,
    kind: i64,
    attributes: String,
    extra: Option<String>,
    category: Option<String>,
    /// 1 for the server's half of a call whose halves share an id.
    half: Option<i64>,
    service: String,
}

#[derive(Debug)]
struct InEvent {
    span: Option<i64>,
    place: Place,
    name: Option<String>,
    time: i64,
    severity: Option<i64>,
    message: String,
    attributes: Option<String>,
    expires: Option<i64>,
    category: Option<String>,
    service: String,
}

#[derive(Debug)]
struct InPoint {
    metric: String,
    unit: String,
    kind: MetricKind,
    labels: String,
    time: i64,
    value: Amount,
    trace: Option<[u8; 16]>,
    span: Option<i64>,
    expires: Option<i64>,
    detail: Option<String>,
    service: String,
}

pub(crate) fn run(
    target: &Path,
    source: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, StoreError> {
    if let (Ok(from), Ok(to)) = (source.canonicalize(), target.canonicalize())
        && from == to
    {
        return Err(StoreError::invalid(format!(
            "{} can't be imported into itself: name another file",
            source.display()
        )));
    }
    if !source.exists() {
        return Err(StoreError::not_found(format!(
            "there is no file {} to import",
            source.display()
        )));
    }
    let from = open_any(source)?;
    let identity = identify(&from, source)?;
    if identity == Identity::Empty {
        return Ok(Imported::default());
    }
    let at_source = |error| sql_error(source, error);
    let snapshot = from.unchecked_transaction().map_err(at_source)?;
    if identity == Identity::Described
        && let Some(column) = described::missing_column(&snapshot).map_err(at_source)?
    {
        return Err(StoreError::new(
            StoreErrorKind::Unusable,
            format!(
                "{} has no column {column}: it is no trace_store.db that can be imported",
                source.display()
            ),
        ));
    }
    let total = match identity {
        Identity::Ours => ours::count(&snapshot),
        Identity::Empty | Identity::Described => described::count(&snapshot),
    }
    .map_err(at_source)?;
    let to = open_write(target)?;
    let mut store = Target::new(&to).map_err(|error| sql_error(target, error))?;
    let mut done = 0;
    let mut take = |group: Group| {
        done += group.records();
        store
            .store(&group)
            .map_err(|error| Failure::Store(sql_error(target, error)))?;
        progress(done.min(total), total);
        Ok(())
    };
    match identity {
        Identity::Ours => ours::read(&snapshot, &mut take),
        Identity::Empty | Identity::Described => described::read(&snapshot, &mut take),
    }
    .map_err(|failure| failure.of(source))?;
    store.finish().map_err(|error| sql_error(target, error))
}
