//! Threads that run queries, in lanes, for any async runtime.
//!
//! A query takes milliseconds, which is too long for an executor's thread, and this crate must not
//! require a runtime for its blocking pool. So a store owns threads, started with the first query
//! of their lane and ended with the store, and futures that they complete.
//!
//! Every query starts in the interactive lane. One that is not done within some [time](LaneTimes)
//! is stopped and starts again in the scan lane, so that no list or detail ever waits behind a
//! scan, without having to guess beforehand which queries are scans. Each tenant has a share of the
//! scan lane: its scans wait for each other, not for those of others. Changes have their own lane,
//! and are never stopped.
//!
//! A query whose future was dropped is not started, or is stopped. SQL does not belong here.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture, Tenant};

use super::turn::{IsAbandoned, Turn};
use crate::promise::{Promise, promised};

/// The time limits of queries, depending on how the store is shared.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneTimes {
    /// The limit in the interactive lane. A stopped query starts again, so this time is lost.
    pub(super) interactive: Duration,
    /// The limit of one read transaction of a scan; `None`: unlimited.
    pub(super) longest_read: Option<Duration>,
}

impl LaneTimes {
    /// For a store that accepts records and has many clients: a list takes 1 ms and a large trace
    /// some. While a transaction is open the log can't be reused, and the intake waits for two of
    /// the longest before it refuses: at 30,000 spans a second the log grows by 10 MB/s, and the
    /// intake has room for 64 MiB.
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
/// Concurrent scans. One tenant has one at most, so that another one's finds a thread.
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

/// The outcome of a query's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It exceeded the lane's limit.
    TooLong,
}

/// A query and the sender of its result.
trait Job: Send {
    /// Runs the job; `questions` is the number of queries in the interactive lane, for which a scan
    /// pauses.
    fn run(&self, lane: Lane, questions: &Arc<AtomicUsize>) -> Outcome;
    fn refuse(&self, error: StoreError);
    fn is_abandoned(&self) -> bool;
}

struct Question<T, Q> {
    promise: Arc<Promise<T>>,
    question: Q,
    times: LaneTimes,
}

impl<T, Q> Job for Question<T, Q>
where
    T: Send + 'static,
    Q: Fn(&Turn) -> Result<T, StoreError> + Send,
{
    fn run(&self, lane: Lane, questions: &Arc<AtomicUsize>) -> Outcome {
        if self.promise.is_abandoned() {
            return Outcome::Answered;
        }
        let promise = Arc::clone(&self.promise);
        let is_abandoned: IsAbandoned = Arc::new(move || promise.is_abandoned());
        let turn = match lane {
            Lane::Interactive => Turn::within(self.times.interactive, is_abandoned),
            Lane::Scan => {
                let turn = Turn::of_reads(self.times.longest_read, is_abandoned);
                match self.times.longest_read {
                    Some(_) => turn.pausing_for(Arc::clone(questions)),
                    None => turn,
                }
            }
            Lane::Change => Turn::endless(),
        };
        let answer = (self.question)(&turn);
        if lane == Lane::Interactive && turn.is_over() {
            return Outcome::TooLong;
        }
        self.promise.keep(answer);
        Outcome::Answered
    }

    fn refuse(&self, error: StoreError) {
        self.promise.keep(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.promise.is_abandoned()
    }
}

/// A job and its tenant.
struct Asked {
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
    questions: Arc<AtomicUsize>,
    /// One for each lane.
    news: [Condvar; 3],
}

#[derive(Default)]
struct State {
    interactive: VecDeque<Asked>,
    changes: VecDeque<Asked>,
    scans: Scans,
    has_threads: [bool; 3],
    is_closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

/// Scans that wait, in a queue for each tenant.
#[derive(Default)]
struct Scans {
    waiting: HashMap<Option<Tenant>, VecDeque<Asked>>,
    /// Tenants with a queue, in the order of their turns.
    turns: VecDeque<Option<Tenant>>,
    running: HashMap<Option<Tenant>, usize>,
}

impl Scans {
    /// Queues a scan; returns it where the tenant has too many.
    fn push(&mut self, asked: Asked) -> Result<(), Asked> {
        let tenant = asked.tenant.clone();
        let queue = self.waiting.entry(tenant.clone()).or_default();
        if tenant.is_some() && queue.len() >= MAX_WAITING_SCANS {
            queue.retain(|asked| !asked.job.is_abandoned());
            if queue.len() >= MAX_WAITING_SCANS {
                return Err(asked);
            }
        }
        queue.push_back(asked);
        if !self.turns.contains(&tenant) {
            self.turns.push_back(tenant);
        }
        Ok(())
    }

    /// Returns the next scan, of the tenant that has waited for its turn the longest and is within
    /// its share.
    fn pop(&mut self) -> Option<Asked> {
        let at = self.turns.iter().position(|tenant| {
            let running = self.running.get(tenant).copied().unwrap_or(0);
            running < share_of(tenant.as_ref())
        })?;
        let tenant = self.turns.remove(at)?;
        let queue = self.waiting.get_mut(&tenant)?;
        let asked = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        *self.running.entry(tenant).or_default() += 1;
        Some(asked)
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

    /// Runs the query on one of the threads once the future is polled. It may be started twice.
    pub(super) fn ask<'a, T: Send + 'static>(
        &'a self,
        tenant: Option<&Tenant>,
        question: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Interactive, false, tenant, question)
    }

    /// Does the same as [`ask`](Self::ask), ahead of all waiting queries of the interactive lane.
    pub(super) fn ask_first<'a, T: Send + 'static>(
        &'a self,
        question: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Interactive, true, None, question)
    }

    /// Makes a change, once.
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
        question: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let tenant = tenant.cloned();
        let times = self.times;
        Box::pin(async move {
            let (promise, answer) = promised();
            let job = Box::new(Question {
                promise: Arc::new(promise),
                question,
                times,
            });
            self.shared.submit(lane, is_first, Asked { tenant, job });
            answer.await
        })
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closed = true;
        for news in &self.shared.news {
            news.notify_all();
        }
    }
}

