//! Statistics of a histogram's observations.
//!
//! A point is one observation, unless its detail has a count of many, usually with buckets. A
//! cumulative detail is stored as it was sent, so such a point adds its difference to the previous
//! point of the same program, which may be before the range.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Statement};
use serde::Deserialize;
use spanscope_model::{
    HistogramPoint, MetricDistribution, MetricKind, MetricQuery, Observations, Value, parse_non_finite,
    stored_metric_name,
};

use super::matchers::Matchers;
use super::read::Wanted;
use super::{Failure, Scope, of_name, range, series};
use crate::file::schema;
use crate::file::series::Amount;
use crate::file::text::without_nul;

/// Implements `metric_distributions`.
pub(in crate::store) fn query(
    db: &Connection,
    scope: Scope,
    query: &MetricQuery,
) -> Result<Vec<MetricDistribution>, Failure> {
    let matchers = Matchers::new(&query.matchers)?;
    let (start, end) = range(query)?;
    // Files of older versions have no metrics, or no details.
    if !schema::has_metrics(db)? || !schema::has_tenants(db)? {
        return Ok(Vec::new());
    }
    let name = without_nul(stored_metric_name(&query.metric));
    let mut found = Vec::new();
    for metric in of_name(db, scope, &name)? {
        if metric.kind != MetricKind::Histogram {
            continue;
        }
        let (ids, labels): (Vec<i64>, Vec<_>) = series(db, &metric, &matchers)?.into_iter().unzip();
        let Some(wanted) = Wanted::new(&ids) else { continue };
        let seen = observations(db, &wanted, labels.len(), (start, end))?;
        let seen = seen.into_iter().zip(labels);
        found.extend(seen.filter_map(|(seen, labels)| Some(seen?.distribution(labels))));
    }
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(found)
}

/// Returns the observations by the index of their series; `None` if a series has none.
fn observations(
    db: &Connection,
    wanted: &Wanted,
    count: usize,
    (start, end): (i64, i64),
) -> Result<Vec<Option<Observations>>, Failure> {
    let mut seen: Vec<Option<Observations>> = vec![None; count];
    let mut before = Before {
        totals: HashMap::new(),
        find: db.prepare(
            "SELECT detail FROM _point INDEXED BY _point_time WHERE time < ?1 AND series = ?2 AND process = ?3 \
             ORDER BY time DESC, id DESC LIMIT 1",
        )?,
        start,
    };
    let mut points = db.prepare(
        "SELECT series, process, value, detail FROM _point INDEXED BY _point_time WHERE time >= ?1 AND time < ?2 \
         AND series IN (SELECT value FROM json_each(?3)) ORDER BY time, id",
    )?;
    let mut rows = points.query((start, end, wanted.json()))?;
    while let Some(row) = rows.next()? {
        let (series, process): (i64, i64) = (row.get(0)?, row.get(1)?);
        let Some(seen) = wanted.place(series).and_then(|at| seen.get_mut(at)) else {
            continue;
        };
        let seen = seen.get_or_insert_default();
        let detail = row.get_ref(3)?.as_str_or_null()?;
        match detail.and_then(parse_detail) {
            Some((delta, false)) => seen.add_histogram(&delta),
            Some((total, true)) => {
                let grown = before.since((series, process), total)?;
                seen.add_histogram(&grown);
            }
            None => seen.add(Value::from(row.get::<_, Amount>(2)?).as_f64().unwrap_or(f64::NAN)),
        }
    }
    Ok(seen)
}

/// The last total of each program and series.
struct Before<'db> {
    totals: HashMap<(i64, i64), HistogramPoint>,
    find: Statement<'db>,
    start: i64,
}

