//! Points in time: nanoseconds inside, RFC 3339 in JSON, a text that compares with SQLite's `datetime()` in SQL.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::text::first_chars;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z; reaches from 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is no timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseTimestampError(String);

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no time between 1677 and 2262: write it as 2026-11-21T14:03:00Z or 2026-11-21 14:03:00 (UTC)",
            self.0
        )
    }
}

impl std::error::Error for ParseTimestampError {}

impl Timestamp {
    /// Makes a timestamp of nanoseconds since 1970.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The wall clock's time now.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The time this long before, or the earliest there is.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// The form that the store's SQL tables show: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    ///
    /// ```
    /// use spanscope_model::Timestamp;
    /// let time: Timestamp = "2026-11-21T15:03:00.25+01:00".parse()?;
    /// assert_eq!(time.to_sql_text(), "2026-11-21 14:03:00.250000");
    /// # Ok::<(), spanscope_model::ParseTimestampError>(())
    /// ```
    #[must_use]
    pub fn to_sql_text(self) -> String {
        self.to_jiff().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
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

/// RFC 3339 with `Z` and as many fraction digits as are needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads RFC 3339 with any offset; a text without an offset is UTC, as SQLite has it.
impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let fail = || ParseTimestampError(first_chars(text, 80).to_owned());
        let time = match text.parse::<jiff::Timestamp>() {
            Ok(time) => time,
            Err(_) => text
                .parse::<jiff::civil::DateTime>()
                .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC))
                .map_err(|_| fail())?
                .timestamp(),
        };
        i64::try_from(time.as_nanosecond()).map(Self).map_err(|_| fail())
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
