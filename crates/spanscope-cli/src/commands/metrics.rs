//! `spanscope metrics`: the list of metrics, and one metric over time.

use anyhow::Result;
use serde::Serialize;
use spanscope_model::{
    Granularity, MetricDistribution, MetricInfo, MetricKind, MetricLabel, MetricQuery, MetricQueryType,
    MetricSeries, Timestamp, TraceStore, Value, block_on, stored_metric_name,
};

use super::store::Location;
use crate::args::MetricsArgs;
use crate::failure::Stop;
use crate::output::Output;
use crate::render::colour::Paint;
use crate::render::duration::format_ms;
use crate::render::sparkline::sparkline;
use crate::render::table::{Cell, Column, painted, table};
use crate::render::text::{fit, grouped, width};
use crate::render::time;
use crate::resolve::{label_matcher, range_of};

/// The default start of the time range.
const DEFAULT_SINCE: &str = "24h";
/// The width of a graph in columns.
const GRAPH: i64 = 32;
/// The steps for the default granularity.
const STEPS: [&str; 11] = [
    "1m", "5m", "10m", "30m", "1h", "3h", "6h", "12h", "1d", "1w", "30d",
];

pub(super) fn run(location: &Location, args: &MetricsArgs) -> Result<()> {
    let out = Output::new(&args.output);
    match &args.name {
        Some(name) => show(location, args, name, &out),
        None => list(&*location.open()?, &out),
    }
}

fn list(store: &dyn TraceStore, out: &Output) -> Result<()> {
    let metrics = block_on(store.list_metrics())?;
    out.list(&metrics, || metric_table(out, &metrics))?;
    if metrics.is_empty() {
        return Err(Stop::nothing("no metric is stored"));
    }
    Ok(())
}

fn metric_table(out: &Output, metrics: &[MetricInfo]) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let columns = [
        ("name", Column::Text),
        ("kind", Column::Fixed),
        ("unit", Column::Minor),
        ("series", Column::Spare),
        ("points", Column::Number),
        ("last", Column::Spare),
    ];
    let rows = metrics.iter().map(|metric| {
        vec![
            metric.metric.as_str().into(),
            metric.kind.as_str().into(),
            metric.unit.as_str().into(),
            grouped(metric.series).into(),
            grouped(metric.points).into(),
            metric
                .last
                .map_or_else(|| "-".to_owned(), |last| time::seconds(last, &out.zone))
                .into(),
        ]
    });
    table(out, &columns, rows.collect())
}

/// The time range, in steps.
struct Range {
    start: Timestamp,
    end: Timestamp,
    step: Granularity,
}

/// A series, and the statistics of a histogram.
#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    series: MetricSeries,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<MetricDistribution>,
}

fn show(location: &Location, args: &MetricsArgs, name: &str, out: &Output) -> Result<()> {
    let matchers = args.matchers.iter().map(|text| label_matcher(text));
    let matchers = matchers.collect::<Result<Vec<_>>>()?;
    let (since, until) = (args.since.as_deref(), args.until.as_deref());
    let (start, end) = range_of(since, until, DEFAULT_SINCE, &out.zone)?;
    let step = match &args.granularity {
        Some(step) => step.parse().map_err(Stop::usage)?,
        None => fitting_step(start, end),
    };
    let range = Range { start, end, step };
    let store = location.open()?;
    let known = block_on(store.list_metrics())?;
    let info = known.iter().find(|info| info.metric == stored_metric_name(name));
    let query = MetricQuery::range(name, start)
        .end(end)
        .granularity(step)
        .query_type(match args.instant {
            true => MetricQueryType::Instant,
            false => MetricQueryType::Range,
        })
        .matchers(matchers);
    let distributions = match info {
        Some(info) if info.kind == MetricKind::Histogram => {
            block_on(store.metric_distributions(query.clone()))?
        }
        _ => Vec::new(),
    };
    let series: Vec<Measured> = block_on(store.query_metrics(query))?
        .into_iter()
        .map(|series| Measured {
            distribution: distributions
                .iter()
                .find(|of| of.labels == series.labels)
                .cloned(),
            series,
        })
        .collect();
    out.list(&series, || match info {
        Some(info) if !series.is_empty() => series_text(out, info, &series, &range, args.instant),
        _ => String::new(),
    })?;
    if series.is_empty() {
        return Err(Stop::nothing(format!("no measurement of {name:?} matches")));
    }
    Ok(())
}

/// The narrowest step that a graph has columns for.
fn fitting_step(start: Timestamp, end: Timestamp) -> Granularity {
    let seconds = end.as_nanos().saturating_sub(start.as_nanos()) / 1_000_000_000;
    STEPS
        .iter()
        .filter_map(|step| step.parse::<Granularity>().ok())
        .find(|step| seconds / i64::from(step.seconds()) < GRAPH)
        .unwrap_or(Granularity::DAY)
}

