//! Queues in the child of a `fork`, where only the forking thread continues.
//!
//! The parent's threads write what the parent had queued; its locks may be held by threads that the
//! child does not have. So a queue of another process is never touched: the first record of the
//! child creates a new one, with a thread that the sink starts by its [`Restart`]. A sink without
//! one, or one that can't start, accepts nothing in the child; that is counted, and reported once.
//!
//! During the fork the sinks' threads rest, for a bounded time, so that none of them holds a lock
//! that the child needs, such as that of stderr. A thread with an open resource that a fork can't
//! carry over, such as a SQLite file, closes it first (see [`OpenResource`]).

use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use spanscope_process::Hooks;

use super::control::WorkerHandle;
use super::counts::Counts;
use super::log_to_stderr::log_to_stderr;
use super::shared::Queue;
use crate::capture::{Clock, Ticks};
use crate::sync::lock;

/// Starts a sink's thread for a new queue, in the child of a fork, or returns why the sink can't
/// continue there, as the end of a sentence.
pub type Restart = Arc<dyn Fn(&Queue, &Arc<WorkerHandle>) -> Result<(), String> + Send + Sync>;

/// How long a fork waits for the sinks' threads to rest.
const REST_TIMEOUT: Duration = Duration::from_millis(500);

/// When this process was forked, as raw ticks; zero if it was not.
static FORKED_AT: AtomicU64 = AtomicU64::new(0);
static IS_FORKING: AtomicBool = AtomicBool::new(false);
/// The number of sink threads that do not rest.
static WORKING: AtomicUsize = AtomicUsize::new(0);

/// Whether all of them rested when this process was forked.
static RESTED: AtomicBool = AtomicBool::new(true);
/// Wakes the threads with open resources, by their numbers.
static HOLDERS: Mutex<Vec<(u64, Wake)>> = Mutex::new(Vec::new());
static HOLDER_IDS: AtomicU64 = AtomicU64::new(0);

type Wake = Box<dyn Fn() + Send + Sync>;
/// Runs once in a child, when its first sink starts.
static IN_CHILD: OnceLock<fn()> = OnceLock::new();
static IN_CHILD_RAN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    static HOLDS_OPEN: Cell<bool> = const { Cell::new(false) };
}

/// The successor of a queue in a child process.
#[derive(Default)]
pub(super) struct Successor {
    restart: OnceLock<(&'static str, Restart)>,
    started: OnceLock<Option<(Queue, Arc<WorkerHandle>)>>,
    /// Records that were offered in a child without a sink.
    pub(super) lost: AtomicU64,
}

impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successor")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Successor {
    pub(super) fn set_restart(&self, what: &'static str, restart: Restart) {
        let _ = self.restart.set((what, restart));
    }

    /// Returns the child's queue and its thread's handle, and creates them on the first call.
    pub(super) fn start(&self, made: impl FnOnce() -> Queue) -> Option<&(Queue, Arc<WorkerHandle>)> {
        let started = self.started.get_or_init(|| {
            let (what, restart) = self.restart.get()?;
            let generation = spanscope_process::generation();
            if IN_CHILD_RAN.swap(generation, Ordering::Relaxed) != generation
                && let Some(hook) = IN_CHILD.get()
            {
                hook();
            }
            let (queue, control) = (made(), Arc::new(WorkerHandle::default()));
            match restart(&queue, &control) {
                Ok(()) => {
                    queue.on_fork(what, Arc::clone(restart));
                    Some((queue, control))
                }
                Err(why) => {
                    log_to_stderr(format!(
                        "spanscope: {what} accepts nothing in the forked process {}: {why}",
                        std::process::id()
                    ));
                    None
                }
            }
        });
        started.as_ref()
    }

    /// Returns the counts of a child without a sink: everything offered is dropped.
    pub(super) fn counts(&self) -> Counts {
        let lost = self.lost.load(Ordering::Relaxed);
        Counts {
            offered: lost,
            dropped_full: 0,
            dropped_closed: lost,
        }
    }

    /// Returns the child's queue and its thread's handle, if they exist.
    pub(super) fn started(&self) -> Option<&(Queue, Arc<WorkerHandle>)> {
        self.started.get()?.as_ref()
    }
}

/// Registers the fork handlers.
pub(super) fn watch_forks() -> io::Result<()> {
    // Created here, because a child may only read an existing clock.
    let _ = Clock::global();
    spanscope_process::on_fork(Hooks {
        before: rest_all,
        in_parent: resume_all,
        in_child,
    })
}

