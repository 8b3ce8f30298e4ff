//! The width of texts on a terminal, and where they may be broken. Escaping is in
//! [`spanscope_model::text`].

use spanscope_model::text::{first_chars, is_mark};
pub(super) use spanscope_model::text::{is_hidden, is_printable_ascii, push_grouped, push_visible};
use unicode_width::UnicodeWidthChar;

/// Returns the columns of an escaped text: the sum of its characters' widths. Emoji sequences
/// (several people joined to a family) may take less, but not on every terminal; for the one
/// exception see [`pieces`].
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    pieces(text).map(|(_, width)| width).sum()
}

/// Returns where a text may be broken: before each of these positions, with the columns from there
/// to the next. Marks stay with their base characters. The emoji variation selector makes a narrow
/// character wide.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (usize, usize)> {
    const AS_EMOJI: char = '\u{fe0f}';
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (at, c) = chars.next()?;
        let mut width = c.width().unwrap_or(0);
        while let Some((_, mark)) = chars.next_if(|(_, next)| is_mark(*next)) {
            if mark == AS_EMOJI && width == 1 {
                width = 2;
            }
        }
        Some((at, width))
    })
}

/// Returns the first characters, and the number of all characters if that is not the whole text.
pub(super) fn cut_and_count(text: &str, max_chars: usize) -> (&str, Option<usize>) {
    let first = first_chars(text, max_chars);
    let is_cut = first.len() < text.len();
    (first, is_cut.then(|| text.chars().count()))
}

/// Appends a number with leading zeros.
pub(super) fn push_digits(shown: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10u32.pow(place) % 10;
        shown.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}
