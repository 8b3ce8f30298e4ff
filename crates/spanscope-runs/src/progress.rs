//! Decides when a followed run is over.
//!
//! The end of the root is not the end of the run: spans may still run, or be in flight from another
//! process, whose SDK batches them. So a run is over when none of its spans is open and no event
//! has arrived for a grace period, which is longer if one of its spans was sent. No clock is read
//! here; the follower passes the times.

use std::time::Duration;

use spanscope_model::{RunRecords, RunStatus, Timestamp};

use crate::RunReader;

/// Default time without events after which a run with a stored root is over.
pub const GRACE: Duration = Duration::from_secs(3);
/// Default time without events after which a run with a stored root is over if a span of it was
/// sent. SDKs send batches every 5 s by default, and sending takes a while.
pub const SENT_GRACE: Duration = Duration::from_secs(8);
/// Default time without events after which a run without a stored root is over. Its program sends
/// the root when it ends, and may still wait for a slow model.
pub const ROOTLESS_GRACE: Duration = Duration::from_secs(60);

/// The times that a follower has observed.
#[derive(Debug, Clone, Copy)]
pub struct FollowState {
    /// The current time.
    pub now: Timestamp,
    /// How long the run has been followed.
    pub followed_for: Duration,
    /// The time since the last event that arrived after following began; `None` if none did.
    pub since_last_event: Option<Duration>,
    /// How long to wait after the last event if a root is stored; see [`GRACE`].
    pub grace: Duration,
    /// How long to wait if a span was sent; see [`SENT_GRACE`].
    pub sent_grace: Duration,
    /// How long to wait if no root is stored; see [`ROOTLESS_GRACE`].
    pub rootless_grace: Duration,
}

/// The progress of a followed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunProgress {
    /// It is over, with this status.
    Finished(RunStatus),
    /// Spans of it are running.
    Running,
    /// It is over if nothing arrives within this time.
    Waiting(Duration),
}

impl RunReader {
    /// Returns the run's progress, by the last records and the time.
    #[must_use]
    pub fn progress(&self, records: &RunRecords, seen: FollowState) -> RunProgress {
        let status = self.status(records);
        match status {
            RunStatus::Running => return RunProgress::Running,
            RunStatus::Abandoned => return RunProgress::Finished(status),
            RunStatus::Completed | RunStatus::Failed => {}
        }
        // The store reports a run of a sender as running until its root arrives. A program that
        // writes the file itself stores the root first.
        let is_rooted = self.root_ended() || records.info.status != RunStatus::Running;
        let grace = match (is_rooted, self.has_sent) {
            (true, false) => seen.grace,
            (true, true) => seen.grace.max(seen.sent_grace),
            (false, _) => seen.rootless_grace,
        };
        // For events that arrived while the run was followed, the time of arrival counts, because
        // the clocks of other machines may be wrong.
        let quiet = match (seen.since_last_event, self.last_activity()) {
            (Some(since_last_event), _) => since_last_event,
            (None, Some(last)) => {
                let nanos = seen.now.as_nanos().saturating_sub(last.as_nanos());
                // The last event arrived before following began, whatever its clock says.
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).max(seen.followed_for)
            }
            (None, None) => seen.followed_for,
        };
        match grace.checked_sub(quiet).filter(|wait| !wait.is_zero()) {
            Some(wait) => RunProgress::Waiting(wait),
            None => RunProgress::Finished(status),
        }
    }
}
