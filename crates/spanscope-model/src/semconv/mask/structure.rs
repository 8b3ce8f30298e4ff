//! Secret members of structured texts: JSON, maps and structs in Rust's `Debug`, dictionaries in
//! Python's `repr`.
//!
//! One scanner reads all of them, and continues where a parser would give up: a text may be
//! truncated, and a user's `Debug` may write anything. It knows literals, words, brackets and
//! separators, which is enough to find keys; it copies everything else.

use super::super::secret_keys::{SecretKind, secret_kind};
use super::literal::{end_of, escape, unescape};
use super::replaced::Replaced;
use super::{MAX_TEXT_DEPTH, is_masked, mask_nested, mask_text_of, masked, pairs};

/// Maximum depth of brackets that are tracked; what is nested deeper is read without its pairs.
const MAX_BRACKETS: usize = 256;

/// Maximum length of a type's name before its bracket.
const MAX_TYPE_NAME: usize = 64;

/// Returns the text of a structure without its secrets; `None` if it has none.
pub(super) fn mask(text: &str, depth: usize) -> Option<String> {
    let mut scanner = Scanner {
        shown: Replaced::new(text),
        bytes: text.as_bytes(),
        at: 0,
        depth,
        brackets: Vec::new(),
        deeper: 0,
        before: b'(',
    };
    scanner.run();
    scanner.shown.finish()
}

/// Returns whether a text begins with a bracket, a quote, or a name followed by a bracket.
pub(super) fn begins_structure(text: &str) -> bool {
    let text = text.trim_start();
    match text.as_bytes().first() {
        Some(b'{' | b'[' | b'(' | b'"') => true,
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
            let is_name =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'<' | b'>');
            let bytes = text.as_bytes();
            let len = bytes
                .iter()
                .take(MAX_TYPE_NAME)
                .take_while(|byte| is_name(byte))
                .count();
            let rest = &bytes[len..];
            matches!(rest.strip_prefix(b" ").unwrap_or(rest).first(), Some(b'{' | b'('))
        }
        _ => false,
    }
}

struct Scanner<'t> {
    shown: Replaced<'t>,
    bytes: &'t [u8],
    at: usize,
    /// The nesting depth of strings in strings.
    depth: usize,
    brackets: Vec<Bracket>,
    /// The number of open brackets that are not tracked.
    deeper: usize,
    /// The last byte that was neither a space nor part of a word or a literal.
    before: u8,
}

/// An open bracket, and what was read inside.
#[derive(Clone, Copy)]
struct Bracket {
    kind: u8,
    is_in_list: bool,
    /// Its first item, if it is a string that names a secret.
    first: Option<SecretKind>,
    /// Set if the member `key` or `name` of an object names a secret.
    named: Option<SecretKind>,
    /// Set if the last item of a list is a flag of a command whose argument is a secret.
    flag: Option<SecretKind>,
    items: usize,
}

