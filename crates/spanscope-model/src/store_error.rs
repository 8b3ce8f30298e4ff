//! [`StoreError`]: why a store's method failed.
//!
//! HTTP statuses and exit codes do not belong here; the server and the command choose theirs by
//! kind.

use std::fmt;

/// An error of a store. The message is for people; [`kind`](Self::kind) is for programs.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    nearest: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kind of a store's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The query is invalid; retrying will not help.
    InvalidInput,
    /// The requested record is not stored.
    NotFound,
    /// The store can't respond now: it is locked, or its disk is full or fails.
    Unavailable,
    /// The opened file is not a Spanscope file, or a newer version wrote it.
    Unusable,
    /// The store receives more than it can write now: retry in a second.
    Overloaded,
    /// The records do not fit into the store, and nothing can be deleted to make room.
    Full,
    /// The result exceeds this store's limit; ask for less.
    ResultTooLarge,
    /// The query reads more than this store allows at once; ask for less.
    QueryTooLarge,
    /// This kind of store, or the mode in which it was opened, does not support it;
    /// [`Capabilities`](crate::Capabilities) list what is supported.
    Unsupported,
}

impl StoreError {
    /// Creates an error. The message is in lower case, without a full stop, and says how to fix the
    /// error.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            nearest: Vec::new(),
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

    /// Adds the ids that are most like one that was not found.
    #[must_use]
    pub fn with_nearest(mut self, nearest: Vec<String>) -> Self {
        self.nearest = nearest;
        self
    }

    /// Returns the ids that are most like one that was not found, the nearest first.
    #[must_use]
    pub fn nearest(&self) -> &[String] {
        &self.nearest
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns whether the requested record is not stored.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }

    /// Returns whether the store does not support the request.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.kind == StoreErrorKind::Unsupported
    }

    /// Returns whether the query was invalid.
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
