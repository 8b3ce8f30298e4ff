//! The way out: every measurement goes to every sink, and to the collections of its thread.

use std::fmt;
use std::sync::Arc;

use spanscope_core::capture::{RawValue, SpanIds, Ticks};
use spanscope_core::metrics::{Measurement, MetricSink, Number};
use spanscope_model::MetricKind;
use spanscope_model::semconv::{AttributeValues, SemanticAttribute};

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

impl Outlet {
    pub(super) fn send(&self, measurement: &Measurement<'_>) {
        for sink in &self.sinks {
            sink.record(measurement);
        }
        if !is_of_a_convention(measurement.name) {
            self.counters.note_not_collected(collect::note(measurement));
        }
    }

    /// Sends a measurement that somebody made under a classic name, under the names that are wanted.
    pub(super) fn send_renamed(&self, measurement: &Measurement<'_>) {
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

/// The measurements of one span.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfSpan<'a> {
    pub(super) outlet: &'a Outlet,
    pub(super) span: SpanIds,
    pub(super) time: Ticks,
}

impl OfSpan<'_> {
    pub(super) fn send(
        &self,
        name: &str,
        kind: MetricKind,
        unit: &str,
        value: impl Into<Number>,
        labels: &Labels<'_>,
    ) {
        self.outlet.send(&Measurement {
            name,
            value: value.into(),
            unit,
            kind,
            labels: labels.as_slice(),
            span: Some(self.span),
            time: self.time,
            is_event: false,
        });
    }
}

const MAX_LABELS: usize = 12;

/// The labels of a measurement, without an allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels<'a> {
    list: [(&'a str, RawValue<'a>); MAX_LABELS],
    len: usize,
}

impl<'a> Labels<'a> {
    pub(super) const fn new() -> Self {
        Self {
            list: [("", RawValue::Bool(false)); MAX_LABELS],
            len: 0,
        }
    }

    /// Adds a label, if it has a value.
    pub(super) fn push(&mut self, key: &'static str, value: Option<RawValue<'a>>) {
        if let (Some(value), Some(place)) = (value, self.list.get_mut(self.len)) {
            *place = (key, value);
            self.len += 1;
        }
    }

    /// Adds the label of a meaning under the name that OpenTelemetry has for it.
    pub(super) fn push_own(&mut self, meaning: SemanticAttribute, values: &AttributeValues<'a>) {
        self.push(meaning.name(), values.label(meaning));
    }

    pub(super) fn push_text(&mut self, key: &'static str, value: Option<&'a str>) {
        self.push(key, value.map(|value| RawValue::Text(value, None)));
    }

    /// How many there are, to [`truncate`](Self::truncate) to.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn as_slice(&self) -> &[(&'a str, RawValue<'a>)] {
        &self.list[..self.len]
    }
}
