//! Statistics of a histogram's observations, from the buckets that a collector stores.

use std::collections::BTreeMap;

use serde::Deserialize;
use spanscope_model::{HistogramPoint, MetricDistribution, MetricQuery, Observations, StoreError};

use super::matchers::Matchers;
use super::{LOOK_BACK, named, names_of, range};
use crate::reader::Reader;
use crate::sql::Sql;
use crate::tables::MetricTable;

/// `at`, `began`, `mode`, `unit`, `labels`, `tenant`, `stream`, and the observations.
#[derive(Debug, Deserialize)]
struct Row(
    i64,
    i64,
    u8,
    #[expect(dead_code, reason = "only the other question needs the unit")] String,
    String,
    String,
    u64,
    (u64, Option<f64>, Option<f64>, Option<f64>),
    Vec<u64>,
    Vec<f64>,
    (i32, u64),
    (i32, Vec<u64>),
    (i32, Vec<u64>),
);

impl Reader {
    /// Returns the statistics of each label set that has observations in the range.
    pub(crate) fn distributions(&self, query: &MetricQuery) -> Result<Vec<MetricDistribution>, StoreError> {
        let matchers = Matchers::new(&query.matchers)?;
        let (start, end) = range(query)?;
        let mut seen: BTreeMap<Vec<(String, String)>, Observations> = BTreeMap::new();
        for table in &self.tables.metrics {
            let columns = match table.kind {
                MetricTable::Histogram => {
                    ", (Count, Sum, Min, Max), BucketCounts, ExplicitBounds, (toInt32(0), toUInt64(0)), \
                     (toInt32(0), emptyArrayUInt64()), (toInt32(0), emptyArrayUInt64())"
                }
                MetricTable::Exponential => {
                    ", (Count, Sum, Min, Max), emptyArrayUInt64(), emptyArrayFloat64(), (Scale, ZeroCount), \
                     (PositiveOffset, PositiveBucketCounts), (NegativeOffset, NegativeBucketCounts)"
                }
                MetricTable::Summary => {
                    ", (Count, Sum, nan, nan), emptyArrayUInt64(), emptyArrayFloat64(), (toInt32(0), toUInt64(0)), \
                     (toInt32(0), emptyArrayUInt64()), (toInt32(0), emptyArrayUInt64())"
                }
                MetricTable::Gauge | MetricTable::Sum => continue,
            };
            let bounds = (start.saturating_sub(LOOK_BACK), end);
            let sql = Sql::default()
                .add(&self.points(table, columns, &names_of(&query.metric), bounds))
                .push(" ORDER BY labels, tenant, stream, began, at");
            let mut before: Option<(String, String, u64, i64, HistogramPoint)> = None;
            self.client.for_each(&sql, |row: Row| {
                let (at, began, mode) = (row.0, row.1, row.2);
                let told = observed(table.kind, &row);
                let Row(_, _, _, _, labels, tenant, stream, ..) = row;
                let same = before.as_ref().is_some_and(|(of, by, from, since, _)| {
                    (of, by, *from, *since) == (&labels, &tenant, stream, began)
                });
                let earlier = before.take().filter(|_| same).map(|(.., earlier)| earlier);
                let grown = match (mode, &earlier) {
                    (0, _) => Some(told.clone()),
                    (_, Some(earlier)) => Some(told.since(earlier)),
                    (_, None) => (began.saturating_add(super::SECOND) > start).then(|| told.clone()),
                };
                let shown = self.labels(&labels, &tenant);
                before = Some((labels, tenant, stream, began, told));
                if at >= start
                    && at < end
                    && matchers.match_all(&shown)
                    && let Some(grown) = grown.filter(|grown| grown.count > 0)
                {
                    seen.entry(shown.into_iter().collect())
                        .or_default()
                        .add_histogram(&grown);
                }
                Ok(())
            })?;
        }
        let mut found: Vec<MetricDistribution> = seen
            .into_iter()
            .map(|(labels, seen)| seen.distribution(named(&labels)))
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

fn observed(kind: MetricTable, row: &Row) -> HistogramPoint {
    let Row(_, _, _, _, _, _, _, (count, sum, min, max), counts, bounds, (scale, zeros), positive, negative) =
        row;
    let mut told = HistogramPoint {
        count: *count,
        sum: *sum,
        // The exporter writes zeros where a program reported neither.
        min: min.filter(|_| *min != *max || *min != Some(0.0)),
        max: max.filter(|_| *min != *max || *max != Some(0.0)),
        ..HistogramPoint::default()
    };
    if counts.len() == bounds.len() + 1 {
        let lower = std::iter::once(f64::NEG_INFINITY).chain(bounds.iter().copied());
        let upper = bounds.iter().copied().chain([f64::INFINITY]);
        let each = lower.zip(upper).zip(counts);
        told.buckets
            .extend(each.map(|((lower, upper), count)| (lower, upper, *count)));
    }
    if kind == MetricTable::Exponential {
        // The bound of bucket i is 2 to the power of i / 2^scale.
        let bound = |index: i32| (f64::from(index) * f64::exp2(-f64::from(*scale))).exp2();
        if *zeros > 0 {
            told.buckets.push((0.0, 0.0, *zeros));
        }
        for ((offset, counts), sign) in [(positive, 1.0), (negative, -1.0)] {
            for (index, count) in (*offset..).zip(counts) {
                let (near, far) = (sign * bound(index), sign * bound(index.saturating_add(1)));
                told.buckets.push((near.min(far), near.max(far), *count));
            }
        }
    }
    told
}
