//! The thread that writes: its loop, what others may ask of it, and how it meets trouble.
//!
//! It owns the connection and all state of the file. Records come through the queue; flushes and the end through
//! [`Control`]. When the disk refuses, records stay in its hands and in the queue, whose budget then makes the callers
//! drop and count; after [`GIVE_UP_AFTER`] it drops what it holds, counted, so that an error that never heals does not
//! hold memory for ever. It speaks of trouble on stderr, at most once a minute, never through `tracing`.

mod batch;
mod bulk;
mod database;
mod decode;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spanscope_layers::capture::{Capture, suppress};
use spanscope_layers::queue::{Chunk, Queue};
use spanscope_model::{DropCounts, StoreError};

use crate::layer::{LayerStats, SqliteLayerBuilder};
use database::{Database, Trouble};

/// One transaction takes at most so many bytes of records, so that other processes get in and the write-ahead log
/// grows in small steps; less where the file's cap is small, so that one transaction can't burst it.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long the same records are tried again while the disk refuses.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long to wait before trying again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Trouble is said at most this often.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often running spans and the age of what is stored are looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// What other threads ask of the writer, and what it answers.
#[derive(Debug, Default)]
struct Control {
    state: Mutex<ControlState>,
    changed: Condvar,
    stored: AtomicU64,
    write_failed: AtomicU64,
}

#[derive(Debug, Default)]
struct ControlState {
    flush_wanted: u64,
    flush_done: u64,
    stop: bool,
    /// When a stopping writer gives up.
    deadline: Option<Instant>,
    ended: bool,
    finished_clean: bool,
}

