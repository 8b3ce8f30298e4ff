//! Communication between the guard of a sink and the sink's thread: flush, shutdown and statistics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use spanscope_model::DropCounts;

use super::fork;
use super::log_to_stderr::log_to_stderr;
use super::shared::Queue;
use crate::sync::{lock, wait_timeout_while};

/// Statistics of the records that a layer made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LayerStats {
    /// Records that were offered: an event when it occurs, a span when it ends, and when it starts
    /// if the sink shows that.
    pub offered: u64,
    /// Of these: written. Lines that a rate limit suppressed and reported count as written. Records
    /// of traces that a tail rule has not decided yet count as soon as they are written; if it
    /// drops their trace, they move from stored to [`sampled`](DropCounts::sampled) at the same
    /// moment.
    pub stored: u64,
    /// Of these: dropped, by cause. The rest is still queued.
    pub dropped: DropCounts,
}

/// The error of a flush that did not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushTimeout {
    /// The number of records that were still queued.
    pub waiting: u64,
}

impl FlushTimeout {
    /// The error of a flush that left this number of records waiting.
    #[must_use]
    pub fn new(waiting: u64) -> Self {
        Self { waiting }
    }
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

/// A sink has ended without writing everything that was recorded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// How many records were not written: those that waited when the time was over, and those that
    /// the sink had given up before.
    pub unwritten: u64,
}

impl ShutdownError {
    /// The error of a sink that left this number of records.
    #[must_use]
    pub fn new(unwritten: u64) -> Self {
        Self { unwritten }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records were not written before the sink ended",
            self.unwritten
        )
    }
}

impl std::error::Error for ShutdownError {}

/// Maximum timeout; a longer one is reduced to this, so that it can be added to a time.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How much longer than its deadline a shutdown waits: the thread gives up by itself, and then
/// counts what it left.
pub const SHUTDOWN_REPORT_TIME: Duration = Duration::from_millis(500);

/// Shared by a guard and its sink's thread.
#[derive(Debug, Default)]
pub struct WorkerHandle {
    state: Mutex<State>,
    changed: Condvar,
    /// Under one lock, so that no reader sees a record in both counts while it moves.
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

/// A request of the guard to the thread.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ControlRequest {
    /// The number of the last requested flush.
    pub flush: u64,
    /// Whether the thread should end.
    pub stop: bool,
    /// When a stopping thread gives up.
    pub deadline: Option<Instant>,
}

/// The guard's side.
impl WorkerHandle {
    /// Waits until everything is written that was pushed before the call.
    ///
    /// # Errors
    /// Fails if it took longer than the timeout; no record is lost by that.
    pub fn flush(&self, queue: &Queue, timeout: Duration) -> Result<(), FlushTimeout> {
        if queue.is_inherited() {
            // Nothing of this process is queued if it has recorded nothing.
            let successor = queue.started_successor();
            return successor.map_or(Ok(()), |(queue, control)| control.flush(queue, timeout));
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

    /// Requests that the rest is written and the thread ends before the deadline, and returns at
    /// once. Of several requests the earliest deadline counts.
    pub fn begin_shutdown(&self, queue: &Queue, deadline: Instant) {
        if queue.is_inherited() {
            let successor = queue.started_successor();
            return successor.map_or((), |(queue, control)| control.begin_shutdown(queue, deadline));
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

    /// Requests a shutdown and waits until the rest is written and the thread has ended: for
    /// `timeout`, or until the deadline of [`begin_shutdown`](Self::begin_shutdown) if that comes
    /// first. A second call returns the same result without waiting.
    ///
    /// # Errors
    /// Some records were not written.
    pub fn shutdown(&self, queue: &Queue, timeout: Duration) -> Result<(), ShutdownError> {
        if queue.is_inherited() {
            let successor = queue.started_successor();
            return successor.map_or(Ok(()), |(queue, control)| control.shutdown(queue, timeout));
        }
        let now = Instant::now();
        self.begin_shutdown(queue, now + timeout.min(MAX_TIMEOUT));
        let deadline = self.request().deadline.unwrap_or(now) + SHUTDOWN_REPORT_TIME;
        self.wait_until(deadline.saturating_duration_since(now), |state| state.ended);
        queue.close();
        if lock(&self.state).finished_clean {
            return Ok(());
        }
        let stats = self.stats(queue);
        let waiting = stats.offered.saturating_sub(stats.stored + stats.dropped.total());
        Err(ShutdownError::new(waiting + stats.dropped.write_failed))
    }

    fn wait_until(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = lock(&self.state);
        let state = wait_timeout_while(&self.changed, state, timeout, |state| !done(state));
        done(&state)
    }

    /// Returns the current statistics.
    #[must_use]
    pub fn stats(&self, queue: &Queue) -> LayerStats {
        if queue.is_inherited() {
            let counts = queue.counts();
            let without_successor = LayerStats {
                offered: counts.offered,
                stored: 0,
                dropped: DropCounts::default().write_failed(counts.dropped_closed),
            };
            let successor = queue.started_successor();
            return successor.map_or(without_successor, |(queue, control)| control.stats(queue));
        }
        // Read before the queue's own count, so that `stored` is never ahead of `offered`.
        let Counts {
            stored,
            write_failed,
            sampled,
        } = *lock(&self.counts);
        let counts = queue.counts();
        LayerStats {
            offered: counts.offered,
            stored,
            dropped: DropCounts::default()
                .queue_full(counts.dropped_full)
                .write_failed(write_failed)
                .shutdown(counts.dropped_closed)
                .sampled(sampled),
        }
    }
}

/// The thread's side.
impl WorkerHandle {
    /// Returns the current request. Read it before draining the queue.
    #[must_use]
    pub fn request(&self) -> ControlRequest {
        lock(&self.state).wanted
    }

    /// Returns whether this flush is done.
    #[must_use]
    pub fn is_flushed(&self, flush: u64) -> bool {
        lock(&self.state).flush_done >= flush
    }

    /// Reports that everything pushed before this flush was requested is written.
    pub fn flushed(&self, flush: u64) {
        let mut state = lock(&self.state);
        state.flush_done = state.flush_done.max(flush);
        drop(state);
        self.changed.notify_all();
    }

    /// Counts written records.
    pub fn add_stored(&self, records: u64) {
        lock(&self.counts).stored += records;
    }

    /// Counts records that a tail rule dropped before they were written.
    pub fn add_sampled(&self, records: u64) {
        lock(&self.counts).sampled += records;
    }

    /// Counts written records that are removed again, because a tail rule has dropped their traces.
    pub fn move_to_sampled(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.stored = counts.stored.saturating_sub(records);
        counts.sampled += records;
    }

    /// Counts records that could not be written and are given up.
    pub fn add_write_failed(&self, records: u64) {
        lock(&self.counts).write_failed += records;
    }

    /// Runs the thread's loop. A panic in it would be a bug in Spanscope: it is reported, waiting
    /// callers are released, and later records are counted as dropped.
    pub fn run(&self, queue: &Queue, what: &str, work: impl FnOnce()) {
        let _working = fork::begin_work();
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            queue.close_after_fault();
            self.ended(false);
            log_to_stderr(format!(
                "spanscope: {what} has ended by a panic and accepts nothing more; please report this"
            ));
        }
    }

    /// Reports the end of the thread; `clean` is whether the last write succeeded.
    pub fn ended(&self, clean: bool) {
        let mut state = lock(&self.state);
        state.flush_done = state.wanted.flush;
        state.finished_clean = clean && lock(&self.counts).write_failed == 0;
        state.ended = true;
        drop(state);
        self.changed.notify_all();
    }
}
