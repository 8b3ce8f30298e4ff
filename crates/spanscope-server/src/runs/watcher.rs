//! [`Watcher`]: one client of a stream, from its first position to the end of the run.
//!
//! It takes kept pages when it reaches them, and reads other pages from the store itself. A client
//! that had caught up with the recording and then fell behind reads more slowly than the run is
//! recorded: it is cut off, and may return with the id of its last event. A client that still reads
//! earlier records is never cut off, however far the recording advances meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use spanscope_model::{Cursor, StoreError, TraceStore};
use spanscope_runs::{DetailLevel, Follower, TraceFormat};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::followed::{Ending, Followed, Next};
use super::page::{done_text, end_text};
use super::position::{StreamPosition, Within};
use super::replay::Replay;
use crate::answer::ApiError;
use crate::permits::Permit;
use crate::store_log::StoreLog;

/// Clients wait a second before they reconnect.
const RETRY: &str = "retry: 1000\n\n";
const KEEP_ALIVE: &str = ": nothing new\n\n";
const TOO_SLOW: &str = ": closed, because the client reads more slowly than the run is recorded; reconnect with last-event-id\n\n";
const SHUTTING_DOWN: &str = ": the server is shutting down; reconnect with last-event-id\n\n";

/// The state of a stream.
pub(super) struct Watcher {
    run: Arc<Followed>,
    changes: watch::Receiver<()>,
    store: Arc<dyn TraceStore>,
    task_id: String,
    format: TraceFormat,
    level: DetailLevel,
    /// Concurrent replays of all clients.
    replays: Arc<Semaphore>,
    ends: Option<watch::Receiver<bool>>,
    log: Option<StoreLog>,
    /// The cursor up to which everything was sent.
    at: Cursor,
    /// Resume point within the page that begins at `at`: the end of the page, and the id of the
    /// last event that was already sent.
    resume: Option<(Cursor, String)>,
    /// Whether the client already has the event that ends the run.
    has_end: bool,
    replay: Option<Replay>,
    /// When something was sent last.
    last_sent: Instant,
    /// Whether this stream has sent events.
    has_sent_events: bool,
    /// Whether the client got pages that were recorded while it watched.
    is_live: bool,
    is_done: bool,
    has_begun: bool,
    _permit: Permit,
}

/// The parts of a watcher.
pub(super) struct Watching {
    pub(super) run: Arc<Followed>,
    pub(super) store: Arc<dyn TraceStore>,
    pub(super) task_id: String,
    pub(super) format: TraceFormat,
    pub(super) level: DetailLevel,
    pub(super) after: Option<StreamPosition>,
    pub(super) replays: Arc<Semaphore>,
    /// Reports that the server ends.
    pub(super) ends: Option<watch::Receiver<bool>>,
    /// For failures of the store.
    pub(super) log: Option<StoreLog>,
    pub(super) permit: Permit,
}

impl Watcher {
    pub(super) fn new(watching: Watching) -> Self {
        let Watching {
            run,
            store,
            task_id,
            format,
            level,
            after,
            replays,
            ends,
            log,
            permit,
        } = watching;
        let (at, resume, has_end) = match after {
            None => (Cursor::default(), None, false),
            Some(StreamPosition {
                base,
                upto,
                within: Within::Event(event),
            }) => (base, Some((upto, event)), false),
            Some(StreamPosition { upto, .. }) => (upto, None, true),
        };
        Self {
            changes: run.changes(),
            run,
            store,
            task_id,
            format,
            level,
            replays,
            ends,
            log,
            at,
            resume,
            has_end,
            replay: None,
            last_sent: Instant::now(),
            has_sent_events: false,
            is_live: false,
            is_done: false,
            has_begun: false,
            _permit: permit,
        }
    }

