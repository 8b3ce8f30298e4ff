//! Detects that the wall clock has jumped ahead: it then does not show the age of stored records.

use std::time::{Duration, Instant};

/// The smallest jump: more than the steps of NTP, and less than a corrected clock or a machine that
/// slept moves it.
const JUMP: Duration = Duration::from_secs(60);
/// How long nothing is deleted by age after a jump, unless the clock moves back: long enough to
/// correct a wrong clock, and short enough if the jump was the correction.
const SUSPENDED: Duration = Duration::from_secs(3600);

/// Compares the wall clock with the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClockWatch {
    last: Option<(i64, Instant)>,
    suspended_until: Option<Instant>,
}

impl ClockWatch {
    /// Notes the time, in nanoseconds since 1970. Returns how far the clock has jumped ahead since
    /// the last check, if it has.
    pub(crate) fn look(&mut self, now: i64, at: Instant) -> Option<Duration> {
        let (wall, since) = self.last.replace((now, at))?;
        if self.suspended_until.is_some_and(|until| at >= until) {
            self.suspended_until = None;
        }
        let passed = i64::try_from(at.duration_since(since).as_nanos()).unwrap_or(i64::MAX);
        let jump = now.saturating_sub(wall.saturating_add(passed));
        let size = Duration::from_nanos(jump.unsigned_abs());
        if size < JUMP {
            return None;
        }
        if jump < 0 {
            self.suspended_until = None;
            return None;
        }
        self.suspended_until = Some(at + SUSPENDED);
        Some(size)
    }

    /// Returns whether the clock can't be trusted.
    pub(crate) fn has_jumped(&self) -> bool {
        self.suspended_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn after_a_jump_ahead_the_clock_is_not_trusted_for_an_hour_or_until_it_goes_back() {
        let mut clock = ClockWatch::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(clock.look(0, start), None);
        assert_eq!(clock.look(10 * SECOND, after(10)), None);
        let days = 30 * 24 * 3600 * SECOND;
        assert!(clock.look(days, after(11)).is_some());
        assert_eq!(clock.look(days + SECOND, after(12)), None);
        assert!(clock.has_jumped());
        assert_eq!(clock.look(13 * SECOND, after(13)), None);
        assert!(!clock.has_jumped(), "it went back");
        assert!(clock.look(days, after(14)).is_some());
        assert_eq!(clock.look(days + 3700 * SECOND, after(3714)), None);
        assert!(!clock.has_jumped(), "an hour is over");
    }
}
