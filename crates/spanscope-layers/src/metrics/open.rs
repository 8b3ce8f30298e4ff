//! Which open spans can carry usage, without a lookup in the registry.
//!
//! Most spans carry none, and looking one up at its end costs more than everything else about it
//! (30 ns of 40). So spans that may carry usage are counted by a hash of their number; if a count
//! is zero, an ending span is none of them. A count above zero is inconclusive.

use std::sync::atomic::{AtomicU32, Ordering};

use tracing_core::span::Id;

/// With a hundred such spans open, one in forty of the others is looked up in vain.
const SLOTS: usize = 4096;

pub(super) struct OpenSpans {
    slots: Box<[AtomicU32]>,
}

impl std::fmt::Debug for OpenSpans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSpans").finish_non_exhaustive()
    }
}

impl OpenSpans {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn slot(&self, id: &Id) -> Option<&AtomicU32> {
        // Fibonacci hashing: the top bits of the product depend on every bit below.
        let place = (id.into_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        self.slots.get(place)
    }

    pub(super) fn add(&self, id: &Id) {
        if let Some(slot) = self.slot(id) {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, id: &Id) {
        if let Some(slot) = self.slot(id) {
            // Never below zero, however a subscriber assigns its numbers.
            let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        }
    }

    /// Returns whether the span may be one of them. The thread that ends a span has synchronized
    /// with its creator through the span's reference count.
    pub(super) fn may_hold(&self, id: &Id) -> bool {
        self.slot(id).is_some_and(|slot| slot.load(Ordering::Relaxed) > 0)
    }
}
