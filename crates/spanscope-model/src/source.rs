//! Who made records: a program, and the part of it. Spans show the part, and a store keeps both
//! once for all records of a source.

use serde::{Deserialize, Serialize};

use crate::Attributes;

/// The part of a program that made records: a library and its version, as OpenTelemetry's
/// instrumentation scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scope {
    /// Its name; the `target` of its spans and events.
    pub name: String,
    /// Its version; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

/// Who made records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// The service that it runs as; empty if it has no name.
    pub service_name: String,
    /// What describes the program and where it runs, as OpenTelemetry's resource.
    pub resource: Attributes,
    /// The part of it.
    pub scope: Scope,
    /// It counts the tokens of its model calls itself and sends them as measurements, so that the
    /// store does not read them from its spans again.
    pub counts_tokens: bool,
    /// It also sends the events of its spans as log records, so the receiver leaves out the copies
    /// in its [`NewSpan`](crate::NewSpan)s.
    pub logs_events: bool,
}
