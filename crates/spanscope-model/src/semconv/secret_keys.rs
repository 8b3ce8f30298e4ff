//! Decides which keys name a secret: one rule for every sink, for the keys of attributes and for
//! members of objects in their values.
//!
//! The words of a key decide, so `max_tokens`, `author` and `next_token` are not secrets. Nothing
//! here reads a value; [`mask`](super::mask) does.

use super::{find, secret_parts};

/// Which part of a value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The whole value.
    Value,
    /// The password in a connection string.
    ConnectionString,
}

/// Returns whether a key names a secret: by the table of names, else by its words, separated by
/// `.`, `_`, `-` and capitals, in any case, singular or plural.
///
/// A secret is `authorization`, `pwd`, `credential`, `cookie`, `jwt`, `dsn`, a connection string, a
/// word that ends with `password`, `passwd`, `passphrase` or `secret`, a `key` after `api`,
/// `access`, `auth` or `private`, `auth` as the last word or before `header`, and `token` as the
/// last word.
///
/// A token is not a secret if it is a position in a list or a piece of text (`next_token`,
/// `eos_token`, `max_token`). `tokens` are usually a count, so they are a secret only after words
/// such as `access` (`access_tokens`).
///
/// ```
/// use spanscope_model::semconv::is_secret;
/// assert!(is_secret("http.request.header.Authorization") && is_secret("openaiApiKey") && is_secret("auth_tokens"));
/// assert!(!is_secret("gen_ai.usage.input_tokens") && !is_secret("next_token") && !is_secret("author"));
/// ```
#[must_use]
pub fn is_secret(key: &str) -> bool {
    secret_kind(key).is_some()
}

/// Returns which part of a value under the key is secret; `None` for most keys. See [`is_secret`].
#[must_use]
pub fn secret_kind(key: &str) -> Option<SecretKind> {
    // A store checks each received attribute. Splitting every key into words took a tenth of the
    // time to receive a span.
    if key.is_ascii() && secret_parts::find(key.as_bytes(), 0).is_none() {
        return None;
    }
    match find(key) {
        Some(attribute) => attribute.is_secret.then_some(SecretKind::Value),
        None => kind_by_words(key),
    }
}

/// Maximum number of characters of a key that the rule reads.
const MAX_KEY_CHARS: usize = 256;

/// Maximum length of a word; the rule has no longer one.
const MAX_WORD: usize = 24;

/// A word that ends with one of these is a secret, as in `PGPASSWORD` and `clientsecret`.
const SECRET_ENDS: [&str; 4] = ["password", "passwd", "passphrase", "secret"];

/// These words are secrets at any position in a key. Some are two words that programs write as one.
const SECRETS: [&str; 14] = [
    "authorization",
    "pwd",
    "credential",
    "cookie",
    "jwt",
    "apikey",
    "accesskey",
    "authkey",
    "privatekey",
    "secretkey",
    "accesstoken",
    "authtoken",
    "bearertoken",
    "refreshtoken",
];
/// A `key` after one of these is a secret.
const BEFORE_KEY: [&str; 4] = ["api", "access", "auth", "private"];
/// A `token` after one of these is a position in a list, a mark in a text or a count.
const BEFORE_OTHER_TOKEN: [&str; 17] = [
    "next",
    "page",
    "continuation",
    "first",
    "last",
    "eos",
    "bos",
    "pad",
    "unk",
    "sep",
    "stop",
    "max",
    "min",
    "input",
    "output",
    "prompt",
    "completion",
];
/// `tokens` after one of these are secrets; others are counts.
const BEFORE_TOKENS: [&str; 7] = ["access", "auth", "refresh", "id", "bearer", "session", "api"];

/// Applies the rule to a key that is not in the table.
pub(super) fn kind_by_words(key: &str) -> Option<SecretKind> {
    let mut kind = None;
    let (mut before, mut last) = (Word::default(), Word::default());
    for word in words_of(key).map(Word::of) {
        if word.is_number() {
            continue;
        }
        let is_secret = SECRETS.iter().any(|secret| word.is(secret))
            || SECRET_ENDS.iter().any(|end| word.ends_with(end))
            || (word.is("key") && last.is_one_of(&BEFORE_KEY))
            || (word.is("header") && last.is("auth"));
        if is_secret {
            return Some(SecretKind::Value);
        }
        if word.is("dsn") || word.is("connectionstring") || (word.is("string") && last.is("connection")) {
            kind = Some(SecretKind::ConnectionString);
        }
        (before, last) = (last, word);
    }
    let is_secret = match last.text() {
        "token" => !before.is_one_of(&BEFORE_OTHER_TOKEN),
        "tokens" => before.is_one_of(&BEFORE_TOKENS),
        _ => last.is("auth"),
    };
    if is_secret { Some(SecretKind::Value) } else { kind }
}

/// A word in lower case, without trailing digits; empty if the rule does not know it.
#[derive(Default, Clone, Copy)]
struct Word {
    bytes: [u8; MAX_WORD],
    len: usize,
    /// Whether it consisted of digits only.
    is_number: bool,
}

impl Word {
    fn of(text: &str) -> Self {
        let letters = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let mut word = Self {
            is_number: letters.is_empty(),
            ..Self::default()
        };
        for letter in letters.chars().flat_map(char::to_lowercase) {
            if !letter.is_ascii() || word.len == MAX_WORD {
                return Self::default();
            }
            word.bytes[word.len] = u8::try_from(letter).unwrap_or_default();
            word.len += 1;
        }
        word
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn is_number(&self) -> bool {
        self.is_number
    }

    /// Returns whether it is this word or its plural.
    fn is(&self, singular: &str) -> bool {
        let text = self.text();
        text.strip_prefix(singular)
            .is_some_and(|rest| matches!(rest, "" | "s"))
    }

    /// Returns whether it ends with this word or its plural.
    fn ends_with(&self, singular: &str) -> bool {
        let text = self.text();
        text.strip_suffix('s').unwrap_or(text).ends_with(singular)
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.contains(&self.text())
    }
}

/// Splits a key into words: `x-api-key`, `api_key` and `apiKey` all have the words api and key.
fn words_of(key: &str) -> impl Iterator<Item = &str> {
    let end = key
        .char_indices()
        .nth(MAX_KEY_CHARS)
        .map_or(key.len(), |(end, _)| end);
    key[..end]
        .split(|letter: char| !letter.is_alphanumeric())
        .flat_map(humps_of)
}

/// Splits a word in camel case: `userID` into user and ID, `HTTPPassword` into HTTP and Password.
/// An empty word has no parts.
fn humps_of(mut word: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut letters = word.char_indices().peekable();
        let (mut was_lower, mut was_upper) = (false, false);
        let mut end = word.len();
        while let Some((start, letter)) = letters.next() {
            let is_upper = letter.is_uppercase();
            // The plural of an abbreviation is one word: `JWTs`.
            let ends_abbreviation = was_upper
                && is_upper
                && letters.peek().is_some_and(|(_, next)| next.is_lowercase())
                && !matches!(&word[start + letter.len_utf8()..], "s");
            if start > 0 && ((was_lower && is_upper) || ends_abbreviation) {
                end = start;
                break;
            }
            (was_lower, was_upper) = (letter.is_lowercase() || letter.is_ascii_digit(), is_upper);
        }
        let (hump, rest) = word.split_at(end);
        word = rest;
        (!hump.is_empty()).then_some(hump)
    })
}
