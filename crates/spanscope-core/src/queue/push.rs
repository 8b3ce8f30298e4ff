//! The calling threads' end of a queue: records are added to the thread's chunk, or counted as
//! dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spanscope_model::RawValue;
use tracing_core::span::Id;

use super::chunk::{
    CHUNK_BYTES, Chunk, EventEntry, Links, MeasurementEntry, NOT_COUNTED, QueuedRecord, SpanEntry, StartEntry,
};
use super::fork;
use super::shared::{OverflowPolicy, Queue};
use super::slot::{Slot, SlotInner};
use crate::capture::{
    DEFAULT_MAX_VALUE_LEN, FieldWriter, SpanIds, SpanRecord, SpanStarted, Ticks, is_suppressed,
};
use crate::metrics::{Measurement, Number};
use crate::sync::lock;

/// The step in which chunks are paid for as they fill, so that many threads with a record each
/// don't use up the budget.
const STEP_BYTES: usize = 4 * 1024;

impl Queue {
    /// Notes that a span was opened. It is a hint, not a record: it is dropped if there is no room,
    /// and on a thread whose locals are destroyed, because a slot's newest open span belongs to its
    /// thread.
    pub fn push_opened(&self, id: &Id) {
        if self.is_inherited() {
            return self.successor().map_or((), |successor| successor.push_opened(id));
        }
        self.with_slot(|slot| {
            let Some(slot) = slot else { return };
            if slot.try_open(id) {
                return;
            }
            let mut inner = lock(&slot.inner);
            if let Some(before) = slot.take_newest()
                && self.make_room(&mut inner, size_of::<Id>(), false)
                && let Some(chunk) = &mut inner.chunk
            {
                chunk.opened.push(before);
            }
            slot.try_open(id);
        });
    }

    /// Adds an ended span, or counts it as dropped. Returns `false` if there is no room and the
    /// policy is to wait; nothing has happened then: call [`wait_for_room`](Self::wait_for_room)
    /// and retry.
    ///
    /// It does not wait itself, because the caller holds the span's record, and the sink reads
    /// records too.
    #[must_use]
    pub fn try_push_span(
        &self,
        id: &Id,
        record: &SpanRecord,
        parent: Option<spanscope_model::SpanId>,
        failed: bool,
        end: Ticks,
    ) -> bool {
        if self.is_inherited() && fork::belongs_to_parent_process(record.start) {
            return true; // the parent process records its end
        }
        self.try_push(record.fields.len() + size_of::<QueuedRecord>(), |slot, chunk| {
            // Spans usually close in the reverse order of their opening, on the thread that opened
            // them.
            if !slot.try_close(id) && chunk.opened.last() == Some(id) {
                chunk.opened.pop();
            }
            let fields = chunk.push_fields(&record.fields);
            chunk.entries.push(QueuedRecord::Span(SpanEntry {
                ids: record.ids,
                parent,
                is_local_root: record.is_local_root(),
                is_sampled: record.is_sampled(),
                failed,
                metadata: record.metadata,
                start: record.start,
                end,
                closed: record.closed().unwrap_or(end),
                busy_nanos: record.busy_nanos(end).unwrap_or(NOT_COUNTED),
                links: Links::new(&record.links),
                fields,
            }));
        })
    }

    /// Adds the start of a span, or counts it as dropped; never waits, because the caller holds the
    /// span's record.
    pub fn push_start(&self, start: &SpanStarted<'_>) {
        let record = start.record;
        let added = self.try_push(record.fields.len() + size_of::<QueuedRecord>(), |_, chunk| {
            let fields = chunk.push_fields(&record.fields);
            chunk.entries.push(QueuedRecord::Start(StartEntry {
                ids: record.ids,
                parent: start.parent,
                metadata: record.metadata,
                start: record.start,
                reported_at: start.reported_at,
                fields,
            }));
        });
        if !added {
            self.count_dropped();
        }
    }

    fn count_dropped(&self) {
        if self.is_inherited() {
            return self.successor().map_or((), Self::count_dropped);
        }
        self.with_slot(|slot| {
            let slot = slot.unwrap_or_else(|| self.slot_without_locals());
            let counts = &mut lock(&slot.inner).counts;
            counts.offered += 1;
            counts.dropped_full += 1;
        });
    }

    /// Adds an event, or counts it as dropped; waits for room if that is the policy.
    pub fn push_event(
        &self,
        ids: Option<SpanIds>,
        metadata: &'static tracing_core::Metadata<'static>,
        time: Ticks,
        fields: &[u8],
    ) {
        while !self.try_push(fields.len() + size_of::<QueuedRecord>(), |_, chunk| {
            let fields = chunk.push_fields(fields);
            chunk.entries.push(QueuedRecord::Event(EventEntry {
                ids,
                metadata,
                time,
                fields,
            }));
        }) {
            self.wait_for_room();
        }
    }

