//! When a run that is followed is over: the same for all who follow one.
//!
//! The end of the root is not the end of the run: spans may run on, or be on their way from another process. So a run is over when no
//! span of it is open and nothing was told for a while. No clock is read here; whoever follows says what it saw.

use std::time::Duration;

use spanscope_model::{RunRecords, RunStatus, Timestamp};

use crate::RunReader;

/// Nothing more is expected so long after the last event, where a root is stored.
pub const GRACE: Duration = Duration::from_secs(3);
/// The same where no root is stored: one that is sent comes when it ends, and what it waits for may be a model that thinks.
pub const ROOTLESS_GRACE: Duration = Duration::from_secs(60);

/// What somebody who follows a run has seen of the time.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    /// The time now.
    pub now: Timestamp,
    /// How long it has been followed.
    pub watched: Duration,
    /// How long ago an event came that was not there at first.
    pub since_news: Option<Duration>,
    /// [`GRACE`], unless somebody chose another one.
    pub grace: Duration,
    /// [`ROOTLESS_GRACE`], likewise.
    pub rootless_grace: Duration,
}

/// What is to be expected of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It is over, and went out so.
    Over(RunStatus),
    /// Spans of it run.
    Running,
    /// It is over if nothing comes within this time.
    Waiting(Duration),
}

impl RunReader {
    /// What is to be expected of the run, as the records that were read last, and the time, tell it.
    #[must_use]
    pub fn outlook(&self, records: &RunRecords, watched: Watched) -> Outlook {
        let status = self.status(records);
        match status {
            RunStatus::Running => return Outlook::Running,
            RunStatus::Abandoned => return Outlook::Over(status),
            RunStatus::Completed | RunStatus::Failed => {}
        }
        // A program that writes the file itself tells which of its spans is the first of it; of one that sends, the store waits for a
        // root.
        let grace = match self.root_ended() || records.info.status != RunStatus::Running {
            true => watched.grace,
            false => watched.rootless_grace,
        };
        // Of what came while it was followed, the coming counts: clocks of other machines go wrong.
        let quiet = match (watched.since_news, self.last_activity()) {
            (Some(since_news), _) => since_news,
            (None, Some(last)) => {
                let nanos = watched.now.as_nanos().saturating_sub(last.as_nanos());
                // What was there from the first has been quiet at least since then, whatever its clock says.
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).max(watched.watched)
            }
            (None, None) => watched.watched,
        };
        match grace.checked_sub(quiet).filter(|wait| !wait.is_zero()) {
            Some(wait) => Outlook::Waiting(wait),
            None => Outlook::Over(status),
        }
    }
}
