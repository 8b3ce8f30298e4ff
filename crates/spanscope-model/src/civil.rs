//! Calendar and clock of a time in UTC, and the reading of RFC 3339.
//!
//! Written by hand, because a date library would add a sixteenth to the build time of the smallest
//! program. The console and the command use such a library, for time zones.

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 24 * 3600;

/// A time in UTC, by the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) nano: i64,
}

impl Civil {
    /// Returns the time that is this many nanoseconds after the beginning of 1970.
    pub(crate) fn from_nanos(nanos: i64) -> Self {
        let seconds = nanos.div_euclid(NANOS);
        let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        Self {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nano: nanos.rem_euclid(NANOS),
        }
    }
}

/// Returns the days from March 1 of year 0 to March 1 of this year.
const fn days_before(year: i64) -> i64 {
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
}

/// Days from March 1 of year 0 to 1970.
const EPOCH: i64 = 719_468;

/// Returns the days since 1970 of a date. Years are counted from March, so that a leap day is the
/// last of its year; the months from there begin after `(153 * month + 2) / 5` days.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    days_before(year) + (153 * month + 2) / 5 + day - 1 - EPOCH
}

/// Returns year, month and day of the days since 1970: the reverse of [`days_of`].
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    // The mean length of a year gives an upper bound.
    let mut year = (days * 400).div_euclid(146_097) + 1;
    while days_before(year) > days {
        year -= 1;
    }
    let of_year = days - days_before(year);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

/// Parses a time in RFC 3339. Without an offset it is UTC. Minutes, seconds, or the whole time of
/// day may be missing. Returns nanoseconds since 1970; `None` if the text is invalid or the time
/// out of range.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.number(4)?;
    let month = rest.after(b"-")?.number(2)?;
    let day = rest.after(b"-")?.number(2)?;
    let days = days_of(year, month, day);
    // The conversion turns a day that its month lacks into one of another month.
    if date_of(days) != (year, month, day) {
        return None;
    }
    let (mut seconds, mut nanos) = (days * DAY_SECONDS, 0);
    if rest.after(b"Tt ").is_some() {
        seconds += rest.clock(23)?;
        if rest.after(b".,").is_some() {
            nanos = rest.fraction()?;
        }
        if let Some(sign) = rest.one_of(b"+-") {
            let offset = rest.clock(25)?;
            seconds += if sign == b'+' { -offset } else { offset };
        } else {
            rest.after(b"Zz");
        }
    }
    let nanos = i128::from(seconds) * i128::from(NANOS) + i128::from(nanos);
    rest.0.is_empty().then(|| i64::try_from(nanos).ok()).flatten()
}

/// The unread rest of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Reads and returns one of these bytes.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Skips one of these bytes.
    fn after(&mut self, bytes: &[u8]) -> Option<&mut Self> {
        self.one_of(bytes).map(|_| self)
    }

    /// Reads a number of exactly this many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 10 + i64::from(self.one_of(b"0123456789")? - b'0');
        }
        Some(number)
    }

    /// Reads hours, and minutes and seconds if they follow. Returns their sum in seconds. Second
    /// 60, a leap second, counts as 59.
    fn clock(&mut self, max_hour: i64) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour <= max_hour)?;
        let has_colon = self.0.first() == Some(&b':');
        let mut part = |max: i64| {
            if has_colon {
                if self.after(b":").is_none() {
                    return Some(0);
                }
            } else if !self.0.first().is_some_and(u8::is_ascii_digit) {
                return Some(0);
            }
            self.number(2).filter(|part| *part <= max)
        };
        let (minute, second) = (part(59)?, part(60)?.min(59));
        Some(hour * 3600 + minute * 60 + second)
    }

    /// Reads one to nine digits of a fraction, as nanoseconds.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let scale = u32::try_from(digits)
            .ok()
            .filter(|digits| (1..=9).contains(digits))?;
        Some(self.number(digits)? * 10_i64.pow(9 - scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    /// Pseudo-random numbers, the same in each run.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9E37_79B9_7F4A_7C15_u64), |state| {
            let mut next = *state;
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            Some(next)
        })
    }

    #[test]
    fn times_are_written_and_read_as_jiff_does() {
        let edges = [
            0,
            1,
            -1,
            i64::MIN,
            i64::MAX,
            NANOS,
            -NANOS,
            DAY_SECONDS * NANOS - 1,
        ];
        let random = numbers().take(20_000).map(u64::cast_signed);
        // Whole days around the ends of all Februaries.
        let days = (-106_000..106_000_i64)
            .step_by(7)
            .map(|day| day * DAY_SECONDS * NANOS);
        for nanos in edges.into_iter().chain(random).chain(days) {
            let (ours, theirs) = (
                Timestamp::from_nanos(nanos),
                jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default(),
            );
            assert_eq!(ours.to_string(), theirs.to_string(), "{nanos}");
            assert_eq!(
                ours.to_sql_text(),
                theirs.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
            );
            assert_eq!(ours.to_string().parse(), Ok(ours));
        }
    }

    /// The combinations include texts that almost are times.
    #[test]
    fn our_parser_accepts_the_texts_that_jiff_accepts() {
        let dates = [
            "2026-11-21",
            "2024-02-29",
            "2023-02-29",
            "1900-02-29",
            "2000-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "2026-1-21",
            "1677-09-21",
            "2262-04-12",
            "1969-12-31",
            "",
            "26-11-21",
        ];
        let times = [
            "",
            "T14:03:00",
            "t14:03:00",
            " 14:03:00",
            "T24:00:00",
            "T23:59:60",
            "T14:60:00",
            "T14:03",
            "T14:03:00.25",
            "T14:03:00,25",
            "T14:03:00.",
            "T14:03:00.123456789",
            "T14:03:00.1234567891",
            "T",
            "T1:03:00",
            "T14:03:0",
            "T14:03:00x",
            "  14:03:00",
        ];
        let offsets = [
            "",
            "Z",
            "z",
            "+01:00",
            "-01:00",
            "+0100",
            "+01",
            "+1",
            "+23:59",
            "+01:60",
            "+",
            " Z",
            "-00:00",
            "ZZ",
            "Z+01:00",
            "+01:00:30",
        ];
        let halves = dates
            .iter()
            .flat_map(|date| times.iter().map(move |time| (date, time)));
        for ((date, time), offset) in halves.flat_map(|half| offsets.iter().map(move |offset| (half, offset)))
        {
            let text = format!("{date}{time}{offset}");
            let theirs = match text.parse::<jiff::Timestamp>() {
                Ok(time) => Some(time),
                Err(_) => text
                    .parse::<jiff::civil::DateTime>()
                    .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC))
                    .map(|zoned| zoned.timestamp())
                    .ok(),
            };
            let theirs = theirs.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
            assert_eq!(parse(&text), theirs, "{text}");
        }
    }
}
