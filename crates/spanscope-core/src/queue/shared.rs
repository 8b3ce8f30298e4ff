//! The queue itself and the sink's end of it: the threads' slots, the full chunks, the budget, the
//! counts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use super::chunk::{CHUNK_BYTES, Chunk};
use super::control::WorkerHandle;
use super::counts::Counts;
use super::fork::{self, Restart, Successor};
use super::late::End;
use super::log_to_stderr::log_to_stderr;
use super::slot::Slot;
use crate::sync::{lock, wait_timeout_while};

/// After how many empty drains in a row spare chunks are freed, and how many are kept.
const IDLE_DRAINS: u32 = 5;
const KEPT_SPARE: usize = 4;

/// What happens to a record when the queue's bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// It is dropped and counted; the caller never waits. The default.
    #[default]
    Drop,
    /// The caller waits for room, as long as the sink runs.
    Block,
}

/// Both ends of one queue: for the calling threads and for the sink.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: u64,
    /// The generation of the process that created the queue.
    generation: u32,
    pub(super) successor: Successor,
    pub(super) max_bytes: usize,
    pub(super) on_overflow: OverflowPolicy,
    /// Bytes of the budget that existing chunks use.
    pub(super) paid: AtomicUsize,
    closed: AtomicBool,
    pub(super) end: End,
    pub(super) slots: Mutex<Vec<Arc<Slot>>>,
    /// For threads whose locals are destroyed: they share one slot.
    without_locals: OnceLock<Arc<Slot>>,
    pub(super) full: Mutex<Full>,
    pub(super) wake: Condvar,
    /// Whether the sink sleeps until a record is pushed, see [`Queue::sleep`].
    pub(super) asleep: AtomicBool,
    pub(super) room: Condvar,
    pub(super) room_lock: Mutex<()>,
    /// Counts of threads that ended, and of calls that found no slot.
    pub(super) retired: Mutex<Counts>,
    on_wake: WakeHook,
}

/// See [`Queue::on_wake`].
#[derive(Default)]
struct WakeHook(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl std::fmt::Debug for WakeHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WakeHook").field(&self.0.get().is_some()).finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Full {
    pub(super) chunks: VecDeque<Chunk>,
    /// Empty chunks for any thread. Together with the paid ones they stay within the budget, and
    /// those of a burst are freed once the queue is idle: a long burst that had to allocate its
    /// chunks again paid 45 ns per span for page faults.
    pub(super) spare: Vec<Chunk>,
    /// The number of empty drains in a row.
    idle_drains: u32,
    /// Whether the sink should drain now.
    urgent: bool,
}

impl Full {
    /// Removes half of the spare chunks, if nothing was queued for a while. Drop them after
    /// releasing the lock.
    fn spare_to_give_back(&mut self) -> Vec<Chunk> {
        let spare = self.spare.len();
        if self.idle_drains < IDLE_DRAINS || spare <= KEPT_SPARE {
            return Vec::new();
        }
        self.spare.split_off((spare / 2).max(KEPT_SPARE))
    }
}

