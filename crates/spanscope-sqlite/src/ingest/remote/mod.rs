//! Receives the records that other programs send: a bounded queue, and the writing thread's prompt
//! client that drains it.
//!
//! ```text
//! store(records) -> rows, on the caller's thread -> queue -> one transaction -> every caller gets its result
//! ```
//!
//! A caller gets its response when its records are committed, so acknowledged records are never
//! lost in a crash of this process. Records that do not fit into the queue are refused at once.
//! When a transaction fails, each of its callers gets the error, and may send the same records
//! again: nothing is stored twice. While readers hold a full log, records wait in the queue for up
//! to ten seconds.

mod batch;
mod encode;
mod prepared;
mod receipt;
mod responses;
mod seen_events;
mod seen_points;
mod senders;
mod shared_ids;
mod spans;
mod state;
mod store_batch;
mod stored_metrics;
mod tokens;
mod totals;

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use spanscope_core::queue::log_to_stderr;
use spanscope_core::sync::{lock, read, wait_timeout_while, write};
use spanscope_model::{
    IngestReceipt, NewRecords, StoreError, StoreErrorKind, StoreFuture, Tenant, Timestamp,
};

use self::batch::{Batch, Overflow};
use self::prepared::PreparedRecords;
pub(crate) use self::receipt::Taken;
use self::state::State;
pub(crate) use self::stored_metrics::StoredMetricSink;
use self::stored_metrics::StoredMetrics;
use crate::file::bounds::Limits;
use crate::file::open;
use crate::file::open_file::OpenFile;
use crate::file::write_error::WriteError;
use crate::file::writer::{Client, FileWriter, Turn, Waker};
use crate::ingest::Overflows;
use crate::oneshot::{ResultSender, oneshot};

/// How long dropping the intake waits for queued records.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the keys that the file indexes are read.
const KEYS_EVERY: Duration = Duration::from_secs(5);
/// The minimum interval of reports about records that were refused for their size.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How often cached rows are dropped, because another process may delete them.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The settings of an intake.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) max_series: u64,
    pub(crate) max_value_len: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) indexed_keys: Vec<String>,
    /// Whether records are imported: each is looked up before it is stored, because it may already
    /// be stored.
    pub(crate) is_import: bool,
    /// The counters of stored records.
    pub(crate) stored_metrics: Option<StoredMetricSink>,
}

/// Queued records, and their waiting caller.
struct Job {
    prepared: PreparedRecords,
    result_sender: ResultSender<Taken>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Whether no more records are accepted.
    is_closed: bool,
    /// Whether the queue is written and the thread has released it.
    is_ended: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    ended: Condvar,
    /// Keys that the file indexes.
    keys: RwLock<HashSet<String>>,
    settings: Settings,
    /// The store's name.
    name: String,
    /// Why nothing can be written now.
    write_error: Mutex<Option<StoreError>>,
    /// When it was last reported that records can't fit into the file.
    refused_at: Mutex<Option<Instant>>,
}

