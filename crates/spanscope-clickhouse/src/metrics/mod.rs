//! Measurements over time, from the points that a collector stores.
//!
//! A collector stores totals since the beginning of a stream. The server takes the last total of
//! each stream and step, and the difference to the step before; a total that falls is a new
//! beginning. A stream that began in the range counts whole; of one that began before and is first
//! seen in it, what it counted until then is not known. Values are floats, so integers beyond 2^53
//! are rounded. Labels are matched here, so that expressions mean the same as in other stores.

mod distribution;
mod matchers;

use std::collections::BTreeMap;

use spanscope_model::{
    MetricDataPoint, MetricInfo, MetricKind, MetricLabel, MetricQuery, MetricQueryType, MetricSeries,
    StoreError, TOKEN_METRICS, Tenant, Timestamp, Value, stored_metric_name,
};

use self::matchers::Matchers;
use crate::reader::Reader;
use crate::sql::Sql;
use crate::tables::{MetricTable, Metrics};
use crate::values::RawAttributes;

const SECOND: i64 = 1_000_000_000;
/// The last total before a range is looked for in this time before it.
const LOOK_BACK: i64 = 900 * SECOND;
/// The label that distinguishes another tenant's series, for a caller that sees both.
const TENANT_LABEL: &str = "tenant_id";

/// The mode of points that are states, of which the last counts.
const STATE: u8 = 2;

impl Metrics {
    /// How points are added up: 0 each by itself, 1 as totals, 2 as states.
    fn mode(&self) -> &'static str {
        match self.kind {
            MetricTable::Gauge => "toUInt8(2)",
            // A total that increases and decreases is a state: a queue's length.
            MetricTable::Sum => {
                "toUInt8(multiIf(AggregationTemporality = 2 AND IsMonotonic, 1, AggregationTemporality = 2, 2, 0))"
            }
            MetricTable::Histogram | MetricTable::Exponential => {
                "toUInt8(if(AggregationTemporality = 1, 0, 1))"
            }
            MetricTable::Summary => "toUInt8(1)",
        }
    }

    fn value(&self) -> &'static str {
        match self.kind {
            MetricTable::Gauge | MetricTable::Sum => "Value",
            MetricTable::Histogram | MetricTable::Exponential | MetricTable::Summary => "Sum",
        }
    }

    const fn is_distribution(&self) -> bool {
        matches!(
            self.kind,
            MetricTable::Histogram | MetricTable::Exponential | MetricTable::Summary
        )
    }

    /// The kind of a metric with this mode.
    fn kind_of(&self, mode: u8) -> MetricKind {
        match (self.is_distribution(), mode) {
            (true, _) => MetricKind::Histogram,
            (false, STATE) => MetricKind::Gauge,
            (false, _) => MetricKind::Counter,
        }
    }
}

impl Reader {
    /// The points of a metric: `at`, `began`, `mode`, `unit`, `labels`, `tenant`, and `stream`,
    /// which distinguishes the programs that count.
    fn points(&self, table: &Metrics, columns: &'static str, names: &[&str], (from, to): (i64, i64)) -> Sql {
        let instance = |key: &str| table.resource.value(key);
        let mut sql = Sql::new(
            "SELECT toUnixTimestamp64Nano(toDateTime64(TimeUnix, 9)) AS at, \
             toUnixTimestamp64Nano(toDateTime64(StartTimeUnix, 9)) AS began, ",
        )
        .column(&format!(
            "{} AS mode, MetricUnit AS unit, toJSONString({}) AS labels, ",
            table.mode(),
            table.attributes.name
        ));
        sql = match self.tenant_key() {
            Some(key) => sql.add(&table.resource.value(key)),
            None => sql.push("''"),
        };
        let from = seconds_of(from);
        let to = seconds_of(to).saturating_add(1);
        sql.push(" AS tenant, cityHash64(ServiceName, ")
            .add(&instance("service.instance.id"))
            .push(", ")
            .add(&instance("host.name"))
            .push(", ScopeName) AS stream")
            .push(columns)
            .push(" FROM ")
            .column(table.name)
            .push(" WHERE MetricName IN ")
            .texts(names)
            .add(&self.scope(&table.resource))
            .push(" AND TimeUnix >= toDateTime(")
            .integer(from)
            .push(") AND TimeUnix <= toDateTime(")
            .integer(to)
            .push(")")
    }