impl Queue {
    /// Creates a queue of at most `max_bytes`, and of at least 256 KiB: four chunks.
    #[must_use]
    pub fn new(max_bytes: usize, on_overflow: OverflowPolicy) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            shared: Arc::new(Shared {
                id: IDS.fetch_add(1, Ordering::Relaxed),
                generation: spanscope_process::generation(),
                successor: Successor::default(),
                max_bytes: max_bytes.max(4 * CHUNK_BYTES),
                on_overflow,
                paid: AtomicUsize::new(0),
                closed: AtomicBool::new(false),
                end: End::default(),
                slots: Mutex::default(),
                without_locals: OnceLock::new(),
                full: Mutex::default(),
                wake: Condvar::new(),
                asleep: AtomicBool::new(false),
                room: Condvar::new(),
                room_lock: Mutex::default(),
                retired: Mutex::default(),
                on_wake: WakeHook::default(),
            }),
        }
    }

    /// Sets how the sink, which messages call `what`, continues in the child of a fork. Without it,
    /// the sink accepts nothing there.
    pub fn on_fork(&self, what: &'static str, restart: Restart) {
        self.shared.successor.set_restart(what, restart);
        if let Err(error) = fork::watch_forks() {
            log_to_stderr(format!(
                "spanscope: forked processes will have no {what}: {error}"
            ));
        }
    }

    /// Returns whether the queue belongs to a process that this one was forked from.
    #[inline]
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.shared.generation != spanscope_process::generation()
    }

    /// Returns this process's successor of an inherited queue. The first call creates it, with its
    /// thread.
    pub(super) fn successor(&self) -> Option<&Self> {
        let made = || Self::new(self.shared.max_bytes, self.shared.on_overflow);
        self.shared.successor.start(made).map(|(queue, _)| queue)
    }

    /// Returns the successor and its thread's handle, if it exists.
    pub(super) fn started_successor(&self) -> Option<(&Self, &Arc<WorkerHandle>)> {
        self.shared
            .successor
            .started()
            .map(|(queue, control)| (queue, control))
    }

    /// Waits, for sinks whose output people watch: until a record is pushed, the sink is woken, or
    /// `at_most` has passed. An idle program is not woken in between. Then waits for up to
    /// `gather`, so that the records of that time are drained together.
    pub fn sleep(&self, at_most: Duration, gather: Duration) {
        let resting = fork::rest();
        self.shared.asleep.store(true, Ordering::SeqCst);
        if self.is_empty() {
            let mut full = lock(&self.shared.full);
            full.spare.truncate(KEPT_SPARE);
            if !full.urgent {
                let _ = self.shared.wake.wait_timeout_while(full, at_most, |full| {
                    !full.urgent && self.shared.asleep.load(Ordering::SeqCst)
                });
            }
        }
        self.shared.asleep.store(false, Ordering::SeqCst);
        drop(resting);
        self.wait(gather);
    }

    fn is_empty(&self) -> bool {
        let slots = lock(&self.shared.slots);
        slots.iter().all(|slot| slot.is_empty()) && lock(&self.shared.full).chunks.is_empty()
    }

    /// Wakes the sink if it sleeps. The flag is reset first, so only one of many callers pays for
    /// the wake.
    pub(super) fn rouse(&self) {
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            drop(lock(&self.shared.full));
            self.shared.wake.notify_one();
        }
    }

    /// Makes the sink drain now.
    pub fn wake(&self) {
        if self.is_inherited() {
            return self
                .started_successor()
                .map_or((), |(successor, _)| successor.wake());
        }
        lock(&self.shared.full).urgent = true;
        self.notify();
    }

    /// Sets a hook that runs whenever the sink should drain now, for a thread that serves several
    /// queues and can't wait on each: it waits elsewhere and never calls [`wait`](Self::wait). A
    /// second call has no effect. `hook` runs on the calling threads and must not block.
    pub fn on_wake(&self, hook: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.on_wake.0.set(Box::new(hook));
    }

    pub(super) fn notify(&self) {
        self.shared.wake.notify_one();
        if let Some(hook) = self.shared.on_wake.0.get() {
            hook();
        }
    }

    /// Waits, on the sink's thread: until it is woken, a quarter of the budget is used, or the
    /// timeout has passed.
    pub fn wait(&self, timeout: Duration) {
        let _resting = fork::rest();
        let full = lock(&self.shared.full);
        let mut full = wait_timeout_while(&self.shared.wake, full, timeout, |full| {
            !full.urgent && self.shared.paid.load(Ordering::Relaxed) <= self.shared.max_bytes / 4
        });
        full.urgent = false;
    }

    /// Takes all records that were pushed before the call, and possibly later ones. Return each
    /// chunk with [`recycle`](Self::recycle).
    pub fn drain(&self, chunks: &mut Vec<Chunk>) {
        let found_before = chunks.len();
        let mut slots = lock(&self.shared.slots);
        let mut spare = Vec::new();
        slots.retain(|slot| {
            // Checked before the chunk is taken: a thread that ends afterwards may have pushed
            // afterwards.
            let alive = Arc::strong_count(slot) > 1;
            fence(Ordering::Acquire);
            let mut inner = lock(&slot.inner);
            let has_records = inner.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty());
            if has_records {
                // A thread's records stay in order: it passes no chunk on while its slot is locked,
                // so those that it passed on before are older than its open one, and complete.
                chunks.extend(lock(&self.shared.full).chunks.drain(..));
                chunks.extend(inner.chunk.take());
            } else if let Some(idle) = inner.chunk.take() {
                // An idle thread holds no part of the budget.
                self.shared.paid.fetch_sub(idle.paid, Ordering::Relaxed);
                spare.push(idle);
            }
            if let Some(newest) = slot.take_newest() {
                // Its parent is in the chunk already: outer spans come first.
                let with_it = chunks.last_mut().filter(|_| has_records);
                match with_it {
                    Some(chunk) => chunk.opened.push(newest),
                    None => chunks.push(Chunk {
                        opened: vec![newest],
                        ..Chunk::default()
                    }),
                }
            }
            if !alive {
                lock(&self.shared.retired).add(inner.counts);
            }
            alive
        });
        drop(slots);
        let mut full = lock(&self.shared.full);
        chunks.extend(full.chunks.drain(..));
        let is_idle = chunks.len() == found_before;
        full.idle_drains = if is_idle {
            full.idle_drains.saturating_add(1)
        } else {
            0
        };
        full.spare.append(&mut spare);
        let given_back = full.spare_to_give_back();
        drop(full);
        drop(given_back);
    }

    /// Returns an empty chunk for reuse, and its bytes to the budget.
    pub fn recycle(&self, mut chunk: Chunk) {
        let paid = self.shared.paid.fetch_sub(chunk.paid, Ordering::Relaxed) - chunk.paid;
        self.shared.room.notify_all();
        chunk.clear();
        if chunk.is_oversized() {
            return;
        }
        let mut full = lock(&self.shared.full);
        if paid + (full.spare.len() + 1) * CHUNK_BYTES <= self.shared.max_bytes {
            full.spare.push(chunk);
        }
    }

    /// Makes the queue drop and count records from now on; waiting callers continue. Call this when
    /// a guard ends the sink: later records are reported with that cause.
    pub fn close(&self) {
        if self.is_inherited() {
            return self
                .started_successor()
                .map_or((), |(successor, _)| successor.close());
        }
        if !self.is_closed() {
            self.shared.end.mark(self.counts().offered > 0);
        }
        self.close_after_fault();
    }

    /// Does the same as [`close`](Self::close) for a sink that ended by a fault, which the caller
    /// reports.
    pub fn close_after_fault(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.notify_all();
    }

    /// Returns the slot of threads whose locals are destroyed. They may make a program's last
    /// records.
    pub(super) fn slot_without_locals(&self) -> &Slot {
        self.shared.without_locals.get_or_init(|| {
            let slot = Arc::new(Slot::default());
            lock(&self.shared.slots).push(Arc::clone(&slot));
            slot
        })
    }

    /// Returns whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Returns the bytes that queued records take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.paid.load(Ordering::Relaxed)
    }

    /// Returns the bytes of empty chunks that are kept for reuse.
    #[must_use]
    pub fn spare_bytes(&self) -> usize {
        let full = lock(&self.shared.full);
        full.spare.iter().map(Chunk::capacity).sum()
    }

    /// Returns the current counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        if self.is_inherited() {
            return match self.started_successor() {
                Some((successor, _)) => successor.counts(),
                None => self.shared.successor.counts(),
            };
        }
        let slots = lock(&self.shared.slots);
        let mut sum = *lock(&self.shared.retired);
        for slot in slots.iter() {
            sum.add(lock(&slot.inner).counts);
        }
        sum
    }
}
