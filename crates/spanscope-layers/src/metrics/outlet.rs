//! The output: every measurement is passed to every sink, and to the collections of its thread.
//!
//! A sink is user code: it may log an event with a metric in it, measure, or end a model call, each
//! of which would be another measurement. What happens on a thread inside a sink is counted and not
//! passed on.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use spanscope_core::capture::{RawValue, SpanIds, Ticks};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::semconv::{AttributeValues, SemanticAttribute};
use spanscope_model::{COST_METRIC, MetricKind};

use super::collect;
use super::names::{GenAiNames, is_of_a_convention, new_name_of};
use super::stats::Counters;

/// The sinks of one layer.
pub(super) struct Outlet {
    pub(super) sinks: Box<[Arc<dyn MetricSink>]>,
    pub(super) names: GenAiNames,
    pub(super) counters: Arc<Counters>,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("sinks", &self.sinks.len())
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

thread_local! {
    static IS_IN_SINK: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as inside a sink, also if the sink panics.
struct InSink;

impl InSink {
    /// Enters a sink; returns `None` if this thread is inside one already.
    fn enter() -> Option<Self> {
        // No destructor, so it can also be read while the thread ends.
        let was_in_sink = IS_IN_SINK.replace(true);
        // Only created if needed: dropping it leaves the sink.
        if was_in_sink { None } else { Some(Self) }
    }
}

impl Drop for InSink {
    fn drop(&mut self) {
        IS_IN_SINK.set(false);
    }
}

impl Outlet {
    /// Passes a measurement to all sinks, unless one of them made it. Returns whether it did.
    fn to_sinks(&self, measurement: &Measurement<'_>) -> bool {
        let Some(_inside) = InSink::enter() else {
            self.counters.note_from_sink();
            return false;
        };
        for sink in &self.sinks {
            sink.record(measurement);
        }
        true
    }

    pub(super) fn send(&self, measurement: &Measurement<'_>) {
        let is_sent = self.to_sinks(measurement);
        if is_sent && collect::is_collecting() && !is_of_a_convention(measurement.name) {
            self.counters.note_not_collected(collect::note(measurement));
        }
    }

    /// Sends a measurement that was made under a classic name, under the configured names.
    pub(super) fn send_renamed(&self, measurement: &Measurement<'_>) {
        if self.names == GenAiNames::Classic {
            return self.send(measurement);
        }
        let Some(new_name) = new_name_of(measurement.name) else {
            return self.send(measurement);
        };
        if self.names.has_classic() {
            self.send(measurement);
        }
        if self.names.has_new() {
            self.send(&Measurement {
                name: new_name,
                ..*measurement
            });
        }
    }
}

/// Sends the measurements of one span.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanOutlet<'a> {
    pub(super) outlet: &'a Outlet,
    pub(super) span: SpanIds,
    pub(super) time: Ticks,
}

impl SpanOutlet<'_> {
    /// Sends a counter of tokens.
    pub(super) fn count(&self, name: &str, count: u64, labels: &[Label<'_>]) {
        self.outlet
            .send(&self.measurement(name, MetricKind::Counter, "tokens", count, labels));
    }

    /// Sends the cost of a call, in US dollars.
    pub(super) fn add_cost(&self, cost: f64, labels: &[Label<'_>]) {
        self.outlet
            .send(&self.measurement(COST_METRIC, MetricKind::Counter, "USD", cost, labels));
    }

    /// Sends a measurement of a convention's metric, which has no meaning without its labels and so
    /// is not collected.
    pub(super) fn send(
        &self,
        name: &str,
        kind: MetricKind,
        unit: &str,
        value: impl Into<Number>,
        labels: &Labels<'_>,
    ) {
        let measurement = self.measurement(name, kind, unit, value, labels.as_slice());
        self.outlet.to_sinks(&measurement);
    }

    #[inline]
    fn measurement<'m>(
        &self,
        name: &'m str,
        kind: MetricKind,
        unit: &'m str,
        value: impl Into<Number>,
        labels: &'m [Label<'m>],
    ) -> Measurement<'m> {
        Measurement {
            name,
            value: value.into(),
            unit,
            kind,
            labels,
            span: Some(self.span),
            time: self.time,
            is_event: false,
        }
    }
}

/// A label's key and value.
pub(super) type Label<'a> = (&'a str, RawValue<'a>);

/// The labels of a measurement. Those of each convention fit without an allocation.
#[derive(Debug, Default)]
pub(super) struct Labels<'a>(SmallVec<[Label<'a>; 12]>);

impl<'a> Labels<'a> {
    /// Adds a label, if it has a value.
    pub(super) fn push(&mut self, key: &'static str, value: Option<RawValue<'a>>) {
        if let Some(value) = value {
            self.0.push((key, value));
        }
    }

    /// Adds the label of a meaning under OpenTelemetry's name.
    pub(super) fn push_own(&mut self, meaning: SemanticAttribute, values: &AttributeValues<'a>) {
        self.push(meaning.name(), values.label(meaning));
    }

    pub(super) fn push_text(&mut self, key: &'static str, value: Option<&'a str>) {
        self.push(key, value.map(|value| RawValue::Text(value, None)));
    }

    /// Returns the number of labels, for [`truncate`](Self::truncate).
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    fn as_slice(&self) -> &[Label<'a>] {
        &self.0
    }
}