fn series_text(out: &Output, info: &MetricInfo, series: &[Measured], range: &Range, instant: bool) -> String {
    let whole = match info.kind {
        MetricKind::Gauge => "last",
        MetricKind::Counter | MetricKind::Histogram => "sum",
    };
    let mut head = fit(&info.metric, out.width.saturating_sub(40));
    head = Paint::Title.on(out.colour, &head);
    let unit = match info.unit.as_str() {
        "" => String::new(),
        unit => format!(", {}", fit(unit, 20)),
    };
    head.push_str(&format!(" ({}{unit})", info.kind));
    if info.kind == MetricKind::Histogram {
        return format!("{head}\n\n{}", distribution_table(out, info, series));
    }
    let labels = Labels::of(out, series);
    let series = series.iter().map(|measured| &measured.series);
    if instant {
        let rows = series.map(|series| {
            let value = series
                .values
                .first()
                .map_or_else(String::new, |point| number(&point.value));
            vec![labels.cell(&series.labels), value.into()]
        });
        let columns = [("labels", Column::Text), (whole, Column::Number)];
        return format!(
            "{head}\n\n{}{}",
            labels.above,
            table(out, &columns, rows.collect())
        );
    }
    let columns = [
        ("labels", Column::Text),
        ("graph", Column::Fixed),
        ("most", Column::Number),
        (whole, Column::Number),
    ];
    let rows = series.map(|series| {
        let values = || series.values.iter().map(|point| &point.value);
        let most = values().max_by(|a, b| float(a).total_cmp(&float(b)));
        let whole = match info.kind {
            MetricKind::Gauge => values().next_back().map(number),
            MetricKind::Counter | MetricKind::Histogram => Some(sum(values())),
        };
        vec![
            labels.cell(&series.labels),
            painted(Paint::Accent, graph(info.kind, series, range)),
            most.map_or_else(String::new, number).into(),
            whole.unwrap_or_default().into(),
        ]
    });
    let step = format_step(i64::from(range.step.seconds()));
    format!(
        "{head} in steps of {step}\n\n{}{}",
        labels.above,
        table(out, &columns, rows.collect())
    )
}

