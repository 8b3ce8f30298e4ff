//! Attributes as the model has them, read from maps of texts or from JSON.
//!
//! A map only has texts. A text is read as a number under names that the semantic conventions
//! define as numbers, and stays a text under every other name: a value that looks like a number may
//! be an order's or a customer's. What a question compares decides the rest, in
//! [`Filter::matches_untyped`](spanscope_model::filter::Filter::matches_untyped).

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use spanscope_model::semconv::{self, SemanticAttribute};
use spanscope_model::{Attributes, Value};

/// A column of attributes in a row, with its keys where the table has them.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct RawAttributes(pub(crate) Map<String, Json>);

impl RawAttributes {
    /// Returns the attributes. `keys` are the keys as they were sent, of which a column of the type
    /// JSON has made paths.
    pub(crate) fn read(self, keys: &[String]) -> Attributes {
        let mut read = Vec::with_capacity(self.0.len());
        for (key, value) in self.0 {
            add(&mut read, key, value, keys);
        }
        read.into_iter().collect()
    }
}

fn add(read: &mut Vec<(String, Value)>, key: String, value: Json, keys: &[String]) {
    match value {
        // An object is a path, unless it was sent under this key as a whole.
        Json::Object(inner) if !keys.contains(&key) => {
            for (name, value) in inner {
                add(read, format!("{key}.{name}"), value, keys);
            }
        }
        Json::Null => {}
        Json::String(text) => {
            let value = value_of(&key, text);
            read.push((key, value));
        }
        Json::Bool(value) => read.push((key, Value::Bool(value))),
        Json::Number(number) => {
            let value = match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Value::I64(number),
                (None, Some(number)) => Value::U64(number),
                (None, None) => Value::F64(number.as_f64().unwrap_or(f64::NAN)),
            };
            read.push((key, value));
        }
        list @ (Json::Array(_) | Json::Object(_)) => read.push((key, Value::Json(list))),
    }
}

/// Returns the value of a text under a name.
fn value_of(key: &str, text: String) -> Value {
    let meaning = semconv::find(key).map(|attribute| attribute.meaning);
    match meaning {
        Some(SemanticAttribute::ErrorType) if text == "false" => Value::Bool(false),
        Some(meaning) if meaning.is_number() => Value::number_in(&text).unwrap_or(Value::Str(text)),
        _ => Value::Str(text),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use serde_json::json;

    use super::*;

    fn read(json: Json, keys: &[&str]) -> Attributes {
        let raw: RawAttributes = serde_json::from_value(json).unwrap();
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        raw.read(&keys)
    }

    #[test]
    fn a_text_is_a_number_only_under_the_name_of_one() {
        let read = read(
            json!({"gen_ai.usage.input_tokens": "12", "order": "12", "gen_ai.request.temperature": "0.5", "done": "true"}),
            &[],
        );
        assert_eq!(read.get("gen_ai.usage.input_tokens"), Some(&Value::I64(12)));
        assert_eq!(read.get("gen_ai.request.temperature"), Some(&Value::F64(0.5)));
        assert_eq!(read.get("order"), Some(&Value::Str("12".to_owned())));
        assert_eq!(read.get("done"), Some(&Value::Str("true".to_owned())));
    }

    #[test]
    fn paths_of_json_are_keys_again_unless_an_object_was_sent() {
        let json = json!({"a": {"b": {"c": 1}, "list": [1, "x"]}, "o": {"p": true}, "n": null, "f": 0.5});
        let read = read(json, &["a.b.c", "a.list", "o", "f"]);
        assert_eq!(read.get("a.b.c"), Some(&Value::I64(1)));
        assert_eq!(read.get("a.list"), Some(&Value::Json(json!([1, "x"]))));
        assert_eq!(read.get("o"), Some(&Value::Json(json!({"p": true}))));
        assert_eq!(read.get("f"), Some(&Value::F64(0.5)));
        assert_eq!(read.len(), 4);
    }
}
