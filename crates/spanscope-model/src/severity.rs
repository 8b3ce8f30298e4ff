//! The severity of spans and events, and its number in OpenTelemetry.

use crate::text_enum;

text_enum!(
    /// The severity of a log message.
    Severity, "severity",
    /// Finest detail; `tracing`'s TRACE.
    Verbose = "verbose",
    /// For development.
    Debug = "debug",
    /// Normal operation.
    Info = "info",
    /// May become a problem.
    Warn = "warn",
    /// Something failed; the program continues.
    Error = "error",
    /// The program can't continue; an ERROR event with the field `severity = "critical"`.
    Critical = "critical",
);

impl Severity {
    /// Returns OpenTelemetry's severity number: 1, 5, 9, 13, 17, 21.
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

    /// Returns the severity of an OpenTelemetry number; 0 and unknown numbers are info.
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

    /// Returns the severity for any name that is in use: the names of this type, of `tracing`,
    /// syslog, Python, Java and .NET, OpenTelemetry's short names (`ERROR2`, `WARN3`), and the
    /// numbers of pino and bunyan as texts (`50`). ASCII case is ignored.
    ///
    /// ```
    /// use spanscope_model::Severity;
    ///
    /// assert_eq!(Severity::from_name("WARNING"), Some(Severity::Warn));
    /// assert_eq!(Severity::from_name("error2"), Some(Severity::Error));
    /// assert_eq!(Severity::from_name("50"), Some(Severity::Error));
    /// assert_eq!(Severity::from_name("loud"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const NAMES: [(Severity, &[&str]); 6] = [
            (
                Severity::Verbose,
                &["verbose", "trace", "notset", "trce", "finest", "finer", "10"],
            ),
            (Severity::Debug, &["debug", "dbug", "fine", "20"]),
            (
                Severity::Info,
                &["info", "information", "informational", "notice", "30"],
            ),
            (Severity::Warn, &["warn", "warning", "40"]),
            (Severity::Error, &["error", "err", "severe", "fail", "50"]),
            (
                Severity::Critical,
                &[
                    "critical",
                    "fatal",
                    "crit",
                    "alert",
                    "emerg",
                    "emergency",
                    "panic",
                    "60",
                ],
            ),
        ];
        let find = |wanted: &str| {
            let has = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
            NAMES
                .iter()
                .find(|(_, names)| has(names))
                .map(|(severity, _)| *severity)
        };
        // OpenTelemetry has four steps of each severity.
        const STEPPED: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];
        let stepped = name
            .strip_suffix(['2', '3', '4'])
            .filter(|short| STEPPED.iter().any(|known| known.eq_ignore_ascii_case(short)));
        find(stepped.unwrap_or(name))
    }
}
