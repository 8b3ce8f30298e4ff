//! Tokens, calls and errors by model, service or agent, from the measurements of model calls.
//!
//! A call is a measurement of `total_tokens`. If its span reported no tokens, it is a measurement
//! of `gen_ai.client.operation.duration` of an operation that calls a model; the call failed if
//! that has an `error.type`. The writer has ensured that each call is counted once; here they are
//! only summed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{
    COST_METRIC, SpanUsage, TOKEN_METRICS, TraceId, UsageBy, UsageQuery, UsageRow, semconv,
};

use super::Failure;
use super::builder::Sql;
use super::scope::Scope;
use super::traces;
use crate::file::schema;
use crate::file::series::{Amount, MODEL_LABELS, PROVIDER_LABELS};

const DURATION: &str = "gen_ai.client.operation.duration";
/// Maximum number of ancestors of a call in which its agent is searched.
const MAX_DEPTH: i64 = 64;

/// The column of usage to which the measurements of a series are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Input,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    /// The reported cost of a call.
    Cost,
    /// A successful call. A call that reported tokens is counted by [`Total`](Self::Total) instead.
    Call,
    Error,
}

/// A series that contributes to usage.
#[derive(Debug)]
struct Series {
    counts: Counts,
    model: String,
    provider: String,
}

pub(super) fn query(db: &Connection, scope: Scope, query: &UsageQuery) -> Result<Vec<UsageRow>, Failure> {
    if !schema::has_metrics(db)? {
        return Ok(Vec::new());
    }
    let all = series(db, scope)?;
    let mut rows: BTreeMap<(String, String, String), UsageRow> = BTreeMap::new();
    let mut costs: HashMap<(String, String, String), Costs> = HashMap::new();
    let mut agents = Agents::default();
    let mut services: HashMap<i64, String> = HashMap::new();
    // An error counts as a separate call unless its span reported tokens too.
    let mut statement = db.prepare(
        "SELECT p.series, p.value, p.process, p.trace_hex, p.span_id,
            EXISTS (SELECT 1 FROM _point q JOIN _series s ON s.id = q.series JOIN _metric m ON m.id = s.metric
                WHERE ?4 AND q.trace_hex = p.trace_hex AND q.span_id = p.span_id AND q.process = p.process
                    AND m.name = 'total_tokens')
         FROM _point p WHERE p.time >= ?1 AND p.time < ?2 AND p.series = ?3 AND (?5 IS NULL OR p.trace_hex = ?5)
            AND (?6 OR (p.span_id IS NOT NULL AND (p.detail IS NULL OR p.detail ->> '$.read_from' = 'span')))",
    )?;
    let trace = query.trace_id.map(|trace| trace.to_string());
    let since = query.since.map_or(i64::MIN, |since| since.as_nanos());
    let until = query.until.map_or(i64::MAX, |until| until.as_nanos());
    for (id, series) in all {
        let is_duration = matches!(series.counts, Counts::Call | Counts::Error);
        // A received histogram has many calls, each of which its own span describes.
        let is_any_point = !is_duration;
        let mut points = statement.query(params![since, until, id, is_duration, trace, is_any_point])?;
        while let Some(point) = points.next()? {
            if series.counts == Counts::Call && point.get::<_, bool>(5)? {
                continue;
            }
            let group = match query.by {
                UsageBy::Model => String::new(),
                UsageBy::Service => service(db, &mut services, point.get(2)?)?,
                UsageBy::Agent => match point.get::<_, Option<String>>(3)? {
                    Some(trace) => agents.of(db, scope, &trace, point.get(4)?)?,
                    None => String::new(),
                },
            };
            let group = if query.by == UsageBy::Model {
                series.model.clone()
            } else {
                group
            };
            let key = (group, series.model.clone(), series.provider.clone());
            let row = rows
                .entry(key.clone())
                .or_insert_with(|| UsageRow::new(key.0.clone(), &series.model, &series.provider));
            let costs = costs.entry(key).or_default();
            let has_tokens = is_duration && point.get::<_, bool>(5)?;
            count_in(row, costs, series.counts, &point.get(1)?, has_tokens);
        }
    }
    for (key, costs) in costs {
        if let Some(row) = rows.get_mut(&key) {
            row.reported_cost = costs.finish();
        }
    }
    Ok(rows.into_values().collect())
}

