//! SQL functions with which a query compares like the model's filters. The wanted value is a
//! parameter of the query, which is parsed once for each statement.
//!
//! | function | true where |
//! |---|---|
//! | `spanscope_matches(attributes, process, terms)` | all terms hold on the attributes, whose text is parsed once, whatever the number of terms |
//! | `spanscope_field(value, comparison)` | a comparison of a built-in field or of a number of the whole trace holds |
//! | `spanscope_contains(text, wanted)` | the text contains `wanted` |
//! | `spanscope_text(attributes, wanted)` | an attribute that is a text contains `wanted` |
//! | `spanscope_grep(attributes, wanted)` | an attribute, written as `key=value`, contains `wanted` |

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as Json;
use spanscope_model::filter::{
    Comparison, FieldValue, FilterField, FilterKey, FilterTerm, FilterTest, attribute_matches, field_matches,
    text_contains, trace_matches,
};
use spanscope_model::{Severity, Timestamp, Value};

use super::rows::attributes;
use crate::file::text::without_nul;

/// Adds the functions to a connection.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("spanscope_matches", 3, flags, |call| {
        let wanted = once(call, 2, Wanted::parse)?;
        Ok(wanted.are_met_by(text(call, 0)?, call.get(1)?))
    })?;
    db.create_scalar_function("spanscope_field", 2, flags, |call| {
        let comparison = once(call, 1, |json| serde_json::from_str::<Comparison>(json))?;
        Ok(field_holds(&comparison, call.get_raw(0)))
    })?;
    db.create_scalar_function("spanscope_contains", 2, flags, |call| {
        let wanted = once(call, 1, needle)?;
        Ok(wanted.is_in(text(call, 0)?))
    })?;
    db.create_scalar_function("spanscope_text", 2, flags, |call| {
        let wanted = once(call, 1, needle)?;
        Ok(wanted.is_in_a_text_of(text(call, 0)?))
    })?;
    db.create_scalar_function("spanscope_grep", 2, flags, |call| {
        let wanted = once(call, 1, needle)?;
        Ok(wanted.is_shown_by(text(call, 0)?))
    })
}

/// Parses a parameter, or returns the result that SQLite keeps while the statement runs.
fn once<T: Send + Sync + 'static, E: std::error::Error + Send + Sync + 'static>(
    call: &Context<'_>,
    place: i32,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<Arc<T>> {
    call.get_or_create_aux(place, |value| {
        let text = value
            .as_str()
            .map_err(|error| Error::UserFunctionError(Box::new(error)))?;
        read(text).map_err(|error| Error::UserFunctionError(Box::new(error)))
    })
}

/// A column that is a text; empty where it is null.
fn text<'a>(call: &'a Context<'_>, place: usize) -> rusqlite::Result<&'a str> {
    Ok(call.get_raw(place).as_str_or_null()?.unwrap_or_default())
}

/// A term on attributes, and the processes whose resource matches its test: a record that lacks the
/// key matches if its process is one of these.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AttributeTerm {
    pub(super) term: FilterTerm,
    pub(super) processes: Vec<i64>,
}

/// Terms that must all hold, and their indices by key.
#[derive(Debug)]
struct Wanted {
    terms: Vec<(bool, Comparison, HashSet<i64>)>,
    by_key: HashMap<String, Vec<usize>>,
}

impl Wanted {
    fn parse(text: &str) -> serde_json::Result<Self> {
        let given: Vec<AttributeTerm> = serde_json::from_str(text)?;
        let mut wanted = Self {
            terms: Vec::new(),
            by_key: HashMap::new(),
        };
        for AttributeTerm { term, processes } in given {
            if let FilterTest::Compare(comparison) = term.test
                && let FilterKey::Attribute(key) = &comparison.key
            {
                let places = wanted.by_key.entry(key.clone()).or_default();
                places.push(wanted.terms.len());
                let processes = processes.into_iter().collect();
                wanted.terms.push((term.negated, comparison, processes));
            }
        }
        Ok(wanted)
    }

    fn are_met_by(&self, attributes: &str, process: Option<i64>) -> bool {
        let mut found = vec![None; self.terms.len()];
        let mut reader = serde_json::Deserializer::from_str(attributes);
        // Spanscope writes only valid JSON. Invalid JSON of another program has no attributes.
        let is_read = reader
            .deserialize_map(Attributes {
                wanted: self,
                found: &mut found,
            })
            .is_ok();
        self.terms
            .iter()
            .zip(found)
            .all(|((negated, _, processes), found)| {
                let of_resource = || process.is_some_and(|process| processes.contains(&process));
                found.filter(|_| is_read).unwrap_or_else(of_resource) != *negated
            })
    }
}

/// Reads only the values of the wanted keys.
struct Attributes<'a, 'b> {
    wanted: &'a Wanted,
    found: &'b mut [Option<bool>],
}

impl<'de> Visitor<'de> for Attributes<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(places) = map.next_key_seed(Key(self.wanted))? {
            let Some(places) = places else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = Value::from(map.next_value::<Json>()?);
            for place in places {
                let (_, comparison, _) = &self.wanted.terms[*place];
                self.found[*place] = Some(attribute_matches(comparison, Some(&value)));
            }
        }
        Ok(())
    }
}

