//! [`Turn`]: the time limit of a query, and why it was stopped.
//!
//! SQLite calls its progress handler every [`STEPS`] steps of a statement; the handler checks the
//! turn. So a query can be stopped in the middle of a scan, and its transaction, which keeps the
//! log from being reused, ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_model::{StoreError, StoreErrorKind};

/// Steps of SQLite's virtual machine between two checks: a few microseconds to 100 µs.
const STEPS: i32 = 1000;

/// The time between two checks whether other queries still run: a list takes about 1 ms.
const PAUSE: Duration = Duration::from_micros(200);
/// How long a new transaction may pause: other queries usually take half of that.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Returns whether the future of the result was dropped.
pub(super) type IsAbandoned = Arc<dyn Fn() -> bool + Send + Sync>;

/// One turn of a query on a thread.
pub(super) struct Turn {
    is_abandoned: Option<IsAbandoned>,
    /// The end of the whole turn.
    ends: Option<Instant>,
    /// The time limit of each of its read transactions.
    longest_read: Option<Duration>,
    /// The number of queries that it pauses for.
    pauses_for: Option<Arc<AtomicUsize>>,
    /// Whether it ran into a time limit.
    is_over: Arc<AtomicBool>,
}

impl Turn {
    /// Returns a turn that ends after this time.
    pub(super) fn within(time: Duration, is_abandoned: IsAbandoned) -> Self {
        Self {
            ends: Instant::now().checked_add(time),
            ..Self::of_reads(None, is_abandoned)
        }
    }

    /// Returns a long turn of several transactions, each of which is limited to this time.
    pub(super) fn of_reads(longest_read: Option<Duration>, is_abandoned: IsAbandoned) -> Self {
        Self {
            is_abandoned: Some(is_abandoned),
            longest_read,
            ..Self::endless()
        }
    }

    /// Makes each transaction pause while the counter is not 0, for up to half of its time. The
    /// counted queries are short, and need not wait for a core then.
    pub(super) fn pausing_for(self, others: Arc<AtomicUsize>) -> Self {
        Self {
            pauses_for: Some(others),
            ..self
        }
    }

    /// Returns a turn that nothing stops.
    pub(super) fn endless() -> Self {
        Self {
            is_abandoned: None,
            ends: None,
            longest_read: None,
            pauses_for: None,
            is_over: Arc::default(),
        }
    }

    /// Returns whether the query may take long, and so has to read in pieces.
    pub(super) fn is_long(&self) -> bool {
        self.ends.is_none()
    }

    /// Returns whether the query ran into a time limit.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Fails if the query must stop, between two transactions.
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

    /// Makes the connection check this turn, until the watch is dropped.
    pub(super) fn watch<'a>(&self, db: &'a mut Connection) -> rusqlite::Result<Watched<'a>> {
        let until = match self.longest_read {
            Some(longest) => Instant::now().checked_add(longest),
            None => self.ends,
        };
        let is_abandoned = self.is_abandoned.clone();
        let mut pauses = self.pauses_for.clone().map(Pauses::new);
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
                    if let Some(pauses) = &mut pauses {
                        pauses.pause();
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

/// The pauses of one transaction.
struct Pauses {
    others: Arc<AtomicUsize>,
    began: Instant,
    paused: Duration,
}

impl Pauses {
    fn new(others: Arc<AtomicUsize>) -> Self {
        Self {
            others,
            began: Instant::now(),
            paused: Duration::ZERO,
        }
    }

    /// Waits while other queries run, for at most as long as it has worked, plus [`FIRST_PAUSE`].
    fn pause(&mut self) {
        while self.others.load(Ordering::Relaxed) > 0 {
            let now = Instant::now();
            if self.paused * 2 >= now.duration_since(self.began) + FIRST_PAUSE {
                return;
            }
            thread::sleep(PAUSE);
            self.paused += now.elapsed();
        }
    }
}

#[derive(Debug, Default)]
struct Stopped {
    abandoned: AtomicBool,
    late: AtomicBool,
}

/// A connection whose statements check a turn, until this is dropped.
pub(super) struct Watched<'a> {
    pub(super) db: &'a mut Connection,
    stopped: Arc<Stopped>,
}

impl Watched<'_> {
    /// Returns why the connection was stopped; `None` if it was not.
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
        // It fails only if the connection is in use elsewhere, which `&mut` excludes.
        let _ = self.db.progress_handler(0, None::<fn() -> bool>);
    }
}

/// An error that no caller sees.
fn abandoned() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the query was abandoned")
}

fn too_long() -> StoreError {
    StoreError::new(
        StoreErrorKind::QueryTooLarge,
        "the query has to read more than is allowed at once: request less, with conditions, a limit or a shorter time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_pauses_for_other_queries_about_as_long_as_it_has_worked() {
        let others = Arc::new(AtomicUsize::new(0));
        let mut pauses = Pauses::new(Arc::clone(&others));
        pauses.pause();
        assert_eq!(pauses.paused, Duration::ZERO);
        others.store(1, Ordering::Relaxed);
        let worked = Duration::from_millis(20);
        pauses.began = Instant::now()
            .checked_sub(worked)
            .expect("this machine runs for longer");
        pauses.pause();
        assert!(pauses.paused >= worked, "{:?}", pauses.paused);
        // It has paused enough, and continues at once.
        let paused = pauses.paused;
        pauses.began = Instant::now().checked_sub(paused).expect("as above");
        pauses.pause();
        assert_eq!(pauses.paused, paused);
    }
}
