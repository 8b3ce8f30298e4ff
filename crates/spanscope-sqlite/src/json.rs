//! JSON text that SQLite's own JSON functions can read too.

use std::fmt::Write as _;

/// Appends a JSON string. NUL is legal in JSON as an escape, but SQLite's JSON functions end at it,
/// so it becomes U+FFFD.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (place, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[start..place]);
        start = place + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0 => out.push('\u{fffd}'),
            8 => out.push_str("\\b"),
            12 => out.push_str("\\f"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// Appends `before` (a bracket or a comma), the key and its text.
pub(crate) fn push_key_value(out: &mut String, before: char, key: &str, value: &str) {
    out.push(before);
    push_key(out, key);
    push_text(out, value);
}

pub(crate) fn push_key(out: &mut String, key: &str) {
    push_text(out, key);
    out.push(':');
}

/// Returns the JSON object with a text member added.
pub(crate) fn with_text(object: &str, key: &str, value: &str) -> String {
    let Some(open) = object.strip_suffix('}') else {
        return object.to_owned();
    };
    let (mut text, begin) = match open {
        "{" => (String::new(), '{'),
        open => (open.to_owned(), ','),
    };
    push_key_value(&mut text, begin, key, value);
    text.push('}');
    text
}
