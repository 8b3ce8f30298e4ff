//! What became of the records of one signal, and what is said about it.
//!
//! For every record exactly one is true: it waits, it was taken by the collector, or it is counted as lost under one cause.
//! Trouble is said on stderr once a minute at most, with the number lost; so is that it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use spanscope_core::queue::log_to_stderr;
use spanscope_core::sync::{lock, wait_timeout_while};

use crate::settings::Signal;

/// Records of one signal that wait to be sent take so many bytes at most, as they were captured; as OTLP they take two to three
/// times that.
const MAX_PENDING_BYTES: u64 = 64 * 1024 * 1024;
/// Trouble is said at most this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Records that were lost, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DropCounts {
    /// There was no room, because the collector did not keep up.
    pub queue_full: u64,
    /// They could not be sent: the collector refused them, or was away for longer than they are tried again.
    pub export_failed: u64,
    /// The collector took the request and rejected these (partial success).
    pub rejected: u64,
    /// Head sampling or the tail rule left them out.
    pub sampled: u64,
    /// They came after the shutdown, or were not sent when its time was over.
    pub shutdown: u64,
}

impl DropCounts {
    /// All causes together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.unintended() + self.sampled
    }

    /// Those that no rule asked for.
    const fn unintended(&self) -> u64 {
        self.queue_full + self.export_failed + self.rejected + self.shutdown
    }
}

/// What became of the records of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalStats {
    /// Records that were made: spans that ended, events, metric points of each export.
    pub offered: u64,
    /// Of these: taken by the collector.
    pub exported: u64,
    /// Of these: lost. What is neither exported nor lost still waits.
    pub lost: DropCounts,
    /// How often a request was sent again.
    pub retries: u64,
}

impl SignalStats {
    /// What still waits.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.exported + self.lost.total())
    }
}

/// What became of everything that a bridge was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OtlpStats {
    /// Spans.
    pub spans: SignalStats,
    /// Log records; nothing where no logs are sent, though events of spans go with these.
    pub logs: SignalStats,
    /// Points of metrics, of every export anew.
    pub metrics: SignalStats,
}

/// The account of one signal.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) signal: Signal,
    counts: Mutex<Counts>,
    retries: AtomicU64,
    trouble: Mutex<LastError>,
    closing: Mutex<Closing>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    /// Handed to the batch processor, with an outcome that is not known yet.
    pending: u64,
    /// What these take, roughly.
    pending_bytes: u64,
    /// Offered by whatever has no queue of ours.
    offered: u64,
    exported: u64,
    lost: DropCounts,
    /// Nothing changes any more.
    is_closed: bool,
}

#[derive(Debug, Default)]
struct LastError {
    /// The last request did not go through.
    is_open: bool,
    /// It was said that requests don't go through, and not yet that they do again.
    was_said: bool,
    said_at: Option<Instant>,
    /// Why the last request did not go through.
    reason: Option<String>,
    /// How many losses the messages until now have reported.
    reported_losses: u64,
    /// How many losses by a full queue have been said.
    said_queue_full: u64,
    /// Answers that were odd, and were said.
    odd_said_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Closing {
    /// When the shutdown gives up.
    pub(crate) deadline: Option<Instant>,
}

impl Counts {
    /// Records wait no more. Which ones is not known, so each takes its share of the bytes along.
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
            trouble: Mutex::default(),
            closing: Mutex::default(),
            closed: Condvar::new(),
        }
    }

    /// Takes a record of so many bytes in, if there is room for it beside `max - 1` others.
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

    /// Records that are offered and wait from now on, where nobody else counts them.
    pub(crate) fn offer(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.offered += records;
        if counts.is_closed {
            counts.lost.shutdown += records;
        } else {
            counts.pending += records;
        }
    }

    /// What was lost because it could not be sent.
    pub(crate) fn lost_by_sending(&self) -> u64 {
        let lost = lock(&self.counts).lost;
        lost.export_failed + lost.rejected + lost.shutdown
    }

    /// Measurements that can't be added up.
    pub(crate) fn add_rejected(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.offered += records;
        counts.lost.rejected += records;
    }

    pub(crate) fn add_sampled(&self, records: u64) {
        lock(&self.counts).lost.sampled += records;
    }

    /// The tail rule leaves out records that were admitted.
    pub(crate) fn leave_out(&self, records: u64) {
        let mut counts = lock(&self.counts);
        counts.leave(records);
        counts.lost.sampled += records;
    }

    pub(crate) fn pending(&self) -> u64 {
        lock(&self.counts).pending
    }

    /// What became of a batch.
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

    /// What waits now is lost by the shutdown.
    pub(crate) fn close(&self) {
        let mut counts = lock(&self.counts);
        counts.lost.shutdown += std::mem::take(&mut counts.pending);
        counts.is_closed = true;
    }

    /// The account; of a queue before it, what it has lost.
    pub(crate) fn stats(&self, queue: Option<spanscope_core::queue::Counts>) -> SignalStats {
        // Ours before the queue's, so that nothing seems to be exported before it was offered.
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

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted {
        rejected: u64,
    },
    /// The collector does not want it.
    Refused,
    /// It could not be reached, or asked to come again later for too long.
    Unreachable,
}

