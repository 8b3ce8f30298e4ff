//! Why a text is no filter: where, what would be right, and what was probably meant.

use std::fmt;

/// A text that is no filter.
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

    /// Where the filter stops being one: an offset in bytes, on a boundary of characters.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What would be right there, as words.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What was probably meant, to be put in place of what is there.
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
