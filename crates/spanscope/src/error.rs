//! Why telemetry could not be set up.

use std::fmt;

use spanscope_model::StoreError;

/// Why telemetry could not be set up. The message names the input, where it came from and what is accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// A setting has a value that is not accepted.
    Setting {
        /// Where it came from: a variable's or a method's name.
        place: &'static str,
        /// What was given.
        input: String,
        /// What is accepted.
        accepted: String,
    },
    /// The span store can't be opened.
    Store(StoreError),
    /// The program has set another global subscriber before.
    AlreadySet,
    /// There is no data folder to put the file into.
    NoFolder,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { place, input, accepted } => write!(f, "{place} is {input:?}: {accepted}"),
            Self::Store(error) => error.fmt(f),
            Self::AlreadySet => f.write_str(
                "a global tracing subscriber is set already: call init first, or add SqliteLayer to that subscriber",
            ),
            Self::NoFolder => f.write_str("this user has no data folder: set SQLITE_STORE_DIR to a folder"),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}
