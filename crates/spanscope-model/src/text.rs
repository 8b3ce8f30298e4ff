//! Text helpers: truncation, escapes for unsafe characters, and suggestions for names.
//!
//! A text may contain anything. Control characters could move the cursor or restyle the terminal,
//! marks of writing direction could make a line read as another one, and invisible characters could
//! hide a part of it; all of them are shown as escapes. Letters of every script, combining marks
//! and the joiners inside emoji stay.
//!
//! Nothing here knows a terminal, its width or its colours.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Maximum number of consecutive characters without a width; further ones are shown as escapes. No
/// script and no emoji needs more, and a tower of marks would cover the lines above it.
const MAX_MARKS: usize = 8;

/// The minimum similarity of two names, between 0 and 1, for one to be a typo of the other.
const MIN_LIKENESS: f64 = 0.6;
/// Longer inputs get no suggestion: the time to compare two names grows with the product of their
/// lengths.
const MAX_NAME_LEN: usize = 64;

/// Returns whether the character would act on the terminal or on the order of others, or be
/// invisible.
///
/// ```
/// use spanscope_model::text::is_hidden;
/// assert!(is_hidden('\u{1b}') && is_hidden('\n') && is_hidden('\u{202e}') && is_hidden('\u{200b}'));
/// assert!(!is_hidden('é') && !is_hidden('日') && !is_hidden('\u{301}') && !is_hidden('\u{200d}'));
/// ```
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' // soft hyphen; grapheme joiner; Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // fillers of Hangul
            | '\u{17b4}' | '\u{17b5}' | '\u{180e}' // invisible vowels of Khmer; Mongolian separator
            | '\u{200b}' | '\u{200e}' | '\u{200f}' // zero width space; left and right marks
            | '\u{2028}'..='\u{202e}' // separators; embeddings and overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates, deprecated marks
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark; annotations between lines
            | '\u{1d173}'..='\u{1d17a}' // beams of music
            | '\u{e0000}'..='\u{e007f}') // tags, which spell whole invisible texts
}

/// Returns the text with every hidden character as an escape: `\n`, `\x1b`, `\u{202e}`.
///
/// ```
/// use spanscope_model::text::visible;
/// assert_eq!(visible("a\x1b[31mb\n"), "a\\x1b[31mb\\n");
/// ```
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_printable_ascii(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    push_visible(&mut shown, text);
    Cow::Owned(shown)
}

/// Returns whether the text is printable ASCII only. Looks at every byte without a branch, so that
/// the compiler vectorizes it.
#[must_use]
pub fn is_printable_ascii(text: &str) -> bool {
    text.bytes()
        .fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 0x5f))
}

/// Appends the text as [`visible`] returns it.
pub fn push_visible(shown: &mut String, text: &str) {
    if is_printable_ascii(text) {
        return shown.push_str(text);
    }
    // Callers may append a text in several pieces; the count continues over all of them.
    let mut marks = shown
        .chars()
        .rev()
        .take(MAX_MARKS)
        .take_while(|c| is_mark(*c))
        .count();
    for c in text.chars() {
        let is_mark = is_mark(c);
        match c {
            ' '..='~' => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_hidden(c) => push_escape(shown, c),
            c if is_mark && marks >= MAX_MARKS => push_escape(shown, c),
            c => {
                shown.push(c);
                marks = if is_mark { marks + 1 } else { 0 };
                continue;
            }
        }
        marks = 0;
    }
}

/// Returns whether the character is drawn onto the one before it and takes no column.
#[must_use]
pub fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

fn push_escape(shown: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a string can't fail.
    let _ = if code < 0x100 {
        write!(shown, "\\x{code:02x}")
    } else {
        write!(shown, "\\u{{{code:x}}}")
    };
}

/// Appends a number with commas between its thousands.
///
/// ```
/// let mut shown = String::new();
/// spanscope_model::text::push_grouped(&mut shown, 1_234_567);
/// assert_eq!(shown, "1,234,567");
/// ```
pub fn push_grouped(shown: &mut String, number: u64) {
    let start = shown.len();
    let _ = write!(shown, "{number}");
    let mut comma = shown.len();
    while comma > start + 3 {
        comma -= 3;
        shown.insert(comma, ',');
    }
}

/// Returns the longest prefix of at most `max_len` bytes that ends on a character boundary.
///
/// ```
/// assert_eq!(spanscope_model::text::cut("größe", 3), "gr");
/// ```
#[inline]
#[must_use]
pub fn cut(text: &str, max_len: usize) -> &str {
    if text.len() <= max_len {
        return text;
    }
    let end = (0..=max_len)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    &text[..end]
}

/// Returns the first `max_chars` characters.
///
/// ```
/// use spanscope_model::text::first_chars;
///
/// assert_eq!(first_chars("été", 2), "ét");
/// ```
#[must_use]
pub fn first_chars(text: &str, max_chars: usize) -> &str {
    // A character is at least one byte.
    if text.len() <= max_chars {
        return text;
    }
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Returns the text as a message quotes it: its first `max_chars` characters, and `…` if there are
/// more.
///
/// ```
/// use spanscope_model::text::excerpt;
///
/// assert_eq!(excerpt("été", 2), "ét…");
/// assert_eq!(excerpt("été", 3), "été");
/// ```
#[must_use]
pub fn excerpt(text: &str, max_chars: usize) -> Cow<'_, str> {
    let first = first_chars(text, max_chars);
    if first.len() == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{first}…"))
    }
}

/// Returns the known name that was probably meant, ignoring case; `None` if none is similar.
///
/// ```
/// use spanscope_model::text::nearest;
///
/// assert_eq!(nearest("Consol", ["console", "sqlite"]), Some("console"));
/// assert_eq!(nearest("syslog", ["console", "sqlite"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(input: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if input.len() > MAX_NAME_LEN {
        return None;
    }
    let input = input.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&input, name), name))
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_ends_between_characters_and_is_as_long_as_the_limit_allows() {
        let text = "aé日😀";
        for max_len in 0..=text.len() + 1 {
            let kept = cut(text, max_len);
            assert!(kept.len() <= max_len && text.starts_with(kept), "{max_len}");
            let next = text[kept.len()..]
                .chars()
                .next()
                .map_or(usize::MAX, char::len_utf8);
            assert!(
                kept.len().saturating_add(next) > max_len,
                "{max_len}: more would fit"
            );
        }
        for max_chars in 0..6 {
            let first: String = text.chars().take(max_chars).collect();
            assert_eq!(first_chars(text, max_chars), first);
            let shown = if max_chars < 4 { first + "…" } else { first };
            assert_eq!(excerpt(text, max_chars), shown);
        }
    }

    #[test]
    fn a_name_is_suggested_for_one_or_two_typos_and_not_for_an_unrelated_text() {
        let known = ["console", "sqlite", "otel_trace", "all"];
        for (input, meant) in [
            ("consoel", Some("console")),
            ("SQLite", Some("sqlite")),
            ("otel-trace", Some("otel_trace")),
            ("al", Some("all")),
            ("", None),
            ("ell", Some("all")),
            ("sqlitesqlitesqlite", None),
        ] {
            assert_eq!(nearest(input, known), meant, "{input}");
        }
        assert_eq!(nearest(&"console".repeat(10), known), None);
        assert_eq!(nearest("console", []), None);
    }
}
