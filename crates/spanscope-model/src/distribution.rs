//! Statistics of a histogram's observations: count, mean and percentiles.
//!
//! A program reports observations one by one or counted in buckets. Within a bucket they are
//! assumed to be spread evenly, as Prometheus does. The reported minimum and maximum limit the
//! first and the last bucket. If they are missing, the first bucket begins at zero, and the last
//! counts as its lower bound. Memory is bounded: with more than [`MAX_EXACT`] different positions,
//! a position is accurate to 0.4 %.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MetricLabel;

/// Up to this number of different values and buckets are kept exactly.
const MAX_EXACT: usize = 4096;
/// Bits dropped from each number beyond that: 7 of the fraction's 52 bits remain.
const DROPPED_BITS: u32 = 52 - 7;

/// The observations of one label set of a histogram.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricDistribution {
    /// The labels, by name.
    #[serde(skip)]
    pub labels: Vec<MetricLabel>,
    /// The number of observations.
    pub count: u64,
    /// Their sum; `None` if a program did not report it.
    pub sum: Option<f64>,
    /// Their mean; `None` without a sum.
    pub mean: Option<f64>,
    /// The median; `None` if a program reported no buckets.
    pub p50: Option<f64>,
    /// The value that 95 of 100 observations do not exceed; `None` if a program reported no
    /// buckets.
    pub p95: Option<f64>,
    /// The value that 99 of 100 observations do not exceed; `None` if a program reported no
    /// buckets.
    pub p99: Option<f64>,
    /// Whether the percentiles are estimates: interpolated within buckets, so their error is up to
    /// the bucket's width.
    pub interpolated: bool,
}

/// Accumulates observations.
///
/// ```
/// use spanscope_model::Observations;
///
/// let mut seen = Observations::default();
/// for value in [3.0, 1.0, 2.0] {
///     seen.add(value);
/// }
/// let found = seen.distribution(Vec::new());
/// assert_eq!((found.count, found.mean, found.p50), (3, Some(2.0), Some(2.0)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Observations {
    count: u64,
    sum: f64,
    has_no_sum: bool,
    /// The number of observations without a position: without a bucket, or not finite.
    unplaced: u64,
    interpolated: bool,
    /// The number of observations between two values, which are equal for a single observation.
    places: BTreeMap<(Number, Number), u64>,
    is_rounded: bool,
}

/// A number that can be a key.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number(f64);

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Observations that a program reported as a whole, not one by one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistogramPoint {
    /// The number of observations.
    pub count: u64,
    /// Their sum, if reported.
    pub sum: Option<f64>,
    /// The minimum, if reported.
    pub min: Option<f64>,
    /// The maximum, if reported.
    pub max: Option<f64>,
    /// Each bucket with its lower bound (excluded), its upper bound (included) and its number of
    /// observations. Empty if none were reported. The first may begin at minus infinity, the last
    /// may end at infinity.
    pub buckets: Vec<(f64, f64, u64)>,
}

impl HistogramPoint {
    /// Returns the increase since an earlier total of the same stream. Returns `self` if it can't
    /// be a later total, because the stream restarted or changed its buckets.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let has_fallen = self.count < earlier.count || self.buckets.len() < earlier.buckets.len();
        let mut grown = self.clone();
        for (lower, upper, count) in &earlier.buckets {
            let same = |bucket: &&mut (f64, f64, u64)| bucket.0 == *lower && bucket.1 == *upper;
            let left = grown.buckets.iter_mut().find(same);
            match left.and_then(|bucket| Some((bucket.2.checked_sub(*count)?, bucket))) {
                Some((left, bucket)) => bucket.2 = left,
                None if *count == 0 => {}
                // The stream restarted, or changed its buckets.
                None => return self.clone(),
            }
        }
        if has_fallen {
            return self.clone();
        }
        grown.count -= earlier.count;
        grown.sum = self.sum.zip(earlier.sum).map(|(sum, earlier)| sum - earlier);
        grown
    }
}