/// Returns the usage of each of these traces, one row for each model and provider, as [`query`]
/// returns it for one trace. It reads the points of all traces in one statement, for lists.
pub(super) fn of_traces(
    db: &Connection,
    scope: Scope,
    traces: &[TraceId],
) -> Result<HashMap<TraceId, Vec<UsageRow>>, Failure> {
    let mut found: HashMap<TraceId, Vec<Point>> = HashMap::new();
    let Some(series) = series_of_points(db, scope)? else {
        return Ok(HashMap::new());
    };
    let texts: Vec<String> = traces.iter().map(TraceId::to_string).collect();
    let list = serde_json::to_string(&texts).unwrap_or_default();
    points_of(db, &list, |trace, point| {
        if series.contains_key(&point.series)
            && let Ok(trace) = trace.parse()
        {
            found.entry(trace).or_default().push(point);
        }
    })?;
    Ok(found
        .into_iter()
        .map(|(trace, points)| (trace, add_up(&points, &series)))
        .collect())
}

/// Returns the usage of each span of a trace.
pub(super) fn of_spans(db: &Connection, scope: Scope, trace: TraceId) -> Result<Vec<SpanUsage>, Failure> {
    let Some(series) = series_of_points(db, scope)? else {
        return Ok(Vec::new());
    };
    let list = serde_json::to_string(&[trace.to_string()]).unwrap_or_default();
    let mut by_span: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    points_of(db, &list, |_, point| {
        if let Some(span) = point.span.filter(|_| series.contains_key(&point.series)) {
            by_span.entry(span).or_default().push(point);
        }
    })?;
    let mut found = Vec::new();
    for (span, points) in by_span {
        let Some(span_id) = super::rows::span_id(span) else {
            continue;
        };
        for row in add_up(&points, &series).into_iter().filter(UsageRow::has_tokens) {
            found.push(
                SpanUsage::new(span_id)
                    .model(row.model)
                    .provider(row.provider)
                    .input(row.input)
                    .output(row.output)
                    .cached_read(row.cached_read)
                    .cached_write(row.cached_write)
                    .reported_cost(row.reported_cost),
            );
        }
    }
    Ok(found)
}

/// A measurement of a trace.
#[derive(Debug)]
struct Point {
    series: i64,
    value: Amount,
    process: i64,
    span: Option<i64>,
    /// Whether the span of one call was measured.
    is_of_span: bool,
}

/// Returns the series that contribute to usage; `None` if the file's version has no metrics.
fn series_of_points(db: &Connection, scope: Scope) -> Result<Option<HashMap<i64, Series>>, Failure> {
    if !schema::has_metrics(db)? {
        return Ok(None);
    }
    Ok(Some(series(db, scope)?.into_iter().collect()))
}

/// Passes each measurement of these traces, a JSON list of ids, to `each`.
fn points_of(db: &Connection, traces: &str, mut each: impl FnMut(&str, Point)) -> Result<(), Failure> {
    let mut statement = db.prepare_cached(
        "SELECT p.trace_hex, p.series, p.value, p.process, p.span_id,
            p.span_id IS NOT NULL AND (p.detail IS NULL OR p.detail ->> '$.read_from' = 'span')
         FROM _point p WHERE p.trace_hex IN (SELECT value FROM json_each(?1))",
    )?;
    let mut points = statement.query([traces])?;
    while let Some(point) = points.next()? {
        let Some(trace) = point.get_ref(0)?.as_str_or_null()? else {
            continue;
        };
        each(
            trace,
            Point {
                series: point.get(1)?,
                value: point.get(2)?,
                process: point.get(3)?,
                span: point.get(4)?,
                is_of_span: point.get(5)?,
            },
        );
    }
    Ok(())
}

