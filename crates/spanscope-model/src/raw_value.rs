//! [`RawValue`]: an attribute value that borrows its text.
//!
//! Code that reads attributes without keeping them uses this type, so that neither a record's bytes
//! nor a stored [`Value`](crate::Value) has to be copied.

use std::fmt;

/// A borrowed attribute value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawValue<'a> {
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating point number.
    F64(f64),
    /// A string and, if it was truncated, its original length in bytes.
    Text(&'a str, Option<u64>),
}

impl<'a> RawValue<'a> {
    /// Returns the string, or `None` for another type.
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

impl fmt::Display for RawValue<'_> {
    /// Writes the value as plain text. Of a truncated string, it writes the part that was kept.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(number) => number.fmt(f),
            Self::U64(number) => number.fmt(f),
            Self::F64(number) => number.fmt(f),
            Self::Text(text, _) => f.write_str(text),
        }
    }
}

/// The error for a list, an object or null, which a [`RawValue`] can't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotScalarError;

impl fmt::Display for NotScalarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object is not a single value")
    }
}

impl std::error::Error for NotScalarError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn scalars_are_borrowed_and_displayed_and_other_values_are_errors() {
        let json = |text: &str| Value::Json(serde_json::from_str(text).unwrap_or_default());
        let shown = [
            (Value::from(true), "true"),
            (Value::from(-3_i64), "-3"),
            (Value::from(u64::MAX), "18446744073709551615"),
            (Value::from(0.5), "0.5"),
            (Value::from(f64::INFINITY), "inf"),
            (Value::from("a b"), "a b"),
        ];
        for (value, text) in &shown {
            let raw = RawValue::try_from(value).map(|raw| raw.to_string());
            assert_eq!(raw.as_deref(), Ok(*text));
        }
        for value in [json("[1]"), json("{}"), json("null")] {
            assert_eq!(RawValue::try_from(&value), Err(NotScalarError));
        }
        assert_eq!(RawValue::Text("begin", Some(20_000)).to_string(), "begin");
    }
}
