//! Errors as `Debug` formats them: the content of `error = ?error` for `anyhow`, `eyre`, `Box<dyn
//! Error>` and errors of the program.
//!
//! A field holds only this text, because `tracing` passes on nothing else of `?error`. `anyhow` and
//! `eyre` write the error, the heading `Caused by:` with one cause per line, and a location or a
//! backtrace below further headings. Other errors are the `Debug` of a struct or of a string, with
//! line ends as escapes within quotes.

use std::borrow::Cow;

/// Headings that follow an empty line, and their names in the box.
const HEADINGS: [(&str, &str); 5] = [
    (CAUSED_BY, "caused by"),
    ("Location:", "location"),
    ("Stack backtrace:", "backtrace"),
    ("Backtrace:", "backtrace"),
    ("Span trace:", "span trace"),
];
const CAUSED_BY: &str = "Caused by:";

/// The parts of an error's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorText<'a> {
    pub(super) message: &'a str,
    /// The nearest cause first; one may have several lines.
    pub(super) causes: Vec<String>,
    /// Heading and text of everything else.
    pub(super) sections: Vec<(&'static str, &'a str)>,
}

impl<'a> ErrorText<'a> {
    /// Splits a text; one without headings is a message as a whole.
    pub(super) fn read(text: &'a str) -> Self {
        let mut read = ErrorText::default();
        let mut heading = None;
        let mut start = 0;
        let mut at = 0;
        let mut is_after_blank = false;
        for line in text.split_inclusive('\n') {
            let content = line.trim_end();
            let found = HEADINGS.iter().find(|(name, _)| *name == content);
            if let Some(found) = found.filter(|_| is_after_blank) {
                read.add(heading, &text[start..at]);
                heading = Some(found);
                start = at + line.len();
            }
            is_after_blank = content.is_empty();
            at += line.len();
        }
        read.add(heading, &text[start..]);
        read
    }

    fn add(&mut self, heading: Option<&(&str, &'static str)>, text: &'a str) {
        let text = text.trim_end();
        match heading {
            None => self.message = text.trim_start_matches(['\n', '\r']),
            Some((CAUSED_BY, _)) => self.causes.extend(causes(text)),
            Some((_, title)) => self.sections.push((title, text)),
        }
    }
}

/// Parses the causes below their heading: numbered if there are several, with further lines
/// indented.
fn causes(text: &str) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        let numbered = line
            .split_once(": ")
            .filter(|(number, _)| *number == causes.len().to_string());
        match (numbered, causes.last_mut()) {
            (Some((_, cause)), _) => causes.push(cause.to_owned()),
            (None, None) => causes.push(line.to_owned()),
            (None, Some(last)) => {
                last.push('\n');
                last.push_str(line);
            }
        }
    }
    causes.retain(|cause| !cause.is_empty());
    causes
}

/// Returns whether a text lists causes as `anyhow` and `eyre` do.
pub(super) fn lists_causes(text: &str) -> bool {
    text.contains("\n\nCaused by:\n")
}

/// Returns the string itself if this is the `Debug` of one.
pub(super) fn literal_with_lines(text: &str) -> Cow<'_, str> {
    only_literal(text).map_or(Cow::Borrowed(text), |inner| unescaped(inner, true))
}

/// Returns the text of an error with its lines: the `Debug` of a string becomes the string, and
/// escaped line ends in quotes within an error's `Debug` become line ends.
pub(super) fn with_lines(text: &str) -> Cow<'_, str> {
    if let Some(inner) = only_literal(text) {
        return unescaped(inner, true);
    }
    if !text.contains('"') || !text.contains("\\n") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut is_quoted = false;
    let mut start = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            // The two bytes of an escape are one unit.
            b'\\' if is_quoted => drop(bytes.next()),
            b'"' => {
                let part = &text[start..at];
                shown.push_str(&if is_quoted {
                    unescaped(part, false)
                } else {
                    Cow::Borrowed(part)
                });
                (start, is_quoted) = (at, !is_quoted);
            }
            _ => {}
        }
    }
    shown.push_str(&text[start..]);
    Cow::Owned(shown)
}

/// Returns the inside of the quotes if the text is a single literal.
fn only_literal(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => drop(bytes.next()?),
            _ => {}
        }
    }
    Some(inner)
}

/// Replaces the escapes of line ends, and with `all` those of tabs, quotes and backslashes.
fn unescaped(text: &str, all: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        shown.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next();
        match escape {
            Some('n') => shown.push('\n'),
            Some('t') if all => shown.push('\t'),
            Some(mark @ ('"' | '\'' | '\\')) if all => shown.push(mark),
            Some(other) => shown.extend(['\\', other]),
            None => shown.push('\\'),
        }
        rest = &rest[at + 1 + escape.map_or(0, char::len_utf8)..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}
