//! [`RawValue`]: one attribute value that borrows its text.
//!
//! What reads attributes without keeping them works with this type, so that neither a record's bytes
//! nor a stored [`Value`](crate::Value) has to be copied for it.

/// A value as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawValue<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating point number.
    F64(f64),
    /// A text and, if it was cut, how many bytes it had before.
    Text(&'a str, Option<u64>),
}

impl<'a> RawValue<'a> {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text, _) => Some(text),
            _ => None,
        }
    }
}

impl<'a> From<&'a str> for RawValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text, None)
    }
}
