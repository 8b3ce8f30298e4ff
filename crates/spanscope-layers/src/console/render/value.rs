//! Field values: how much of one is shown, and how.

use std::fmt::Write as _;

use spanscope_core::capture::RawValue;
use spanscope_model::semconv::{is_content, redacted};
use spanscope_model::text::first_chars;

use super::canvas::Canvas;
use super::highlight::ink_of;
use super::options::{ContentPolicy, PREVIEW_CHARS, RenderOptions};
use super::text::{cut_and_count, is_printable_ascii, push_grouped, push_visible};
use super::theme::Ink;

/// Maximum length of a key in characters.
const MAX_KEY_CHARS: usize = 255;

/// The shown form of a value.
pub(super) enum Shown<'a> {
    /// A number or a boolean.
    Typed(RawValue<'a>),
    /// A string, or its beginning and a note on its length.
    Text(&'a str, Cut),
    /// The length and the hash of content.
    Redacted(String),
}

/// How much of a text is missing.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    Nothing,
    /// The end is missing; the length of the whole text is not shown.
    Somewhere,
    /// The whole text has this number of characters.
    Characters(u64),
    /// The whole text has this number of bytes; capture truncated it.
    Bytes(u64),
}

impl Cut {
    /// Appends `… (12,345 characters)`.
    pub(super) fn push(self, text: &mut String) {
        let (number, unit) = match self {
            Self::Nothing => return,
            Self::Somewhere => return text.push('…'),
            Self::Characters(number) => (number, "characters"),
            Self::Bytes(number) => (number, "bytes"),
        };
        text.push_str("… (");
        push_grouped(text, number);
        text.push(' ');
        text.push_str(unit);
        text.push(')');
    }
}

impl<'a> Shown<'a> {
    /// Returns the value in the form that the options select for this key; `None` if they hide both
    /// the key and the value. Strings longer than `max_chars` are truncated.
    pub(super) fn of(
        key: &str,
        value: RawValue<'a>,
        options: &RenderOptions,
        max_chars: usize,
    ) -> Option<Self> {
        let mut max_chars = max_chars;
        let is_long = matches!(value, RawValue::Text(text, _) if text.len() > PREVIEW_CHARS);
        match options.content {
            ContentPolicy::None if is_content(key) => return None,
            ContentPolicy::Redacted if is_content(key) => return Some(Self::Redacted(redacted(value))),
            ContentPolicy::Preview if is_long && is_content(key) => max_chars = max_chars.min(PREVIEW_CHARS),
            _ => {}
        }
        let RawValue::Text(text, original) = value else {
            return Some(Self::Typed(value));
        };
        let (head, total) = cut_and_count(text, max_chars);
        let missing = match (original, total) {
            (Some(bytes), _) => Cut::Bytes(bytes),
            (None, Some(characters)) => Cut::Characters(characters as u64),
            (None, None) => Cut::Nothing,
        };
        Some(Self::Text(head, missing))
    }
}

impl Shown<'_> {
    /// Returns the value without the note on its length, for narrow lines; a truncation stays
    /// visible.
    pub(super) fn without_length(self) -> Self {
        match self {
            Self::Text(text, Cut::Characters(_) | Cut::Bytes(_)) => Self::Text(text, Cut::Somewhere),
            other => other,
        }
    }
}

/// Appends ` key=value`. An ambiguous key or string is quoted, with escapes in the quotes.
pub(super) fn push_field(canvas: &mut Canvas, key: &str, value: &Shown<'_>) {
    let key = first_chars(key, MAX_KEY_CHARS);
    canvas.push_gap();
    if is_bare(key) {
        push_visible(canvas.text_mut(), key);
    } else {
        push_quoted(canvas.text_mut(), key);
    }
    canvas.push("=", Ink::Dim);
    match value {
        Shown::Text(text, missing) if !is_bare(text) => {
            push_quoted(canvas.text_mut(), text);
            canvas.paint(Ink::Text);
            push_missing(canvas, *missing);
        }
        value => push_value(canvas, value),
    }
}

/// Appends `key: value`, for a separate line; nothing is quoted.
pub(super) fn push_attribute(canvas: &mut Canvas, key: &str, value: &Shown<'_>) {
    canvas.push_cut(key, MAX_KEY_CHARS, Ink::Dim);
    canvas.push(": ", Ink::Dim);
    push_value(canvas, value);
}

fn push_value(canvas: &mut Canvas, value: &Shown<'_>) {
    match value {
        Shown::Text(text, missing) => {
            canvas.push_data(text, ink_of(text).unwrap_or(Ink::Text));
            push_missing(canvas, *missing);
        }
        Shown::Redacted(note) => canvas.push(note, Ink::Dim),
        Shown::Typed(value) => {
            let ink = push_typed(canvas.text_mut(), *value);
            canvas.paint(ink);
        }
    }
}

fn push_missing(canvas: &mut Canvas, missing: Cut) {
    missing.push(canvas.text_mut());
    canvas.paint(Ink::Dim);
}

/// Appends a value that is not a string, as `Debug` shows it: a float keeps its `.0`.
fn push_typed(text: &mut String, value: RawValue<'_>) -> Ink {
    // Writing to a string can't fail.
    let _ = match value {
        RawValue::Bool(true) => {
            text.push_str("true");
            return Ink::True;
        }
        RawValue::Bool(false) => {
            text.push_str("false");
            return Ink::False;
        }
        RawValue::I64(value) => write!(text, "{value}"),
        RawValue::U64(value) => write!(text, "{value}"),
        RawValue::F64(value) => write!(text, "{value:?}"),
        RawValue::Text(..) => Ok(()),
    };
    Ink::Number
}

/// Returns whether a key or value needs no quotes.
fn is_bare(text: &str) -> bool {
    if is_printable_ascii(text) {
        let ends = text
            .bytes()
            .fold(false, |any, byte| any | matches!(byte, b' ' | b'"' | b'='));
        return !ends && !text.is_empty();
    }
    !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '=') || super::text::is_hidden(c))
}

/// Appends the text in quotes. A backslash in the text is doubled, so that it can't pass for an
/// escape.
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut done = 0;
    for (at, mark) in text.match_indices(['"', '\\']) {
        push_visible(out, &text[done..at]);
        out.push('\\');
        out.push_str(mark);
        done = at + mark.len();
    }
    push_visible(out, &text[done..]);
    out.push('"');
}