impl Before<'_> {
    /// Returns the increase of a total.
    fn since(&mut self, of: (i64, i64), total: HistogramPoint) -> Result<HistogramPoint, Failure> {
        let grown = match self.totals.entry(of) {
            Entry::Occupied(mut entry) => {
                let grown = total.since(entry.get());
                entry.insert(total);
                grown
            }
            Entry::Vacant(entry) => {
                let (series, process) = of;
                let found: Option<Option<String>> = self
                    .find
                    .query_row((self.start, series, process), |row| row.get(0))
                    .optional()?;
                let earlier = found.flatten().and_then(|detail| parse_detail(&detail));
                let grown = match earlier {
                    Some((earlier, true)) => total.since(&earlier),
                    _ => total.clone(),
                };
                entry.insert(total);
                grown
            }
        };
        Ok(grown)
    }
}

/// The detail of a point that represents many observations.
#[derive(Deserialize)]
struct Detail {
    count: u64,
    #[serde(default)]
    sum: Option<JsonNumber>,
    #[serde(default)]
    min: Option<JsonNumber>,
    #[serde(default)]
    max: Option<JsonNumber>,
    #[serde(default)]
    bucket_counts: Vec<u64>,
    #[serde(default)]
    explicit_bounds: Vec<JsonNumber>,
    #[serde(default)]
    scale: Option<i32>,
    #[serde(default)]
    zero_count: u64,
    #[serde(default)]
    zero_threshold: Option<JsonNumber>,
    #[serde(default)]
    positive: Option<Exponential>,
    #[serde(default)]
    negative: Option<Exponential>,
    #[serde(default)]
    temporality: Option<String>,
}

#[derive(Deserialize)]
struct Exponential {
    offset: i32,
    bucket_counts: Vec<u64>,
}

/// A number, or the name of one that JSON does not have, such as `Infinity`.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonNumber {
    Number(f64),
    Name(String),
}

impl JsonNumber {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => parse_non_finite(name),
        }
    }
}

/// Returns the observations in a detail, and whether they are a total since the start of a stream;
/// `None` if the point is one observation.
fn parse_detail(detail: &str) -> Option<(HistogramPoint, bool)> {
    let detail: Detail = serde_json::from_str(detail).ok()?;
    let number = |value: &Option<JsonNumber>| value.as_ref().and_then(JsonNumber::number);
    let mut buckets = Vec::new();
    let bounds: Option<Vec<f64>> = detail.explicit_bounds.iter().map(JsonNumber::number).collect();
    let bounds = bounds.unwrap_or_default();
    if detail.bucket_counts.len() == bounds.len() + 1 {
        let lower = std::iter::once(f64::NEG_INFINITY).chain(bounds.iter().copied());
        let upper = bounds.iter().copied().chain([f64::INFINITY]);
        let each = lower.zip(upper).zip(&detail.bucket_counts);
        buckets.extend(each.map(|((lower, upper), count)| (lower, upper, *count)));
    }
    if let Some(scale) = detail.scale {
        // The bound of bucket i is 2 to the power of i / 2^scale.
        let bound = |index: i64| (index_of(index) * f64::exp2(-f64::from(scale))).exp2();
        if detail.zero_count > 0 {
            let threshold = number(&detail.zero_threshold).unwrap_or(0.0).abs();
            buckets.push((-threshold, threshold, detail.zero_count));
        }
        for (of, sign) in [(&detail.positive, 1.0), (&detail.negative, -1.0)] {
            let Some(of) = of else { continue };
            for (index, count) in (i64::from(of.offset)..).zip(&of.bucket_counts) {
                let (near, far) = (sign * bound(index), sign * bound(index + 1));
                buckets.push((near.min(far), near.max(far), *count));
            }
        }
    }
    let observed = HistogramPoint {
        count: detail.count,
        sum: number(&detail.sum),
        min: number(&detail.min),
        max: number(&detail.max),
        buckets,
    };
    // A summary is cumulative too, but has no temporality.
    let is_total = detail.temporality.as_deref() != Some("delta");
    Some((observed, is_total))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a bucket so far out has no finite bounds anyway"
)]
fn index_of(index: i64) -> f64 {
    index as f64
}
