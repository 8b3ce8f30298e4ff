//! From a decoded record to what an entry shows: its text, why it failed, the fields that stay.
//!
//! What a field means is decided in [`Decoder`]; here is only what a person is shown of it.

use std::borrow::Cow;

use spanscope_core::capture::{
    CallsiteInfo, Decoder, FieldReader, FieldRole, LogPlace, MaskedTexts, RawValue, ResolvedField,
};
use spanscope_model::{Severity, SpanStatus};

use super::render::markup::MARKUP_FIELD;

/// A span or an event, as an entry shows it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// The event's text or the span's name.
    pub(super) text: Cow<'a, str>,
    /// The text is the message that the program wrote, not an error that came from elsewhere.
    pub(super) is_own_text: bool,
    /// The event has the field `markup = true`, which is then not among the fields.
    pub(super) asks_for_markup: bool,
    pub(super) category: Option<&'a str>,
    pub(super) severity: Severity,
    pub(super) status: Option<SpanStatus>,
    pub(super) reason: Option<Cow<'a, str>>,
    /// Of records of the `log` crate: where they came from.
    pub(super) log: LogPlace<'a>,
    pub(super) fields: Vec<(&'a str, RawValue<'a>)>,
}

impl<'a> Shown<'a> {
    pub(super) fn read(
        decoder: &mut Decoder,
        info: &'a CallsiteInfo,
        fields: FieldReader<'a>,
        texts: &'a MaskedTexts,
    ) -> Self {
        let record = decoder.decode(info, fields, texts);
        let is_span = info.metadata.is_span();
        let text = record.name.or(record.message).or(record.exception);
        let text = text.as_ref().map(whole);
        // The error that is the text is not shown once more.
        let is_left_out = |field: &ResolvedField<'_>| {
            field.role == FieldRole::Error && record.exception == Some(field.value)
        };
        let mut asks_for_markup = false;
        let mut fields = Vec::with_capacity(record.attributes.len());
        for field in record.attributes.iter().filter(|field| !is_left_out(field)) {
            if !is_span && (field.name, field.value) == (MARKUP_FIELD, RawValue::Bool(true)) {
                asks_for_markup = true;
            } else {
                fields.push((field.name, field.value));
            }
        }
        let shown = Self {
            text: match (text, is_span) {
                (text, true) => text.unwrap_or(Cow::Borrowed(info.metadata.name())),
                // A name that the program gave an event stands before its message.
                (None, false) => Cow::Borrowed(info.event_name),
                (Some(text), false) if text.is_empty() => Cow::Borrowed(info.event_name),
                (Some(text), false) if info.event_name.is_empty() => text,
                (Some(text), false) => Cow::Owned(format!("{}: {text}", info.event_name)),
            },
            is_own_text: record.exception.is_none(),
            asks_for_markup,
            category: record.category,
            severity: record.severity,
            status: record.status,
            reason: record.status_message.as_ref().map(whole),
            log: record.log,
            fields,
        };
        decoder.reuse(record);
        shown
    }
}

/// The text, and how much longer it was where capture has cut it.
fn whole<'a>(value: &RawValue<'a>) -> Cow<'a, str> {
    match value {
        RawValue::Text(text, None) => Cow::Borrowed(text),
        RawValue::Text(text, Some(bytes)) => Cow::Owned(format!("{text}… ({bytes} bytes)")),
        value => Cow::Owned(value.to_string()),
    }
}