    /// Returns the next piece of the stream; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(Bytes::from_static(RETRY.as_bytes()));
        }
        while !self.is_done {
            if self.ends.as_ref().is_some_and(|ends| *ends.borrow()) {
                self.is_done = true;
                return Some(Bytes::from_static(SHUTTING_DOWN.as_bytes()));
            }
            // Before the check, so that later changes are not missed.
            self.changes.mark_unchanged();
            let next = match self.resume.take() {
                Some((upto, sent)) => match self.run.kept(self.at, upto) {
                    Some(page) => {
                        self.at = upto;
                        let text = page.text_after(Some(&sent), self.format, self.level);
                        if text.is_empty() {
                            continue;
                        }
                        return self.sent(text);
                    }
                    // A page that was begun has to be recreated identically.
                    None => {
                        self.resume = Some((upto, sent));
                        Next::Gone(upto)
                    }
                },
                None => self.run.after(self.at),
            };
            let text = match next {
                Next::Page(page) => {
                    self.replay = None;
                    self.is_live |= self.run.is_recorded_live(page.base);
                    self.at = page.upto;
                    self.has_sent_events = true;
                    page.text(self.format, self.level).await
                }
                Next::Nothing => match self.wait().await {
                    Some(text) => text,
                    None => continue,
                },
                Next::Gone(_) if self.is_live && self.resume.is_none() && self.run.is_behind(self.at) => {
                    self.is_done = true;
                    Bytes::from_static(TOO_SLOW.as_bytes())
                }
                Next::Gone(upto) => match self.read_by_itself(upto).await {
                    Ok(text) => text,
                    Err(error) => self.end_of(&error),
                },
                Next::Ending(ending) => self.end(&ending),
            };
            if !text.is_empty() {
                return self.sent(text);
            }
        }
        None
    }

    fn sent(&mut self, text: Bytes) -> Option<Bytes> {
        self.last_sent = Instant::now();
        Some(text)
    }

    /// Waits until there may be more; returns a keep-alive if that takes long.
    async fn wait(&mut self) -> Option<Bytes> {
        // Measured from the last output: changes may have no event at this client's level.
        let keep_alive = self.last_sent + self.run.settings.keep_alive;
        let server_ends = async {
            match &mut self.ends {
                Some(ends) => drop(ends.wait_for(|ends| *ends).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            waited = timeout_at(keep_alive, self.changes.changed()) => match waited {
                Ok(Ok(())) => None,
                Ok(Err(_)) => {
                    // This can't happen: the run is held here, and with it the sender.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    None
                }
                Err(_) => Some(Bytes::from_static(KEEP_ALIVE.as_bytes())),
            },
            () = server_ends => None,
        }
    }

    /// Reads the next page up to here from the store.
    async fn read_by_itself(&mut self, upto: Cursor) -> Result<Bytes, StoreError> {
        // Held only while the store is read, so that a slow client does not block others.
        let replays = Arc::clone(&self.replays);
        let Ok(permit) = replays.acquire().await else {
            return Ok(Bytes::new()); // it is never closed
        };
        let mut replay = match self.replay.take() {
            Some(replay) => replay,
            None => {
                let mut replay =
                    Replay::new(Arc::clone(&self.store), self.task_id.clone(), Follower::default());
                if self.at != Cursor::default() {
                    replay.skip(self.at).await?;
                }
                replay
            }
        };
        let sent = self.resume.take().map(|(_, sent)| sent);
        let page = if let Some(sent) = &sent {
            let page = replay.again(upto).await?;
            if !page.as_ref().is_some_and(|page| page.has(sent)) {
                // The page has changed, or the id is of another run. The stream restarts at the
                // beginning, so that nothing is lost.
                self.at = Cursor::default();
                return Ok(Bytes::new());
            }
            page
        } else {
            let (page, records) = replay.next(Some(upto)).await?;
            if !records.more {
                replay.follower.skip_to(upto);
            }
            page
        };
        self.at = replay.follower.cursor();
        self.replay = Some(replay);
        let (format, level) = (self.format, self.level);
        let Some(page) = page else {
            return Ok(Bytes::new());
        };
        self.has_sent_events |= !page.events.is_empty();
        let written =
            tokio::task::spawn_blocking(move || page.text_after(sent.as_deref(), format, level)).await;
        drop(permit);
        Ok(written.unwrap_or_default())
    }

    fn end(&mut self, ending: &Ending) -> Bytes {
        self.is_done = true;
        match ending {
            Ending::Over(event) => {
                let mut text = match self.has_end && !self.has_sent_events {
                    true => String::new(),
                    false => end_text(self.at, event, self.format, self.level),
                };
                text.push_str(&done_text(self.at));
                text.into()
            }
            Ending::Deleted => self.deleted(),
            Ending::Failed(error) => self.end_of(error),
        }
    }

    fn deleted(&self) -> Bytes {
        let data = serde_json::json!({"event": "trace_deleted", "data": {"task_id": self.task_id}});
        format!("data: {data}\n\n{}", done_text(self.at)).into()
    }

    /// Breaks the stream off; the client may return.
    fn end_of(&mut self, error: &StoreError) -> Bytes {
        self.is_done = true;
        if error.is_not_found() {
            return self.deleted();
        }
        // Details of the store's failure are for the operator of the server.
        let error = ApiError::from(error);
        if let Some(log) = &self.log {
            log.note_error(&error);
        }
        let data = serde_json::json!({"event": "error", "data": {"message": error.to_string()}});
        format!("data: {data}\n\n").into()
    }
}
