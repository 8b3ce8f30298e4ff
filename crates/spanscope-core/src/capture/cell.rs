//! The ids of a span as a thread reads them that does not lock the span's record.
//!
//! Ids are fixed by their first use. Before that, a remote parent may still be set, and another
//! tracing system may still have to be asked. One atomic state decides which of them was first: a
//! use is one exchange and needs no lock, so an event in a span costs no look at the span.
//!
//! A cell outlives its span where a thread still has it at hand; it then gives no ids. It is used
//! again for another span when nothing else holds it: making one costs an allocation, and freeing
//! it on another thread costs more.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use spanscope_model::{SpanId, TraceId};

use super::record::SpanIds;

/// The ids are fixed.
const USED: u8 = 1;
/// Another tracing system has to be asked before the first use.
const SHARED: u8 = 1 << 1;
/// Head sampling keeps the span's trace.
const SAMPLED: u8 = 1 << 2;
/// The trace id is being replaced.
const CHANGING: u8 = 1 << 3;
/// The span is gone.
const CLOSED: u8 = 1 << 4;

/// How many cells a thread keeps for its next spans.
const MAX_SPARE: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Arc<IdCell>>> = const { RefCell::new(Vec::new()) };
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct IdCell {
    state: AtomicU8,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
}

/// What a use of a cell gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedIds {
    pub(super) ids: SpanIds,
    pub(super) is_sampled: bool,
}

impl IdCell {
    /// A cell with unused ids.
    pub(super) fn take(ids: SpanIds, is_sampled: bool) -> Arc<Self> {
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop());
        let cell = spare.ok().flatten().unwrap_or_default();
        let [high, low] = halves(ids.trace_id);
        let [trace_high, trace_low] = &cell.trace_id;
        trace_high.store(high, Ordering::Relaxed);
        trace_low.store(low, Ordering::Relaxed);
        let span_id = u64::from_ne_bytes(ids.span_id.to_bytes());
        cell.span_id.store(span_id, Ordering::Relaxed);
        // Other threads find the cell through the lock of the span's extensions, so they see all of
        // it.
        cell.state
            .store(if is_sampled { SAMPLED } else { 0 }, Ordering::Relaxed);
        cell
    }

    /// Lets go of a cell, for another span if nothing else holds it.
    pub(super) fn release(cell: Arc<Self>) {
        if Arc::strong_count(&cell) > 1 {
            return;
        }
        // The reads of a thread that has just let go of it come before the writes for the next
        // span.
        fence(Ordering::Acquire);
        let _ = SPARE.try_with(|spare| {
            if let Ok(mut spare) = spare.try_borrow_mut()
                && spare.len() < MAX_SPARE
            {
                spare.push(cell);
            }
        });
    }

    /// The ids, which from now on are fixed; `None` if that needs a look at the span: another
    /// system has to be asked, the trace id is being replaced right now, or the span is gone.
    pub(super) fn try_use(&self) -> Option<UsedIds> {
        let mut state = self.state.load(Ordering::Acquire);
        while state & USED == 0 {
            if state & (SHARED | CHANGING | CLOSED) != 0 {
                return None;
            }
            let used =
                self.state
                    .compare_exchange_weak(state, state | USED, Ordering::AcqRel, Ordering::Acquire);
            match used {
                Ok(_) => state |= USED,
                Err(now) => state = now,
            }
        }
        if state & CLOSED != 0 {
            return None;
        }
        let [high, low] = self.trace_id.each_ref().map(|half| half.load(Ordering::Relaxed));
        let span_id = self.span_id.load(Ordering::Relaxed);
        let ids = SpanIds {
            trace_id: TraceId::from_bytes(joined([high, low]))?,
            span_id: SpanId::from_bytes(span_id.to_ne_bytes())?,
        };
        Some(UsedIds {
            ids,
            is_sampled: state & SAMPLED != 0,
        })
    }

    /// Fixes the ids, whatever another system says.
    pub(super) fn set_used(&self) {
        if !self.is_used() {
            self.state.fetch_or(USED, Ordering::AcqRel);
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.state.load(Ordering::Acquire) & USED != 0
    }

    /// Replaces the trace id; `false` if it is fixed. To be called by one thread at a time.
    pub(super) fn replace_trace(&self, trace_id: TraceId) -> bool {
        let change = |state| (state & USED == 0).then_some(state | CHANGING);
        if self
            .state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, change)
            .is_err()
        {
            return false;
        }
        let [high, low] = halves(trace_id);
        let [trace_high, trace_low] = &self.trace_id;
        trace_high.store(high, Ordering::Relaxed);
        trace_low.store(low, Ordering::Relaxed);
        self.state.fetch_and(!CHANGING, Ordering::Release);
        true
    }

    /// Has another system asked before the first use; `false` if that is over.
    pub(super) fn share(&self) -> bool {
        let share = |state| (state & USED == 0).then_some(state | SHARED);
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, share)
            .is_ok()
    }

    pub(super) fn set_sampled(&self, is_sampled: bool) {
        if is_sampled {
            self.state.fetch_or(SAMPLED, Ordering::Relaxed);
        } else {
            self.state.fetch_and(!SAMPLED, Ordering::Relaxed);
        }
    }

    /// Whether the span is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// The span is gone. No other thread writes the state any more but by a use, which then finds
    /// no span either way.
    pub(super) fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
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
