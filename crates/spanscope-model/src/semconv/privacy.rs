//! Decides by the key alone whether a value is content, which a sink's policy may hide.
//!
//! Secrets are not content: they are masked before any sink sees them
//! ([`mask_text`](super::mask_text)).

use std::borrow::Cow;
use std::fmt::Write as _;

use super::find;
use crate::RawValue;
use crate::text::push_grouped;

/// Returns whether the key holds content: prompts, completions, arguments and results of tools,
/// retrieved documents. For a key of the table its row decides; another key is content if it
/// continues a content key after a dot.
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
    let mut prefixes = key.match_indices('.').map(|(dot, _)| &key[..dot]);
    is_langfuse || prefixes.any(|prefix| find(prefix).is_some_and(|attribute| attribute.is_content))
}

/// Returns the replacement of content: its length and its hash.
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
    let cut_from = match value {
        RawValue::Text(_, bytes) => bytes,
        _ => None,
    };
    push_length(&mut shown, &text, cut_from);
    // Writing to a string can't fail.
    let _ = write!(shown, ", fnv1a {:016x}]", fingerprint(&text));
    shown
}

/// Appends the length of a text: `1,234 characters`, or its original bytes if it was truncated.
pub(super) fn push_length(shown: &mut String, text: &str, cut_from: Option<u64>) {
    push_grouped(shown, cut_from.unwrap_or_else(|| text.chars().count() as u64));
    shown.push_str(if cut_from.is_some() {
        " bytes"
    } else {
        " characters"
    });
}

/// FNV-1a with 64 bits: equal texts have the same hash in every program and release.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
