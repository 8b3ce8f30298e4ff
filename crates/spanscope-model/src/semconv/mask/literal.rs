//! String literals as JSON, Rust's `Debug` and Python's `repr` write them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the end of the literal whose inside begins at `inside`: the offset of the closing quote,
/// or the end of the text.
pub(super) fn end_of(text: &str, inside: usize, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = inside;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(quote, b'\\', rest))
    {
        at += found;
        if bytes[at] == quote {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// Returns the text that a literal's inside represents. An invalid escape loses its backslash.
pub(super) fn unescape(inside: &str) -> Cow<'_, str> {
    let Some(first) = inside.find('\\') else {
        return Cow::Borrowed(inside);
    };
    let mut text = String::with_capacity(inside.len());
    text.push_str(&inside[..first]);
    let mut rest = &inside[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else {
            text.push('\\');
            break;
        };
        let (plain, len) = match letter {
            'n' => (Some('\n'), 1),
            'r' => (Some('\r'), 1),
            't' => (Some('\t'), 1),
            'b' => (Some('\u{8}'), 1),
            'f' => (Some('\u{c}'), 1),
            '0' => (Some('\0'), 1),
            'u' => unicode(&rest[1..]).map_or((Some('u'), 1), |(plain, len)| (Some(plain), len + 1)),
            'x' => hex(rest.get(1..3)).map_or((Some('x'), 1), |plain| (Some(plain), 3)),
            other => (Some(other), other.len_utf8()),
        };
        text.extend(plain);
        rest = &rest[len..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Returns the character after `\u`, and the length of the escape: `{1f600}`, `0041`, or a pair of
/// surrogates.
fn unicode(rest: &str) -> Option<(char, usize)> {
    if let Some(braced) = rest.strip_prefix('{') {
        let len = braced.find('}')?;
        return hex(braced.get(..len)).map(|letter| (letter, len + 2));
    }
    let unit = |at: usize| u32::from_str_radix(rest.get(at..at + 4)?, 16).ok();
    let first = unit(0)?;
    if (0xd800..0xdc00).contains(&first) {
        let second = rest.get(4..6).filter(|escape| *escape == "\\u").and(unit(6))?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low).map(|letter| (letter, 10));
    }
    char::from_u32(first).map(|letter| (letter, 4))
}

fn hex(digits: Option<&str>) -> Option<char> {
    char::from_u32(u32::from_str_radix(digits?, 16).ok()?)
}

/// Returns the text escaped as the inside of a literal; with JSON's quote it is valid JSON.
pub(super) fn escape(text: &str, quote: char) -> String {
    let mut inside = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '\\' => inside.push_str("\\\\"),
            '\n' => inside.push_str("\\n"),
            '\r' => inside.push_str("\\r"),
            '\t' => inside.push_str("\\t"),
            letter if letter == quote => inside.extend(['\\', letter]),
            letter if letter < ' ' => {
                // Writing to a string can't fail.
                let _ = write!(inside, "\\u{:04x}", u32::from(letter));
            }
            letter => inside.push(letter),
        }
    }
    inside
}