    pub(crate) fn query_metrics(&self, query: &MetricQuery) -> Result<Vec<MetricSeries>, StoreError> {
        let matchers = Matchers::new(&query.matchers)?;
        let (start, end) = range(query)?;
        let mut found: BTreeMap<Vec<(String, String)>, MetricSeries> = BTreeMap::new();
        let step = |sql: Sql| match (query.query_type, query.granularity) {
            (MetricQueryType::Instant, _) => sql.integer(end),
            (MetricQueryType::Range, None) => sql.push("at"),
            (MetricQueryType::Range, Some(width)) => {
                let nanos = i64::from(width.seconds()) * SECOND;
                sql.push("at - positiveModulo(at, ").integer(nanos).push(")")
            }
        };
        for table in &self.tables.metrics {
            let columns = match table.value() {
                "Value" => ", Value AS value",
                _ => ", Sum AS value",
            };
            let points = self.points(
                table,
                columns,
                &names_of(&query.metric),
                (start.saturating_sub(LOOK_BACK), end),
            );
            let by_step = Sql::new(
                "SELECT labels, tenant, stream, began, at >= ",
            )
            .integer(start)
            .push(" AS is_in, ")
            .add(&step(Sql::default()))
            .push(
                " AS step, argMax(value, at) AS last, sum(value) AS total, max(at) AS last_at, any(mode) AS mode, \
                 any(unit) AS unit FROM (",
            )
            .add(&points)
            .push(") WHERE at < ")
            .integer(end)
            .push(" GROUP BY labels, tenant, stream, began, is_in, step");
            let grown = Sql::new(
                "SELECT labels, tenant, is_in, step, last_at, mode, unit, multiIf(mode = 0, total, mode = 2, last, \
                 row_number() OVER w > 1, if(last >= lagInFrame(last) OVER w, last - lagInFrame(last) OVER w, last), \
                 began + 1000000000 > ",
            )
            .integer(start)
            .push(", last, 0) AS grown FROM (")
            .add(&by_step)
            .push(") WINDOW w AS (PARTITION BY labels, tenant, stream, began ORDER BY is_in, step ROWS BETWEEN UNBOUNDED \
                   PRECEDING AND CURRENT ROW)");
            let sql = Sql::new(
                "SELECT labels, tenant, step, any(mode) AS m, any(unit), if(m = 2, argMax(grown, last_at), sum(grown)) FROM (",
            )
            .add(&grown)
            .push(") WHERE is_in GROUP BY labels, tenant, step ORDER BY labels, tenant, step");
            type Row = (String, String, i64, u8, String, Option<f64>);
            self.client
                .for_each(&sql, |(labels, tenant, step, _, unit, value): Row| {
                    let labels = self.labels(&labels, &tenant);
                    if !matchers.match_all(&labels) {
                        return Ok(());
                    }
                    let key: Vec<(String, String)> = labels.into_iter().collect();
                    let series = found.entry(key).or_insert_with_key(|key| {
                        MetricSeries::new(query.metric.clone(), named(key), Vec::new())
                    });
                    series.values.push(
                        MetricDataPoint::new(step.div_euclid(SECOND), number(value.unwrap_or(f64::NAN)))
                            .unit(unit),
                    );
                    Ok(())
                })?;
        }
        let mut series: Vec<MetricSeries> = found.into_values().collect();
        for one in &mut series {
            one.values.sort_by_key(|point| point.timestamp);
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// The labels of a series, by name.
    fn labels(&self, json: &str, tenant: &str) -> BTreeMap<String, String> {
        let raw: RawAttributes = serde_json::from_str(json).unwrap_or_default();
        let attributes = raw.read(&[]);
        let mut labels: BTreeMap<String, String> = attributes
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect();
        if self.tenant.is_none() && !matches!(tenant, "" | Tenant::DEFAULT) {
            labels.insert(TENANT_LABEL.to_owned(), tenant.to_owned());
        }
        labels
    }

    pub(crate) fn list_metrics(&self) -> Result<Vec<MetricInfo>, StoreError> {
        let mut found: BTreeMap<String, MetricInfo> = BTreeMap::new();
        for table in &self.tables.metrics {
            let sql = Sql::default()
                .column(&format!(
                    "SELECT MetricName, max(MetricUnit), max({}), uniqExact(toJSONString({})), count(), \
                     max(toUnixTimestamp64Nano(toDateTime64(TimeUnix, 9))) FROM {} WHERE 1",
                    table.mode(),
                    table.attributes.name,
                    table.name
                ))
                .add(&self.scope(&table.resource))
                .push(" GROUP BY MetricName");
            type Row = (String, String, u8, u64, u64, i64);
            self.client
                .for_each(&sql, |(name, unit, mode, series, points, last): Row| {
                    let name = stored_metric_name(&name).to_owned();
                    let info = found
                        .entry(name.clone())
                        .or_insert_with(|| MetricInfo::new(name, table.kind_of(mode)));
                    if info.unit.is_empty() {
                        info.unit = unit;
                    }
                    info.series += series;
                    info.points += points;
                    info.last = info.last.max(Some(Timestamp::from_nanos(last)));
                    Ok(())
                })?;
        }
        Ok(found.into_values().collect())
    }
}

/// The names under which a metric may be stored.
fn names_of(metric: &str) -> Vec<&str> {
    let stored = stored_metric_name(metric);
    let documented = TOKEN_METRICS.iter().find(|(own, _)| *own == stored);
    let mut names = vec![stored];
    names.extend(documented.map(|(_, documented)| *documented));
    names
}

fn named(labels: &[(String, String)]) -> Vec<MetricLabel> {
    let label = |(name, value): &(String, String)| MetricLabel {
        name: name.clone(),
        value: value.clone(),
    };
    labels.iter().map(label).collect()
}

/// A whole number is an integer: the tables only have floats.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.fract() == 0.0 && value.abs() < EXACT {
        true => Value::I64(value as i64),
        false => Value::F64(value),
    }
}

/// Whole seconds, within the years that the server's times have.
fn seconds_of(nanos: i64) -> i64 {
    nanos.div_euclid(SECOND).clamp(0, i64::from(u32::MAX) - 1)
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
