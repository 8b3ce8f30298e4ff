//! Steps of time, and the value of the measurements in each.

use spanscope_model::{MetricDataPoint, MetricKind, StoreError};

use super::super::scope::ResultBudget;
use crate::file::series::{Amount, MINUTE};

/// A second, in nanoseconds.
pub(super) const SECOND: i64 = 1_000_000_000;

/// Approximate size of a point in a result.
const POINT_BYTES: usize = 48;

/// How measurements are aggregated.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Not at all.
    Raw,
    /// By steps of this number of nanoseconds, aligned to 1970.
    Width(i64),
    /// All of them in one point at this time.
    Whole(i64),
}

/// The points of each series, in the order of time.
#[derive(Debug)]
pub(super) struct Steps {
    step: Step,
    kind: MetricKind,
    series: Vec<Vec<(i64, Amount)>>,
    units: Vec<String>,
    budget: ResultBudget,
    /// The error once the result is too large.
    failure: Option<StoreError>,
}

impl Steps {
    pub(super) fn new(step: Step, kind: MetricKind, units: Vec<String>, budget: ResultBudget) -> Self {
        Self {
            step,
            kind,
            series: vec![Vec::new(); units.len()],
            units,
            budget,
            failure: None,
        }
    }

    /// Returns whether every whole minute belongs to one step.
    pub(super) fn is_of_whole_minutes(&self) -> bool {
        match self.step {
            Step::Raw => false,
            Step::Width(nanos) => nanos % MINUTE == 0,
            Step::Whole(_) => true,
        }
    }

    /// Adds a measurement of the series at this index. Times of one series must ascend.
    pub(super) fn add(&mut self, at: usize, time: i64, sum: Amount, last: Amount) {
        let value = match self.kind {
            MetricKind::Gauge => last,
            MetricKind::Counter | MetricKind::Histogram => sum,
        };
        let Some(points) = self.series.get_mut(at) else {
            return;
        };
        if self.failure.is_some() {
            return;
        }
        let time = match self.step {
            Step::Raw => {
                self.failure = self.budget.take(POINT_BYTES).err();
                points.push((time, value));
                return;
            }
            Step::Width(nanos) => time.div_euclid(nanos).saturating_mul(nanos),
            Step::Whole(end) => end,
        };
        match points.last_mut() {
            Some((open, so_far)) if *open == time => {
                *so_far = match self.kind {
                    MetricKind::Gauge => value,
                    MetricKind::Counter | MetricKind::Histogram => so_far.plus(value),
                };
            }
            _ => {
                self.failure = self.budget.take(POINT_BYTES).err();
                points.push((time, value));
            }
        }
    }

    /// The points of each series, in the order of the series.
    pub(super) fn into_values(self) -> Result<Vec<Vec<MetricDataPoint>>, StoreError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let units = self.units;
        let series = self.series.into_iter().zip(units).map(|(points, unit)| {
            let point = |(time, value): (i64, Amount)| {
                MetricDataPoint::new(time.div_euclid(SECOND), value.into()).unit(unit.clone())
            };
            points.into_iter().map(point).collect()
        });
        Ok(series.collect())
    }
}
