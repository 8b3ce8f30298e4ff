//! What the guard of a sink and the sink's thread say to each other: flush, end, and the account.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use spanscope_model::DropCounts;

use super::fork;
use super::log_to_stderr::log_to_stderr;
use super::shared::Queue;
use crate::sync::{lock, wait_timeout_while};

/// What became of the records that a layer made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerStats {
    /// Records that were offered: an event when it happens, a span when it ends, and when it begins where the sink shows
    /// that.
    pub offered: u64,
    /// Of these: written. Lines that a limit held back, and said so, count as written. Records of traces that a tail rule has
    /// not decided yet count as soon as they are written; if it drops their trace, they are no longer stored but
    /// [`sampled`](DropCounts::sampled), from the same moment on.
    pub stored: u64,
    /// Of these: dropped, by cause. What is neither stored nor dropped still waits.
    pub dropped: DropCounts,
}

/// A flush did not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushTimeout {
    /// How many records still waited.
    pub waiting: u64,
}

impl fmt::Display for FlushTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records were not written in time; they stay queued",
            self.waiting
        )
    }
}

impl std::error::Error for FlushTimeout {}

/// A longer timeout is taken as this: so far off that nobody waits for it, and near enough to be added to a time.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How much longer than its deadline a shutdown waits: the thread gives up by itself, and then counts what it left.
pub const REPORT_TIME: Duration = Duration::from_millis(500);

/// Shared by a guard and its sink's thread.
#[derive(Debug, Default)]
pub struct WorkerHandle {
    state: Mutex<State>,
    changed: Condvar,
    /// Behind one lock, so that no reader finds a record that moves from one count to the other in both.
    counts: Mutex<Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    stored: u64,
    write_failed: u64,
    sampled: u64,
}

#[derive(Debug, Default)]
struct State {
    wanted: ControlRequest,
    flush_done: u64,
    ended: bool,
    finished_clean: bool,
}

/// What the guard wants of the thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControlRequest {
    /// The number of the last flush that was asked for.
    pub flush: u64,
    /// The thread is to end.
    pub stop: bool,
    /// When a stopping thread gives up.
    pub deadline: Option<Instant>,
}

/// The guard's side.
impl WorkerHandle {
    /// Has everything written that was pushed before the call.
    ///
    /// # Errors
    /// It took longer than the timeout; nothing is lost by that.
    pub fn flush(&self, queue: &Queue, timeout: Duration) -> Result<(), FlushTimeout> {
        if queue.is_inherited() {
            // Nothing of this process waits where it has recorded nothing.
            let heir = queue.started_heir();
            return heir.map_or(Ok(()), |(queue, control)| control.flush(queue, timeout));
        }
        let mut state = lock(&self.state);
        state.wanted.flush += 1;
        let wanted = state.wanted.flush;
        drop(state);
        queue.wake();
        if self.wait_until(timeout, |state| state.flush_done >= wanted || state.ended) {
            return Ok(());
        }
        let stats = self.stats(queue);
        Err(FlushTimeout {
            waiting: stats.offered.saturating_sub(stats.stored + stats.dropped.total()),
        })
    }

    /// Asks for the rest to be written and the thread to be ended until then, and returns at once. Asked for more than
    /// once, the earliest deadline counts.
    pub fn begin_shutdown(&self, queue: &Queue, deadline: Instant) {
        if queue.is_inherited() {
            let heir = queue.started_heir();
            return heir.map_or((), |(queue, control)| control.begin_shutdown(queue, deadline));
        }
        let mut state = lock(&self.state);
        state.wanted.stop = true;
        let earliest = state
            .wanted
            .deadline
            .map_or(deadline, |other| other.min(deadline));
        state.wanted.deadline = Some(earliest);
        drop(state);
        queue.wake();
    }

