//! How long a query for a day of measurements by the minute takes, with a condition on a label: the
//! store against Llama Stack's SQL on Llama Stack's schema, with the same rows in both. First both
//! results are compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos, thousands};
use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::{
    Granularity, LabelMatcher, LabelOperator, MetricKind, MetricQuery, Timestamp, TraceStore, Value, block_on,
};
use spanscope_sqlite::{OverflowPolicy, SqliteLayer, SqliteStore};

use crate::sizes::Sizes;

const METRIC: &str = "prompt_tokens";
const MODELS: usize = 20;
const PROVIDERS: usize = 3;
/// The condition: the measurements of one of the models.
const MODEL: &str = "model-07";
/// 2026-11-21T00:00:00Z
const MIDNIGHT: i64 = 1_795_219_200_000_000_000;
const DAY: i64 = 86_400_000_000_000;

/// Llama Stack's tables, as far as metrics need them.
const DESCRIBED_SCHEMA: &str = "
    PRAGMA foreign_keys = OFF;
    CREATE TABLE spans (span_id TEXT PRIMARY KEY, trace_id TEXT, parent_span_id TEXT, name TEXT, start_time TIMESTAMP,
        end_time TIMESTAMP, attributes TEXT, status TEXT, kind TEXT);
    CREATE TABLE span_events (id INTEGER PRIMARY KEY AUTOINCREMENT, span_id TEXT REFERENCES spans(span_id), name TEXT,
        timestamp TIMESTAMP, attributes TEXT);";

/// Llama Stack's query for steps of a minute and one condition on a label.
const DESCRIBED_QUERY: &str = "
    SELECT strftime('%Y-%m-%d %H:%M:00', timestamp) AS bucket_start,
        SUM(CAST(json_extract(attributes, '$.value') AS REAL)), json_extract(attributes, '$.unit')
    FROM span_events
    WHERE name = ?1 AND timestamp BETWEEN ?2 AND ?3 AND json_extract(attributes, '$.model_id') = ?4
    GROUP BY strftime('%Y-%m-%d %H:%M:00', timestamp), json_extract(attributes, '$.unit')
    ORDER BY bucket_start";

/// Fills both files, queries both, and adds the rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let count = sizes.metric_points;
    let (ours, described) = (folder.join("metrics.db"), folder.join("described.db"));
    let took = fill_ours(&ours, count)?;
    table.plain(
        "measurements written through the sink, one thread",
        format!("{}/s", thousands(precise(count) / took.as_secs_f64())),
        "",
    );
    fill_llama_stack(&described, count)?;
    let store = SqliteStore::open(&ours)?;
    let peer = Connection::open(&described)?;

    let by_model = query(vec![LabelMatcher {
        name: "model_id".to_owned(),
        value: MODEL.to_owned(),
        operator: LabelOperator::Equals,
    }]);
    ensure!(
        ask_ours(&store, &by_model)? == ask_llama_stack(&peer)?,
        "both give one answer"
    );
    let (mut own, mut its) = (Vec::new(), Vec::new());
    for _ in 0..sizes.questions {
        own.push(timed(|| ask_ours(&store, &by_model))?);
        its.push(timed(|| ask_llama_stack(&peer))?);
    }
    let (own, its) = (Sample::new(own), Sample::new(its));
    table.plain(
        &format!("{count} measurements of a day, steps of 1m, one label: Llama Stack's SQL"),
        nanos(its.median()),
        "",
    );
    table.judged(
        &format!("{count} measurements of a day, steps of 1m, one label: `query_metrics`"),
        nanos(own.median()),
        format!("{:.0} x as fast as Llama Stack's SQL", its.ratio_to(&own)),
        its.ratio_to(&own),
        Goal::AtLeast(20.0),
        ">= 20 x as fast",
    );
    for (words, granularity) in [
        ("steps of 1m, every label set", "1m"),
        ("steps of 7s, every label set", "7s"),
    ] {
        let mut all = query(Vec::new());
        all.granularity = Some(granularity.parse()?);
        let taken: Result<Vec<f64>> = (0..sizes.questions)
            .map(|_| timed(|| ask_ours(&store, &all)))
            .collect();
        table.plain(
            &format!("{count} measurements of a day, {words}: `query_metrics`"),
            nanos(Sample::new(taken?).median()),
            "",
        );
    }
    Ok(())
}

