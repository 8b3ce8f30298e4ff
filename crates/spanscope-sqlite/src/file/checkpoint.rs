//! The helper thread that copies the write-ahead log into the file while the writer continues.
//!
//! Without it, copying takes a fifth of a writer's time. The helper has its own connection and only
//! runs passive checkpoints, which never wait and change no record. It does not decide how large
//! the log may grow: the writer waits for the helper and copies the rest before the log reaches its
//! limit. So a helper that fails only costs time.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use spanscope_core::sync::{lock, wait_while};
use spanscope_core::threads;

/// A helper thread for one file. Dropping it waits for its current work.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_wanted: bool,
    is_running: bool,
    is_ended: bool,
}

impl Checkpointer {
    /// Opens the file again and starts the thread; `None` if that fails.
    pub(crate) fn start(path: &Path) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).ok()?;
        db.busy_timeout(Duration::ZERO).ok()?;
        db.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;")
            .ok()?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = threads::spawn("spanscope-log", move || of_thread.run(&db)).ok()?;
        Some(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Requests a copy of the current log, and returns at once.
    pub(crate) fn request(&self) {
        self.shared.with(|state| state.is_wanted = true);
        self.shared.changed.notify_all();
    }

    /// Waits until the helper is idle.
    pub(crate) fn wait_until_idle(&self) {
        let state = lock(&self.shared.state);
        drop(wait_while(&self.shared.changed, state, |state| {
            state.is_wanted || state.is_running
        }));
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.with(|state| {
            state.is_ended = true;
            state.is_wanted = false;
        });
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
    }

    fn run(&self, db: &Connection) {
        loop {
            {
                let state = lock(&self.state);
                let mut state = wait_while(&self.changed, state, |state| !state.is_wanted && !state.is_ended);
                if state.is_ended {
                    return;
                }
                state.is_wanted = false;
                state.is_running = true;
            }
            // The writer retries what fails here, and reports it.
            let _ = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            self.with(|state| state.is_running = false);
            self.changed.notify_all();
        }
    }
}
