//! A clock that takes 10 ns to read; the system's wall clock takes 33 ns, its monotonic one 25 ns.
//!
//! Records hold ticks of the processor's counter (`quanta` falls back to the monotonic clock if the
//! counter is unreliable). The sink's thread converts them to wall-clock time by an anchor that is
//! renewed every second: durations never become negative when the wall clock jumps, and times are
//! right again soon after the machine slept.

use std::sync::{Mutex, OnceLock, TryLockError};
use std::time::Duration;

use spanscope_model::Timestamp;

/// A reading of the counter. Only [`Clock::wall`] and [`Clock::nanos_between`] can interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticks(u64);

impl Ticks {
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    pub(super) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// The process's clock.
#[derive(Debug)]
pub struct Clock {
    counter: quanta::Clock,
    anchor: Mutex<Anchor>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    ticks: Ticks,
    wall: Timestamp,
}

/// How long an anchor is used before the wall clock is read again.
const ANCHOR_AGE: Duration = Duration::from_secs(1);

impl Clock {
    /// Returns the process's clock.
    #[must_use]
    pub fn global() -> &'static Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        CLOCK.get_or_init(|| {
            let counter = quanta::Clock::new();
            let anchor = Anchor {
                ticks: Ticks(counter.raw()),
                wall: Timestamp::now(),
            };
            Self {
                counter,
                anchor: Mutex::new(anchor),
            }
        })
    }

    /// Reads the counter.
    #[must_use]
    pub fn now(&self) -> Ticks {
        Ticks(self.counter.raw())
    }

    /// Returns the nanoseconds from one reading to a later one; 0 if it is not later.
    #[must_use]
    pub fn nanos_between(&self, from: Ticks, to: Ticks) -> u64 {
        if to <= from {
            0
        } else {
            self.counter.delta_as_nanos(from.0, to.0)
        }
    }

    /// Returns the time of a reading since the counter's zero: for comparisons that must not depend
    /// on the wall clock, which may be set.
    #[must_use]
    pub fn moment(&self, ticks: Ticks) -> Duration {
        Duration::from_nanos(self.nanos_between(Ticks::default(), ticks))
    }

    /// Returns the wall-clock time of a reading.
    #[must_use]
    pub fn wall(&self, ticks: Ticks) -> Timestamp {
        WallClock {
            anchor: self.anchor(),
        }
        .wall(ticks)
    }

    /// Returns a converter for many readings, which takes one lock for all of them. Do not keep it
    /// for longer than a batch.
    #[must_use]
    pub fn anchored(&self) -> WallClock {
        WallClock {
            anchor: self.anchor(),
        }
    }

    fn anchor(&self) -> Anchor {
        let now = self.now();
        let fresh = || Anchor {
            ticks: now,
            wall: Timestamp::now(),
        };
        // If the anchor is in use, this thread pays for a separate anchor. It must not wait: in
        // the child of a fork the other reader does not exist.
        let mut anchor = match self.anchor.try_lock() {
            Ok(anchor) => anchor,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return fresh(),
        };
        if u128::from(self.nanos_between(anchor.ticks, now)) > ANCHOR_AGE.as_nanos() {
            *anchor = fresh();
        }
        *anchor
    }
}

/// Converts readings to wall-clock time by one anchor.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    anchor: Anchor,
}

impl WallClock {
    /// Returns the wall-clock time of a reading.
    #[must_use]
    pub fn wall(&self, ticks: Ticks) -> Timestamp {
        let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        let offset = if ticks >= self.anchor.ticks {
            signed(self.nanos_between(self.anchor.ticks, ticks))
        } else {
            -signed(self.nanos_between(ticks, self.anchor.ticks))
        };
        Timestamp::from_nanos(self.anchor.wall.as_nanos().saturating_add(offset))
    }

    /// Returns the nanoseconds from one reading to a later one; 0 if it is not later.
    #[must_use]
    pub fn nanos_between(&self, from: Ticks, to: Ticks) -> u64 {
        Clock::global().nanos_between(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_converts_to_wall_clock_time() {
        let clock = Clock::global();
        let before = Timestamp::now();
        let wall = clock.wall(clock.now());
        let error = wall.as_nanos().abs_diff(before.as_nanos());
        assert!(error < 1_000_000_000, "{error} ns off");
    }

    #[test]
    fn durations_do_not_depend_on_the_anchor_and_never_go_negative() {
        let clock = Clock::global();
        let (first, second) = (clock.now(), clock.now());
        assert_eq!(clock.nanos_between(second, first), 0);
        let jumped = WallClock {
            anchor: Anchor {
                ticks: first,
                wall: Timestamp::from_nanos(5),
            },
        };
        let span = jumped.wall(second).as_nanos() - jumped.wall(first).as_nanos();
        assert_eq!(u64::try_from(span).ok(), Some(clock.nanos_between(first, second)));
    }
}
