//! Masks secrets in values, in the same way for recorded, sent and imported records, so that no
//! sink shows a value that another one hides.
//!
//! A string under a key that names a secret ([`is_secret`](super::is_secret)) is replaced by its
//! length: `[masked: 32 characters]`. In other strings,
//!
//! - secret members of JSON, and of maps and structs in the form of Rust's `Debug`, are masked at
//!   every depth, also where a member is JSON in a string, as tool arguments are;
//! - credentials in URLs are removed;
//! - values of keys that name a secret are masked, in the notations of HTTP headers, environments,
//!   forms, commands, YAML, XML and prose, and so are private keys in PEM. The table in `pairs`
//!   says what counts as a value and what as prose or code.
//!
//! Numbers, booleans and null are never masked. Masking is idempotent.
//!
//! Masking reads a text once from its start and never gives up: a text that was truncated in the
//! middle is masked to its end. A text without a secret costs a search for `://` and one for the
//! parts of the names of secrets, together half a nanosecond per byte.

mod literal;
mod pairs;
mod replaced;
mod structure;
#[cfg(test)]
mod tests;
mod url;

use std::borrow::Cow;

use serde_json::Value as Json;

use super::privacy::push_length;
use super::secret_keys::{SecretKind, secret_kind};
use crate::{Attributes, NewEvent, NewRecords, RawValue, Value};

/// Maximum depth of JSON in strings in JSON. A string that is nested deeper is masked as a whole.
const MAX_TEXT_DEPTH: usize = 6;

/// Maximum number of passes over a text that reveals further secrets in each pass.
const MAX_ROUNDS: usize = 8;

/// Returns the replacement of a secret: its length, in bytes if it was truncated.
///
/// ```
/// use spanscope_model::semconv::masked;
/// assert_eq!(masked("hunter2", None), "[masked: 7 characters]");
/// assert_eq!(masked("[masked: 7 characters]", None), "[masked: 7 characters]");
/// ```
#[must_use]
pub fn masked(secret: &str, cut_from: Option<u64>) -> String {
    if is_masked(secret) {
        return secret.to_owned();
    }
    let mut shown = String::from("[masked: ");
    push_length(&mut shown, secret, cut_from);
    shown.push(']');
    shown
}

/// Returns whether a text consists of a mask only.
fn is_masked(text: &str) -> bool {
    let inside = text
        .strip_prefix("[masked")
        .and_then(|rest| rest.strip_suffix(']'));
    let is_length = |length: &str| {
        let number = length
            .strip_suffix(" characters")
            .or_else(|| length.strip_suffix(" bytes"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
    };
    inside.is_some_and(|inside| inside.is_empty() || inside.strip_prefix(": ").is_some_and(is_length))
}

/// Returns the text without its secrets: credentials of URLs, secret members of JSON and of `Debug`
/// output, values of secret keys in other notations, private keys in PEM.
///
/// ```
/// use spanscope_model::semconv::mask_text;
/// assert_eq!(mask_text("open postgres://app:hunter2@db/x"), "open postgres://[masked]@db/x");
/// assert_eq!(
///     mask_text(r#"{"user":{"password":"hunter2","max_tokens":5}}"#),
///     r#"{"user":{"password":"[masked: 7 characters]","max_tokens":5}}"#
/// );
/// assert_eq!(mask_text("Login { pwd: \"hunter2\" }"), "Login { pwd: \"[masked: 7 characters]\" }");
/// assert_eq!(mask_text("x-api-key: hunter2"), "x-api-key: [masked: 7 characters]");
/// assert_eq!(mask_text("a=1&password=hunter2&b=2"), "a=1&password=[masked: 7 characters]&b=2");
/// assert_eq!(mask_text("max_tokens=100, the password: is needed"), "max_tokens=100, the password: is needed");
/// ```
#[must_use]
pub fn mask_text(text: &str) -> Cow<'_, str> {
    mask_nested(text, 0)
}

fn mask_nested(text: &str, depth: usize) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    // A mask may end a literal that an apostrophe opened, and so reveal a pair after it. Masking
    // must be idempotent, so the next pass happens at once.
    for _ in 0..MAX_ROUNDS {
        let Some(masked) = mask_once(&shown, depth) else {
            break;
        };
        shown = Cow::Owned(masked);
    }
    shown
}

/// Returns the text with at least one more mask; `None` if it has no secret.
fn mask_once(text: &str, depth: usize) -> Option<String> {
    let is_structure = structure::begins_structure(text);
    let mut shown = if is_structure {
        structure::mask(text, depth)
    } else {
        None
    };
    if let Some(masked) = url::mask(shown.as_deref().unwrap_or(text)) {
        shown = Some(masked);
    }
    if let Some(masked) = pairs::mask(shown.as_deref().unwrap_or(text), is_structure) {
        shown = Some(masked);
    }
    shown
}

/// Returns the masked text under a key of this kind; `None` if it stays as it is.
#[must_use]
pub fn mask_text_of(kind: Option<SecretKind>, text: &str, cut_from: Option<u64>) -> Option<String> {
    match kind {
        None => match mask_text(text) {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => None,
        },
        Some(SecretKind::Value) => (!is_masked(text)).then(|| masked(text, cut_from)),
        Some(SecretKind::ConnectionString) => {
            let masked = mask_text(text);
            match url::mask_connection(&masked) {
                Some(masked) => Some(masked),
                None => match masked {
                    Cow::Owned(masked) => Some(masked),
                    Cow::Borrowed(_) => None,
                },
            }
        }
    }
}

