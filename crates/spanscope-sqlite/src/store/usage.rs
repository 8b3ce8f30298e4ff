//! Tokens, calls and errors by model, service or agent, from the measurements of model calls.
//!
//! A call is a measurement of `total_tokens`, or one of `gen_ai.client.operation.duration` of an operation that calls a model,
//! whose span reported no tokens; it failed where that has an `error.type`. The rule that a call counts once was applied when
//! they were made; here they are only added up.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};
use spanscope_model::semconv::SemanticAttribute as A;
use spanscope_model::{COST_METRIC, TOKEN_METRICS, TraceId, UsageBy, UsageQuery, UsageRow, semconv};

use super::Failure;
use super::builder::Sql;
use super::scope::Scope;
use super::traces;
use crate::file::schema;
use crate::file::series::Amount;

const DURATION: &str = "gen_ai.client.operation.duration";
/// An agent that is further above a call is not looked for.
const MAX_DEPTH: i64 = 64;

/// What the measurements of a series count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Input,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    /// What a call cost, as its program reported it.
    Cost,
    /// A call that went well. Those that reported tokens are counted by these.
    Call,
    Error,
}

/// A series that says something about usage.
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
    // An error counts as a call of its own unless its span reported tokens too.
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
        // Distributions that were sent are of many calls, whose spans tell of each.
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
            let count = match point.get::<_, Amount>(1)? {
                Amount::Integer(count) => u64::try_from(count).unwrap_or(0),
                Amount::Real(cost) if series.counts == Counts::Cost => {
                    let costs = costs.entry(key).or_default();
                    costs.sum += cost;
                    costs.reported += 1;
                    continue;
                }
                Amount::Real(_) => 0, // a count of tokens is whole, or it is none
            };
            match series.counts {
                Counts::Input => row.input = row.input.saturating_add(count),
                Counts::Output => row.output = row.output.saturating_add(count),
                Counts::Total => {
                    row.total = row.total.saturating_add(count);
                    row.calls += 1;
                    costs.entry(key).or_default().with_tokens += 1;
                }
                Counts::CacheRead => row.cached_read = row.cached_read.saturating_add(count),
                Counts::CacheWrite => row.cached_write = row.cached_write.saturating_add(count),
                Counts::Cost => {} // it is no whole number
                Counts::Call => row.calls += 1,
                Counts::Error => {
                    row.errors += 1;
                    row.calls += u64::from(!point.get::<_, bool>(5)?);
                }
            }
        }
    }
    for (key, costs) in costs {
        let is_complete = costs.reported > 0 && costs.reported >= costs.with_tokens;
        if let Some(row) = rows.get_mut(&key).filter(|_| is_complete) {
            row.reported_cost = Some(costs.sum);
        }
    }
    Ok(rows.into_values().collect())
}

/// What calls of one row cost, as far as their programs reported it.
#[derive(Debug, Default)]
struct Costs {
    sum: f64,
    reported: u64,
    /// Calls that used tokens, which cost something.
    with_tokens: u64,
}

/// The series of the counters, and those of calls that failed.
fn series(db: &Connection, scope: Scope) -> rusqlite::Result<Vec<(i64, Series)>> {
    let [(input, _), (output, _), (total, _)] = TOKEN_METRICS;
    let [cache_read, cache_write] = spanscope_model::CACHE_METRICS;
    let mut sql = Sql::new(
        "SELECT s.id, m.name,
            COALESCE(s.labels ->> '$.model_id', s.labels ->> '$.\"gen_ai.request.model\"',
                s.labels ->> '$.\"gen_ai.response.model\"', ''),
            COALESCE(s.labels ->> '$.provider_id', s.labels ->> '$.\"gen_ai.provider.name\"', ''),
            s.labels ->> '$.\"error.type\"' IS NOT NULL,
            COALESCE(s.labels ->> '$.\"gen_ai.operation.name\"', '')
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

/// The names of agents among the `attributes` of a span, as values of SQL; the one that counts first is first.
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

/// The agents that calls were made by.
#[derive(Debug, Default)]
struct Agents {
    known: HashMap<(String, i64), String>,
}

impl Agents {
    /// The name of the nearest agent at or above a span; empty where there is none, or where the trace is gone.
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
