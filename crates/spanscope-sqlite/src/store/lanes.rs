//! Threads that run queries, in lanes, for any async runtime.
//!
//! A query takes milliseconds, which is too long for an executor's thread, and this crate must not
//! require a runtime for its blocking pool. So a store owns threads, started with the first query
//! of their lane and ended with the store, and futures that they complete.
//!
//! Every query starts in the interactive lane. A query that is not done within its
//! [limit](LaneTimes) is stopped and starts again in the scan lane. So no list or detail waits
//! behind a scan, and nothing has to guess beforehand which queries are scans. Each tenant has a
//! share of the scan lane: its scans wait for each other, not for those of other tenants. Changes
//! have their own lane, and are never stopped.
//!
//! A query whose future is dropped is not started, or is stopped. This module knows no SQL.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture, Tenant};

use super::turn::{IsAbandoned, Turn};
use crate::oneshot::{ResultSender, oneshot};

/// The time limits of queries, depending on how the store is shared.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneTimes {
    /// The limit in the interactive lane. A stopped query starts again, so this time is lost.
    pub(super) interactive: Duration,
    /// The limit of one read transaction of a scan; `None`: unlimited.
    pub(super) longest_read: Option<Duration>,
}

impl LaneTimes {
    /// For a store that accepts records and has many clients: a list takes 1 ms, a large trace a
    /// few. While a transaction is open the log can't be reused. The intake's 64 MiB last for two
    /// of the longest reads before it refuses records: at 30,000 spans a second the log grows by 10
    /// MB/s.
    pub(super) const SERVED: Self = Self {
        interactive: Duration::from_millis(25),
        longest_read: Some(Duration::from_secs(4)),
    };
    /// For a store that was opened for reading, with one query after the other: a page of 5,000
    /// spans takes some 60 ms.
    pub(super) const READ: Self = Self {
        interactive: Duration::from_millis(250),
        longest_read: None,
    };
}

/// Maximum number of concurrent queries in the interactive lane.
const INTERACTIVE_THREADS: usize = 2;
/// Maximum number of concurrent scans. A tenant has at most one, so that another tenant's scan
/// finds a thread.
const SCAN_THREADS: usize = 2;
/// Maximum number of waiting scans of one tenant; further ones are refused. A caller that sees all
/// tenants has no limit.
const MAX_WAITING_SCANS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Interactive,
    Scan,
    Change,
}

impl Lane {
    const fn threads(self) -> usize {
        match self {
            Self::Interactive => INTERACTIVE_THREADS,
            Self::Scan => SCAN_THREADS,
            Self::Change => 1,
        }
    }
}

/// How a query's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It exceeded the lane's limit.
    TooLong,
}

/// A query and the sender of its result.
trait Job: Send {
    /// Runs the job. A scan pauses while there are queries in the interactive lane, which
    /// `interactive_queries` counts.
    fn run(&self, lane: Lane, interactive_queries: &Arc<AtomicUsize>) -> Outcome;
    fn refuse(&self, error: StoreError);
    fn is_abandoned(&self) -> bool;
}

struct QueryJob<T, Q> {
    result_sender: Arc<ResultSender<T>>,
    query: Q,
    times: LaneTimes,
}

