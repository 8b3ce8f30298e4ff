//! Secrets in unstructured text: log lines, prompts, commands, environment dumps, HTTP headers,
//! forms, YAML, XML and keys in PEM.
//!
//! A text contains a secret if a key that names one is followed by a separator and a value. Each
//! separator has its own ambiguity: `password=x` is always a pair, `password: x` may be prose, and
//! `password = x` may be code. [`look`] classifies a value, [`read`] finds its end, and this module
//! decides which classes count after which separator:
//!
//! | notation | example | masked |
//! |---|---|---|
//! | pair | `pwd=x`, `--pwd=x`, `?pwd=x&y=1` | every value |
//! | literal | `pwd = "x"`, `'pwd': 'x'`, `pwd => "x"` | every value |
//! | assignment | `pwd = x` | what looks random |
//! | line | `pwd: x` as a whole line, or as a whole text in quotes | a word, or what looks random |
//! | head | `Authorization: Bearer x`, `Cookie: a=b; c=d` | all but the name of the scheme |
//! | prose | `the pwd: x` | what looks random; one word before the end of a sentence or item, but not after `token:` |
//! | flag | `--pwd x` | all but words that explain the flag |
//! | tag | `<pwd>x</pwd>` | every value |
//! | named | `name: PWD`, and next to it `value: x` | every value |
//! | block | `pwd: \|`, and the indented lines below it, as YAML has it | every value |
//! | form | `name="pwd"` in the head of a part of a form, and the part's body | every value |
//! | SQL | `PASSWORD 'x'`, `IDENTIFIED BY 'x'` | every value |
//!
//! Numbers, booleans, types, calls, variables and placeholders are never secrets:
//! `password=${PASSWORD}`, `token: String`, `auth=get_auth()`, `api_key=<your key>`.
//!
//! Names of secrets contain one of 16 parts, such as `passw`. A text without any of them costs only
//! one search, which looks for all parts at once.

mod commands;
mod look;
mod read;
#[cfg(test)]
mod tests;

use super::super::secret_keys::{SecretKind, kind_by_words, secret_kind};
use super::super::secret_parts;
use super::replaced::Replaced;
use super::{masked, url};
use look::{ValueClass, classify};
use read::Read;

/// Maximum length of a key.
const MAX_KEY: usize = 256;

/// The shortest text with a pair: `pwd=x`.
const MIN_TEXT: usize = 5;

/// Returns whether a text may contain a pair; if not, [`mask`] changes nothing.
pub(super) fn may_have_pair(text: &str) -> bool {
    text.len() >= MIN_TEXT && secret_parts::find(text.as_bytes(), 0).is_some()
}

/// Returns the text without the values of its pairs; `None` if it has none. In a structure (JSON,
/// Rust's `Debug`, Python's `repr`), texts in double quotes and keys followed by a colon or an
/// equals sign are skipped, because the scanner of structures has read them.
pub(super) fn mask(text: &str, is_structure: bool) -> Option<String> {
    if text.len() < MIN_TEXT {
        return None;
    }
    let first = secret_parts::find(text.as_bytes(), 0)?;
    let mut pairs = Pairs {
        text: Read::new(text),
        is_structure,
        at: 0,
        edits: Vec::new(),
        command_end: 0,
    };
    let mut next = Some(first);
    let mut literal_end = 0;
    while let Some(part) = next {
        if is_structure && let Some(end) = pairs.text.literal_around(part, &mut literal_end) {
            pairs.at = end;
        } else {
            pairs.part(part);
        }
        next = secret_parts::find(text.as_bytes(), pairs.at);
    }
    pairs.finish()
}

/// The separator between a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// `key=value`
    Tight,
    /// `key = value`, `key => value`
    Assign,
    /// `key: value`
    Colon,
    /// `key:value`
    TightColon,
    /// `--key value`
    Flag,
    /// `PASSWORD 'value'`, as SQL has it.
    Sql,
}

