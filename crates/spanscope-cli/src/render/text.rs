//! Texts out of programs, made fit to be shown.
//!
//! A stored text may hold anything. Control characters could move the cursor or restyle the terminal, and marks of
//! writing direction could make a line read as another one; so both are shown as escapes, never sent.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether the character would act on the terminal or on the order of others instead of showing itself.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // zero width space; Arabic, left and right marks
            | '\u{2028}'..='\u{202e}' // separators; embeddings and overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates, deprecated marks
            | '\u{feff}')
}

/// The text with every hidden character as an escape: `\n`, `\x1b`, `\u{202e}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_visible(&mut shown, c);
    }
    Cow::Owned(shown)
}

fn push_visible(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        c if is_hidden(c) && u32::from(c) < 0x100 => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if is_hidden(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => shown.push(c),
    }
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The visible text, cut to so many columns; a cut is shown by `…`. Costs no more than what is shown.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        let before = shown.len();
        push_visible(&mut shown, c);
        let wide = if shown.len() - before == c.len_utf8() {
            c.width().unwrap_or(0)
        } else {
            shown.len() - before
        };
        used += wide;
        // Characters without a width are bounded too, or a text of combining marks would be endless.
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

/// The text in exactly so many columns.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut shown = fit(text, columns);
    shown.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&shown))));
    shown
}

/// The visible text in lines of at most so many columns; its own line ends are kept.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = Vec::new();
    for own_line in text.split('\n') {
        let own_line = visible(own_line.strip_suffix('\r').unwrap_or(own_line));
        let mut line = String::new();
        let mut used = 0;
        for word in own_line.split_inclusive(' ') {
            if used > 0 && used + width(word.trim_end()) > columns {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            for c in word.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > columns {
                    // A blank at the edge needs no line of its own.
                    if c == ' ' {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// A count with its noun: `1 span`, `2 spans`, `12,345 spans`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Bytes in the largest unit that leaves a number of at least 1.
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
    fn nothing_that_acts_on_the_terminal_gets_through() {
        assert_eq!(
            visible("a\x1b[31mred\x07\0\u{9b}"),
            "a\\x1b[31mred\\x07\\x00\\x9b"
        );
        assert_eq!(visible("two\nlines\t\u{202e}gpj"), "two\\nlines\\t\\u{202e}gpj");
        assert_eq!(visible("grüße 日本 👩‍👧"), "grüße 日本 👩‍👧");
    }

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
    fn numbers_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "span"), "1 span");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1 << 41), "2.0 TiB");
    }
}
