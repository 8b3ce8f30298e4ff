//! [`LevelFilter`]: the levels that can be set, their names, and the records that they let through.

use std::fmt;
use std::str::FromStr;

use spanscope_model::text::first_chars;
use tracing_core::{Level, LevelFilter as TracingFilter};

use super::warning::{QUOTED_CHARS, guess, quoted};

/// The least severe level that passes; from "everything" to "nothing".
///
/// It is `tracing`'s `LevelFilter` with one more step: at [`Critical`](Self::Critical) only ERROR
/// events with the field `severity = "critical"` pass.
///
/// ```
/// use spanscope_layers::LevelFilter;
/// assert_eq!("Warning".parse(), Ok(LevelFilter::Warn));
/// assert_eq!(" fatal ".parse(), Ok(LevelFilter::Critical));
/// assert_eq!(LevelFilter::Warn.to_string(), "warn");
/// assert!("loud".parse::<LevelFilter>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LevelFilter {
    /// Everything: `trace`, `verbose`, `notset`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warn`, `warning`.
    Warn,
    /// `error`.
    Error,
    /// ERROR events with `severity = "critical"`, and no spans: `critical`, `fatal`.
    Critical,
    /// Nothing: `off`.
    Off,
}

/// Every accepted name, in the order of help texts.
pub(super) const LEVEL_NAMES: [(&str, LevelFilter); 11] = [
    ("trace", LevelFilter::Trace),
    ("debug", LevelFilter::Debug),
    ("info", LevelFilter::Info),
    ("warn", LevelFilter::Warn),
    ("error", LevelFilter::Error),
    ("critical", LevelFilter::Critical),
    ("off", LevelFilter::Off),
    ("verbose", LevelFilter::Trace),
    ("notset", LevelFilter::Trace),
    ("warning", LevelFilter::Warn),
    ("fatal", LevelFilter::Critical),
];

impl LevelFilter {
    /// Returns the corresponding filter of `tracing`'s levels; `Critical` is a part of `ERROR`.
    #[must_use]
    pub fn to_level_filter(self) -> TracingFilter {
        match self {
            Self::Trace => TracingFilter::TRACE,
            Self::Debug => TracingFilter::DEBUG,
            Self::Info => TracingFilter::INFO,
            Self::Warn => TracingFilter::WARN,
            Self::Error | Self::Critical => TracingFilter::ERROR,
            Self::Off => TracingFilter::OFF,
        }
    }

    /// Returns the verbosity up to which something can pass: 0 is nothing, 1 is ERROR, 5 is TRACE.
    pub(super) fn passes_at_most(self) -> u8 {
        match self {
            Self::Critical => 1,
            other => other.passes_always(),
        }
    }

    /// Returns the verbosity up to which everything passes, independent of fields.
    pub(super) fn passes_always(self) -> u8 {
        match self {
            Self::Trace => 5,
            Self::Debug => 4,
            Self::Info => 3,
            Self::Warn => 2,
            Self::Error => 1,
            Self::Critical | Self::Off => 0,
        }
    }
}

/// Returns the verbosity of a level: 1 is ERROR, 5 is TRACE.
#[inline]
pub(super) fn verbosity(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl From<LevelFilter> for TracingFilter {
    fn from(threshold: LevelFilter) -> Self {
        threshold.to_level_filter()
    }
}

impl FromStr for LevelFilter {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        LEVEL_NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, threshold)| *threshold)
            .ok_or_else(|| UnknownLevel::new(name))
    }
}

impl fmt::Display for LevelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        })
    }
}

/// The error for an unknown level name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLevel {
    name: String,
}

impl UnknownLevel {
    /// Keeps only the part of the name that is shown.
    fn new(name: &str) -> Self {
        let name = first_chars(name, QUOTED_CHARS + 1).to_owned();
        Self { name }
    }
}

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = LEVEL_NAMES.iter().map(|(name, _)| *name);
        write!(
            f,
            "unknown level `{}`{} accepted: trace, debug, info, warn, error, critical, off",
            quoted(&self.name),
            guess(&self.name, names)
        )
    }
}

impl std::error::Error for UnknownLevel {}
