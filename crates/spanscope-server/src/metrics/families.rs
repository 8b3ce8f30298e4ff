//! The known metrics and the label sets of each. The number of both is limited.
//!
//! The first measurement of a metric determines its name, kind, and the first non-empty unit. A
//! later measurement that differs can't be added to it, so it is rejected and counted, under the
//! metric and the reason. Label sets beyond the limit are added up in one series, and counted.
//!
//! State shared by all threads is behind `RwLock`s that are only written for the first measurement
//! of a metric or label set. Instruments have their own locks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use spanscope_core::metrics::Measurement;
use spanscope_core::sync::{read, write};
use spanscope_model::MetricKind;

use super::buckets::buckets_of;
use super::instrument::{Instrument, fits};
use super::labels::{OVERFLOW_KEY, with_key};
use super::names::{claimed_names, family_name, sample_name, unit_word};

/// Default maximum number of label sets of a metric. Measurements with further ones are added up in
/// one series with the label `otel_metric_overflow="true"`, and counted in
/// `spanscope_metric_overflow_total`.
pub const MAX_LABEL_SETS: usize = 2_000;

/// Maximum number of metrics. Measurements of further ones are rejected, and counted in
/// `spanscope_metric_rejected_total`.
pub const MAX_METRICS: usize = 1_000;

/// The metrics about the metrics.
pub(super) const OVERFLOW: &str = "spanscope_metric_overflow";
pub(super) const REJECTED: &str = "spanscope_metric_rejected";

/// Why a measurement was rejected.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    /// The metric is of another kind.
    Kind,
    /// The metric has another unit.
    Unit,
    /// Its name is that of a sample of this metric.
    Name,
    /// The value is not finite, or negative in a counter or a histogram.
    Value,
}

impl Reason {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Kind, "kind"),
        (Self::Unit, "unit"),
        (Self::Name, "name"),
        (Self::Value, "value"),
    ];
}

/// All metrics.
#[derive(Debug)]
pub(super) struct Families {
    max_label_sets: usize,
    known: RwLock<Known>,
    /// Measurements rejected because there are too many metrics.
    beyond_limit: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    /// By the name in the measurement. Several can lead to one metric.
    routes: HashMap<Box<str>, Route>,
    by_name: BTreeMap<Box<str>, Arc<Family>>,
    /// The metric of each sample's name.
    claimed: HashMap<String, Arc<Family>>,
}

#[derive(Debug, Clone)]
struct Route {
    family: Arc<Family>,
    /// Whether the name is already that of another metric's sample, so that nothing can be added.
    is_name_taken: bool,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: Box<str>,
    pub(super) kind: MetricKind,
    unit: OnceLock<Box<str>>,
    buckets: &'static [f64],
    series: RwLock<HashMap<Arc<str>, Arc<Instrument>>>,
    /// The series for label sets beyond the limit.
    overflow: OnceLock<Arc<Instrument>>,
    overflowed: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
}

impl Families {
    pub(super) fn new(max_label_sets: usize) -> Self {
        let mut known = Known::default();
        for own in [OVERFLOW, REJECTED] {
            known.insert(Family::new(own.to_owned(), own, MetricKind::Counter, ""));
        }
        Self {
            max_label_sets,
            known: RwLock::new(known),
            beyond_limit: AtomicU64::new(0),
        }
    }