/// A word that names a secret, and what is around it.
#[derive(Debug, Clone, Copy)]
struct Key<'t> {
    text: &'t str,
    start: usize,
    end: usize,
    kind: SecretKind,
    is_flag: bool,
    /// The quote directly before it, with its number of backslashes.
    quote: Option<(u8, usize)>,
}

impl Key<'_> {
    /// Returns whether its last word is `token`, which may mean a piece of a text: `unexpected
    /// token: x`.
    fn is_token(&self) -> bool {
        let last = self.text.rsplit(['.', '_', '-']).next().unwrap_or_default();
        last.eq_ignore_ascii_case("token")
    }

    fn has(&self, word: &str) -> bool {
        let lower = self.text.to_ascii_lowercase();
        lower.contains(word)
    }
}

struct Pairs<'t> {
    text: Read<'t>,
    is_structure: bool,
    /// Everything before this offset was read.
    at: usize,
    /// The replacements: from, to, text.
    edits: Vec<(usize, usize, String)>,
    /// The arguments up to here belong to a command that was read already.
    command_end: usize,
}

impl<'t> Pairs<'t> {
    fn finish(mut self) -> Option<String> {
        self.edits.sort_by_key(|(start, _, _)| *start);
        let mut shown = Replaced::new(self.text.text);
        for (start, end, with) in self.edits {
            if start >= shown.copied {
                shown.replace(start, end, &with);
            }
        }
        shown.finish()
    }

    /// Reads the word that contains this part of a secret's name. If the word is the key of a pair,
    /// reads the pair.
    fn part(&mut self, part: usize) {
        let (start, end) = self.text.word_around(part, self.at);
        self.at = end;
        let word = &self.text.text[start..end];
        if word.len() > MAX_KEY {
            return;
        }
        if word.starts_with("KEY") && self.private_key(start) {
            return;
        }
        let name = word.trim_start_matches('-');
        let is_flag = name.len() < word.len();
        let start = end - name.len();
        if name.eq_ignore_ascii_case("bearer") {
            return self.scheme(end);
        }
        if matches!(name, "curl" | "curl.exe" | "sshpass") {
            return self.command(name, end);
        }
        if name.eq_ignore_ascii_case("identified") {
            return self.identified(end);
        }
        if !is_flag && !self.text.may_be_key(start, end) {
            return;
        }
        let Some(kind) = self.kind(name, start, end, is_flag) else {
            return;
        };
        let key = Key {
            text: name,
            start,
            end,
            kind,
            is_flag,
            quote: if is_flag {
                None
            } else {
                self.text.quote_before(start)
            },
        };
        if self.tag(&key) || self.named(&key) || self.part_of_form(&key) {
            return;
        }
        if let Some((separator, value)) = self.separator(&key) {
            self.value(&key, separator, value);
        }
    }

    /// Returns the kind of secret that a word names, alone or with the word before it: `API key` is
    /// a secret, `next token` is not.
    fn kind(&self, name: &str, start: usize, end: usize, is_flag: bool) -> Option<SecretKind> {
        let own = secret_kind(name);
        let before = if is_flag {
            None
        } else {
            self.text.word_before(start)
        };
        let Some(before) = before else { return own };
        let is_one_of = |words: &[&str]| words.iter().any(|word| name.eq_ignore_ascii_case(word));
        let both = || kind_by_words(&self.text.text[before..end]);
        match own {
            None if is_one_of(&["key", "keys", "string", "header", "tokens"]) => both(),
            Some(_) if is_one_of(&["token"]) => {
                let word = self.text.text[before..start].trim_end().to_ascii_lowercase();
                let is_piece_of_text = matches!(
                    word.as_str(),
                    "unexpected" | "expected" | "illegal" | "special" | "missing" | "current" | "previous"
                );
                own.filter(|_| !is_piece_of_text && both().is_some())
            }
            own => own,
        }
    }

