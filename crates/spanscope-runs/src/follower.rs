//! [`Follower`]: follows a run from its beginning to its end, without I/O.
//!
//! A server follows a run for many clients and awaits its store, a command follows it for one
//! person and blocks. Both share this logic: what to query, how to interpret the result, when to
//! query again and when the run is over. It uses no store, no clock and no thread.

use std::time::Duration;

use spanscope_model::{
    Cursor, RunRange, RunRecords, RunSpan, RunStatus, Span, SpanId, StoreError, StoreErrorKind, Timestamp,
    TraceId,
};

use crate::progress::{FollowState, GRACE, ROOTLESS_GRACE, RunProgress, SENT_GRACE};
use crate::{RunEvent, RunReader};

/// Maximum number of spans per query.
const SPANS_AT_ONCE: u64 = 5_000;
/// How often to query while spans run: the store does not change when their program is killed.
const LOOK: Duration = Duration::from_secs(5);
/// Maximum number of retries in a row of a failing store.
const TRIES: u32 = 5;
/// The pause between two retries.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The progress of following a run, and the next step.
///
/// ```
/// use std::time::Instant;
/// use spanscope_model::{StoreError, Timestamp, TraceStore, block_on};
/// use spanscope_runs::{FollowStep, Follower};
///
/// /// Prints what happens in a run until it is over.
/// fn follow(store: &dyn TraceStore, task_id: &str) -> Result<(), StoreError> {
///     let began = Instant::now();
///     let mut follower = Follower::default();
///     loop {
///         let records = match block_on(store.run_records(task_id.to_owned(), follower.range(None))) {
///             Ok(records) => records,
///             Err(error) => match follower.retry_after(&error) {
///                 Some(pause) => {
///                     std::thread::sleep(pause);
///                     continue;
///                 }
///                 None => return Err(error),
///             },
///         };
///         for event in follower.read(&records, began.elapsed()) {
///             println!("{} {}", event.timestamp, event.event_type);
///         }
///         match follower.step(&records, Timestamp::now(), began.elapsed()) {
///             FollowStep::ReadMore => {}
///             FollowStep::Wait(wait) => std::thread::sleep(wait),
///             FollowStep::Finished(status) => {
///                 let head = follower.output_span_to_read(&records);
///                 let head = head.and_then(|(trace, span)| block_on(store.get_span(trace, span)).ok());
///                 println!("{}", follower.finish(records, status, head).event_type);
///                 return Ok(());
///             }
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Follower {
    reader: RunReader,
    cursor: Cursor,
    grace: Duration,
    sent_grace: Duration,
    rootless_grace: Duration,
    /// Whether everything that was stored at the start was read.
    is_caught_up: bool,
    /// The last time, since following began, when new events arrived.
    last_news: Option<Duration>,
    failures: u32,
}

/// The next step of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowStep {
    /// More is stored: read at once.
    ReadMore,
    /// Read again when the store may have changed, and at the latest after this time.
    Wait(Duration),
    /// The run is over, with this status.
    Finished(RunStatus),
}

impl Default for Follower {
    /// Waits for [`GRACE`], [`SENT_GRACE`] or [`ROOTLESS_GRACE`].
    fn default() -> Self {
        Self::new(GRACE, ROOTLESS_GRACE)
    }
}

impl Follower {
    /// Creates a follower that has read nothing. The run is over if no event arrives for `grace`,
    /// for [`SENT_GRACE`] if a span of it was sent, or for `rootless_grace` if no root is stored.
    #[must_use]
    pub fn new(grace: Duration, rootless_grace: Duration) -> Self {
        Self {
            reader: RunReader::new(),
            cursor: Cursor::START,
            grace,
            sent_grace: SENT_GRACE,
            rootless_grace,
            is_caught_up: false,
            last_news: None,
            failures: 0,
        }
    }

    /// Sets how long to wait for more if a span of the run was sent. Default: [`SENT_GRACE`].
    #[must_use]
    pub fn sent_grace(self, sent_grace: Duration) -> Self {
        Self { sent_grace, ..self }
    }

    /// Returns the cursor up to which everything was read.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Returns the range to query next, up to a cursor if one is given.
    #[must_use]
    pub fn range(&self, upto: Option<Cursor>) -> RunRange {
        RunRange::ALL.after(self.cursor).upto(upto).limit(SPANS_AT_ONCE)
    }

    /// Reads the events of the records that the store returned for [`range`](Self::range).
    /// `elapsed` is the time since following began.
    pub fn read(&mut self, records: &RunRecords, elapsed: Duration) -> Vec<RunEvent> {
        self.failures = 0;
        self.cursor = records.upto;
        let is_empty = records.spans.is_empty() && records.ended.is_empty() && records.events.is_empty();
        let events = match is_empty {
            true => Vec::new(),
            false => self.reader.read(records),
        };
        // Other runs of a shared trace may continue for ever; only events of this run count.
        if self.is_caught_up && !events.is_empty() {
            self.last_news = Some(elapsed);
        }
        self.is_caught_up |= !records.more;
        events
    }

    /// Continues after this cursor. The caller must know that there are no records of the run
    /// between the last one that was read and the cursor.
    pub fn skip_to(&mut self, cursor: Cursor) {
        self.cursor = cursor;
    }

    /// Returns what to do next, by the last records and the time.
    #[must_use]
    pub fn step(&self, records: &RunRecords, now: Timestamp, elapsed: Duration) -> FollowStep {
        if records.more {
            return FollowStep::ReadMore;
        }
        let state = FollowState {
            now,
            followed_for: elapsed,
            since_last_event: self.last_news.map(|news| elapsed.saturating_sub(news)),
            grace: self.grace,
            sent_grace: self.sent_grace,
            rootless_grace: self.rootless_grace,
        };
        match self.reader.progress(records, state) {
            RunProgress::Finished(status) => FollowStep::Finished(status),
            RunProgress::Running => FollowStep::Wait(LOOK),
            RunProgress::Waiting(wait) => FollowStep::Wait(wait.min(LOOK)),
        }
    }

    /// Returns the time after which to retry a store that failed with this error; `None` if a retry
    /// does not help, and after five failures in a row.
    pub fn retry_after(&mut self, error: &StoreError) -> Option<Duration> {
        let may_pass = matches!(
            error.kind(),
            StoreErrorKind::Unavailable | StoreErrorKind::Overloaded
        );
        self.failures += 1;
        (may_pass && self.failures <= TRIES).then_some(PAUSE_AFTER_FAILURE)
    }

    /// Returns the run's status, as [`RunReader::status`] determines it.
    #[must_use]
    pub fn status(&self, records: &RunRecords) -> RunStatus {
        self.reader.status(records)
    }

    /// Returns the span with the outputs of the last event, if it is not among these records: it
    /// may have been read earlier, and the follower keeps no spans.
    #[must_use]
    pub fn output_span_to_read(&self, records: &RunRecords) -> Option<(TraceId, SpanId)> {
        let head = self.reader.head()?;
        let mut spans = records.spans.iter().chain(&records.ended);
        let is_there = spans.any(|stored| (stored.span.trace_id, stored.span.span_id) == head);
        (!is_there).then_some(head)
    }

    /// Returns the last event of a run that is over, from the last records and the span of
    /// [`output_span_to_read`](Self::output_span_to_read), if it was found.
    pub fn finish(&mut self, mut records: RunRecords, status: RunStatus, head: Option<Span>) -> RunEvent {
        let head = head.map(|span| RunSpan::new(0, span));
        records.spans.extend(head);
        self.reader.finish(&records, status)
    }
}
