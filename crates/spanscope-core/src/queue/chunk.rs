//! A run of records of one thread.

use spanscope_model::{SpanId, SpanStatus};
use tracing_core::Metadata;
use tracing_core::span::Id;

use crate::capture::{FieldReader, SpanIds, Ticks, span_outcome, status_of};

/// How full a chunk gets. At 64 KiB a thread hands over every 200 spans or so.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// What a full chunk is made for at once: three quarters of it are entries, as spans and events
/// with some fields have it. Together it is an eighth more than what is paid for.
const ENTRIES: usize = CHUNK_BYTES * 3 / 4 / size_of::<QueuedRecord>();
const FIELD_BYTES: usize = CHUNK_BYTES * 3 / 8;
/// Entries that a chunk may take beyond that number, from bytes that it has paid already.
const SLACK: usize = 48;

/// Stands for a busy time that no layer counts.
pub(super) const NOT_COUNTED: u64 = u64::MAX;

/// One record. Its size counts: a calling thread writes one a span, and the queue is full of them.
#[derive(Debug)]
pub enum QueuedRecord {
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
    /// When the start was reported.
    pub reported_at: Ticks,
    pub(super) fields: Fields,
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
    /// When it closed, which is never earlier: everything below it was over by then.
    pub closed: Ticks,
    pub(super) busy_nanos: u64,
    pub(super) links: Links,
    pub(super) fields: Fields,
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
    pub(super) fields: Fields,
}

/// A measurement that is no event. Its fields are those that an event would have.
#[derive(Debug)]
pub struct MeasurementEntry {
    /// The span it belongs to, if any.
    pub ids: Option<SpanIds>,
    /// When it was made.
    pub time: Ticks,
    pub(super) fields: Fields,
}

impl SpanEntry {
    /// How long at least one thread was inside of it, in nanoseconds, where a layer counts that.
    #[must_use]
    pub fn busy_nanos(&self) -> Option<u64> {
        (self.busy_nanos != NOT_COUNTED).then_some(self.busy_nanos)
    }

    /// What it follows from or was linked to; empty nearly always.
    #[must_use]
    pub fn links(&self) -> &[SpanIds] {
        self.links.0.as_ref().map(|links| &***links).unwrap_or_default()
    }
}

/// Where a record's fields are in the bytes of its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    start: u32,
    end: u32,
}

/// A span's links, in one word, because there are none nearly always.
#[derive(Debug)]
pub(super) struct Links(Option<Box<Box<[SpanIds]>>>);

impl Links {
    pub(super) fn new(links: &[SpanIds]) -> Self {
        Self((!links.is_empty()).then(|| Box::new(links.into())))
    }
}

/// A run of records of one thread, oldest first.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) entries: Vec<QueuedRecord>,
    pub(super) bytes: Vec<u8>,
    /// Spans that the thread opened and has not closed; those closed on other threads are among them.
    pub(super) opened: Vec<Id>,
    /// What this chunk takes from the budget.
    pub(super) paid: usize,
}

impl Chunk {
    /// The records.
    #[must_use]
    pub fn entries(&self) -> &[QueuedRecord] {
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
        self.fields(span.fields)
    }

    /// Whether a span of this chunk failed: what [`DecodedRecord::outcome`] says, without decoding
    /// the rest of its fields.
    ///
    /// [`DecodedRecord::outcome`]: crate::capture::DecodedRecord::outcome
    #[must_use]
    pub fn span_failed(&self, span: &SpanEntry) -> bool {
        let status = status_of(span.metadata, self.span_fields(span));
        span_outcome(status, span.failed) == SpanStatus::Error
    }

    /// The fields that a span of this chunk began with.
    #[must_use]
    pub fn start_fields(&self, start: &StartEntry) -> FieldReader<'_> {
        self.fields(start.fields)
    }

    /// The fields of an event of this chunk.
    #[must_use]
    pub fn event_fields(&self, event: &EventEntry) -> FieldReader<'_> {
        self.fields(event.fields)
    }

    /// The fields of a measurement of this chunk.
    #[must_use]
    pub fn measurement_fields(&self, measurement: &MeasurementEntry) -> FieldReader<'_> {
        self.fields(measurement.fields)
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
        self.bytes.len()
            + self.entries.len() * size_of::<QueuedRecord>()
            + self.opened.len() * size_of::<Id>()
    }

    /// Has room for what fills a chunk.
    pub(super) fn reserve(&mut self) {
        self.entries
            .reserve((ENTRIES + SLACK).saturating_sub(self.entries.len()));
        self.bytes.reserve(FIELD_BYTES.saturating_sub(self.bytes.len()));
    }

    /// Whether it holds the entries that it is made for. More would double their memory.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES
    }

    /// Whether it has grown beyond what chunks are kept for.
    pub(super) fn is_oversized(&self) -> bool {
        self.capacity() > 2 * CHUNK_BYTES
    }

    /// The memory that it has.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<QueuedRecord>()
    }

    /// Adds a record's fields. They end within 4 GiB, because a longer record finds no room:
    /// capture takes no more than some MiB of one.
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
