//! Recorded telemetry, and queries on it for a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use spanscope_model::{LogEvent, MetricSeries, Severity, Span, SpanId, SpanStatus, Value};

/// Records that a test has selected. Each method narrows the selection.
#[derive(Debug, Clone)]
pub struct Found<T> {
    records: Vec<T>,
    /// A description of the selection: `spans named "chat"`.
    described: String,
    /// Everything of this kind that was recorded, one line each.
    recorded: Arc<str>,
}

/// Spans that were recorded.
pub type Spans = Found<Span>;

/// Events that were recorded.
pub type Events = Found<LogEvent>;

/// Measurements that were made.
pub type Measurements = Found<Measured>;

/// A measurement.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// The metric's name.
    pub metric: String,
    /// The value: an integer stays one.
    pub value: Value,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

impl Measured {
    pub(super) fn of_series(series: MetricSeries) -> impl Iterator<Item = Self> {
        let labels = series.labels.into_iter().map(|label| (label.name, label.value));
        let labels: BTreeMap<_, _> = labels.collect();
        series.values.into_iter().map(move |point| Self {
            metric: series.metric.clone(),
            value: point.value,
            unit: point.unit,
            labels: labels.clone(),
        })
    }
}

impl<T> Found<T> {
    fn all(what: &str, records: Vec<T>, line: impl Fn(&T) -> String) -> Self {
        let mut recorded = String::new();
        for record in &records {
            // Writing into a text can't fail.
            let _ = write!(recorded, "\n  {}", line(record));
        }
        Self {
            records,
            described: what.to_owned(),
            recorded: recorded.into(),
        }
    }

    /// Selects those for which `is_true` returns true. `described` completes a sentence that begins
    /// with the kind, such as "spans": "that took long".
    #[must_use]
    pub fn matching(mut self, described: &str, is_true: impl Fn(&T) -> bool) -> Self {
        self.records.retain(is_true);
        self.described = format!("{} {described}", self.described);
        self
    }

    /// Returns the only record.
    ///
    /// # Panics
    /// Panics if there is none, or more than one.
    #[track_caller]
    pub fn one(mut self) -> T {
        match (self.records.pop(), self.records.len()) {
            (Some(record), 0) => record,
            (Some(_), others) => self.fail("one was expected", others + 1),
            (None, _) => self.fail("one was expected", 0),
        }
    }

    /// Asserts that there is none.
    ///
    /// # Panics
    /// Panics if there is one.
    #[track_caller]
    pub fn none(self) {
        if !self.records.is_empty() {
            self.fail("expected none", self.records.len());
        }
    }

    /// Asserts that there are `count`, and returns them.
    ///
    /// # Panics
    /// Panics if there are fewer, or more.
    #[track_caller]
    pub fn exactly(self, count: usize) -> Vec<T> {
        if self.records.len() != count {
            self.fail(&format!("{count} were expected"), self.records.len());
        }
        self.records
    }

    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Iterates over the records.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.records.iter()
    }

    #[track_caller]
    fn fail(&self, expected: &str, count: usize) -> ! {
        let recorded = match &*self.recorded {
            "" => " nothing",
            recorded => recorded,
        };
        panic!(
            "{}: {expected}, there are {count}; recorded was:{recorded}",
            self.described
        )
    }
}

impl<T> IntoIterator for Found<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Found<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

/// A store keeps integers as signed ones if they fit.
fn is_same(one: &Value, other: &Value) -> bool {
    let integers = one.as_i64().zip(other.as_i64());
    integers.map_or_else(|| one == other, |(one, other)| one == other)
}

impl Spans {
    pub(super) fn of_spans(spans: Vec<Span>) -> Self {
        let names: BTreeMap<SpanId, String> = spans
            .iter()
            .map(|span| (span.span_id, span.name.clone()))
            .collect();
        Self::all("spans", spans, |span| {
            let mut line = span.name.clone();
            if let Some(parent) = span.parent_span_id.and_then(|parent| names.get(&parent)) {
                let _ = write!(line, ", in {parent}");
            }
            match span.status {
                Some(SpanStatus::Ok) => {}
                Some(SpanStatus::Error) => line.push_str(", failed"),
                None => line.push_str(", still open"),
            }
            line
        })
    }

    /// Selects those with this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.matching(&format!("named {name:?}"), |span| span.name == name)
    }

    /// Selects those with this value under this key. An integer matches whether it was signed or
    /// not.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.matching(&format!("with {key} = {value}"), |span| {
            span.attributes
                .get(key)
                .is_some_and(|found| is_same(found, &value))
        })
    }

    /// Selects the children of this span.
    #[must_use]
    pub fn children_of(self, parent: &Span) -> Self {
        self.matching(&format!("in {}", parent.name), |span| {
            (span.trace_id, span.parent_span_id) == (parent.trace_id, Some(parent.span_id))
        })
    }

    /// Selects those without a parent.
    #[must_use]
    pub fn roots(self) -> Self {
        self.matching("without a parent", |span| span.parent_span_id.is_none())
    }

    /// Selects those that failed.
    #[must_use]
    pub fn failed(self) -> Self {
        self.matching("that failed", |span| span.status == Some(SpanStatus::Error))
    }
}

impl Events {
    pub(super) fn of_events(events: Vec<LogEvent>) -> Self {
        Self::all("events", events, |event| {
            format!("{}: {}", event.severity, event.message)
        })
    }

    /// Selects those whose message contains this text.
    #[must_use]
    pub fn with_message(self, text: &str) -> Self {
        self.matching(&format!("saying {text:?}"), |event| event.message.contains(text))
    }

    /// Selects those with this value under this key. An integer matches whether it was signed or
    /// not.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.matching(&format!("with {key} = {value}"), |event| {
            event
                .attributes
                .get(key)
                .is_some_and(|found| is_same(found, &value))
        })
    }

    /// Selects those in this span.
    #[must_use]
    pub fn in_span(self, span: &Span) -> Self {
        self.matching(&format!("in {}", span.name), |event| {
            (event.trace_id, event.span_id) == (Some(span.trace_id), Some(span.span_id))
        })
    }

    /// Selects those of at least this severity.
    #[must_use]
    pub fn at_least(self, severity: Severity) -> Self {
        self.matching(&format!("of severity {severity} or above"), |event| {
            event.severity >= severity
        })
    }
}

impl Measurements {
    pub(super) fn of_measurements(measured: Vec<Measured>) -> Self {
        Self::all("measurements", measured, |measured| {
            let labels = measured
                .labels
                .iter()
                .map(|(key, value)| format!(" {key}={value}"));
            let labels: String = labels.collect();
            format!(
                "{} = {:?} {}{labels}",
                measured.metric, measured.value, measured.unit
            )
        })
    }

    /// Selects those of the metric with this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.matching(&format!("named {name:?}"), |measured| measured.metric == name)
    }

    /// Selects those with this value under this label.
    #[must_use]
    pub fn with(self, label: &str, value: &str) -> Self {
        self.matching(&format!("with {label} = {value}"), |measured| {
            measured.labels.get(label).is_some_and(|found| found == value)
        })
    }
}
