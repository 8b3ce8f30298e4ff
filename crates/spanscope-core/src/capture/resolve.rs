//! A record's fields with their names and roles, resolved on the sink's thread in the same way for
//! every sink.

use std::collections::HashMap;

use spanscope_model::RawValue;
use spanscope_model::semconv::secret_kind;

use super::callsite::{CallsiteInfo, FieldRole};
use super::fields::{FieldReader, Key};
use super::masked_texts::MaskedTexts;

/// A field as sinks see it: with its name and role, and without secrets.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedField<'a> {
    /// Its index in the callsite's fields; `None` for an undeclared key.
    pub declared: Option<usize>,
    /// Its name.
    pub name: &'a str,
    /// Its role.
    pub role: FieldRole,
    /// Its value.
    pub value: RawValue<'a>,
}

impl CallsiteInfo {
    /// Returns the fields of a record of this callsite. A key occurs once, with its last value in
    /// its first position. `texts` owns the replacements of values with secrets.
    #[must_use]
    pub fn resolve<'a>(&'a self, fields: FieldReader<'a>, texts: &'a MaskedTexts) -> Vec<ResolvedField<'a>> {
        let mut resolved = Vec::with_capacity(self.fields.len());
        self.resolve_into(fields, texts, &mut resolved);
        resolved
    }

    /// As [`resolve`](Self::resolve), into an empty list.
    pub(super) fn resolve_into<'a>(
        &'a self,
        fields: FieldReader<'a>,
        texts: &'a MaskedTexts,
        resolved: &mut Vec<ResolvedField<'a>>,
    ) {
        let is_span = self.metadata.is_span();
        // Two fields with the same name: `info!(message = "...", "...")`.
        let mut in_order = !self.repeats_a_name;
        let mut last = None;
        for (key, value) in fields {
            let (declared, name, role, secret) = match key {
                Key::Declared(index) => {
                    let Some(field) = self.fields.get(index) else {
                        continue;
                    };
                    (Some(index), field.name, field.role, field.secret)
                }
                Key::Undeclared(name) => {
                    let role = match FieldRole::of(name, is_span) {
                        FieldRole::LogTarget | FieldRole::LogPlace => FieldRole::Attribute,
                        role => role,
                    };
                    (None, name, role, secret_kind(name))
                }
            };
            // Fields in the order of their callsite contain no key twice; late ones come last.
            in_order &= declared.is_some() && (last.is_none() || declared > last);
            last = declared;
            let value = texts.mask(secret, value);
            resolved.push(ResolvedField {
                declared,
                name,
                role,
                value,
            });
        }
        if !in_order {
            keep_last(resolved);
        }
    }
}

/// Keeps the last value of each key, in its first position. Uses a hash table, because a program
/// that sets attributes in a loop can leave very many.
fn keep_last(fields: &mut Vec<ResolvedField<'_>>) {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(fields.len());
    let mut kept: Vec<ResolvedField<'_>> = Vec::with_capacity(fields.len());
    for field in fields.drain(..) {
        match places.get(field.name) {
            Some(&place) => kept[place].value = field.value,
            None => {
                places.insert(field.name, kept.len());
                kept.push(field);
            }
        }
    }
    *fields = kept;
}
