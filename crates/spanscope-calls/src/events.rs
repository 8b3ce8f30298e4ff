//! Server-sent events, as [the
//! standard](https://html.spec.whatwg.org/multipage/server-sent-events.html) defines them: lines
//! that end in CR, LF or both, a byte order mark, comments, data of several lines.
//!
//! The data of an event are parsed by a [`Document`], so an event of any size takes bounded memory.

use memchr::memchr2;

use crate::json::{Document, Limits};

/// Maximum length of names of fields and events; no known one is longer.
const MAX_NAME: usize = 64;
const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Reads events out of a body that arrives in pieces of any size.
#[derive(Debug)]
pub(crate) struct Events {
    /// The number of bytes of the byte order mark that were read; `None` once the body has begun.
    mark: Option<usize>,
    line: Line,
    /// The last byte was a CR, which a LF may follow.
    is_after_cr: bool,
    field: Vec<u8>,
    name: Vec<u8>,
    data: Document,
    has_data: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Field,
    /// After the colon, where one space is left out.
    Space(Field),
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Other,
}

impl Events {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            mark: Some(0),
            line: Line::Field,
            is_after_cr: false,
            field: Vec::new(),
            name: Vec::new(),
            data: Document::new(limits),
            has_data: false,
        }
    }

    /// Returns whether the next byte begins an event: no part of one was read, and neither a byte
    /// order mark nor the LF after a CR may follow.
    pub(crate) fn is_between(&self) -> bool {
        self.mark.is_none()
            && self.line == Line::Field
            && !self.is_after_cr
            && !self.has_data
            && self.field.is_empty()
            && self.name.is_empty()
    }

    /// Must be called when the caller skips whole events instead of passing them to
    /// [`read`](Self::read), which is allowed only if [`is_between`](Self::is_between).
    pub(crate) fn skipped(&mut self, events: &[u8]) {
        self.is_after_cr = events.last() == Some(&b'\r');
    }

    /// Reads up to the end of the next event. Returns whether the end was reached, and the bytes
    /// after it. After an end, the caller must call [`begin_next`](Self::begin_next) before it
    /// reads on.
    pub(crate) fn read<'b>(&mut self, piece: &'b [u8]) -> (bool, &'b [u8]) {
        let mut rest = piece;
        while let (Some(seen), Some((&byte, after))) = (self.mark, rest.split_first()) {
            if MARK.get(seen) == Some(&byte) {
                self.mark = Some(seen + 1);
                rest = after;
            } else {
                self.mark = None;
                if seen < MARK.len() {
                    // It was not the mark: the bytes are the beginning of an unknown field's name.
                    self.field.extend_from_slice(&MARK[..seen]);
                }
            }
        }
        while let Some((&byte, after)) = rest.split_first() {
            if std::mem::take(&mut self.is_after_cr) && byte == b'\n' {
                rest = after;
                continue;
            }
            match (self.line, byte) {
                (_, b'\r' | b'\n') => {
                    self.is_after_cr = byte == b'\r';
                    if self.end_line() {
                        return (true, after);
                    }
                    rest = after;
                }
                (Line::Field, b':') => {
                    self.line = Line::Space(self.begin_value());
                    rest = after;
                }
                (Line::Field, _) => {
                    if self.field.len() < MAX_NAME {
                        self.field.push(byte);
                    }
                    rest = after;
                }
                (Line::Space(field), _) => {
                    self.line = Line::Value(field);
                    if byte == b' ' {
                        rest = after;
                    }
                }
                (Line::Value(field), _) => {
                    let len = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    let (value, after) = rest.split_at(len);
                    self.value(field, value);
                    rest = after;
                }
            }
        }
        (false, rest)
    }

    /// Ends the body. Returns whether that ends an event. By the standard, an event without an
    /// empty line after it does not count; here it does, because some servers omit the last empty
    /// line.
    pub(crate) fn end(&mut self) -> bool {
        if self.line != Line::Field || !self.field.is_empty() {
            self.end_line();
        }
        self.end_line()
    }

    /// Returns the name of the event that was read, empty if it has none, and its data.
    pub(crate) fn event(&mut self) -> (&[u8], &mut Document) {
        (&self.name, &mut self.data)
    }

    /// Clears the event that was read.
    pub(crate) fn begin_next(&mut self) {
        self.data.clear();
        self.has_data = false;
        self.name.clear();
    }

    fn begin_value(&mut self) -> Field {
        let field = match self.field.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            _ => Field::Other,
        };
        match field {
            Field::Data if self.has_data => self.data.push(b"\n"),
            Field::Data => self.has_data = true,
            Field::Event => self.name.clear(),
            Field::Other => {}
        }
        field
    }

    fn value(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Data => self.data.push(value),
            Field::Event => {
                let room = MAX_NAME.saturating_sub(self.name.len());
                self.name.extend_from_slice(&value[..value.len().min(room)]);
            }
            Field::Other => {}
        }
    }

    /// Ends a line. Returns whether it ends an event.
    fn end_line(&mut self) -> bool {
        let is_empty = self.line == Line::Field && self.field.is_empty();
        if self.line == Line::Field && !is_empty {
            // A field without a colon has an empty value.
            self.begin_value();
        }
        self.field.clear();
        self.line = Line::Field;
        if is_empty && !self.has_data {
            self.begin_next();
        }
        is_empty && self.has_data
    }
}

#[cfg(test)]
mod tests;