fn timed<T>(question: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    question()?;
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

fn query(matchers: Vec<LabelMatcher>) -> MetricQuery {
    MetricQuery::range(METRIC, Timestamp::from_nanos(MIDNIGHT))
        .end(Timestamp::from_nanos(MIDNIGHT + DAY))
        .granularity("1m".parse::<Granularity>().ok())
        .matchers(matchers)
}

/// The sum of each minute.
fn ask_ours(store: &SqliteStore, query: &MetricQuery) -> Result<BTreeMap<i64, f64>> {
    let mut sums = BTreeMap::new();
    for series in block_on(store.query_metrics(query.clone()))? {
        for point in series.values {
            let value = match point.value {
                Value::I64(number) => precise(number),
                Value::F64(number) => number,
                _ => f64::NAN,
            };
            *sums.entry(point.timestamp).or_insert(0.0) += value;
        }
    }
    Ok(sums)
}

fn ask_llama_stack(db: &Connection) -> Result<BTreeMap<i64, f64>> {
    let mut statement = db.prepare(DESCRIBED_QUERY)?;
    let (start, end) = (llama_stack_time(MIDNIGHT), llama_stack_time(MIDNIGHT + DAY - 1));
    let rows = statement.query_map(params![format!("metric.{METRIC}"), start, end, MODEL], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?))
    })?;
    let mut sums = BTreeMap::new();
    for row in rows {
        let (minute, sum) = row?;
        sums.insert(minute.parse::<Timestamp>()?.as_nanos() / 1_000_000_000, sum);
    }
    Ok(sums)
}

/// Times as Llama Stack writes them.
fn llama_stack_time(nanos: i64) -> String {
    format!(
        "{}+00:00",
        Timestamp::from_nanos(nanos).to_sql_text().replace(' ', "T")
    )
}

/// The measurement at each index: model, provider, value, time.
fn rows(count: usize) -> impl Iterator<Item = (String, String, i64, i64)> {
    (0_i64..).take(count).map(move |number| {
        let place = usize::try_from(number).unwrap_or(0);
        // Neighbours differ, and no label set is confined to a part of the day.
        let scattered = place.wrapping_mul(2_654_435_761) >> 7;
        (
            format!("model-{:02}", scattered % MODELS),
            format!("provider-{}", scattered / MODELS % PROVIDERS),
            1 + number % 997,
            MIDNIGHT + number * (DAY / i64::try_from(count).unwrap_or(1)),
        )
    })
}

/// Through the layer's sink, as programs do; then the times are spread over the day, which no clock
/// allows.
fn fill_ours(path: &Path, count: usize) -> Result<Duration> {
    let (layer, guard) = SqliteLayer::builder()
        .on_overflow(OverflowPolicy::Block)
        .open(path)?;
    let sink = layer.metric_sink();
    drop(layer);
    let start = Instant::now();
    for (model, provider, value, _) in rows(count) {
        sink.record(&Measurement {
            name: METRIC,
            value: Number::I64(value),
            unit: "tokens",
            kind: MetricKind::Counter,
            labels: &[
                ("model_id", RawValue::Text(&model, None)),
                ("provider_id", RawValue::Text(&provider, None)),
            ],
            span: None,
            time: Clock::global().now(),
            is_event: false,
        });
    }
    guard.flush(Duration::from_secs(600))?;
    let took = start.elapsed();
    ensure!(guard.stats().dropped.total() == 0, "a waiting sink drops nothing");
    drop(guard);
    let db = Connection::open(path)?;
    db.execute_batch(&format!(
        "BEGIN;
         UPDATE _point SET time = {MIDNIGHT} + (id - 1) * ({DAY} / {count});
         DELETE FROM _rollup;
         INSERT INTO _rollup SELECT time / 60000000000, series, count(*), sum(value), min(value), max(value), max(value),
             max(time) FROM _point GROUP BY 1, 2;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))?;
    Ok(took)
}

fn fill_llama_stack(path: &Path, count: usize) -> Result<()> {
    let mut db = Connection::open(path)?;
    db.execute_batch(DESCRIBED_SCHEMA)?;
    let transaction = db.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO span_events (span_id, name, timestamp, attributes) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let name = format!("metric.{METRIC}");
        for (number, (model, provider, value, time)) in rows(count).enumerate() {
            let attributes = serde_json::json!({
                "value": value, "unit": "tokens", "model_id": model, "provider_id": provider,
            });
            insert.execute(params![
                format!("{number:016x}"),
                name,
                llama_stack_time(time),
                attributes.to_string()
            ])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts and sums of tokens are small")]
fn precise(number: impl TryInto<i64>) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}