/// The intake of a file. Dropping it writes what is queued.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    waker: Waker,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Opens or creates the file and assigns the queue to its thread. Readers that find damage in
    /// the file set `met_damage`.
    pub(crate) fn open(
        path: &Path,
        settings: Settings,
        met_damage: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let writer = FileWriter::open(path)?;
        let waker = writer.waker();
        let shared = writer.attach(move |file| {
            let metrics = settings.stored_metrics.clone().map(StoredMetrics::new);
            let mut receiver = Receiver {
                shared: Arc::new(Shared {
                    waiting: Mutex::default(),
                    ended: Condvar::new(),
                    keys: RwLock::default(),
                    settings,
                    name: open::store_name(&file.db).map_err(|error| open::sql_error(file.path(), error))?,
                    write_error: Mutex::default(),
                    refused_at: Mutex::default(),
                }),
                met_damage,
                state: State::default(),
                generation: None,
                last_forgotten: Instant::now(),
                last_keys: Instant::now(),
                overflows: Overflows::default(),
                metrics,
            };
            receiver
                .ready(file)
                .map_err(|write_error| file.error_of(&write_error))?;
            let shared = Arc::clone(&receiver.shared);
            Ok((receiver, shared))
        })?;
        Ok(Self { shared, waker })
    }

    /// Passes records to the thread. The future completes when they are committed.
    pub(crate) fn enqueue(
        &self,
        tenant: Option<&Tenant>,
        records: NewRecords,
    ) -> StoreFuture<'static, IngestReceipt> {
        let answer = self.enqueue_counted(tenant, records);
        Box::pin(async move { Ok(answer.await?.receipt) })
    }

    /// Passes records to the thread, and returns the result by kind of record.
    pub(crate) fn enqueue_counted(
        &self,
        tenant: Option<&Tenant>,
        records: NewRecords,
    ) -> StoreFuture<'static, Taken> {
        if records.is_empty() || records.origin_store.as_ref() == Some(&self.shared.name) {
            let known = records.len();
            return Box::pin(async move {
                Ok(Taken {
                    receipt: IngestReceipt::default().known(known),
                    ..Taken::default()
                })
            });
        }
        let settings = &self.shared.settings;
        // Checked before the conversion to rows, which is most of the work.
        if let Err(error) = self.room_for(0) {
            return Box::pin(async { Err(error) });
        }
        let prepared = {
            let keys = read(&self.shared.keys);
            PreparedRecords::new(tenant, records, settings.max_value_len, &|key| keys.contains(key))
        };
        let bytes = prepared.bytes;
        if let Err(error) = self.fits_the_file(bytes) {
            return Box::pin(async { Err(error) });
        }
        if let Err(error) = self.room_for(bytes) {
            return Box::pin(async { Err(error) });
        }
        let (result_sender, answer) = oneshot();
        let mut waiting = lock(&self.shared.waiting);
        if waiting.is_closed || !self.waker.has_thread() {
            return Box::pin(async {
                Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the store is being closed: give the records to the next one",
                ))
            });
        }
        waiting.bytes += bytes;
        waiting.jobs.push_back(Job {
            prepared,
            result_sender,
        });
        drop(waiting);
        self.waker.wake_prompt();
        Box::pin(answer)
    }

    /// Fails if records could not be written within the last second.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &*lock(&self.shared.write_error) {
            None => Ok(()),
            Some(write_error) => Err(StoreError::new(write_error.kind(), write_error.to_string())),
        }
    }

    /// Fails if records of this size don't fit under the file's limit: acknowledged records must
    /// not be deleted at once to make room for themselves.
    fn fits_the_file(&self, bytes: usize) -> Result<(), StoreError> {
        let cap = self.shared.settings.max_bytes;
        if bytes as u64 <= cap / 2 {
            return Ok(());
        }
        let message = format!(
            "{bytes} bytes of records were sent in one request, and a file of at most {cap} bytes accepts half of that: send less in one request, or raise the cap"
        );
        let mut last = lock(&self.shared.refused_at);
        if last.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            *last = Some(Instant::now());
            log_to_stderr(format!("spanscope: refused: {message}"));
        }
        Err(StoreError::new(StoreErrorKind::Full, message))
    }

    /// Fails if records of this size don't fit into the queue. Records that are larger than the
    /// queue are accepted when it is empty.
    fn room_for(&self, bytes: usize) -> Result<(), StoreError> {
        let waiting = lock(&self.shared.waiting).bytes;
        if waiting == 0 || waiting + bytes <= self.shared.settings.queue_bytes {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Overloaded,
            format!("{waiting} bytes of records wait to be written: give these again in a second"),
        ))
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        lock(&self.shared.waiting).is_closed = true;
        if !self.waker.has_thread() {
            return;
        }
        self.waker.wake_prompt();
        let waiting = lock(&self.shared.waiting);
        drop(wait_timeout_while(
            &self.shared.ended,
            waiting,
            CLOSE_TIMEOUT,
            |waiting| !waiting.is_ended,
        ));
    }
}

