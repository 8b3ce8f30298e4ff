//! The errors of setting up telemetry.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use spanscope_core::queue::log_to_stderr;
use spanscope_layers::{LevelWarning, VariableError};
use spanscope_model::StoreError;
use spanscope_model::text::excerpt;

/// Maximum number of characters of a text that an error message quotes.
const MAX_QUOTED_CHARS: usize = 100;

/// The error of setting up telemetry. The message names the input, its origin and the accepted
/// values.
///
/// The program then runs without telemetry. So an error of [`try_init`](crate::try_init) or
/// [`Builder::try_init`](crate::Builder::try_init) that is dropped unseen (`let _ =
/// spanscope::try_init();`) is reported on stderr.
///
/// ```
/// use spanscope::InitErrorKind;
///
/// let error = spanscope::builder().sinks(&["consle"]).unwrap_err();
/// assert!(matches!(error.kind(), InitErrorKind::Setting { input, .. } if input == "consle"));
/// ```
pub struct InitError {
    kind: InitErrorKind,
    /// Whether an error that should be handled was not looked at.
    is_unseen: AtomicBool,
}

impl InitError {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> &InitErrorKind {
        self.is_unseen.store(false, Ordering::Relaxed);
        &self.kind
    }

    /// Returns the same error, which is reported if it is dropped unseen.
    pub(crate) fn reported_if_unseen(self) -> Self {
        self.is_unseen.store(true, Ordering::Relaxed);
        self
    }
}

impl From<InitErrorKind> for InitError {
    fn from(kind: InitErrorKind) -> Self {
        Self {
            kind,
            is_unseen: AtomicBool::new(false),
        }
    }
}

impl Drop for InitError {
    fn drop(&mut self) {
        if *self.is_unseen.get_mut() {
            log_to_stderr(format!(
                "spanscope: no telemetry: {}; this error of `try_init` was dropped: handle it, or call `spanscope::init()`, which continues without what it can't set up",
                self.kind
            ));
        }
    }
}

impl fmt::Debug for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.kind(), f)
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.kind(), f)
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            InitErrorKind::Store(error) => error.source(),
            InitErrorKind::Thread(error) => Some(error),
            #[cfg(feature = "otlp")]
            InitErrorKind::Otlp(error) => error.source(),
            _ => None,
        }
    }
}

/// The kinds of an [`InitError`], with their details.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitErrorKind {
    /// A setting has an invalid value.
    Setting {
        /// Its origin: the name of a variable or a method, or of a file with the line and the keys.
        place: Cow<'static, str>,
        /// The invalid value.
        input: String,
        /// The accepted values.
        accepted: String,
    },
    /// The configuration file can't be read, or is malformed.
    Document {
        /// The file, and the line if there is one.
        place: String,
        /// The error, and what is expected.
        problem: String,
    },
    /// Levels that were set in code are invalid.
    Levels(LevelWarning),
    /// The thread of a sink could not be started.
    Thread(std::io::Error),
    /// The span store can't be opened.
    Store(StoreError),
    /// The OTLP sinks can't be set up.
    #[cfg(feature = "otlp")]
    Otlp(spanscope_otlp::OtlpError),
    /// The program has set another global subscriber before.
    AlreadySet,
    /// There is no data folder for the file.
    NoFolder,
}

impl fmt::Display for InitErrorKind {
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

impl From<VariableError> for InitErrorKind {
    fn from(error: VariableError) -> Self {
        Self::Setting {
            place: error.name().into(),
            input: error.input().to_owned(),
            accepted: error.accepted().to_owned(),
        }
    }
}

/// Returns a text as an error message quotes it.
pub(crate) fn quoted(text: &str) -> String {
    excerpt(text, MAX_QUOTED_CHARS).into_owned()
}
