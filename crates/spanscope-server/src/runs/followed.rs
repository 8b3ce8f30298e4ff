//! [`Followed`]: a watched run, read from the store once for all its watchers.
//!
//! A task waits for the store to change, reads new records, and keeps them as a page. Watchers take
//! pages at their own pace. When room is needed, the oldest pages are dropped, even if a watcher
//! has not taken them: so memory is bounded, and no watcher delays the task, the store or the
//! watched program. The task ends with its last watcher.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use spanscope_core::sync::lock;
use spanscope_model::{Cursor, RunInfo, StoreError, Tenant, TraceStore};
use spanscope_runs::{FollowStep, Follower, RunEvent};
use tokio::sync::watch;
use tokio::time::sleep;

use super::RunSettings;
use super::page::Page;
use super::replay::Replay;

/// Minimum interval between two reads, however often the store changes.
const PAUSE: Duration = Duration::from_millis(20);

/// A run's tenant, as the caller sees it, and its id.
type Key = (Option<Tenant>, String);

/// The runs that are watched.
#[derive(Default)]
pub(super) struct Hub {
    runs: Mutex<HashMap<Key, Weak<Followed>>>,
    /// Bytes of all pages.
    kept: Arc<AtomicUsize>,
}

impl Hub {
    /// Returns the info of a followed run. Hundreds of watchers of one run then need no query.
    pub(super) fn info(&self, tenant: Option<&Tenant>, task_id: &str) -> Option<RunInfo> {
        let run = lock(&self.runs)
            .get(&(tenant.cloned(), task_id.to_owned()))?
            .upgrade()?;
        let state = lock(&run.state);
        state.info.clone().filter(|_| state.ending.is_none())
    }

    /// Returns the followed run, and begins to follow it if necessary.
    pub(super) fn follow(
        &self,
        tenant: Option<Tenant>,
        task_id: &str,
        store: &Arc<dyn TraceStore>,
        settings: RunSettings,
    ) -> Arc<Followed> {
        let mut runs = lock(&self.runs);
        runs.retain(|_, run| run.strong_count() > 0);
        let key = (tenant, task_id.to_owned());
        if let Some(run) = runs.get(&key).and_then(Weak::upgrade)
            && lock(&run.state).ending.is_none()
        {
            return run;
        }
        let run = Arc::new(Followed {
            state: Mutex::default(),
            changes: watch::Sender::new(()),
            settings,
            kept: Arc::clone(&self.kept),
        });
        runs.insert(key, Arc::downgrade(&run));
        tokio::spawn(read_on(
            Arc::downgrade(&run),
            Replay::new(
                Arc::clone(store),
                task_id.to_owned(),
                Follower::new(settings.grace, settings.rootless_grace).sent_grace(settings.sent_grace),
            ),
            Arc::clone(store),
        ));
        run
    }
}

/// Approximate memory of the kept events of all runs, in bytes; beyond it each run keeps its last
/// page.
const KEPT_OF_ALL: usize = 64 << 20;

/// A run that is followed.
pub(super) struct Followed {
    state: Mutex<State>,
    changes: watch::Sender<()>,
    pub(super) settings: RunSettings,
    kept: Arc<AtomicUsize>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.kept.fetch_sub(lock(&self.state).bytes, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    /// The kept pages, the oldest first.
    pages: VecDeque<Arc<Page>>,
    bytes: usize,
    /// The cursor up to which records were read.
    upto: Cursor,
    info: Option<RunInfo>,
    /// Whether everything that was stored when watching began has been read.
    is_read: bool,
    /// The cursor at the end of these records: records that were stored during watching come after
    /// it.
    history: Option<Cursor>,
    /// The cursor at which the current or last reading began. It reads page after page, faster than
    /// any client takes them, so a client that was at this cursor then is not slow.
    reading_from: Cursor,
    ending: Option<Ending>,
}

/// Why the stream ends.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// The run is over.
    Over(Arc<RunEvent>),
    /// It was deleted.
    Deleted,
    /// It can't be read.
    Failed(Arc<StoreError>),
}

/// What is available to a watcher at a position.
pub(super) enum Next {
    Page(Arc<Page>),
    /// Nothing now.
    Nothing,
    /// The following pages are not kept any more; pages are kept from this cursor on.
    Gone(Cursor),
    Ending(Ending),
}