/// Shows the statistics of each label set.
fn distribution_table(out: &Output, info: &MetricInfo, series: &[Measured]) -> String {
    let columns = [
        ("labels", Column::Text),
        ("count", Column::Number),
        ("mean", Column::Number),
        ("p50", Column::Number),
        ("p95", Column::Number),
        ("p99", Column::Number),
    ];
    let labels = Labels::of(out, series);
    let rows = series.iter().map(|measured| {
        let mut row = vec![labels.cell(&measured.series.labels)];
        let Some(of) = &measured.distribution else {
            row.extend(std::iter::repeat_n(painted(Paint::Dim, "-"), columns.len() - 1));
            return row;
        };
        let shown = |value: Option<f64>, sign: &str| match value {
            Some(value) => format!("{sign}{}", format_observation(value, &info.unit)).into(),
            None => painted(Paint::Dim, "-"),
        };
        let about = if of.interpolated { "~" } else { "" };
        row.push(grouped(of.count).into());
        row.push(shown(of.mean, ""));
        row.extend([of.p50, of.p95, of.p99].map(|value| shown(value, about)));
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut text = labels.above + &table(out, &columns, rows);
    let is_estimated = |measured: &Measured| measured.distribution.as_ref().is_some_and(|of| of.interpolated);
    if series.iter().any(is_estimated) {
        let note = "~ is interpolated within the buckets that were sent, and as exact as they are narrow";
        text.push_str(&format!(
            "\n{}\n",
            Paint::Dim.on(out.colour, &fit(note, out.width))
        ));
    }
    text
}

/// Formats an observation: as a duration if its unit is one of time, else as a number.
fn format_observation(value: f64, unit: &str) -> String {
    match unit {
        "s" => format_ms(value * 1e3),
        "ms" => format_ms(value),
        "us" => format_ms(value / 1e3),
        "ns" => format_ms(value / 1e6),
        _ => number(&Value::F64(value)),
    }
}

/// Draws the steps between start and end, oldest first. If there are more steps than columns, each
/// column shows the maximum of its steps.
fn graph(kind: MetricKind, series: &MetricSeries, range: &Range) -> String {
    let step = i64::from(range.step.seconds());
    let place = |second: i64| second.div_euclid(step);
    let first = place(range.start.as_nanos().div_euclid(1_000_000_000));
    let last = place(range.end.as_nanos().div_euclid(1_000_000_000));
    let steps = (last - first + 1).max(1);
    let columns = steps.min(GRAPH);
    let mut values: Vec<Option<f64>> = vec![None; usize::try_from(columns).unwrap_or(0)];
    for point in &series.values {
        // In 128 bits, so that no range overflows.
        let column = i128::from(place(point.timestamp) - first) * i128::from(columns) / i128::from(steps);
        if let Some(value) = usize::try_from(column)
            .ok()
            .and_then(|column| values.get_mut(column))
        {
            let here = float(&point.value);
            *value = Some(value.map_or(here, |so_far: f64| so_far.max(here)));
        }
    }
    sparkline(&values, kind == MetricKind::Gauge)
}

/// How labels are shown: those that all series share are listed once above the table, if rows
/// would be truncated otherwise.
struct Labels {
    common: Vec<MetricLabel>,
    /// The text above the table.
    above: String,
}

impl Labels {
    fn of(out: &Output, series: &[Measured]) -> Self {
        let all = || series.iter().map(|measured| &measured.series.labels);
        let is_too_wide = all().any(|labels| width(&pairs(labels)) > out.width / 3);
        let common: Vec<MetricLabel> = match all().next() {
            Some(first) if is_too_wide => first
                .iter()
                .filter(|label| all().all(|labels| labels.contains(label)))
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        let above = match common.is_empty() {
            true => String::new(),
            false => {
                common.iter().fold(String::new(), |above, label| {
                    let line =
                        Paint::Dim.on(out.colour, &fit(&pairs(std::slice::from_ref(label)), out.width));
                    above + &line + "\n"
                }) + "\n"
            }
        };
        Self { common, above }
    }

    /// Returns the labels of one series that are not above the table.
    fn cell(&self, labels: &[MetricLabel]) -> Cell {
        let own: Vec<MetricLabel> = labels
            .iter()
            .filter(|label| !self.common.contains(label))
            .cloned()
            .collect();
        match (own.is_empty(), labels.is_empty()) {
            (true, true) => painted(Paint::Dim, "(none)"),
            (true, false) => painted(Paint::Dim, "(as above)"),
            (false, _) => pairs(&own).into(),
        }
    }
}

fn pairs(labels: &[MetricLabel]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|label| format!("{}={}", label.name, label.value))
        .collect();
    pairs.join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "a graph has eight heights")]
fn float(value: &Value) -> f64 {
    match value {
        Value::I64(number) => *number as f64,
        Value::U64(number) => *number as f64,
        Value::F64(number) => *number,
        Value::Bool(_) | Value::Str(_) | Value::Json(_) => f64::NAN,
    }
}

/// Sums integers as integers if the sum fits.
fn sum<'v>(values: impl Iterator<Item = &'v Value> + Clone) -> String {
    let whole = values.clone().try_fold(0_i64, |sum, value| match value {
        Value::I64(number) => sum.checked_add(*number),
        _ => None,
    });
    match whole {
        Some(sum) => number(&Value::I64(sum)),
        None => number(&Value::F64(values.map(float).sum())),
    }
}

/// Formats integers exactly, and other numbers with up to three decimals.
fn number(value: &Value) -> String {
    match value {
        Value::I64(number) if *number < 0 => format!("-{}", grouped(number.unsigned_abs())),
        Value::I64(number) => grouped(number.unsigned_abs()),
        Value::F64(number) if *number != 0.0 && !(1e-3..1e12).contains(&number.abs()) => {
            format!("{number:.3e}")
        }
        Value::F64(number) => {
            let text = format!("{number:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => other.to_string(),
    }
}

/// Formats seconds in the largest unit of which they are a whole number.
fn format_step(seconds: i64) -> String {
    for (unit, width) in [("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds % width == 0 {
            return format!("{}{unit}", seconds / width);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_step_fits_the_graph() {
        let step = |hours: i64| {
            let end = Timestamp::from_nanos(hours * 3_600_000_000_000);
            format_step(i64::from(fitting_step(Timestamp::default(), end).seconds()))
        };
        assert_eq!(
            [step(0), step(1), step(24), step(24 * 7)],
            ["1m", "5m", "1h", "6h"]
        );
        assert_eq!(format_step(90), "90s");
    }

    #[test]
    fn integers_are_exact_and_other_numbers_are_short() {
        assert_eq!(number(&Value::I64(-1_234_567)), "-1,234,567");
        assert_eq!(number(&Value::F64(0.25)), "0.25");
        assert_eq!(number(&Value::F64(12.0)), "12");
        assert_eq!(number(&Value::F64(1e-9)), "1.000e-9");
        assert_eq!(sum([Value::I64(i64::MAX), Value::I64(1)].iter()), "9.223e18");
        assert_eq!(sum([Value::I64(2), Value::F64(0.5)].iter()), "2.5");
    }
}
