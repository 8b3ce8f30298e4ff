//! Attributes as pages read them: a list of key, type and text, because a key such as `__proto__`
//! must never become the name of a property.

use spanscope_model::text::cut;
use spanscope_model::{Attributes, Value};

/// The key, the type (`s` text, `i` integer, `f` float, `b` truth value, `j` JSON) and the value as
/// a text, which keeps the last digit of large integers.
pub(super) type Attribute = (String, char, String);

/// Returns all attributes, with values truncated to this number of bytes, and which were truncated.
pub(super) fn listed(attributes: &Attributes, max_len: usize) -> (Vec<Attribute>, Vec<CutValue>) {
    let mut cuts = Vec::new();
    let list = attributes.iter().map(|(key, value)| {
        let (kind, mut text) = typed(value);
        let shown = cut(&text, max_len).len();
        if shown < text.len() {
            cuts.push(CutValue {
                key: key.to_owned(),
                shown,
                whole: text.len(),
            });
            text.truncate(shown);
        }
        (key.to_owned(), kind, text)
    });
    (list.collect(), cuts)
}

/// A truncated value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CutValue {
    key: String,
    /// Bytes that are shown.
    shown: usize,
    /// Size of the full value, in bytes.
    whole: usize,
}

/// Returns the type and the whole value.
pub(super) fn typed(value: &Value) -> (char, String) {
    match value {
        Value::Bool(truth) => ('b', truth.to_string()),
        Value::I64(number) => ('i', number.to_string()),
        Value::U64(number) => ('i', number.to_string()),
        Value::F64(number) => ('f', number.to_string()),
        Value::Str(text) => ('s', text.clone()),
        Value::Json(json) => ('j', json.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_long_ones_are_cut_on_a_boundary() {
        let json = r#"{"__proto__":"x","n":9007199254740993,"big":18446744073709551615,"f":0.2,"b":true,"j":[1],"é":"éé"}"#;
        let attributes: Attributes = serde_json::from_str(json).unwrap_or_default();
        let (list, cuts) = listed(&attributes, 3);
        let shown: Vec<_> = list
            .iter()
            .map(|(key, kind, text)| format!("{key} {kind} {text}"))
            .collect();
        assert_eq!(
            shown,
            [
                "__proto__ s x",
                "n i 900",
                "big i 184",
                "f f 0.2",
                "b b tru",
                "j j [1]",
                "é s é"
            ]
        );
        assert_eq!(cuts.len(), 4);
        let (list, cuts) = listed(&attributes, 1000);
        assert_eq!(list[1].2, "9007199254740993");
        assert!(cuts.is_empty());
    }
}
