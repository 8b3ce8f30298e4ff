//! An error in a value and its position: each reader adds the field or the index that it passed
//! through.

use std::fmt;

/// An error in a value, and its position.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::otlp) struct InvalidValue {
    /// `resourceSpans[0].resource`
    position: String,
    what: String,
}

impl InvalidValue {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            position: String::new(),
            what: what.into(),
        }
    }

    /// Returns the error, seen from the object that has the value as this field.
    pub(super) fn within(mut self, field: &str) -> Self {
        let has_dot = !self.position.is_empty() && !self.position.starts_with('[');
        self.position = format!("{field}{}{}", if has_dot { "." } else { "" }, self.position);
        self
    }

    /// Returns the error, seen from the list that contains the value.
    pub(super) fn at(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.position, self.what)
        }
    }
}