    /// Returns the separator after a key, and where its value begins.
    fn separator(&self, key: &Key<'_>) -> Option<(Separator, usize)> {
        let text = &self.text;
        let mut at = key.end;
        if let Some((quote, slashes)) = key.quote
            && text.has_quote(at, quote, slashes)
        {
            at += slashes + 1;
        }
        // An item of a map or of a form: `env["KEY"] = "x"`, `user[password]=x`.
        if text.byte(at) == Some(b']') {
            at += 1;
        }
        at += text.stars(at);
        let spaces = text.spaces(at);
        let separator = at + spaces;
        let next = text.byte(separator + 1);
        let (found, behind) = match text.byte(separator)? {
            b'=' if matches!(next, Some(b'=' | b'~')) => return None,
            b'=' if next == Some(b'>') => (Separator::Assign, separator + 2),
            b'=' if spaces == 0 && !next.is_some_and(|next| matches!(next, b' ' | b'\t')) => {
                (Separator::Tight, separator + 1)
            }
            b'=' => (Separator::Assign, separator + 1),
            b':' if next == Some(b'=') => (Separator::Assign, separator + 2),
            b':' if next == Some(b':') || text.bytes[separator + 1..].starts_with(b"//") => return None,
            // A part of a name with colons, of a path or of a container image: `arn:secret:prod`,
            // `img/auth:v1`.
            b':' if matches!(text.byte_before(key.start), Some(b'/' | b':' | b'@' | b'$')) => return None,
            b':' => {
                let after = separator + 1 + text.stars(separator + 1);
                let is_tight = text.spaces(after) == 0 && !text.is_quote(after);
                let kind = if is_tight {
                    Separator::TightColon
                } else {
                    Separator::Colon
                };
                (kind, after)
            }
            _ if key.is_flag && spaces > 0 => (Separator::Flag, separator),
            b'\'' | b'"' if spaces == 1 && at == key.end && key.quote.is_none() && key.has("passw") => {
                (Separator::Sql, separator)
            }
            _ => return None,
        };
        let is_of_structure = self.is_structure && !matches!(found, Separator::Flag | Separator::Sql);
        let value = behind + text.spaces(behind);
        (!is_of_structure && value < text.bytes.len()).then_some((found, value))
    }

    fn value(&mut self, key: &Key<'_>, separator: Separator, at: usize) {
        if let Some(end) = self.text.mask_at(at) {
            self.at = end;
            return;
        }
        if key.kind == SecretKind::ConnectionString {
            return self.connection(at);
        }
        if let Some((open, start, end, close)) = self.text.literal_at(at) {
            if self.is_secret_literal(key, separator, start, end) {
                self.replace_secret(start, end);
                self.at = close;
            } else {
                self.at = open;
            }
            return;
        }
        if separator == Separator::Colon
            && self.text.begins_line(key.start)
            && let Some((start, end)) = self.text.block_at(key.start, at)
        {
            return self.whole(key.text, start, end);
        }
        if !self.is_structure
            && let Some(end) = self.text.bracket_at(at)
        {
            self.replace(at, end);
            return;
        }
        // `"Authorization: Bearer x"`: the value ends where the quote before the key is closed.
        let enclosing = key
            .quote
            .filter(|_| matches!(separator, Separator::Colon | Separator::TightColon));
        let line_end = || match enclosing {
            Some((quote, slashes)) => self.text.close_or_line_end(at, quote, slashes),
            None => self.text.line_end(at),
        };
        let first_end = self.text.bare_end(at);
        let first = &self.text.text[at..first_end];
        if let Some(credentials) = self.text.behind_scheme(at, first) {
            let may_be_list = first.eq_ignore_ascii_case("digest") || first.starts_with("AWS4");
            let is_list = may_be_list && self.text.begins_list(credentials);
            let end = if is_list {
                line_end().max(credentials)
            } else {
                self.text.bare_end(credentials)
            };
            if self.text.mask_at(credentials).is_some() {
                return;
            }
            let is_secret = match classify(&self.text.text[credentials..end], key.text) {
                ValueClass::Nothing => false,
                ValueClass::Random => true,
                ValueClass::Word => key.has("auth") && self.text.is_end(end),
            };
            if is_secret {
                self.replace(credentials, end);
            }
            return;
        }
        let class = classify(first, key.text);
        let is_line = matches!(separator, Separator::Colon)
            && (key.quote.is_some() || self.text.begins_line(key.start));
        let is_secret = match (separator, class) {
            (_, ValueClass::Nothing) => false,
            (Separator::Tight, _) => true,
            (Separator::Assign, class) => {
                class == ValueClass::Random && self.text.byte(first_end) != Some(b';')
            }
            // `${KEY:-default}`
            (Separator::TightColon, ValueClass::Random) => {
                classify(first.trim_start_matches(['-', '+', '=', '?']), key.text) == ValueClass::Random
            }
            (Separator::Colon | Separator::Flag, ValueClass::Random) => true,
            (Separator::Colon, ValueClass::Word) if key.is_token() => false,
            (Separator::Colon, ValueClass::Word) if is_line => {
                self.text.is_line_end(first_end) || self.text.is_quote(first_end)
            }
            (Separator::Colon, ValueClass::Word) => {
                !key.text.contains('.')
                    && !first.starts_with(|letter: char| letter.is_uppercase())
                    && self.text.is_end(first_end)
            }
            (Separator::Flag, ValueClass::Word) => {
                first.bytes().any(|byte| byte.is_ascii_lowercase()) && self.text.ends_argument(first_end)
            }
            (Separator::TightColon | Separator::Sql, _) => false,
        };
        if !is_secret {
            return;
        }
        let is_whole = match separator {
            Separator::Colon | Separator::TightColon => {
                enclosing.is_some() || (key.has("cookie") && first.contains('='))
            }
            Separator::Tight => key.has("cookie") && first.contains('=') && self.text.begins_line(key.start),
            _ => false,
        };
        let end = if is_whole {
            line_end().max(first_end)
        } else {
            first_end
        };
        self.replace(at, end);
    }

