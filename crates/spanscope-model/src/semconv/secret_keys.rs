//! Which keys name a secret: one rule for every sink, for the keys of attributes and for the members
//! of objects inside of their values.
//!
//! A key is judged by its words, so that `max_tokens`, `author` and `next_token` are none. Nothing
//! here looks at a value; [`mask`](super::mask) does.

use super::find;

/// What under a key is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The whole value.
    Value,
    /// The password in the value, which says how to connect to something.
    ConnectionString,
}

/// Whether a key names a secret: by the table of names, else by its words, which `.`, `_`, `-` and
/// capitals separate, in any case, singular or plural.
///
/// Secret are `authorization`, `password`, `passwd`, `passphrase`, `pwd`, `secret`, `credential`,
/// `cookie`, `jwt`, `dsn`, connection strings, a `key` after `api`, `access`, `auth` or `private`,
/// `auth` as the last word or before `header`, and `token` as the last word. No secret is a token
/// that is a place in a list or a piece of text (`next_token`, `eos_token`, `max_token`), and of
/// `tokens` only those are that a word before says so of (`access_tokens`), because they are counted.
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

/// What under a key is secret; `None` for most keys. See [`is_secret`].
#[must_use]
pub fn secret_kind(key: &str) -> Option<SecretKind> {
    if key.is_ascii() && !may_name_secret(key.as_bytes()) {
        return None;
    }
    match find(key) {
        Some(attribute) => attribute.is_secret.then_some(SecretKind::Value),
        None => kind_by_words(key),
    }
}

/// The number of characters of a key that the rule reads.
const MAX_KEY_CHARS: usize = 256;

/// A word that is longer is none of the rule's.
const MAX_WORD: usize = 24;

/// Names of secrets wherever they are in a key; also written as one word where they are two.
const SECRETS: [&str; 18] = [
    "authorization",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
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
/// A key after one of these is a secret.
const BEFORE_KEY: [&str; 4] = ["api", "access", "auth", "private"];
/// A token after one of these is a place in a list, a mark in a text or a number of pieces of text.
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
/// Tokens after one of these are secrets; others are counted.
const BEFORE_TOKENS: [&str; 7] = ["access", "auth", "refresh", "id", "bearer", "session", "api"];

/// The rule for keys that the table does not have.
pub(super) fn kind_by_words(key: &str) -> Option<SecretKind> {
    let mut kind = None;
    let (mut before, mut last) = (Word::default(), Word::default());
    for word in words_of(key).map(Word::of) {
        if word.is_number() {
            continue;
        }
        let is_secret = SECRETS.iter().any(|secret| word.is(secret))
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

/// A word in lower case, without the digits at its end; empty if it is none that the rule knows.
#[derive(Default, Clone, Copy)]
struct Word {
    bytes: [u8; MAX_WORD],
    len: usize,
    /// It had digits and nothing else.
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

    /// Whether it is this word or its plural.
    fn is(&self, singular: &str) -> bool {
        let text = self.text();
        text.strip_prefix(singular)
            .is_some_and(|rest| matches!(rest, "" | "s"))
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.contains(&self.text())
    }
}

/// Whether a key in ASCII contains what every secret's key contains, wherever its words begin.
///
/// A store asks about each attribute that is sent to it. To take the words of every key apart was
/// a tenth of all that receiving a span costs.
fn may_name_secret(key: &[u8]) -> bool {
    let begins = |rest: &[u8], lower: &str| {
        let begin = rest.get(..lower.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(lower.as_bytes()))
    };
    (0..key.len()).any(|at| {
        let rest = &key[at..];
        match key[at].to_ascii_lowercase() {
            b'a' => begins(rest, "auth"),
            b'c' => begins(rest, "credential") || begins(rest, "cookie") || begins(rest, "connection"),
            b'd' => begins(rest, "dsn"),
            b'j' => begins(rest, "jwt"),
            b'k' => begins(rest, "key"),
            b'p' => begins(rest, "passw") || begins(rest, "passphrase") || begins(rest, "pwd"),
            b's' => begins(rest, "secret"),
            b't' => begins(rest, "token"),
            _ => false,
        }
    })
}

/// `x-api-key`, `api_key` and `apiKey` have the words api and key, in any case.
fn words_of(key: &str) -> impl Iterator<Item = &str> {
    let end = key
        .char_indices()
        .nth(MAX_KEY_CHARS)
        .map_or(key.len(), |(end, _)| end);
    key[..end]
        .split(|letter: char| !letter.is_alphanumeric())
        .flat_map(humps_of)
}

/// The parts of a word in camel case: `userID` has user and ID, `HTTPPassword` HTTP and Password.
/// There is none in an empty one.
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
