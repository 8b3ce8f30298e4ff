//! Events as log records.

use std::borrow::Cow;

use opentelemetry::logs::{
    AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity as OtelSeverity,
};
use opentelemetry::{Key, Value};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use spanscope_core::capture::{CallsiteInfo, Decoder, FieldReader, MaskedTexts, WallClock};
use spanscope_core::queue::EventEntry;
use spanscope_model::Severity;

use super::span::{Attributes, Shape};
use super::system_time;

/// Creates log records. Only a logger of the SDK can create them, so this has a provider without an
/// exporter.
#[derive(Debug)]
pub(crate) struct LogConverter {
    logger: SdkLogger,
}

impl LogConverter {
    pub(crate) fn new() -> Self {
        let provider = SdkLoggerProvider::builder().build();
        Self {
            logger: provider.logger("spanscope"),
        }
    }

    /// Returns the exported event, and its target. `fields` are its own, with the replacements of
    /// secrets.
    pub(crate) fn record<'a>(
        &self,
        decoder: &mut Decoder,
        info: &'a CallsiteInfo,
        entry: &EventEntry,
        (fields, texts): (FieldReader<'a>, &'a MaskedTexts),
        clock: &WallClock,
        shape: &Shape,
    ) -> (SdkLogRecord, &'a str) {
        let decoded = decoder.decode(info, fields, texts);
        let mut record = self.logger.create_log_record();
        let time = system_time(clock.wall(entry.time));
        record.set_timestamp(time);
        record.set_observed_timestamp(time);
        record.set_severity_number(number_of(decoded.severity));
        record.set_severity_text(decoded.severity.as_str());
        if let Some(name) = decoded.event_name() {
            record.set_event_name(name);
        }
        let target = decoded.log.target.unwrap_or(info.metadata.target());
        record.set_target(Cow::Owned::<'static, str>(target.to_owned()));
        if let Some(ids) = entry.ids {
            record.set_trace_context(
                opentelemetry::TraceId::from_bytes(ids.trace_id.to_bytes()),
                opentelemetry::SpanId::from_bytes(ids.span_id.to_bytes()),
                None, // an event does not know whether its span is sampled
            );
        }
        let limits = &shape.limits;
        let mut attributes = Attributes::new(shape, limits.log_value_chars, limits.log_attributes);
        attributes.add_all(&decoded);
        attributes.add_category(info, &decoded);
        // The SDK's log records have no field for the number of dropped attributes.
        let (attributes, _) = attributes.finish();
        for attribute in attributes {
            record.add_attribute::<Key, AnyValue>(attribute.key, any_value(attribute.value));
        }
        if let Some(message) = decoded.message.or(decoded.exception) {
            record.set_body(message.to_string().into());
        }
        decoder.reuse(decoded);
        (record, target)
    }
}

/// Converts a value. Attributes come from records, which contain no lists.
fn any_value(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(number) => number.into(),
        Value::F64(number) => number.into(),
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn number_of(severity: Severity) -> OtelSeverity {
    match severity {
        Severity::Verbose => OtelSeverity::Trace,
        Severity::Debug => OtelSeverity::Debug,
        Severity::Info => OtelSeverity::Info,
        Severity::Warn => OtelSeverity::Warn,
        Severity::Error => OtelSeverity::Error,
        Severity::Critical => OtelSeverity::Fatal,
    }
}
