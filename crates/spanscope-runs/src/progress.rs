//! When a run that is followed is over.
//!
//! The end of the root is not the end of the run: spans may run on, or be on their way from another
//! process, whose SDK gathers them into batches. So a run is over when no span of it is open and no
//! event came for a while, which is longer where a span of it was sent. No clock is
//! read here; the follower passes in what it saw of the time.

use std::time::Duration;

use spanscope_model::{RunRecords, RunStatus, Timestamp};

use crate::RunReader;

/// Default: nothing more is expected this long after the last event, where a root is stored.
pub const GRACE: Duration = Duration::from_secs(3);
/// Default: the same where a root is stored and a span of the run was sent. SDKs send in batches, each
/// 5 s after the one before by default, and sending takes a while.
pub const SENT_GRACE: Duration = Duration::from_secs(8);
/// Default: the same where no root is stored. A root that is sent comes when it ends, and it may wait
/// for a model that thinks.
pub const ROOTLESS_GRACE: Duration = Duration::from_secs(60);

/// What a follower has seen of the time.
#[derive(Debug, Clone, Copy)]
pub struct FollowState {
    /// The time now.
    pub now: Timestamp,
    /// How long the run has been followed.
    pub watched: Duration,
    /// How long ago an event came that was not there at first.
    pub since_news: Option<Duration>,
    /// How long to wait after the last event where a root is stored; see [`GRACE`].
    pub grace: Duration,
    /// How long to wait where a span was sent; see [`SENT_GRACE`].
    pub sent_grace: Duration,
    /// How long to wait where no root is stored; see [`ROOTLESS_GRACE`].
    pub rootless_grace: Duration,
}

/// How far a followed run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunProgress {
    /// It is over, with this status.
    Over(RunStatus),
    /// Spans of it run.
    Running,
    /// It is over if nothing comes within this time.
    Waiting(Duration),
}

impl RunReader {
    /// How far the run is, by the records that were read last and the time.
    #[must_use]
    pub fn progress(&self, records: &RunRecords, seen: FollowState) -> RunProgress {
        let status = self.status(records);
        match status {
            RunStatus::Running => return RunProgress::Running,
            RunStatus::Abandoned => return RunProgress::Over(status),
            RunStatus::Completed | RunStatus::Failed => {}
        }
        // The store knows which span is the first of a program that writes the file itself; of one
        // that sends, it waits for a root.
        let is_rooted = self.root_ended() || records.info.status != RunStatus::Running;
        let grace = match (is_rooted, self.has_sent) {
            (true, false) => seen.grace,
            (true, true) => seen.grace.max(seen.sent_grace),
            (false, _) => seen.rootless_grace,
        };
        // For events that came while the run was followed, the time of coming counts: clocks of other
        // machines go wrong.
        let quiet = match (seen.since_news, self.last_activity()) {
            (Some(since_news), _) => since_news,
            (None, Some(last)) => {
                let nanos = seen.now.as_nanos().saturating_sub(last.as_nanos());
                // What was there from the first has been quiet at least since then, whatever its clock
                // says.
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).max(seen.watched)
            }
            (None, None) => seen.watched,
        };
        match grace.checked_sub(quiet).filter(|wait| !wait.is_zero()) {
            Some(wait) => RunProgress::Waiting(wait),
            None => RunProgress::Over(status),
        }
    }
}
