//! Threads that answer questions, in lanes, whatever async runtime awaits the answers.
//!
//! A question takes milliseconds, which is too long for an executor's thread, and this crate must
//! not demand a runtime for its blocking pool. So a store owns threads, started with the first
//! question of their lane and ended with the store, and futures that they complete.
//!
//! Every question begins in the interactive lane. One that is not answered within some
//! [time](LaneTimes) is stopped and begins again in the scan lane, so that no list or detail ever
//! waits behind a scan, and nobody has to guess beforehand what will be one. Of the scan lane
//! each tenant has a share: its scans wait for each other, not for those of others. Changes have a
//! lane for themselves, and are never stopped.
//!
//! A question whose future was dropped is not begun, and stopped if it was. Never here: SQL.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture, Tenant};

use super::turn::{IsAbandoned, Turn};
use crate::promise::{Promise, promised};

/// How long questions may go on, by who shares the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneTimes {
    /// In the interactive lane. What is stopped there is begun again, so its time is lost.
    pub(super) interactive: Duration,
    /// One read transaction of a scan; none: as long as it takes.
    pub(super) longest_read: Option<Duration>,
}

impl LaneTimes {
    /// Of a store that takes in records, and is asked by many: a list takes 1 ms and a large trace
    /// some. As long as a transaction is open the log can't be used again: at 30,000 spans a second it
    /// grows by 10 MB/s, and the intake has room for 64 MiB while it waits.
    pub(super) const SERVED: Self = Self {
        interactive: Duration::from_millis(25),
        longest_read: Some(Duration::from_secs(5)),
    };
    /// Of a store that was opened for reading, by one who asks one thing after the other: a page of
    /// 5,000 spans takes some 60 ms.
    pub(super) const READ: Self = Self {
        interactive: Duration::from_millis(250),
        longest_read: None,
    };
}

/// Questions in the interactive lane at one time.
const INTERACTIVE_THREADS: usize = 2;
/// Scans at one time. One tenant has one at most, so that another one's finds a thread.
const SCAN_THREADS: usize = 2;
/// Scans of one tenant that wait; further ones are refused. Whoever sees all tenants is not refused.
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

/// What became of a question's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It took longer than the lane gives.
    TooLong,
}

/// A question and the promise of its answer.
trait Job: Send {
    fn run(&self, lane: Lane) -> Outcome;
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
    fn run(&self, lane: Lane) -> Outcome {
        if self.promise.is_abandoned() {
            return Outcome::Answered;
        }
        let promise = Arc::clone(&self.promise);
        let is_abandoned: IsAbandoned = Arc::new(move || promise.is_abandoned());
        let turn = match lane {
            Lane::Interactive => Turn::within(self.times.interactive, is_abandoned),
            Lane::Scan => Turn::of_reads(self.times.longest_read, is_abandoned),
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

/// A job and whose it is.
struct Asked {
    tenant: Option<Tenant>,
    job: Box<dyn Job>,
}

/// The threads of one store. Dropping it lets them finish what they do and end.
#[derive(Debug)]
pub(super) struct Lanes {
    shared: Arc<Shared>,
    times: LaneTimes,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
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

    /// The next scan, of the tenant that waits for its turn the longest and has none running beyond
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

/// Scans that one caller may have running. Whoever sees all tenants runs the server, and may have all
/// of them.
fn share_of(tenant: Option<&Tenant>) -> usize {
    match tenant {
        Some(_) => SCAN_THREADS - 1,
        None => SCAN_THREADS,
    }
}

impl Lanes {
    pub(super) fn new(times: LaneTimes) -> Self {
        Self {
            shared: Arc::default(),
            times,
        }
    }

    /// Answers the question on one of the threads once the future is polled. It may be begun twice.
    pub(super) fn ask<'a, T: Send + 'static>(
        &'a self,
        tenant: Option<&Tenant>,
        question: impl Fn(&Turn) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run(Lane::Interactive, false, tenant, question)
    }

    /// As [`ask`](Self::ask), before all that waits in the interactive lane.
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

impl Shared {
    fn submit(self: &Arc<Self>, lane: Lane, is_first: bool, asked: Asked) {
        let mut state = lock(&self.state);
        if !state.has_threads[lane as usize] {
            state.has_threads[lane as usize] = self.start(lane);
        }
        if !state.has_threads[lane as usize] {
            drop(state);
            // A machine that gives no thread still answers, on this one.
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
            let thread = threads::spawn("spanscope-read", move || shared.work(lane));
            started += usize::from(thread.is_ok());
        }
        started > 0
    }

    fn work(self: &Arc<Self>, lane: Lane) {
        while let Some(asked) = self.next(lane) {
            self.take_turn(lane, asked);
        }
    }

    /// Waits for a job; none when the store is gone.
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
        let outcome = catch_unwind(AssertUnwindSafe(|| asked.job.run(lane)));
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
