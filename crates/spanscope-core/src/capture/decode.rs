//! Decoding of records, once and in the same way for every sink.
//!
//! Some fields are more than attributes: they name a span, mark it as failed, or are an event's
//! message ([`FieldRole`]). Only this module interprets fields; sinks use the [`DecodedRecord`].
//! The rules:
//!
//! - A value that its role can't parse (`otel.kind = "sideways"`, `ttl_seconds = "soon"`) stays
//!   visible as an attribute.
//! - If a field is recorded more than once, the last value counts, also if a callsite has two
//!   fields with the same name. With two messages, `info!(message = "one", "two")`, "one" is the
//!   last, because `tracing` puts the unnamed text first.
//! - A span without a status counts as failed if it has an `error.type` or the failed outcome of a
//!   tool.
//! - An event without a message takes its error as the message; OpenTelemetry calls this an
//!   exception.
//!
//! Decoding runs on a sink's thread. It reads no clock and knows no category's default.

use spanscope_model::semconv::{self, EXCEPTION_EVENT, SemanticAttribute};
use spanscope_model::{RawValue, Severity, SpanKind, SpanStatus};
use tracing_core::Metadata;

use super::callsite::{CallsiteInfo, FieldRole};
use super::fields::{FieldReader, Key};
use super::masked_texts::MaskedTexts;
use super::resolve::ResolvedField;

/// OpenTelemetry's attribute for an exception's message.
const EXCEPTION_MESSAGE: &str = SemanticAttribute::ExceptionMessage.name();
/// The field with which a span reports whether it failed.
const STATUS_CODE: &str = SemanticAttribute::StatusCode.name();

/// A span or an event, as decoded from its fields and its callsite.
#[derive(Debug)]
#[non_exhaustive]
pub struct DecodedRecord<'a> {
    /// The name that a span sets in place of its callsite's. Always a string.
    pub name: Option<RawValue<'a>>,
    /// An event's message, if it is not empty. Usually a string.
    pub message: Option<RawValue<'a>>,
    /// A span's kind.
    pub kind: Option<SpanKind>,
    /// Whether a span reports a failure: by its status, else by an `error.type`.
    pub status: Option<SpanStatus>,
    /// The reason of a span's failure. Always a string.
    pub status_message: Option<RawValue<'a>>,
    /// The callsite's level, or critical if an ERROR event sets it.
    pub severity: Severity,
    /// The category, if a field names one.
    pub category: Option<&'a str>,
    /// How many seconds a measurement is kept. On any other event the field is an attribute: it
    /// must not delete what its program wanted to keep.
    pub ttl_seconds: Option<i64>,
    /// The source location of a record of the `log` crate.
    pub log: LogPlace<'a>,
    /// The error of an event without a message. It is also among the attributes, and always a
    /// string.
    pub exception: Option<RawValue<'a>>,
    /// The other fields. A key occurs once.
    pub attributes: Vec<ResolvedField<'a>>,
    /// The name that the program set for an event; empty if it set none, and for spans.
    given_event_name: &'static str,
}

/// The source location of a record of the `log` crate; all empty for `tracing`'s own records.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LogPlace<'a> {
    /// Its target.
    pub target: Option<&'a str>,
    /// Its module.
    pub module: Option<&'a str>,
    /// Its source file.
    pub file: Option<&'a str>,
    /// Its line in the file.
    pub line: Option<u32>,
}

/// A decoder that reuses its buffer for one record after another.
///
/// ```
/// use spanscope_core::capture::{CallsiteInfo, Decoder, FieldReader, MaskedTexts};
///
/// fn print(decoder: &mut Decoder, info: &CallsiteInfo, fields: FieldReader<'_>) {
///     let texts = MaskedTexts::new();
///     let record = decoder.decode(info, fields, &texts);
///     for attribute in &record.attributes {
///         println!("{} = {}", attribute.name, attribute.value);
///     }
///     decoder.reuse(record);
/// }
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<ResolvedField<'static>>,
}

impl Decoder {
    /// Decodes the fields of a record of this callsite. `texts` owns the replacements of values
    /// with secrets.
    pub fn decode<'a>(
        &mut self,
        info: &'a CallsiteInfo,
        fields: FieldReader<'a>,
        texts: &'a MaskedTexts,
    ) -> DecodedRecord<'a> {
        let mut attributes: Vec<ResolvedField<'a>> = std::mem::take(&mut self.buffer);
        info.resolve_into(fields, texts, &mut attributes);
        let mut record = DecodedRecord {
            name: None,
            message: None,
            kind: None,
            status: None,
            status_message: None,
            severity: info.severity,
            category: None,
            ttl_seconds: None,
            log: LogPlace::default(),
            exception: None,
            attributes: Vec::new(),
            given_event_name: match info.metadata.is_span() {
                true => "",
                false => info.event_name,
            },
        };
        let mut error = None;
        let mut indicates_failure = false;
        let is_measurement = info.measures && measured(&attributes).is_some();
        attributes.retain(|field| {
            if field.role == FieldRole::Ttl && !is_measurement {
                return true;
            }
            if field.role == FieldRole::Error && field.value.as_text().is_some() {
                error = Some(field.value);
            }
            indicates_failure |=
                field.role == FieldRole::Failure && semconv::indicates_failure(field.name, field.value);
            !record.take(field)
        });
        if indicates_failure {
            record.status = record.status.or(Some(SpanStatus::Error));
        }
        record.attributes = attributes;
        if record.message.is_none() {
            record.exception = error;
        }
        record
    }

    /// Takes back the buffer of a record that is no longer needed.
    pub fn reuse(&mut self, record: DecodedRecord<'_>) {
        // `collect` reuses the memory in place; the empty result borrows nothing.
        let fields = record.attributes.into_iter();
        self.buffer = fields.map_while(|_| None).collect();
    }
}

