//! Takes in what other programs send: a bounded queue, and one thread that writes.
//!
//! ```text
//! store(records) -> rows, on the caller's thread -> queue -> one transaction of all that waits -> every caller is answered
//! ```
//!
//! A caller is answered when its records are committed, so what is acknowledged is never lost to a crash of this process. What
//! would not fit into the queue is refused at once. When a transaction fails, each of its callers is told, and may give the same
//! records again: nothing is stored twice.

mod batch;
mod maker;
mod prepared;
mod senders;
mod spans;
mod state;
mod store_batch;
mod tokens;
mod totals;

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use spanscope_core::sync::{lock, read, wait_timeout_while, write};
use spanscope_core::threads;
use spanscope_model::{
    IngestReceipt, NewRecords, StoreError, StoreErrorKind, StoreFuture, Tenant, Timestamp,
};

use self::batch::Batch;
use self::prepared::PreparedRecords;
use self::state::State;
use crate::file::bounds::{Bounds, Trouble};
use crate::file::marks::Marks;
use crate::file::open;
use crate::ingest::{BATCH_BYTES, Overflows};
use crate::promise::{Promise, promised};

/// The age of what is stored is looked at this often.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// What is known of rows is forgotten this often, because another process may delete them.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How a file is written that takes in records.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) max_series: u64,
    pub(crate) max_value_len: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) indexed_keys: Vec<String>,
}

/// Records that wait, and who waits for them.
struct Job {
    prepared: PreparedRecords,
    promise: Promise<IngestReceipt>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Keys that the file indexes.
    keys: RwLock<HashSet<String>>,
    settings: Settings,
    /// What the file calls itself.
    name: String,
}

/// The way into a file. Dropping it writes what waits.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl Intake {
    /// Opens or makes the file and starts the thread.
    pub(crate) fn open(path: &Path, settings: Settings) -> Result<Self, StoreError> {
        let mut writer = Writer::open(path, &settings)?;
        let name = open::store_name(&writer.db).map_err(|error| open::sql_error(path, error))?;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            keys: RwLock::new(writer.state.keys.keys().cloned().collect()),
            settings,
            name,
        });
        let of_thread = Arc::clone(&shared);
        let thread = threads::spawn("spanscope-intake", move || writer.run(&of_thread)).map_err(|error| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                "the writing thread could not be started",
            )
            .with_source(error)
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Gives records to the thread. The answer comes when they are committed.
    pub(crate) fn enqueue(
        &self,
        tenant: Option<&Tenant>,
        records: NewRecords,
    ) -> StoreFuture<'static, IngestReceipt> {
        if records.is_empty() || records.stored_in.as_ref() == Some(&self.shared.name) {
            let known = records.len();
            return Box::pin(async move {
                Ok(IngestReceipt {
                    known,
                    ..IngestReceipt::default()
                })
            });
        }
        let settings = &self.shared.settings;
        // What has no room is not worth being made into rows, which is most of the work.
        if let Err(error) = self.room_for(0) {
            return Box::pin(async { Err(error) });
        }
        let prepared = {
            let keys = read(&self.shared.keys);
            PreparedRecords::new(tenant, records, settings.max_value_len, &|key| keys.contains(key))
        };
        let bytes = prepared.bytes;
        if let Err(error) = self.room_for(bytes) {
            return Box::pin(async { Err(error) });
        }
        let (promise, answer) = promised();
        let mut waiting = lock(&self.shared.waiting);
        if waiting.is_closed {
            return Box::pin(async {
                Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the store is being closed: give the records to the next one",
                ))
            });
        }
        waiting.bytes += bytes;
        waiting.jobs.push_back(Job { prepared, promise });
        drop(waiting);
        self.shared.changed.notify_one();
        Box::pin(answer)
    }

    /// Whether so much more may wait. Records that are larger than the queue are taken when nothing else waits.
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
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has answered its callers already.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Writer {
    db: Connection,
    bounds: Bounds,
    state: State,
    settings: Settings,
    marks: Marks,
    last_forgotten: Instant,
    overflows: Overflows,
}

impl Writer {
    fn open(path: &Path, settings: &Settings) -> Result<Self, StoreError> {
        let db = open::open_write(path)?;
        let mut writer = Self {
            db,
            bounds: Bounds::new(path, settings.retention, settings.max_bytes),
            state: State::default(),
            settings: settings.clone(),
            marks: Marks::default(),
            last_forgotten: Instant::now(),
            overflows: Overflows::default(),
        };
        writer.begin().map_err(|error| open::sql_error(path, error))?;
        Ok(writer)
    }

