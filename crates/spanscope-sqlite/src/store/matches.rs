//! `spanscope_matches(attributes, conditions)`: whether a span's attributes meet all conditions, without
//! SQLite's limits, and with one pass over their text whatever the number of conditions.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer, de};
use serde_json::Value as Json;
use spanscope_model::{Condition, ConditionOp, ConditionTarget, Value};

/// Adds the function to a connection.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("spanscope_matches", 2, flags, |call| {
        // Kept by SQLite for as long as the statement runs: the conditions are a parameter.
        let wanted = call.get_or_create_aux(1, |text| {
            let text = text
                .as_str()
                .map_err(|error| Error::UserFunctionError(Box::new(error)))?;
            Wanted::parse(text).map_err(|error| Error::UserFunctionError(Box::new(error)))
        })?;
        Ok(wanted.is_met_by(call.get_raw(0).as_str()?))
    })
}

/// Conditions by the key of their attribute.
#[derive(Debug)]
struct Wanted(HashMap<String, Vec<(ConditionOp, Value)>>);

impl Wanted {
    fn parse(text: &str) -> serde_json::Result<Self> {
        let conditions: Vec<Condition> = serde_json::from_str(text)?;
        let mut by_key: HashMap<String, Vec<(ConditionOp, Value)>> = HashMap::new();
        for condition in conditions {
            if let ConditionTarget::Attribute(key) = condition.target() {
                let value = Value::from(condition.value.clone());
                by_key
                    .entry(key.to_owned())
                    .or_default()
                    .push((condition.op, value));
            }
        }
        Ok(Self(by_key))
    }

    /// Each key has to be there, with a value that meets all of its conditions.
    fn is_met_by(&self, attributes: &str) -> bool {
        let mut reader = serde_json::Deserializer::from_str(attributes);
        reader
            .deserialize_map(Attributes(self))
            .is_ok_and(|met| met == self.0.len())
    }
}

/// Counts the keys whose conditions are met, and reads no other value.
struct Attributes<'a>(&'a Wanted);

impl<'de> Visitor<'de> for Attributes<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut met = 0;
        while let Some(conditions) = map.next_key_seed(Key(self.0))? {
            let Some(conditions) = conditions else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let found = Value::from(map.next_value::<Json>()?);
            if conditions.iter().all(|(op, wanted)| holds(&found, *op, wanted)) {
                met += 1;
            }
        }
        Ok(met)
    }
}

/// The conditions on a key, if there are any.
struct Key<'a>(&'a Wanted);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a Vec<(ConditionOp, Value)>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a Vec<(ConditionOp, Value)>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.0.get(key))
    }
}

/// The same comparison as in SQL.
fn holds(found: &Value, op: ConditionOp, wanted: &Value) -> bool {
    let order = compare(found, wanted);
    match op {
        ConditionOp::Eq => order.is_some_and(Ordering::is_eq),
        ConditionOp::Ne => !order.is_some_and(Ordering::is_eq),
        ConditionOp::Gt => order.is_some_and(Ordering::is_gt),
        ConditionOp::Lt => order.is_some_and(Ordering::is_lt),
    }
}

fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    let integer = |value: &Value| match value {
        Value::I64(number) => Some(i128::from(*number)),
        Value::U64(number) => Some(i128::from(*number)),
        _ => None,
    };
    match (found, wanted) {
        (Value::Str(found), Value::Str(wanted)) => Some(found.cmp(wanted)),
        (Value::Bool(found), Value::Bool(wanted)) => Some(found.cmp(wanted)),
        _ => match (integer(found), integer(wanted)) {
            (Some(found), Some(wanted)) => Some(found.cmp(&wanted)),
            _ => found.as_f64()?.partial_cmp(&wanted.as_f64()?),
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn meets(attributes: &str, conditions: &str) -> bool {
        Wanted::parse(conditions).unwrap().is_met_by(attributes)
    }

    #[test]
    fn all_conditions_have_to_be_met_and_their_keys_to_be_there() {
        let attributes = r#"{"a":1,"n":null,"b\"c":"x\u0000y","deep":{"a":2},"large":18446744073709551615}"#;
        for (conditions, expected) in [
            (
                r#"[{"key":"a","op":"eq","value":1},{"key":"b\"c","op":"eq","value":"x\u0000y"}]"#,
                true,
            ),
            (
                r#"[{"key":"a","op":"eq","value":1},{"key":"a","op":"gt","value":0}]"#,
                true,
            ),
            (
                r#"[{"key":"a","op":"eq","value":1},{"key":"a","op":"lt","value":1}]"#,
                false,
            ),
            (
                r#"[{"key":"a","op":"ne","value":2},{"key":"missing","op":"ne","value":2}]"#,
                false,
            ),
            (
                r#"[{"key":"n","op":"ne","value":2},{"key":"attributes.a","op":"eq","value":1.0}]"#,
                true,
            ),
            (
                r#"[{"key":"large","op":"gt","value":18446744073709551614}]"#,
                true,
            ),
        ] {
            assert_eq!(meets(attributes, conditions), expected, "{conditions}");
        }
        assert!(!meets("no JSON", r#"[{"key":"a","op":"eq","value":1}]"#));
    }
}
