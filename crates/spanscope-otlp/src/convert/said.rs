//! A record's fields by what they are for.

use spanscope_core::capture::{CallsiteInfo, FieldReader, RawValue, ResolvedField, Role};
use spanscope_model::{Severity, SpanKind, SpanStatus};

/// What a span or an event says of itself. The roles are those that the store knows; `tests/tests/it/otlp` compares both.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) message: String,
    pub(crate) kind: Option<SpanKind>,
    pub(crate) status: Option<SpanStatus>,
    pub(crate) status_message: Option<&'a str>,
    pub(crate) category: Option<&'a str>,
    pub(crate) target: Option<&'a str>,
    pub(crate) is_critical: bool,
    /// An event without a message that says an error: OpenTelemetry calls it an exception.
    pub(crate) is_exception: bool,
    pub(crate) attributes: Vec<(&'a str, RawValue<'a>)>,
}

impl<'a> Said<'a> {
    pub(crate) fn read(info: &'a CallsiteInfo, fields: FieldReader<'a>) -> Self {
        let mut said = Self::default();
        let mut error = None;
        for field in info.resolve(fields) {
            if !said.takes(&field) {
                if field.role == Role::Error {
                    error = field.value.as_text().or(error);
                }
                said.attributes.push((field.name, field.value));
            }
        }
        if !info.metadata.is_span() {
            if !info.event_name.is_empty() {
                said.name = Some(info.event_name);
            }
            if said.message.is_empty()
                && let Some(error) = error
            {
                said.is_exception = true;
                said.name = Some("exception");
                error.clone_into(&mut said.message);
                if !said.attributes.iter().any(|(key, _)| *key == "exception.message") {
                    said.attributes
                        .push(("exception.message", RawValue::Text(error, None)));
                }
            }
        }
        said
    }

    /// Whether the field has a place of its own.
    fn takes(&mut self, field: &ResolvedField<'a>) -> bool {
        let text = field.value.as_text();
        match (field.role, text) {
            (Role::Message, _) => self.message = text_of(&field.value),
            (Role::Name, Some(text)) => self.name = Some(text),
            (Role::Kind, Some(text)) => match text.parse() {
                Ok(kind) => self.kind = Some(kind),
                Err(_) => return false,
            },
            (Role::StatusCode, Some(text)) => match text.parse() {
                Ok(status) => self.status = Some(status),
                Err(_) => return false,
            },
            (Role::StatusDescription, Some(text)) => self.status_message = Some(text),
            (Role::Category, Some(text)) => {
                let text = text.trim();
                self.category = (!text.is_empty()).then_some(text).or(self.category);
            }
            (Role::Severity, Some(text)) if text.eq_ignore_ascii_case("critical") => self.is_critical = true,
            (Role::Ttl, _) => return matches!(field.value, RawValue::I64(_) | RawValue::U64(_)),
            (Role::LogTarget, text) => self.target = text,
            (Role::LogPlace, _) => {}
            _ => return false,
        }
        true
    }

    pub(crate) fn severity(&self, info: &CallsiteInfo) -> Severity {
        if self.is_critical && info.severity == Severity::Error {
            Severity::Critical
        } else {
            info.severity
        }
    }
}

pub(crate) fn text_of(value: &RawValue<'_>) -> String {
    match value {
        RawValue::Bool(value) => value.to_string(),
        RawValue::I64(value) => value.to_string(),
        RawValue::U64(value) => value.to_string(),
        RawValue::F64(value) => value.to_string(),
        RawValue::Text(text, _) => (*text).to_owned(),
    }
}
