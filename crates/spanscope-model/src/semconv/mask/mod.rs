//! Masks secrets in values: the same for what is recorded here, what is sent here and what is
//! imported, so that no sink shows what another one hides.
//!
//! A text under a key that names a secret ([`is_secret`](super::is_secret)) is replaced by its length:
//! `[masked: 32 characters]`. Other texts lose the credentials of URLs in them; one that is written as
//! JSON, or as Rust's `Debug` writes maps and structs, has its secret members masked at every depth,
//! also where a member is JSON in a text, as arguments of tools are. Numbers, truth values and null
//! are never masked. What is masked already stays as it is, however often it passes here.
//!
//! Masking reads a text once from its beginning and gives up nothing: a text that was cut in the
//! middle is masked to its end. A text that neither begins as a structure nor has a URL in it costs a
//! search for `://`.

mod literal;
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

/// JSON in texts in JSON is read to this depth. A text that is nested deeper is masked as a whole.
const MAX_TEXT_DEPTH: usize = 6;

/// The text in place of a secret: its length, in bytes where it was cut.
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

/// Whether a text is a mask and nothing else.
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

/// The text without the secrets in it: credentials of URLs, secret members of JSON and of what `Debug`
/// writes.
///
/// ```
/// use spanscope_model::semconv::mask_text;
/// assert_eq!(mask_text("open postgres://app:hunter2@db/x"), "open postgres://[masked]@db/x");
/// assert_eq!(
///     mask_text(r#"{"user":{"password":"hunter2","max_tokens":5}}"#),
///     r#"{"user":{"password":"[masked: 7 characters]","max_tokens":5}}"#
/// );
/// assert_eq!(mask_text("Login { pwd: \"hunter2\" }"), "Login { pwd: \"[masked: 7 characters]\" }");
/// ```
#[must_use]
pub fn mask_text(text: &str) -> Cow<'_, str> {
    mask_nested(text, 0)
}

fn mask_nested(text: &str, depth: usize) -> Cow<'_, str> {
    let structured = structure::mask(text, depth);
    match url::mask(structured.as_deref().unwrap_or(text)) {
        Some(masked) => Cow::Owned(masked),
        None => structured.map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// What a text under a key is shown as; `None` where it stays as it is.
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

/// What a value under a key is shown as, if it is or holds a secret; `None` where it stays.
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
            // A list under a secret's key became a text.
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
            for item in items {
                // A list of pairs, as headers are in some protocols.
                match item {
                    Json::Array(pair) if pair.len() == 2 => {
                        let kind = pair[0].as_str().and_then(secret_kind);
                        mask_json(None, &mut pair[0]);
                        mask_json(kind, &mut pair[1]);
                    }
                    item => mask_json(None, item),
                }
            }
        }
        Json::Object(members) => {
            // Lists of headers and of attributes name a member by another one.
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
        }
    }
}

impl Attributes {
    /// Masks the secrets among the values, at every depth. See [`mask_text`].
    pub fn mask_secrets(&mut self) {
        for (key, value) in self.iter_mut() {
            mask_value(key, value);
        }
    }
}

impl NewRecords {
    /// Masks the secrets in all records, at every depth: a store calls it before it keeps them. See
    /// [`mask_text`](crate::semconv::mask_text).
    pub fn mask_secrets(&mut self) {
        for of in &mut self.sources {
            of.source.resource.mask_secrets();
            of.source.scope.attributes.mask_secrets();
            for new in &mut of.spans {
                let span = &mut new.span;
                mask_own(&mut span.name);
                span.attributes.mask_secrets();
                if let Some(message) = &mut span.status_message {
                    mask_own(message);
                }
                for link in &mut span.links {
                    link.attributes.mask_secrets();
                }
                new.events.iter_mut().for_each(NewEvent::mask_secrets);
            }
            for end in &mut of.ends {
                end.attributes.mask_secrets();
            }
            of.events.iter_mut().for_each(NewEvent::mask_secrets);
            for point in &mut of.points {
                for (key, label) in &mut point.labels {
                    if let Some(masked) = mask_text_of(secret_kind(key), label, None) {
                        *label = masked;
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
        mask_own(&mut self.event.name);
        mask_own(&mut self.event.message);
        self.event.attributes.mask_secrets();
    }
}

fn mask_own(text: &mut String) {
    if let Cow::Owned(masked) = mask_text(text) {
        *text = masked;
    }
}
