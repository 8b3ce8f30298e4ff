//! Compaction of the fields of a span that records more than it has room for: each field keeps its
//! last value.
//!
//! Late fields are appended, because most spans record each field once. A span that records in a
//! loop would grow without a bound, so from [`COMPACT_FROM`] on its fields are compacted from time
//! to time. Compaction walks over the bytes each time they have doubled; a span below that size
//! only pays for a comparison of two numbers.

use std::collections::HashMap;

use spanscope_model::text::cut;
use spanscope_model::{RawValue, wire};
use tracing_core::Metadata;

use super::fields::{FieldReader, FieldWriter, Key};

/// Up to this number of bytes fields are only appended.
pub(super) const COMPACT_FROM: usize = 64 * 1024;
/// Maximum size of the last values of a span's fields. Beyond it, texts are truncated further, and
/// the latest fields with undeclared keys are counted and dropped.
pub(super) const MAX_FIELD_BYTES: usize = 4 * 1024 * 1024;

/// A field's bytes, and their decoded form.
struct Field<'a> {
    key: Key<'a>,
    value: RawValue<'a>,
    bytes: &'a [u8],
}

/// Keeps the last value of each field after the first `shown` bytes, in the position where the
/// field first occurred. Returns the number of dropped fields.
///
/// The first `shown` bytes stay as they are: a sink has already shown them, and shows only later
/// fields at the span's end.
pub(super) fn compact(metadata: &'static Metadata<'static>, fields: &mut Vec<u8>, shown: usize) -> u64 {
    let shown = shown.min(fields.len());
    let (head, late) = fields.split_at(shown);
    let kept = last_values(metadata, late);
    let mut room = MAX_FIELD_BYTES;
    let max_len = [usize::MAX, 4096, 1024, 256]
        .into_iter()
        .find(|max_len| {
            kept.iter()
                .map(|field| field.len_when_cut(*max_len))
                .sum::<usize>()
                <= room
        })
        .unwrap_or(256);
    let mut compacted = head.to_vec();
    let mut lost = 0;
    for field in &kept {
        let len = field.len_when_cut(max_len);
        let must_stay = match field.key {
            Key::Declared(_) => true,
            Key::Undeclared(name) => name == wire::DROPPED_FIELDS,
        };
        if len <= room || must_stay {
            field.write(max_len, &mut compacted);
            room = room.saturating_sub(len);
        } else {
            lost += 1;
        }
    }
    *fields = compacted;
    lost
}

fn last_values<'a>(metadata: &'static Metadata<'static>, late: &'a [u8]) -> Vec<Field<'a>> {
    let names: Vec<&str> = metadata.fields().iter().map(|field| field.name()).collect();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<Field<'a>> = Vec::new();
    let mut reader = FieldReader::new(late);
    loop {
        let before = reader.bytes_left();
        let Some((key, value)) = reader.next() else {
            return kept;
        };
        let at = late.len() - before;
        let bytes = late.get(at..late.len() - reader.bytes_left()).unwrap_or_default();
        let field = Field { key, value, bytes };
        let name = match key {
            Key::Declared(index) => names.get(index).copied().unwrap_or_default(),
            Key::Undeclared(name) => name,
        };
        match places.get(name) {
            Some(&place) => kept[place] = field,
            None => {
                places.insert(name, kept.len());
                kept.push(field);
            }
        }
    }
}

impl Field<'_> {
    fn cut_text(&self, max_len: usize) -> Option<(&str, u64)> {
        match self.value {
            RawValue::Text(text, original) if text.len() > max_len => {
                Some((cut(text, max_len), original.unwrap_or(text.len() as u64)))
            }
            _ => None,
        }
    }

    /// Returns an upper bound of the field's size with its text truncated to `max_len`. A truncated
    /// text has 8 bytes for its original length.
    fn len_when_cut(&self, max_len: usize) -> usize {
        match (self.value, self.cut_text(max_len)) {
            (RawValue::Text(text, _), Some((kept, _))) => self.bytes.len() - text.len() + kept.len() + 8,
            _ => self.bytes.len(),
        }
    }

    fn write(&self, max_len: usize, to: &mut Vec<u8>) {
        match self.cut_text(max_len) {
            None => to.extend_from_slice(self.bytes),
            Some((kept, original)) => FieldWriter {
                bytes: to,
                max_len,
                only: None,
            }
            .cut_text(self.key, kept, original),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_core::callsite::Callsite;
    use tracing_core::field::FieldSet;
    use tracing_core::subscriber::Interest;
    use tracing_core::{Kind, Level, identify_callsite};

    use super::*;

    struct Place;

    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    static PLACE: Place = Place;
    static METADATA: Metadata<'static> = Metadata::new(
        "span",
        "test",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&["answer", "tokens"], identify_callsite!(&PLACE)),
        Kind::SPAN,
    );

    fn add(fields: &mut Vec<u8>, key: &str, value: &RawValue<'_>) {
        FieldWriter {
            bytes: fields,
            max_len: usize::MAX,
            only: None,
        }
        .own_raw(key, value);
    }

    fn read(fields: &[u8]) -> Vec<(String, String)> {
        FieldReader::new(fields)
            .map(|(key, value)| match key {
                Key::Undeclared(name) => (name.to_owned(), value.to_string()),
                Key::Declared(index) => (index.to_string(), value.to_string()),
            })
            .collect()
    }

    #[test]
    fn compaction_keeps_last_values_in_first_positions_and_the_shown_bytes() {
        let mut fields = Vec::new();
        add(&mut fields, "a", &RawValue::I64(1));
        let shown = fields.len();
        for number in 0..3 {
            add(&mut fields, "a", &RawValue::I64(number));
            add(&mut fields, "b", &RawValue::Bool(number == 2));
        }
        assert_eq!(compact(&METADATA, &mut fields, shown), 0);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read(&fields), [pair("a", "1"), pair("a", "2"), pair("b", "true")]);
    }

    #[test]
    fn values_too_long_together_are_truncated_and_keep_their_length() {
        let mut fields = Vec::new();
        let text = "x".repeat(10_000);
        for number in 0..600 {
            add(
                &mut fields,
                &format!("key.{number}"),
                &RawValue::Text(&text, None),
            );
        }
        assert_eq!(compact(&METADATA, &mut fields, 0), 0);
        assert!(fields.len() <= MAX_FIELD_BYTES);
        let mut values = FieldReader::new(&fields).map(|(_, value)| value);
        assert_eq!(values.by_ref().count(), 600);
        for (_, value) in FieldReader::new(&fields) {
            assert_eq!(value, RawValue::Text(&text[..4096], Some(10_000)));
        }
        let before = fields.clone();
        assert_eq!(compact(&METADATA, &mut fields, 0), 0);
        assert!(fields == before, "nothing is cut twice");
    }

    #[test]
    fn keys_beyond_the_limit_are_counted_and_kept_keys_still_change() {
        let mut fields = Vec::new();
        let key = |number: usize| format!("{number:0>200}");
        for number in 0..30_000 {
            add(&mut fields, &key(number), &RawValue::Bool(true));
        }
        add(&mut fields, &key(0), &RawValue::Bool(false));
        let lost = compact(&METADATA, &mut fields, 0);
        let kept = read(&fields);
        assert!(fields.len() <= MAX_FIELD_BYTES && lost > 0);
        assert_eq!(kept.len() as u64 + lost, 30_000);
        assert_eq!(kept[0], (key(0), "false".to_owned()));
    }
}
