//! From a record's fields to what an entry shows: which of them is the message, the name, the reason.

use std::borrow::Cow;

use spanscope_model::{Severity, SpanStatus};

use spanscope_core::capture::{CallsiteInfo, FieldReader, RawValue, ResolvedField, Role};

/// A span or an event, as far as its own fields tell.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// The event's text or the span's name.
    pub(super) said: Cow<'a, str>,
    /// The text is the message that the program wrote, not an error that came from elsewhere.
    pub(super) is_own_text: bool,
    pub(super) category: Option<&'a str>,
    pub(super) is_critical: bool,
    pub(super) status: Option<SpanStatus>,
    pub(super) reason: Option<Cow<'a, str>>,
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
            is_own_text: true,
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
                if field.role == Role::Error && field.value.as_text().is_some() {
                    error = Some(field.value);
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
            (Role::Message, Some(_)) | (Role::Name, Some(_)) => self.said = whole(&field.value),
            (Role::Message, None) => self.said = whole(&field.value),
            (Role::StatusCode, Some(text)) => match text.parse() {
                Ok(status) => self.status = Some(status),
                Err(_) => return false,
            },
            (Role::StatusDescription, Some(_)) => self.reason = Some(whole(&field.value)),
            (Role::Category, Some(text)) => {
                // As the filter takes it: an empty one says nothing.
                self.category = Some(text.trim())
                    .filter(|text| !text.is_empty())
                    .or(self.category);
            }
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
    fn complete(&mut self, event_name: &'a str, error: Option<RawValue<'a>>) {
        if self.said.is_empty()
            && let Some(error) = error
        {
            self.said = whole(&error);
            self.is_own_text = false;
            self.fields
                .retain(|(name, value)| *name != "error" || *value != error);
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

/// The text, and how much longer it was where capture has cut it.
fn whole<'a>(value: &RawValue<'a>) -> Cow<'a, str> {
    match value {
        RawValue::Text(text, None) => Cow::Borrowed(text),
        RawValue::Text(text, Some(bytes)) => Cow::Owned(format!("{text}… ({bytes} bytes)")),
        value => Cow::Owned(plain(value)),
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
