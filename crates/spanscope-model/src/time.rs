//! Points in time: nanoseconds in memory, RFC 3339 in JSON, a text that compares with SQLite's
//! `datetime()` in SQL.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::civil::{self, Civil};
use crate::text::first_chars;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z; the range is 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The error of a text that is not a timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTimestampError(String);

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a time between 1677 and 2262: write it as 2026-11-21T14:03:00Z or 2026-11-21 14:03:00 (UTC)",
            self.0
        )
    }
}

impl std::error::Error for ParseTimestampError {}

impl Timestamp {
    /// Creates a timestamp from nanoseconds since 1970.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since 1970.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Returns the wall clock's current time.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Returns the time earlier by `duration`, or the earliest possible one.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the form that the store's SQL tables show: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    ///
    /// ```
    /// use spanscope_model::Timestamp;
    /// let time: Timestamp = "2026-11-21T15:03:00.25+01:00".parse()?;
    /// assert_eq!(time.to_sql_text(), "2026-11-21 14:03:00.250000");
    /// # Ok::<(), spanscope_model::ParseTimestampError>(())
    /// ```
    #[must_use]
    pub fn to_sql_text(self) -> String {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            nano,
        } = Civil::from_nanos(self.0);
        let micro = nano / 1000;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}")
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)),
        }
    }
}

/// RFC 3339 with `Z` and as many fraction digits as necessary.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            nano,
        } = Civil::from_nanos(self.0);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if nano != 0 {
            let digits = format!("{nano:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses RFC 3339 with any offset; a text without an offset is UTC, as in SQLite.
impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let nanos = civil::parse(text);
        nanos
            .map(Self)
            .ok_or_else(|| ParseTimestampError(first_chars(text, 80).to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
