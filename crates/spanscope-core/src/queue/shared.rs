//! The queue itself: the threads' slots, the full chunks, the budget, the account.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use tracing_core::span::Id;

use super::chunk::{Chunk, Entry, EventEntry, MeasurementEntry, SpanEntry, StartEntry};
use crate::capture::{
    DEFAULT_MAX_VALUE_LEN, FieldWriter, RawValue, SpanIds, SpanRecord, Start, Ticks, is_suppressed,
};
use crate::metrics::{Measurement, Number};
use crate::sync::{lock, wait_timeout_while};

/// How full a chunk gets. At 64 KiB a thread hands over every 150 spans or so.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks are paid for in such steps as they fill, so that many threads with a record each don't use up the budget.
const STEP_BYTES: usize = 4 * 1024;

/// What happens to a record when the queue's bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// It is dropped and counted; the caller never waits. The default.
    #[default]
    Drop,
    /// The caller waits for room, as long as the sink runs.
    Wait,
}

/// How many records came and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records that were made.
    pub offered: u64,
    /// Of these: dropped because the queue was full.
    pub dropped_full: u64,
    /// Of these: dropped because the sink had ended.
    pub dropped_closed: u64,
}

/// The calling threads' end and the sink's end of one queue.
#[derive(Debug, Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: u64,
    max_bytes: usize,
    when_full: WhenFull,
    /// Bytes that existing chunks were paid with.
    paid: AtomicUsize,
    closed: AtomicBool,
    slots: Mutex<Vec<Arc<Slot>>>,
    full: Mutex<Full>,
    wake: Condvar,
    /// The sink sleeps until something comes, see [`Queue::sleep`].
    asleep: AtomicBool,
    room: Condvar,
    room_lock: Mutex<()>,
    /// Counts of threads that ended, and of calls that found no slot.
    retired: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Full {
    chunks: VecDeque<Chunk>,
    /// Somebody wants the sink to look now.
    urgent: bool,
}

/// One thread's place in one queue.
#[derive(Debug, Default)]
pub(super) struct Slot {
    inner: Mutex<SlotInner>,
}

#[derive(Debug, Default)]
struct SlotInner {
    chunk: Option<Chunk>,
    spare: Vec<Chunk>,
    counts: Counts,
}