    /// Adds a measurement, or counts it as dropped; waits for room if that is the policy.
    pub fn push_measurement(&self, measurement: &Measurement<'_>) {
        let mut bytes = Vec::with_capacity(256);
        let mut writer = FieldWriter {
            bytes: &mut bytes,
            max_len: DEFAULT_MAX_VALUE_LEN,
            only: None,
        };
        writer.own_raw("metric", &RawValue::Text(measurement.name, None));
        let value = match measurement.value {
            Number::I64(number) => RawValue::I64(number),
            Number::U64(number) => RawValue::U64(number),
            Number::F64(number) => RawValue::F64(number),
        };
        writer.own_raw("value", &value);
        writer.own_raw("unit", &RawValue::Text(measurement.unit, None));
        writer.own_raw("instrument", &RawValue::Text(measurement.kind.as_str(), None));
        for (key, value) in measurement.labels {
            writer.own_raw(key, value);
        }
        while !self.try_push(bytes.len() + size_of::<QueuedRecord>(), |_, chunk| {
            let fields = chunk.push_fields(&bytes);
            chunk.entries.push(QueuedRecord::Measurement(MeasurementEntry {
                ids: measurement.span,
                time: measurement.time,
                fields,
            }));
        }) {
            self.wait_for_room();
        }
    }

    fn try_push(&self, bytes: usize, add: impl FnOnce(&Slot, &mut Chunk)) -> bool {
        if self.is_inherited() {
            return self.try_push_in_child(bytes, add);
        }
        let mut done = true;
        let mut is_late = false;
        self.with_slot(|slot| {
            let slot = slot.unwrap_or_else(|| self.slot_without_locals());
            let mut inner = lock(&slot.inner);
            if self.is_closed() {
                // A suppressed thread is another sink that measures itself while this one ends. The
                // program can't prevent that, so the record is left out and not counted as late.
                if !is_suppressed() {
                    inner.counts.offered += 1;
                    inner.counts.dropped_closed += 1;
                    is_late = true;
                }
            } else if self.make_room(&mut inner, bytes, is_suppressed())
                && let Some(chunk) = &mut inner.chunk
            {
                add(slot, chunk);
                inner.counts.offered += 1;
                drop(inner);
                self.rouse();
            } else if self.shared.on_overflow == OverflowPolicy::Block {
                done = false;
            } else {
                inner.counts.offered += 1;
                inner.counts.dropped_full += 1;
            }
        });
        if is_late {
            self.shared.end.note_late_record();
        }
        done
    }

    /// Pushes in the child of a fork, where this queue is the parent's.
    #[cold]
    fn try_push_in_child(&self, bytes: usize, add: impl FnOnce(&Slot, &mut Chunk)) -> bool {
        let Some(successor) = self.successor() else {
            self.shared.successor.lost.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        successor.try_push(bytes, add)
    }

    /// Gives the slot a chunk with room for `bytes`; returns `false` if the budget does not allow
    /// it. The sink's own thread is never refused: it can't wait for itself, and it only adds a
    /// parent's end from time to time.
    fn make_room(&self, inner: &mut SlotInner, bytes: usize, never_refuse: bool) -> bool {
        if let Some(chunk) = &mut inner.chunk {
            let needed = chunk.used() + bytes;
            if needed <= chunk.paid {
                return true;
            }
            if needed <= CHUNK_BYTES && !chunk.is_full() {
                let paid = needed.next_multiple_of(STEP_BYTES);
                let has_paid = self.pay(paid - chunk.paid, never_refuse);
                if has_paid {
                    chunk.paid = paid;
                }
                return has_paid;
            }
        }
        let price = bytes.next_multiple_of(STEP_BYTES);
        if !self.pay(price, never_refuse) {
            return false;
        }
        let before = inner.chunk.take();
        let is_busy = before.is_some();
        let (mut fresh, must_wake) = self.exchange(before);
        if is_busy {
            // The new chunk will fill too. Growing in steps would fault its memory in more than
            // once.
            fresh.reserve();
        }
        fresh.paid = price;
        inner.chunk = Some(fresh);
        if must_wake {
            self.notify();
        }
        true
    }

    /// Passes on a full chunk and returns an empty one, and whether to wake the sink.
    fn exchange(&self, full: Option<Chunk>) -> (Chunk, bool) {
        let mut chunks = lock(&self.shared.full);
        let fresh = chunks.spare.pop().unwrap_or_default();
        let must_wake = full.is_some() && self.bytes() > self.shared.max_bytes / 4;
        chunks.chunks.extend(full);
        (fresh, must_wake)
    }

    /// Takes `price` bytes from the budget; returns `false` if they are not available.
    fn pay(&self, price: usize, never_refuse: bool) -> bool {
        let before = self.shared.paid.fetch_add(price, Ordering::Relaxed);
        // One record larger than the whole queue passes if the queue is empty; otherwise it could
        // never be stored.
        if before + price > self.shared.max_bytes && before > 0 && !never_refuse {
            self.shared.paid.fetch_sub(price, Ordering::Relaxed);
            self.wake();
            return false;
        }
        true
    }

    /// Waits until a chunk was returned, for some milliseconds at most. Do not hold a lock
    /// meanwhile.
    pub fn wait_for_room(&self) {
        if self.is_inherited() {
            return self.successor().map_or((), Self::wait_for_room);
        }
        self.wake();
        let guard = lock(&self.shared.room_lock);
        // Bounded, because a chunk may have been returned between the check and the wait.
        let _ = self.shared.room.wait_timeout(guard, Duration::from_millis(10));
    }

    fn with_slot(&self, work: impl FnOnce(Option<&Slot>)) {
        let made = |slot: &Arc<Slot>| lock(&self.shared.slots).push(Arc::clone(slot));
        Slot::with(self.shared.id, made, work);
    }
}
