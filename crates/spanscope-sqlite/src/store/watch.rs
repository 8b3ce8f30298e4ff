//! Notifies waiting callers that something was stored, by any process.
//!
//! SQLite tells a connection whether another one changed the file (`data_version`): a number in
//! shared memory, read in microseconds. One thread reads it, a few times a second, while any caller
//! waits. File system notifications would need a watcher for each system, and report nothing on a
//! network share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use spanscope_core::sync::lock;
use spanscope_core::threads;
use spanscope_model::{StoreError, StoreErrorKind, StoreFuture};

use super::connections::{FileId, file_id};
use crate::file::open::open_read;
use crate::promise::{Promise, promised};

/// The pause between two checks: with the writer's 200 ms, a change is seen within half a second.
const PAUSE: Duration = Duration::from_millis(200);

/// A wait ends after this many looks, 5 s, though nothing was seen: callers read again anyway.
const MAX_LOOKS: u32 = 25;

/// The callers that wait for changes of one file.
#[derive(Debug, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Grows with every change that was seen; 0 before the first look.
    version: u64,
    waiting: Vec<Waiting>,
    is_watched: bool,
}

struct Waiting {
    promise: Promise<u64>,
    /// How often the file was looked at since.
    looks: u32,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Resolves when the file was changed after `seen` was returned, and after [`MAX_LOOKS`].
    pub(super) fn wait_for_change(&self, path: PathBuf, seen: u64) -> StoreFuture<'static, u64> {
        let mut state = lock(&self.0);
        // Without waiting callers nothing was checked: something may have changed, so the caller
        // checks itself.
        if !state.is_watched {
            state.version += 1;
        }
        let start = !state.is_watched;
        state.is_watched = true;
        let answer = if seen < state.version {
            let version = state.version;
            Err(version)
        } else {
            let (promise, answer) = promised();
            state.waiting.push(Waiting { promise, looks: 0 });
            Ok(answer)
        };
        drop(state);
        if start {
            let shared = Arc::clone(&self.0);
            if let Err(error) = threads::spawn("spanscope-watch", move || watch(&shared, &path)) {
                lock(&self.0).is_watched = false;
                return Box::pin(async move {
                    Err(StoreError::new(
                        StoreErrorKind::Unavailable,
                        "the thread that watches the file could not be started",
                    )
                    .with_source(error))
                });
            }
        }
        Box::pin(async move {
            match answer {
                Err(version) => Ok(version),
                Ok(answer) => answer.await,
            }
        })
    }
}

/// Checks until there were no waiting callers for a while.
fn watch(shared: &Mutex<State>, path: &Path) {
    /// A caller returns for the next change; the thread outlives the time between.
    const PATIENCE: u32 = 40;
    let mut db: Option<Connection> = None;
    let mut known: (FileId, Option<i64>) = (FileId::default(), None);
    let mut idle = 0;
    while idle <= PATIENCE {
        let id = file_id(path);
        if id != known.0 {
            db = None; // another file under the same name
        }
        if db.is_none() {
            db = open_read(path).ok();
        }
        let version: Option<i64> = db
            .as_ref()
            .and_then(|db| db.pragma_query_value(None, "data_version", |row| row.get(0)).ok());
        let mut state = lock(shared);
        if known != (id, version) {
            known = (id, version);
            state.version += 1;
            let version = state.version;
            for waiting in std::mem::take(&mut state.waiting) {
                waiting.promise.keep(Ok(version));
            }
        }
        let version = state.version;
        state.waiting.retain_mut(|waiting| {
            waiting.looks += 1;
            if waiting.looks >= MAX_LOOKS {
                waiting.promise.keep(Ok(version));
            }
            waiting.looks < MAX_LOOKS && !waiting.promise.is_abandoned()
        });
        idle = if state.waiting.is_empty() { idle + 1 } else { 0 };
        if idle > PATIENCE {
            state.is_watched = false;
        }
        drop(state);
        std::thread::sleep(PAUSE);
    }
}
