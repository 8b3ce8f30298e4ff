//! Reads another store of ours, table by table, so that nothing is lost on the way.

use rusqlite::{Connection, Row};

use spanscope_model::MetricKind;

use super::{Group, InEvent, InPoint, InSpan, Place};
use crate::store::Failure;
use crate::{points, schema};

/// Measurements of one group.
const POINTS: usize = 1_000;

const EVENTS: &str = "SELECT c.name, c.target, c.level, c.category, p.service_name, e.span_id, e.name, e.time, \
     e.severity, e.message, e.attributes, e.expires, e.category FROM _event e \
     JOIN _callsite c ON c.id = e.callsite JOIN _process p ON p.id = e.process";

pub(super) fn count(db: &Connection) -> rusqlite::Result<u64> {
    let count = |sql| {
        db.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map(|count| u64::try_from(count).unwrap_or(0))
    };
    let points = match schema::has_metrics(db)? {
        true => count("SELECT count(*) FROM _point")?,
        false => 0,
    };
    Ok(points + count("SELECT (SELECT count(*) FROM _span) + (SELECT count(*) FROM _event)")?)
}

/// Gives each trace with its events to `take`, then the events outside of every trace, then the measurements.
pub(super) fn read(
    db: &Connection,
    take: &mut dyn FnMut(Group) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut traces = db.prepare("SELECT id, trace_id, created FROM _trace ORDER BY start, id")?;
    let mut spans = db.prepare(
        "SELECT c.name, c.target, c.level, c.category, p.service_name, s.span_id, s.parent, s.name, s.start, \
         s.duration, s.status, s.kind, s.attributes, s.extra, s.category FROM _span s \
         JOIN _callsite c ON c.id = s.callsite JOIN _process p ON p.id = s.process WHERE s.trace = ?1 ORDER BY s.id",
    )?;
    let mut events = db.prepare(&format!("{EVENTS} WHERE e.trace = ?1 ORDER BY e.id"))?;
    let mut rows = traces.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        take(Group {
            trace_id: Some(row.get(1)?),
            created: Some(row.get(2)?),
            spans: spans.query_map([id], span)?.collect::<rusqlite::Result<_>>()?,
            events: events.query_map([id], event)?.collect::<rusqlite::Result<_>>()?,
            ..Group::default()
        })?;
    }
    let mut loose = db.prepare(&format!("{EVENTS} WHERE e.trace IS NULL ORDER BY e.id"))?;
    let mut rows = loose.query([])?;
    while let Some(row) = rows.next()? {
        take(Group {
            events: vec![event(row)?],
            ..Group::default()
        })?;
    }
    if schema::has_metrics(db)? {
        measurements(db, take)?;
    }
    Ok(())
}

fn measurements(db: &Connection, take: &mut dyn FnMut(Group) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut points = db.prepare(
        "SELECT m.name, m.unit, m.kind, s.labels, q.service_name, p.time, p.value, p.trace, p.span_id, p.expires \
         FROM _point p JOIN _series s ON s.id = p.series JOIN _metric m ON m.id = s.metric \
         JOIN _process q ON q.id = p.process ORDER BY p.time, p.series, p.value, p.span_id",
    )?;
    let mut rows = points.query([])?;
    let mut group = Group::default();
    while let Some(row) = rows.next()? {
        group.points.push(point(row)?);
        if group.points.len() == POINTS {
            take(std::mem::take(&mut group))?;
        }
    }
    take(group)
}

fn point(row: &Row<'_>) -> rusqlite::Result<InPoint> {
    let mut labels: String = row.get(3)?;
    // A unit that is not the metric's here may be so in the target.
    let unit = match points::take_unit(&mut labels) {
        Some(unit) => unit,
        None => row.get(1)?,
    };
    Ok(InPoint {
        metric: row.get(0)?,
        unit,
        kind: row.get_ref(2)?.as_str()?.parse().unwrap_or(MetricKind::Gauge),
        labels,
        service: row.get(4)?,
        time: row.get(5)?,
        value: row.get(6)?,
        trace: row.get(7)?,
        span: row.get(8)?,
        expires: row.get(9)?,
    })
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        name: row.get(0)?,
        target: row.get(1)?,
        level: row.get(2)?,
        category: row.get(3)?,
    })
}

fn span(row: &Row<'_>) -> rusqlite::Result<InSpan> {
    Ok(InSpan {
        place: place(row)?,
        service: row.get(4)?,
        id: row.get(5)?,
        parent: row.get(6)?,
        name: row.get(7)?,
        start: row.get(8)?,
        duration: row.get(9)?,
        status: row.get(10)?,
        kind: row.get(11)?,
        attributes: row.get(12)?,
        extra: row.get(13)?,
        category: row.get(14)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<InEvent> {
    Ok(InEvent {
        place: place(row)?,
        service: row.get(4)?,
        span: row.get(5)?,
        name: row.get(6)?,
        time: row.get(7)?,
        severity: row.get(8)?,
        message: row.get(9)?,
        attributes: row.get(10)?,
        expires: row.get(11)?,
        category: row.get(12)?,
    })
}
