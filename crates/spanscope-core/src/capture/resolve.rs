//! A record's fields with their names and meanings: read on the sink's thread, the same for every sink.

use std::collections::HashMap;

use spanscope_model::RawValue;
use spanscope_model::semconv::is_secret;

use super::callsite::{CallsiteInfo, FieldRole, MASKED};
use super::fields::{FieldReader, Key};

/// A field as sinks see it: named, told what it is for, masked where it looks like a secret.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedField<'a> {
    /// Its index in the callsite's fields; `None` for a key of its own.
    pub declared: Option<usize>,
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub role: FieldRole,
    /// Its value.
    pub value: RawValue<'a>,
}

impl CallsiteInfo {
    /// The fields of a record of this callsite. A key stands once, with its last value in the place of the first.
    #[must_use]
    pub fn resolve<'a>(&'a self, fields: FieldReader<'a>) -> Vec<ResolvedField<'a>> {
        let mut resolved = Vec::with_capacity(self.fields.len());
        self.resolve_into(fields, &mut resolved);
        resolved
    }

    /// As [`resolve`](Self::resolve), into an empty list.
    pub(super) fn resolve_into<'a>(&'a self, fields: FieldReader<'a>, resolved: &mut Vec<ResolvedField<'a>>) {
        let is_span = self.metadata.is_span();
        // Two fields of one name: `info!(message = "...", "...")`.
        let mut in_order = !self.repeats_a_name;
        let mut last = None;
        for (key, value) in fields {
            let (declared, name, role, secret) = match key {
                Key::Declared(index) => {
                    let Some(field) = self.fields.get(index) else {
                        continue;
                    };
                    (Some(index), field.name, field.role, field.is_secret)
                }
                Key::Own(name) => {
                    let role = match FieldRole::of(name, is_span) {
                        FieldRole::LogTarget | FieldRole::LogPlace => FieldRole::Attribute,
                        role => role,
                    };
                    (None, name, role, is_secret(name))
                }
            };
            // Fields that come in the order of their callsite hold no key twice; late ones stand behind.
            in_order &= declared.is_some() && (last.is_none() || declared > last);
            last = declared;
            let masked = secret && matches!(role, FieldRole::Attribute | FieldRole::Error);
            let value = if masked {
                RawValue::Text(MASKED, None)
            } else {
                value
            };
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

/// By a table, because a loop that sets attributes can leave very many.
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
