//! Why a bridge could not be built.

use std::fmt;

use crate::settings::SettingError;

/// The error of building a bridge. The message names the setting, its origin, and the accepted
/// values.
#[derive(Debug)]
pub struct OtlpError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Setting(SettingError),
    Thread(std::io::Error),
    Exporter(String),
}

impl OtlpError {
    pub(crate) fn setting(setting: SettingError) -> Self {
        Self {
            kind: Kind::Setting(setting),
        }
    }

    pub(crate) fn thread(error: std::io::Error) -> Self {
        Self {
            kind: Kind::Thread(error),
        }
    }

    pub(crate) fn exporter(message: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Exporter(message.to_string()),
        }
    }

    /// Returns the error of an inconsistency after validation.
    pub(crate) fn impossible() -> Self {
        Self::exporter("a setting has changed while it was read")
    }

    /// Returns the setting that is not accepted, if that is the cause.
    #[must_use]
    pub fn bad_setting(&self) -> Option<&SettingError> {
        match &self.kind {
            Kind::Setting(setting) => Some(setting),
            Kind::Thread(_) | Kind::Exporter(_) => None,
        }
    }
}

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Setting(setting) => setting.fmt(f),
            Kind::Thread(error) => write!(f, "a thread of the OTLP bridge could not be started: {error}"),
            Kind::Exporter(message) => write!(f, "the OTLP exporter could not be built: {message}"),
        }
    }
}

impl std::error::Error for OtlpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Thread(error) => Some(error),
            Kind::Setting(_) | Kind::Exporter(_) => None,
        }
    }
}
