//! Copies a JSON document without its large parts, in bounded memory.

use memchr::memchr2;

use super::members::Place;

/// Deeper containers are left out. The parser that reads the copy stops at 128.
const MAX_DEPTH: usize = 96;
/// Members with longer keys are left out.
const MAX_KEY: usize = 256;
/// Longer numbers become null.
const MAX_SCALAR: usize = 64;
/// Texts below essential members are cut to this number of bytes.
const MAX_ESSENTIAL_TEXT: usize = 1024;
/// Maximum size of essential members.
const ESSENTIAL: usize = 32 * 1024;
/// Additional size for counts.
const COUNTS: usize = 8 * 1024;

/// The number of containers that are opened beyond the budget, since essential members may be in
/// them.
const MAX_OPENINGS: usize = 64;

/// The limits for the parts of a document that are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Up to this number of bytes a document is kept unchanged.
    pub(crate) whole: usize,
    /// Of a larger one, texts are cut to this number of bytes.
    pub(crate) text: usize,
    /// Of a larger one, this number of bytes is kept in addition to the essential members.
    pub(crate) total: usize,
}

#[derive(Debug, Clone, Copy)]
struct Container {
    is_object: bool,
    is_kept: bool,
    has_members: bool,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value, or the end of an empty list.
    Value,
    /// A key, or the end of an empty object.
    Key,
    InKey,
    Colon,
    InText,
    InScalar,
    /// A comma, or the end of the container.
    AfterValue,
    Broken,
}

/// Copies a document that arrives in pieces, without its large parts.
#[derive(Debug)]
pub(crate) struct Reducer {
    limits: Limits,
    copy: Vec<u8>,
    /// Bytes of the copy that are parts of essential members.
    essential: usize,
    /// Containers that were opened beyond the budget.
    openings: usize,
    containers: Vec<Container>,
    state: State,
    key: Vec<u8>,
    is_key_too_long: bool,
    is_key_escaped: bool,
    scalar: Vec<u8>,
    text: Text,
}

/// The text that is being read.
#[derive(Debug, Default)]
struct Text {
    /// The bytes that may still be copied; 0 once it is cut.
    left: usize,
    is_kept: bool,
    is_cut: bool,
    /// The escape that is being read, with its backslash.
    escape: [u8; ESCAPE],
    escape_len: usize,
    /// The first half of a surrogate pair, until the second half arrives.
    half: Option<[u8; ESCAPE]>,
}

/// The length of an escape with digits.
const ESCAPE: usize = 6;
/// Replaces half of a surrogate pair: providers split a character between two events.
const REPLACEMENT: &[u8; ESCAPE] = b"\\ufffd";