/// Sums up measurements by model and provider.
fn add_up(points: &[Point], series: &HashMap<i64, Series>) -> Vec<UsageRow> {
    let counts = |point: &Point| series.get(&point.series).map(|series| series.counts);
    let with_tokens: HashSet<(Option<i64>, i64)> = points
        .iter()
        .filter(|point| counts(point) == Some(Counts::Total))
        .map(|point| (point.span, point.process))
        .collect();
    let mut rows: BTreeMap<(&str, &str), (UsageRow, Costs)> = BTreeMap::new();
    for point in points {
        let Some(series) = series.get(&point.series) else {
            continue;
        };
        let is_duration = matches!(series.counts, Counts::Call | Counts::Error);
        let has_tokens = is_duration && with_tokens.contains(&(point.span, point.process));
        if (is_duration && !point.is_of_span) || (series.counts == Counts::Call && has_tokens) {
            continue;
        }
        let (row, costs) = rows.entry((&series.model, &series.provider)).or_insert_with(|| {
            let row = UsageRow::new(series.model.clone(), &series.model, &series.provider);
            (row, Costs::default())
        });
        count_in(row, costs, series.counts, &point.value, has_tokens);
    }
    rows.into_values()
        .map(|(mut row, costs)| {
            row.reported_cost = costs.finish();
            row
        })
        .collect()
}

/// Adds one measurement to a row. With `has_tokens`, the span of the call reported tokens, which
/// already count the call.
fn count_in(row: &mut UsageRow, costs: &mut Costs, counts: Counts, value: &Amount, has_tokens: bool) {
    let count = match *value {
        Amount::Integer(count) => u64::try_from(count).unwrap_or(0),
        Amount::Real(cost) if counts == Counts::Cost => {
            costs.sum += cost;
            costs.reported += 1;
            return;
        }
        Amount::Real(_) => 0, // not a valid count of tokens
    };
    match counts {
        Counts::Input => row.input = row.input.saturating_add(count),
        Counts::Output => row.output = row.output.saturating_add(count),
        Counts::Total => {
            row.total = row.total.saturating_add(count);
            row.calls += 1;
            costs.with_tokens += 1;
        }
        Counts::CacheRead => row.cached_read = row.cached_read.saturating_add(count),
        Counts::CacheWrite => row.cached_write = row.cached_write.saturating_add(count),
        Counts::Cost => {} // a cost is `Amount::Real`, handled above
        Counts::Call => row.calls += 1,
        Counts::Error => {
            row.errors += 1;
            row.calls += u64::from(!has_tokens);
        }
    }
}

/// The reported cost of the calls of one row.
#[derive(Debug, Default)]
struct Costs {
    sum: f64,
    reported: u64,
    /// The number of calls that used tokens, and so have a cost.
    with_tokens: u64,
}

impl Costs {
    /// Returns the sum, if each call that used tokens reported its cost.
    fn finish(&self) -> Option<f64> {
        (self.reported > 0 && self.reported >= self.with_tokens).then_some(self.sum)
    }
}

