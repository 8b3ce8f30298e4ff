//! Texts out of programs, made fit to be shown.
//!
//! A text may hold anything. Control characters could move the cursor or restyle the terminal, marks of writing
//! direction could make a line read as another one, and invisible characters could hide a part of it; all of them are
//! shown as escapes, never sent. Letters of every script, combining marks and the joiners inside of emoji stay.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// So many characters without a width may follow each other; further ones are shown as escapes. No script and no emoji
/// needs more, and a tower of marks would grow over the lines above it.
const MAX_MARKS: usize = 8;

/// Whether the character would act on the terminal, on the order of others, or be invisible, instead of showing itself.
///
/// ```
/// use spanscope_layers::console::render::text::is_hidden;
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
            | '\u{e0000}'..='\u{e007f}') // tags, which spell whole texts that nobody sees
}

/// The text with every hidden character as an escape: `\n`, `\x1b`, `\u{202e}`.
///
/// ```
/// use spanscope_layers::console::render::text::visible;
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

/// Whether the text is nothing but printable ASCII. Looks at every byte without a branch, so that it is done many at once.
pub(super) fn is_printable_ascii(text: &str) -> bool {
    text.bytes()
        .fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 0x5f))
}

/// Appends the visible text.
pub(super) fn push_visible(shown: &mut String, text: &str) {
    if is_printable_ascii(text) {
        return shown.push_str(text);
    }
    // Markup may cut a text into pieces; the tower goes on over all of them.
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

/// Whether the character takes no column of its own.
fn is_mark(c: char) -> bool {
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

/// How many columns a visible text takes: what its characters take one by one. What they take as sequences (two women and
/// a joiner are one family) is less, and not every terminal draws it so; with one exception, see [`pieces`].
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    pieces(text).map(|(_, width)| width).sum()
}

/// Where a text may be broken: before each of these places, with the columns from there to the next. Marks stay with what
/// they are put on. The mark that asks for an emoji makes a narrow heart a wide one.
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

/// The first so many characters, and how many there are in all if that is not the whole text.
pub(super) fn cut(text: &str, max_chars: usize) -> (&str, Option<usize>) {
    // A character is a byte or more.
    if text.len() <= max_chars {
        return (text, None);
    }
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => (&text[..end], Some(text.chars().count())),
        None => (text, None),
    }
}

/// Appends a number with commas between its thousands.
pub(super) fn push_grouped(shown: &mut String, number: u64) {
    let start = shown.len();
    let _ = write!(shown, "{number}");
    let mut comma = shown.len();
    while comma > start + 3 {
        comma -= 3;
        shown.insert(comma, ',');
    }
}

/// Appends a number with leading zeros.
pub(super) fn push_digits(shown: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10u32.pow(place) % 10;
        shown.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}