    /// What is to be done with a file that has just been opened.
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.state.clear();
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        open::index_keys(&tx, &self.settings.indexed_keys)?;
        tx.commit()?;
        self.marks = Marks::load(&self.db)?;
        self.load_keys()
    }

    fn load_keys(&mut self) -> rusqlite::Result<()> {
        self.state.keys = self
            .db
            .prepare_cached("SELECT key, id FROM _attr_key")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(())
    }

    fn run(&mut self, shared: &Shared) {
        let mut last_upkeep = Instant::now();
        loop {
            let jobs = {
                let waiting = lock(&shared.waiting);
                let mut waiting = wait_timeout_while(&shared.changed, waiting, UPKEEP_EVERY, |waiting| {
                    waiting.jobs.is_empty() && !waiting.is_closed
                });
                if waiting.jobs.is_empty() && waiting.is_closed {
                    break;
                }
                some_of(&mut waiting)
            };
            if !jobs.is_empty() {
                let bytes: usize = jobs.iter().map(|job| job.prepared.bytes).sum();
                self.write(jobs);
                lock(&shared.waiting).bytes -= bytes;
            }
            if last_upkeep.elapsed() >= UPKEEP_EVERY {
                last_upkeep = Instant::now();
                self.upkeep(shared);
            }
        }
        // The file is left whole; that it could not be is for the next one who opens it to mend.
        let _ = self.bounds.close(&self.db);
    }

    /// Writes jobs together, or where that fails each by itself, so that none suffers for another one.
    fn write(&mut self, jobs: Vec<Job>) {
        let prepared: Vec<&PreparedRecords> = jobs.iter().map(|job| &job.prepared).collect();
        match self.commit(&prepared) {
            Ok(taken) => {
                for (job, taken) in jobs.into_iter().zip(taken) {
                    job.promise.keep(Ok(taken));
                }
            }
            Err(trouble) if jobs.len() == 1 || !trouble.is_of_records() => {
                for job in jobs {
                    job.promise.keep(Err(self.error_of(&trouble)));
                }
            }
            Err(_) => {
                for job in jobs {
                    let answer = self.commit(&[&job.prepared]);
                    let answer = answer.map(|taken| taken.first().copied().unwrap_or_default());
                    job.promise
                        .keep(answer.map_err(|trouble| self.error_of(&trouble)));
                }
            }
        }
        // A file that could not be kept within its bounds now is tried again with the next batch.
        let _ = self.bounds.keep(&self.db);
    }

    fn commit(&mut self, jobs: &[&PreparedRecords]) -> Result<Vec<IngestReceipt>, Trouble> {
        if self.bounds.is_gone() {
            self.db = open::open_write(self.bounds.path())?;
            self.bounds.opened();
            self.begin()?;
        }
        self.bounds.make_wal_room(&self.db)?;
        if self.last_forgotten.elapsed() >= FORGET_EVERY {
            self.last_forgotten = Instant::now();
            self.state.clear();
        }
        let result = self.transaction(jobs);
        if result.is_err() {
            self.state.clear();
        }
        let (taken, overflowed) = result?;
        self.overflows.report(overflowed, self.settings.max_series);
        Ok(taken)
    }

    fn transaction(
        &mut self,
        jobs: &[&PreparedRecords],
    ) -> rusqlite::Result<(Vec<IngestReceipt>, Vec<String>)> {
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let now = Timestamp::now().as_nanos();
        let mut batch = Batch::begin(
            &tx,
            &mut self.state,
            self.settings.max_series,
            self.settings.max_value_len,
            now,
        )?;
        let mark = self.marks.due();
        if let Some(time) = mark {
            batch.mark(time)?;
        }
        let mut taken = Vec::with_capacity(jobs.len());
        for job in jobs {
            taken.push(batch.store_batch(job)?);
        }
        let overflowed = batch.finish()?;
        tx.commit()?;
        // What begins later than it is stored is in `_given.ahead`, and pushes no mark ahead of the clock.
        self.marks.committed(mark, 0);
        Ok((taken, overflowed))
    }

    fn upkeep(&mut self, shared: &Shared) {
        // Senders may have been forgotten, and another process may index more keys.
        if self.bounds.upkeep(&self.db).unwrap_or(false) {
            self.state.clear();
        }
        if self.load_keys().is_ok() {
            *write(&shared.keys) = self.state.keys.keys().cloned().collect();
        }
    }

    fn error_of(&self, trouble: &Trouble) -> StoreError {
        StoreError::new(
            StoreErrorKind::Unavailable,
            format!("{} can't be written now: {trouble}", self.bounds.path().display()),
        )
    }
}

/// Jobs for one transaction, the oldest first.
fn some_of(waiting: &mut Waiting) -> Vec<Job> {
    let mut bytes = 0;
    let mut some = Vec::new();
    while let Some(job) = waiting.jobs.front() {
        bytes += job.prepared.bytes;
        if !some.is_empty() && bytes > BATCH_BYTES {
            break;
        }
        some.extend(waiting.jobs.pop_front());
    }
    some
}
