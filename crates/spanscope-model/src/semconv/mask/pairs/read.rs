//! Finds where words, literals and values of a text begin and end.
//!
//! Every search is bounded, so that a text of nothing but keys takes time in proportion to its
//! length.

use std::cell::Cell;

use super::super::literal::end_of;

/// How far a search for the end of a tag, of a bracket or of the previous word goes, in bytes.
const MAX_LOOK: usize = 512;

/// Maximum indentation of a line.
const MAX_INDENT: usize = 128;

/// The names of authentication schemes, which credentials follow.
const SCHEMES: [&str; 9] = [
    "bearer",
    "basic",
    "digest",
    "token",
    "apikey",
    "negotiate",
    "ntlm",
    "aws4-hmac-sha256",
    "key",
];

/// A text, and searches in it.
pub(super) struct Read<'t> {
    pub(super) text: &'t str,
    pub(super) bytes: &'t [u8],
    /// For each kind of quote, a bit for each number of backslashes before it, up to 40: set if no
    /// closing quote follows. Searching again after every key would take quadratic time.
    unclosed: Cell<[u64; 3]>,
}

impl<'t> Read<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            unclosed: Cell::default(),
        }
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn byte_before(&self, at: usize) -> Option<u8> {
        self.byte(at.checked_sub(1)?)
    }

    /// Returns the word around an offset, no earlier than `from`.
    pub(super) fn word_around(&self, at: usize, from: usize) -> (usize, usize) {
        let before = self.bytes[from..at].iter().rev();
        let mut start = at - before.take_while(|byte| is_word(**byte)).count();
        // The end of a line in a literal.
        if start < at
            && self.byte_before(start) == Some(b'\\')
            && matches!(self.bytes[start], b'n' | b'r' | b't')
        {
            start += 1;
        }
        let behind = self.bytes[at..].iter();
        (start, at + behind.take_while(|byte| is_word(**byte)).count())
    }

    /// Returns whether the surroundings of a word allow it to be a key: most words are not keys,
    /// and this is cheaper than looking at their letters.
    pub(super) fn may_be_key(&self, start: usize, end: usize) -> bool {
        let is_adjacent =
            |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\' | b']' | b'*');
        let separator = self.bytes[end..]
            .iter()
            .take(MAX_INDENT)
            .find(|byte| !is_adjacent(byte));
        let before = self.bytes[..start]
            .iter()
            .rev()
            .take(MAX_INDENT)
            .find(|byte| !is_adjacent(byte));
        let is_literal_next = || matches!(self.bytes[end..], [b' ', b'\'' | b'"', ..]);
        matches!(separator, Some(b':' | b'='))
            || matches!(before, Some(b':' | b'=' | b'<'))
            || is_literal_next()
    }

    /// Returns where the previous word begins, if one space separates it.
    pub(super) fn word_before(&self, start: usize) -> Option<usize> {
        let end = start.checked_sub(1).filter(|end| self.bytes[*end] == b' ')?;
        let before = self.bytes[..end].iter().rev().take(24);
        let len = before.take_while(|byte| byte.is_ascii_alphanumeric()).count();
        (len > 0).then_some(end - len)
    }

    /// Returns the number of spaces here, within the line.
    pub(super) fn spaces(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count()
    }

    /// Returns the number of stars here, as Markdown has them around a word.
    pub(super) fn stars(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().take(2).take_while(|byte| **byte == b'*').count()
    }

    /// Returns the quote before an offset, with the number of backslashes before it.
    pub(super) fn quote_before(&self, at: usize) -> Option<(u8, usize)> {
        let quote = self.byte_before(at).filter(|byte| is_quote(*byte))?;
        let before = self.bytes[..at - 1].iter().rev().take(40);
        Some((quote, before.take_while(|byte| **byte == b'\\').count()))
    }

    /// Returns whether this quote is here, with its backslashes.
    pub(super) fn has_quote(&self, at: usize, quote: u8, slashes: usize) -> bool {
        self.quote_at(at) == Some((quote, slashes))
    }

    /// Returns whether a quote is here, with any number of backslashes.
    pub(super) fn is_quote(&self, at: usize) -> bool {
        self.quote_at(at).is_some()
    }

    fn quote_at(&self, at: usize) -> Option<(u8, usize)> {
        let rest = self.bytes.get(at..)?;
        let slashes = rest.iter().take(40).take_while(|byte| **byte == b'\\').count();
        let quote = rest.get(slashes).copied().filter(|byte| is_quote(*byte))?;
        Some((quote, slashes))
    }

    /// Returns the bounds of the literal that begins here: after its quote, its inside, and after
    /// its end. One that is not closed in its line ends with the text, if this is the last line.
    pub(super) fn literal_at(&self, at: usize) -> Option<(usize, usize, usize, usize)> {
        let rest = &self.bytes[at..];
        // Literals of Python and Rust may have a letter before them.
        let is_prefixed = rest.len() > 1 && matches!(rest[0], b'b' | b'f' | b'r' | b'u') && is_quote(rest[1]);
        let at = at + usize::from(is_prefixed);
        let (quote, slashes) = self.quote_at(at)?;
        let open = at + slashes + 1;
        let end = self.close(open, quote, slashes);
        if end < self.bytes.len() {
            let is_line = memchr::memchr(b'\n', &self.bytes[open..end]).is_none();
            return is_line.then_some((open, open, end, end + slashes + 1));
        }
        // An apostrophe has no end, and neither has a truncated literal.
        let is_cut = quote == b'"' && memchr::memchr(b'\n', &self.bytes[open..]).is_none();
        is_cut.then_some((open, open, end, end))
    }

    /// Returns the end of the literal in double quotes that contains this offset. Everything before
    /// `end` was examined; offsets must be ascending.
    pub(super) fn literal_around(&self, at: usize, end: &mut usize) -> Option<usize> {
        while *end <= at {
            let quote = *end + memchr::memchr(b'"', self.bytes.get(*end..at)?)?;
            *end = (end_of(self.text, quote + 1, b'"') + 1).min(self.bytes.len());
        }
        Some(*end)
    }

    /// Returns where the literal with this quote ends, before its backslashes.
    fn close(&self, open: usize, quote: u8, slashes: usize) -> usize {
        let mut unclosed = self.unclosed.get();
        let kind = match quote {
            b'"' => 0,
            b'\'' => 1,
            _ => 2,
        };
        if unclosed[kind] & 1 << slashes != 0 {
            return self.bytes.len();
        }
        let end = self.find_close(open, quote, slashes);
        if end == self.bytes.len() {
            unclosed[kind] |= 1 << slashes;
            self.unclosed.set(unclosed);
        }
        end
    }

    fn find_close(&self, open: usize, quote: u8, slashes: usize) -> usize {
        if slashes == 0 {
            return end_of(self.text, open, quote);
        }
        let mut at = open;
        while let Some(found) = self.bytes[at..].iter().position(|byte| *byte == quote) {
            let quote_at = at + found;
            let before = self.bytes[at..quote_at].iter().rev();
            if before.take_while(|byte| **byte == b'\\').count() == slashes {
                return quote_at - slashes;
            }
            at = quote_at + 1;
        }
        self.bytes.len()
    }

    /// Returns the end of the literal that is open here, or of the line.
    pub(super) fn close_or_line_end(&self, at: usize, quote: u8, slashes: usize) -> usize {
        self.close(at, quote, slashes).min(self.line_end(at))
    }

    /// Returns the end of the line, without trailing spaces.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        at + rest[..len].trim_ascii_end().len()
    }

    /// Returns the end of a bracket with a quoted text inside.
    pub(super) fn bracket_at(&self, at: usize) -> Option<usize> {
        if !matches!(self.byte(at)?, b'(' | b'[' | b'{') {
            return None;
        }
        let (mut open, mut has_literal) = (0_usize, false);
        let mut place = at;
        while let Some(byte) = self.byte(place).filter(|_| place < at + MAX_LOOK) {
            match byte {
                b'"' | b'\'' => {
                    has_literal = true;
                    place = end_of(self.text, place + 1, byte);
                }
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' => {
                    open -= 1;
                    if open == 0 {
                        return has_literal.then_some(place + 1);
                    }
                }
                _ => {}
            }
            place += 1;
        }
        None
    }

    /// Returns where an unquoted value ends.
    pub(super) fn bare_end(&self, at: usize) -> usize {
        self.bare_end_before(at, self.bytes.len())
    }

    /// Returns where an unquoted value ends, no later than `limit`.
    pub(super) fn bare_end_before(&self, at: usize, limit: usize) -> usize {
        let mut end = at;
        let mut open = [0_usize; 3];
        while let Some(byte) = self.byte(end).filter(|_| end < limit) {
            if let Some(mask_end) = self.mask_at(end) {
                end = mask_end;
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0xb | 0xc => break,
                b',' | b';' | b'&' if self.ends_item(end + 1) => break,
                b'"' | b'\'' | b'`' if !self.is_inside(end + 1) => break,
                b'\\' if self.is_quote(end) || self.bytes[end..].starts_with(b"\\r\\n") => break,
                b'<' if self
                    .byte(end + 1)
                    .is_some_and(|next| next == b'/' || next.is_ascii_alphabetic())
                    && end > at =>
                {
                    break;
                }
                b'(' => open[0] += 1,
                b'[' => open[1] += 1,
                b'{' => open[2] += 1,
                b')' | b']' | b'}' => {
                    let open = &mut open[match byte {
                        b')' => 0,
                        b']' => 1,
                        _ => 2,
                    }];
                    if *open == 0 && !self.is_inside(end + 1) {
                        break;
                    }
                    *open = open.saturating_sub(1);
                }
                _ => {}
            }
            end += 1;
        }
        // The end of a sentence.
        if end > at + 1 && self.bytes[end - 1] == b'.' {
            end -= 1;
        }
        end
    }

    /// Returns whether the next item of a list begins here: another pair, or the end.
    fn ends_item(&self, at: usize) -> bool {
        let Some(rest) = self.bytes.get(at..) else {
            return true;
        };
        let word = rest
            .iter()
            .take(MAX_LOOK)
            .take_while(|byte| is_word(**byte) || matches!(byte, b'%' | b'[' | b']' | b'"' | b'\'' | b'\\'))
            .count();
        match rest.get(word) {
            Some(b'=' | b':') => word > 0,
            Some(_) => word == 0 && !self.is_inside(at),
            None => word == 0,
        }
    }

    /// Returns whether a value continues here.
    fn is_inside(&self, at: usize) -> bool {
        self.byte(at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    }

    /// Returns whether an offset is the first in its line, after the markers of lists, comments and
    /// Markdown.
    pub(super) fn begins_line(&self, at: usize) -> bool {
        let before = self.bytes[..at].iter().rev().take(MAX_INDENT);
        let marks = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'-' | b'*' | b'#' | b'>');
        let len = before.take_while(marks).count();
        self.byte_before(at - len)
            .is_none_or(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// Returns whether the rest of the line is empty.
    pub(super) fn is_line_end(&self, at: usize) -> bool {
        let at = at + usize::from(self.byte(at) == Some(b'.'));
        self.byte(at + self.spaces(at))
            .is_none_or(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// Returns whether a sentence or an item of a list ends here.
    pub(super) fn is_end(&self, at: usize) -> bool {
        self.is_line_end(at)
            || self.is_quote(at)
            || self
                .byte(at)
                .is_some_and(|byte| matches!(byte, b',' | b';' | b')' | b']' | b'}' | b'.'))
    }

    /// Returns whether an argument ends here, followed by a flag or the end of the command.
    pub(super) fn ends_argument(&self, at: usize) -> bool {
        let next = at + self.spaces(at);
        self.is_end(at)
            || self
                .byte(next)
                .is_some_and(|byte| matches!(byte, b'-' | b'|' | b'&' | b'>' | b'<' | b'\\' | b'$' | b'/'))
    }

    /// Returns where the mask at this offset ends.
    pub(super) fn mask_at(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..)?.strip_prefix(b"[masked")?;
        let len = rest.iter().take(64).position(|byte| *byte == b']')?;
        Some(at + "[masked".len() + len + 1)
    }

    /// Returns where the credentials begin, if a word is the name of a scheme.
    pub(super) fn behind_scheme(&self, at: usize, word: &str) -> Option<usize> {
        if !SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
            return None;
        }
        let end = at + word.len();
        let spaces = self.spaces(end);
        (spaces > 0 && end + spaces < self.bytes.len()).then_some(end + spaces)
    }

    /// Returns whether pairs begin here, as in the scheme `Digest`.
    pub(super) fn begins_list(&self, at: usize) -> bool {
        let rest = self.bytes[at..].iter().take(MAX_LOOK);
        let name = rest.take_while(|byte| is_word(**byte)).count();
        name > 0 && self.byte(at + name) == Some(b'=') && self.byte(at + name + 1) != Some(b'=')
    }

    /// Returns the inside of the tag whose name is here, without surrounding spaces.
    pub(super) fn tag_content(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let before = self.bytes[..start].iter().rev().take(64);
        let prefix = before
            .take_while(|byte| is_word(**byte) || **byte == b':')
            .count();
        let name_start = start - prefix;
        if self.byte_before(name_start) != Some(b'<') {
            return None;
        }
        let rest = self.bytes[end..].iter().take(MAX_LOOK);
        let open_end = end + rest.take_while(|byte| !matches!(byte, b'>' | b'<')).count();
        let is_open = self.byte(open_end) == Some(b'>') && self.byte_before(open_end) != Some(b'/');
        let has_attributes = self.byte(end).is_some_and(|byte| byte.is_ascii_whitespace());
        if !is_open || !(open_end == end || has_attributes) {
            return None;
        }
        let mut from = open_end + 1;
        let name = &self.text[name_start..end];
        let content = &self.text[from..];
        let (inside, behind) = match content.trim_start().strip_prefix("<![CDATA[") {
            Some(data) => {
                from = self.text.len() - data.len();
                let inside = &data[..data.find("]]>")?];
                (inside, data[inside.len() + 3..].trim_start())
            }
            None => {
                let inside = &content[..content.find('<')?];
                (inside, &content[inside.len()..])
            }
        };
        behind.strip_prefix("</")?.strip_prefix(name)?;
        let inner = inside.trim_start();
        let start = from + (inside.len() - inner.len());
        Some((start, start + inner.trim_end().len()))
    }

    /// Returns whether the word here is the value of a member `name` or `key`.
    pub(super) fn is_name_of_member(&self, start: usize) -> bool {
        let before = &self.text[start
            .saturating_sub(24)
            .max(self.boundary(start.saturating_sub(24)))..start];
        let before = before.trim_end_matches(['"', '\'', '\\']);
        let Some(before) = before.trim_end_matches([' ', '\t']).strip_suffix([':', '=']) else {
            return false;
        };
        let before = before.trim_end_matches([' ', '\t', '"', '\'', '\\']);
        let name = before
            .rsplit(|letter: char| !letter.is_ascii_alphanumeric())
            .next();
        name.is_some_and(|name| name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("key"))
    }

    /// Returns the inside of the block of YAML that is the value here: the lines below `|` or `>`
    /// that are indented further than the key.
    pub(super) fn block_at(&self, key: usize, at: usize) -> Option<(usize, usize)> {
        let head_end = at + memchr::memchr(b'\n', &self.bytes[at..])?;
        let head = self.text[at..head_end].split('#').next()?.trim_end();
        let marks = head.strip_prefix(['|', '>'])?;
        if !marks
            .bytes()
            .all(|byte| matches!(byte, b'-' | b'+' | b'0'..=b'9'))
        {
            return None;
        }
        let before = &self.bytes[key.saturating_sub(MAX_INDENT)..key];
        let column = memchr::memrchr(b'\n', before).map_or(before.len(), |end| before.len() - end - 1);
        let (mut line, mut end) = (head_end + 1, head_end + 1);
        while line < self.bytes.len() {
            let line_end = self.line_end(line);
            let is_blank = line_end <= line;
            if !is_blank && self.spaces(line) <= column {
                break;
            }
            if !is_blank {
                end = line_end;
            }
            line += memchr::memchr(b'\n', &self.bytes[line..]).map_or(self.bytes.len() - line, |at| at + 1);
        }
        let inside = &self.text[head_end..end];
        let start = end - inside.trim_start().len();
        (start < end).then_some((start, end))
    }

    /// Returns the body of the part of a form, if the word here is its name:
    /// `Content-Disposition: form-data; name="word"`, further headers, an empty line, the body and
    /// a line that begins with `--`.
    pub(super) fn part_of_form(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let from = self.boundary(start.saturating_sub(MAX_LOOK));
        let line = self.text[from..start].rsplit('\n').next()?;
        let has = |text: &str, part: &str| text.to_ascii_lowercase().contains(part);
        if !has(line, "content-disposition") || !has(line, "form-data") {
            return None;
        }
        let head = &self.text[end..self.boundary((end + MAX_LOOK).min(self.bytes.len()))];
        let empty_line = |text: &str| memchr::memmem::find(head.as_bytes(), text.as_bytes());
        let head_len = match (empty_line("\r\n\r\n"), empty_line("\n\n")) {
            (Some(at), None) => at + 4,
            (None, Some(at)) => at + 2,
            (Some(one), Some(other)) => (one + 4).min(other + 2),
            (None, None) => return None,
        };
        let body = &self.text[end + head_len..];
        let len = memchr::memmem::find(body.as_bytes(), b"\n--").unwrap_or(body.len());
        let body = body[..len].trim();
        let start = end + head_len;
        let start = start + self.text[start..].len() - self.text[start..].trim_start().len();
        (!body.is_empty()).then_some((start, start + body.len()))
    }

    fn boundary(&self, at: usize) -> usize {
        (at..self.bytes.len())
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(self.bytes.len())
    }

    /// Returns the separator and the start of the value, if the member `value` is next.
    pub(super) fn value_of_member(&self, end: usize) -> Option<(u8, usize)> {
        let rest = &self.text[end..self.boundary((end + MAX_LOOK).min(self.bytes.len()))];
        let value = rest.trim_start_matches(['"', '\'', '\\', ',', ' ', '\t', '\r', '\n']);
        let head = value.get(..5).filter(|head| head.eq_ignore_ascii_case("value"))?;
        let behind = value[head.len()..].trim_start_matches(['"', '\'', '\\']);
        let separator = behind.bytes().next().filter(|byte| matches!(byte, b':' | b'='))?;
        let at = end + (rest.len() - behind.len()) + 1;
        let at = at + self.spaces(at);
        (at < self.bytes.len()).then_some((separator, at))
    }

    /// Returns the inside of a private key in PEM, if the word `KEY-----` here ends its header.
    pub(super) fn private_key(&self, start: usize) -> Option<(usize, usize)> {
        const BEGIN: &str = "-----BEGIN ";
        let head = self.text[..start].strip_suffix("PRIVATE ")?;
        let kind = head
            .bytes()
            .rev()
            .take(24)
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b' ')
            .count();
        // The spaces of the header are included.
        let with_begin = head.get(..head.len() - kind)?.ends_with("-----")
            && head[head.len() - kind..].starts_with(&BEGIN[5..]);
        if !with_begin {
            return None;
        }
        let dashes = self.text[start..].find("-----").filter(|at| *at < 16)? + start + 5;
        let inside = &self.text[dashes..];
        // Text after the end of a literal does not belong to a truncated key.
        let len = inside.find(['"', '\'', '`', '<']).unwrap_or(inside.len());
        let inside = inside[..len].trim_end_matches('\\');
        let len = memchr::memmem::find(inside.as_bytes(), b"-----END").unwrap_or(inside.len());
        let inside = &inside[..len];
        let trimmed = trim_ends_of_lines(inside);
        let from = dashes + (trimmed.as_ptr() as usize - inside.as_ptr() as usize);
        Some((from, from + trimmed.len()))
    }
}

/// Returns the text without spaces and line ends, also in the escaped form of literals.
fn trim_ends_of_lines(mut text: &str) -> &str {
    loop {
        let before = text.len();
        text = text.trim();
        for end in ["\\n", "\\r"] {
            text = text.strip_prefix(end).unwrap_or(text);
            text = text.strip_suffix(end).unwrap_or(text);
        }
        if text.len() == before {
            return text;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}
