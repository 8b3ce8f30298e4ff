//! The attribute values of one span: for each meaning the value with the highest precedence.

use smallvec::SmallVec;

use super::attribute::SemanticAttribute;
use super::source::{Convention, Source};
use super::table::{ATTRIBUTES, AttributeName, RANGES};
use crate::RawValue;
use crate::text::cut;

/// The number of meanings that measurements use; they come first in [`SemanticAttribute`].
pub const MEASURED_ATTRIBUTES: usize = SemanticAttribute::RpcStatus as usize + 1;

/// The number of rows of those meanings; they come first in [`ATTRIBUTES`].
const MEASURED_ROWS: usize = RANGES[MEASURED_ATTRIBUTES - 1].1;

/// Maximum length of a label in bytes; longer strings are truncated.
const MAX_LABEL_LEN: usize = 256;

/// Marks a row or a slot as absent.
const NONE: u8 = u8::MAX;

const _: () = assert!(MEASURED_ROWS < NONE as usize, "a measured row fits into a byte");

/// The values of one span, by meaning. Only the first [`MEASURED_ATTRIBUTES`] meanings are kept.
#[derive(Debug, Clone)]
pub struct AttributeValues<'a> {
    /// For each meaning the row under which its value was found.
    rows: [u8; MEASURED_ATTRIBUTES],
    /// For each meaning the index of its value. A table of the values themselves would be a
    /// kilobyte, and clearing it would cost more than everything else.
    places: [u8; MEASURED_ATTRIBUTES],
    values: SmallVec<[RawValue<'a>; 8]>,
}

impl Default for AttributeValues<'_> {
    #[inline]
    fn default() -> Self {
        Self {
            rows: [NONE; MEASURED_ATTRIBUTES],
            places: [NONE; MEASURED_ATTRIBUTES],
            values: SmallVec::new(),
        }
    }
}

/// Returns the text without the quotes around it. MLflow writes each value as JSON, also those
/// under names that others use (`model`), and Rust programs write texts by their `Debug`. No name
/// or id has quotes around it.
#[inline]
fn without_quotes(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(|inner| !inner.contains('"'))
        .unwrap_or(text)
}

impl<'a> AttributeValues<'a> {
    /// Reads attributes by their names. If a name occurs more than once, the last value counts.
    #[must_use]
    pub fn of(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Self {
        let mut values = Self::default();
        for (name, value) in attributes {
            if let Some(row) = super::row_index(name) {
                values.offer(row, value);
            }
        }
        values
    }

    /// Returns whether [`offer`](Self::offer) keeps values of this row of [`ATTRIBUTES`].
    #[inline]
    #[must_use]
    pub const fn keeps(row: usize) -> bool {
        row < MEASURED_ROWS
    }

    /// Keeps the value under the name of a row of [`ATTRIBUTES`], unless a name of higher
    /// precedence has a value.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a measured row fits into a byte, and there are no more values than meanings"
    )]
    #[inline]
    pub fn offer(&mut self, row: usize, value: RawValue<'a>) {
        // Values that programs write for a missing one: the `Debug` of an `Option`, empty strings.
        if row >= MEASURED_ROWS || matches!(value, RawValue::Text("" | "None" | "null", _)) {
            return;
        }
        let meaning = ATTRIBUTES[row].meaning as usize;
        let row = row as u8;
        if row > self.rows[meaning] {
            return;
        }
        let value = match value {
            RawValue::Text(text, None) => RawValue::Text(without_quotes(text), None),
            value => value,
        };
        self.rows[meaning] = row;
        match self.values.get_mut(usize::from(self.places[meaning])) {
            Some(place) => *place = value,
            None => {
                self.places[meaning] = self.values.len() as u8;
                self.values.push(value);
            }
        }
    }

    /// Returns the value of a meaning.
    #[inline]
    #[must_use]
    pub fn get(&self, meaning: SemanticAttribute) -> Option<RawValue<'a>> {
        let place = *self.places.get(meaning as usize)?;
        self.values.get(usize::from(place)).copied()
    }

    /// Returns the value of a meaning, if it is a string.
    #[inline]
    #[must_use]
    pub fn text(&self, meaning: SemanticAttribute) -> Option<&'a str> {
        self.get(meaning)?.as_text()
    }

    /// Returns whether there is a value of a meaning.
    #[inline]
    #[must_use]
    pub fn has(&self, meaning: SemanticAttribute) -> bool {
        self.places
            .get(meaning as usize)
            .is_some_and(|place| *place != NONE)
    }

    /// Returns the convention of the name under which the value was found.
    #[inline]
    #[must_use]
    pub fn convention(&self, meaning: SemanticAttribute) -> Option<Convention> {
        self.name(meaning).map(|name| name.convention)
    }

    /// Returns the document that defines the name under which the value was found.
    #[inline]
    #[must_use]
    pub fn source(&self, meaning: SemanticAttribute) -> Option<Source> {
        self.name(meaning).map(|name| name.source)
    }

    #[inline]
    fn name(&self, meaning: SemanticAttribute) -> Option<&'static AttributeName> {
        let row = *self.rows.get(meaning as usize)?;
        ATTRIBUTES.get(usize::from(row)).filter(|_| row != NONE)
    }

    /// Returns the value as a label of a measurement: strings are truncated to 256 bytes.
    #[inline]
    #[must_use]
    pub fn label(&self, meaning: SemanticAttribute) -> Option<RawValue<'a>> {
        Some(match self.get(meaning)? {
            RawValue::Text(text, _) => RawValue::Text(cut(text, MAX_LABEL_LEN), None),
            value => value,
        })
    }

    /// Returns the model for the labels of a measurement: the requested one, else the one that
    /// responded.
    #[inline]
    #[must_use]
    pub fn model(&self) -> Option<RawValue<'a>> {
        self.label(SemanticAttribute::RequestModel)
            .or_else(|| self.label(SemanticAttribute::ResponseModel))
            .or_else(|| self.model_in_parameters())
    }

    /// Returns the model among the parameters of a call: OpenInference names no model if the call
    /// failed.
    fn model_in_parameters(&self) -> Option<RawValue<'a>> {
        #[derive(serde::Deserialize)]
        struct Parameters<'p> {
            model: &'p str,
        }
        let text = self.text(SemanticAttribute::InvocationParameters)?;
        let parameters: Parameters<'a> = serde_json::from_str(text).ok()?;
        Some(RawValue::Text(cut(parameters.model, MAX_LABEL_LEN), None))
    }

    /// Returns the provider in OpenTelemetry's spelling; a program's own ids (`provider_id`) are
    /// unchanged.
    #[must_use]
    pub fn provider(&self) -> Option<RawValue<'a>> {
        let given = self.label(SemanticAttribute::Provider)?;
        let canonical = given
            .as_text()
            .filter(|_| self.convention(SemanticAttribute::Provider) != Some(Convention::Plain))
            .and_then(super::canonical_provider);
        Some(canonical.map_or(given, |name| RawValue::Text(name, None)))
    }

    /// Returns whether the span names a model.
    #[inline]
    #[must_use]
    pub fn names_model(&self) -> bool {
        self.has(SemanticAttribute::RequestModel) || self.has(SemanticAttribute::ResponseModel)
    }
}
