//! The names of attributes that conventions define and programs write: one table for all crates.
//!
//! Three generations of OpenTelemetry's GenAI conventions are in use at the same time, alongside
//! OpenInference, OpenLLMetry, the attributes of single vendors and plain field names. [`ATTRIBUTES`]
//! has one row for each name: its meaning, its convention, whether its value is content or a secret,
//! whether stores index it, its unit and its published source. Token metrics, steps of runs, rows for
//! evaluations, privacy and indexes are filters over the table, so a new or renamed attribute is one
//! row, and no two parts of Spanscope can disagree about a name.
//!
//! The names are constants of this crate because those of the crate
//! `opentelemetry-semantic-conventions` are deprecated and know one generation.
//!
//! ```
//! use spanscope_model::semconv::{self, SemanticAttribute};
//!
//! let model = semconv::find("llm.model_name").unwrap();
//! assert_eq!(model.meaning, SemanticAttribute::RequestModel);
//! assert_eq!(SemanticAttribute::RequestModel.name(), "gen_ai.request.model");
//! ```
//!
//! Nothing here knows how attributes are recorded or stored.

mod attribute;
mod calls;
mod content_events;
mod mask;
mod operation;
mod privacy;
mod provider;
mod secret_keys;
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
pub use calls::{CallFacts, CallsBelow, SpanCall, separates_calls};
pub use content_events::ContentEvent;
pub use mask::{mask_raw, mask_text, mask_text_of, mask_value, masked};
pub use operation::{OperationKind, is_model_operation, operation_of};
pub use privacy::{is_content, redacted};
pub use provider::canonical_provider;
pub use secret_keys::{SecretKind, is_secret, secret_kind};
pub use source::{Convention, Source};
pub use table::{ATTRIBUTES, AttributeName, FLATTENED_LISTS, FlattenedList};
pub use usage::{CountError, SpanTokens, TokenCounts, UsageProblem};
pub use values::{AttributeValues, MEASURED};

/// The name that OpenTelemetry gives an event that is an error and nothing else.
pub const EXCEPTION_EVENT: &str = "exception";

/// The row of a name; `None` for a name that no convention defines.
#[must_use]
pub fn find(name: &str) -> Option<&'static AttributeName> {
    row_of(name).map(|row| &ATTRIBUTES[row])
}

/// The index of a name's row in [`ATTRIBUTES`]. Of the names of one meaning that a span uses, the one
/// with the lowest index counts.
#[must_use]
pub fn row_of(name: &str) -> Option<usize> {
    // Not the hash of the standard library, which guards against keys chosen to collide: here all
    // keys are known, and stores look up each attribute that is sent to them several times.
    static ROWS: LazyLock<HashMap<&'static str, usize, FixedState>> = LazyLock::new(|| {
        let names = ATTRIBUTES.iter().map(|attribute| attribute.name);
        names.zip(0..).collect()
    });
    ROWS.get(name).copied()
}

/// Whether values under this name are numbers, so that a text that is a number stands for one: many
/// programs write all attributes as texts.
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

/// Whether an attribute tells that its span failed, where the span's status does not: the type of an
/// error, or the outcome of a tool.
///
/// ```
/// use spanscope_model::{RawValue, semconv};
///
/// assert!(semconv::tells_failure("error.type", RawValue::Text("timeout", None)));
/// assert!(!semconv::tells_failure("error.type", RawValue::Text("", None)));
/// assert!(!semconv::tells_failure("exception.type", RawValue::Text("timeout", None)));
/// ```
#[must_use]
pub fn tells_failure(name: &str, value: RawValue<'_>) -> bool {
    match find(name).map(|attribute| attribute.meaning) {
        // What a program writes where it knows nothing: `Option`s by their `Debug`, empty texts.
        Some(SemanticAttribute::ErrorType) => !matches!(
            value,
            RawValue::Text("" | "None" | "null", _) | RawValue::Bool(false)
        ),
        Some(SemanticAttribute::ToolOutcome) => value.as_text() == Some("error"),
        _ => false,
    }
}

impl SemanticAttribute {
    /// The rows of its names; the one that counts first is first.
    #[must_use]
    pub fn names(self) -> &'static [AttributeName] {
        let (start, end) = table::RANGES[self as usize];
        &ATTRIBUTES[start..end]
    }

    /// The name that counts first: OpenTelemetry's of today, where OpenTelemetry has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        ATTRIBUTES[table::RANGES[self as usize].0].name
    }
}

/// The names of these meanings, in the order in which they are looked for: meaning after meaning,
/// and those of one meaning by their convention.
pub fn names_of(meanings: &[SemanticAttribute]) -> impl Iterator<Item = &'static str> {
    meanings
        .iter()
        .flat_map(|meaning| meaning.names())
        .map(|attribute| attribute.name)
}

/// The names that a store indexes by default.
pub const INDEXED_BY_DEFAULT: [&str; table::INDEXED] = table::indexed_names();