    pub(super) fn record(&self, measurement: &Measurement<'_>) {
        if let Some(route) = read(&self.known).routes.get(measurement.name) {
            return route.record(measurement, self.max_label_sets);
        }
        match self.add_route(measurement) {
            Some(route) => route.record(measurement, self.max_label_sets),
            None => drop(self.beyond_limit.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Finds or creates the metric for a new name.
    #[cold]
    fn add_route(&self, measurement: &Measurement<'_>) -> Option<Route> {
        // A full table is only read, so that a program that makes up names does not block others.
        if read(&self.known).routes.len() >= MAX_METRICS {
            return None;
        }
        let name = family_name(measurement.name, measurement.unit, measurement.kind);
        let mut known = write(&self.known);
        if known.routes.len() >= MAX_METRICS {
            return None;
        }
        let route = known.route(name, measurement);
        Some(
            known
                .routes
                .entry(measurement.name.into())
                .or_insert(route)
                .clone(),
        )
    }

    /// Returns all metrics, by name.
    pub(super) fn all(&self) -> Vec<Arc<Family>> {
        read(&self.known).by_name.values().map(Arc::clone).collect()
    }

    /// Returns how many measurements were rejected because there are too many metrics.
    pub(super) fn beyond(&self) -> u64 {
        self.beyond_limit.load(Ordering::Relaxed)
    }
}

impl Known {
    fn route(&mut self, name: String, measurement: &Measurement<'_>) -> Route {
        if let Some(family) = self.by_name.get(name.as_str()) {
            let is_name_taken = [OVERFLOW, REJECTED].contains(&name.as_str());
            return Route {
                family: Arc::clone(family),
                is_name_taken,
            };
        }
        let names = claimed_names(&name, measurement.kind);
        if let Some(family) = names.iter().find_map(|name| self.claimed.get(name)) {
            return Route {
                family: Arc::clone(family),
                is_name_taken: true,
            };
        }
        let family = self.insert(Family::new(
            name,
            measurement.name,
            measurement.kind,
            measurement.unit,
        ));
        Route {
            family,
            is_name_taken: false,
        }
    }

    fn insert(&mut self, family: Family) -> Arc<Family> {
        let family = Arc::new(family);
        for name in claimed_names(&family.name, family.kind) {
            self.claimed.insert(name, Arc::clone(&family));
        }
        self.by_name.insert(family.name.clone(), Arc::clone(&family));
        family
    }
}

impl Route {
    fn record(&self, measurement: &Measurement<'_>, max_label_sets: usize) {
        if self.is_name_taken {
            self.family.reject(Reason::Name);
        } else {
            self.family.record(measurement, max_label_sets);
        }
    }
}

impl Family {
    fn new(name: String, measured: &str, kind: MetricKind, unit: &str) -> Self {
        Self {
            name: name.into_boxed_str(),
            kind,
            unit: OnceLock::new(),
            buckets: buckets_of(measured, unit),
            series: RwLock::default(),
            overflow: OnceLock::new(),
            overflowed: AtomicU64::new(0),
            rejected: Default::default(),
        }
    }

    fn record(&self, measurement: &Measurement<'_>, max_label_sets: usize) {
        if measurement.kind != self.kind {
            self.reject(Reason::Kind);
        } else if !self.has_unit(measurement.unit) {
            self.reject(Reason::Unit);
        } else if !fits(self.kind, measurement.value) {
            self.reject(Reason::Value);
        } else {
            with_key(measurement.labels, |key| {
                self.add(key, measurement, max_label_sets)
            });
        }
    }

    fn add(&self, key: &str, measurement: &Measurement<'_>, max_label_sets: usize) {
        if key != OVERFLOW_KEY {
            let series = read(&self.series);
            if let Some(instrument) = series.get(key) {
                return instrument.add(measurement);
            }
            // A full table is only read, so that new labels do not block known ones.
            let full = series.len() >= max_label_sets;
            drop(series);
            if let Some(instrument) = (!full).then(|| self.series_for(key, max_label_sets)).flatten() {
                return instrument.add(measurement);
            }
        }
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        self.overflow.get_or_init(|| self.instrument()).add(measurement);
    }

    /// Returns the series for new labels, if there is room.
    #[cold]
    fn series_for(&self, key: &str, max_label_sets: usize) -> Option<Arc<Instrument>> {
        let mut series = write(&self.series);
        if let Some(instrument) = series.get(key) {
            return Some(Arc::clone(instrument));
        }
        if series.len() >= max_label_sets {
            return None;
        }
        let instrument = self.instrument();
        series.insert(key.into(), Arc::clone(&instrument));
        Some(instrument)
    }

    fn instrument(&self) -> Arc<Instrument> {
        Arc::new(Instrument::new(self.kind, self.buckets))
    }

    /// Returns whether measurements in this unit can be added: it is the metric's, or one of the
    /// two is empty.
    fn has_unit(&self, unit: &str) -> bool {
        if unit.is_empty() {
            return true;
        }
        let known = self.unit.get_or_init(|| unit.into());
        **known == *unit || {
            let (known, unit) = (unit_word(known), unit_word(unit));
            known == unit || known.is_empty() || unit.is_empty()
        }
    }

    fn reject(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the name of its samples, which people query.
    pub(super) fn sample_name(&self) -> String {
        sample_name(&self.name, self.kind)
    }

    /// Returns the unit as a word; empty if there is none.
    pub(super) fn unit(&self) -> String {
        self.unit
            .get()
            .map(|unit| unit_word(unit).into_owned())
            .unwrap_or_default()
    }

    /// Returns its series with their keys, sorted by key. Nothing is locked afterwards.
    pub(super) fn snapshot(&self) -> Vec<(Arc<str>, Arc<Instrument>)> {
        let mut all: Vec<_> = read(&self.series)
            .iter()
            .map(|(key, instrument)| (Arc::clone(key), Arc::clone(instrument)))
            .collect();
        if let Some(instrument) = self.overflow.get() {
            all.push((OVERFLOW_KEY.into(), Arc::clone(instrument)));
        }
        all.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        all
    }

    /// Returns how many measurements went to the overflow series.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Returns how many measurements were rejected, by the reason's name.
    pub(super) fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL
            .iter()
            .map(|(reason, name)| (*name, self.rejected[*reason as usize].load(Ordering::Relaxed)))
    }
}
