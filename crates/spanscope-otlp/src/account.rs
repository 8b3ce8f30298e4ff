//! The statistics of one signal's records, and the reports about them.
//!
//! Every record is in exactly one state: it is queued, the collector accepted it, or it is counted
//! as lost under one cause. Errors are reported on stderr at most once a minute, with the number of
//! lost records; so is their end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use spanscope_core::queue::log_to_stderr;
use spanscope_core::sync::{lock, wait_timeout_while};

use crate::settings::Signal;

/// Maximum size of one signal's records that wait to be sent, in bytes as they were captured; as
/// OTLP they take two to three times that.
const MAX_PENDING_BYTES: u64 = 64 * 1024 * 1024;
/// Minimum interval of reports.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Records that were lost, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DropCounts {
    /// The queue was full, because the collector did not keep up.
    pub queue_full: u64,
    /// They could not be sent: the collector refused them, or was unreachable for longer than
    /// requests are retried.
    pub export_failed: u64,
    /// The collector accepted the request and rejected these records (partial success).
    pub rejected: u64,
    /// Head sampling or the tail rule dropped them.
    pub sampled: u64,
    /// They arrived after the shutdown, or were not sent before its deadline.
    pub shutdown: u64,
}

impl DropCounts {
    /// Returns the sum of all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.unintended() + self.sampled
    }

    /// Returns those that no rule dropped.
    const fn unintended(&self) -> u64 {
        self.queue_full + self.export_failed + self.rejected + self.shutdown
    }
}

/// The statistics of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SignalStats {
    /// Records that were made: spans that ended, events, metric points of each export.
    pub offered: u64,
    /// Of these: accepted by the collector.
    pub exported: u64,
    /// Of these: lost. The rest is still queued.
    pub lost: DropCounts,
    /// The number of repeated requests.
    pub retries: u64,
}

impl SignalStats {
    /// Returns the number of records that are still queued.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.exported + self.lost.total())
    }
}

/// The statistics of a bridge, by signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OtlpStats {
    /// Spans.
    pub spans: SignalStats,
    /// Log records. Zero if logs are not exported; events of spans are then exported with their
    /// spans only.
    pub logs: SignalStats,
    /// Points of metrics; each export counts.
    pub metrics: SignalStats,
}

/// The account of one signal.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) signal: Signal,
    counts: Mutex<Counts>,
    retries: AtomicU64,
    last_error: Mutex<LastError>,
    closing: Mutex<Closing>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    /// Passed to the batch processor, with an unknown outcome.
    pending: u64,
    /// Their approximate size.
    pending_bytes: u64,
    /// Offered by sources without a Spanscope queue.
    offered: u64,
    exported: u64,
    lost: DropCounts,
    /// Set by the shutdown, after which the counts don't change.
    is_closed: bool,
}

#[derive(Debug, Default)]
struct LastError {
    /// Whether the last request failed.
    is_open: bool,
    /// Whether a failure of requests was reported, and its end was not.
    was_reported: bool,
    reported_at: Option<Instant>,
    /// Why the last request failed.
    reason: Option<String>,
    /// The number of losses that messages have reported.
    reported_losses: u64,
    /// The number of reported losses by a full queue.
    reported_queue_full: u64,
    /// When an unexpected response was last reported.
    odd_reported_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Closing {
    /// When the shutdown gives up.
    pub(crate) deadline: Option<Instant>,
}

impl Counts {
    /// Removes records from the pending ones. Their sizes are not known, so each has an equal share
    /// of the bytes.
    fn leave(&mut self, records: u64) {
        let share = match self.pending {
            0 => self.pending_bytes,
            pending => self.pending_bytes * records.min(pending) / pending,
        };
        self.pending_bytes -= share;
        self.pending = self.pending.saturating_sub(records);
    }
}

impl Account {
    pub(crate) fn new(signal: Signal) -> Self {
        Self {
            signal,
            counts: Mutex::default(),
            retries: AtomicU64::new(0),
            last_error: Mutex::default(),
            closing: Mutex::default(),
            closed: Condvar::new(),
        }
    }

