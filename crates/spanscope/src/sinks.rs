//! The names of the sinks, in code, the environment and the configuration file.

use crate::InitErrorKind;

/// All sinks. Each needs a feature: `console`, `sqlite`, and `otlp` for the three that send.
pub const SINKS: [&str; 5] = ["console", "sqlite", "otel_trace", "otel_metric", "otel_log"];

/// The sinks that are on by default, where the program is built with their features.
pub const DEFAULT_SINKS: [&str; 2] = ["console", "sqlite"];

/// The outputs that can have separate levels: the sinks that show spans or events, and the log
/// file.
pub const LEVEL_SINKS: [&str; 5] = ["console", "sqlite", "log_file", "otel_trace", "otel_log"];

/// Returns the feature that a sink needs, if the program is built without it.
pub(crate) fn missing_feature(sink: &str) -> Option<&'static str> {
    match sink {
        "console" | "log_file" if !cfg!(feature = "console") => Some("console"),
        "sqlite" if !cfg!(feature = "sqlite") => Some("sqlite"),
        "otel_trace" | "otel_metric" | "otel_log" if !cfg!(feature = "otlp") => Some("otlp"),
        _ => None,
    }
}

/// Creates the error of a setting that needs a feature which the program is built without.
pub(crate) fn without_feature(
    place: impl Into<std::borrow::Cow<'static, str>>,
    input: impl Into<String>,
    feature: &str,
) -> InitErrorKind {
    let or = if feature == "otlp" { ", or `otlp-grpc`" } else { "" };
    InitErrorKind::Setting {
        place: place.into(),
        input: input.into(),
        accepted: format!(
            "this program is built without it: switch on the feature `{feature}` of the crate `spanscope`{or}"
        ),
    }
}

/// Creates the error for an unknown name.
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
