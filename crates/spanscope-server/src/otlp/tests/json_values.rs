//! Values of attributes in the JSON of others.

use serde_json::json;
use spanscope_model::Value;

use super::json::{IDS, TIMES, kept, traces};

fn value(value: &str) -> Value {
    let span = kept(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#));
    span.attributes.get("k").unwrap().clone()
}

#[test]
fn values_are_read_in_every_way_that_others_write_them() {
    for (sent, read) in [
        (r#"{"stringValue":"a"}"#, Value::Str("a".to_owned())),
        (r#"{"boolValue":false}"#, Value::Bool(false)),
        (r#"{"intValue":5}"#, Value::I64(5)),
        (r#"{"intValue":"-5"}"#, Value::I64(-5)),
        (r#"{"intValue":5.0}"#, Value::I64(5)),
        (
            r#"{"intValue":9007199254740993}"#,
            Value::I64(9_007_199_254_740_993),
        ),
        // JavaScript's whole numbers beyond what an integer holds.
        (r#"{"intValue":1e21}"#, Value::F64(1e21)),
        (
            r#"{"intValue":18446744073709551615}"#,
            Value::F64(18_446_744_073_709_551_615.0),
        ),
        (r#"{"doubleValue":1}"#, Value::F64(1.0)),
        (r#"{"doubleValue":"2.5"}"#, Value::F64(2.5)),
        (r#"{"doubleValue":"Infinity"}"#, Value::F64(f64::INFINITY)),
        (r#"{"doubleValue":"-Infinity"}"#, Value::F64(f64::NEG_INFINITY)),
        // `JSON.stringify` of a NaN.
        (r#"{"doubleValue":null}"#, Value::Json(json!(null))),
        (r#"{"bytesValue":"+/8="}"#, Value::Str("+/8=".to_owned())),
        (r#"{"bytesValue":"+/8"}"#, Value::Str("+/8=".to_owned())),
        (r#"{"bytesValue":"-_8="}"#, Value::Str("+/8=".to_owned())),
        (r#"{"arrayValue":{}}"#, Value::Json(json!([]))),
        (r#"{"arrayValue":{"values":null}}"#, Value::Json(json!([]))),
        (
            r#"{"arrayValue":{"values":[{"intValue":"1"},{},null]}}"#,
            Value::Json(json!([1, null, null])),
        ),
        (r#"{"kvlistValue":{}}"#, Value::Json(json!({}))),
        (
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"doubleValue":"NaN"}},{"key":"b"},{"value":{"intValue":1}}]}}"#,
            Value::Json(json!({"a": "NaN", "b": null, "": 1})),
        ),
        ("{}", Value::Json(json!(null))),
        ("null", Value::Json(json!(null))),
        (r#"{"unknownValue":1}"#, Value::Json(json!(null))),
        (
            r#"{"unknownValue":1,"stringValue":"a"}"#,
            Value::Str("a".to_owned()),
        ),
    ] {
        assert_eq!(value(sent), read, "{sent}");
    }
    let Value::F64(nan) = value(r#"{"doubleValue":"NaN"}"#) else {
        panic!("not a float");
    };
    assert!(nan.is_nan());
}

#[test]
fn a_bad_value_costs_its_own_span_only() {
    for (sent, why) in [
        (r#"{"stringValue":1}"#, "value.stringValue: 1 is not a text"),
        (
            r#"{"boolValue":"true"}"#,
            "value.boolValue: \"true\" is not true or false",
        ),
        (
            r#"{"intValue":"18446744073709551615"}"#,
            "value.intValue: \"18446744073709551615\" is not a whole number",
        ),
        (r#"{"intValue":1.5}"#, "value.intValue: 1.5 is not a whole number"),
        (
            r#"{"doubleValue":"lots"}"#,
            "value.doubleValue: \"lots\" is not a number",
        ),
        (r#"{"bytesValue":"!"}"#, "value.bytesValue: this is no base64"),
        (
            r#"{"bytesValue":{"0":1}}"#,
            "value.bytesValue: an object is not a text",
        ),
        (
            r#"{"arrayValue":[]}"#,
            "value.arrayValue: a list is not an object",
        ),
        (
            r#"{"arrayValue":{"values":[{},{"intValue":{}}]}}"#,
            "value.arrayValue.values[1].intValue: an object",
        ),
        (r#""plain""#, "value: \"plain\" is not an object"),
    ] {
        let converted = traces(&format!(
            r#"{{{IDS},{TIMES},"attributes":[{{"key":"k","value":{sent}}}]}},{{{IDS},{TIMES}}}"#
        ));
        assert_eq!((converted.rejected, converted.records.len()), (1, 1), "{sent}");
        assert!(
            converted
                .message
                .starts_with(&format!("spans[0].attributes[0].{why}")),
            "{}",
            converted.message
        );
    }
}
