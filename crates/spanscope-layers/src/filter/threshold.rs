//! The names of levels, and what each of them lets through.

use std::fmt;
use std::str::FromStr;

use spanscope_model::text::first_chars;
use tracing_core::{Level, LevelFilter};

use super::warning::{QUOTED_CHARS, guess, quoted};

/// The least important thing that is let through; from "everything" to "nothing".
///
/// It is `tracing`'s `LevelFilter` with one step more: at [`Critical`](Self::Critical) only those ERROR events pass that
/// carry the field `severity = "critical"`.
///
/// ```
/// use spanscope_layers::Threshold;
/// assert_eq!("Warning".parse(), Ok(Threshold::Warn));
/// assert_eq!(" fatal ".parse(), Ok(Threshold::Critical));
/// assert_eq!(Threshold::Warn.to_string(), "warn");
/// assert!("loud".parse::<Threshold>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Threshold {
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

/// Every accepted name, in the order in which help texts show them.
pub(super) const LEVEL_NAMES: [(&str, Threshold); 11] = [
    ("trace", Threshold::Trace),
    ("debug", Threshold::Debug),
    ("info", Threshold::Info),
    ("warn", Threshold::Warn),
    ("error", Threshold::Error),
    ("critical", Threshold::Critical),
    ("off", Threshold::Off),
    ("verbose", Threshold::Trace),
    ("notset", Threshold::Trace),
    ("warning", Threshold::Warn),
    ("fatal", Threshold::Critical),
];

impl Threshold {
    /// What of `tracing`'s levels can pass at all; `Critical` is a part of `ERROR`.
    #[must_use]
    pub fn to_level_filter(self) -> LevelFilter {
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error | Self::Critical => LevelFilter::ERROR,
            Self::Off => LevelFilter::OFF,
        }
    }

    /// The verbosity up to which something can pass: 0 is nothing, 1 is ERROR, 5 is TRACE.
    pub(super) fn passes_at_most(self) -> u8 {
        match self {
            Self::Critical => 1,
            other => other.passes_always(),
        }
    }

    /// The verbosity up to which everything passes, whatever its fields say.
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

/// How verbose a level is: 1 is ERROR, 5 is TRACE.
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

impl From<Threshold> for LevelFilter {
    fn from(threshold: Threshold) -> Self {
        threshold.to_level_filter()
    }
}

impl FromStr for Threshold {
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

impl fmt::Display for Threshold {
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

/// A text that is no level's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLevel {
    name: String,
}

impl UnknownLevel {
    /// Keeps no more of the name than is ever shown.
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
