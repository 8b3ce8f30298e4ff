//! Formats of times and durations.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;
use spanscope_model::Timestamp;

use super::text::push_digits;

const SECOND: i64 = 1_000_000_000;

/// Formats times in one zone. The text of a second is cached, since most entries fall into the same
/// second as the one before.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    pattern: &'static str,
    second: Option<i64>,
    shown: String,
}

impl Clock {
    /// Creates a clock that formats seconds by this `strftime` pattern.
    pub(super) fn new(zone: TimeZone, pattern: &'static str) -> Self {
        Self {
            zone,
            pattern,
            second: None,
            shown: String::new(),
        }
    }

    /// Appends the second, and returns the nanoseconds after it.
    fn push_second(&mut self, time: Timestamp, out: &mut String) -> u32 {
        let second = time.as_nanos().div_euclid(SECOND);
        if self.second != Some(second) {
            self.shown.clear();
            let zoned = jiff::Timestamp::from_second(second)
                .unwrap_or_default()
                .to_zoned(self.zone.clone());
            // Writing to a string can't fail, and the patterns are ours.
            let _ = write!(self.shown, "{}", zoned.strftime(self.pattern));
            self.second = Some(second);
        }
        out.push_str(&self.shown);
        u32::try_from(time.as_nanos().rem_euclid(SECOND)).unwrap_or(0)
    }

    /// Appends the time with milliseconds.
    pub(super) fn push_millis(&mut self, time: Timestamp, out: &mut String) {
        let nanos = self.push_second(time, out);
        out.push('.');
        push_digits(out, nanos / 1_000_000, 3);
    }

    /// Appends the time with nanoseconds.
    pub(super) fn push_nanos(&mut self, time: Timestamp, out: &mut String) {
        let nanos = self.push_second(time, out);
        out.push('.');
        push_digits(out, nanos, 9);
    }
}

/// Appends a duration in the unit that fits: `850ns`, `12.34ms`, `1.20s`, `3m 4s`, `2h 5m`, `3d
/// 4h`.
pub(super) fn push_duration(out: &mut String, duration: Duration, decimals: u32) {
    let nanos = duration.as_nanos();
    let scale = 10u128.pow(decimals);
    // The limit is compared with the rounded value, so that 1000.00ms or 60.00s never appear.
    for (unit, length, limit) in [
        ("µs", 1_000, 1_000),
        ("ms", 1_000_000, 1_000),
        ("s", 1_000_000_000, 60),
    ] {
        let shown = (nanos * scale + length / 2) / length;
        if nanos < 1_000 || shown >= limit * scale {
            continue;
        }
        let _ = write!(out, "{}", shown / scale);
        if decimals > 0 {
            out.push('.');
            push_digits(out, u32::try_from(shown % scale).unwrap_or(0), decimals);
        }
        return out.push_str(unit);
    }
    let seconds = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() >= 500_000_000));
    let _ = match seconds {
        _ if nanos < 1_000 => write!(out, "{nanos}ns"),
        0..3_600 => write!(out, "{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => write!(out, "{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => write!(out, "{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        for (nanos, shown) in [
            (0, "0ns"),
            (850, "850ns"),
            (850_000, "850.00µs"),
            (999_996, "1.00ms"),
            (12_340_000, "12.34ms"),
            (999_996_000, "1.00s"),
            (59_990_000_000, "59.99s"),
            (59_999_000_000, "1m 0s"),
            (184_000_000_000, "3m 4s"),
            (7_500_000_000_000, "2h 5m"),
            (273_600_000_000_000, "3d 4h"),
        ] {
            let mut text = String::new();
            push_duration(&mut text, Duration::from_nanos(nanos), 2);
            assert_eq!(text, shown);
        }
        let mut text = String::new();
        push_duration(&mut text, Duration::MAX, 1);
        assert_eq!(text, "213503982334601d 7h");
    }

    #[test]
    fn times_before_1970_and_at_the_ends_of_time_are_shown() {
        let mut clock = Clock::new(TimeZone::UTC, "%Y-%m-%d %H:%M:%S");
        for (nanos, shown) in [
            (-1, "1969-12-31 23:59:59.999"),
            (i64::MIN, "1677-09-21 00:12:43.145"),
            (i64::MAX, "2262-04-11 23:47:16.854"),
        ] {
            let mut text = String::new();
            clock.push_millis(Timestamp::from_nanos(nanos), &mut text);
            assert_eq!(text, shown);
        }
    }
}
