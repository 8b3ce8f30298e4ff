//! A run of records of one thread.

use std::ops::Range;
use std::sync::Weak;

use spanscope_model::{SpanId, SpanStatus};
use tracing_core::Metadata;
use tracing_core::span::Id;

use super::shared::Slot;
use crate::capture::{FieldReader, Key, SpanIds, Ticks};

/// The field by which a span says whether it failed.
const STATUS_CODE: &str = "otel.status_code";

/// One record.
#[derive(Debug)]
pub enum Entry {
    /// A span that began; only where the layer asks for it.
    Start(StartEntry),
    /// A span that ended.
    Span(SpanEntry),
    /// An event.
    Event(EventEntry),
    /// A measurement that is no event.
    Measurement(MeasurementEntry),
}

/// A span that began.
#[derive(Debug)]
pub struct StartEntry {
    /// Its ids.
    pub ids: SpanIds,
    /// Its parent, as the layer saw it.
    pub parent: Option<SpanId>,
    /// What its callsite says.
    pub metadata: &'static Metadata<'static>,
    /// When it was made.
    pub start: Ticks,
    /// When it was told.
    pub told: Ticks,
    pub(super) fields: Range<usize>,
}

/// A span that ended.
#[derive(Debug)]
pub struct SpanEntry {
    /// Its ids.
    pub ids: SpanIds,
    /// Its parent, as the layer saw it.
    pub parent: Option<SpanId>,
    /// Whether it began this process's part of the trace.
    pub is_local_root: bool,
    /// What head sampling says of it, where there is any; for exporters.
    pub is_sampled: bool,
    /// Whether an error event or a panic was seen; what the span says of itself is among its fields.
    pub failed: bool,
    /// What its callsite says.
    pub metadata: &'static Metadata<'static>,
    /// When it was made.
    pub start: Ticks,
    /// When it ended.
    pub end: Ticks,
    /// How long at least one thread was inside of it, in nanoseconds, where a layer counts that.
    pub busy_nanos: Option<u64>,
    /// What it follows from; empty nearly always.
    pub links: Vec<SpanIds>,
    pub(super) fields: Range<usize>,
}

/// An event.
#[derive(Debug)]
pub struct EventEntry {
    /// The span it happened in, if any.
    pub ids: Option<SpanIds>,
    /// What its callsite says.
    pub metadata: &'static Metadata<'static>,
    /// When it happened.
    pub time: Ticks,
    pub(super) fields: Range<usize>,
}

/// A measurement that is no event. Its fields are those that an event would have.
#[derive(Debug)]
pub struct MeasurementEntry {
    /// The span it belongs to, if any.
    pub ids: Option<SpanIds>,
    /// When it was made.
    pub time: Ticks,
    pub(super) fields: Range<usize>,
}

/// A run of records of one thread, oldest first.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: Vec<u8>,
    /// Spans that the thread opened and has not closed; those closed on other threads are among them.
    pub(super) opened: Vec<Id>,
    /// What this chunk takes from the budget.
    pub(super) paid: usize,
    /// Where it goes when it is empty again.
    pub(super) home: Weak<Slot>,
}

impl Chunk {
    /// The records.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The spans that the thread opened since the chunk before and had not closed at the end of this one.
    #[must_use]
    pub fn opened(&self) -> &[Id] {
        &self.opened
    }

    /// The fields of a span of this chunk.
    #[must_use]
    pub fn span_fields(&self, span: &SpanEntry) -> FieldReader<'_> {
        FieldReader::new(self.bytes.get(span.fields.clone()).unwrap_or_default())
    }

    /// Whether a span of this chunk failed: what it says of itself by `otel.status_code`, else what was seen of it. It
    /// agrees with what its decoded fields say, for whoever needs it before they are decoded.
    #[must_use]
    pub fn span_failed(&self, span: &SpanEntry) -> bool {
        let declared = span
            .metadata
            .fields()
            .field(STATUS_CODE)
            .map(|field| field.index());
        let is_status = |key: Key<'_>| match key {
            Key::Declared(index) => Some(index) == declared,
            Key::Own(name) => name == STATUS_CODE,
        };
        let mut said = Vec::new();
        self.span_fields(span).copy_wanted(is_status, &mut said);
        let last = FieldReader::new(&said).last();
        let status: Option<SpanStatus> = last.and_then(|(_, value)| value.as_text()?.parse().ok());
        status.map_or(span.failed, |status| status == SpanStatus::Error)
    }

    /// The fields that a span of this chunk began with.
    #[must_use]
    pub fn start_fields(&self, start: &StartEntry) -> FieldReader<'_> {
        FieldReader::new(self.bytes.get(start.fields.clone()).unwrap_or_default())
    }

    /// The fields of an event of this chunk.
    #[must_use]
    pub fn event_fields(&self, event: &EventEntry) -> FieldReader<'_> {
        FieldReader::new(self.bytes.get(event.fields.clone()).unwrap_or_default())
    }

    /// The fields of a measurement of this chunk.
    #[must_use]
    pub fn measurement_fields(&self, measurement: &MeasurementEntry) -> FieldReader<'_> {
        FieldReader::new(self.bytes.get(measurement.fields.clone()).unwrap_or_default())
    }

    /// What the chunk takes from the queue's budget.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.paid
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.opened.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.opened.clear();
        self.paid = 0;
    }

    /// What the records take, roughly as the allocator sees it.
    pub(super) fn used(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + self.opened.len() * size_of::<Id>()
    }

    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(fields);
        start..self.bytes.len()
    }
}
