//! A chunk: consecutive records of one thread.

use spanscope_model::{SpanId, SpanStatus};
use tracing_core::Metadata;
use tracing_core::span::Id;

use crate::capture::{FieldReader, SpanIds, Ticks, span_outcome, status_of};

/// The capacity of a chunk. At 64 KiB a thread passes one on about every 200 spans.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// The number of entries that a full chunk allocates at once: three quarters of it are entries, as
/// is typical for spans and events with some fields. In total this is an eighth more than the paid
/// size.
const ENTRIES: usize = CHUNK_BYTES * 3 / 4 / size_of::<QueuedRecord>();
const FIELD_BYTES: usize = CHUNK_BYTES * 3 / 8;
/// Entries beyond [`ENTRIES`] that may still fit into bytes that are paid already.
const SLACK: usize = 48;

/// Marks a busy time that no layer counts.
pub(super) const NOT_COUNTED: u64 = u64::MAX;

/// One record. Its size matters: a calling thread writes one per span, and the queue is full of
/// them.
#[derive(Debug)]
pub enum QueuedRecord {
    /// The start of a span; only if the layer requests it.
    Start(StartEntry),
    /// The end of a span.
    Span(SpanEntry),
    /// An event.
    Event(EventEntry),
    /// A measurement that is not an event.
    Measurement(MeasurementEntry),
}

/// The start of a span.
#[derive(Debug)]
#[non_exhaustive]
pub struct StartEntry {
    /// Its ids.
    pub ids: SpanIds,
    /// Its parent, as the layer saw it.
    pub parent: Option<SpanId>,
    /// Its callsite's metadata.
    pub metadata: &'static Metadata<'static>,
    /// When it was created.
    pub start: Ticks,
    /// When the start was reported.
    pub reported_at: Ticks,
    pub(super) fields: Fields,
}

/// The end of a span.
#[derive(Debug)]
#[non_exhaustive]
pub struct SpanEntry {
    /// Its ids.
    pub ids: SpanIds,
    /// Its parent, as the layer saw it.
    pub parent: Option<SpanId>,
    /// Whether it is the root of this process's part of the trace.
    pub is_local_root: bool,
    /// The decision of head sampling, if there is any; for exporters.
    pub is_sampled: bool,
    /// Whether an error event or a panic was observed; the span's own status is among its fields.
    pub failed: bool,
    /// Its callsite's metadata.
    pub metadata: &'static Metadata<'static>,
    /// When it was created.
    pub start: Ticks,
    /// When it ended.
    pub end: Ticks,
    /// When it closed, never before `end`: all spans below it were closed by then.
    pub closed: Ticks,
    pub(super) busy_nanos: u64,
    pub(super) links: Links,
    pub(super) fields: Fields,
}

/// An event.
#[derive(Debug)]
#[non_exhaustive]
pub struct EventEntry {
    /// The span it happened in, if any.
    pub ids: Option<SpanIds>,
    /// Its callsite's metadata.
    pub metadata: &'static Metadata<'static>,
    /// When it happened.
    pub time: Ticks,
    pub(super) fields: Fields,
}

/// A measurement that is not an event. It has the fields of a corresponding event.
#[derive(Debug)]
#[non_exhaustive]
pub struct MeasurementEntry {
    /// The span it belongs to, if any.
    pub ids: Option<SpanIds>,
    /// When it was created.
    pub time: Ticks,
    pub(super) fields: Fields,
}

impl SpanEntry {
    /// Returns for how many nanoseconds at least one thread was inside it, if a layer counts that.
    #[must_use]
    pub fn busy_nanos(&self) -> Option<u64> {
        (self.busy_nanos != NOT_COUNTED).then_some(self.busy_nanos)
    }

    /// Returns the spans that it follows from or links to; nearly always empty.
    #[must_use]
    pub fn links(&self) -> &[SpanIds] {
        self.links.0.as_ref().map(|links| &***links).unwrap_or_default()
    }
}

