//! Aggregation of one label set's measurements: `prometheus-client`'s counters and histograms, each
//! with exemplars.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::counter::Atomic;
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use spanscope_core::capture::{Clock, SpanIds, Ticks};
use spanscope_core::metrics::{Measurement, Number};
use spanscope_core::sync::lock;
use spanscope_model::MetricKind;

use super::format::{Format, write_counter};

/// Whole numbers up to here are added as such. Prometheus stores a floating point number, which is
/// exact up to here.
const EXACT: u64 = 1 << 53;

/// A gauge ignores a measurement that is older than its last one by less than this. A larger
/// difference means that the clock was set back, as when a machine wakes up.
const OUT_OF_DATE_NANOS: u64 = 1_000_000_000;

/// The measurements of one label set.
#[derive(Debug)]
pub(super) enum Instrument {
    Counter(Counter),
    Gauge(Mutex<Option<(Ticks, Number)>>),
    Histogram(HistogramWithExemplars<Exemplar>),
}

/// Whole numbers and others are added separately, so that the whole ones stay exact.
#[derive(Debug, Default)]
pub(super) struct Counter {
    whole: CounterWithExemplar<Exemplar, u64>,
    other: OnceLock<CounterWithExemplar<Exemplar, f64>>,
}

/// The span of a measurement.
#[derive(Debug)]
pub(super) struct Exemplar(SpanIds);

impl EncodeLabelSet for Exemplar {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let SpanIds { trace_id, span_id } = self.0;
        ("trace_id", trace_id.to_string()).encode(encoder.encode_label())?;
        ("span_id", span_id.to_string()).encode(encoder.encode_label())
    }
}

impl Instrument {
    pub(super) fn new(kind: MetricKind, buckets: &[f64]) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(Counter::default()),
            MetricKind::Gauge => Self::Gauge(Mutex::default()),
            MetricKind::Histogram => Self::Histogram(HistogramWithExemplars::new(buckets.iter().copied())),
        }
    }

    /// Adds a measurement of this kind, whose value [`fits`].
    pub(super) fn add(&self, measurement: &Measurement<'_>) {
        match self {
            Self::Counter(counter) => counter.add(measurement),
            Self::Gauge(last) => {
                let mut last = lock(last);
                let out_of_date = last.is_some_and(|(time, _)| {
                    let late = Clock::global().nanos_between(measurement.time, time);
                    late > 0 && late < OUT_OF_DATE_NANOS
                });
                if !out_of_date {
                    *last = Some((measurement.time, measurement.value));
                }
            }
            Self::Histogram(histogram) => {
                let exemplar = measurement.span.map(Exemplar);
                let time = exemplar.as_ref().and_then(|_| now());
                histogram.observe(measurement.value.as_f64(), exemplar, time);
            }
        }
    }

    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>, format: Format) -> fmt::Result {
        match self {
            Self::Counter(counter) => counter.encode(&mut encoder, format),
            Self::Gauge(last) => {
                let last = *lock(last);
                match last {
                    Some((_, Number::I64(number))) => encoder.encode_gauge(&number),
                    Some((_, Number::U64(number))) => encoder.encode_gauge(&number),
                    Some((_, Number::F64(number))) => encoder.encode_gauge(&number),
                    None => Ok(()),
                }
            }
            Self::Histogram(histogram) => histogram.encode(encoder),
        }
    }
}

impl Counter {
    fn add(&self, measurement: &Measurement<'_>) {
        let exemplar = measurement.span.map(Exemplar);
        match whole(measurement.value) {
            Some(number) => increase(&self.whole, number, exemplar),
            None => increase(
                self.other.get_or_init(Default::default),
                measurement.value.as_f64(),
                exemplar,
            ),
        }
    }

    fn encode(&self, encoder: &mut MetricEncoder<'_>, format: Format) -> fmt::Result {
        let (whole, exemplar) = self.whole.get();
        let Some(other) = self.other.get() else {
            return write_counter(encoder, format, &whole, exemplar.as_ref());
        };
        let (other, other_exemplar) = other.get();
        let total = Number::U64(whole).as_f64() + other;
        match other_exemplar.as_ref() {
            None => write_counter(encoder, format, &total, exemplar.as_ref()),
            some => write_counter(encoder, format, &total, some),
        }
    }
}

/// Increases a counter. Without a span the existing exemplar stays, which `inc_by` would remove.
fn increase<N: Clone>(counter: &CounterWithExemplar<Exemplar, N>, by: N, exemplar: Option<Exemplar>)
where
    AtomicU64: Atomic<N>,
{
    if exemplar.is_some() {
        counter.inc_by(by, exemplar, now());
    } else {
        counter.inner().inc_by(by);
    }
}

fn whole(value: Number) -> Option<u64> {
    let whole = match value {
        Number::I64(number) => u64::try_from(number).ok(),
        Number::U64(number) => Some(number),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is compared afterwards"
        )]
        Number::F64(number) => Some(number as u64).filter(|whole| Number::U64(*whole).as_f64() == number),
    };
    whole.filter(|whole| *whole <= EXACT)
}

/// Returns whether such a metric can have such a value: counters never decrease, a histogram of
/// negative numbers has no sum that Prometheus understands, and not-a-number can't be added.
pub(super) fn fits(kind: MetricKind, value: Number) -> bool {
    let value = value.as_f64();
    value.is_finite() && (kind == MetricKind::Gauge || value >= 0.0)
}

/// The time for an exemplar, which can't be before 1970.
fn now() -> Option<SystemTime> {
    Some(SystemTime::now()).filter(|now| *now >= UNIX_EPOCH)
}