    fn is_secret_literal(&self, key: &Key<'_>, separator: Separator, start: usize, end: usize) -> bool {
        let inside = &self.text.text[start..end];
        let is_code_span = self.text.byte_before(start) == Some(b'`');
        // Only an unquoted key before a colon or a quote may be a word of a sentence.
        let is_prose = key.quote.is_none() && matches!(separator, Separator::Colon | Separator::Sql);
        let class = classify(inside, key.text);
        // Code in Markdown.
        if is_code_span && inside.contains(' ') {
            return false;
        }
        if key.is_token() && is_prose && !self.text.begins_line(key.start) {
            return class == ValueClass::Random;
        }
        match class {
            // A number in quotes is a string.
            ValueClass::Nothing => look::is_number(inside),
            ValueClass::Word | ValueClass::Random => true,
        }
    }

    /// Masks a connection string, in which only the password is secret.
    fn connection(&mut self, at: usize) {
        let (start, end, next) = match self.text.literal_at(at) {
            Some((_, start, end, close)) => (start, end, close),
            None => {
                let end = self.text.bare_end(at);
                (at, end, end)
            }
        };
        if let Some(masked) = url::mask_connection(&self.text.text[start..end]) {
            self.edits.push((start, end, masked));
            self.at = next;
        }
    }

    /// Masks credentials after the name of a scheme: `Bearer eyJ...`.
    fn scheme(&mut self, end: usize) {
        let at = end + self.text.spaces(end);
        if at == end || self.text.mask_at(at).is_some() {
            return;
        }
        let token_end = self.text.bare_end(at);
        let token = &self.text.text[at..token_end];
        if token.len() >= 8 && !token.contains("://") && classify(token, "bearer") == ValueClass::Random {
            self.replace(at, token_end);
        }
    }

    /// Masks `<password>x</password>`. Returns whether the key is the name of a tag.
    fn tag(&mut self, key: &Key<'_>) -> bool {
        let Some((start, end)) = self.text.tag_content(key.start, key.end) else {
            return false;
        };
        let inside = &self.text.text[start..end];
        if self.text.mask_at(start).is_none() && classify(inside, key.text) != ValueClass::Nothing {
            self.replace(start, end);
        }
        true
    }