/// The writer as the guard sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    control: Arc<Control>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(crate) fn flush(&self, queue: &Queue, timeout: Duration) -> bool {
        let mut state = lock(&self.control.state);
        state.flush_wanted += 1;
        let wanted = state.flush_wanted;
        drop(state);
        queue.wake();
        self.wait_until(timeout, |state| state.flush_done >= wanted || state.ended)
    }

    pub(crate) fn shutdown(&self, queue: &Queue, timeout: Duration) -> bool {
        let mut state = lock(&self.control.state);
        state.stop = true;
        state.deadline.get_or_insert_with(|| Instant::now() + timeout);
        drop(state);
        queue.wake();
        // The writer itself gives up at the deadline; a little more lets it say so.
        self.wait_until(timeout + Duration::from_millis(500), |state| state.ended);
        queue.close();
        lock(&self.control.state).finished_clean
    }

    fn wait_until(&self, timeout: Duration, done: impl Fn(&ControlState) -> bool) -> bool {
        let state = lock(&self.control.state);
        let (state, _) = self
            .control
            .changed
            .wait_timeout_while(state, timeout, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    pub(crate) fn stats(&self, queue: &Queue) -> LayerStats {
        // Read before the queue's own count, so that `stored` never seems to be ahead of `offered`.
        let stored = self.control.stored.load(Ordering::Acquire);
        let write_failed = self.control.write_failed.load(Ordering::Acquire);
        let counts = queue.counts();
        let dropped = DropCounts {
            queue_full: counts.dropped_full,
            write_failed,
            shutdown: counts.dropped_closed,
        };
        LayerStats {
            offered: counts.offered,
            stored,
            dropped,
        }
    }
}

/// Opens the file and starts the thread.
pub(crate) fn start(
    settings: SqliteLayerBuilder,
    path: PathBuf,
    queue: Queue,
    capture: Arc<Capture>,
) -> Result<Handle, StoreError> {
    let database = Database::open(&settings, &path)?;
    let control = Arc::new(Control::default());
    let mut writer = Writer {
        database,
        queue,
        capture,
        control: Arc::clone(&control),
        flush_interval: settings.flush_interval,
        batch_bytes: usize::try_from(settings.max_bytes / 16)
            .unwrap_or(BATCH_BYTES)
            .min(BATCH_BYTES),
        held: Vec::new(),
        troubled_since: None,
        last_said: None,
        last_upkeep: Instant::now(),
        said_drops: 0,
    };
    std::thread::Builder::new()
        .name("spanscope-sqlite".to_owned())
        .spawn(move || {
            let _quiet = suppress();
            writer.run();
        })
        .map_err(|error| {
            StoreError::new(
                spanscope_model::StoreErrorKind::Unavailable,
                "the writing thread could not be started",
            )
            .with_source(error)
        })?;
    Ok(Handle { control })
}

struct Writer {
    database: Database,
    queue: Queue,
    capture: Arc<Capture>,
    control: Arc<Control>,
    flush_interval: Duration,
    batch_bytes: usize,
    /// Records taken from the queue and not yet written, oldest first.
    held: Vec<Chunk>,
    troubled_since: Option<Instant>,
    last_said: Option<Instant>,
    last_upkeep: Instant,
    said_drops: u64,
}

impl Writer {
    fn run(&mut self) {
        loop {
            self.queue.wait(self.flush_interval);
            let (flush_wanted, stop, deadline) = {
                let state = lock(&self.control.state);
                (state.flush_wanted, state.stop, state.deadline)
            };
            // Chunks in hand count against the budget as before, so taking more while in trouble costs no memory.
            self.queue.drain(&mut self.held);
            let mut clean = self.write_held(deadline);
            // Looking at open spans can close a parent on this thread, and that end counts as recorded before the flush.
            // Bounded, because the program may go on recording.
            for _ in 0..3 {
                self.queue.drain(&mut self.held);
                if !clean
                    || self.held.is_empty()
                    || (flush_wanted == lock(&self.control.state).flush_done && !stop)
                {
                    break;
                }
                clean = self.write_held(deadline);
            }
            if clean {
                let mut state = lock(&self.control.state);
                state.flush_done = state.flush_done.max(flush_wanted);
                drop(state);
                self.control.changed.notify_all();
            }
            self.say_drops();
            if stop {
                return self.end(deadline);
            }
            if !clean {
                std::thread::sleep(RETRY_PAUSE);
            } else if self.last_upkeep.elapsed() >= UPKEEP_EVERY {
                self.last_upkeep = Instant::now();
                let result = self.database.upkeep(&self.capture, &self.account());
                self.note(result);
            }
        }
    }

    /// Writes what is held, in transactions of bounded size. Answers whether all of it is written.
    fn write_held(&mut self, deadline: Option<Instant>) -> bool {
        while !self.held.is_empty() {
            let mut bytes = 0;
            let fits = |chunk: &&Chunk| {
                bytes += chunk.bytes();
                bytes <= self.batch_bytes
            };
            let count = self.held.iter().take_while(fits).count().max(1);
            let chunks = &self.held[..count];
            let records: usize = chunks.iter().map(|chunk| chunk.entries().len()).sum();
            let account = self.account();
            let result = self.database.write(chunks, &self.capture, &account);
            let written = result.is_ok();
            let give_up = !written && self.shall_give_up(deadline);
            self.note(result);
            if !written && !give_up {
                if deadline.is_some() {
                    std::thread::sleep(RETRY_PAUSE);
                    continue;
                }
                return false;
            }
            if written {
                let kept = self.database.keep_bounds();
                self.note(kept);
            }
            let counter = if written {
                &self.control.stored
            } else {
                &self.control.write_failed
            };
            counter.fetch_add(records as u64, Ordering::AcqRel);
            for chunk in self.held.drain(..count) {
                self.queue.recycle(chunk);
            }
        }
        true
    }

    fn shall_give_up(&self, deadline: Option<Instant>) -> bool {
        let too_long = self
            .troubled_since
            .is_some_and(|since| since.elapsed() > GIVE_UP_AFTER);
        too_long || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn account(&self) -> Account {
        let counts = self.queue.counts();
        Account {
            offered: counts.offered,
            stored: self.control.stored.load(Ordering::Acquire),
            dropped: DropCounts {
                queue_full: counts.dropped_full,
                write_failed: self.control.write_failed.load(Ordering::Acquire),
                shutdown: counts.dropped_closed,
            },
        }
    }

    /// The orderly end: nothing more comes in, all that came is written, the file is left whole.
    fn end(&mut self, deadline: Option<Instant>) {
        self.queue.close();
        self.queue.drain(&mut self.held);
        let clean = self.write_held(deadline);
        let result = self.database.close(&self.account());
        self.note(result);
        let mut state = lock(&self.control.state);
        state.flush_done = state.flush_wanted;
        state.finished_clean = clean && self.control.write_failed.load(Ordering::Acquire) == 0;
        state.ended = true;
        drop(state);
        self.control.changed.notify_all();
    }

    fn note(&mut self, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {
                if self.troubled_since.take().is_some() {
                    self.last_said = None;
                    eprintln!("spanscope: {} is written again", self.database.path().display());
                }
            }
            Err(trouble) => {
                self.troubled_since.get_or_insert_with(Instant::now);
                if self.last_said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    self.last_said = Some(Instant::now());
                    eprintln!(
                        "spanscope: {} can't be written now: {trouble}",
                        self.database.path().display()
                    );
                }
            }
        }
    }

    fn say_drops(&mut self) {
        let dropped = self.account().dropped;
        if dropped.total() > self.said_drops && self.last_said.is_none_or(|said| said.elapsed() >= SAY_EVERY)
        {
            self.last_said = Some(Instant::now());
            self.said_drops = dropped.total();
            eprintln!(
                "spanscope: {} records dropped so far (queue full {}, not writable {}, after the end {})",
                dropped.total(),
                dropped.queue_full,
                dropped.write_failed,
                dropped.shutdown
            );
        }
    }
}

/// The numbers that the file's process row shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) offered: u64,
    pub(crate) stored: u64,
    pub(crate) dropped: DropCounts,
}
