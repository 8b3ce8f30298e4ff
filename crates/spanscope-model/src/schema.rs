//! JSON schemas of the types that write themselves: what a document of an API says of them.

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
        "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Names a trace: 16 bytes in hexadecimal, not all zero."
    },
    SpanId, "SpanId" => {
        "type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Names a span: 8 bytes in hexadecimal, not all zero."
    },
    Timestamp, "Timestamp" => {
        "type": "string", "format": "date-time", "description": "A time between 1677 and 2262. Without an offset it is UTC."
    },
    Value, "Value" => {
        "description": "A text, a number, a truth value; what other programs send may be a list, an object or null."
    },
    Attributes, "Attributes" => {
        "type": "object", "additionalProperties": true, "description": "Attributes by key."
    },
);