    /// Has the rest written and the thread ended, within the timeout, or until the deadline of
    /// [`begin_shutdown`](Self::begin_shutdown) if that comes first; a second time it does nothing. Answers whether
    /// everything was written.
    pub fn shutdown(&self, queue: &Queue, timeout: Duration) -> bool {
        if queue.is_inherited() {
            let heir = queue.started_heir();
            return heir.is_none_or(|(queue, control)| control.shutdown(queue, timeout));
        }
        let now = Instant::now();
        self.begin_shutdown(queue, now + timeout.min(MAX_TIMEOUT));
        let deadline = self.wanted().deadline.unwrap_or(now) + REPORT_TIME;
        self.wait_until(deadline.saturating_duration_since(now), |state| state.ended);
        queue.close();
        lock(&self.state).finished_clean
    }

    fn wait_until(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = lock(&self.state);
        let state = wait_timeout_while(&self.changed, state, timeout, |state| !done(state));
        done(&state)
    }

    /// The account until now.
    #[must_use]
    pub fn stats(&self, queue: &Queue) -> LayerStats {
        if queue.is_inherited() {
            let counts = queue.counts();
            let of_nobody = LayerStats {
                offered: counts.offered,
                stored: 0,
                dropped: DropCounts {
                    write_failed: counts.dropped_closed,
                    ..DropCounts::default()
                },
            };
            let heir = queue.started_heir();
            return heir.map_or(of_nobody, |(queue, control)| control.stats(queue));
        }
        // Read before the queue's own count, so that `stored` never seems to be ahead of `offered`.
        let Counts {
            stored,
            write_failed,
            sampled,
        } = *lock(&self.counts);
        let counts = queue.counts();
        LayerStats {
            offered: counts.offered,
            stored,
            dropped: DropCounts {
                queue_full: counts.dropped_full,
                write_failed,
                shutdown: counts.dropped_closed,
                sampled,
            },
        }
    }
}

/// The thread's side.
impl WorkerHandle {
    /// What is wanted now. To be read before the queue is drained.
    #[must_use]
    pub fn wanted(&self) -> ControlRequest {
        lock(&self.state).wanted
    }

    /// Whether this flush is done already.
    #[must_use]
    pub fn is_flushed(&self, flush: u64) -> bool {
        lock(&self.state).flush_done >= flush
    }

    /// Everything that was pushed before this flush was wanted is written.
    pub fn flushed(&self, flush: u64) {
        let mut state = lock(&self.state);
        state.flush_done = state.flush_done.max(flush);
        drop(state);
        self.changed.notify_all();
    }

    /// So many records more are written.
    pub fn add_stored(&self, records: u64) {
        lock(&self.counts).stored += records;
    }

    /// So many records more were left out by a tail rule before they were written.
    pub fn add_sampled(&self, records: u64) {
        lock(&self.counts).sampled += records;
    }

    /// So many of the records that were written are taken back, because a tail rule has dropped their traces.
    pub fn move_to_sampled(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.stored = counts.stored.saturating_sub(records);
        counts.sampled += records;
    }

    /// So many records more could not be written and are given up.
    pub fn add_write_failed(&self, records: u64) {
        lock(&self.counts).write_failed += records;
    }

    /// Runs the thread's loop. Should it panic, which would be a mistake of ours, that is said, whoever waits is let go,
    /// and records that come later are counted as dropped.
    pub fn run(&self, queue: &Queue, what: &str, work: impl FnOnce()) {
        let _working = fork::begin_work();
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            queue.close_after_fault();
            self.ended(false);
            log_to_stderr(format!(
                "spanscope: {what} has ended by a panic and takes nothing more; please report this"
            ));
        }
    }

    /// The thread ends; `clean` says whether the last write went well.
    pub fn ended(&self, clean: bool) {
        let mut state = lock(&self.state);
        state.flush_done = state.wanted.flush;
        state.finished_clean = clean && lock(&self.counts).write_failed == 0;
        state.ended = true;
        drop(state);
        self.changed.notify_all();
    }
}
