//! [`Followed`]: a run that somebody watches, read from the store once for all who do.
//!
//! A task waits for the store to change, reads what is new, and keeps it as a page. Watchers take pages at their own pace. What
//! they have not taken when room is needed is dropped; so memory has a bound, and nothing that a watcher does holds up the task,
//! the store or the program that is watched. The task ends with its last watcher.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use spanscope_core::sync::lock;
use spanscope_model::{
    Cursor, RunInfo, RunRecords, RunSpan, RunStatus, StoreError, StoreErrorKind, Tenant, Timestamp,
    TraceStore,
};
use spanscope_runs::{Outlook, RunEvent, Watched};
use tokio::sync::watch;
use tokio::time::sleep;

use super::RunSettings;
use super::page::Page;
use super::replay::Replay;

/// While spans run, their program is looked after this often: that it has died changes nothing in the store.
const LOOK: Duration = Duration::from_secs(5);
/// Reading follows reading no faster than this, however fast the store says that it changed.
const PAUSE: Duration = Duration::from_millis(20);
/// A store that fails is asked again so often, a second apart.
const TRIES: u32 = 5;

/// Whose run it is, as the caller sees it, and which.
type Key = (Option<Tenant>, String);

/// The runs that are watched.
#[derive(Default)]
pub(super) struct Hub {
    runs: Mutex<HashMap<Key, Weak<Followed>>>,
    /// Bytes of all pages.
    kept: Arc<AtomicUsize>,
}

impl Hub {
    /// What is known of a run that is followed. Hundreds who come to watch one run ask the store nothing.
    pub(super) fn info(&self, tenant: Option<&Tenant>, task_id: &str) -> Option<RunInfo> {
        let run = lock(&self.runs)
            .get(&(tenant.cloned(), task_id.to_owned()))?
            .upgrade()?;
        let state = lock(&run.state);
        state.info.clone().filter(|_| state.ending.is_none())
    }

    /// The run, which is followed from now on if it was not.
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
            news: watch::Sender::new(()),
            settings,
            kept: Arc::clone(&self.kept),
        });
        runs.insert(key, Arc::downgrade(&run));
        tokio::spawn(read_on(
            Arc::downgrade(&run),
            Replay::new(Arc::clone(store), task_id.to_owned()),
            Arc::clone(store),
        ));
        run
    }
}

/// Bytes of events, about, that are kept of all runs together; beyond it each keeps its last page.
const KEPT_OF_ALL: usize = 64 << 20;

/// A run that is followed.
pub(super) struct Followed {
    state: Mutex<State>,
    news: watch::Sender<()>,
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
    /// The pages that are kept, the oldest first.
    pages: VecDeque<Arc<Page>>,
    bytes: usize,
    /// What was read.
    upto: Cursor,
    info: Option<RunInfo>,
    /// Everything that was stored when somebody began to watch has been read.
    is_read: bool,
    ending: Option<Ending>,
}

/// Why nothing more comes.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// The run is over.
    Over(Arc<RunEvent>),
    /// It was deleted.
    Deleted,
    /// It can't be read.
    Failed(Arc<StoreError>),
}

/// What there is for whoever has read up to somewhere.
pub(super) enum Next {
    Page(Arc<Page>),
    /// Nothing now.
    Nothing,
    /// What follows is not kept any more; it is kept from here on.
    Gone(Cursor),
    Ending(Ending),
}

