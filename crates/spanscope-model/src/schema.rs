//! JSON schemas of types with hand-written serialization, for API documents.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Attributes, SpanId, Timestamp, TraceId, Value};

macro_rules! schema {
    ($($type:ty, $name:literal => $schema:tt),* $(,)?) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

schema!(
    TraceId, "TraceId" => {
        "type": "string", "pattern": "^(?!0{32}$)[0-9a-f]{32}$", "description": "The id of a trace: 16 bytes in hexadecimal, not all zero."
    },
    SpanId, "SpanId" => {
        "type": "string", "pattern": "^(?!0{16}$)[0-9a-f]{16}$", "description": "The id of a span: 8 bytes in hexadecimal, not all zero."
    },
    Timestamp, "Timestamp" => {
        "type": "string", "format": "date-time", "description": "A time between 1677 and 2262. Without an offset it is UTC."
    },
    Value, "Value" => {
        "description": "A string, a number, a boolean; from other programs also a list, an object or null."
    },
    Attributes, "Attributes" => {
        "type": "object", "additionalProperties": true, "description": "Attributes by key."
    },
);

/// A time in a request: in UTC in the years 1700 to 2199, with up to nanosecond precision. The
/// formats of RFC 3339 would include years without a valid timestamp.
pub(crate) fn sent_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": SENT_TIME,
        "description": "A time in UTC, as 2026-11-21T14:03:00.5Z; other offsets and a blank for the T are read too."
    })
}

/// The regular expression of `sent_time`.
pub const SENT_TIME: &str = "^(1[7-9]|2[01])[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?Z$";

/// The values of conditions.
pub(crate) fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "number", "boolean"], "description": "The value: a string, a number or a boolean."})
}

/// Makes the ids required for starts and ends of spans; other events may lack them.
pub(crate) fn with_ids_of_spans(schema: &mut Schema) {
    let kinds = schema.get_mut("oneOf").and_then(serde_json::Value::as_array_mut);
    for kind in kinds.into_iter().flatten() {
        if kind.pointer("/properties/payload").is_none() {
            continue;
        }
        for (name, of) in [("trace_id", "TraceId"), ("span_id", "SpanId")] {
            kind["properties"][name] = serde_json::json!({"$ref": format!("#/components/schemas/{of}")});
            if let Some(required) = kind["required"].as_array_mut() {
                required.push(name.into());
            }
        }
    }
}

/// Excludes `gt` and `lt` with a boolean, because booleans have no order.
pub(crate) fn with_order(schema: &mut Schema) {
    schema.insert(
        "anyOf".to_owned(),
        serde_json::json!([
            {"properties": {"op": {"enum": ["eq", "ne"]}}},
            {"properties": {"value": {"type": ["string", "number"]}}},
        ]),
    );
}
