//! Values of attributes in the JSON of other writers.

use serde_json::json;
use spanscope_model::{Attributes, Severity, Value};

use super::json::{IDS, TIMES, kept, traces};
use super::of_json;
use crate::otlp::Signal;

fn value(value: &str) -> Value {
    let span = kept(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#));
    span.attributes.get("k").unwrap().clone()
}

#[test]
fn values_are_read_in_all_forms_of_other_writers() {
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
        // JavaScript's whole numbers beyond an integer's range.
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
fn a_value_that_is_not_of_its_declared_type_is_stored_with_its_own_type() {
    for (sent, read, why) in [
        (
            r#"{"stringValue":1}"#,
            Value::I64(1),
            "stringValue: 1 is not a text",
        ),
        (
            r#"{"stringValue":{"a":[true,null]}}"#,
            Value::Json(json!({"a": [true, null]})),
            "stringValue: an object is not a text",
        ),
        (
            r#"{"boolValue":"true"}"#,
            "true".into(),
            "boolValue: \"true\" is not true or false",
        ),
        (
            r#"{"intValue":"18446744073709551615"}"#,
            "18446744073709551615".into(),
            "intValue: \"18446744073709551615\" is not a whole number",
        ),
        (
            r#"{"intValue":1.5}"#,
            Value::F64(1.5),
            "intValue: 1.5 is not a whole number",
        ),
        (
            r#"{"doubleValue":"lots"}"#,
            "lots".into(),
            "doubleValue: \"lots\" is not a number",
        ),
        (
            r#"{"bytesValue":"!"}"#,
            "!".into(),
            "bytesValue: this is not base64",
        ),
        (
            r#"{"bytesValue":{"0":1}}"#,
            Value::Json(json!({"0": 1})),
            "bytesValue: an object is not a text",
        ),
        (
            r#"{"arrayValue":[7]}"#,
            Value::Json(json!([7])),
            "arrayValue: a list is not an object",
        ),
        (
            r#"{"arrayValue":{"values":[{},{"intValue":{}}]}}"#,
            Value::Json(json!([null, {}])),
            "intValue: an object",
        ),
        (
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":0}},{"key":"b","value":{"intValue":1}}]}}"#,
            Value::Json(json!({"a": 0, "b": 1})),
            "boolValue: 0 is not true or false",
        ),
        (r#""plain""#, "plain".into(), "value: \"plain\" is not an object"),
        (
            r#"{"unknownValue":1}"#,
            Value::Json(json!({"unknownValue": 1})),
            "\"unknownValue\" is not a kind of value",
        ),
    ] {
        let converted = traces(&format!(
            r#"{{{IDS},{TIMES},"attributes":[{{"key":"k","value":{sent}}},{{"key":"other","value":{{"intValue":"7"}}}}]}}"#
        ));
        assert_eq!(
            (converted.rejected, converted.repaired, converted.records.len()),
            (0, 1, 1),
            "{sent}"
        );
        let attributes = &converted.records.sources[0].spans[0].span.attributes;
        assert_eq!(attributes.get("k"), Some(&read), "{sent}");
        assert_eq!(attributes.get("other"), Some(&Value::I64(7)), "{sent}");
        let message = format!("1 value was stored as another type than declared; the first: \"k\": {why}");
        assert!(converted.message.starts_with(&message), "{}", converted.message);
    }
}

/// An invalid part of a record does not affect the other parts.
#[test]
fn unreadable_parts_of_a_span_are_left_out_and_counted() {
    let good = r#"{"key":"good","value":{"intValue":"7"}}"#;
    let bad = r#"5,{"key":7,"value":{"intValue":"7"}},{"value":{"stringValue":"no key"}}"#;
    let converted = traces(&format!(
        r#"{{{IDS},{TIMES},"name":7,"kind":"SPAN_KIND_QUANTUM","flags":"x","traceState":[],"droppedAttributesCount":"1",
            "attributes":[{good},{bad}],"status":{{"code":"BROKEN","message":"why"}},
            "events":[{{"timeUnixNano":"2000","name":"kept","attributes":[{bad},{good}]}},{{"timeUnixNano":"never"}},7],
            "links":[{{{IDS},"flags":-1,"attributes":[{good},null]}},"x"]}}"#
    ));
    assert_eq!((converted.rejected, converted.records.len()), (0, 2));
    // Name, kind, flags, state and code; two events; a link and the flags of the other; five
    // attributes.
    assert_eq!(converted.repaired, 5 + 2 + 2 + 5, "{}", converted.message);
    let new = &converted.records.sources[0].spans[0];
    let count =
        |attributes: &Attributes, of: &str| attributes.get(&format!("otel.dropped_{of}_count")).cloned();
    assert_eq!(count(&new.span.attributes, "attributes"), Some(Value::I64(1 + 2)));
    assert_eq!(count(&new.span.attributes, "events"), Some(Value::I64(2)));
    assert_eq!(count(&new.span.attributes, "links"), Some(Value::I64(1)));
    assert_eq!(new.span.status_message.as_deref(), Some("why"));
    assert_eq!(new.span.attributes.get("good"), Some(&Value::I64(7)));
    let event = &new.events[0].event;
    assert_eq!((new.events.len(), event.message.as_str()), (1, "kept"));
    assert_eq!(event.attributes.get("good"), Some(&Value::I64(7)));
    assert_eq!(new.span.links[0].attributes.get("good"), Some(&Value::I64(7)));
    for part in [
        "5 attributes were left out as unreadable; the first: attributes[1]: 5 is not an object",
        "9 parts of records were left out",
    ] {
        assert!(converted.message.contains(part), "{}", converted.message);
    }
}

#[test]
fn logs_metrics_resources_and_scopes_are_read_the_same_way() {
    let bad = r#"{"key":"good","value":{"intValue":"7"}},{"key":"k","value":{"boolValue":1}},3"#;
    let logs = of_json(
        Signal::Logs,
        &format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{bad}]}},"schemaUrl":1,"scopeLogs":[{{
                "scope":{{"name":5,"version":[],"attributes":[{bad}]}},
                "logRecords":[{{"timeUnixNano":"1","severityNumber":"LOUD","body":"plain","attributes":[{bad}],"flags":"f"}}]}}]}},
               {{"resource":7,"scopeLogs":[{{"scope":[],"logRecords":[{{"timeUnixNano":"1","body":{{"stringValue":"b"}}}}]}}]}}]}}"#
        ),
    );
    assert_eq!((logs.rejected, logs.records.len()), (0, 2), "{}", logs.message);
    let of = &logs.records.sources[0];
    assert_eq!(of.source.resource.get("good"), Some(&Value::I64(7)));
    assert_eq!(of.source.scope.attributes.get("k"), Some(&Value::I64(1)));
    let event = &of.events[0].event;
    assert_eq!(
        (event.message.as_str(), event.severity),
        ("plain", Severity::Info)
    );
    // Three bad values and a body; three attributes; schema, name, version, flags, the other's
    // resource and scope.
    assert_eq!(logs.repaired, 4 + 3 + 6, "{}", logs.message);
    assert_eq!(event.attributes.get("otel.severity_text"), Some(&"LOUD".into()));

    let metrics = of_json(
        Signal::Metrics,
        &format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","unit":7,"gauge":{{"dataPoints":[
                {{"timeUnixNano":"1","asInt":"5","attributes":[{bad}],"flags":"x","exemplars":[{{"asInt":"x"}},{{"asInt":"1"}}]}},
                {{"timeUnixNano":"1","asInt":"x"}}]}}}}]}}]}}]}}"#
        ),
    );
    assert_eq!(
        (metrics.rejected, metrics.records.len()),
        (1, 1),
        "{}",
        metrics.message
    );
    let point = &metrics.records.sources[0].points[0];
    assert_eq!(
        point.labels,
        [
            ("good".to_owned(), "7".to_owned()),
            ("k".to_owned(), "1".to_owned())
        ]
    );
    assert_eq!(point.detail, Some(json!({"exemplars": [{"value": 1}]})));
    assert_eq!(metrics.repaired, 1 + 1 + 3, "{}", metrics.message);
}
