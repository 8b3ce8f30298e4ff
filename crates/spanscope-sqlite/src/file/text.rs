//! Texts as the file's columns hold them.

use std::borrow::Cow;

/// Returns the text with a replacement character for each zero byte, as in the JSON of attributes.
/// SQLite stores a zero byte, but its functions and its command end the text there: the rest would
/// be stored and not be found.
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
    fn a_zero_byte_becomes_visible_and_other_texts_stay_as_they_are() {
        assert_eq!(without_nul("a\0b\0"), "a\u{fffd}b\u{fffd}");
        assert_eq!(without_nul("a\nb\u{1}"), "a\nb\u{1}");
    }
}
