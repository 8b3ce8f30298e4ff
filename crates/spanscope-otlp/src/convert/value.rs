//! Values and times in OpenTelemetry's types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{Array, Value};
use spanscope_core::capture::RawValue;
use spanscope_model::Timestamp;
use spanscope_model::semconv::{is_content, redacted};
use spanscope_model::text::first_chars;

use crate::settings::ContentPolicy;

/// Returns the exported form of a value; `None` if it is not exported.
pub(crate) fn otel_value(
    key: &str,
    value: RawValue<'_>,
    content: ContentPolicy,
    max_chars: Option<usize>,
) -> Option<Value> {
    if content != ContentPolicy::Full && is_content(key) {
        return match content {
            ContentPolicy::Redacted => Some(redacted(value).into()),
            ContentPolicy::None | ContentPolicy::Full => None,
        };
    }
    Some(match value {
        RawValue::Bool(value) => value.into(),
        RawValue::I64(number) => number.into(),
        RawValue::U64(number) => match i64::try_from(number) {
            Ok(number) => number.into(),
            Err(_) => number.to_string().into(), // OTLP has no such number
        },
        RawValue::F64(number) => number.into(),
        RawValue::Text(text, _) => first_chars(text, max_chars.unwrap_or(usize::MAX))
            .to_owned()
            .into(),
    })
}

/// Returns a value from OpenTelemetry's side in the form of a record.
pub(crate) fn model_value(value: &Value) -> spanscope_model::Value {
    use serde_json::Value as Json;
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(number) => (*number).into(),
        Value::F64(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(array) => spanscope_model::Value::Json(match array {
            Array::Bool(items) => items.iter().copied().map(Json::from).collect(),
            Array::I64(items) => items.iter().copied().map(Json::from).collect(),
            Array::F64(items) => items.iter().copied().map(Json::from).collect(),
            Array::String(items) => items.iter().map(|item| Json::from(item.as_str())).collect(),
            _ => Json::Null, // the enum is non-exhaustive; all its variants are above
        }),
        _ => value.to_string().into(),
    }
}

/// Converts a time; earlier ones become 1970, because OTLP has no times before it.
pub(crate) fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(0))
}