/// The writing thread's end of the queue.
struct Receiver {
    shared: Arc<Shared>,
    /// Whether a reader found damage in the file.
    met_damage: Arc<AtomicBool>,
    state: State,
    /// The generation of the file whose rows `state` caches.
    generation: Option<u64>,
    last_forgotten: Instant,
    last_keys: Instant,
    overflows: Overflows,
    metrics: Option<StoredMetrics>,
}

impl Client for Receiver {
    fn limits(&self) -> Limits {
        Limits {
            retention: self.shared.settings.retention,
            max_bytes: self.shared.settings.max_bytes,
        }
    }

    fn interval(&self) -> Option<Duration> {
        None
    }

    fn turn(&mut self, file: &mut OpenFile, _: &mut dyn FnMut(&mut OpenFile)) -> Turn {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.jobs.is_empty() {
            return if waiting.is_closed {
                Turn::Ended
            } else {
                Turn::Done
            };
        }
        let jobs = some_of(&mut waiting, file.batch_bytes());
        drop(waiting);
        self.look_for_damage(file);
        let bytes: usize = jobs.iter().map(|job| job.prepared.bytes).sum();
        if let Err(jobs) = self.write(file, jobs) {
            let mut waiting = lock(&self.shared.waiting);
            for job in jobs.into_iter().rev() {
                waiting.jobs.push_front(job);
            }
            return Turn::Retry;
        }
        let mut waiting = lock(&self.shared.waiting);
        waiting.bytes -= bytes;
        if waiting.jobs.is_empty() && !waiting.is_closed {
            Turn::Done
        } else {
            Turn::More
        }
    }

    fn upkeep(&mut self, file: &mut OpenFile) {
        self.look_for_damage(file);
        self.note_write_error(file);
        if file.write_error().is_some() {
            return;
        }
        if self.last_keys.elapsed() >= KEYS_EVERY {
            self.last_keys = Instant::now();
            // Another process may index more keys.
            let result = self.load_keys(&file.db).map_err(WriteError::from);
            file.note_keep(result.as_ref());
        }
    }

    fn ended(&mut self) {
        lock(&self.shared.waiting).is_ended = true;
        self.shared.ended.notify_all();
    }

    fn panicked(&mut self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.is_closed = true;
        waiting.is_ended = true;
        // Dropping them notifies their callers.
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        drop(jobs);
        self.shared.ended.notify_all();
    }
}

impl Receiver {
    /// Ensures that the open file can be written and has the required indexes.
    fn ready(&mut self, file: &mut OpenFile) -> Result<(), WriteError> {
        file.ready()?;
        if self.generation == Some(file.generation()) {
            return Ok(());
        }
        self.state.clear();
        let tx = Transaction::new_unchecked(&file.db, TransactionBehavior::Immediate)?;
        open::index_keys(&tx, &self.shared.settings.indexed_keys)?;
        tx.commit()?;
        self.load_keys(&file.db)?;
        if let Some(metrics) = &mut self.metrics {
            metrics.begin(&file.db)?;
        }
        self.generation = Some(file.generation());
        Ok(())
    }

    fn load_keys(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.state.keys = db
            .prepare_cached("SELECT key, id FROM _attr_key")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        *write(&self.shared.keys) = self.state.keys.keys().cloned().collect();
        Ok(())
    }