impl Reducer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            copy: Vec::new(),
            essential: 0,
            openings: 0,
            containers: Vec::new(),
            state: State::Value,
            key: Vec::new(),
            is_key_too_long: false,
            is_key_escaped: false,
            scalar: Vec::new(),
            text: Text::default(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.state {
                State::InText => self.text(rest),
                State::InScalar => self.scalar(rest),
                State::Broken => return,
                _ => {
                    self.structure(byte);
                    after
                }
            };
        }
    }

    /// Returns the copy. `None` if the document is broken, and if its end is missing, unless
    /// `may_be_cut`: open containers are then closed.
    pub(crate) fn finish(mut self, may_be_cut: bool) -> Option<Vec<u8>> {
        // Inside a container a number may be incomplete.
        if self.state == State::InScalar && self.containers.is_empty() {
            self.end_scalar();
        }
        let is_complete = self.state == State::AfterValue && self.containers.is_empty();
        if self.state == State::Broken || !(is_complete || may_be_cut) {
            return None;
        }
        if self.state == State::InText && self.text.is_kept {
            self.copy.push(b'"');
        }
        while let Some(container) = self.containers.pop() {
            self.close(container);
        }
        Some(self.copy)
    }

    fn structure(&mut self, byte: u8) {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') && self.state != State::InKey {
            return;
        }
        let innermost = self.containers.last().copied();
        match (self.state, byte) {
            (State::InKey, _) => self.key_byte(byte),
            (State::Value, b'{') => self.open(true),
            (State::Value, b'[') => self.open(false),
            (State::Value, b'"') => self.begin_text(),
            (State::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.scalar.clear();
                self.scalar.push(byte);
                self.state = State::InScalar;
            }
            (State::Value | State::AfterValue, b']') if innermost.is_some_and(|open| !open.is_object) => {
                self.end_container();
            }
            (State::Key | State::AfterValue, b'}') if innermost.is_some_and(|open| open.is_object) => {
                self.end_container();
            }
            (State::Key, b'"') => {
                self.key.clear();
                self.is_key_too_long = false;
                self.state = State::InKey;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::AfterValue, b',') => match innermost {
                Some(open) if open.is_object => self.state = State::Key,
                Some(_) => self.state = State::Value,
                None => self.state = State::Broken,
            },
            _ => self.state = State::Broken,
        }
    }

    fn key_byte(&mut self, byte: u8) {
        let is_escaped = self.is_key_escaped;
        self.is_key_escaped = byte == b'\\' && !is_escaped;
        if byte == b'"' && !is_escaped {
            self.state = State::Colon;
        } else if self.key.len() < MAX_KEY {
            self.key.push(byte);
        } else {
            self.is_key_too_long = true;
        }
    }

    /// Returns the place of the value that begins here.
    fn place(&self) -> Place {
        match self.containers.last() {
            None => Place::Root,
            Some(open) if open.is_object => open.place.member(&self.key),
            Some(open) => open.place.element(),
        }
    }

    /// Returns the maximum size of a value at this position; `None` if it is left out.
    fn budget(&self, place: Place) -> Option<usize> {
        let parent = self.containers.last();
        if parent.is_some_and(|parent| !parent.is_kept || (parent.is_object && self.is_key_too_long)) {
            return None;
        }
        let ordinary = self.copy.len().saturating_sub(self.essential);
        let budget = match place {
            Place::Counts => (ESSENTIAL + COUNTS)
                .saturating_sub(self.essential)
                .min(MAX_ESSENTIAL_TEXT),
            Place::Essential => ESSENTIAL.saturating_sub(self.essential).min(MAX_ESSENTIAL_TEXT),
            _ => self.limits.total.saturating_sub(ordinary).min(self.limits.text),
        };
        (budget > 0).then_some(budget)
    }

    /// Writes what precedes a kept value: a comma, and its key.
    fn write_head(&mut self) {
        let Some(open) = self.containers.last_mut() else {
            return;
        };
        if std::mem::replace(&mut open.has_members, true) {
            self.copy.push(b',');
        }
        if open.is_object {
            self.copy.push(b'"');
            self.copy.extend_from_slice(&self.key);
            self.copy.extend_from_slice(b"\":");
        }
    }

    /// Counts the bytes after `before` as a part of an essential member, if it is one.
    fn note_essential(&mut self, is_essential: bool, before: usize) {
        if is_essential {
            self.essential += self.copy.len() - before;
        }
    }

    fn open(&mut self, is_object: bool) {
        let place = self.place();
        let is_in_budget = self.budget(place).is_some();
        // Containers on the way to essential members are opened after a large member too.
        let parent = self.containers.last();
        let is_opened_anyway = place.may_hold_essential()
            && self.openings < MAX_OPENINGS
            && parent.is_none_or(|parent| parent.is_kept);
        let is_kept = self.containers.len() < MAX_DEPTH && (is_in_budget || is_opened_anyway);
        self.openings += usize::from(is_kept && !is_in_budget);
        if is_kept {
            let before = self.copy.len();
            self.write_head();
            self.copy.push(if is_object { b'{' } else { b'[' });
            self.note_essential(place.is_essential(), before);
        }
        // Deeper containers are tracked too, up to a limit: a document of nothing but brackets must
        // not use up the memory.
        if self.containers.len() >= MAX_DEPTH * 100 {
            self.state = State::Broken;
            return;
        }
        self.containers.push(Container {
            is_object,
            is_kept,
            has_members: false,
            place,
        });
        self.state = if is_object { State::Key } else { State::Value };
    }

    fn close(&mut self, container: Container) {
        if container.is_kept {
            self.copy.push(if container.is_object { b'}' } else { b']' });
            if container.place.is_essential() {
                self.essential += 1;
            }
        }
    }

    fn end_container(&mut self) {
        if let Some(container) = self.containers.pop() {
            self.close(container);
        }
        self.state = State::AfterValue;
    }

    fn begin_text(&mut self) {
        let place = self.place();
        let budget = self.budget(place).unwrap_or(0);
        self.text = Text {
            left: budget,
            is_kept: budget > 0,
            ..Text::default()
        };
        if self.text.is_kept {
            let before = self.copy.len();
            self.write_head();
            self.copy.push(b'"');
            self.note_essential(place.is_essential(), before);
        }
        self.state = State::InText;
    }

    /// Reads a part of a string. Returns the rest.
    fn text<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let is_essential = self.place().is_essential();
        let before = self.copy.len();
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.text.escape_len > 0 || byte == b'\\' {
                self.escape_byte(byte);
                rest = after;
                continue;
            }
            self.end_half();
            if byte == b'"' {
                if self.text.is_kept {
                    self.copy.push(b'"');
                }
                self.state = State::AfterValue;
                rest = after;
                break;
            }
            let len = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(len);
            self.copy_plain(plain);
            rest = after;
        }
        if is_essential {
            // A partly copied character may have been removed from the copy.
            self.essential = (self.essential + self.copy.len()).saturating_sub(before);
        }
        rest
    }

    fn escape_byte(&mut self, byte: u8) {
        let text = &mut self.text;
        text.escape[text.escape_len] = byte;
        text.escape_len += 1;
        let has_digits = text.escape_len > 1 && text.escape[1] == b'u';
        let len = if has_digits { ESCAPE } else { 2 };
        if text.escape_len < len {
            return;
        }
        text.escape_len = 0;
        let escape = text.escape;
        let half = if has_digits {
            half_of(escape)
        } else {
            Half::Neither
        };
        match (half, self.text.half.take()) {
            (Half::First, before) => {
                if before.is_some() {
                    self.copy_unless_cut(REPLACEMENT);
                }
                self.text.half = Some(escape);
            }
            (Half::Second, Some(first)) => {
                let mut pair = [0; 2 * ESCAPE];
                pair[..ESCAPE].copy_from_slice(&first);
                pair[ESCAPE..].copy_from_slice(&escape);
                self.copy_unless_cut(&pair);
            }
            (Half::Second, None) => self.copy_unless_cut(REPLACEMENT),
            (Half::Neither, before) => {
                if before.is_some() {
                    self.copy_unless_cut(REPLACEMENT);
                }
                self.copy_unless_cut(&escape[..len]);
            }
        }
    }

    fn end_half(&mut self) {
        if self.text.half.take().is_some() {
            self.copy_unless_cut(REPLACEMENT);
        }
    }

    /// Copies the bytes completely, or truncates the text before them.
    fn copy_unless_cut(&mut self, bytes: &[u8]) {
        if self.text.is_cut {
            return;
        }
        if bytes.len() <= self.text.left {
            self.text.left -= bytes.len();
            self.copy.extend_from_slice(bytes);
        } else {
            self.text.is_cut = true;
        }
    }

    fn copy_plain(&mut self, plain: &[u8]) {
        if self.text.is_cut {
            return;
        }
        let is_inside = |byte: u8| byte & 0xC0 == 0x80;
        let mut end = plain.len().min(self.text.left);
        if end < plain.len() {
            self.text.is_cut = true;
            // Up to the beginning of a character, which may be in an earlier piece.
            while end > 0 && is_inside(plain[end]) {
                end -= 1;
            }
            if is_inside(plain[end]) {
                while self.copy.pop().is_some_and(is_inside) {}
            }
        }
        self.text.left -= end;
        self.copy.extend_from_slice(&plain[..end]);
    }

    /// Reads a part of a number or a word. Returns the rest.
    fn scalar<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let is_part =
            |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'+' | b'-' | b'.' | b'E' | b'0'..=b'9');
        let len = bytes.iter().position(|byte| !is_part(byte));
        let (part, rest) = bytes.split_at(len.unwrap_or(bytes.len()));
        let room = (MAX_SCALAR + 1).saturating_sub(self.scalar.len());
        self.scalar.extend_from_slice(&part[..part.len().min(room)]);
        if len.is_some() {
            self.end_scalar();
        }
        rest
    }

    fn end_scalar(&mut self) {
        let place = self.place();
        let scalar = std::mem::take(&mut self.scalar);
        if self.budget(place).is_some_and(|budget| budget > 0) {
            let before = self.copy.len();
            self.write_head();
            let is_too_long = scalar.len() > MAX_SCALAR;
            self.copy
                .extend_from_slice(if is_too_long { b"null" } else { &scalar });
            self.note_essential(place.is_essential(), before);
        }
        self.scalar = scalar;
        self.state = State::AfterValue;
    }
}

enum Half {
    First,
    Second,
    Neither,
}

/// Returns which half of a UTF-16 surrogate pair an escape with digits is.
fn half_of(escape: [u8; ESCAPE]) -> Half {
    match (escape[2] | 0x20, escape[3] | 0x20) {
        (b'd', b'8' | b'9' | b'a' | b'b') => Half::First,
        (b'd', b'c' | b'd' | b'e' | b'f') => Half::Second,
        _ => Half::Neither,
    }
}
