//! [`Turn`]: how long a question may go on, and why it was stopped.
//!
//! SQLite asks its progress handler every so many steps of a statement whether to go on; the handler
//! asks the turn. So a question is stopped in the middle of a scan, whoever awaits it, and what it
//! read is given back at once: its transaction ends, and with it what keeps the log from being used
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_model::{StoreError, StoreErrorKind};

/// Steps of SQLite's machine between two looks: some microseconds to a tenth of a millisecond.
const STEPS: i32 = 1000;

/// Asks whether the answer has no reader any more.
pub(super) type IsAbandoned = Arc<dyn Fn() -> bool + Send + Sync>;

/// One turn of a question on a thread.
pub(super) struct Turn {
    is_abandoned: Option<IsAbandoned>,
    /// The whole turn ends then.
    ends: Option<Instant>,
    /// Each of its read transactions may take this long.
    longest_read: Option<Duration>,
    /// It was stopped at its end, or would have been.
    is_over: Arc<AtomicBool>,
}

impl Turn {
    /// A turn that ends after this time.
    pub(super) fn within(time: Duration, is_abandoned: IsAbandoned) -> Self {
        Self {
            ends: Instant::now().checked_add(time),
            ..Self::of_reads(None, is_abandoned)
        }
    }

    /// A turn that may take long in several transactions, of which none takes longer than this.
    pub(super) fn of_reads(longest_read: Option<Duration>, is_abandoned: IsAbandoned) -> Self {
        Self {
            is_abandoned: Some(is_abandoned),
            longest_read,
            ..Self::endless()
        }
    }

    /// A turn that nothing stops.
    pub(super) fn endless() -> Self {
        Self {
            is_abandoned: None,
            ends: None,
            longest_read: None,
            is_over: Arc::default(),
        }
    }

    /// Whether the question may take its time, and has to read in pieces then.
    pub(super) fn is_long(&self) -> bool {
        self.ends.is_none()
    }

    /// Whether the turn ended before the question was answered.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Fails where the question must not go on, between two transactions.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self
            .is_abandoned
            .as_ref()
            .is_some_and(|is_abandoned| is_abandoned())
        {
            return Err(abandoned());
        }
        if self.ends.is_some_and(|ends| Instant::now() >= ends) {
            self.is_over.store(true, Ordering::Relaxed);
            return Err(too_long());
        }
        Ok(())
    }

    /// Has the connection ask this turn whether to go on, until the watch is dropped.
    pub(super) fn watch<'a>(&self, db: &'a mut Connection) -> rusqlite::Result<Watched<'a>> {
        let until = match self.longest_read {
            Some(longest) => Instant::now().checked_add(longest),
            None => self.ends,
        };
        let is_abandoned = self.is_abandoned.clone();
        let stopped = Arc::new(Stopped::default());
        if is_abandoned.is_some() || until.is_some() {
            let (stopped, is_over) = (Arc::clone(&stopped), Arc::clone(&self.is_over));
            db.progress_handler(
                STEPS,
                Some(move || {
                    if is_abandoned.as_ref().is_some_and(|is_abandoned| is_abandoned()) {
                        stopped.abandoned.store(true, Ordering::Relaxed);
                        return true;
                    }
                    let is_late = until.is_some_and(|until| Instant::now() >= until);
                    if is_late {
                        stopped.late.store(true, Ordering::Relaxed);
                        is_over.store(true, Ordering::Relaxed);
                    }
                    is_late
                }),
            )?;
        }
        Ok(Watched { db, stopped })
    }
}

#[derive(Debug, Default)]
struct Stopped {
    abandoned: AtomicBool,
    late: AtomicBool,
}

/// A connection that is watched.
pub(super) struct Watched<'a> {
    pub(super) db: &'a mut Connection,
    stopped: Arc<Stopped>,
}

impl Watched<'_> {
    /// Why the connection was told to stop; none where it was not.
    pub(super) fn why_stopped(&self) -> Option<StoreError> {
        if self.stopped.abandoned.load(Ordering::Relaxed) {
            Some(abandoned())
        } else if self.stopped.late.load(Ordering::Relaxed) {
            Some(too_long())
        } else {
            None
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // It only fails on a connection that others use at the same time.
        let _ = self.db.progress_handler(0, None::<fn() -> bool>);
    }
}

/// Has no reader.
fn abandoned() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the question was given up")
}

fn too_long() -> StoreError {
    StoreError::new(
        StoreErrorKind::TooLong,
        "the question has to look at more than can be read at one time: ask for less, with conditions, \
         a limit or a shorter time",
    )
}
