//! Stores the records of this process: the writing thread's client that drains a layer's queue.
//!
//! Records arrive through the queue, requests to flush or end through [`WorkerHandle`]. While the
//! disk fails, records stay here and in the queue; once the queue's budget is used up, callers drop
//! and count records. After [`GIVE_UP_AFTER`] the records here are dropped and counted, so that a
//! permanent error does not hold their memory. Drops are reported on stderr, at most once a minute,
//! never through `tracing`.

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
    Chunk, LayerStats, Queue, Restart, WorkerHandle, log_to_stderr, was_idle_at_fork,
};
use spanscope_core::sync::lock;
use spanscope_core::tail::{DecisionScope, TailStats};
use spanscope_model::StoreError;

use crate::file::bounds::Limits;
use crate::file::identity::is_open_here;
use crate::file::open;
use crate::file::open_file::OpenFile;
use crate::file::writer::{Client, FileWriter, Turn};
use database::{Database, Written};
pub(crate) use settings::WriterSettings;
pub(crate) use tail::SharedStats;

/// How long the same records are retried while the disk fails.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// The minimum interval between two reports of drops.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Opens the file and assigns the queue to its thread. Also returns the store's name.
pub(crate) fn start(
    settings: WriterSettings,
    path: PathBuf,
    queue: &Queue,
    capture: Arc<Capture>,
    tail_stats: Option<&SharedStats>,
) -> Result<(Arc<WorkerHandle>, String), StoreError> {
    let control = Arc::new(WorkerHandle::default());
    let store_name = attach(&settings, &path, queue, &control, &capture, tail_stats)?;
    let tail_stats = tail_stats.cloned();
    let restart: Restart = Arc::new(move |queue, control| {
        if !was_idle_at_fork() || is_open_here(&path) {
            return Err(format!(
                "{} was open in the parent process when it forked, and SQLite can't go on with it; fork before \
                 Spanscope is set up, or while nothing else has the file open",
                path.display()
            ));
        }
        if let Some(stats) = &tail_stats {
            *lock(stats) = TailStats::default(); // these are the parent's counts
        }
        attach(&settings, &path, queue, control, &capture, tail_stats.as_ref())
            .map(drop)
            .map_err(|error| error.to_string())
    });
    queue.on_fork("the span store", restart);
    Ok((control, store_name))
}

/// Assigns the queue to the thread that writes the file.
fn attach(
    settings: &WriterSettings,
    path: &Path,
    queue: &Queue,
    control: &Arc<WorkerHandle>,
    capture: &Arc<Capture>,
    tail_stats: Option<&SharedStats>,
) -> Result<String, StoreError> {
    let writer = FileWriter::open(path)?;
    let waker = writer.waker();
    queue.on_wake(move || waker.wake_urgent());
    let (settings, queue, control) = (settings.clone(), queue.clone(), Arc::clone(control));
    let (capture, tail_stats) = (Arc::clone(capture), tail_stats.cloned());
    writer.attach(move |file| {
        let database = Database::begin(&settings, file, tail_stats)?;
        let store_name = open::store_name(&file.db).map_err(|error| open::sql_error(file.path(), error))?;
        let recorder = Recorder {
            database,
            queue,
            capture,
            control,
            flush_interval: settings.flush_interval,
            limits: Limits {
                retention: settings.retention,
                max_bytes: settings.max_bytes,
            },
            held: Vec::new(),
            reported_chunks: 0,
            drain_began: Ticks::default(),
            failing_since: None,
            drops_reported_at: None,
            reported_drops: 0,
            is_clean: false,
        };
        Ok((recorder, store_name))
    })
}

struct Recorder {
    database: Database,
    queue: Queue,
    capture: Arc<Capture>,
    control: Arc<WorkerHandle>,
    flush_interval: Duration,
    limits: Limits,
    /// Records that were taken from the queue and not yet written, oldest first.
    held: Vec<Chunk>,
    /// The number of them, from the first on, that were reported to the tail rule. The others are
    /// reported when these are written, so that the rule remembers its decisions no longer.
    reported_chunks: usize,
    /// The start of the last drain: all records from before it were drained.
    drain_began: Ticks,
    failing_since: Option<Instant>,
    drops_reported_at: Option<Instant>,
    reported_drops: u64,
    /// Whether all records were written at the end.
    is_clean: bool,
}

impl Client for Recorder {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn interval(&self) -> Option<Duration> {
        Some(self.flush_interval)
    }

