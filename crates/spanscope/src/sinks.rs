//! The names of the sinks, which code, the environment and the file of settings use alike.

use crate::InitErrorKind;

/// The sinks that there are. The three that send need the feature `otlp`, which is on by default.
pub const SINKS: [&str; 5] = ["console", "sqlite", "otel_trace", "otel_metric", "otel_log"];

/// The sinks that are on by default.
pub const DEFAULT_SINKS: [&str; 2] = ["console", "sqlite"];

/// What can have separate levels: the sinks that show spans or events, and the log file.
pub const LEVEL_SINKS: [&str; 5] = ["console", "sqlite", "log_file", "otel_trace", "otel_log"];

/// The error of a name that is none of these.
pub(crate) fn unknown_sink(place: &'static str, name: &str, accepted: &[&str]) -> InitErrorKind {
    InitErrorKind::Setting {
        place: place.into(),
        input: name.to_owned(),
        accepted: format!(
            "a comma-separated list of these is accepted: {}",
            accepted.join(", ")
        ),
    }
}
