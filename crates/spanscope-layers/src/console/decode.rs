//! From a decoded record to the parts of an entry: its text, the reason of a failure, the remaining
//! fields.
//!
//! [`Decoder`] interprets the fields; this module selects what a person sees of them.

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
    /// Whether the text is the message that the program wrote, not an error from elsewhere.
    pub(super) is_own_text: bool,
    /// Whether the event has the field `markup = true`, which is then not among the fields.
    pub(super) asks_for_markup: bool,
    pub(super) category: Option<&'a str>,
    pub(super) severity: Severity,
    pub(super) status: Option<SpanStatus>,
    pub(super) reason: Option<Cow<'a, str>>,
    /// The source location of a record of the `log` crate.
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
        // The error that serves as the text is not repeated.
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
                // An event's own name precedes its message.
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

/// Returns the text, and its original length if capture has truncated it.
fn whole<'a>(value: &RawValue<'a>) -> Cow<'a, str> {
    match value {
        RawValue::Text(text, None) => Cow::Borrowed(text),
        RawValue::Text(text, Some(bytes)) => Cow::Owned(format!("{text}… ({bytes} bytes)")),
        value => Cow::Owned(value.to_string()),
    }
}