    fn turn(&mut self, file: &mut OpenFile, between: &mut dyn FnMut(&mut OpenFile)) -> Turn {
        let wanted = self.control.request();
        let is_flushed = self.control.is_flushed(wanted.flush);
        let settle = if is_flushed {
            DecisionScope::Due
        } else {
            DecisionScope::Ended
        };
        // Held chunks still count against the queue's budget, so draining during an error needs no
        // more memory.
        self.drain();
        let mut clean = self.write_held(file, between, wanted.deadline, settle);
        // Reading open spans can close a parent span on this thread, whose end must be flushed too.
        // Bounded, because the program may continue recording.
        for _ in 0..3 {
            self.drain();
            if !clean || self.held.is_empty() || (is_flushed && !wanted.stop) {
                break;
            }
            clean = self.write_held(file, between, wanted.deadline, settle);
        }
        if clean {
            self.control.flushed(wanted.flush);
        }
        self.report_drops();
        let is_late = wanted.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if wanted.stop && (clean || is_late) {
            // The orderly end: no new records, all queued ones are written, and the account is
            // complete.
            self.queue.close();
            self.drain();
            clean = self.write_held(file, between, wanted.deadline, DecisionScope::All);
            if clean || is_late {
                self.is_clean = clean;
                let result = self.database.end(file, &self.account());
                file.note_write(result.as_ref());
                return Turn::Ended;
            }
        }
        if clean { Turn::Done } else { Turn::Retry }
    }

    fn upkeep(&mut self, file: &mut OpenFile) {
        if self.failing_since.is_some() || file.write_error().is_some() {
            return;
        }
        if self.capture.has_skipped_spans() {
            // Spans that were left out may have been entered since, without a notification.
            let result = self.database.write(file, &[], &self.capture, &self.account());
            if let Ok(written) = &result {
                self.count(*written);
            }
            file.note_keep(result.as_ref());
        }
        let result = self.database.upkeep(file, &self.capture, &self.account());
        file.note_keep(result.as_ref());
    }

    fn ended(&mut self) {
        self.control.ended(self.is_clean);
    }

    fn panicked(&mut self) {
        self.queue.close_after_fault();
        self.control.ended(false);
    }
}

impl Recorder {
    fn drain(&mut self) {
        self.drain_began = self.capture.clock().now();
        self.queue.drain(&mut self.held);
    }

    /// Writes the held records, in transactions of bounded size, and deletes rows of dropped
    /// traces. Returns whether everything is done.
    fn write_held(
        &mut self,
        file: &mut OpenFile,
        between: &mut dyn FnMut(&mut OpenFile),
        deadline: Option<Instant>,
        settle: DecisionScope,
    ) -> bool {
        loop {
            if self.reported_chunks == 0 {
                self.database
                    .report(&self.held, &self.capture, self.drain_began, settle);
                self.reported_chunks = self.held.len();
            }
            if self.held.is_empty() && !self.database.has_unwanted() {
                return true;
            }
            let mut bytes = 0;
            let batch_bytes = file.batch_bytes();
            let fits = |chunk: &&Chunk| {
                bytes += chunk.bytes();
                bytes <= batch_bytes
            };
            let count = self.held[..self.reported_chunks].iter().take_while(fits).count();
            let count = count.max(1).min(self.reported_chunks);
            let chunks = &self.held[..count];
            let records: usize = chunks.iter().map(|chunk| chunk.entries().len()).sum();
            let account = self.account();
            let result = self.database.write(file, chunks, &self.capture, &account);
            file.note_write(result.as_ref());
            match result {
                Ok(written) => {
                    self.failing_since = None;
                    file.keep();
                    self.count(written);
                }
                Err(_) => {
                    self.failing_since.get_or_insert_with(Instant::now);
                    if !self.shall_give_up(deadline) {
                        return false;
                    }
                    self.control.add_write_failed(records as u64);
                    self.database.leave_unwanted();
                }
            }
            for chunk in self.held.drain(..count) {
                self.queue.recycle(chunk);
            }
            self.reported_chunks -= count;
            between(file);
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
            .failing_since
            .is_some_and(|since| since.elapsed() > GIVE_UP_AFTER);
        too_long || deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn account(&self) -> LayerStats {
        self.control.stats(&self.queue)
    }

    fn report_drops(&mut self) {
        let dropped = self.account().dropped;
        // Records dropped by the tail rule are not lost.
        if dropped.lost() > self.reported_drops
            && self
                .drops_reported_at
                .is_none_or(|at| at.elapsed() >= REPORT_EVERY)
        {
            self.drops_reported_at = Some(Instant::now());
            self.reported_drops = dropped.lost();
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
