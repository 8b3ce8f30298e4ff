//! An error in a value and its position: each reader adds the field or the index that it passed
//! through.

use std::fmt;

/// An error in a value, and its position.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::otlp) struct Wrong {
    /// `resourceSpans[0].resource`
    place: String,
    what: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            what: what.into(),
        }
    }

    /// Returns the error, seen from the object that has the value as this field.
    pub(super) fn within(mut self, field: &str) -> Self {
        let has_dot = !self.place.is_empty() && !self.place.starts_with('[');
        self.place = format!("{field}{}{}", if has_dot { "." } else { "" }, self.place);
        self
    }

    /// Returns the error, seen from the list that contains the value.
    pub(super) fn at(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.place, self.what)
        }
    }
}
