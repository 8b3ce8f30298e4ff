//! What the attributes of one span say: of each meaning the value under the name that counts first.

use smallvec::SmallVec;

use super::attribute::SemanticAttribute;
use super::source::{Convention, Source};
use super::table::{ATTRIBUTES, RANGES};
use crate::RawValue;
use crate::text::cut;

/// The number of meanings that measurements are made of; they are the first ones of
/// [`SemanticAttribute`].
pub const MEASURED: usize = SemanticAttribute::RpcStatus as usize + 1;

/// The number of rows of those meanings; they are the first ones of [`ATTRIBUTES`].
const MEASURED_ROWS: usize = RANGES[MEASURED - 1].1;

/// Longer texts are cut to this number of bytes before they become labels.
const MAX_LABEL_LEN: usize = 256;

/// In place of a row or a place: there is none.
const NONE: u8 = u8::MAX;

const _: () = assert!(MEASURED_ROWS < NONE as usize, "a measured row fits into a byte");

/// The values of one span, by meaning. Only the first [`MEASURED`] meanings are kept.
#[derive(Debug, Clone)]
pub struct AttributeValues<'a> {
    /// For each meaning the row that its value was found under.
    rows: [u8; MEASURED],
    /// For each meaning the place of its value. A table of values itself would be a kilobyte, which
    /// costs more to clear than everything else that is done with it.
    places: [u8; MEASURED],
    values: SmallVec<[RawValue<'a>; 8]>,
}

impl Default for AttributeValues<'_> {
    #[inline]
    fn default() -> Self {
        Self {
            rows: [NONE; MEASURED],
            places: [NONE; MEASURED],
            values: SmallVec::new(),
        }
    }
}

impl<'a> AttributeValues<'a> {
    /// Reads attributes by their names. Of one name the last value counts.
    #[must_use]
    pub fn of(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Self {
        let mut values = Self::default();
        for (name, value) in attributes {
            if let Some(row) = super::row_of(name) {
                values.offer(row, value);
            }
        }
        values
    }

    /// Whether [`offer`](Self::offer) keeps values of this row of [`ATTRIBUTES`].
    #[inline]
    #[must_use]
    pub const fn keeps(row: usize) -> bool {
        row < MEASURED_ROWS
    }

    /// Takes the value under the name of a row of [`ATTRIBUTES`], unless a value under a name that
    /// counts before is known.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a measured row fits into a byte, and there are no more values than meanings"
    )]
    #[inline]
    pub fn offer(&mut self, row: usize, value: RawValue<'a>) {
        // What a program writes where it knows nothing: `Option`s by their `Debug`, empty texts.
        if row >= MEASURED_ROWS || matches!(value, RawValue::Text("" | "None" | "null", _)) {
            return;
        }
        let meaning = ATTRIBUTES[row].meaning as usize;
        let row = row as u8;
        if row > self.rows[meaning] {
            return;
        }
        let value = match value {
            // MLflow writes each value as JSON.
            RawValue::Text(text, None) if ATTRIBUTES[usize::from(row)].source == Source::MlFlow => {
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                RawValue::Text(inner.unwrap_or(text), None)
            }
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

    /// The value of a meaning.
    #[inline]
    #[must_use]
    pub fn get(&self, meaning: SemanticAttribute) -> Option<RawValue<'a>> {
        let place = *self.places.get(meaning as usize)?;
        self.values.get(usize::from(place)).copied()
    }

    /// The value of a meaning, if it is a text.
    #[inline]
    #[must_use]
    pub fn text(&self, meaning: SemanticAttribute) -> Option<&'a str> {
        self.get(meaning)?.as_text()
    }

    /// Whether there is a value of a meaning.
    #[inline]
    #[must_use]
    pub fn has(&self, meaning: SemanticAttribute) -> bool {
        self.places
            .get(meaning as usize)
            .is_some_and(|place| *place != NONE)
    }

    /// The family of the name that the value was found under.
    #[inline]
    #[must_use]
    pub fn convention(&self, meaning: SemanticAttribute) -> Option<Convention> {
        let row = *self.rows.get(meaning as usize)?;
        ATTRIBUTES
            .get(usize::from(row))
            .filter(|_| row != NONE)
            .map(|name| name.convention)
    }

    /// The value as a label of a measurement: texts are cut to 256 bytes.
    #[inline]
    #[must_use]
    pub fn label(&self, meaning: SemanticAttribute) -> Option<RawValue<'a>> {
        Some(match self.get(meaning)? {
            RawValue::Text(text, _) => RawValue::Text(cut(text, MAX_LABEL_LEN), None),
            value => value,
        })
    }

    /// The model that a measurement is labelled with: the one asked for, else the one that answered.
    #[inline]
    #[must_use]
    pub fn model(&self) -> Option<RawValue<'a>> {
        self.label(SemanticAttribute::RequestModel)
            .or_else(|| self.label(SemanticAttribute::ResponseModel))
            .or_else(|| self.model_in_parameters())
    }

    /// The model among the settings of a call: OpenInference names no model where the call failed.
    fn model_in_parameters(&self) -> Option<RawValue<'a>> {
        #[derive(serde::Deserialize)]
        struct Parameters<'p> {
            model: &'p str,
        }
        let text = self.text(SemanticAttribute::InvocationParameters)?;
        let parameters: Parameters<'a> = serde_json::from_str(text).ok()?;
        Some(RawValue::Text(cut(parameters.model, MAX_LABEL_LEN), None))
    }

    /// The provider as OpenTelemetry spells it; ids that a program gives (`provider_id`) stay as they
    /// are.
    #[must_use]
    pub fn provider(&self) -> Option<RawValue<'a>> {
        let given = self.label(SemanticAttribute::Provider)?;
        let canonical = given
            .as_text()
            .filter(|_| self.convention(SemanticAttribute::Provider) != Some(Convention::Plain))
            .and_then(super::canonical_provider);
        Some(canonical.map_or(given, |name| RawValue::Text(name, None)))
    }

    /// Whether the span names a model.
    #[inline]
    #[must_use]
    pub fn names_model(&self) -> bool {
        self.has(SemanticAttribute::RequestModel) || self.has(SemanticAttribute::ResponseModel)
    }
}
