//! [`Cursor`]: a position in a store's records.
//!
//! The store decides what the numbers count. A client may keep a cursor, compare it by
//! [`covers`](Cursor::covers) and pass it back; it may not compute with it.

use std::fmt;
use std::str::FromStr;

/// A position in a store's order of storing: everything up to it was read.
///
/// Three numbers that never shrink as the store grows. What each of them counts is up to the store
/// that made the cursor, so a cursor is valid for that store only.
///
/// ```
/// use spanscope_model::Cursor;
///
/// let cursor: Cursor = "12.3.40".parse()?;
/// assert!(cursor.covers(&Cursor::START));
/// assert_eq!(cursor.to_string(), "12.3.40");
/// # Ok::<(), spanscope_model::ParseCursorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor([u64; 3]);

/// The error of a text that is not a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseCursorError;

impl Cursor {
    /// Before every record.
    pub const START: Self = Self([0; 3]);
    /// After every record that a store can ever store.
    pub const END: Self = Self([u64::MAX; 3]);

    /// Creates a cursor; for implementations of stores.
    #[must_use]
    pub const fn new(parts: [u64; 3]) -> Self {
        Self(parts)
    }

    /// Returns the numbers; for the store that made the cursor.
    #[must_use]
    pub const fn parts(self) -> [u64; 3] {
        self.0
    }

    /// Returns whether everything up to `other` is at or before this cursor.
    #[must_use]
    pub const fn covers(&self, other: &Self) -> bool {
        let ([a, b, c], [other_a, other_b, other_c]) = (self.0, other.0);
        a >= other_a && b >= other_b && c >= other_c
    }
}

/// Three numbers, separated by dots.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a}.{b}.{c}")
    }
}

impl fmt::Display for ParseCursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cursor: a cursor is three numbers with points between them")
    }
}

impl std::error::Error for ParseCursorError {}

impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let mut numbers = text.split('.').map(|number| {
            let is_plain =
                (1..=20).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit());
            number.parse::<u64>().ok().filter(|_| is_plain)
        });
        let mut next = || numbers.next().flatten().ok_or(ParseCursorError);
        let cursor = Self([next()?, next()?, next()?]);
        match numbers.next() {
            None => Ok(cursor),
            Some(_) => Err(ParseCursorError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_cursor_parses_to_that_cursor_and_other_texts_are_errors() {
        for cursor in [
            Cursor::START,
            Cursor::END,
            Cursor::new([7, 0, u64::MAX]),
            // Earlier versions wrote no number larger than this.
            Cursor::new([7, 0, 9_223_372_036_854_775_807]),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.-3",
            "1.2.+3",
            "1.2.x",
            "1..3",
            "1.2.99999999999999999999",
            " 1.2.3",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(ParseCursorError), "{text}");
        }
    }

    #[test]
    fn a_cursor_covers_another_if_none_of_its_numbers_is_smaller() {
        let here = Cursor::new([3, 2, 1]);
        assert!(here.covers(&here) && here.covers(&Cursor::START) && Cursor::END.covers(&here));
        for beyond in [[4, 0, 0], [0, 3, 0], [0, 0, 2]] {
            assert!(!here.covers(&Cursor::new(beyond)));
        }
    }
}
