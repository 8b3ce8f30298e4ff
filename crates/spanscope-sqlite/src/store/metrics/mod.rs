//! Measurements over time, and the list of metrics.
//!
//! A step of whole minutes is computed from the roll-ups, and the partial minutes at the ends of a
//! range from the measurements themselves. Both are read in the order of time, so that a step is
//! complete when the next one begins, and in one transaction, so that they are consistent.

mod distribution;
#[cfg(feature = "regex")]
mod expression;
#[cfg(not(feature = "regex"))]
#[path = "no_expression.rs"]
mod expression;
mod matchers;
mod read;
mod steps;

use std::collections::BTreeMap;

use rusqlite::Connection;
use spanscope_model::{
    MetricInfo, MetricKind, MetricLabel, MetricQuery, MetricQueryType, MetricSeries, StoreError, Timestamp,
    stored_metric_name,
};

pub(super) use self::distribution::query as distributions;
use self::matchers::Matchers;
use self::read::Wanted;
use self::steps::{SECOND, Step, Steps};
use super::Failure;
use super::builder::Sql;
use super::scope::Scope;
use crate::file::schema;
use crate::file::series::{MINUTE, UNIT, minute_of};
use crate::file::text::without_nul;

/// The label that distinguishes another tenant's series, for a caller that sees both.
const TENANT_LABEL: &str = "tenant_id";

/// Implements `query_metrics`.
pub(super) fn query(
    db: &Connection,
    scope: Scope,
    query: &MetricQuery,
) -> Result<Vec<MetricSeries>, Failure> {
    let matchers = Matchers::new(&query.matchers)?;
    let (start, end) = range(query)?;
    if !schema::has_metrics(db)? {
        return Ok(Vec::new());
    }
    let name = without_nul(stored_metric_name(&query.metric));
    let mut found = Vec::new();
    for metric in of_name(db, scope, &name)? {
        found.extend(one(db, scope, &metric, &matchers, (start, end), query)?);
    }
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(found)
}

/// A metric of one tenant.
struct Metric {
    id: i64,
    kind: MetricKind,
    unit: String,
    /// The tenant's name, if the result has several tenants' metrics and it is not the default one.
    tenant: Option<String>,
}

fn of_name(db: &Connection, scope: Scope, name: &str) -> rusqlite::Result<Vec<Metric>> {
    let tenant = match (scope.is_all(), schema::has_tenants(db)?) {
        (true, true) => "(SELECT name FROM _tenant WHERE id = m.tenant AND id <> 0)",
        _ => "NULL",
    };
    Sql::new("SELECT m.id, m.kind, m.unit, ")
        .push(tenant)
        .push(" FROM _metric m WHERE m.name = ")
        .bind(name.to_owned())
        .add(&scope.of_metrics())
        .push(" ORDER BY m.id")
        .rows(db, |row| {
            Ok(Metric {
                id: row.get(0)?,
                kind: kind(row.get_ref(1)?.as_str()?),
                unit: row.get(2)?,
                tenant: row.get(3)?,
            })
        })
}

/// The series of one tenant's metric.
fn one(
    db: &Connection,
    scope: Scope,
    metric: &Metric,
    matchers: &Matchers,
    (start, end): (i64, i64),
    query: &MetricQuery,
) -> Result<Vec<MetricSeries>, Failure> {
    let kind = metric.kind;
    let (wanted, labels): (Vec<i64>, Vec<Vec<MetricLabel>>) =
        series(db, metric, matchers)?.into_iter().unzip();
    let step = match (query.query_type, query.granularity) {
        (MetricQueryType::Instant, _) => Step::Whole(end),
        (MetricQueryType::Range, Some(width)) => Step::Width(i64::from(width.seconds()) * SECOND),
        (MetricQueryType::Range, None) => Step::Raw,
    };
    // A measurement whose unit is not its metric's has it as a label.
    let unit = |labels: &Vec<MetricLabel>| {
        let own = labels.iter().find(|label| label.name == UNIT);
        own.map_or(&metric.unit, |label| &label.value).clone()
    };
    let units = labels.iter().map(unit).collect();
    let mut steps = Steps::new(step, kind, units, scope.budget());
    if let Some(wanted) = Wanted::new(&wanted) {
        collect(db, &wanted, (start, end), &mut steps)?;
    }
    Ok(labels
        .into_iter()
        .zip(steps.into_values()?)
        .filter(|(_, values)| !values.is_empty())
        .map(|(labels, values)| MetricSeries::new(query.metric.clone(), labels, values))
        .collect())
}

