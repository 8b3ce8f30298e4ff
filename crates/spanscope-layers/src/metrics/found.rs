//! What a span's fields say: of each meaning the value under the name that stands first in the table.

use super::aliases::{ALIASES, Convention, MEANINGS, Meaning, NO_ROW, row_of};
use super::plan::Plan;
use spanscope_core::capture::{FieldReader, RawValue, cut};

/// Longer texts are cut to so many bytes before they become labels.
const MAX_LABEL_LEN: usize = 256;

/// The values found, by meaning.
#[derive(Debug)]
pub(super) struct Found<'a> {
    rows: [u8; MEANINGS],
    values: [RawValue<'a>; MEANINGS],
}

impl<'a> Found<'a> {
    /// Reads a record's fields.
    pub(super) fn read(plan: &Plan, fields: FieldReader<'a>) -> Self {
        Self::of_rows(fields.map(|(key, value)| (plan.row(key), value)))
    }

    /// Reads attributes by their names.
    pub(super) fn of_names(attributes: impl IntoIterator<Item = (&'a str, RawValue<'a>)>) -> Self {
        let attributes = attributes.into_iter();
        Self::of_rows(attributes.map(|(name, value)| (row_of(name), value)))
    }

    fn of_rows(fields: impl Iterator<Item = (u8, RawValue<'a>)>) -> Self {
        let mut found = Self {
            rows: [NO_ROW; MEANINGS],
            values: [RawValue::Bool(false); MEANINGS],
        };
        for (row, value) in fields {
            let Some(alias) = ALIASES.get(usize::from(row)) else {
                continue;
            };
            // What a program writes where it knows nothing: `Option`s by their `Debug`, empty texts.
            if matches!(value, RawValue::Text("" | "None" | "null", _)) {
                continue;
            }
            let place = alias.meaning as usize;
            if row <= found.rows[place] {
                found.rows[place] = row;
                found.values[place] = value;
            }
        }
        found
    }

    /// The value of a meaning.
    pub(super) fn get(&self, meaning: Meaning) -> Option<RawValue<'a>> {
        let place = meaning as usize;
        (self.rows[place] != NO_ROW).then(|| self.values[place])
    }

    pub(super) fn text(&self, meaning: Meaning) -> Option<&'a str> {
        self.get(meaning)?.as_text()
    }

    pub(super) fn has(&self, meaning: Meaning) -> bool {
        self.rows[meaning as usize] != NO_ROW
    }

    /// Whose name the value stood under.
    pub(super) fn convention(&self, meaning: Meaning) -> Option<Convention> {
        ALIASES
            .get(usize::from(self.rows[meaning as usize]))
            .map(|alias| alias.convention)
    }

    /// The value as a label: texts are cut.
    pub(super) fn label(&self, meaning: Meaning) -> Option<RawValue<'a>> {
        Some(match self.get(meaning)? {
            RawValue::Text(text, _) => RawValue::Text(cut(text, MAX_LABEL_LEN), None),
            value => value,
        })
    }
}
