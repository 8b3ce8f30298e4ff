//! Spans that record more than they have room for.

use serde_json::{Value as Json, json};

use super::Sinks;

#[test]
fn a_million_records_of_a_few_fields_leave_the_last_value_of_each() {
    let sinks = Sinks::of("repeated");
    for (sink, attributes) in sinks.span_attributes("stream") {
        assert_eq!(attributes["model"], json!("m"), "{sink}");
        assert_eq!(attributes["tokens"], json!(999_999), "{sink}");
        assert_eq!(attributes["chunks"], json!(3_999), "{sink}");
        assert_eq!(attributes["finish"], json!("stop"), "{sink}");
        assert_eq!(attributes["late"], json!(true), "{sink}");
        // The last answer, cut at the usual length, and its full length.
        let answer = attributes["answer"].as_str().unwrap();
        assert!(answer.starts_with(&"abcdefghij".repeat(1_638)), "{sink}");
        assert!(answer.len() < 17_000, "{sink}"); // the console says in the text that it is cut
        if sink != "console" {
            assert_eq!(attributes["spanscope.cut.answer"], json!(40_000), "{sink}");
        }
    }
}

#[test]
fn keys_beyond_the_bound_are_counted_and_known_ones_still_change() {
    let sinks = Sinks::with("many keys", &[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1000000")]);
    for (sink, attributes) in sinks.span_attributes("many") {
        assert_eq!(attributes["first"], json!(7), "{sink}");
        assert_eq!(attributes["key.0"], json!("changed"), "{sink}");
        let kept = attributes.keys().filter(|key| key.starts_with("key.")).count();
        let lost = attributes["spanscope.dropped_attributes"].as_u64().unwrap();
        assert!(kept > 10_000 && lost > 10_000, "{sink}: {kept} {lost}");
        assert_eq!(kept as u64 + lost, 150_000, "{sink}");
        assert!(attributes.values().all(|value| *value != Json::Null), "{sink}");
    }
}
