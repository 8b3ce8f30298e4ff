//! One measurement, as passed to sinks and as read from fields.

use std::sync::Arc;

use spanscope_model::{MetricKind, Value};

use crate::capture::{FieldRole, RawValue, ResolvedField, SpanIds, Ticks, measured};

/// A measured number: integers stay integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A signed integer.
    I64(i64),
    /// An unsigned integer beyond `i64`.
    U64(u64),
    /// A number with a fraction.
    F64(f64),
}

impl Number {
    /// Returns the number in a field, if it can be measured: NaN and infinities can't.
    #[must_use]
    pub fn of(value: &RawValue<'_>) -> Option<Self> {
        match *value {
            RawValue::I64(number) => Some(Self::I64(number)),
            RawValue::U64(number) => Some(i64::try_from(number).map_or(Self::U64(number), Self::I64)),
            RawValue::F64(number) => number.is_finite().then_some(Self::F64(number)),
            RawValue::Bool(_) | RawValue::Text(..) => None,
        }
    }

    /// Returns the nearest floating point number.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "consumers that sum distributions have no other type"
    )]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::I64(number) => number as f64,
            Self::U64(number) => number as f64,
            Self::F64(number) => number,
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::I64(number) => Self::I64(number),
            Number::U64(number) => Self::U64(number),
            Number::F64(number) => Self::F64(number),
        }
    }
}

impl From<i64> for Number {
    #[inline]
    fn from(number: i64) -> Self {
        Self::I64(number)
    }
}

impl From<u64> for Number {
    #[inline]
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::U64(number), Self::I64)
    }
}

impl From<f64> for Number {
    #[inline]
    fn from(number: f64) -> Self {
        Self::F64(number)
    }
}

/// One measurement of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Measurement<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// The value.
    pub value: Number,
    /// Its unit; empty if it has none.
    pub unit: &'a str,
    /// The metric's kind.
    pub kind: MetricKind,
    /// The labels, each key once.
    pub labels: &'a [(&'a str, RawValue<'a>)],
    /// The span it belongs to, if any.
    pub span: Option<SpanIds>,
    /// When it was made.
    pub time: Ticks,
    /// Whether it was a `tracing` event, which sinks that are layers capture themselves.
    pub is_event: bool,
}

/// The fields of an event that are not labels.
pub const MEASUREMENT_FIELDS: [&str; 4] = ["metric", "value", "unit", "instrument"];

impl<'a> Measurement<'a> {
    /// Reads a measurement from fields; its other fields become labels in `labels`. Returns `None`
    /// if `metric` is not a string or `value` not a number: it is then an ordinary event.
    #[must_use]
    pub fn read(
        fields: &[ResolvedField<'a>],
        span: Option<SpanIds>,
        time: Ticks,
        labels: &'a mut Vec<(&'a str, RawValue<'a>)>,
    ) -> Option<Self> {
        let of = |name: &str| {
            fields
                .iter()
                .find(|field| field.name == name)
                .map(|field| field.value)
        };
        let (name, value) = measured(fields)?;
        let value = Number::of(&value)?;
        let unit = of("unit").and_then(|unit| unit.as_text()).unwrap_or_default();
        let kind = of("instrument")
            .and_then(|kind| kind.as_text()?.parse().ok())
            .unwrap_or_else(|| MetricKind::of_name(name));
        let is_label = |field: &&ResolvedField<'_>| {
            field.role == FieldRole::Attribute && !MEASUREMENT_FIELDS.contains(&field.name)
        };
        labels.extend(
            fields
                .iter()
                .filter(is_label)
                .map(|field| (field.name, field.value)),
        );
        Some(Self {
            name,
            value,
            unit,
            kind,
            labels,
            span,
            time,
            is_event: true,
        })
    }
}

/// Receives measurements, on the thread that made them. It must not block or panic. Measurements
/// that it makes during a call, by an event or otherwise, reach no sink: that would recurse without
/// end.
pub trait MetricSink: Send + Sync {
    /// Receives one measurement.
    fn record(&self, measurement: &Measurement<'_>);
}

impl<T: MetricSink + ?Sized> MetricSink for Arc<T> {
    fn record(&self, measurement: &Measurement<'_>) {
        (**self).record(measurement);
    }
}