    /// Writes jobs together, or, if that fails, each separately, so that none fails because of
    /// another one.
    ///
    /// # Errors
    /// Returns the jobs, to be written later, if readers hold the log.
    fn write(&mut self, file: &mut OpenFile, jobs: Vec<Job>) -> Result<(), Vec<Job>> {
        let prepared: Vec<&PreparedRecords> = jobs.iter().map(|job| &job.prepared).collect();
        let result = self.commit(file, &prepared);
        match result {
            Err(write_error) if file.bounds.may_pass(&write_error) => return Err(jobs),
            Ok(taken) => {
                for (job, taken) in jobs.into_iter().zip(taken) {
                    job.result_sender.send(Ok(taken));
                }
            }
            Err(write_error) if jobs.len() == 1 || !write_error.is_of_records() => {
                for job in jobs {
                    job.result_sender.send(Err(file.error_of(&write_error)));
                }
            }
            Err(_) => {
                for job in jobs {
                    let answer = self.commit(file, &[&job.prepared]);
                    let answer = answer.map(|taken| taken.into_iter().next().unwrap_or_default());
                    job.result_sender
                        .send(answer.map_err(|write_error| file.error_of(&write_error)));
                }
            }
        }
        file.keep();
        Ok(())
    }

    fn commit(&mut self, file: &mut OpenFile, jobs: &[&PreparedRecords]) -> Result<Vec<Taken>, WriteError> {
        let mut result = self.commit_once(file, jobs);
        if matches!(result, Err(WriteError::Replaced)) {
            result = self.commit_once(file, jobs);
        }
        // An error that passes while callers wait is not reported.
        if !matches!(&result, Err(write_error) if file.bounds.may_pass(write_error)) {
            file.note_write(result.as_ref());
        }
        self.note_write_error(file);
        result
    }

    fn look_for_damage(&self, file: &mut OpenFile) {
        if self.met_damage.swap(false, Ordering::Relaxed) {
            file.verify();
        }
    }

    fn note_write_error(&self, file: &OpenFile) {
        *lock(&self.shared.write_error) = file.store_error();
    }

    fn commit_once(
        &mut self,
        file: &mut OpenFile,
        jobs: &[&PreparedRecords],
    ) -> Result<Vec<Taken>, WriteError> {
        self.ready(file)?;
        if self.last_forgotten.elapsed() >= FORGET_EVERY {
            self.last_forgotten = Instant::now();
            self.state.clear();
        }
        let result = self.transaction(file, jobs);
        if result.is_err() {
            self.state.clear();
        }
        let (taken, overflow) = result?;
        self.overflows
            .report(overflow.metrics, self.shared.settings.max_series);
        if overflow.senders {
            self.overflows.report_senders();
        }
        Ok(taken)
    }

    fn transaction(
        &mut self,
        file: &mut OpenFile,
        jobs: &[&PreparedRecords],
    ) -> Result<(Vec<Taken>, Overflow), WriteError> {
        let tx = Transaction::new_unchecked(&file.db, TransactionBehavior::Immediate)?;
        let now = Timestamp::now().as_nanos();
        let settings = &self.shared.settings;
        let stored = self.metrics.as_ref().map(StoredMetrics::counts);
        let mut batch = Batch::begin(&tx, &mut self.state, settings, stored, now)?;
        let mark = file.marks.due();
        if let Some(time) = mark {
            batch.mark(time)?;
        }
        let mut taken = Vec::with_capacity(jobs.len());
        for job in jobs {
            taken.push(batch.store_batch(job)?);
        }
        let (overflowed, stored) = batch.finish()?;
        tx.commit()?;
        file.confirm()?;
        if let Some(metrics) = &mut self.metrics {
            metrics.record(stored);
        }
        // Records that start later than they are stored are in `_given.ahead`, and move no mark
        // ahead of the clock.
        file.marks.committed(mark, 0);
        Ok((taken, overflowed))
    }
}

/// Takes jobs for one transaction from the queue, the oldest first.
fn some_of(waiting: &mut Waiting, batch_bytes: usize) -> Vec<Job> {
    let mut bytes = 0;
    let mut some = Vec::new();
    while let Some(job) = waiting.jobs.front() {
        bytes += job.prepared.bytes;
        if !some.is_empty() && bytes > batch_bytes {
            break;
        }
        some.extend(waiting.jobs.pop_front());
    }
    some
}