impl<'a> DecodedRecord<'a> {
    /// Returns the span's status, by [`span_outcome`]. `failed` is what the layer observed.
    #[must_use]
    pub fn outcome(&self, failed: bool) -> SpanStatus {
        span_outcome(self.status, failed)
    }

    /// Returns an event's name: [`EXCEPTION_EVENT`] if it is only an error, else the program's
    /// name. A span has none.
    #[must_use]
    pub fn event_name(&self) -> Option<&'static str> {
        if self.exception.is_some() {
            return Some(EXCEPTION_EVENT);
        }
        Some(self.given_event_name).filter(|name| !name.is_empty())
    }

    /// Returns the attribute `exception.message` of an exception, if the program did not set it.
    #[must_use]
    pub fn missing_exception_message(&self) -> Option<(&'static str, RawValue<'a>)> {
        let exception = self.exception?;
        let mut attributes = self.attributes.iter();
        let is_given = attributes.any(|field| field.name == EXCEPTION_MESSAGE);
        (!is_given).then_some((EXCEPTION_MESSAGE, exception))
    }

    /// Stores a value that its role can parse. Returns `false` if it stays an attribute.
    fn take(&mut self, field: &ResolvedField<'a>) -> bool {
        let value = field.value;
        let text = value.as_text();
        match field.role {
            FieldRole::Attribute | FieldRole::Error | FieldRole::Failure => return false,
            FieldRole::Message => self.message = Some(value).filter(|_| text != Some("")),
            FieldRole::Name => return text.is_some() && keep(&mut self.name, Some(value)),
            FieldRole::Kind => return keep(&mut self.kind, text.and_then(|text| text.parse().ok())),
            FieldRole::StatusCode => return keep(&mut self.status, status_in(value)),
            FieldRole::StatusDescription => {
                return text.is_some() && keep(&mut self.status_message, Some(value));
            }
            FieldRole::Category => match text.map(str::trim) {
                Some("") => {} // the filter ignores an empty category too
                Some(text) => self.category = Some(text),
                None => return false,
            },
            FieldRole::Severity => {
                let is_critical = text.is_some_and(|text| text.eq_ignore_ascii_case("critical"));
                if self.severity < Severity::Error || !is_critical {
                    return false;
                }
                self.severity = Severity::Critical;
            }
            FieldRole::Ttl => {
                let seconds = match value {
                    RawValue::I64(seconds) => Some(seconds),
                    RawValue::U64(seconds) => i64::try_from(seconds).ok(),
                    _ => None,
                };
                return keep(&mut self.ttl_seconds, seconds);
            }
            FieldRole::LogTarget => return keep(&mut self.log.target, text),
            FieldRole::LogPlace => {
                return match (field.name, value) {
                    ("log.module_path", _) => keep(&mut self.log.module, text),
                    ("log.file", _) => keep(&mut self.log.file, text),
                    ("log.line", RawValue::U64(line)) => keep(&mut self.log.line, u32::try_from(line).ok()),
                    _ => false,
                };
            }
        }
        true
    }
}

/// Returns the name and the value of the measurement in these fields; `None` if `metric` is not a
/// string or `value` not a number.
pub(crate) fn measured<'a>(fields: &[ResolvedField<'a>]) -> Option<(&'a str, RawValue<'a>)> {
    let of = |name: &str| {
        let mut fields = fields.iter();
        fields.find(|field| field.name == name).map(|field| field.value)
    };
    let name = of("metric")?.as_text().filter(|name| !name.is_empty())?;
    let value = of("value")?;
    let is_number = matches!(value, RawValue::I64(_) | RawValue::U64(_) | RawValue::F64(_));
    is_number.then_some((name, value))
}

/// Returns a span's status: its own (`otel.status_code`) has priority over what was observed, an
/// error event or a panic. For callers that keep a span's own status apart from its record.
#[must_use]
pub fn span_outcome(own: Option<SpanStatus>, failed: bool) -> SpanStatus {
    own.unwrap_or(if failed { SpanStatus::Error } else { SpanStatus::Ok })
}

/// Stores a parsed value. Returns whether there was one.
fn keep<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_readable = value.is_some();
    if is_readable {
        *place = value;
    }
    is_readable
}

fn status_in(value: RawValue<'_>) -> Option<SpanStatus> {
    value.as_text()?.parse().ok()
}

/// Returns the status that a span declares, or that its attributes imply, for callers that need it
/// before the record is decoded.
pub(crate) fn status_of(metadata: &'static Metadata<'static>, fields: FieldReader<'_>) -> Option<SpanStatus> {
    let name_of = |key: Key<'_>| match key {
        Key::Declared(index) => metadata.fields().iter().nth(index).map(|field| field.name()),
        Key::Undeclared(_) => None,
    };
    let matters = |name: &str| {
        matches!(
            FieldRole::of(name, true),
            FieldRole::StatusCode | FieldRole::Failure
        )
    };
    // Of two fields with the same name either may have the last value.
    let (mut own, mut failures) = (None, Vec::<(String, bool)>::new());
    let wanted = fields.select(|key| match key {
        Key::Undeclared(name) => matters(name).then(|| name.to_owned()),
        key => name_of(key).filter(|name| matters(name)).map(str::to_owned),
    });
    for (name, value) in wanted {
        if name == STATUS_CODE {
            own = status_in(value);
            continue;
        }
        let failed = semconv::indicates_failure(&name, value);
        match failures.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = failed,
            None => failures.push((name, failed)),
        }
    }
    let failed = failures.iter().any(|(_, failed)| *failed);
    own.or(failed.then_some(SpanStatus::Error))
}