    /// Accepts a record of this size if fewer than `max` records are pending and their bytes are
    /// within the limit.
    pub(crate) fn admit(&self, max: usize, bytes: usize) -> bool {
        let mut counts = lock(&self.counts);
        let bytes = bytes as u64;
        let has_room = counts.pending_bytes + bytes <= MAX_PENDING_BYTES || counts.pending == 0;
        if counts.pending < max as u64 && has_room {
            counts.pending += 1;
            counts.pending_bytes += bytes;
            return true;
        }
        counts.lost.queue_full += 1;
        false
    }

    /// Counts records as offered and queued, if no Spanscope queue counts them.
    pub(crate) fn offer(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.offered += records;
        if counts.is_closed {
            counts.lost.shutdown += records;
        } else {
            counts.pending += records;
        }
    }

    /// Returns the number of records that could not be sent.
    pub(crate) fn lost_by_sending(&self) -> u64 {
        let lost = lock(&self.counts).lost;
        lost.export_failed + lost.rejected + lost.shutdown
    }

    /// Counts measurements that can't be aggregated.
    pub(crate) fn add_rejected(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.offered += records;
        counts.lost.rejected += records;
    }

    pub(crate) fn add_sampled(&self, records: u64) {
        lock(&self.counts).lost.sampled += records;
    }

    /// Counts admitted records that the tail rule drops.
    pub(crate) fn leave_out(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.leave(records);
        counts.lost.sampled += records;
    }

    pub(crate) fn pending(&self) -> u64 {
        lock(&self.counts).pending
    }

    /// Counts the outcome of a batch.
    pub(crate) fn finish(&self, records: u64, outcome: &Outcome) {
        let is_closing = self.closing().deadline.is_some();
        let mut counts = lock(&self.counts);
        if counts.is_closed {
            return;
        }
        counts.leave(records);
        match outcome {
            Outcome::Accepted { rejected } => {
                let rejected = (*rejected).min(records);
                counts.exported += records - rejected;
                counts.lost.rejected += rejected;
            }
            Outcome::Refused => counts.lost.export_failed += records,
            Outcome::Unreachable if is_closing => counts.lost.shutdown += records,
            Outcome::Unreachable => counts.lost.export_failed += records,
        }
    }

    /// Counts everything queued as lost by the shutdown.
    pub(crate) fn close(&self) {
        let mut counts = lock(&self.counts);
        counts.lost.shutdown += std::mem::take(&mut counts.pending);
        counts.is_closed = true;
    }

    /// Returns the statistics, including the losses of a queue before it.
    pub(crate) fn stats(&self, queue: Option<spanscope_core::queue::Counts>) -> SignalStats {
        // These counts are read before the queue's, so that no record seems to be exported before
        // it was offered.
        let counts = lock(&self.counts);
        let mut stats = SignalStats {
            offered: counts.offered,
            exported: counts.exported,
            lost: counts.lost,
            retries: self.retries.load(Ordering::Relaxed),
        };
        drop(counts);
        if let Some(queue) = queue {
            stats.offered += queue.offered;
            stats.lost.queue_full += queue.dropped_full;
            stats.lost.shutdown += queue.dropped_closed;
        }
        stats
    }

    pub(crate) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

/// The outcome of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted {
        rejected: u64,
    },
    /// The collector refused it.
    Refused,
    /// The collector could not be reached, or asked to retry later for too long.
    Unreachable,
}

/// The shutdown.
impl Account {
    /// Begins the shutdown: all waiting ends at the deadline.
    pub(crate) fn begin_closing(&self, deadline: Instant) {
        lock(&self.closing).deadline.get_or_insert(deadline);
        self.closed.notify_all();
    }

    pub(crate) fn closing(&self) -> Closing {
        *lock(&self.closing)
    }

    /// Waits for this time or until a shutdown begins. Returns the state of the shutdown.
    pub(crate) fn wait_unless_closing(&self, time: Duration) -> Closing {
        let closing = lock(&self.closing);
        *wait_timeout_while(&self.closed, closing, time, |closing| closing.deadline.is_none())
    }
}

