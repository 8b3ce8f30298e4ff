//! Which values are private: content and secrets.
//!
//! A sink decides by its policy what it does with content; secrets are masked before any sink has
//! them. Both are told by the key alone.

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
    let words = words_of(key);
    let pair = |first: &str, second: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == second);
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        || words.last().is_some_and(|last| last == "token")
        || pair("api", "key")
        || pair("private", "key")
        || pair("access", "key")
}

/// `x-api-key`, `api_key` and `apiKey` are the words api and key.
fn words_of(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in key.chars().take(256) {
        let is_break = !letter.is_alphanumeric();
        if (is_break || (was_lower && letter.is_uppercase()))
            && words.last().is_some_and(|word| !word.is_empty())
        {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let Some(word) = words.last_mut()
            && !is_break
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
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
        RawValue::Bool(value) => Cow::Owned(value.to_string()),
        RawValue::I64(value) => Cow::Owned(value.to_string()),
        RawValue::U64(value) => Cow::Owned(value.to_string()),
        RawValue::F64(value) => Cow::Owned(format!("{value:?}")),
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