impl Followed {
    /// Returns a receiver that wakes up whenever there may be more.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn after(&self, position: Cursor) -> Next {
        let state = lock(&self.state);
        if let Some(page) = state.pages.iter().find(|page| page.base == position) {
            return Next::Page(Arc::clone(page));
        }
        // A client with a position beyond what was read has read everything stored.
        if position.covers(&state.upto) {
            return match (&state.ending, state.is_read) {
                (Some(ending), _) => Next::Ending(ending.clone()),
                (None, _) => Next::Nothing,
            };
        }
        match &state.ending {
            Some(ending @ (Ending::Deleted | Ending::Failed(_))) => Next::Ending(ending.clone()),
            _ if !state.is_read => Next::Nothing,
            _ => Next::Gone(state.upto),
        }
    }

    /// Returns whether the records after a position were recorded while a client watched.
    pub(super) fn is_recorded_live(&self, base: Cursor) -> bool {
        lock(&self.state).history.is_some_and(|end| base.covers(&end))
    }

    /// Returns whether a client at this position had not read everything before the last reading
    /// began: it is slower than the recording.
    pub(super) fn is_behind(&self, at: Cursor) -> bool {
        !at.covers(&lock(&self.state).reading_from)
    }

    /// Returns the page between two positions, if it is kept.
    pub(super) fn kept(&self, base: Cursor, upto: Cursor) -> Option<Arc<Page>> {
        let state = lock(&self.state);
        let page = state
            .pages
            .iter()
            .find(|page| page.base == base && page.upto == upto);
        page.cloned()
    }

    /// Waits until everything stored was read once, and returns the cursor and whether the run is
    /// over.
    pub(super) async fn read_once(&self) -> (Cursor, Option<Ending>) {
        let mut changes = self.changes();
        loop {
            {
                let state = lock(&self.state);
                if state.is_read || state.ending.is_some() {
                    return (state.upto, state.ending.clone());
                }
            }
            if changes.changed().await.is_err() {
                return (Cursor::default(), None);
            }
        }
    }

    fn push(&self, mut page: Page) {
        let mut state = lock(&self.state);
        page.base = state.upto;
        state.upto = page.upto;
        state.bytes += page.bytes;
        self.kept.fetch_add(page.bytes, Ordering::Relaxed);
        state.pages.push_back(Arc::new(page));
        // The last one is kept at any size; otherwise no watcher would ever get it.
        while state.pages.len() > 1
            && (state.bytes > self.settings.event_buffer_bytes
                || self.kept.load(Ordering::Relaxed) > KEPT_OF_ALL)
        {
            if let Some(page) = state.pages.pop_front() {
                state.bytes -= page.bytes;
                self.kept.fetch_sub(page.bytes, Ordering::Relaxed);
            }
        }
        drop(state);
        self.changes.send_replace(());
    }

    fn end(&self, ending: Ending) {
        let mut state = lock(&self.state);
        state.ending = Some(ending);
        state.is_read = true;
        drop(state);
        self.changes.send_replace(());
    }
}

/// Reads until the run is over or its last watcher is gone.
async fn read_on(run: Weak<Followed>, mut replay: Replay, store: Arc<dyn TraceStore>) {
    let mut seen = 0;
    let mut reads_on = false;
    loop {
        if run.strong_count() == 0 {
            return;
        }
        if !reads_on && let Some(followed) = run.upgrade() {
            let mut state = lock(&followed.state);
            state.reading_from = state.upto;
        }
        // A change after this returned makes the next wait return, so nothing is missed between
        // them.
        if seen == 0
            && let Ok(version) = store.wait_for_change(0).await
        {
            seen = version;
        }
        let read = replay.next(None).await;
        let Some(followed) = run.upgrade() else { return };
        let (page, records) = match read {
            Ok(read) => read,
            Err(error) => {
                if let Some(pause) = replay.follower.retry_after(&error) {
                    drop(followed);
                    sleep(pause).await;
                    continue;
                }
                followed.end(match error.is_not_found() {
                    true => Ending::Deleted,
                    false => Ending::Failed(Arc::new(error)),
                });
                return;
            }
        };
        if let Some(page) = page {
            followed.push(page);
        }
        let wait = match replay.step(&records) {
            FollowStep::ReadMore => {
                reads_on = true;
                continue;
            }
            FollowStep::Wait(wait) => wait,
            FollowStep::Finished(status) => {
                drop(followed);
                let head = match replay.follower.output_span_to_read(&records) {
                    Some((trace, span)) => store.get_span(trace, span).await.ok(),
                    None => None,
                };
                let event = replay.follower.finish(records, status, head);
                let Some(followed) = run.upgrade() else { return };
                followed.end(Ending::Over(Arc::new(event)));
                return;
            }
        };
        {
            let mut state = lock(&followed.state);
            let was_read = std::mem::replace(&mut state.is_read, true);
            if !was_read {
                state.history = Some(state.upto);
            }
            state.info = Some(records.info);
            drop(state);
            if !was_read {
                followed.changes.send_replace(());
            }
        }
        reads_on = false;
        drop(followed);
        sleep(PAUSE).await;
        // Either something changes, or it is time to check whether the run is over.
        tokio::select! {
            changed = store.wait_for_change(seen) => {
                if let Ok(version) = changed {
                    seen = version;
                } else {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            () = sleep(wait) => {}
        }
    }
}