impl Observations {
    /// Adds one observation. Not-a-number is counted but has no position.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if value.is_finite() {
            self.place(value, value, 1);
        } else {
            self.unplaced += 1;
        }
    }

    /// Adds observations that were counted in buckets.
    pub fn add_histogram(&mut self, reported: &HistogramPoint) {
        self.count = self.count.saturating_add(reported.count);
        match reported.sum {
            Some(sum) => self.sum += sum,
            None => self.has_no_sum |= reported.count > 0,
        }
        let mut placed: u64 = 0;
        for (lower, upper, count) in reported.buckets.iter().filter(|(_, _, count)| *count > 0) {
            let (lower, upper) = ends(*lower, *upper, reported);
            self.interpolated |= lower < upper;
            self.place(lower, upper, *count);
            placed = placed.saturating_add(*count);
        }
        self.unplaced = self
            .unplaced
            .saturating_add(reported.count.saturating_sub(placed));
    }

    fn place(&mut self, lower: f64, upper: f64, count: u64) {
        let key = match self.is_rounded {
            true => (rounded(lower), rounded(upper)),
            false => (Number(lower), Number(upper)),
        };
        let total = self.places.entry(key).or_default();
        *total = total.saturating_add(count);
        if !self.is_rounded && self.places.len() > MAX_EXACT {
            self.is_rounded = true;
            for ((lower, upper), count) in std::mem::take(&mut self.places) {
                self.place(lower.0, upper.0, count);
            }
        }
    }

    /// Returns the statistics.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean is a float")]
    pub fn distribution(&self, labels: Vec<MetricLabel>) -> MetricDistribution {
        let sum = (!self.has_no_sum && self.sum.is_finite()).then_some(self.sum);
        let [p50, p95, p99] = self.percentiles([0.5, 0.95, 0.99]);
        MetricDistribution {
            labels,
            count: self.count,
            sum,
            mean: sum.filter(|_| self.count > 0).map(|sum| sum / self.count as f64),
            p50,
            p95,
            p99,
            interpolated: self.interpolated && p50.is_some(),
        }
    }

    /// Returns the values that these shares of the observations do not exceed, in ascending order
    /// of shares.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of more than 2^53 observations needs no unit digit"
    )]
    fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [Option<f64>; N] {
        let placed: u64 = self
            .places
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count));
        if placed == 0 || self.unplaced > 0 {
            return shares.map(|_| None);
        }
        // From left to right: the number of observations exactly at a value, and how the slope of
        // the count changes from there on.
        let mut edges: BTreeMap<Number, (f64, f64)> = BTreeMap::new();
        for ((lower, upper), count) in &self.places {
            let count = *count as f64;
            if lower == upper {
                edges.entry(*lower).or_default().0 += count;
            } else {
                let slope = count / (upper.0 - lower.0);
                edges.entry(*lower).or_default().1 += slope;
                edges.entry(*upper).or_default().1 -= slope;
            }
        }
        let ranks = shares.map(|share| share * placed as f64);
        let mut found = [None; N];
        let mut wanted = 0;
        let (mut below, mut slope, mut from) = (0.0, 0.0, f64::NAN);
        for (at, (here, change)) in edges {
            let grown: f64 = if from.is_nan() { 0.0 } else { slope * (at.0 - from) };
            // The tolerance allows for rounded sums.
            let reaches = |rank: f64, sum: f64| sum >= rank - placed as f64 * 1e-12;
            while wanted < N && reaches(ranks[wanted], below + grown) {
                let inside = match slope > 0.0 {
                    true => from + (ranks[wanted] - below) / slope,
                    false => at.0,
                };
                found[wanted] = Some(inside.clamp(from.min(at.0), at.0));
                wanted += 1;
            }
            below += grown + here;
            while wanted < N && reaches(ranks[wanted], below) {
                found[wanted] = Some(at.0);
                wanted += 1;
            }
            slope += change;
            from = at.0;
        }
        found
    }
}

/// Returns the bounds of a bucket, narrowed by the reported minimum and maximum.
fn ends(lower: f64, upper: f64, reported: &HistogramPoint) -> (f64, f64) {
    let is_value = |value: &f64| value.is_finite();
    let min = reported.min.filter(is_value);
    let max = reported.max.filter(is_value);
    let mut first = match (lower.is_finite(), min) {
        (true, Some(min)) => lower.max(min),
        (true, None) => lower,
        (false, Some(min)) => min,
        (false, None) => upper.min(0.0),
    };
    let last = match (upper.is_finite(), max) {
        (true, Some(max)) => upper.min(max),
        (true, None) => upper,
        (false, Some(max)) => max,
        (false, None) => lower,
    };
    if !first.is_finite() {
        first = 0.0;
    }
    let last = if last.is_finite() { last } else { first };
    // A minimum above a bucket's end does not belong to that bucket.
    (first.min(last), last)
}