/// The terms on a key, if there are any.
struct Key<'a>(&'a Wanted);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a Vec<usize>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a Vec<usize>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_key.get(key))
    }
}

/// Compares a built-in field as [`conditions`](super::conditions) selects it: times in nanoseconds,
/// durations in milliseconds, levels as numbers.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of traces are floats in a filter"
)]
fn field_holds(comparison: &Comparison, value: ValueRef<'_>) -> bool {
    let field = match comparison.key {
        FilterKey::Field(field) => field,
        FilterKey::Trace(_) => {
            return trace_matches(
                comparison,
                match value {
                    ValueRef::Integer(number) => Some(number as f64),
                    ValueRef::Real(number) => Some(number),
                    _ => None,
                },
            );
        }
        FilterKey::Attribute(_) => return false,
    };
    let found = match (field, value) {
        (FilterField::Duration, ValueRef::Real(millis)) => Some(FieldValue::Millis(millis)),
        (FilterField::Start | FilterField::End, ValueRef::Integer(nanos)) => {
            Some(FieldValue::Time(Timestamp::from_nanos(nanos)))
        }
        (FilterField::Level, ValueRef::Integer(number)) => Some(FieldValue::Level(Severity::from_number(
            u8::try_from(number).unwrap_or_default(),
        ))),
        (_, ValueRef::Text(text)) => Some(FieldValue::Text(String::from_utf8_lossy(text))),
        _ => None,
    };
    field_matches(comparison, found.as_ref())
}

/// A text to search for, and its stored form if that differs: columns have no NUL.
struct Needle {
    text: String,
    stored: Option<String>,
    /// Whether it needs no escapes in JSON, so that a text without it need not be parsed.
    is_plain: bool,
    /// Whether it has only letters: these are shown as in the JSON text, so that a text without it
    /// need not be parsed. `=` and numbers may be written differently.
    is_letters: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a parser that can fail")]
fn needle(wanted: &str) -> Result<Needle, fmt::Error> {
    Ok(Needle {
        text: wanted.to_owned(),
        stored: match without_nul(wanted) {
            Cow::Owned(stored) => Some(stored),
            Cow::Borrowed(_) => None,
        },
        is_plain: wanted
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')),
        is_letters: wanted.bytes().all(|byte| byte.is_ascii_alphabetic()),
    })
}

impl Needle {
    fn is_in(&self, text: &str) -> bool {
        text_contains(text, &self.text)
            || self
                .stored
                .as_ref()
                .is_some_and(|stored| text_contains(text, stored))
    }

    fn is_in_a_text_of(&self, json: &str) -> bool {
        if self.is_plain && !text_contains(json, &self.text) {
            return false;
        }
        attributes(Some(json))
            .iter()
            .any(|(_, value)| value.as_str().is_some_and(|text| self.is_in(text)))
    }

    fn is_shown_by(&self, json: &str) -> bool {
        if self.is_letters && !text_contains(json, &self.text) {
            return false;
        }
        let attributes = attributes(Some(json));
        attributes.contains_text(&self.text)
            || self
                .stored
                .as_ref()
                .is_some_and(|stored| attributes.contains_text(stored))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use spanscope_model::filter::Filter;

    use super::*;

    fn meets(attributes: &str, filter: &str) -> bool {
        let filter: Filter = filter.parse().unwrap();
        let terms: Vec<AttributeTerm> = filter
            .terms
            .into_iter()
            .map(|term| AttributeTerm {
                term,
                processes: vec![7],
            })
            .collect();
        let wanted = Wanted::parse(&serde_json::to_string(&terms).unwrap()).unwrap();
        let alone = wanted.are_met_by(attributes, None);
        assert!(alone || !wanted.are_met_by(attributes, Some(8)));
        alone
    }

    #[test]
    fn all_terms_have_to_hold_and_missing_keys_hold_none() {
        let attributes = r#"{"a":1,"n":null,"b\"c":"x\u0000y","deep":{"a":2},"large":18446744073709551615}"#;
        for (filter, expected) in [
            (r#"a=1 "b\"c"="x\u0000y""#, true),
            ("a=1 a>0", true),
            ("a=1 a<1", false),
            ("a!=2 missing!=2", false),
            ("a!=2 -missing=2", true),
            ("n!=2 attributes.a=1.0", true),
            ("large>18446744073709551614", true),
        ] {
            assert_eq!(meets(attributes, filter), expected, "{filter}");
        }
        assert!(!meets("no JSON", "a=1"));
    }

    #[test]
    fn searched_text_is_found_however_json_escapes_it() {
        let json = r#"{"a":"say \"Hi\"","b":"x\\y","n":1.5,"t":true,"c":"é\u0001"}"#;
        let found = |wanted: &str| {
            let needle = needle(wanted).unwrap();
            (needle.is_in_a_text_of(json), needle.is_shown_by(json))
        };
        for (wanted, expected) in [
            ("\"hi\"", (true, true)),
            ("x\\Y", (true, true)),
            ("é\u{1}", (true, true)),
            ("true", (false, true)),
            ("n=1.5", (false, true)),
            ("a=SAY", (false, true)),
            ("gone", (false, false)),
        ] {
            assert_eq!(found(wanted), expected, "{wanted:?}");
        }
    }
}
