//! Attribute values with types, and the ordered map of them that spans and events carry.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{NotScalarError, RawValue, non_finite_name};

/// One attribute value, with the type that the program recorded.
///
/// JSON has no notation for not-a-number and the infinities, so they are written as the strings
/// `NaN`, `Infinity` and `-Infinity`. `Json` holds lists and objects that other programs sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating point number.
    F64(f64),
    /// A string.
    Str(String),
    /// A list, an object or null, as another program sent it.
    Json(serde_json::Value),
}

impl Value {
    /// Returns the number that a text is, with blanks around it or none; `None` if it is none, or
    /// not finite.
    ///
    /// ```
    /// use spanscope_model::Value;
    ///
    /// assert_eq!(Value::number_in(" 12"), Some(Value::I64(12)));
    /// assert_eq!(Value::number_in("7.0"), Some(Value::F64(7.0)));
    /// assert_eq!(Value::number_in("seven"), None);
    /// ```
    #[must_use]
    pub fn number_in(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Some(Self::I64(number));
        }
        if let Ok(number) = text.parse() {
            return Some(Self::U64(number));
        }
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(Self::F64(number))
    }

    /// Returns the string, or `None` for another type.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the integer, or `None` for another type or an integer beyond `i64`.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I64(number) => Some(*number),
            Self::U64(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Returns the number as a float, or `None` if it is not a number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the caller asks for a float")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::I64(number) => Some(*number as f64),
            Self::U64(number) => Some(*number as f64),
            Self::F64(number) => Some(*number),
            _ => None,
        }
    }
}

/// Writes strings without quotes, lists and objects as JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Str(value) => f.write_str(value),
            Self::Json(value) => value.fmt(f),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
value_from!(bool => Bool, i64 => I64, i32 => I64, u64 => U64, u32 => U64, f64 => F64, f32 => F64, String => Str, &str => Str);

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::String(value) => Self::Str(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::I64(value),
                (None, Some(value)) => Self::U64(value),
                (None, None) => number
                    .as_f64()
                    .map_or(Self::Json(serde_json::Value::Number(number)), Self::F64),
            },
            other => Self::Json(other),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::F64(value) => match non_finite_name(*value) {
                None => serializer.serialize_f64(*value),
                Some(name) => serializer.serialize_str(name),
            },
            Self::Str(value) => serializer.serialize_str(value),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}

/// Attributes by key, in the order in which they were first set. Setting a key again replaces its
/// value.
///
/// ```
/// use spanscope_model::Attributes;
/// let mut attributes = Attributes::new();
/// attributes.set("gen_ai.request.model", "llama");
/// attributes.set("tokens", 3);
/// attributes.set("tokens", 4);
/// assert_eq!(serde_json::to_string(&attributes)?, r#"{"gen_ai.request.model":"llama","tokens":4}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(Vec<(String, Value)>);

impl Attributes {
    /// Returns an empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets one attribute. A key that is already set keeps its position.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(have, _)| *have == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Returns the value under this key. The key is literal: dots in it have no meaning.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(have, _)| have == key)
            .map(|(_, value)| value)
    }

    /// Iterates over keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Iterates over keys and mutable values in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.0.iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// Renames the keys for which `change` returns a new key. If two keys become equal, the first
    /// keeps its position and the last its value.
    pub(crate) fn change_keys(&mut self, change: impl Fn(&str) -> Option<String>) {
        if self.0.iter().all(|(key, _)| change(key).is_none()) {
            return;
        }
        let pairs = std::mem::take(&mut self.0);
        let mut places = std::collections::HashMap::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key = change(&key).unwrap_or(key);
            match places.get(&key) {
                Some(&place) => self.0[place] = (key, value),
                None => {
                    places.insert(key.clone(), self.0.len());
                    self.0.push((key, value));
                }
            }
        }
    }

    /// Iterates over keys and borrowed values in order; lists, objects and null are left out.
    pub fn raw(&self) -> impl Iterator<Item = (&str, RawValue<'_>)> + Clone {
        self.0.iter().filter_map(|(key, value)| {
            let value = RawValue::try_from(value).ok()?;
            Some((key.as_str(), value))
        })
    }

    /// Returns the number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether one attribute, written as `key=value`, contains the text. ASCII case is
    /// ignored.
    ///
    /// ```
    /// let attributes: spanscope_model::Attributes = [("order", "A-7")].into_iter().collect();
    /// assert!(attributes.contains_text("order=a"));
    /// ```
    #[must_use]
    pub fn contains_text(&self, text: &str) -> bool {
        self.iter()
            .any(|(key, value)| crate::filter::text_contains(&format!("{key}={value}"), text))
    }

    /// Keeps only the attributes for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let mut attributes = Self(Vec::with_capacity(pairs.size_hint().0));
        for (key, value) in pairs {
            attributes.set(key, value);
        }
        attributes
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes")
            }

            fn visit_unit<E>(self) -> Result<Attributes, E> {
                Ok(Attributes::new())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                // Comparing a few keys one by one is faster than hashing. With many keys it would
                // take quadratic time, which a hostile sender could exploit.
                const FEW: usize = 16;
                let mut index = std::collections::HashMap::new();
                let mut pairs: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if pairs.len() == FEW && index.is_empty() {
                        index = pairs.iter().map(|(key, _)| key.clone()).zip(0..).collect();
                    }
                    let known = match pairs.len() {
                        0..FEW => pairs.iter().position(|(have, _)| *have == key),
                        _ => index.get(&key).copied(),
                    };
                    match known {
                        Some(place) => pairs[place].1 = value,
                        None => {
                            if pairs.len() >= FEW {
                                index.insert(key.clone(), pairs.len());
                            }
                            pairs.push((key, value));
                        }
                    }
                }
                Ok(Attributes(pairs))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

impl<'a> TryFrom<&'a Value> for RawValue<'a> {
    type Error = NotScalarError;

    /// Borrows the value.
    ///
    /// # Errors
    /// Fails for a list, an object or null.
    fn try_from(value: &'a Value) -> Result<Self, NotScalarError> {
        match value {
            Value::Bool(value) => Ok(Self::Bool(*value)),
            Value::I64(number) => Ok(Self::I64(*number)),
            Value::U64(number) => Ok(Self::U64(*number)),
            Value::F64(number) => Ok(Self::F64(*number)),
            Value::Str(text) => Ok(Self::Text(text, None)),
            Value::Json(_) => Err(NotScalarError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_keeps_its_first_position_and_its_last_value() -> serde_json::Result<()> {
        for keys in [1, 15, 16, 17, 40] {
            let pair = |key: usize, value: usize| format!("\"k{key}\":{value}");
            let mut pairs: Vec<String> = (0..keys).map(|key| pair(key, 0)).collect();
            pairs.extend((0..keys).map(|key| pair(key, key + 1)));
            let read: Attributes = serde_json::from_str(&format!("{{{}}}", pairs.join(",")))?;
            let expected: Vec<String> = (0..keys).map(|key| pair(key, key + 1)).collect();
            assert_eq!(
                serde_json::to_string(&read)?,
                format!("{{{}}}", expected.join(","))
            );
        }
        Ok(())
    }
}