/// Returns the series of token counters, costs and durations of model calls.
fn series(db: &Connection, scope: Scope) -> rusqlite::Result<Vec<(i64, Series)>> {
    let [(input, _), (output, _), (total, _)] = TOKEN_METRICS;
    let [cache_read, cache_write] = spanscope_model::CACHE_METRICS;
    let mut sql = Sql::new("SELECT s.id, m.name");
    for labels in [&MODEL_LABELS[..], &PROVIDER_LABELS] {
        sql = sql.push(", COALESCE(");
        for label in labels {
            sql = sql
                .push("s.labels ->> ")
                .bind(format!("$.\"{label}\""))
                .push(", ");
        }
        sql = sql.push("'')");
    }
    sql = sql.push(
        ", s.labels ->> '$.\"error.type\"' IS NOT NULL, COALESCE(s.labels ->> '$.\"gen_ai.operation.name\"', '')
         FROM _series s JOIN _metric m ON m.id = s.metric WHERE m.name IN (''",
    );
    for name in [
        input,
        output,
        total,
        cache_read,
        cache_write,
        COST_METRIC,
        DURATION,
    ] {
        sql = sql.push(", ").bind(name.to_owned());
    }
    let sql = sql.push(")").add(&scope.of_metrics()).push(" ORDER BY s.id");
    let found = sql.rows(db, |row| {
        let name: String = row.get(1)?;
        let counts = match name.as_str() {
            name if name == input => Counts::Input,
            name if name == output => Counts::Output,
            name if name == total => Counts::Total,
            name if name == cache_read => Counts::CacheRead,
            name if name == cache_write => Counts::CacheWrite,
            COST_METRIC => Counts::Cost,
            _ if row.get(4)? => Counts::Error,
            _ if semconv::is_model_operation(&row.get::<_, String>(5)?) => Counts::Call,
            _ => return Ok(None),
        };
        let series = Series {
            counts,
            model: row.get(2)?,
            provider: row.get(3)?,
        };
        Ok(Some((row.get(0)?, series)))
    })?;
    Ok(found.into_iter().flatten().collect())
}

fn service(db: &Connection, known: &mut HashMap<i64, String>, process: i64) -> rusqlite::Result<String> {
    if let Some(name) = known.get(&process) {
        return Ok(name.clone());
    }
    let name: Option<String> = db
        .query_row(
            "SELECT service_name FROM _process WHERE id = ?1",
            [process],
            |row| row.get(0),
        )
        .optional()?;
    Ok(known.entry(process).or_insert(name.unwrap_or_default()).clone())
}

/// Returns the SQL expressions of an agent's name in the `attributes` of a span, by precedence.
fn agent_names() -> &'static str {
    static NAMES: LazyLock<String> = LazyLock::new(|| {
        let names = semconv::names_of(&[A::AgentName, A::AgentId]);
        let values: Vec<String> = names
            .map(|name| format!("attributes ->> '$.\"{name}\"'"))
            .collect();
        values.join(", ")
    });
    &NAMES
}

/// The agents of calls, by trace and span.
#[derive(Debug, Default)]
struct Agents {
    known: HashMap<(String, i64), String>,
}

impl Agents {
    /// Returns the name of the nearest agent at or above a span; empty if there is none, or if the
    /// trace was deleted.
    fn of(
        &mut self,
        db: &Connection,
        scope: Scope,
        trace: &str,
        span: Option<i64>,
    ) -> rusqlite::Result<String> {
        let Some(span) = span else {
            return Ok(String::new());
        };
        let key = (trace.to_owned(), span);
        if let Some(name) = self.known.get(&key) {
            return Ok(name.clone());
        }
        let row = match trace.parse::<TraceId>() {
            Ok(trace) => traces::rowid(db, scope, trace)?,
            Err(_) => None,
        };
        let name: Option<Option<String>> = if let Some(row) = row {
            db.prepare_cached(&format!(
                "WITH RECURSIVE up (parent, attributes, depth) AS (
                    SELECT s.parent, s.attributes, 0 FROM _span s
                    WHERE s.span_hex = printf('%016x', ?2) AND s.trace = ?1
                    UNION ALL
                    SELECT s.parent, s.attributes, up.depth + 1 FROM up
                    JOIN _span s ON s.span_hex = printf('%016x', up.parent) AND s.trace = ?1
                    WHERE up.parent IS NOT NULL AND up.depth < ?3
                 )
                 SELECT COALESCE({AGENT_NAMES}) AS agent FROM up WHERE agent IS NOT NULL ORDER BY depth LIMIT 1",
                AGENT_NAMES = agent_names(),
            ))?
            .query_row(params![row, span, MAX_DEPTH], |row| row.get(0))
            .optional()?
        } else {
            None
        };
        let name = name.flatten().unwrap_or_default();
        Ok(self.known.entry(key).or_insert(name).clone())
    }
}
