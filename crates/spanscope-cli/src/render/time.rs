//! Times in the user's zone.

use jiff::tz::TimeZone;
use spanscope_model::Timestamp;

/// For headings: `2026-11-21 14:03:00.123 +01:00`.
pub(crate) fn full(time: Timestamp, zone: &TimeZone) -> String {
    format(time, zone, "%Y-%m-%d %H:%M:%S%.3f %:z")
}

/// For rows: `11-21 14:03:00.123`. Stores keep records for days, so the year is omitted.
pub(crate) fn short(time: Timestamp, zone: &TimeZone) -> String {
    format(time, zone, "%m-%d %H:%M:%S%.3f")
}

/// For rows that need no milliseconds: `11-21 14:03:00`.
pub(crate) fn seconds(time: Timestamp, zone: &TimeZone) -> String {
    format(time, zone, "%m-%d %H:%M:%S")
}

/// For lines that follow each other: `14:03:00.123`.
pub(crate) fn clock(time: Timestamp, zone: &TimeZone) -> String {
    format(time, zone, "%H:%M:%S%.3f")
}

fn format(time: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).unwrap_or_default();
    time.to_zoned(zone.clone()).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_zone() {
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(full(time, &zone), "2023-11-15 00:13:20.123 +02:00");
        assert_eq!(short(time, &TimeZone::UTC), "11-14 22:13:20.123");
        assert_eq!(clock(time, &TimeZone::UTC), "22:13:20.123");
    }
}