impl<T, Q> Job for QueryJob<T, Q>
where
    T: Send + 'static,
    Q: Fn(&Turn) -> Result<T, StoreError> + Send,
{
    fn run(&self, lane: Lane, interactive_queries: &Arc<AtomicUsize>) -> Outcome {
        if self.result_sender.is_abandoned() {
            return Outcome::Answered;
        }
        let result_sender = Arc::clone(&self.result_sender);
        let is_abandoned: IsAbandoned = Arc::new(move || result_sender.is_abandoned());
        let turn = match lane {
            Lane::Interactive => Turn::within(self.times.interactive, is_abandoned),
            Lane::Scan => {
                let turn = Turn::of_reads(self.times.longest_read, is_abandoned);
                match self.times.longest_read {
                    Some(_) => turn.pausing_for(Arc::clone(interactive_queries)),
                    None => turn,
                }
            }
            Lane::Change => Turn::endless(),
        };
        let answer = (self.query)(&turn);
        if lane == Lane::Interactive && turn.is_over() {
            return Outcome::TooLong;
        }
        self.result_sender.send(answer);
        Outcome::Answered
    }

    fn refuse(&self, error: StoreError) {
        self.result_sender.send(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.result_sender.is_abandoned()
    }
}

/// A job and its tenant.
struct QueuedJob {
    tenant: Option<Tenant>,
    job: Box<dyn Job>,
}

/// The threads of one store. Dropping it lets them finish their work and end.
#[derive(Debug)]
pub(super) struct Lanes {
    shared: Arc<Shared>,
    times: LaneTimes,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether scans yield to other queries.
    scans_yield: bool,
    /// The number of waiting or running queries in the interactive lane.
    interactive_queries: Arc<AtomicUsize>,
    /// Wakes the threads of each lane.
    wakeups: [Condvar; 3],
}

#[derive(Default)]
struct State {
    interactive: VecDeque<QueuedJob>,
    changes: VecDeque<QueuedJob>,
    scans: Scans,
    has_threads: [bool; 3],
    is_closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

/// Waiting scans, in a queue for each tenant.
#[derive(Default)]
struct Scans {
    waiting: HashMap<Option<Tenant>, VecDeque<QueuedJob>>,
    /// Tenants with a queue, in the order of their turns.
    turns: VecDeque<Option<Tenant>>,
    running: HashMap<Option<Tenant>, usize>,
}

impl Scans {
    /// Queues a scan; returns it if the tenant has too many.
    fn push(&mut self, queued: QueuedJob) -> Result<(), QueuedJob> {
        let tenant = queued.tenant.clone();
        let queue = self.waiting.entry(tenant.clone()).or_default();
        if tenant.is_some() && queue.len() >= MAX_WAITING_SCANS {
            queue.retain(|queued| !queued.job.is_abandoned());
            if queue.len() >= MAX_WAITING_SCANS {
                return Err(queued);
            }
        }
        queue.push_back(queued);
        if !self.turns.contains(&tenant) {
            self.turns.push_back(tenant);
        }
        Ok(())
    }

    /// Returns the next scan, of the tenant that has waited for its turn the longest and is within
    /// its share.
    fn pop(&mut self) -> Option<QueuedJob> {
        let at = self.turns.iter().position(|tenant| {
            let running = self.running.get(tenant).copied().unwrap_or(0);
            running < share_of(tenant.as_ref())
        })?;
        let tenant = self.turns.remove(at)?;
        let queue = self.waiting.get_mut(&tenant)?;
        let queued = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        *self.running.entry(tenant).or_default() += 1;
        Some(queued)
    }

    fn ended(&mut self, tenant: &Option<Tenant>) {
        if let Some(running) = self.running.get_mut(tenant) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(tenant);
            }
        }
    }
}

/// Returns the number of concurrent scans of one caller. A caller that sees all tenants runs the
/// server, and may use all of them.
fn share_of(tenant: Option<&Tenant>) -> usize {
    match tenant {
        Some(_) => SCAN_THREADS - 1,
        None => SCAN_THREADS,
    }
}

impl Lanes {
    pub(super) fn new(times: LaneTimes) -> Self {
        Self {
            shared: Arc::new(Shared {
                scans_yield: times.longest_read.is_some(),
                ..Shared::default()
            }),
            times,
        }
    }

    /// Runs the query on a thread once the future is polled, and again from its start in the scan
    /// lane if it takes too long.
    pub(super) fn ask<'a, T: Send + 'static>(
        &'a self,
        tenant: Option<&Tenant>,
        query: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Interactive, false, tenant, query)
    }

    /// Does the same as [`ask`](Self::ask), ahead of all waiting queries of the interactive lane.
    pub(super) fn ask_first<'a, T: Send + 'static>(
        &'a self,
        query: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Interactive, true, None, query)
    }

    /// Runs a change, which is never started twice.
    pub(super) fn change<'a, T: Send + 'static>(
        &'a self,
        change: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Change, false, None, change)
    }

    /// How many scans wait for a thread.
    #[cfg(test)]
    pub(super) fn waiting_scans(&self) -> usize {
        let state = lock(&self.shared.state);
        state.scans.waiting.values().map(VecDeque::len).sum()
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        lane: Lane,
        is_first: bool,
        tenant: Option<&Tenant>,
        query: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let tenant = tenant.cloned();
        let times = self.times;
        Box::pin(async move {
            let (result_sender, answer) = oneshot();
            let job = Box::new(QueryJob {
                result_sender: Arc::new(result_sender),
                query,
                times,
            });
            self.shared.submit(lane, is_first, QueuedJob { tenant, job });
            answer.await
        })
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closed = true;
        for wakeups in &self.shared.wakeups {
            wakeups.notify_all();
        }
    }
}

