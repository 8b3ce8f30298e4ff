//! The thread that writes: its loop, what others may ask of it, and how it meets trouble.
//!
//! It owns the connection and all state of the file. Records come through the queue; flushes and the end through
//! [`WorkerHandle`]. When the disk refuses, records stay in its hands and in the queue, whose budget then makes the callers
//! drop and count; after [`GIVE_UP_AFTER`] it drops what it holds, counted, so that an error that never heals does not
//! hold memory for ever. It speaks of trouble on stderr, at most once a minute, never through `tracing`.

mod batch;
mod database;
mod decode;
mod measurements;
mod open_span;
mod reading;
mod settings;
mod tail;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanscope_core::capture::{Capture, Ticks};
use spanscope_core::queue::{
    Chunk, HoldsOpen, LayerStats, Queue, Restart, WorkerHandle, log_to_stderr, rested_at_fork,
};
use spanscope_core::sync::lock;
use spanscope_core::tail::{Settle, TailStats};
use spanscope_core::threads;
use spanscope_model::StoreError;

use crate::file::bounds::{Trouble, is_open_here};
use crate::ingest::BATCH_BYTES;
use database::{Database, Written};
pub(crate) use settings::WriterSettings;
pub(crate) use tail::SharedStats;

/// How long the same records are tried again while the disk refuses.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long to wait before trying again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Trouble is said at most this often.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often running spans and the age of what is stored are looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Opens the file and starts the thread. Answers what the file calls itself, too.
pub(crate) fn start(
    settings: WriterSettings,
    path: PathBuf,
    queue: &Queue,
    capture: Arc<Capture>,
    tail_stats: Option<&SharedStats>,
) -> Result<(Arc<WorkerHandle>, String), StoreError> {
    let control = Arc::new(WorkerHandle::default());
    let store_name = start_thread(&settings, &path, queue, &control, &capture, tail_stats)?;
    let tail_stats = tail_stats.cloned();
    let restart: Restart = Arc::new(move |queue, control| {
        if !rested_at_fork() || is_open_here(&path) {
            return Err(format!(
                "{} was open in the parent process when it forked, and SQLite can't go on with it; fork before \
                 Spanscope is set up, or while nothing else has the file open",
                path.display()
            ));
        }
        if let Some(stats) = &tail_stats {
            *lock(stats) = TailStats::default(); // what it counts is the parent's
        }
        start_thread(&settings, &path, queue, control, &capture, tail_stats.as_ref())
            .map(drop)
            .map_err(|error| error.to_string())
    });
    queue.on_fork("the span store", restart);
    Ok((control, store_name))
}

fn start_thread(
    settings: &WriterSettings,
    path: &Path,
    queue: &Queue,
    control: &Arc<WorkerHandle>,
    capture: &Arc<Capture>,
    tail_stats: Option<&SharedStats>,
) -> Result<String, StoreError> {
    let database = Database::open(settings, path, tail_stats)?;
    let store_name = database.store_name()?;
    let mut writer = Writer {
        database,
        queue: queue.clone(),
        capture: Arc::clone(capture),
        control: Arc::clone(control),
        flush_interval: settings.flush_interval,
        batch_bytes: usize::try_from(settings.max_bytes / 16)
            .unwrap_or(BATCH_BYTES)
            .min(BATCH_BYTES),
        held: Vec::new(),
        told: 0,
        drain_began: Ticks::default(),
        troubled_since: None,
        last_said: None,
        last_upkeep: Instant::now(),
        said_drops: 0,
    };
    threads::spawn("spanscope-sqlite", move || {
        let (control, queue) = (Arc::clone(&writer.control), writer.queue.clone());
        control.run(&queue, "the span store", || writer.run());
    })
    .map_err(|error| {
        StoreError::new(
            spanscope_model::StoreErrorKind::Unavailable,
            "the writing thread could not be started",
        )
        .with_source(error)
    })?;
    Ok(store_name)
}

struct Writer {
    database: Database,
    queue: Queue,
    capture: Arc<Capture>,
    control: Arc<WorkerHandle>,
    flush_interval: Duration,
    batch_bytes: usize,
    /// Records taken from the queue and not yet written, oldest first.
    held: Vec<Chunk>,
    /// The first so many of them were told to the tail rule. Others wait until these are written, because it need not
    /// remember its decisions for longer.
    told: usize,
    /// When the last drain began: what happened before is in hand.
    drain_began: Ticks,
    troubled_since: Option<Instant>,
    last_said: Option<Instant>,
    last_upkeep: Instant,
    said_drops: u64,
}

