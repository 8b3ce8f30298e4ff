//! Stores the measurements of a batch: those of events, and those of the metric sink.
//!
//! A batch without measurements costs nothing: [`Points`] is created for the first one.

use std::borrow::Cow;

use rusqlite::Connection;
use spanscope_core::capture::{FieldReader, FieldRole, Key, MaskedTexts, RawValue, ResolvedField, SpanIds};
use spanscope_core::metrics::Measurement;
use spanscope_core::queue::{EventEntry, MeasurementEntry};
use spanscope_model::semconv::secret_kind;

use crate::file::rows::span_key;
use crate::file::series::{NewPoint, Points, labels_text};
use crate::file::text::without_nul;

/// The measurements of one batch.
pub(super) struct Measurements<'a> {
    db: &'a Connection,
    process: i64,
    max_series: u64,
    points: Option<Points<'a>>,
}

impl<'a> Measurements<'a> {
    pub(super) fn begin(db: &'a Connection, process: i64, max_series: u64) -> Self {
        Self {
            db,
            process,
            max_series,
            points: None,
        }
    }

    /// Stores the measurement in an event's fields; returns `false` if there is none.
    pub(super) fn add_event(
        &mut self,
        event: &EventEntry,
        fields: &[ResolvedField<'_>],
        time: i64,
        expires: Option<i64>,
    ) -> rusqlite::Result<bool> {
        let mut labels = Vec::with_capacity(fields.len());
        let Some(measurement) = Measurement::read(fields, event.ids, event.time, &mut labels) else {
            return Ok(false);
        };
        self.add(&measurement, time, expires)?;
        Ok(true)
    }

    /// Stores a measurement of the metric sink.
    pub(super) fn add_entry(
        &mut self,
        entry: &MeasurementEntry,
        fields: FieldReader<'_>,
        time: i64,
    ) -> rusqlite::Result<()> {
        // Every key that does not belong to the measurement itself is a label, whatever its role on
        // an event.
        let texts = MaskedTexts::new();
        let fields: Vec<ResolvedField<'_>> = fields
            .filter_map(|(key, value)| match key {
                Key::Undeclared(name) => Some((name, texts.mask(secret_kind(name), value))),
                Key::Declared(_) => None,
            })
            .map(|(name, value)| ResolvedField {
                declared: None,
                name,
                role: FieldRole::Attribute,
                value,
            })
            .collect();
        let mut labels = Vec::with_capacity(fields.len());
        match Measurement::read(&fields, entry.ids, entry.time, &mut labels) {
            Some(measurement) => self.add(&measurement, time, None),
            // It has no name, or its value is not a number.
            None => Ok(()),
        }
    }

    fn add(
        &mut self,
        measurement: &Measurement<'_>,
        time: i64,
        expires: Option<i64>,
    ) -> rusqlite::Result<()> {
        let points = match &mut self.points {
            Some(points) => points,
            none => none.insert(Points::begin(self.db, self.max_series)?),
        };
        let mut labels: Vec<(&str, Cow<'_, str>)> = measurement
            .labels
            .iter()
            .map(|(key, value)| (*key, text_of(value)))
            // A label without a value is ignored, as in Prometheus.
            .filter(|(_, value)| !value.is_empty())
            .collect();
        labels.sort_by_key(|(key, _)| *key);
        labels.dedup_by_key(|(key, _)| *key);
        let labels = labels_text(labels.iter().map(|(key, value)| (*key, value.as_ref())));
        points.add(&NewPoint {
            metric: &without_nul(measurement.name),
            unit: &without_nul(measurement.unit),
            kind: measurement.kind,
            labels: &labels,
            time,
            value: measurement.value.into(),
            trace: measurement
                .span
                .map(|SpanIds { trace_id, .. }| trace_id.to_bytes()),
            span: measurement.span.map(|SpanIds { span_id, .. }| span_key(span_id)),
            process: self.process,
            expires,
            tenant: 0,
            detail: None,
        })
    }

    /// Writes the remaining ones. Returns the metrics that exceeded the limit of label sets.
    pub(super) fn finish(self) -> rusqlite::Result<Vec<String>> {
        self.points.map_or_else(|| Ok(Vec::new()), Points::finish)
    }
}

fn text_of<'v>(value: &RawValue<'v>) -> Cow<'v, str> {
    match *value {
        RawValue::Text(text, _) => Cow::Borrowed(text),
        value => Cow::Owned(value.to_string()),
    }
}
