//! A limit on the label sets that a sink keeps: some users put ids into labels.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::RwLock;

use crate::capture::RawValue;
use crate::sync::{read, write};

/// Maximum number of distinct label sets of one metric.
pub const DEFAULT_MAX_LABEL_SETS: usize = 2_000;
/// Maximum number of distinct metrics; the label sets of further ones all overflow.
pub const MAX_METRICS: usize = 1_000;
/// The replacement of a label set beyond the limit, as in OpenTelemetry's SDKs.
pub const OVERFLOW_LABELS: [(&str, RawValue<'static>); 1] =
    [("otel.metric.overflow", RawValue::Text("true", None))];

/// Admits the first label sets of each metric, and replaces later ones by [`OVERFLOW_LABELS`], so
/// that sums stay right. For sinks that keep state for each label set.
///
/// Label sets are remembered by a 64-bit hash with a random seed; the order of labels does not
/// matter.
///
/// ```
/// use spanscope_core::metrics::{LabelLimit, OVERFLOW_LABELS};
/// let limit = LabelLimit::new(1);
/// let (first, second) = ([("user", "ada".into())], [("user", "bob".into())]);
/// assert_eq!(limit.admit("requests", &first), &first);
/// assert_eq!(limit.admit("requests", &second), &OVERFLOW_LABELS);
/// assert_eq!(limit.admit("requests", &first), &first);
/// assert_eq!(limit.overflowed(), [("requests".to_owned(), 1)]);
/// ```
#[derive(Debug)]
pub struct LabelLimit {
    max: usize,
    hasher: RandomState,
    metrics: RwLock<Metrics>,
}

#[derive(Debug, Default)]
struct Metrics {
    by_name: HashMap<String, Sets>,
    /// Measurements of metrics beyond the limit.
    overflowed: u64,
}

#[derive(Debug, Default)]
struct Sets {
    admitted: HashSet<u64>,
    overflowed: u64,
}

impl Default for LabelLimit {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_LABEL_SETS)
    }
}

impl LabelLimit {
    /// Creates a limit of this number of label sets for each metric.
    #[must_use]
    pub fn new(max_label_sets: usize) -> Self {
        Self {
            max: max_label_sets,
            hasher: RandomState::new(),
            metrics: RwLock::default(),
        }
    }

    /// Returns the labels, or [`OVERFLOW_LABELS`] if the metric has too many label sets.
    pub fn admit<'l, 'a>(
        &self,
        metric: &str,
        labels: &'l [(&'a str, RawValue<'a>)],
    ) -> &'l [(&'a str, RawValue<'a>)] {
        let set = labels
            .iter()
            .fold(0_u64, |sum, label| sum.wrapping_add(self.hash(label)));
        let is_admitted = {
            let metrics = read(&self.metrics);
            metrics
                .by_name
                .get(metric)
                .is_some_and(|sets| sets.admitted.contains(&set))
        };
        if is_admitted || self.admit_new(metric, set) {
            labels
        } else {
            &OVERFLOW_LABELS
        }
    }

    fn hash(&self, (key, value): &(&str, RawValue<'_>)) -> u64 {
        match *value {
            RawValue::Bool(value) => self.hasher.hash_one((key, 0_u8, u64::from(value))),
            RawValue::I64(value) => self.hasher.hash_one((key, 1_u8, value)),
            RawValue::U64(value) => self.hasher.hash_one((key, 1_u8, value)),
            RawValue::F64(value) => self.hasher.hash_one((key, 2_u8, value.to_bits())),
            RawValue::Text(value, _) => self.hasher.hash_one((key, 3_u8, value)),
        }
    }

    fn admit_new(&self, metric: &str, set: u64) -> bool {
        let mut metrics = write(&self.metrics);
        if !metrics.by_name.contains_key(metric) {
            if metrics.by_name.len() >= MAX_METRICS {
                metrics.overflowed += 1;
                return false;
            }
            metrics.by_name.insert(metric.to_owned(), Sets::default());
        }
        let Some(sets) = metrics.by_name.get_mut(metric) else {
            return false;
        };
        if sets.admitted.len() < self.max {
            sets.admitted.insert(set);
        } else if !sets.admitted.contains(&set) {
            sets.overflowed += 1;
            return false;
        }
        true
    }

    /// Returns how many measurements overflowed, by metric, if any did. Those of metrics beyond
    /// [`MAX_METRICS`] are summed under an empty name.
    #[must_use]
    pub fn overflowed(&self) -> Vec<(String, u64)> {
        let metrics = read(&self.metrics);
        let mut counts: Vec<_> = metrics
            .by_name
            .iter()
            .map(|(name, sets)| (name.clone(), sets.overflowed))
            .chain([(String::new(), metrics.overflowed)])
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort();
        counts
    }
}