/// The range in nanoseconds, its end not included.
fn range(query: &MetricQuery) -> Result<(i64, i64), StoreError> {
    let end = query.end.unwrap_or_else(Timestamp::now);
    for (word, time) in [("start", query.start), ("end", end)] {
        // Times beyond the range became one of these two when converted to a timestamp.
        if [i64::MIN, i64::MAX].contains(&time.as_nanos()) {
            return Err(StoreError::invalid(format!(
                "the {word} of the metric query is out of range: give a time between 1677 and 2262"
            )));
        }
    }
    if query.start > end {
        return Err(StoreError::invalid(format!(
            "the metric query starts at {}, after its end at {end}: give an earlier start or a later end",
            query.start
        )));
    }
    Ok((query.start.as_nanos(), end.as_nanos()))
}

/// The metric's label sets that match, by labels.
fn series(
    db: &Connection,
    metric: &Metric,
    matchers: &Matchers,
) -> Result<Vec<(i64, Vec<MetricLabel>)>, Failure> {
    let mut statement = db.prepare("SELECT id, labels FROM _series WHERE metric = ?1")?;
    let mut rows = statement.query([metric.id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut labels: BTreeMap<String, String> =
            serde_json::from_str(row.get_ref(1)?.as_str()?).unwrap_or_default();
        if let Some(tenant) = &metric.tenant {
            labels.insert(TENANT_LABEL.to_owned(), tenant.clone());
        }
        if matchers.match_all(&labels) {
            let labels = labels
                .into_iter()
                .map(|(name, value)| MetricLabel { name, value });
            found.push((row.get(0)?, labels.collect::<Vec<_>>()));
        }
    }
    Ok(found)
}

fn collect(
    db: &Connection,
    wanted: &Wanted,
    (start, end): (i64, i64),
    steps: &mut Steps,
) -> Result<(), Failure> {
    let mut points = read::Points::new(db, wanted)?;
    // The whole minutes inside the range.
    let first = minute_of(start) + i64::from(start.rem_euclid(MINUTE) > 0);
    let last = minute_of(end);
    if !steps.is_of_whole_minutes() || first >= last {
        return points.read(start, end, &mut |at, time, value| {
            steps.add(at, time, value, value)
        });
    }
    points.read(start, first * MINUTE, &mut |at, time, value| {
        steps.add(at, time, value, value);
    })?;
    read::rollups(db, wanted, (first, last), &mut |at, minute, rollup| {
        match rollup {
            Some((sum, last)) => steps.add(at, minute * MINUTE, sum, last),
            // Some of its points were deleted.
            None => points.read_one(at, minute * MINUTE, &mut |at, time, value| {
                steps.add(at, time, value, value);
            })?,
        }
        Ok(())
    })?;
    points.read(last * MINUTE, end, &mut |at, time, value| {
        steps.add(at, time, value, value);
    })
}

/// The metrics, by name.
pub(super) fn list(db: &Connection, scope: Scope) -> Result<Vec<MetricInfo>, Failure> {
    if !schema::has_metrics(db)? {
        return Ok(Vec::new());
    }
    let sql = Sql::new(
        "SELECT m.name, max(m.unit), min(m.kind), count(*), sum(s.points), max(s.last) FROM _metric m \
         JOIN _series s ON s.metric = m.id WHERE 1",
    )
    .add(&scope.of_metrics())
    .push(" GROUP BY m.name ORDER BY m.name");
    let natural = |number: i64| u64::try_from(number).unwrap_or(0);
    let found = sql.rows(db, |row| {
        Ok(
            MetricInfo::new(row.get::<_, String>(0)?, kind(row.get_ref(2)?.as_str()?))
                .unit(row.get::<_, String>(1)?)
                .series(natural(row.get(3)?))
                .points(natural(row.get(4)?))
                .last(row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos)),
        )
    })?;
    Ok(found)
}

/// A kind that only a newer version knows is treated like a gauge.
fn kind(word: &str) -> MetricKind {
    word.parse().unwrap_or(MetricKind::Gauge)
}