    /// Masks the member `value` next to `name: DB_PASSWORD`. Returns whether there is one.
    fn named(&mut self, key: &Key<'_>) -> bool {
        if self.is_structure || !self.text.is_name_of_member(key.start) {
            return false;
        }
        let Some((separator, at)) = self.text.value_of_member(key.end) else {
            return false;
        };
        let inner = Key { quote: None, ..*key };
        let separator = if separator == b'=' {
            Separator::Tight
        } else {
            Separator::Colon
        };
        if let Some((open, start, end, close)) = self.text.literal_at(at) {
            self.at = open;
            if self.text.mask_at(start).is_none()
                && self.is_secret_literal(
                    &Key {
                        quote: Some((b'"', 0)),
                        ..inner
                    },
                    separator,
                    start,
                    end,
                )
            {
                self.replace_secret(start, end);
                self.at = close;
            }
            return true;
        }
        self.value(&inner, Separator::Tight, at);
        true
    }

    /// Masks the body of the part of a form whose name is this key: `multipart/form-data`. Returns
    /// whether it is one.
    fn part_of_form(&mut self, key: &Key<'_>) -> bool {
        if self.is_structure || !self.text.is_name_of_member(key.start) {
            return false;
        }
        let Some((start, end)) = self.text.part_of_form(key.start, key.end) else {
            return false;
        };
        self.whole(key.text, start, end);
        true
    }

    /// Masks a value that is all of a notation's inside, unless it is masked or no secret.
    fn whole(&mut self, key: &str, start: usize, end: usize) {
        let inside = &self.text.text[start..end];
        if self.text.mask_at(start) == Some(end) || inside.starts_with("-----BEGIN") {
            return;
        }
        if classify(inside, key) != ValueClass::Nothing || look::is_number(inside) {
            self.replace(start, end);
        }
    }

    /// Masks the password in an SQL statement about a user: `IDENTIFIED BY 'x'`, or
    /// `IDENTIFIED WITH kind BY 'x'`.
    fn identified(&mut self, end: usize) {
        let text = &self.text;
        let after = |word: &str, at: usize| {
            let start = at + text.spaces(at);
            let (_, end) = text.word_around(start, start);
            (start > at && text.text[start..end].eq_ignore_ascii_case(word)).then_some(end)
        };
        let mut at = end;
        if let Some(with) = after("with", at) {
            let kind = with + text.spaces(with);
            at = match text.literal_at(kind) {
                Some((_, _, _, close)) => close,
                None => text.word_around(kind, kind).1,
            };
        }
        let Some(by) = after("by", at).or_else(|| after("as", at)) else {
            return;
        };
        let value = after("password", by).unwrap_or(by);
        let value = value + text.spaces(value);
        if let Some((_, start, end, close)) = text.literal_at(value) {
            self.at = close;
            self.whole("password", start, end);
        } else if text.byte(value) == Some(b'\'') {
            // A statement that was cut in its literal.
            let end = text.line_end(value);
            self.whole("password", value + 1, end);
        }
    }

    /// Masks the inside of a private key in PEM, if the word at `start` is the last one of a PEM
    /// header. Returns whether it is.
    fn private_key(&mut self, start: usize) -> bool {
        let Some((start, end)) = self.text.private_key(start) else {
            return false;
        };
        self.at = end;
        if start < end && self.text.mask_at(start).is_none() {
            self.replace(start, end);
        }
        true
    }

    /// Masks a secret, and keeps the name of a scheme before it.
    fn replace_secret(&mut self, start: usize, end: usize) {
        let first_end = self.text.bare_end_before(start, end);
        let first = &self.text.text[start..first_end];
        match self.text.behind_scheme(start, first) {
            Some(credentials) if credentials < end => {
                let is_known = self.text.mask_at(credentials).is_some()
                    || classify(&self.text.text[credentials..end], "") == ValueClass::Nothing;
                if !is_known {
                    self.replace(credentials, end);
                }
            }
            _ => self.replace(start, end),
        }
    }

    fn replace(&mut self, start: usize, end: usize) {
        let secret = &self.text.text[start..end];
        self.edits.push((start, end, masked(secret, None)));
        self.at = self.at.max(end);
    }
}