impl<'t> Scanner<'t> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.literal(b'"'),
                // In any other position it is an apostrophe or a lifetime.
                b'\'' if matches!(self.before, b'{' | b'[' | b'(' | b',' | b':' | b'=') => {
                    self.literal(b'\'');
                }
                b'{' | b'[' | b'(' => {
                    self.open(byte);
                    self.skip_byte(byte);
                }
                b'}' | b']' | b')' => {
                    match self.deeper {
                        0 => drop(self.brackets.pop()),
                        _ => self.deeper -= 1,
                    }
                    self.skip_byte(byte);
                }
                b',' => {
                    self.skip_byte(byte);
                    self.next_item();
                }
                byte if is_word(byte) => self.word(),
                byte => {
                    if !byte.is_ascii_whitespace() {
                        self.before = byte;
                    }
                    self.at += 1;
                }
            }
        }
    }

    fn skip_byte(&mut self, byte: u8) {
        self.before = byte;
        self.at += 1;
    }

    fn open(&mut self, kind: u8) {
        if self.brackets.len() == MAX_BRACKETS {
            self.deeper += 1;
            return;
        }
        let is_in_list = self.brackets.last().is_some_and(|above| above.kind == b'[');
        self.brackets.push(Bracket {
            kind,
            is_in_list,
            first: None,
            named: None,
            flag: None,
            items: 0,
        });
    }

    fn bracket(&mut self) -> Option<&mut Bracket> {
        match self.deeper {
            0 => self.brackets.last_mut(),
            _ => None,
        }
    }

    /// After a comma: the second item of a pair, `("password", "...")`, or the argument of a flag,
    /// `["--password", "..."]`.
    fn next_item(&mut self) {
        let Some(bracket) = self.bracket() else { return };
        bracket.items += 1;
        if let Some(kind) = bracket.flag.take() {
            let at = self.at + self.spaces(self.at);
            if let [b'"' | b'\'', first, ..] = self.bytes[at..]
                && first != b'-'
            {
                self.value(kind, false);
            }
            return;
        }
        let is_pair = bracket.kind == b'(' || (bracket.kind == b'[' && bracket.is_in_list);
        let Some(kind) = bracket.first.filter(|_| is_pair && bracket.items == 1) else {
            return;
        };
        let end = self.value_end(self.at, false);
        let mut rest = self.bytes[end..]
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace());
        let is_last = match rest.next() {
            Some(b',') => matches!(rest.next(), Some(b')' | b']') | None),
            Some(b')' | b']') | None => true,
            Some(_) => false,
        };
        if is_last {
            self.value(kind, false);
        }
    }

    fn literal(&mut self, quote: u8) {
        let (start, end) = self.literal_at(self.at, quote);
        let inside = &self.shown.text[start..end];
        self.at = self.bytes.len().min(end + 1);
        if let Some(separator) = self.separator() {
            return self.key(&unescape(inside), separator);
        }
        if self.before == b'(' || self.before == b'[' {
            let kind = secret_kind(inside);
            if let Some(bracket) = self.bracket().filter(|bracket| bracket.items == 0) {
                bracket.first = kind;
            }
        }
        if let Some(bracket) = self.bracket().filter(|bracket| bracket.kind == b'[') {
            bracket.flag = flag_kind(inside);
        }
        self.nested(start, end, quote);
    }

    /// Reads a literal that is a structure itself, such as the arguments of a tool, or that may
    /// contain a pair.
    fn nested(&mut self, start: usize, end: usize, quote: u8) {
        let inside = &self.shown.text[start..end];
        let first = inside.trim_start().as_bytes();
        let is_structure = matches!(first, [b'{' | b'[' | b'(', ..] | [b'\\', b'"', ..]);
        if !is_structure && !pairs::may_have_pair(inside) {
            return;
        }
        let text = unescape(inside);
        let replacement = if self.depth >= MAX_TEXT_DEPTH {
            if is_structure {
                masked(&text, None)
            } else {
                let Some(masked) = pairs::mask(&text, false) else {
                    return;
                };
                masked
            }
        } else {
            match mask_nested(&text, self.depth + 1) {
                std::borrow::Cow::Owned(masked) => masked,
                std::borrow::Cow::Borrowed(_) => return,
            }
        };
        self.shown
            .replace(start, end, &escape(&replacement, char::from(quote)));
    }

    fn word(&mut self) {
        let start = self.at;
        let rest = &self.bytes[start..];
        self.at += rest.iter().take_while(|byte| is_word(**byte)).count();
        let word = &self.shown.text[start..self.at];
        if let Some(separator) = self.separator() {
            self.key(word, separator);
        }
    }

    /// Skips and returns the separator after a key; `None` if it was not a key.
    fn separator(&mut self) -> Option<u8> {
        let spaces = self.spaces(self.at);
        let separator = *self.bytes.get(self.at + spaces)?;
        let next = self.bytes.get(self.at + spaces + 1);
        let is_separator = match separator {
            b':' => next != Some(&b':'),
            b'=' => next != Some(&b'='),
            _ => false,
        };
        if !is_separator {
            return None;
        }
        self.at += spaces + 1 + usize::from(separator == b'=' && next == Some(&b'>'));
        self.before = separator;
        Some(separator)
    }

    fn key(&mut self, key: &str, separator: u8) {
        let stops_at_space = separator == b'=';
        if let Some(kind) = secret_kind(key) {
            return self.value(kind, stops_at_space);
        }
        match key {
            "value" => {
                if let Some(kind) = self.bracket().and_then(|bracket| bracket.named) {
                    self.value(kind, stops_at_space);
                }
            }
            "key" | "name" => {
                let at = self.at + self.spaces(self.at);
                if let Some(quote @ (b'"' | b'\'')) = self.bytes.get(at).copied() {
                    let (start, end) = self.literal_at(at, quote);
                    let named = secret_kind(&unescape(&self.shown.text[start..end]));
                    if let Some(bracket) = self.bracket() {
                        bracket.named = named;
                    }
                }
            }
            _ => {}
        }
    }

    /// Masks the value of a secret, which begins here.
    fn value(&mut self, kind: SecretKind, stops_at_space: bool) {
        self.at += self.spaces(self.at);
        if self.bytes[self.at..].starts_with(b"Some(") {
            self.open(b'(');
            self.at += 5;
        }
        if let Some(quote @ (b'"' | b'\'')) = self.bytes.get(self.at).copied() {
            let (start, end) = self.literal_at(self.at, quote);
            let text = unescape(&self.shown.text[start..end]);
            if let Some(masked) = mask_text_of(Some(kind), &text, None) {
                self.shown
                    .replace(start, end, &escape(&masked, char::from(quote)));
            }
            self.at = self.bytes.len().min(end + 1);
            return;
        }
        // In a connection string only the inside may be secret.
        if kind == SecretKind::ConnectionString {
            return;
        }
        let end = self.value_end(self.at, stops_at_space);
        let value = self.shown.text[self.at..end].trim_end();
        if !is_plain(value) && !is_masked(value) {
            let masked = format!("\"{}\"", masked(value, None));
            self.shown.replace(self.at, self.at + value.len(), &masked);
        }
        self.at = end;
    }

    /// Returns where a value ends: at a comma or a closing bracket outside it.
    fn value_end(&self, start: usize, stops_at_space: bool) -> usize {
        let mut at = start;
        let mut open = 0_usize;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' => at = end_of(self.shown.text, at + 1, byte),
                b'{' | b'[' | b'(' => open += 1,
                b'}' | b']' | b')' | b',' if open == 0 => return at,
                b'}' | b']' | b')' => open -= 1,
                byte if stops_at_space && open == 0 && byte.is_ascii_whitespace() => return at,
                _ => {}
            }
            at += 1;
        }
        self.bytes.len()
    }

    /// Returns the inside of the literal whose quote is here.
    fn literal_at(&self, at: usize, quote: u8) -> (usize, usize) {
        (at + 1, end_of(self.shown.text, at + 1, quote))
    }

    fn spaces(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    }
}

/// Returns the kind of secret that follows a flag of a command; `None` if none does.
pub(super) fn flag_kind(item: &str) -> Option<SecretKind> {
    match item.starts_with('-') && !item.contains(['=', ' ', ':']) {
        true => secret_kind(item),
        false => None,
    }
}

/// Returns whether the byte is part of a key without quotes, as letters that are not ASCII are.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || !byte.is_ascii()
}

/// Returns whether it is a number, a boolean or null.
fn is_plain(value: &str) -> bool {
    matches!(
        value,
        "" | "true" | "false" | "null" | "None" | "True" | "False" | "nil" | "()"
    ) || value.parse::<f64>().is_ok()
}