/// Registers a function that runs once in each child of a fork that records something, before the
/// first of its sinks starts.
pub fn in_forked_children(hook: fn()) {
    let _ = IN_CHILD.set(hook);
}

/// Returns whether every sink's thread rested when this process was forked, so that none had a
/// resource open.
#[must_use]
pub fn was_idle_at_fork() -> bool {
    RESTED.load(Ordering::Relaxed)
}

/// Registers an open resource of a sink's thread that a fork can't carry over. Keep it as long as
/// the thread works.
pub struct OpenResource {
    id: u64,
    _working: Working,
}

impl fmt::Debug for OpenResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenResource").field("id", &self.id).finish()
    }
}

impl OpenResource {
    /// Call it on the thread itself. `wake` ends its wait; it runs on the forking thread, and must
    /// not block for long.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let working = begin_work();
        HOLDS_OPEN.set(true);
        let id = HOLDER_IDS.fetch_add(1, Ordering::Relaxed);
        lock(&HOLDERS).push((id, Box::new(wake)));
        Self {
            id,
            _working: working,
        }
    }

    /// Call this after each wait: if a fork is imminent, closes the resource and waits until the
    /// fork is over.
    pub fn release_before_fork(&self, close: impl FnOnce()) {
        if IS_FORKING.load(Ordering::SeqCst) {
            close();
            WORKING.fetch_sub(1, Ordering::SeqCst);
            enter();
        }
    }
}

impl Drop for OpenResource {
    fn drop(&mut self) {
        HOLDS_OPEN.set(false);
        lock(&HOLDERS).retain(|(id, _)| *id != self.id);
    }
}

/// Returns whether a span started before this process was forked: it then belongs to the parent,
/// and ends there.
pub(super) fn belongs_to_parent_process(start: Ticks) -> bool {
    start.raw() < FORKED_AT.load(Ordering::Relaxed)
}

/// Marks this thread as one of a sink until the value is dropped.
pub(super) fn begin_work() -> Working {
    let _ = IS_WORKER.try_with(|is_worker| is_worker.set(true));
    enter();
    Working
}

pub(super) struct Working;

impl Drop for Working {
    fn drop(&mut self) {
        let _ = IS_WORKER.try_with(|is_worker| is_worker.set(false));
        WORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Marks a sink's thread as resting, with no lock held, until the value is dropped. Has no effect
/// on other threads.
pub(super) fn rest() -> Resting {
    let holds_open = HOLDS_OPEN.try_with(Cell::get).unwrap_or(true);
    let is_worker = !holds_open && IS_WORKER.try_with(Cell::get).unwrap_or(false);
    if is_worker {
        WORKING.fetch_sub(1, Ordering::SeqCst);
    }
    Resting(is_worker)
}

pub(super) struct Resting(bool);

impl Drop for Resting {
    fn drop(&mut self) {
        if self.0 {
            enter();
        }
    }
}

/// Counts this thread as working, once no fork is in progress.
fn enter() {
    loop {
        WORKING.fetch_add(1, Ordering::SeqCst);
        if !IS_FORKING.load(Ordering::SeqCst) {
            return;
        }
        WORKING.fetch_sub(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs before a fork, on the forking thread.
fn rest_all() {
    IS_FORKING.store(true, Ordering::SeqCst);
    // If the list is locked, another thread is forking and wakes them, or one is being added or
    // removed.
    if let Ok(holders) = HOLDERS.try_lock() {
        holders.iter().for_each(|(_, wake)| wake());
    }
    // A sink's thread that forks can't wait for itself.
    let own = usize::from(IS_WORKER.try_with(Cell::get).unwrap_or(false));
    let deadline = Instant::now() + REST_TIMEOUT;
    while WORKING.load(Ordering::SeqCst) > own && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
    RESTED.store(WORKING.load(Ordering::SeqCst) <= own, Ordering::Relaxed);
}

/// Runs after a fork, in the parent.
fn resume_all() {
    IS_FORKING.store(false, Ordering::SeqCst);
}

/// Runs after a fork, in the child: only stores into atomics.
fn in_child() {
    IS_FORKING.store(false, Ordering::SeqCst);
    WORKING.store(0, Ordering::SeqCst);
    FORKED_AT.store(Clock::global().now().raw(), Ordering::Relaxed);
    crate::capture::restart_ids_after_fork();
}