impl Followed {
    /// Wakes up whenever there may be more.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(super) fn after(&self, place: Cursor) -> Next {
        let state = lock(&self.state);
        if let Some(page) = state.pages.iter().find(|page| page.base == place) {
            return Next::Page(Arc::clone(page));
        }
        // Whoever comes with a place that lies beyond what was read has read what was stored.
        if place.covers(&state.upto) {
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

    /// The page between two places, if it is kept.
    pub(super) fn kept(&self, base: Cursor, upto: Cursor) -> Option<Arc<Page>> {
        let state = lock(&self.state);
        let page = state
            .pages
            .iter()
            .find(|page| page.base == base && page.upto == upto);
        page.cloned()
    }

    /// Waits until all that is stored was read once, and answers up to where and whether the run is over.
    pub(super) async fn read_once(&self) -> (Cursor, Option<Ending>) {
        let mut news = self.news();
        loop {
            {
                let state = lock(&self.state);
                if state.is_read || state.ending.is_some() {
                    return (state.upto, state.ending.clone());
                }
            }
            if news.changed().await.is_err() {
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
        // The last one is kept however large it is, or nobody would ever get it.
        while state.pages.len() > 1
            && (state.bytes > self.settings.kept_bytes || self.kept.load(Ordering::Relaxed) > KEPT_OF_ALL)
        {
            if let Some(page) = state.pages.pop_front() {
                state.bytes -= page.bytes;
                self.kept.fetch_sub(page.bytes, Ordering::Relaxed);
            }
        }
        drop(state);
        self.news.send_replace(());
    }

    fn end(&self, ending: Ending) {
        let mut state = lock(&self.state);
        state.ending = Some(ending);
        state.is_read = true;
        drop(state);
        self.news.send_replace(());
    }
}

/// Reads on until the run is over or nobody watches it.
async fn read_on(run: Weak<Followed>, mut replay: Replay, store: Arc<dyn TraceStore>) {
    let mut seen = 0;
    let began = Instant::now();
    let mut last_news = None;
    let mut failures = 0;
    loop {
        // What changes after this was answered is answered by the next one, so nothing is missed between them.
        if run.strong_count() == 0 {
            return;
        }
        if seen == 0
            && let Ok(version) = store.wait_for_change(0).await
        {
            seen = version;
        }
        let records = match read_what_is_new(&run, &mut replay, &mut last_news).await {
            Ok(Some(records)) => records,
            Ok(None) => return,
            Err(error) if may_pass(&error) && failures < TRIES => {
                failures += 1;
                sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(error) => {
                let ending = match error.is_not_found() {
                    true => Ending::Deleted,
                    false => Ending::Failed(Arc::new(error)),
                };
                if let Some(run) = run.upgrade() {
                    run.end(ending);
                }
                return;
            }
        };
        failures = 0;
        let Some(followed) = run.upgrade() else { return };
        let watched = Watched {
            now: Timestamp::now(),
            watched: began.elapsed(),
            since_news: last_news.map(|news: Instant| news.elapsed()),
            grace: followed.settings.grace,
            rootless_grace: followed.settings.rootless_grace,
        };
        let wait = match replay.reader.outlook(&records, watched) {
            Outlook::Over(status) => {
                drop(followed);
                let event = last_event(&mut replay, records, status, &store).await;
                let Some(followed) = run.upgrade() else { return };
                followed.end(Ending::Over(Arc::new(event)));
                return;
            }
            Outlook::Running => LOOK,
            Outlook::Waiting(wait) => wait.min(LOOK),
        };
        {
            let mut state = lock(&followed.state);
            let was_read = std::mem::replace(&mut state.is_read, true);
            state.info = Some(records.info);
            drop(state);
            if !was_read {
                followed.news.send_replace(());
            }
        }
        drop(followed);
        sleep(PAUSE).await;
        // Either something changes, or it is time to look whether the run is over.
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

/// Makes pages of what was stored since; none where nobody watches any more.
async fn read_what_is_new(
    run: &Weak<Followed>,
    replay: &mut Replay,
    last_news: &mut Option<Instant>,
) -> Result<Option<RunRecords>, StoreError> {
    loop {
        let (page, records) = replay.next(None).await?;
        let Some(run) = run.upgrade() else {
            return Ok(None);
        };
        // A page in which nothing happened is none: the next one begins where it did.
        if let Some(page) = page.filter(|page| !page.events.is_empty()) {
            if lock(&run.state).is_read {
                *last_news = Some(Instant::now());
            }
            run.push(page);
        }
        if !records.more {
            return Ok(Some(records));
        }
    }
}

/// The event that ends a run, with what its head said at its end, which was read long ago and not kept.
async fn last_event(
    replay: &mut Replay,
    mut records: RunRecords,
    status: RunStatus,
    store: &Arc<dyn TraceStore>,
) -> RunEvent {
    let event = replay.reader.finish(&records, status);
    let head = event.metadata.trace_id.zip(event.metadata.span_id);
    if let Some((trace_id, span_id)) = head
        && !records.spans.iter().any(|span| span.span.span_id == span_id)
        && let Ok(span) = store.get_span(trace_id, span_id).await
    {
        records.spans.push(RunSpan { order: 0, span });
        return replay.reader.finish(&records, status);
    }
    event
}

fn may_pass(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Unavailable | StoreErrorKind::Overloaded
    )
}
