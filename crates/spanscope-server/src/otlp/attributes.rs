//! Attributes and their values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use serde::Deserialize as _;
use serde_json::Value as Json;
use spanscope_model::{Attributes, Value, non_finite_name};

/// Up to this number of attributes, comparing each key is cheaper than hashing them.
const FEW: usize = 64;

/// Returns attributes in which each key occurs once, at its first position with its last value.
pub(super) fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    if pairs.len() <= FEW {
        return pairs
            .into_iter()
            .map(|pair| (pair.key, value(pair.value)))
            .collect();
    }
    // `Attributes::set` compares every existing key, which makes a hundred thousand keys a denial
    // of service. Reading attributes does not. It holds values as JSON does, so a NaN is the string
    // that the store would use.
    let map: serde_json::Map<String, Json> = pairs
        .into_iter()
        .map(|pair| (pair.key, json(pair.value)))
        .collect();
    Attributes::deserialize(Json::Object(map)).unwrap_or_default() // any object of JSON can be read
}

/// One value with its type. OTLP's empty value is JSON's null.
pub(super) fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => Value::Str(text),
        Some(any_value::Value::BoolValue(value)) => Value::Bool(value),
        Some(any_value::Value::IntValue(number)) => Value::I64(number),
        Some(any_value::Value::DoubleValue(number)) => Value::F64(number),
        Some(any_value::Value::BytesValue(bytes)) => Value::Str(STANDARD.encode(bytes)),
        other => Value::Json(json(other.map(|value| AnyValue { value: Some(value) }))),
    }
}

/// Returns a value as JSON, with nested ones. The decoders have bounded the nesting.
fn json(value: Option<AnyValue>) -> Json {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(value)) => value.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => float(number),
        Some(any_value::Value::BytesValue(bytes)) => STANDARD.encode(bytes).into(),
        Some(any_value::Value::ArrayValue(array)) => {
            array.values.into_iter().map(|item| json(Some(item))).collect()
        }
        Some(any_value::Value::KvlistValue(list)) => list
            .values
            .into_iter()
            .map(|pair| (pair.key, json(pair.value)))
            .collect(),
        // The index of a string in a table, which only profiles have.
        Some(any_value::Value::StringValueStrindex(_)) | None => Json::Null,
    }
}

/// Returns a number as JSON, or the name that the model and OTLP use if JSON has no such number.
pub(super) fn float(number: f64) -> Json {
    non_finite_name(number).map_or_else(|| number.into(), Json::from)
}

/// Returns whether the text contains the character that replaces bytes that are not UTF-8.
pub(super) fn has_replacement(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// Returns whether a key or a value contains that character.
pub(super) fn has_replacements(attributes: &Attributes) -> bool {
    attributes.iter().any(|(key, value)| {
        has_replacement(key)
            || match value {
                Value::Str(text) => has_replacement(text),
                Value::Json(value) => has_replacement(&value.to_string()),
                _ => false,
            }
    })
}

/// Notes the number of attributes that the sender left out, if any.
pub(super) fn set_dropped(attributes: &mut Attributes, key: &str, dropped: u32) {
    if dropped > 0 {
        attributes.set(key, i64::from(dropped));
    }
}

/// Returns roughly the memory of a copy of these attributes, in bytes.
pub(super) fn weight(attributes: &Attributes) -> usize {
    /// The size of a key or a value without what it points to.
    const NODE: usize = 64;
    fn of(value: &Json) -> usize {
        NODE + match value {
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(of).sum(),
            Json::Object(map) => map.iter().map(|(key, value)| key.len() + of(value)).sum(),
            _ => 0,
        }
    }
    let weigh = |value: &Value| match value {
        Value::Str(text) => NODE + text.len(),
        Value::Json(value) => of(value),
        _ => NODE,
    };
    attributes
        .iter()
        .map(|(key, value)| key.len() + weigh(value))
        .sum()
}
