//! The ids of a span and the time of its last exit, readable without the lock of the span's record.
//!
//! The first use fixes the ids. Until then a remote parent may be set, and another tracing system
//! may have to be asked. One atomic state decides which came first. A use is one atomic exchange
//! without a lock, so an event in a span needs no access to the span.
//!
//! A thread may hold a cell for longer than its span lives, and cells are reused for other spans.
//! So a cell numbers its spans: a reader passes its span's number, and gets `None` once that span
//! is closed. Reference counting with an `Arc` would cost two more exchanges for each span, 12 ns
//! of 380. The price is that cells are never freed: as in the registry's slab, a program keeps 64
//! bytes for each span that was ever open at the same time.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use spanscope_model::{SpanId, TraceId};

use super::clock::{Clock, Ticks};
use super::ids::SpanIds;
use super::retired::is_retired;
use crate::sync::lock;

/// A number that no layer has; a process would have to create four billion layers to reach it.
pub(super) const NO_LAYER: u32 = u32::MAX;

/// The ids are fixed.
const USED: u64 = 1;
/// Another tracing system has to be asked before the first use.
const SHARED: u64 = 1 << 1;
/// Head sampling keeps the span's trace.
const SAMPLED: u64 = 1 << 2;
/// The trace id is being replaced.
const CHANGING: u64 = 1 << 3;
/// The span is closed.
const CLOSED: u64 = 1 << 4;
/// The bits from here on hold the number of the span that uses the cell.
const SPAN: u64 = 1 << 8;

/// The number of cells that are allocated at once.
const BLOCK: usize = 32;
/// The number of free cells that a thread keeps for itself.
const MAX_SPARE: usize = 4 * BLOCK;

/// Free cells that no thread keeps.
static FREE: Mutex<Vec<&'static IdCell>> = Mutex::new(Vec::new());

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare(Vec::new())) };
}

/// The storage of one span's ids. A cache line each, because threads write their own cells.
#[derive(Debug)]
#[repr(align(64))]
struct IdCell {
    state: AtomicU64,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
    /// When the span was last exited; zero before.
    left: AtomicU64,
    /// The layer that records exits: one clock reading per exit is enough.
    exits_noted_by: AtomicU32,
}

impl Default for IdCell {
    fn default() -> Self {
        Self {
            state: AtomicU64::new(0),
            trace_id: Default::default(),
            span_id: AtomicU64::new(0),
            left: AtomicU64::new(0),
            exits_noted_by: AtomicU32::new(NO_LAYER),
        }
    }
}

/// A reference to one span's use of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanCell {
    cell: &'static IdCell,
    span: u64,
}

/// The fixed ids of a span, and the sampling decision of its trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedIds {
    pub(super) ids: SpanIds,
    pub(super) is_sampled: bool,
}

