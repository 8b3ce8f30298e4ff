//! One instrument per metric, created by its first measurement.

use std::collections::HashMap;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use opentelemetry::{Key, KeyValue, Value};
use spanscope_core::capture::{FieldReader, Key as FieldKey, RawValue};
use spanscope_core::metrics::{MAX_METRICS, MEASUREMENT_FIELDS, Number};
use spanscope_core::queue::log_to_stderr;
use spanscope_layers::metrics::{TOKEN_USAGE, buckets_of};
use spanscope_model::semconv::mask_raw;
use spanscope_model::{MetricKind, TOKEN_METRICS};

/// The aggregation of a metric. A counter whose first number is whole accepts only whole numbers;
/// gauges are floats, because one gauge may have both.
#[derive(Debug)]
enum Instrument {
    WholeCounter(Counter<u64>),
    Counter(Counter<f64>),
    Gauge(Gauge<f64>),
    Histogram(Histogram<f64>),
    /// Its name is invalid in OpenTelemetry, or there are too many metrics; reported once.
    Refused,
}

/// All instruments of a bridge.
#[derive(Debug)]
pub(crate) struct Instruments {
    meter: Meter,
    by_name: HashMap<Box<str>, Instrument>,
    has_reported_full: bool,
    labels: Vec<KeyValue>,
}

/// A measurement as read from the queue.
#[derive(Debug, Default)]
struct Read<'a> {
    name: &'a str,
    value: Option<Number>,
    unit: &'a str,
    kind: Option<MetricKind>,
}

impl Instruments {
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            meter,
            by_name: HashMap::new(),
            has_reported_full: false,
            labels: Vec::new(),
        }
    }

    /// Adds a measurement from a queue. Returns whether it could be added.
    pub(crate) fn record(&mut self, fields: FieldReader<'_>) -> bool {
        let mut read = Read::default();
        self.labels.clear();
        for (key, value) in fields {
            let FieldKey::Undeclared(key) = key else { continue };
            match (key, value.as_text()) {
                ("metric", Some(text)) => read.name = text,
                ("value", _) => read.value = Number::of(&value),
                ("unit", Some(text)) => read.unit = text,
                ("instrument", Some(text)) => read.kind = text.parse().ok(),
                _ if MEASUREMENT_FIELDS.contains(&key) => {}
                _ => self
                    .labels
                    .push(KeyValue::new(Key::from(key.to_owned()), label(key, value))),
            }
        }
        let Some(value) = read.value else {
            return false;
        };
        let kind = read.kind.unwrap_or_else(|| MetricKind::of_name(read.name));
        self.add(read.name, value, read.unit, kind)
    }

    fn add(&mut self, name: &str, value: Number, unit: &str, kind: MetricKind) -> bool {
        let known = self.by_name.len();
        let instrument = match self.by_name.get(name) {
            Some(instrument) => instrument,
            None if known >= MAX_METRICS => {
                if !std::mem::replace(&mut self.has_reported_full, true) {
                    log_to_stderr(format!(
                        "spanscope: the metric {name:?} and further new ones are not sent: there are {MAX_METRICS} already"
                    ));
                }
                return false;
            }
            None => {
                let is_whole = !matches!(value, Number::F64(_));
                let made = make(&self.meter, name, unit, kind, is_whole);
                self.by_name.entry(Box::from(name)).or_insert(made)
            }
        };
        match instrument {
            Instrument::WholeCounter(counter) => {
                let whole = match value {
                    Number::I64(number) => u64::try_from(number).ok(),
                    Number::U64(number) => Some(number),
                    Number::F64(_) => None,
                };
                // A counter never decreases, and one of whole numbers accepts no floats.
                let Some(whole) = whole else { return false };
                counter.add(whole, &self.labels);
            }
            Instrument::Counter(counter) => {
                if value.as_f64() < 0.0 {
                    return false;
                }
                counter.add(value.as_f64(), &self.labels);
            }
            Instrument::Gauge(gauge) => gauge.record(value.as_f64(), &self.labels),
            Instrument::Histogram(histogram) => histogram.record(value.as_f64(), &self.labels),
            Instrument::Refused => return false,
        }
        true
    }
}

fn make(meter: &Meter, name: &str, unit: &str, kind: MetricKind, is_whole: bool) -> Instrument {
    // The three token counters have the names that queries and dashboards use.
    let documented = TOKEN_METRICS.iter().find(|(event, _)| *event == name);
    let name = documented.map_or(name, |(_, counter)| *counter).to_owned();
    if !is_name(&name) {
        log_to_stderr(format!(
            "spanscope: the metric {name:?} is not sent: OpenTelemetry's names begin with a letter, go on with letters, digits, \
             _ . - / and have at most 255 characters"
        ));
        return Instrument::Refused;
    }
    let unit = if unit.is_ascii() && unit.len() <= 63 {
        unit
    } else {
        ""
    }
    .to_owned();
    match (kind, is_whole) {
        (MetricKind::Counter, true) => {
            Instrument::WholeCounter(meter.u64_counter(name).with_unit(unit).build())
        }
        (MetricKind::Counter, false) => Instrument::Counter(meter.f64_counter(name).with_unit(unit).build()),
        (MetricKind::Gauge, _) => Instrument::Gauge(meter.f64_gauge(name).with_unit(unit).build()),
        (MetricKind::Histogram, _) => {
            let buckets = buckets(&name, &unit);
            let mut histogram = meter.f64_histogram(name).with_unit(unit);
            if let Some(buckets) = buckets {
                histogram = histogram.with_boundaries(buckets.to_vec());
            }
            Instrument::Histogram(histogram.build())
        }
    }
}

/// Returns the bounds that a convention recommends, those that suit the unit, or else
/// OpenTelemetry's default.
fn buckets(name: &str, unit: &str) -> Option<&'static [f64]> {
    buckets_of(name).or_else(|| match unit {
        "s" | "seconds" => buckets_of("llama_stack_request_duration_seconds"),
        "tokens" | "{token}" => buckets_of(TOKEN_USAGE),
        _ => None,
    })
}

fn is_name(name: &str) -> bool {
    name.len() <= 255
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-' | '/'))
}

fn label(key: &str, value: RawValue<'_>) -> Value {
    if let Some(masked) = mask_raw(key, &value) {
        return masked.into();
    }
    match value {
        RawValue::Bool(value) => value.into(),
        RawValue::I64(number) => number.into(),
        RawValue::U64(number) => i64::try_from(number).map_or_else(|_| number.to_string().into(), Into::into),
        RawValue::F64(number) => number.into(),
        RawValue::Text(text, _) => text.to_owned().into(),
    }
}