impl Writer {
    fn run(&mut self) {
        let holds_open = HoldsOpen::new(&self.queue);
        loop {
            self.queue.wait(self.flush_interval);
            holds_open.make_way(|| self.database.let_go());
            let wanted = self.control.wanted();
            let is_flushed = self.control.is_flushed(wanted.flush);
            let settle = if is_flushed { Settle::Due } else { Settle::Ended };
            // Chunks in hand count against the budget as before, so taking more while in trouble costs no memory.
            self.drain();
            let mut clean = self.write_held(wanted.deadline, settle);
            // Looking at open spans can close a parent on this thread, and that end counts as recorded before the flush.
            // Bounded, because the program may go on recording.
            for _ in 0..3 {
                self.drain();
                if !clean || self.held.is_empty() || (is_flushed && !wanted.stop) {
                    break;
                }
                clean = self.write_held(wanted.deadline, settle);
            }
            if clean {
                self.control.flushed(wanted.flush);
            }
            self.say_drops();
            if wanted.stop {
                return self.end(wanted.deadline);
            }
            if !clean {
                std::thread::sleep(RETRY_PAUSE);
            } else if self.last_upkeep.elapsed() >= UPKEEP_EVERY {
                self.last_upkeep = Instant::now();
                if self.capture.has_left_out() {
                    // Somebody may have entered them since, and said nothing.
                    let result = self.database.write(&[], &self.capture, &self.account());
                    if let Ok(written) = &result {
                        self.count(*written);
                    }
                    self.note(result.map(drop));
                }
                let result = self.database.upkeep(&self.capture, &self.account());
                self.note(result);
            }
        }
    }

    fn drain(&mut self) {
        self.drain_began = self.capture.clock().now();
        self.queue.drain(&mut self.held);
    }

    /// Writes what is held, in transactions of bounded size, and deletes what the tail rule has dropped. Answers whether all
    /// of it is done.
    fn write_held(&mut self, deadline: Option<Instant>, settle: Settle) -> bool {
        loop {
            if self.told == 0 {
                self.database
                    .tell(&self.held, &self.capture, self.drain_began, settle);
                self.told = self.held.len();
            }
            if self.held.is_empty() && !self.database.has_unwanted() {
                return true;
            }
            let mut bytes = 0;
            let fits = |chunk: &&Chunk| {
                bytes += chunk.bytes();
                bytes <= self.batch_bytes
            };
            let count = self.held[..self.told].iter().take_while(fits).count();
            let count = count.max(1).min(self.told);
            let chunks = &self.held[..count];
            let records: usize = chunks.iter().map(|chunk| chunk.entries().len()).sum();
            let account = self.account();
            let result = self.database.write(chunks, &self.capture, &account);
            let written = result.as_ref().ok().copied();
            let give_up = written.is_none() && self.shall_give_up(deadline);
            self.note(result.map(|_| ()));
            if written.is_none() && !give_up {
                if deadline.is_some() {
                    std::thread::sleep(RETRY_PAUSE);
                    continue;
                }
                return false;
            }
            if written.is_some() {
                let kept = self.database.keep_bounds();
                self.note(kept);
            }
            match written {
                Some(written) => self.count(written),
                None => {
                    self.control.add_write_failed(records as u64);
                    self.database.leave_unwanted();
                }
            }
            for chunk in self.held.drain(..count) {
                self.queue.recycle(chunk);
            }
            self.told -= count;
        }
    }

    fn count(&self, written: Written) {
        let Written {
            stored,
            sampled,
            taken_back,
        } = written;
        self.control.add_stored(stored);
        self.control.add_sampled(sampled);
        self.control.move_to_sampled(taken_back);
    }

    fn shall_give_up(&self, deadline: Option<Instant>) -> bool {
        let too_long = self
            .troubled_since
            .is_some_and(|since| since.elapsed() > GIVE_UP_AFTER);
        too_long || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn account(&self) -> LayerStats {
        self.control.stats(&self.queue)
    }

    /// The orderly end: nothing more comes in, all that came is written, the file is left whole.
    fn end(&mut self, deadline: Option<Instant>) {
        self.queue.close();
        self.drain();
        let clean = self.write_held(deadline, Settle::All);
        let result = self.database.close(&self.account());
        self.note(result);
        self.control.ended(clean);
    }

    fn note(&mut self, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {
                if self.troubled_since.take().is_some() {
                    self.last_said = None;
                    log_to_stderr(format!(
                        "spanscope: {} is written again",
                        self.database.path().display()
                    ));
                }
            }
            Err(trouble) => {
                self.troubled_since.get_or_insert_with(Instant::now);
                if self.last_said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    self.last_said = Some(Instant::now());
                    log_to_stderr(format!(
                        "spanscope: {} can't be written now: {trouble}",
                        self.database.path().display()
                    ));
                }
            }
        }
    }

    fn say_drops(&mut self) {
        let dropped = self.account().dropped;
        // What the tail rule leaves out is wished.
        if dropped.lost() > self.said_drops && self.last_said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.last_said = Some(Instant::now());
            self.said_drops = dropped.lost();
            log_to_stderr(format!(
                "spanscope: {} records dropped so far (queue full {}, not writable {}, after the end {})",
                dropped.lost(),
                dropped.queue_full,
                dropped.write_failed,
                dropped.shutdown
            ));
        }
    }
}