/// The range of a record's fields in the bytes of its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    start: u32,
    end: u32,
}

/// A span's links, in one word, because there are nearly always none.
#[derive(Debug)]
pub(super) struct Links(Option<Box<Box<[SpanIds]>>>);

impl Links {
    pub(super) fn new(links: &[SpanIds]) -> Self {
        Self((!links.is_empty()).then(|| Box::new(links.into())))
    }
}

/// Consecutive records of one thread, oldest first.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) entries: Vec<QueuedRecord>,
    pub(super) bytes: Vec<u8>,
    /// Spans that the thread opened and has not closed; spans closed on other threads are included.
    pub(super) opened: Vec<Id>,
    /// The chunk's share of the budget in bytes.
    pub(super) paid: usize,
}

impl Chunk {
    /// Returns the records.
    #[must_use]
    pub fn entries(&self) -> &[QueuedRecord] {
        &self.entries
    }

    /// Returns the spans that the thread opened since the previous chunk and had not closed at the
    /// end of this one.
    #[must_use]
    pub fn opened(&self) -> &[Id] {
        &self.opened
    }

    /// Returns the fields of a span of this chunk.
    #[must_use]
    pub fn span_fields(&self, span: &SpanEntry) -> FieldReader<'_> {
        self.fields(span.fields)
    }

    /// Returns whether a span of this chunk failed: the result of [`DecodedRecord::outcome`]
    /// without decoding the rest of its fields.
    ///
    /// [`DecodedRecord::outcome`]: crate::capture::DecodedRecord::outcome
    #[must_use]
    pub fn span_failed(&self, span: &SpanEntry) -> bool {
        let status = status_of(span.metadata, self.span_fields(span));
        span_outcome(status, span.failed) == SpanStatus::Error
    }

    /// Returns the fields with which a span of this chunk started.
    #[must_use]
    pub fn start_fields(&self, start: &StartEntry) -> FieldReader<'_> {
        self.fields(start.fields)
    }

    /// Returns the fields of an event of this chunk.
    #[must_use]
    pub fn event_fields(&self, event: &EventEntry) -> FieldReader<'_> {
        self.fields(event.fields)
    }

    /// Returns the fields of a measurement of this chunk.
    #[must_use]
    pub fn measurement_fields(&self, measurement: &MeasurementEntry) -> FieldReader<'_> {
        self.fields(measurement.fields)
    }

    /// Returns the chunk's share of the queue's budget in bytes.
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

    /// Returns the memory of the records, roughly as the allocator sees it.
    pub(super) fn used(&self) -> usize {
        self.bytes.len()
            + self.entries.len() * size_of::<QueuedRecord>()
            + self.opened.len() * size_of::<Id>()
    }

    /// Allocates a full chunk's memory.
    pub(super) fn reserve(&mut self) {
        self.entries
            .reserve((ENTRIES + SLACK).saturating_sub(self.entries.len()));
        self.bytes.reserve(FIELD_BYTES.saturating_sub(self.bytes.len()));
    }

    /// Returns whether it holds its maximum number of entries. More would double their memory.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES
    }

    /// Returns whether it is too large to be kept for reuse.
    pub(super) fn is_oversized(&self) -> bool {
        self.capacity() > 2 * CHUNK_BYTES
    }

    /// Returns the allocated memory.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<QueuedRecord>()
    }

    /// Adds a record's fields. They end within 4 GiB, because a longer record finds no room:
    /// capture limits a record to a few MiB.
    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Fields {
        let place = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let start = place(self.bytes.len());
        self.bytes.extend_from_slice(fields);
        Fields {
            start,
            end: place(self.bytes.len()),
        }
    }

    fn fields(&self, fields: Fields) -> FieldReader<'_> {
        let place = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(place(fields.start)..place(fields.end));
        FieldReader::new(bytes.unwrap_or_default())
    }
}
