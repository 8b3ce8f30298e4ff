//! Stored texts, laid out in columns.
//!
//! A stored text may contain anything. The model's functions, which the console uses too, escape
//! characters that a terminal would interpret; this module truncates, pads and wraps.

use std::borrow::Cow;

use spanscope_model::text::push_grouped;
use textwrap::{Options, WordSplitter};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) use spanscope_model::text::{is_hidden, visible};

/// Returns the width of a text in columns.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the escaped text, truncated to this number of columns; `…` marks a truncation. Does not
/// read the text beyond them.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        let before = shown.len();
        if is_hidden(c) {
            // An escape is shown completely or not at all; it is ASCII.
            shown.push_str(&visible(c.encode_utf8(&mut [0; 4])));
            used += shown.len() - before;
        } else {
            shown.push(c);
            used += c.width().unwrap_or(0);
        }
        // Characters without a width are bounded too, or a text of combining marks would be
        // endless.
        if used > columns || shown.len() > columns.saturating_mul(8) {
            shown.truncate(before);
            return shorten(shown, columns);
        }
    }
    shown
}

/// Drops characters until the `…` has room.
fn shorten(mut shown: String, columns: usize) -> String {
    while width(&shown) + 1 > columns {
        if shown.pop().is_none() {
            return shown;
        }
    }
    shown.push('…');
    shown
}

/// Returns the text in exactly this number of columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut shown = fit(text, columns);
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&shown))));
    shown
}

/// Returns the escaped text, complete, in at least this number of columns.
pub(crate) fn pad_whole(text: &str, columns: usize) -> String {
    let mut shown = visible(text).into_owned();
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&shown))));
    shown
}

/// Returns the escaped text in lines of at most this number of columns; its own line ends are kept.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let options = Options::new(columns.max(8)).word_splitter(WordSplitter::NoHyphenation);
    let mut lines = Vec::new();
    for own_line in text.split('\n') {
        let own_line = visible(own_line.strip_suffix('\r').unwrap_or(own_line));
        lines.extend(
            textwrap::wrap(&own_line, &options)
                .into_iter()
                .map(Cow::into_owned),
        );
    }
    lines
}

/// Formats a count with its noun: `1 span`, `2 spans`, `12,345 spans`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Formats a number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let mut shown = String::new();
    push_grouped(&mut shown, number);
    shown
}

/// Formats bytes in the largest unit that leaves a number of at least 1.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn bytes(number: u64) -> String {
    let mut amount = number as f64;
    if number < 1024 {
        return count(number, "byte");
    }
    for unit in ["KiB", "MiB", "GiB"] {
        amount /= 1024.0;
        if amount < 1024.0 {
            return format!("{amount:.1} {unit}");
        }
    }
    format!("{:.1} TiB", amount / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_columns_not_by_bytes() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("\x1b\x1b", 6), "\\x1b…");
        assert_eq!(pad("ab", 4), "ab  ");
        assert!(fit(&"\u{301}".repeat(10_000), 10).len() < 100);
    }

    #[test]
    fn wrapped_lines_keep_words_and_line_ends() {
        assert_eq!(wrap("one two three\nfour", 8), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghijkl", 8), ["abcdefgh", "ijkl"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn numbers_have_separators_nouns_and_units() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "span"), "1 span");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1 << 41), "2.0 TiB");
    }
}
