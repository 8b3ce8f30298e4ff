//! The attribute names that conventions define and programs write: one table for all crates.
//!
//! Three generations of OpenTelemetry's GenAI conventions are in use at the same time, alongside
//! OpenInference, OpenLLMetry, vendor attributes and plain field names. [`ATTRIBUTES`] has one row
//! for each name: its meaning, its convention, whether its value is content or a secret, whether
//! stores index it, its unit and its published source. Token metrics, steps of runs, rows for
//! evaluations, privacy and indexes are filters over the table, so a new or renamed attribute is
//! one row, and all parts of Spanscope agree about each name.
//!
//! The names are constants of this crate because those of the crate
//! `opentelemetry-semantic-conventions` are deprecated and cover one generation.
//!
//! ```
//! use spanscope_model::semconv::{self, SemanticAttribute};
//!
//! let model = semconv::find("llm.model_name").unwrap();
//! assert_eq!(model.meaning, SemanticAttribute::RequestModel);
//! assert_eq!(SemanticAttribute::RequestModel.name(), "gen_ai.request.model");
//! ```
//!
//! This module does not know how attributes are recorded or stored.

mod attribute;
mod calls;
mod content_events;
mod mask;
mod operation;
mod privacy;
mod provider;
mod secret_keys;
mod secret_parts;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod usage;
mod values;

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use crate::RawValue;

pub use attribute::SemanticAttribute;
pub use calls::{CallFacts, NestedCalls, SpanCall, separates_calls};
pub use content_events::ContentEvent;
pub use mask::{mask_raw, mask_text, mask_text_of, mask_value, masked};
pub use operation::{OperationKind, is_model_operation, operation_of};
pub use privacy::{is_content, redacted};
pub use provider::canonical_provider;
pub use secret_keys::{SecretKind, is_secret, secret_kind};
pub use source::{Convention, Source};
pub use table::{ATTRIBUTES, AttributeName, FLATTENED_LISTS, FlattenedList};
pub use usage::{CountError, SpanTokens, TokenCounts, UsageProblem};
pub use values::{AttributeValues, MEASURED_ATTRIBUTES};

/// OpenTelemetry's name for an event that is an error and nothing else.
pub const EXCEPTION_EVENT: &str = "exception";

/// Returns whether an event of this name is an exception: [`EXCEPTION_EVENT`], or that of an
/// operation, which OpenTelemetry calls `<operation>.exception`.
///
/// ```
/// use spanscope_model::semconv::is_exception_event;
///
/// assert!(is_exception_event("exception") && is_exception_event("gen_ai.client.operation.exception"));
/// assert!(!is_exception_event("exceptional"));
/// ```
#[must_use]
pub fn is_exception_event(name: &str) -> bool {
    name.strip_suffix(EXCEPTION_EVENT)
        .is_some_and(|operation| operation.is_empty() || operation.ends_with('.'))
}

/// Returns the row of a name; `None` if no convention defines it.
#[must_use]
pub fn find(name: &str) -> Option<&'static AttributeName> {
    row_index(name).map(|row| &ATTRIBUTES[row])
}

/// Returns the index of a name's row in [`ATTRIBUTES`]. If a span uses several names of one
/// meaning, the one with the lowest index counts.
#[must_use]
pub fn row_index(name: &str) -> Option<usize> {
    // Not the standard library's hash, which guards against keys chosen to collide: here all keys
    // are known, and stores look up each received attribute several times.
    static ROWS: LazyLock<HashMap<&'static str, usize, FixedState>> = LazyLock::new(|| {
        let names = ATTRIBUTES.iter().map(|attribute| attribute.name);
        names.zip(0..).collect()
    });
    ROWS.get(name).copied()
}

/// Returns whether values under this name are numbers, so that a numeric string counts as a number:
/// many programs write all attributes as strings.
///
/// ```
/// use spanscope_model::semconv;
///
/// assert!(semconv::is_number("gen_ai.usage.input_tokens"));
/// assert!(!semconv::is_number("gen_ai.request.model"));
/// ```
#[must_use]
pub fn is_number(name: &str) -> bool {
    find(name).is_some_and(|attribute| attribute.meaning.is_number())
}

/// Returns whether an attribute shows that its span failed, if the span's status does not: the type
/// of an error, or the outcome of a tool.
///
/// ```
/// use spanscope_model::{RawValue, semconv};
///
/// assert!(semconv::indicates_failure("error.type", RawValue::Text("timeout", None)));
/// assert!(!semconv::indicates_failure("error.type", RawValue::Text("", None)));
/// assert!(!semconv::indicates_failure("exception.type", RawValue::Text("timeout", None)));
/// ```
#[must_use]
pub fn indicates_failure(name: &str, value: RawValue<'_>) -> bool {
    match find(name).map(|attribute| attribute.meaning) {
        // Values that programs write without an error: the `Debug` of an `Option`, empty strings.
        Some(SemanticAttribute::ErrorType) => !matches!(
            value,
            RawValue::Text("" | "None" | "null", _) | RawValue::Bool(false)
        ),
        Some(SemanticAttribute::ToolOutcome) => value.as_text() == Some("error"),
        _ => false,
    }
}

impl SemanticAttribute {
    /// Returns the rows of its names, in order of precedence.
    #[must_use]
    pub fn names(self) -> &'static [AttributeName] {
        let (start, end) = table::RANGES[self as usize];
        &ATTRIBUTES[start..end]
    }

    /// Returns the preferred name: OpenTelemetry's current one, if there is one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        ATTRIBUTES[table::RANGES[self as usize].0].name
    }
}

/// Returns the names of these meanings in order of precedence: meaning by meaning, and within a
/// meaning by convention.
pub fn names_of(meanings: &[SemanticAttribute]) -> impl Iterator<Item = &'static str> {
    meanings
        .iter()
        .flat_map(|meaning| meaning.names())
        .map(|attribute| attribute.name)
}

/// The names that a store indexes by default.
pub const INDEXED_BY_DEFAULT: [&str; table::INDEXED] = table::indexed_names();
