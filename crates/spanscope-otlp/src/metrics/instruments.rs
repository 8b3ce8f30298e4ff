//! One instrument a metric, made by its first measurement.

use std::collections::HashMap;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use opentelemetry::{Key, KeyValue, Value};
use spanscope_layers::capture::{FieldReader, Key as FieldKey, RawValue};
use spanscope_layers::metrics::{MAX_METRICS, MEASUREMENT_FIELDS, Number, TOKEN_USAGE, buckets_of};
use spanscope_layers::queue::say;
use spanscope_model::{MetricKind, TOKEN_METRICS};

/// Where a metric adds up. Whole numbers stay whole.
#[derive(Debug)]
enum Instrument {
    WholeCounter(Counter<u64>),
    Counter(Counter<f64>),
    WholeGauge(Gauge<i64>),
    Gauge(Gauge<f64>),
    Histogram(Histogram<f64>),
    /// Its name is none in OpenTelemetry; said once.
    Unnameable,
}

/// All instruments of a bridge.
#[derive(Debug)]
pub(crate) struct Instruments {
    meter: Meter,
    by_name: HashMap<(Box<str>, bool), Instrument>,
    labels: Vec<KeyValue>,
}

/// A measurement as it was written down.
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
            labels: Vec::new(),
        }
    }

    /// Adds a measurement of a queue.
    pub(crate) fn record(&mut self, fields: FieldReader<'_>) {
        let mut read = Read::default();
        self.labels.clear();
        for (key, value) in fields {
            let FieldKey::Own(key) = key else { continue };
            match (key, value.as_text()) {
                ("metric", Some(text)) => read.name = text,
                ("value", _) => read.value = Number::of(&value),
                ("unit", Some(text)) => read.unit = text,
                ("instrument", Some(text)) => read.kind = text.parse().ok(),
                _ if MEASUREMENT_FIELDS.contains(&key) => {}
                _ => self
                    .labels
                    .push(KeyValue::new(Key::from(key.to_owned()), label(value))),
            }
        }
        let Some(value) = read.value else { return };
        let kind = read.kind.unwrap_or_else(|| MetricKind::of_name(read.name));
        self.add(read.name, value, read.unit, kind);
    }

    fn add(&mut self, name: &str, value: Number, unit: &str, kind: MetricKind) {
        let is_whole = !matches!(value, Number::F64(_)) || kind == MetricKind::Histogram;
        let known = self.by_name.len();
        let key = (Box::from(name), is_whole);
        let instrument = match self.by_name.get(&key) {
            Some(instrument) => instrument,
            None if known >= 2 * MAX_METRICS => return,
            None => {
                let made = make(&self.meter, name, unit, kind, is_whole);
                self.by_name.entry(key).or_insert(made)
            }
        };
        match instrument {
            Instrument::WholeCounter(counter) => {
                let whole = match value {
                    Number::I64(number) => u64::try_from(number).ok(),
                    Number::U64(number) => Some(number),
                    Number::F64(_) => None,
                };
                // A counter never goes down.
                if let Some(whole) = whole {
                    counter.add(whole, &self.labels);
                }
            }
            Instrument::Counter(counter) if value.as_f64() >= 0.0 => {
                counter.add(value.as_f64(), &self.labels);
            }
            Instrument::WholeGauge(gauge) => match value {
                Number::I64(number) => gauge.record(number, &self.labels),
                Number::U64(number) => gauge.record(i64::try_from(number).unwrap_or(i64::MAX), &self.labels),
                Number::F64(_) => {}
            },
            Instrument::Gauge(gauge) => gauge.record(value.as_f64(), &self.labels),
            Instrument::Histogram(histogram) => histogram.record(value.as_f64(), &self.labels),
            Instrument::Counter(_) | Instrument::Unnameable => {}
        }
    }
}

fn make(meter: &Meter, name: &str, unit: &str, kind: MetricKind, is_whole: bool) -> Instrument {
    // The three token counters go by the names that queries and dashboards know.
    let documented = TOKEN_METRICS.iter().find(|(event, _)| *event == name);
    let name = documented.map_or(name, |(_, counter)| *counter).to_owned();
    if !is_name(&name) {
        say(format!(
            "spanscope: the metric {name:?} is not sent: OpenTelemetry's names begin with a letter, go on with letters, digits, \
             _ . - / and have at most 255 characters"
        ));
        return Instrument::Unnameable;
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
        (MetricKind::Gauge, true) => Instrument::WholeGauge(meter.i64_gauge(name).with_unit(unit).build()),
        (MetricKind::Gauge, false) => Instrument::Gauge(meter.f64_gauge(name).with_unit(unit).build()),
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

/// What a convention advises, what suits the unit, or else what OpenTelemetry takes for anything.
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

fn label(value: RawValue<'_>) -> Value {
    match value {
        RawValue::Bool(value) => value.into(),
        RawValue::I64(number) => number.into(),
        RawValue::U64(number) => i64::try_from(number).map_or_else(|_| number.to_string().into(), Into::into),
        RawValue::F64(number) => number.into(),
        RawValue::Text(text, _) => text.to_owned().into(),
    }
}
