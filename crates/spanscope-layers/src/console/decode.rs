//! From a record's fields to what an entry shows: which of them is the message, the name, the reason.

use std::borrow::Cow;

use spanscope_model::{Severity, SpanStatus};

use crate::capture::{CallsiteInfo, FieldReader, RawValue, ResolvedField, Role};

/// A span or an event, as far as its own fields tell.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// The event's text or the span's name.
    pub(super) said: Cow<'a, str>,
    pub(super) category: Option<&'a str>,
    pub(super) is_critical: bool,
    pub(super) status: Option<SpanStatus>,
    pub(super) reason: Option<&'a str>,
    /// Of records of the `log` crate: where they came from.
    pub(super) log_target: Option<&'a str>,
    pub(super) log_module: Option<&'a str>,
    pub(super) log_file: Option<&'a str>,
    pub(super) log_line: Option<u32>,
    pub(super) fields: Vec<(&'a str, RawValue<'a>)>,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(info: &'a CallsiteInfo, fields: FieldReader<'a>) -> Self {
        let is_span = info.metadata.is_span();
        let mut decoded = Self {
            said: Cow::Borrowed(if is_span { info.metadata.name() } else { "" }),
            category: None,
            is_critical: false,
            status: None,
            reason: None,
            log_target: None,
            log_module: None,
            log_file: None,
            log_line: None,
            fields: Vec::new(),
        };
        let mut error = None;
        for field in info.resolve(fields) {
            if !decoded.takes(&field) {
                if field.role == Role::Error {
                    error = field.value.as_text().or(error);
                }
                decoded.fields.push((field.name, field.value));
            }
        }
        if !is_span {
            decoded.complete(info.event_name, error);
        }
        decoded
    }

    /// Whether the field has a place of its own in the entry.
    fn takes(&mut self, field: &ResolvedField<'a>) -> bool {
        let text = field.value.as_text();
        match (field.role, text) {
            (Role::Message, Some(text)) | (Role::Name, Some(text)) => self.said = Cow::Borrowed(text),
            (Role::Message, None) => self.said = Cow::Owned(plain(&field.value)),
            (Role::StatusCode, Some(text)) => match text.parse() {
                Ok(status) => self.status = Some(status),
                Err(_) => return false,
            },
            (Role::StatusDescription, Some(text)) => self.reason = Some(text),
            (Role::Category, Some(text)) => self.category = Some(text),
            (Role::Severity, Some(text)) if text.eq_ignore_ascii_case("critical") => self.is_critical = true,
            (Role::LogTarget, text) => self.log_target = text,
            (Role::LogPlace, text) => match (field.name, field.value) {
                ("log.module_path", _) => self.log_module = text,
                ("log.file", _) => self.log_file = text,
                ("log.line", RawValue::U64(line)) => self.log_line = u32::try_from(line).ok(),
                _ => {}
            },
            // What kind a span is and how long an event is kept are for stores.
            (Role::Kind | Role::Ttl, _) => {}
            _ => return false,
        }
        true
    }

    /// An event without a message says its error; a name that the program gave it stands before its message.
    fn complete(&mut self, event_name: &'a str, error: Option<&'a str>) {
        if self.said.is_empty()
            && let Some(error) = error
        {
            self.said = Cow::Borrowed(error);
            self.fields
                .retain(|(name, value)| *name != "error" || value.as_text() != Some(error));
        }
        if !event_name.is_empty() {
            self.said = if self.said.is_empty() {
                Cow::Borrowed(event_name)
            } else {
                Cow::Owned(format!("{event_name}: {}", self.said))
            };
        }
    }

    pub(super) fn severity(&self, info: &CallsiteInfo) -> Severity {
        if self.is_critical && info.severity == Severity::Error {
            Severity::Critical
        } else {
            info.severity
        }
    }
}

fn plain(value: &RawValue<'_>) -> String {
    match value {
        RawValue::Bool(value) => value.to_string(),
        RawValue::I64(value) => value.to_string(),
        RawValue::U64(value) => value.to_string(),
        RawValue::F64(value) => value.to_string(),
        RawValue::Text(text, _) => (*text).to_owned(),
    }
}
