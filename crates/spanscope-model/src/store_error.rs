//! [`StoreError`]: how a store fails.
//!
//! Never here: a status of HTTP or an exit code; the server and the command choose theirs by kind.

use std::fmt;

/// What went wrong in a store. The message is for the caller; [`kind`](Self::kind) is for the program.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The question makes no sense; asking again will not help.
    InvalidInput,
    /// What was asked for is not stored.
    NotFound,
    /// The store can't answer now: it is locked, or its disk is full or fails.
    Unavailable,
    /// What was opened is not a span store, or one of a newer version.
    Unusable,
    /// The store is given more than it can write now: give it again in a second.
    Overloaded,
    /// What was given does not fit into the store, and nothing can be deleted to make room for it.
    Full,
    /// The answer would be larger than this store gives; ask for less.
    AnswerTooLarge,
    /// The question has to look at more than this store reads at one time; ask for less.
    TooLong,
    /// This kind of store, or the way in which it was opened, can't do it;
    /// [`Capabilities`](crate::Capabilities) say what it can.
    Unsupported,
}

impl StoreError {
    /// Makes an error. The message is in lower case, without a full stop, and says how to fix it.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Shorthand for [`StoreErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::InvalidInput, message)
    }

    /// Shorthand for [`StoreErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::NotFound, message)
    }

    /// Shorthand for [`StoreErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Unsupported, message)
    }

    /// Adds the inner cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether what was asked for is not stored.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }

    /// Whether the store can't do what was asked at all.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.kind == StoreErrorKind::Unsupported
    }

    /// Whether the question was wrong.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.kind == StoreErrorKind::InvalidInput
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
