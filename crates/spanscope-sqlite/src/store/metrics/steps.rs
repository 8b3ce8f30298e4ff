//! Steps of time, and what the measurements in each come to.

use spanscope_model::{MetricDataPoint, MetricKind, StoreError};

use super::super::scope::Room;
use crate::file::series::{Amount, MINUTE};

/// A second, in nanoseconds.
pub(super) const SECOND: i64 = 1_000_000_000;

/// What a point takes in an answer, about.
const POINT_BYTES: usize = 48;

/// How measurements are put together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Not at all.
    Raw,
    /// By steps of so many nanoseconds, aligned to 1970.
    Width(i64),
    /// All of them, under this time.
    Whole(i64),
}

/// The points of each series, in the order of time.
#[derive(Debug)]
pub(super) struct Steps {
    step: Step,
    kind: MetricKind,
    series: Vec<Vec<(i64, Amount)>>,
    units: Vec<String>,
    room: Room,
    /// What did not fit any more.
    failure: Option<StoreError>,
}

impl Steps {
    pub(super) fn new(step: Step, kind: MetricKind, units: Vec<String>, room: Room) -> Self {
        Self {
            step,
            kind,
            series: vec![Vec::new(); units.len()],
            units,
            room,
            failure: None,
        }
    }

    /// Whether every whole minute lies in one step.
    pub(super) fn is_of_whole_minutes(&self) -> bool {
        match self.step {
            Step::Raw => false,
            Step::Width(nanos) => nanos % MINUTE == 0,
            Step::Whole(_) => true,
        }
    }

    /// Adds what the series at this place measured then. What comes later for the same series has no earlier time.
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
                self.failure = self.room.take(POINT_BYTES).err();
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
                self.failure = self.room.take(POINT_BYTES).err();
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
            let point = |(time, value): (i64, Amount)| MetricDataPoint {
                timestamp: time.div_euclid(SECOND),
                value: value.into(),
                unit: unit.clone(),
            };
            points.into_iter().map(point).collect()
        });
        Ok(series.collect())
    }
}
