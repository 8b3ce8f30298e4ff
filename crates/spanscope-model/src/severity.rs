//! How serious something is, for spans and events alike, and its number in OpenTelemetry.

use crate::text_enum;

text_enum!(
    /// How serious a log message is.
    Severity, "severity",
    /// Finest detail; `tracing`'s TRACE.
    Verbose = "verbose",
    /// For development.
    Debug = "debug",
    /// Normal operation.
    Info = "info",
    /// May become a problem.
    Warn = "warn",
    /// Something failed, the program goes on.
    Error = "error",
    /// The program can't go on; an ERROR event with the field `severity = "critical"`.
    Critical = "critical",
);

impl Severity {
    /// OpenTelemetry's severity number: 1, 5, 9, 13, 17, 21.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Verbose => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Critical => 21,
        }
    }

    /// The severity of an OpenTelemetry number; 0 and unknown numbers are info.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1..=4 => Self::Verbose,
            5..=8 => Self::Debug,
            13..=16 => Self::Warn,
            17..=20 => Self::Error,
            21..=24 => Self::Critical,
            _ => Self::Info,
        }
    }
}