/// The shutdown.
impl Account {
    /// From now on nothing is waited for beyond the deadline.
    pub(crate) fn begin_closing(&self, deadline: Instant) {
        lock(&self.closing).deadline.get_or_insert(deadline);
        self.closed.notify_all();
    }

    pub(crate) fn closing(&self) -> Closing {
        *lock(&self.closing)
    }

    /// Waits, but not into a shutdown: answers how the shutdown stands.
    pub(crate) fn rest(&self, time: Duration) -> Closing {
        let closing = lock(&self.closing);
        *wait_timeout_while(&self.closed, closing, time, |closing| closing.deadline.is_none())
    }
}

/// What is said.
impl Account {
    /// A request did not go through, for this reason. Reported once a minute at most, and not after
    /// the deadline of a shutdown: then [`unreported_losses`](Self::unreported_losses) has it.
    pub(crate) fn note_trouble(&self, endpoint: &str, reason: &str, will_retry: bool) {
        let deadline = self.closing().deadline;
        let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let mut trouble = lock(&self.trouble);
        trouble.is_open = true;
        trouble.reason = Some(reason.to_owned());
        if is_over || trouble.said_at.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        let lost = lock(&self.counts).lost.unintended();
        trouble.said_at = Some(Instant::now());
        trouble.was_said = true;
        trouble.reported_losses = trouble.reported_losses.max(lost);
        drop(trouble);
        let what = self.signal.records();
        let then = if will_retry {
            "tried again"
        } else {
            "these are lost"
        };
        log_to_stderr(format!(
            "spanscope: {endpoint} does not take {what}: {reason}; {then}, {lost} lost so far"
        ));
    }

    /// A request went through.
    pub(crate) fn note_success(&self, endpoint: &str) {
        let mut trouble = lock(&self.trouble);
        trouble.reason = None;
        if !std::mem::take(&mut trouble.is_open) {
            return;
        }
        if std::mem::take(&mut trouble.was_said) {
            let lost = lock(&self.counts).lost.unintended();
            trouble.reported_losses = trouble.reported_losses.max(lost);
            drop(trouble);
            let what = self.signal.records();
            log_to_stderr(format!(
                "spanscope: {endpoint} takes {what} again, {lost} were lost"
            ));
        }
    }

    /// How many records were lost in all and why, if a part of them is in no message yet; from now on
    /// all of them are. `lost` is the whole account, with the queues before this one.
    pub(crate) fn unreported_losses(&self, endpoint: &str, lost: DropCounts) -> Option<String> {
        let mut trouble = lock(&self.trouble);
        let total = lost.unintended();
        if total <= trouble.reported_losses {
            return None;
        }
        trouble.reported_losses = total;
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
        if let Some(reason) = &trouble.reason {
            why.push_str(": ");
            why.push_str(reason);
        }
        let what = self.signal.records();
        Some(format!("{total} {what} for {endpoint} ({why})"))
    }

    /// The answer was good, but odd. Said once a minute at most.
    pub(crate) fn note_oddity(&self, endpoint: &str, oddity: &str) {
        let mut trouble = lock(&self.trouble);
        if trouble.odd_said_at.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        trouble.odd_said_at = Some(Instant::now());
        drop(trouble);
        log_to_stderr(format!("spanscope: {endpoint} {oddity}"));
    }

    /// Losses that no request tells of: a full queue. Said once a minute at most, while nothing else was said.
    pub(crate) fn note_losses(&self, endpoint: &str, queue_full: u64) {
        let mut trouble = lock(&self.trouble);
        if queue_full <= trouble.said_queue_full
            || trouble.said_at.is_some_and(|said| said.elapsed() < SAY_EVERY)
        {
            return;
        }
        trouble.said_at = Some(Instant::now());
        trouble.said_queue_full = queue_full;
        trouble.reported_losses = trouble.reported_losses.max(queue_full);
        drop(trouble);
        let what = self.signal.records();
        log_to_stderr(format!(
            "spanscope: {endpoint} does not keep up: {queue_full} {what} lost so far, because the queue was full"
        ));
    }
}