/// The free cells of a thread.
struct Spare(Vec<&'static IdCell>);

impl Drop for Spare {
    fn drop(&mut self) {
        lock(&FREE).append(&mut self.0);
    }
}

impl SpanCell {
    /// Returns a cell that holds these ids, not used yet.
    pub(super) fn take(ids: SpanIds, is_sampled: bool) -> Self {
        let spare = SPARE.try_with(|spare| {
            let spare = &mut spare.try_borrow_mut().ok()?.0;
            if spare.is_empty() {
                refill(spare);
            }
            spare.pop()
        });
        let cell = spare.ok().flatten().unwrap_or_else(|| {
            let free = lock(&FREE).pop();
            free.unwrap_or_else(|| Box::leak(Box::default())) // the thread is ending
        });
        let span = (cell.state.load(Ordering::Relaxed) & !(SPAN - 1)).wrapping_add(SPAN);
        // A reader that finds one of these ids then also finds that the previous span is closed.
        fence(Ordering::Release);
        let [high, low] = halves(ids.trace_id);
        let [trace_high, trace_low] = &cell.trace_id;
        trace_high.store(high, Ordering::Relaxed);
        trace_low.store(low, Ordering::Relaxed);
        let span_id = u64::from_ne_bytes(ids.span_id.to_bytes());
        cell.span_id.store(span_id, Ordering::Relaxed);
        cell.left.store(0, Ordering::Relaxed);
        cell.exits_noted_by.store(NO_LAYER, Ordering::Relaxed);
        let sampled = if is_sampled { SAMPLED } else { 0 };
        cell.state.store(span | sampled, Ordering::Release);
        Self { cell, span }
    }

    /// Returns whether both belong to the same span.
    pub(super) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.cell, other.cell) && self.span == other.span
    }

    /// Returns the ids, which are fixed from now on. Returns `None` if the span has to be accessed:
    /// another system has to be asked, the trace id is being replaced at this moment, or the span
    /// is closed.
    pub(super) fn try_use(self) -> Option<UsedIds> {
        let mut state = self.cell.state.load(Ordering::Acquire);
        loop {
            if state & !(SPAN - 1) != self.span || state & CLOSED != 0 {
                return None;
            }
            if state & USED != 0 {
                break;
            }
            if state & (SHARED | CHANGING) != 0 {
                return None;
            }
            let used = self.cell.state.compare_exchange_weak(
                state,
                state | USED,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match used {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        let [high, low] = self
            .cell
            .trace_id
            .each_ref()
            .map(|half| half.load(Ordering::Relaxed));
        let span_id = self.cell.span_id.load(Ordering::Relaxed);
        // The span may have closed, and the cell may hold the ids of another one.
        fence(Ordering::Acquire);
        let after = self.cell.state.load(Ordering::Relaxed);
        if after & !(SPAN - 1) != self.span || after & CLOSED != 0 {
            return None;
        }
        let ids = SpanIds {
            trace_id: TraceId::from_bytes(joined([high, low]))?,
            span_id: SpanId::from_bytes(span_id.to_ne_bytes())?,
        };
        Some(UsedIds {
            ids,
            is_sampled: after & SAMPLED != 0,
        })
    }

    /// Records that the span is exited now. If several layers are called for an exit, the layer
    /// that was called for the span's first exit records all of them.
    ///
    /// A reading costs 10 ns, and the close then needs none for the span's end. No exchange: if two
    /// threads exit the span at the same moment, either time is right.
    pub(super) fn leave(self, layer: u32, clock: &Clock) {
        if self.is_closed() {
            return;
        }
        let noted_by = &self.cell.exits_noted_by;
        let is_mine = match noted_by.load(Ordering::Relaxed) {
            NO_LAYER => noted_by
                .compare_exchange(NO_LAYER, layer, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok(),
            noted_by if noted_by == layer => true,
            noted_by if is_retired(noted_by) => self
                .cell
                .exits_noted_by
                .compare_exchange(noted_by, layer, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok(),
            _ => false,
        };
        if is_mine {
            let now = clock.now().raw();
            if self.cell.left.load(Ordering::Relaxed) < now {
                self.cell.left.store(now, Ordering::Relaxed);
            }
        }
    }

    /// Returns whether the span is closed.
    pub(super) fn is_closed(self) -> bool {
        let state = self.cell.state.load(Ordering::Acquire);
        state & !(SPAN - 1) != self.span || state & CLOSED != 0
    }
}

/// For the record, which lives as long as its span.
impl SpanCell {
    /// Returns when the span was last exited; `None` if it never was.
    pub(super) fn left(self) -> Option<Ticks> {
        let left = self.cell.left.load(Ordering::Relaxed);
        (left != 0).then(|| Ticks::from_raw(left))
    }

    /// Fixes the ids, even if another system would have to be asked.
    pub(super) fn set_used(self) {
        if !self.is_used() {
            self.cell.state.fetch_or(USED, Ordering::AcqRel);
        }
    }

    pub(super) fn is_used(self) -> bool {
        self.cell.state.load(Ordering::Acquire) & USED != 0
    }

    /// Replaces the trace id; returns `false` if it is fixed. Only one thread may call it at a
    /// time.
    pub(super) fn replace_trace(self, trace_id: TraceId) -> bool {
        let change = |state| (state & USED == 0).then_some(state | CHANGING);
        let state = &self.cell.state;
        if state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, change)
            .is_err()
        {
            return false;
        }
        let [high, low] = halves(trace_id);
        let [trace_high, trace_low] = &self.cell.trace_id;
        trace_high.store(high, Ordering::Relaxed);
        trace_low.store(low, Ordering::Relaxed);
        state.fetch_and(!CHANGING, Ordering::Release);
        true
    }

    /// Requires that another system is asked before the first use; returns `false` if the ids were
    /// used already.
    pub(super) fn share(self) -> bool {
        let share = |state| (state & USED == 0).then_some(state | SHARED);
        self.cell
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, share)
            .is_ok()
    }

    pub(super) fn set_sampled(self, is_sampled: bool) {
        if is_sampled {
            self.cell.state.fetch_or(SAMPLED, Ordering::Relaxed);
        } else {
            self.cell.state.fetch_and(!SAMPLED, Ordering::Relaxed);
        }
    }

    /// Closes the span and frees the cell. A thread that uses the ids at this moment gets them or
    /// finds the span closed.
    pub(super) fn close(self) {
        self.cell.state.store(self.span | CLOSED, Ordering::Release);
        let kept = SPARE.try_with(|spare| {
            let spare = &mut spare.try_borrow_mut().ok()?.0;
            spare.push(self.cell);
            if spare.len() > MAX_SPARE {
                // This thread closes the spans that others create.
                let more = spare.split_off(MAX_SPARE / 2);
                lock(&FREE).extend(more);
            }
            Some(())
        });
        if !matches!(kept, Ok(Some(()))) {
            lock(&FREE).push(self.cell);
        }
    }
}

fn refill(spare: &mut Vec<&'static IdCell>) {
    let mut free = lock(&FREE);
    let from = free.len().saturating_sub(BLOCK);
    spare.extend(free.drain(from..));
    drop(free);
    if spare.is_empty() {
        let block: [IdCell; BLOCK] = std::array::from_fn(|_| IdCell::default());
        let block: &'static [IdCell; BLOCK] = Box::leak(Box::new(block));
        spare.extend(block);
    }
}

fn halves(trace_id: TraceId) -> [u64; 2] {
    let bytes = trace_id.to_bytes();
    let mut halves = [[0; 8]; 2];
    for (half, bytes) in halves.iter_mut().zip(bytes.chunks_exact(8)) {
        half.copy_from_slice(bytes);
    }
    halves.map(u64::from_ne_bytes)
}

fn joined(halves: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (bytes, half) in bytes.chunks_exact_mut(8).zip(halves) {
        bytes.copy_from_slice(&half.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::ids::new_ids;
    use super::*;

    #[test]
    fn a_reused_cell_returns_no_ids_for_its_previous_span() {
        let (first, second) = (new_ids(), new_ids());
        let before = SpanCell::take(first, true);
        assert_eq!(before.try_use().map(|used| used.ids), Some(first));
        before.close();
        assert!(before.try_use().is_none());
        let now = SpanCell::take(second, false);
        assert!(
            std::ptr::eq(before.cell, now.cell),
            "the test needs a reused cell"
        );
        assert!(before.try_use().is_none() && !before.is(now));
        assert_eq!(
            now.try_use().map(|used| (used.ids, used.is_sampled)),
            Some((second, false))
        );
    }

    #[test]
    fn a_remote_parent_is_refused_after_the_first_use() {
        let trace = new_ids().trace_id;
        let cell = SpanCell::take(new_ids(), true);
        assert!(cell.replace_trace(trace));
        assert_eq!(cell.try_use().map(|used| used.ids.trace_id), Some(trace));
        assert!(!cell.replace_trace(new_ids().trace_id) && !cell.share());
        let shared = SpanCell::take(new_ids(), true);
        assert!(shared.share() && shared.try_use().is_none() && !shared.is_used());
        shared.set_used();
        assert!(shared.try_use().is_some());
    }

    /// Threads use the ids of a span that another thread keeps closing and replacing: what they
    /// read is always consistent.
    #[test]
    fn ids_read_while_the_cell_is_reused_belong_to_one_span() {
        use std::sync::atomic::AtomicBool;

        let is_done = AtomicBool::new(false);
        let current = Mutex::new(None::<(SpanCell, SpanIds)>);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        let Some((cell, ids)) = *lock(&current) else {
                            continue;
                        };
                        for _ in 0..50 {
                            if let Some(used) = cell.try_use() {
                                assert_eq!(used.ids, ids);
                            }
                        }
                    }
                });
            }
            for _ in 0..20_000 {
                let ids = new_ids();
                let cell = SpanCell::take(ids, true);
                *lock(&current) = Some((cell, ids));
                cell.close();
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }
}
