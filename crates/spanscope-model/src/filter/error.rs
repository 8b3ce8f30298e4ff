//! The error of a text that is not a valid filter: the position, what was expected there, and a
//! suggestion.

use std::fmt;

/// A text that is not a valid filter.
///
/// ```
/// use spanscope_model::filter::Filter;
///
/// let error = "duration>1s status=eror".parse::<Filter>().unwrap_err();
/// assert_eq!(error.position(), 19);
/// assert_eq!(error.suggestion(), Some("error"));
/// assert_eq!(
///     error.to_string(),
///     r#"at byte 19: expected ok or error, found "eror": did you mean "error"?"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    position: usize,
    expected: String,
    found: String,
    suggestion: Option<String>,
}

impl FilterError {
    pub(super) fn new(position: usize, expected: impl Into<String>) -> Self {
        Self {
            position,
            expected: expected.into(),
            found: String::new(),
            suggestion: None,
        }
    }

    pub(super) fn found(mut self, found: &str) -> Self {
        self.found = crate::text::excerpt(found, 80).into_owned();
        self
    }

    pub(super) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// Returns where the filter becomes invalid: a byte offset on a character boundary.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Returns a description of what would be valid there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns the probable correction, to replace the text at that position.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: expected {}", self.position, self.expected)?;
        if !self.found.is_empty() {
            write!(f, ", found {:?}", self.found)?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, ": did you mean {suggestion:?}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}