/// Returns the middle of the numbers that differ from this one in dropped bits only.
fn rounded(value: f64) -> Number {
    if value == 0.0 {
        return Number(0.0);
    }
    let kept = value.to_bits() >> DROPPED_BITS << DROPPED_BITS;
    Number(f64::from_bits(kept | 1 << (DROPPED_BITS - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(bounds: &[f64], counts: &[u64]) -> HistogramPoint {
        let lower = std::iter::once(f64::NEG_INFINITY).chain(bounds.iter().copied());
        let upper = bounds.iter().copied().chain([f64::INFINITY]);
        HistogramPoint {
            count: counts.iter().sum(),
            sum: Some(1.0),
            buckets: lower
                .zip(upper)
                .zip(counts)
                .map(|((lower, upper), count)| (lower, upper, *count))
                .collect(),
            ..HistogramPoint::default()
        }
    }

    fn distribution_of(reported: &HistogramPoint) -> MetricDistribution {
        let mut seen = Observations::default();
        seen.add_histogram(reported);
        seen.distribution(Vec::new())
    }

    #[test]
    fn percentiles_of_single_observations_are_exact() {
        let mut seen = Observations::default();
        for value in (1..=200).rev() {
            seen.add(f64::from(value));
        }
        let found = seen.distribution(Vec::new());
        assert_eq!(
            (found.count, found.sum, found.mean),
            (200, Some(20_100.0), Some(100.5))
        );
        assert_eq!(
            (found.p50, found.p95, found.p99),
            (Some(100.0), Some(190.0), Some(198.0))
        );
        assert!(!found.interpolated);
        let none = Observations::default().distribution(Vec::new());
        assert_eq!((none.count, none.mean, none.p50), (0, None, None));
    }

    #[test]
    fn percentiles_of_many_different_values_are_within_half_a_percent() {
        let mut seen = Observations::default();
        for value in 1..=100_000 {
            seen.add(f64::from(value) * 1e-3);
        }
        assert!(seen.places.len() < 2 * MAX_EXACT);
        let found = seen.distribution(Vec::new());
        for (found, right) in [(found.p50, 50.0), (found.p95, 95.0), (found.p99, 99.0)] {
            let found = found.unwrap_or_default();
            assert!((found / right - 1.0).abs() < 0.005, "{found} is not {right}");
        }
    }

    #[test]
    fn buckets_are_interpolated_as_prometheus_does() {
        // 10 up to 1, 10 up to 2, 20 up to 4.
        let found = distribution_of(&buckets(&[1.0, 2.0, 4.0], &[10, 10, 20, 0]));
        assert_eq!((found.p50, found.p95), (Some(2.0), Some(3.8)));
        assert!(found.interpolated);
        // The first bucket begins at zero.
        assert_eq!(distribution_of(&buckets(&[1.0], &[10, 0])).p50, Some(0.5));
        // The last bucket has no upper bound: it counts as its lower bound, or ends at the reported
        // maximum.
        assert_eq!(distribution_of(&buckets(&[1.0], &[0, 10])).p99, Some(1.0));
        let reported = HistogramPoint {
            min: Some(3.0),
            max: Some(5.0),
            ..buckets(&[1.0], &[0, 10])
        };
        assert_eq!(
            (distribution_of(&reported).p50, distribution_of(&reported).p99),
            (Some(4.0), Some(4.98))
        );
        assert_eq!(
            distribution_of(&buckets(&[-4.0, -2.0], &[0, 4, 0])).p50,
            Some(-3.0)
        );
    }

    #[test]
    fn without_buckets_there_are_no_percentiles() {
        let reported = HistogramPoint {
            count: 4,
            sum: Some(10.0),
            ..HistogramPoint::default()
        };
        let found = distribution_of(&reported);
        assert_eq!((found.count, found.mean, found.p50), (4, Some(2.5), None));
        assert!(!found.interpolated);
        let without_sum = HistogramPoint {
            sum: None,
            ..reported
        };
        assert_eq!(
            (
                distribution_of(&without_sum).sum,
                distribution_of(&without_sum).mean
            ),
            (None, None)
        );
    }

    #[test]
    fn of_two_totals_the_increase_counts() {
        let earlier = buckets(&[1.0, 2.0], &[5, 5, 0]);
        let later = HistogramPoint {
            sum: Some(4.0),
            ..buckets(&[1.0, 2.0], &[5, 9, 1])
        };
        let grown = later.since(&earlier);
        assert_eq!((grown.count, grown.sum), (5, Some(3.0)));
        let counts: Vec<u64> = grown.buckets.iter().map(|bucket| bucket.2).collect();
        assert_eq!(counts, [0, 4, 1]);
        // The stream restarted.
        assert_eq!(earlier.since(&later), earlier);
        assert_eq!(buckets(&[7.0], &[9, 9]).since(&earlier).count, 18);
    }
}
