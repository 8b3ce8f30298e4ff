//! Reads another Spanscope store from its tables, which have more than its views.

use rusqlite::{Connection, Row};

use spanscope_model::{MetricKind, SpanState, Tenant, wire};

use super::record::{Callsite, Group, InEvent, InPoint, InSpan, Program};
use crate::file::Failure;
use crate::file::processes::alive_since;
use crate::file::{schema, series};
use crate::json::with_text;

/// Maximum number of measurements in a group.
const POINTS: usize = 1_000;

const EVENTS: &str = "SELECT c.name, c.target, c.level, c.category, COALESCE(p.service_name, ''), e.span_id, e.name, e.time, \
     e.severity, e.message, e.attributes, e.expires, e.category";
const EVENTS_FROM: &str =
    " FROM _event e JOIN _callsite c ON c.id = e.callsite LEFT JOIN _process p ON p.id = e.process";

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

/// Passes each trace with its events to `take`, then the events outside traces, then the
/// measurements.
pub(super) fn read(
    db: &Connection,
    take: &mut dyn FnMut(Group) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // The tenant, if the file has tenants.
    let has_tenants = schema::has_tenants(db)?;
    let tenant = |of: &str| match has_tenants {
        true => format!(
            "COALESCE((SELECT name FROM _tenant WHERE id = {of}.tenant), '{}')",
            Tenant::DEFAULT
        ),
        false => format!("'{}'", Tenant::DEFAULT),
    };
    let sender = match has_tenants {
        true => "p.resource, p.scope",
        false => "NULL, NULL",
    };
    let mut traces = db.prepare(&format!(
        "SELECT t.id, t.trace_id, t.created, {} FROM _trace t ORDER BY t.start, t.id",
        tenant("t")
    ))?;
    let half = match schema::has_halves(db)? {
        true => "s.half",
        false => "NULL",
    };
    let mut spans = db.prepare(&format!(
        "SELECT c.name, c.target, c.level, c.category, COALESCE(p.service_name, ''), s.span_id, s.parent, s.name, s.start, \
         s.duration, s.status, s.kind, s.attributes, s.extra, s.category, {half}, {sender}, \
         s.duration IS NULL AND p.ended_at IS NULL AND p.seen_at >= {} FROM _span s \
         JOIN _callsite c ON c.id = s.callsite LEFT JOIN _process p ON p.id = s.process WHERE s.trace = ?1 ORDER BY s.id",
        alive_since(),
    ))?;
    let mut events = db.prepare(&format!(
        "{EVENTS}, {sender}{EVENTS_FROM} WHERE e.trace = ?1 ORDER BY e.id"
    ))?;
    let mut rows = traces.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        take(Group {
            trace_id: Some(row.get(1)?),
            created: Some(row.get(2)?),
            tenant: row.get(3)?,
            spans: spans.query_map([id], span)?.collect::<rusqlite::Result<_>>()?,
            events: events.query_map([id], event)?.collect::<rusqlite::Result<_>>()?,
            ..Group::default()
        })?;
    }
    let mut loose = db.prepare(&format!(
        "{EVENTS}, {sender}, {}{EVENTS_FROM} WHERE e.trace IS NULL ORDER BY e.id",
        tenant("p")
    ))?;
    let mut rows = loose.query([])?;
    while let Some(row) = rows.next()? {
        take(Group {
            events: vec![event(row)?],
            tenant: row.get(15)?,
            ..Group::default()
        })?;
    }
    if schema::has_metrics(db)? {
        measurements(db, has_tenants, take)?;
    }
    Ok(())
}

fn measurements(
    db: &Connection,
    has_tenants: bool,
    take: &mut dyn FnMut(Group) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let columns = match has_tenants {
        true => "p.detail, (SELECT name FROM _tenant WHERE id = m.tenant), q.resource, q.scope, m.tenant",
        false => "NULL, NULL, NULL, NULL, 0",
    };
    let mut points = db.prepare(&format!(
        "SELECT m.name, m.unit, m.kind, s.labels, COALESCE(q.service_name, ''), p.time, p.value, p.trace, p.span_id, p.expires, \
         {columns} AS tenant FROM _point p JOIN _series s ON s.id = p.series JOIN _metric m ON m.id = s.metric \
         LEFT JOIN _process q ON q.id = p.process ORDER BY tenant, p.time, p.series, p.value, p.span_id"
    ))?;
    let mut rows = points.query([])?;
    let mut group = Group::default();
    while let Some(row) = rows.next()? {
        let tenant = row.get::<_, Option<String>>(11)?;
        let tenant = tenant.unwrap_or_else(|| Tenant::DEFAULT.to_owned());
        if group.points.len() == POINTS || group.tenant != tenant {
            take(std::mem::take(&mut group))?;
            group.tenant = tenant;
        }
        group.points.push(point(row)?);
    }
    take(group)
}

fn point(row: &Row<'_>) -> rusqlite::Result<InPoint> {
    let mut labels: String = row.get(3)?;
    // A unit in the labels is not the metric's in the source, but may be in the target.
    let unit = match series::take_unit(&mut labels) {
        Some(unit) => unit,
        None => row.get(1)?,
    };
    Ok(InPoint {
        metric: row.get(0)?,
        unit,
        kind: row.get_ref(2)?.as_str()?.parse().unwrap_or(MetricKind::Gauge),
        labels,
        program: program(row, [4, 12, 13])?,
        time: row.get(5)?,
        value: row.get(6)?,
        trace: row.get(7)?,
        span: row.get(8)?,
        expires: row.get(9)?,
        detail: row.get(10)?,
    })
}

/// Reads the columns of the service, the resource and the scope.
fn program(row: &Row<'_>, [service, resource, scope]: [usize; 3]) -> rusqlite::Result<Program> {
    Ok(Program {
        service: row.get(service)?,
        resource: row.get(resource)?,
        scope: row.get(scope)?,
    })
}

fn callsite(row: &Row<'_>) -> rusqlite::Result<Callsite> {
    Ok(Callsite {
        name: row.get(0)?,
        target: row.get(1)?,
        level: row.get(2)?,
        category: row.get(3)?,
    })
}

fn span(row: &Row<'_>) -> rusqlite::Result<InSpan> {
    let mut attributes: String = row.get(12)?;
    let runs: Option<bool> = row.get(18)?;
    if runs == Some(true) && !attributes.contains(wire::STATE) {
        // Its program will not end it in the copy, where it is abandoned.
        attributes = with_text(&attributes, wire::STATE, SpanState::Running.as_str());
    }
    Ok(InSpan {
        callsite: callsite(row)?,
        program: program(row, [4, 16, 17])?,
        id: row.get(5)?,
        parent: row.get(6)?,
        name: row.get(7)?,
        start: row.get(8)?,
        duration: row.get(9)?,
        status: row.get(10)?,
        kind: row.get(11)?,
        attributes,
        extra: row.get(13)?,
        category: row.get(14)?,
        half: row.get(15)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<InEvent> {
    Ok(InEvent {
        callsite: callsite(row)?,
        program: program(row, [4, 13, 14])?,
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