/// Returns the masked form of a value that is or contains a secret; `None` if it stays as it is.
#[must_use]
pub fn mask_raw(key: &str, value: &RawValue<'_>) -> Option<String> {
    match value {
        RawValue::Text(text, cut_from) => mask_text_of(secret_kind(key), text, *cut_from),
        _ => None,
    }
}

/// Masks a value under a key, in place and at every depth.
pub fn mask_value(key: &str, value: &mut Value) {
    match value {
        Value::Bool(_) | Value::I64(_) | Value::U64(_) | Value::F64(_) => {}
        Value::Str(text) => {
            if let Some(masked) = mask_text_of(secret_kind(key), text, None) {
                *text = masked;
            }
        }
        Value::Json(json) => {
            mask_json(secret_kind(key), json);
            // A list under a secret's key became a string.
            if let Json::String(text) = json {
                *value = Value::Str(std::mem::take(text));
            }
        }
    }
}

/// Masks JSON under a key of this kind, in place and at every depth.
fn mask_json(kind: Option<SecretKind>, json: &mut Json) {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) => {
            if let Some(masked) = mask_text_of(kind, text, None) {
                *text = masked;
            }
        }
        Json::Array(_) | Json::Object(_) if kind == Some(SecretKind::Value) => {
            *json = Json::String(masked(&json.to_string(), None));
        }
        Json::Array(items) => {
            let mut flag = None;
            for item in items {
                let next_flag = item.as_str().and_then(structure::flag_kind);
                match item {
                    // The arguments of a command.
                    Json::String(text) if flag.is_some() && !text.starts_with('-') => mask_json(flag, item),
                    // A list of pairs, as headers are in some protocols.
                    Json::Array(pair) if pair.len() == 2 => {
                        let kind = pair[0].as_str().and_then(secret_kind);
                        mask_json(None, &mut pair[0]);
                        mask_json(kind, &mut pair[1]);
                    }
                    item => mask_json(None, item),
                }
                flag = next_flag;
            }
        }
        Json::Object(members) => {
            // Lists of headers and of attributes name each member with another member.
            let named = ["key", "name"]
                .iter()
                .find_map(|name| secret_kind(members.get(*name)?.as_str()?));
            for (key, member) in members.iter_mut() {
                let kind = match key.as_str() {
                    "value" if named.is_some() => named,
                    key => secret_kind(key),
                };
                mask_json(kind, member);
            }
            mask_keys(members);
        }
    }
}

/// Masks the credentials of URLs that are keys, as in a map of servers by their addresses.
fn mask_keys(members: &mut serde_json::Map<String, Json>) {
    if members.keys().any(|key| masked_key(key).is_some()) {
        *members = std::mem::take(members)
            .into_iter()
            .map(|(key, member)| (masked_key(&key).unwrap_or(key), member))
            .collect();
    }
}

/// Returns a key without the credentials of URLs in it; `None` if it has none. Almost no key is a
/// URL, so no other notation is searched.
fn masked_key(key: &str) -> Option<String> {
    key.contains("://").then(|| url::mask(key)).flatten()
}

impl Attributes {
    /// Masks the secrets among the values, at every depth, and the credentials of URLs that are
    /// keys. See [`mask_text`].
    pub fn mask_secrets(&mut self) {
        for (key, value) in self.iter_mut() {
            mask_value(key, value);
        }
        self.change_keys(masked_key);
    }
}

impl NewRecords {
    /// Masks the secrets in all records, at every depth; a store calls it before it stores them.
    /// See [`mask_text`](crate::semconv::mask_text).
    pub fn mask_secrets(&mut self) {
        for records in &mut self.sources {
            mask_string(&mut records.source.service_name);
            records.source.resource.mask_secrets();
            let scope = &mut records.source.scope;
            mask_string(&mut scope.name);
            mask_string(&mut scope.version);
            scope.attributes.mask_secrets();
            for new in &mut records.spans {
                let span = &mut new.span;
                mask_string(&mut span.name);
                span.attributes.mask_secrets();
                let texts = [&mut span.target, &mut span.status_message, &mut span.trace_state];
                texts.into_iter().flatten().for_each(mask_string);
                for link in &mut span.links {
                    link.attributes.mask_secrets();
                }
                new.events.iter_mut().for_each(NewEvent::mask_secrets);
            }
            for end in &mut records.ends {
                end.attributes.mask_secrets();
            }
            records.events.iter_mut().for_each(NewEvent::mask_secrets);
            for point in &mut records.points {
                mask_string(&mut point.metric);
                mask_string(&mut point.unit);
                for (key, label) in &mut point.labels {
                    if let Some(masked) = mask_text_of(secret_kind(key), label, None) {
                        *label = masked;
                    }
                    if let Some(masked) = masked_key(key) {
                        *key = masked;
                    }
                }
                if let Some(detail) = &mut point.detail {
                    mask_json(None, detail);
                }
            }
        }
    }
}

impl NewEvent {
    fn mask_secrets(&mut self) {
        mask_string(&mut self.event.name);
        mask_string(&mut self.event.target);
        mask_string(&mut self.event.message);
        self.event.attributes.mask_secrets();
    }
}

fn mask_string(text: &mut String) {
    if let Cow::Owned(masked) = mask_text(text) {
        *text = masked;
    }
}
