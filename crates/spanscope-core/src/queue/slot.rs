//! A slot: one thread's part of one queue.
//!
//! Only that thread and, a few times a second, the sink take its lock.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing_core::span::Id;

use super::chunk::Chunk;
use super::counts::Counts;
use crate::sync::lock;

thread_local! {
    /// This thread's slots, by queue. A process has one queue per sink, so a search usually ends at
    /// the first entry.
    static SLOTS: RefCell<Vec<(u64, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) inner: Mutex<SlotInner>,
    /// The span that the thread opened last, if it is in no chunk yet; zero for none. Most spans
    /// are leaves: they close as the newest one and never need the lock for having been open, which
    /// saves 13 ns of 380. The thread writes it without the lock, the sink with it, and only zero.
    newest: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct SlotInner {
    pub(super) chunk: Option<Chunk>,
    pub(super) counts: Counts,
}

impl Slot {
    /// Calls `work` with this thread's slot in the queue; returns `None` if the thread is ending
    /// and its locals are destroyed. A missing slot is created, and passed to `made`.
    pub(super) fn with(queue: u64, made: impl FnOnce(&Arc<Self>), work: impl FnOnce(Option<&Self>)) {
        let mut work = Some(work);
        let _ = SLOTS.try_with(|slots| {
            if let Ok(slots) = slots.try_borrow()
                && let Some((_, slot)) = slots.iter().find(|(id, _)| *id == queue)
            {
                return work.take().map(|work| work(Some(slot)));
            }
            let slot = Arc::new(Self::default());
            made(&slot);
            if let Ok(mut slots) = slots.try_borrow_mut() {
                // Slots of dropped queues stay until the thread uses a new one.
                slots.retain(|(_, slot)| Arc::strong_count(slot) > 1);
                slots.push((queue, Arc::clone(&slot)));
            }
            work.take().map(|work| work(Some(&slot)))
        });
        if let Some(work) = work {
            work(None);
        }
    }

    /// Notes the newest open span; returns `false` if there is one before it, which must be added
    /// to a chunk first.
    pub(super) fn try_open(&self, id: &Id) -> bool {
        let is_free = self.newest.load(Ordering::Relaxed) == 0;
        if is_free {
            self.newest.store(id.into_u64(), Ordering::Release);
        }
        is_free
    }

    /// Returns whether this was the newest open span, and removes it. Call this with the lock held.
    pub(super) fn try_close(&self, id: &Id) -> bool {
        let is_newest = self.newest.load(Ordering::Relaxed) == id.into_u64();
        if is_newest {
            self.newest.store(0, Ordering::Relaxed);
        }
        is_newest
    }

    /// Removes and returns the newest open span. Call this with the lock held.
    pub(super) fn take_newest(&self) -> Option<Id> {
        let newest = self.newest.swap(0, Ordering::Acquire);
        (newest != 0).then(|| Id::from_u64(newest))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Relaxed) == 0
            && lock(&self.inner).chunk.as_ref().is_none_or(Chunk::is_empty)
    }
}
