//! Notifies waiting callers that something was stored, by any process.
//!
//! `PRAGMA data_version` changes when another connection changes the file: a number in shared
//! memory, read in microseconds. One thread reads it, a few times a second, while any caller waits.
//! Rejected: file system notifications, which differ between systems and report nothing on a
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
use crate::oneshot::{ResultSender, oneshot};

/// The pause between two checks: with the writer's 200 ms, a change is seen within half a second.
const PAUSE: Duration = Duration::from_millis(200);

/// A wait ends after this number of checks, 5 s, even without a change; callers then read again.
const MAX_LOOKS: u32 = 25;

/// The callers that wait for changes of one file.
#[derive(Debug, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Grows with every change that was seen; 0 before the first check.
    version: u64,
    waiting: Vec<Waiting>,
    is_watched: bool,
}

struct Waiting {
    result_sender: ResultSender<u64>,
    /// How often the file was checked since the wait began.
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
    /// Resolves once the file was changed after version `seen`, or after [`MAX_LOOKS`] checks.
    pub(super) fn wait_for_change(&self, path: PathBuf, seen: u64) -> StoreFuture<'static, u64> {
        let mut state = lock(&self.0);
        // Nothing was checked while no caller waited, so the file may have changed.
        if !state.is_watched {
            state.version += 1;
        }
        let start = !state.is_watched;
        state.is_watched = true;
        let answer = if seen < state.version {
            let version = state.version;
            Err(version)
        } else {
            let (result_sender, answer) = oneshot();
            state.waiting.push(Waiting {
                result_sender,
                looks: 0,
            });
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

/// Checks the file until no caller has waited for a while.
fn watch(shared: &Mutex<State>, path: &Path) {
    /// Checks without a waiting caller before the thread ends: callers come back for the next
    /// change.
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
                waiting.result_sender.send(Ok(version));
            }
        }
        let version = state.version;
        state.waiting.retain_mut(|waiting| {
            waiting.looks += 1;
            if waiting.looks >= MAX_LOOKS {
                waiting.result_sender.send(Ok(version));
            }
            waiting.looks < MAX_LOOKS && !waiting.result_sender.is_abandoned()
        });
        idle = if state.waiting.is_empty() { idle + 1 } else { 0 };
        if idle > PATIENCE {
            state.is_watched = false;
        }
        drop(state);
        std::thread::sleep(PAUSE);
    }
}
