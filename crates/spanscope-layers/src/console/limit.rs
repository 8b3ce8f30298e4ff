//! The rate limit, which keeps one callsite from hiding all others.
//!
//! Each callsite has a token bucket: a burst passes, then a fixed number of lines per second.
//! Suppressed lines are counted, and reported in one line when the flood pauses, or every ten
//! seconds while it lasts. Times are those of the records, so that the same records give the same
//! lines however fast they are rendered.

use std::collections::HashMap;
use std::time::Duration;

use spanscope_model::Severity;

/// How many lines of one callsite are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Number of lines that pass at once.
    pub burst: u32,
    /// Number of lines per second after that.
    pub per_second: u32,
}

/// 100 lines at once, then 10 per second: what `init()` sets. 41 lines per second have filled disks
/// unnoticed.
impl Default for RateLimit {
    fn default() -> Self {
        Self {
            burst: 100,
            per_second: 10,
        }
    }
}

/// How often a lasting flood is summarized, in nanoseconds.
const SUMMARIZE_EVERY: u64 = 10_000_000_000;
/// A flood is over when nothing was suppressed for this long, in nanoseconds.
const QUIET: u64 = 1_000_000_000;
const NANOS: u64 = 1_000_000_000;
/// Beyond this number of buckets, those in the state of a new one are removed: records of the `log`
/// crate are distinguished by their targets, and a program may generate these.
const MANY_BUCKETS: usize = 10_000;

/// Identifies a callsite.
pub(super) type Key = (u64, u8);

#[derive(Debug)]
struct Bucket {
    /// Lines that may pass, in billionths, so that slow refills are exact.
    room: u64,
    at: u64,
    held: Option<Held>,
}

/// The suppressed lines of a callsite.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) lines: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) severity: Severity,
    pub(super) target: String,
    pub(super) line: Option<u32>,
    pub(super) category: String,
    pub(super) message: String,
}

impl Held {
    pub(super) fn during(&self) -> Duration {
        Duration::from_nanos(self.last.saturating_sub(self.first))
    }
}

impl Bucket {
    fn room_at(&self, now: u64, per_second: u32) -> u64 {
        let passed = now.saturating_sub(self.at);
        let refill = passed.saturating_mul(u64::from(per_second));
        self.room.saturating_add(refill)
    }
}

#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    buckets: HashMap<Key, Bucket>,
    /// The number of buckets from which on the next tidying is due.
    tidy_at: usize,
    /// The number of buckets with suppressed lines.
    holding: usize,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            buckets: HashMap::new(),
            tidy_at: MANY_BUCKETS,
            holding: 0,
        }
    }

    /// Returns whether a line of this callsite at this time (nanoseconds) is shown. `describe` is
    /// called once per flood.
    pub(super) fn passes(&mut self, key: Key, now: u64, describe: impl FnOnce() -> Held) -> bool {
        let full = u64::from(self.limit.burst.max(1)) * NANOS;
        if self.buckets.len() >= self.tidy_at {
            self.tidy(now, full);
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            room: full,
            at: now,
            held: None,
        });
        bucket.room = bucket.room_at(now, self.limit.per_second).min(full);
        bucket.at = bucket.at.max(now);
        if bucket.room >= NANOS {
            bucket.room -= NANOS;
            return true;
        }
        let held = bucket.held.get_or_insert_with(|| {
            self.holding += 1;
            Held {
                lines: 0,
                first: now,
                last: now,
                ..describe()
            }
        });
        held.lines += 1;
        held.last = held.last.max(now);
        false
    }

    /// Removes buckets that are full again. Doubling the threshold keeps the passes rare if none
    /// is.
    fn tidy(&mut self, now: u64, full: u64) {
        let per_second = self.limit.per_second;
        self.buckets
            .retain(|_, bucket| bucket.held.is_some() || bucket.room_at(now, per_second) < full);
        self.tidy_at = MANY_BUCKETS.max(self.buckets.len() * 2);
    }

    /// Returns what is to be reported at this time; everything with `all`.
    pub(super) fn due(&mut self, now: u64, all: bool) -> Vec<Held> {
        if self.holding == 0 {
            return Vec::new();
        }
        let mut due = Vec::new();
        for bucket in self.buckets.values_mut() {
            let is_due = bucket.held.as_ref().is_some_and(|held| {
                all || now.saturating_sub(held.first) >= SUMMARIZE_EVERY
                    || now.saturating_sub(held.last) >= QUIET
            });
            if is_due {
                due.extend(bucket.held.take());
            }
        }
        self.holding -= due.len();
        due.sort_by_key(|held| held.first);
        due
    }

    /// Returns whether suppressed lines have yet to be reported.
    pub(super) fn is_holding(&self) -> bool {
        self.holding > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held {
            lines: 0,
            first: 0,
            last: 0,
            severity: Severity::Info,
            target: "app".to_owned(),
            line: Some(1),
            category: String::new(),
            message: "again".to_owned(),
        }
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_and_reported_once() {
        let mut limiter = Limiter::new(RateLimit::default());
        // 150,000 lines in one second.
        let shown = (0..150_000_u64)
            .filter(|line| limiter.passes((1, 0), line * 6_666, held))
            .count();
        assert_eq!(shown, 109, "100 at once, and 9 of the 10 of this second");
        assert!(limiter.due(NANOS, false).is_empty(), "it has only just stopped");
        let due = limiter.due(2 * NANOS + 1, false);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].lines, 150_000 - 109);
        assert!(limiter.due(u64::MAX, true).is_empty(), "reported once");
    }

    #[test]
    fn a_slow_flood_is_summarized_while_it_lasts() {
        let mut limiter = Limiter::new(RateLimit::default());
        let mut shown = 0;
        let mut reported = Vec::new();
        // 41 lines a second for a minute.
        for line in 0..41 * 60_u64 {
            let now = line * NANOS / 41;
            shown += u64::from(limiter.passes((1, 0), now, held));
            reported.extend(limiter.due(now, false));
        }
        reported.extend(limiter.due(61 * NANOS, true));
        assert!((690..=700).contains(&shown), "{shown}");
        assert_eq!(
            shown + reported.iter().map(|held| held.lines).sum::<u64>(),
            41 * 60
        );
        assert!((5..=7).contains(&reported.len()), "{}", reported.len());
    }

    #[test]
    fn generated_targets_do_not_accumulate() {
        let mut limiter = Limiter::new(RateLimit::default());
        for line in 0..100 {
            assert!(limiter.passes((0, 0), line, held));
        }
        assert!(!limiter.passes((0, 0), 100, held));
        for connection in 1..200_000 {
            assert!(limiter.passes((connection, 0), connection * NANOS / 1000, held));
            assert!(limiter.buckets.len() <= 2 * MANY_BUCKETS);
        }
        let due = limiter.due(0, true);
        assert_eq!(
            (due.len(), due[0].lines),
            (1, 1),
            "the suppressed line is still reported"
        );
    }

    #[test]
    fn callsites_have_separate_limits() {
        let mut limiter = Limiter::new(RateLimit {
            burst: 1,
            per_second: 0,
        });
        assert!(limiter.passes((1, 0), 0, held));
        assert!(!limiter.passes((1, 0), 0, held));
        assert!(limiter.passes((2, 0), 0, held));
        assert!(limiter.passes((1, 1), 0, held));
    }
}