/// Gives the calling thread a third of a usual one's time when both want a core: a scan keeps one
/// busy for its whole duration, and the intake would wait for it. Not less, because a scan without
/// a core on a busy machine is refused for taking too long. Only Linux has a priority for each
/// thread; elsewhere it would be the process's.
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
    fn submit(self: &Arc<Self>, lane: Lane, is_first: bool, asked: Asked) {
        let mut state = lock(&self.state);
        if lane == Lane::Interactive {
            self.questions.fetch_add(1, Ordering::Relaxed);
        }
        if !state.has_threads[lane as usize] {
            state.has_threads[lane as usize] = self.start(lane);
        }
        if !state.has_threads[lane as usize] {
            drop(state);
            // If no thread can be created, it runs on this one.
            self.take_turn(lane, asked);
            return;
        }
        match lane {
            Lane::Interactive if is_first => state.interactive.push_front(asked),
            Lane::Interactive => state.interactive.push_back(asked),
            Lane::Change => state.changes.push_back(asked),
            Lane::Scan => {
                if let Err(asked) = state.scans.push(asked) {
                    drop(state);
                    asked.job.refuse(StoreError::new(
                        StoreErrorKind::Overloaded,
                        format!("{MAX_WAITING_SCANS} long questions of yours are waiting already"),
                    ));
                    return;
                }
            }
        }
        drop(state);
        self.news[lane as usize].notify_one();
    }

    /// Starts the threads of a lane; `false` where there is not one.
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
        while let Some(asked) = self.next(lane) {
            self.take_turn(lane, asked);
        }
    }

    /// Waits for a job; returns `None` when the store is gone.
    fn next(&self, lane: Lane) -> Option<Asked> {
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
            state = self.news[lane as usize]
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_turn(self: &Arc<Self>, lane: Lane, asked: Asked) {
        // A panic completes its own future through the promise's drop, and must not end the thread.
        let outcome = catch_unwind(AssertUnwindSafe(|| asked.job.run(lane, &self.questions)));
        if lane == Lane::Interactive {
            self.questions.fetch_sub(1, Ordering::Relaxed);
        }
        if lane == Lane::Scan {
            lock(&self.state).scans.ended(&asked.tenant);
            // Its tenant may have a scan that waited for this one's end.
            self.news[lane as usize].notify_one();
        }
        if matches!(outcome, Ok(Outcome::TooLong)) {
            self.submit(Lane::Scan, false, asked);
        }
    }
}