thread_local! {
    /// This thread's slots, by queue. A process has one queue a sink, so a search of the list is a look at its head.
    static SLOTS: RefCell<Vec<(u64, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    /// Makes a queue of at most so many bytes; less than one chunk a thread makes no sense, so 256 KiB is the least.
    #[must_use]
    pub fn new(max_bytes: usize, when_full: WhenFull) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            shared: Arc::new(Shared {
                id: IDS.fetch_add(1, Ordering::Relaxed),
                max_bytes: max_bytes.max(4 * CHUNK_BYTES),
                when_full,
                paid: AtomicUsize::new(0),
                closed: AtomicBool::new(false),
                slots: Mutex::default(),
                full: Mutex::default(),
                wake: Condvar::new(),
                asleep: AtomicBool::new(false),
                room: Condvar::new(),
                room_lock: Mutex::default(),
                retired: Mutex::default(),
            }),
        }
    }

    /// Notes that a span was opened. It is a hint, not a record: without room it is left out.
    pub fn push_opened(&self, id: &Id) {
        self.with_slot(|slot| {
            if let Some(slot) = slot {
                let mut inner = lock(&slot.inner);
                if self.make_room(&mut inner, slot, size_of::<Id>(), false)
                    && let Some(chunk) = &mut inner.chunk
                {
                    chunk.opened.push(id.clone());
                }
            }
        });
    }

    /// Adds an ended span, or counts it as dropped. `false`: there is no room and the queue is to be waited for; nothing
    /// has happened yet, call [`wait_for_room`](Self::wait_for_room) and come again.
    ///
    /// It does not wait itself, because the caller holds the span's record, and the sink looks at records too.
    #[must_use]
    pub fn try_push_span(
        &self,
        id: &Id,
        record: &SpanRecord,
        parent: Option<spanscope_model::SpanId>,
        failed: bool,
        end: Ticks,
    ) -> bool {
        self.try_push(record.fields.len() + size_of::<Entry>(), |chunk| {
            // Spans mostly close in the reverse order of their opening, on the thread that opened them.
            if chunk.opened.last() == Some(id) {
                chunk.opened.pop();
            }
            let fields = chunk.push_fields(&record.fields);
            chunk.entries.push(Entry::Span(SpanEntry {
                ids: record.ids,
                parent,
                is_local_root: record.is_local_root(),
                is_sampled: record.is_sampled(),
                failed,
                metadata: record.metadata,
                start: record.start,
                end,
                busy_nanos: record.busy_nanos(end),
                links: record.links.clone(),
                fields,
            }));
        })
    }

    /// Adds the start of a span, or counts it as dropped; never waits, because the caller holds the span's record.
    pub fn push_start(&self, start: &Start<'_>) {
        let record = start.record;
        let added = self.try_push(record.fields.len() + size_of::<Entry>(), |chunk| {
            let fields = chunk.push_fields(&record.fields);
            chunk.entries.push(Entry::Start(StartEntry {
                ids: record.ids,
                parent: start.parent,
                metadata: record.metadata,
                start: record.start,
                told: start.told,
                fields,
            }));
        });
        if !added {
            self.with_slot(|slot| {
                if let Some(slot) = slot {
                    let counts = &mut lock(&slot.inner).counts;
                    counts.offered += 1;
                    counts.dropped_full += 1;
                }
            });
        }
    }

    /// Adds an event, or counts it as dropped; waits for room where the queue is to be waited for.
    pub fn push_event(
        &self,
        ids: Option<SpanIds>,
        metadata: &'static tracing_core::Metadata<'static>,
        time: Ticks,
        fields: &[u8],
    ) {
        while !self.try_push(fields.len() + size_of::<Entry>(), |chunk| {
            let fields = chunk.push_fields(fields);
            chunk.entries.push(Entry::Event(EventEntry {
                ids,
                metadata,
                time,
                fields,
            }));
        }) {
            self.wait_for_room();
        }
    }

    /// Adds a measurement, or counts it as dropped; waits for room where the queue is to be waited for.
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
        while !self.try_push(bytes.len() + size_of::<Entry>(), |chunk| {
            let fields = chunk.push_fields(&bytes);
            chunk.entries.push(Entry::Measurement(MeasurementEntry {
                ids: measurement.span,
                time: measurement.time,
                fields,
            }));
        }) {
            self.wait_for_room();
        }
    }

    fn try_push(&self, bytes: usize, add: impl FnOnce(&mut Chunk)) -> bool {
        let mut done = true;
        self.with_slot(|slot| {
            let Some(slot) = slot else {
                // The thread is ending and its locals are gone.
                let mut retired = lock(&self.shared.retired);
                retired.offered += 1;
                retired.dropped_closed += 1;
                return;
            };
            let mut inner = lock(&slot.inner);
            if self.is_closed() {
                inner.counts.offered += 1;
                inner.counts.dropped_closed += 1;
            } else if self.make_room(&mut inner, slot, bytes, is_suppressed())
                && let Some(chunk) = &mut inner.chunk
            {
                add(chunk);
                inner.counts.offered += 1;
                drop(inner);
                self.rouse();
            } else if self.shared.when_full == WhenFull::Wait {
                done = false;
            } else {
                inner.counts.offered += 1;
                inner.counts.dropped_full += 1;
            }
        });
        done
    }

    /// Sees to it that the slot has a chunk with room for so many bytes; `false` if the budget does not allow it. The
    /// sink's own thread is never refused: it can't wait for itself, and it adds a parent's end now and then at most.
    fn make_room(&self, inner: &mut SlotInner, slot: &Arc<Slot>, bytes: usize, never_refuse: bool) -> bool {
        if let Some(chunk) = &mut inner.chunk {
            let needed = chunk.used() + bytes;
            if needed <= chunk.paid {
                return true;
            }
            if needed <= CHUNK_BYTES {
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
        let mut fresh = inner.spare.pop().unwrap_or_default();
        fresh.paid = price;
        fresh.home = Arc::downgrade(slot);
        if let Some(full) = inner.chunk.replace(fresh) {
            lock(&self.shared.full).chunks.push_back(full);
            if self.bytes() > self.shared.max_bytes / 4 {
                self.shared.wake.notify_one();
            }
        }
        true
    }

    /// Takes so many bytes from the budget; `false` if it does not have them.
    fn pay(&self, price: usize, never_refuse: bool) -> bool {
        let before = self.shared.paid.fetch_add(price, Ordering::Relaxed);
        // One record larger than the whole queue passes when nothing else is there; else it could never be stored.
        if before + price > self.shared.max_bytes && before > 0 && !never_refuse {
            self.shared.paid.fetch_sub(price, Ordering::Relaxed);
            self.wake();
            return false;
        }
        true
    }

    /// Waits until a chunk came back, for some milliseconds at most. Hold no lock of yours meanwhile.
    pub fn wait_for_room(&self) {
        self.wake();
        let guard = lock(&self.shared.room_lock);
        // Bounded, because a chunk may have come back between the look and the wait.
        let _ = self.shared.room.wait_timeout(guard, Duration::from_millis(10));
    }

    fn with_slot(&self, work: impl FnOnce(Option<&Arc<Slot>>)) {
        let mut work = Some(work);
        let _ = SLOTS.try_with(|slots| {
            if let Ok(slots) = slots.try_borrow()
                && let Some((_, slot)) = slots.iter().find(|(id, _)| *id == self.shared.id)
            {
                return work.take().map(|work| work(Some(slot)));
            }
            let slot = Arc::new(Slot::default());
            lock(&self.shared.slots).push(Arc::clone(&slot));
            if let Ok(mut slots) = slots.try_borrow_mut() {
                // Queues that are gone leave their slots behind until the thread meets a new one.
                slots.retain(|(_, slot)| Arc::strong_count(slot) > 1);
                slots.push((self.shared.id, Arc::clone(&slot)));
            }
            work.take().map(|work| work(Some(&slot)))
        });
        if let Some(work) = work {
            work(None);
        }
    }

    /// The sink's other wait, for sinks that somebody watches: until something comes, however long that takes, so that an
    /// idle program is not woken, or until the sink has something to do by itself. What comes in the next `gather` is taken
    /// with it.
    pub fn sleep(&self, at_most: Duration, gather: Duration) {
        self.shared.asleep.store(true, Ordering::SeqCst);
        if self.is_empty() {
            let full = lock(&self.shared.full);
            if !full.urgent {
                let _ = self.shared.wake.wait_timeout_while(full, at_most, |full| {
                    !full.urgent && self.shared.asleep.load(Ordering::SeqCst)
                });
            }
        }
        self.shared.asleep.store(false, Ordering::SeqCst);
        self.wait(gather);
    }

    fn is_empty(&self) -> bool {
        let slots = lock(&self.shared.slots);
        let empty = |slot: &Arc<Slot>| lock(&slot.inner).chunk.as_ref().is_none_or(Chunk::is_empty);
        slots.iter().all(empty) && lock(&self.shared.full).chunks.is_empty()
    }

    /// Wakes the sink if it sleeps. The flag is taken down first, so only one of many callers pays for the wake.
    fn rouse(&self) {
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            drop(lock(&self.shared.full));
            self.shared.wake.notify_one();
        }
    }

    /// Makes the sink look now.
    pub fn wake(&self) {
        lock(&self.shared.full).urgent = true;
        self.shared.wake.notify_one();
    }

    /// The sink's wait: until somebody wakes it, enough is queued, or the time is over.
    pub fn wait(&self, timeout: Duration) {
        let full = lock(&self.shared.full);
        let mut full = wait_timeout_while(&self.shared.wake, full, timeout, |full| {
            !full.urgent && self.shared.paid.load(Ordering::Relaxed) <= self.shared.max_bytes / 4
        });
        full.urgent = false;
    }

    /// Takes all records that were pushed before the call, and maybe some more. Give each chunk back with
    /// [`recycle`](Self::recycle).
    pub fn drain(&self, chunks: &mut Vec<Chunk>) {
        let mut slots = lock(&self.shared.slots);
        // The half-full ones after the full ones of the same thread, so that a thread's records stay in order.
        let mut open = Vec::new();
        slots.retain(|slot| {
            // Asked before the chunk is taken: a thread that ends afterwards may have pushed afterwards.
            let alive = Arc::strong_count(slot) > 1;
            fence(Ordering::Acquire);
            let mut inner = lock(&slot.inner);
            if inner.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty()) {
                open.extend(inner.chunk.take());
            } else if let Some(idle) = inner.chunk.take() {
                // An idle thread holds no part of the budget.
                self.shared.paid.fetch_sub(idle.paid, Ordering::Relaxed);
                inner.spare.push(idle);
            }
            if !alive {
                let counts = inner.counts;
                let mut retired = lock(&self.shared.retired);
                retired.offered += counts.offered;
                retired.dropped_full += counts.dropped_full;
                retired.dropped_closed += counts.dropped_closed;
            }
            alive
        });
        drop(slots);
        chunks.extend(lock(&self.shared.full).chunks.drain(..));
        chunks.append(&mut open);
    }

    /// Gives a chunk back to the thread that made it, and its bytes to the budget.
    pub fn recycle(&self, mut chunk: Chunk) {
        self.shared.paid.fetch_sub(chunk.paid, Ordering::Relaxed);
        self.shared.room.notify_all();
        let oversized = chunk.used() > 2 * CHUNK_BYTES;
        chunk.clear();
        if !oversized && let Some(slot) = Weak::upgrade(&chunk.home) {
            let mut inner = lock(&slot.inner);
            if inner.spare.len() < 4 {
                inner.spare.push(chunk);
            }
        }
    }

    /// From now on records are dropped and counted as such; waiting callers go on.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.notify_all();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Bytes that queued records take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.paid.load(Ordering::Relaxed)
    }

    /// The account until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let slots = lock(&self.shared.slots);
        let mut sum = *lock(&self.shared.retired);
        for slot in slots.iter() {
            let counts = lock(&slot.inner).counts;
            sum.offered += counts.offered;
            sum.dropped_full += counts.dropped_full;
            sum.dropped_closed += counts.dropped_closed;
        }
        sum
    }
}
