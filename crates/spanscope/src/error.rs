//! Why telemetry could not be set up.

use std::borrow::Cow;
use std::fmt;

use spanscope_layers::LevelWarning;
use spanscope_layers::console::VariableError;
use spanscope_model::StoreError;
use spanscope_model::text::excerpt;

/// Error messages quote no more characters of a text.
const MAX_QUOTED_CHARS: usize = 100;

/// Why telemetry could not be set up. The message names the input, where it came from and what is accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// A setting has a value that is not accepted.
    Setting {
        /// Where it came from: a variable's or a method's name, or a file's with the line and the keys.
        place: Cow<'static, str>,
        /// What was given.
        input: String,
        /// What is accepted.
        accepted: String,
    },
    /// The file of settings can't be read, or is not what it should be.
    Document {
        /// The file, and the line where there is one.
        place: String,
        /// What is wrong there, and what is expected.
        problem: String,
    },
    /// Levels that were set in code are not accepted.
    Levels(LevelWarning),
    /// The thread of a sink could not be started.
    Thread(std::io::Error),
    /// The span store can't be opened.
    Store(StoreError),
    /// The sinks that send can't be set up.
    #[cfg(feature = "otlp")]
    Otlp(spanscope_otlp::OtlpError),
    /// The program has set another global subscriber before.
    AlreadySet,
    /// There is no data folder to put the file into.
    NoFolder,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { place, input, accepted } => write!(f, "{place} is {input:?}: {accepted}"),
            Self::Document { place, problem } => write!(f, "{place}: {problem}"),
            Self::Levels(warning) => warning.fmt(f),
            Self::Thread(error) => write!(f, "a sink's thread could not be started: {error}"),
            Self::Store(error) => error.fmt(f),
            #[cfg(feature = "otlp")]
            Self::Otlp(error) => error.fmt(f),
            Self::AlreadySet => f.write_str(
                "a global tracing subscriber is set already: call init first, or add the layers to that subscriber",
            ),
            Self::NoFolder => f.write_str("this user has no data folder: set SQLITE_STORE_DIR to a folder"),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Thread(error) => Some(error),
            #[cfg(feature = "otlp")]
            Self::Otlp(error) => error.source(),
            _ => None,
        }
    }
}

impl From<VariableError> for InitError {
    fn from(error: VariableError) -> Self {
        Self::Setting {
            place: error.name().into(),
            input: error.input().to_owned(),
            accepted: error.accepted(),
        }
    }
}

/// A text as an error message quotes it.
pub(crate) fn quoted(text: &str) -> String {
    excerpt(text, MAX_QUOTED_CHARS).into_owned()
}
