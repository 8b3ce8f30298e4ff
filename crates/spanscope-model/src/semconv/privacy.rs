//! Which values are private: content and secrets.
//!
//! A sink decides by its policy what it does with content; secrets are masked before any sink has
//! them. The key alone decides both.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::find;
use crate::RawValue;
use crate::text::push_grouped;

/// Whether the key holds content: prompts, completions, arguments and results of tools, retrieved
/// documents. A key of the table is what its row says; another key is content if it continues one
/// that is, after a dot.
///
/// ```
/// use spanscope_model::semconv::is_content;
/// assert!(is_content("gen_ai.input.messages") && is_content("gen_ai.prompt.0.content") && is_content("input.value"));
/// assert!(!is_content("gen_ai.prompt.name") && !is_content("gen_ai.usage.input_tokens") && !is_content("model"));
/// ```
#[must_use]
pub fn is_content(key: &str) -> bool {
    if let Some(attribute) = find(key) {
        return attribute.is_content;
    }
    // Langfuse has an input and an output for each kind of its objects.
    let is_langfuse = key.starts_with("langfuse.") && (key.ends_with(".input") || key.ends_with(".output"));
    let mut heads = key.match_indices('.').map(|(dot, _)| &key[..dot]);
    is_langfuse || heads.any(|head| find(head).is_some_and(|head| head.is_content))
}

/// Whether a key names a secret: by the table, else by its words: `authorization`, `db.password`,
/// `accessToken`, `x-api-key`; but not `max_tokens` or `gen_ai.token.type`.
///
/// ```
/// use spanscope_model::semconv::is_secret;
/// assert!(is_secret("http.request.header.Authorization") && is_secret("openaiApiKey") && is_secret("auth_token"));
/// assert!(!is_secret("gen_ai.usage.input_tokens") && !is_secret("gen_ai.token.type") && !is_secret("monkey"));
/// ```
#[must_use]
pub fn is_secret(key: &str) -> bool {
    find(key).map_or_else(|| names_secret(key), |attribute| attribute.is_secret)
}

/// The number of characters of a key that the rule reads.
const MAX_KEY_CHARS: usize = 256;

/// The rule for keys that the table does not have.
pub(super) fn names_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "authorization",
        "password",
        "passwd",
        "passphrase",
        "secret",
        "credential",
        "credentials",
        "cookie",
        "apikey",
    ];
    const BEFORE_KEY: [&str; 3] = ["api", "private", "access"];
    if key.is_ascii() && !may_name_secret(key.as_bytes()) {
        return false;
    }
    let is_one_of = |word: &str, among: &[&str]| among.iter().any(|have| is_word(word, have));
    let mut last = "";
    for word in words_of(key) {
        if is_one_of(word, &WORDS) || (is_word(word, "key") && is_one_of(last, &BEFORE_KEY)) {
            return true;
        }
        last = word;
    }
    is_word(last, "token")
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
            b'a' => begins(rest, "authorization"),
            b'c' => begins(rest, "credential") || begins(rest, "cookie"),
            b'k' => begins(rest, "key"),
            b'p' => begins(rest, "passw") || begins(rest, "passphrase"),
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

/// The parts of a word in camel case. There is none in an empty one.
fn humps_of(mut word: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut was_lower = false;
        let mut starts = word.char_indices().filter(|(_, letter)| {
            let is_start = was_lower && letter.is_uppercase();
            was_lower = letter.is_lowercase();
            is_start
        });
        let end = starts.next().map_or(word.len(), |(start, _)| start);
        let (hump, rest) = word.split_at(end);
        word = rest;
        (!hump.is_empty()).then_some(hump)
    })
}

/// Whether a word is this one, which is in lower case and ASCII.
fn is_word(word: &str, lower: &str) -> bool {
    word.eq_ignore_ascii_case(lower)
        || (!word.is_ascii() && word.chars().flat_map(char::to_lowercase).eq(lower.chars()))
}

/// The text in place of content: its length and its hash.
///
/// ```
/// use spanscope_model::{RawValue, semconv::redacted};
/// assert_eq!(redacted(RawValue::Text("hello", None)), "[redacted: 5 characters, fnv1a a430d84680aabd0b]");
/// ```
#[must_use]
pub fn redacted(value: RawValue<'_>) -> String {
    let text = match value {
        RawValue::Text(text, _) => Cow::Borrowed(text),
        RawValue::F64(value) => Cow::Owned(format!("{value:?}")),
        value => Cow::Owned(value.to_string()),
    };
    let mut shown = String::from("[redacted: ");
    match value {
        RawValue::Text(_, Some(bytes)) => {
            push_grouped(&mut shown, bytes);
            shown.push_str(" bytes");
        }
        _ => {
            push_grouped(&mut shown, text.chars().count() as u64);
            shown.push_str(" characters");
        }
    }
    // Writing to a string can't fail.
    let _ = write!(shown, ", fnv1a {:016x}]", fingerprint(&text));
    shown
}

/// FNV-1a with 64 bits: the same text has the same number in every program and release.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
