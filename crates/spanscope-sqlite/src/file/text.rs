//! Converts texts to the form in which columns store them.

use std::borrow::Cow;

/// Returns the text with U+FFFD for each zero byte, as in the JSON of attributes. SQLite stores a
/// zero byte, but its functions and its command end the text there, so the rest would not be found.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::without_nul;

    #[test]
    fn a_zero_byte_is_replaced_and_other_control_characters_stay() {
        assert_eq!(without_nul("a\0b\0"), "a\u{fffd}b\u{fffd}");
        assert_eq!(without_nul("a\nb\u{1}"), "a\nb\u{1}");
    }
}