/// Lowers the calling thread's priority, to a third of a normal thread's time when both want a
/// core: a scan keeps a core busy for its whole duration, and the intake would wait for it. With
/// less time, scans on a busy machine would be refused for taking too long. Only Linux has
/// priorities of threads; elsewhere it would be the process's.
fn let_others_go_first() {
    #[cfg(target_os = "linux")]
    {
        const NICE: i32 = 5;
        use rustix::process::{getpriority_process, setpriority_process};
        // If that is not permitted, scans run with normal priority.
        let _ = getpriority_process(None).and_then(|nice| setpriority_process(None, (nice + NICE).min(19)));
    }
}

impl Shared {
    fn submit(self: &Arc<Self>, lane: Lane, is_first: bool, queued: QueuedJob) {
        let mut state = lock(&self.state);
        if lane == Lane::Interactive {
            self.interactive_queries.fetch_add(1, Ordering::Relaxed);
        }
        if !state.has_threads[lane as usize] {
            state.has_threads[lane as usize] = self.start(lane);
        }
        if !state.has_threads[lane as usize] {
            drop(state);
            // If no thread can be started, the job runs on the calling thread.
            self.take_turn(lane, queued);
            return;
        }
        match lane {
            Lane::Interactive if is_first => state.interactive.push_front(queued),
            Lane::Interactive => state.interactive.push_back(queued),
            Lane::Change => state.changes.push_back(queued),
            Lane::Scan => {
                if let Err(queued) = state.scans.push(queued) {
                    drop(state);
                    queued.job.refuse(StoreError::new(
                        StoreErrorKind::Overloaded,
                        format!("{MAX_WAITING_SCANS} of your long queries are already waiting"),
                    ));
                    return;
                }
            }
        }
        drop(state);
        self.wakeups[lane as usize].notify_one();
    }

    /// Starts the threads of a lane; `false` if none could be started.
    fn start(self: &Arc<Self>, lane: Lane) -> bool {
        let mut started = 0;
        for _ in 0..lane.threads() {
            let shared = Arc::clone(self);
            let thread = threads::spawn("spanscope-read", move || {
                if lane == Lane::Scan && shared.scans_yield {
                    let_others_go_first();
                }
                shared.work(lane);
            });
            started += usize::from(thread.is_ok());
        }
        started > 0
    }

    fn work(self: &Arc<Self>, lane: Lane) {
        while let Some(queued) = self.next(lane) {
            self.take_turn(lane, queued);
        }
    }

    /// Waits for a job; returns `None` when the store is gone.
    fn next(&self, lane: Lane) -> Option<QueuedJob> {
        let mut state = lock(&self.state);
        loop {
            let next = match lane {
                Lane::Interactive => state.interactive.pop_front(),
                Lane::Change => state.changes.pop_front(),
                Lane::Scan => state.scans.pop(),
            };
            if next.is_some() || state.is_closed {
                return next;
            }
            state = self.wakeups[lane as usize]
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_turn(self: &Arc<Self>, lane: Lane, queued: QueuedJob) {
        // A panic must not end the thread. Dropping the sender reports it to the future.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            queued.job.run(lane, &self.interactive_queries)
        }));
        if lane == Lane::Interactive {
            self.interactive_queries.fetch_sub(1, Ordering::Relaxed);
        }
        if lane == Lane::Scan {
            lock(&self.state).scans.ended(&queued.tenant);
            // The tenant's next scan may start.
            self.wakeups[lane as usize].notify_one();
        }
        if matches!(outcome, Ok(Outcome::TooLong)) {
            self.submit(Lane::Scan, false, queued);
        }
    }
}