/// Reports.
impl Account {
    /// Notes that a request failed, for this reason. It is reported at most once a minute, and not
    /// after the deadline of a shutdown: then [`unreported_losses`](Self::unreported_losses)
    /// includes it.
    pub(crate) fn note_failure(&self, endpoint: &str, reason: &str, will_retry: bool) {
        let deadline = self.closing().deadline;
        let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let mut last_error = lock(&self.last_error);
        last_error.is_open = true;
        last_error.reason = Some(reason.to_owned());
        if is_over
            || last_error
                .reported_at
                .is_some_and(|at| at.elapsed() < REPORT_EVERY)
        {
            return;
        }
        let lost = lock(&self.counts).lost.unintended();
        last_error.reported_at = Some(Instant::now());
        last_error.was_reported = true;
        last_error.reported_losses = last_error.reported_losses.max(lost);
        drop(last_error);
        let what = self.signal.records();
        let then = if will_retry {
            "tried again"
        } else {
            "these are lost"
        };
        log_to_stderr(format!(
            "spanscope: {endpoint} does not accept {what}: {reason}; {then}, {lost} lost so far"
        ));
    }

    /// Notes a successful request.
    pub(crate) fn note_success(&self, endpoint: &str) {
        let mut last_error = lock(&self.last_error);
        last_error.reason = None;
        if !std::mem::take(&mut last_error.is_open) {
            return;
        }
        if std::mem::take(&mut last_error.was_reported) {
            let lost = lock(&self.counts).lost.unintended();
            last_error.reported_losses = last_error.reported_losses.max(lost);
            drop(last_error);
            let what = self.signal.records();
            log_to_stderr(format!(
                "spanscope: {endpoint} accepts {what} again, {lost} were lost"
            ));
        }
    }

    /// Returns a message with the number of lost records and the causes, unless earlier messages
    /// have reported all of them. `lost` has all losses, including those of the queues before this
    /// one.
    pub(crate) fn unreported_losses(&self, endpoint: &str, lost: DropCounts) -> Option<String> {
        let mut last_error = lock(&self.last_error);
        let total = lost.unintended();
        if total <= last_error.reported_losses {
            return None;
        }
        last_error.reported_losses = total;
        let causes = [
            (lost.queue_full, "the queue was full"),
            (lost.export_failed, "not delivered"),
            (lost.rejected, "rejected"),
            (lost.shutdown, "not sent in time"),
        ];
        let causes: Vec<_> = causes.into_iter().filter(|(count, _)| *count > 0).collect();
        let mut why = match &causes[..] {
            [(_, cause)] => (*cause).to_owned(),
            _ => {
                let causes = causes.iter().map(|(count, cause)| format!("{count} {cause}"));
                causes.collect::<Vec<_>>().join(", ")
            }
        };
        if let Some(reason) = &last_error.reason {
            why.push_str(": ");
            why.push_str(reason);
        }
        let what = self.signal.records();
        Some(format!("{total} {what} for {endpoint} ({why})"))
    }

    /// Reports an unexpected part of a successful response, at most once a minute.
    pub(crate) fn note_oddity(&self, endpoint: &str, oddity: &str) {
        let mut last_error = lock(&self.last_error);
        if last_error
            .odd_reported_at
            .is_some_and(|at| at.elapsed() < REPORT_EVERY)
        {
            return;
        }
        last_error.odd_reported_at = Some(Instant::now());
        drop(last_error);
        log_to_stderr(format!("spanscope: {endpoint} {oddity}"));
    }

    /// Reports losses without a request: by a full queue. At most once a minute, unless something
    /// else was reported.
    pub(crate) fn note_losses(&self, endpoint: &str, queue_full: u64) {
        let mut last_error = lock(&self.last_error);
        if queue_full <= last_error.reported_queue_full
            || last_error
                .reported_at
                .is_some_and(|at| at.elapsed() < REPORT_EVERY)
        {
            return;
        }
        last_error.reported_at = Some(Instant::now());
        last_error.reported_queue_full = queue_full;
        last_error.reported_losses = last_error.reported_losses.max(queue_full);
        drop(last_error);
        let what = self.signal.records();
        log_to_stderr(format!(
            "spanscope: {endpoint} does not keep up: {queue_full} {what} lost so far, because the queue was full"
        ));
    }
}
