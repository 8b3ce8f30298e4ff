//! Spanscope layers in a `reload::Layer`.

use serde_json::json;

use super::Sinks;

#[test]
fn values_recorded_late_are_kept_under_a_reload_layer_and_after_a_reload() {
    let sinks = Sinks::of("reloaded");
    let console = |name: &str| serde_json::Value::Object(sinks.shown_attributes(name));
    assert_eq!(console("before"), json!({"declared": "late", "undeclared": 7}));
    assert_eq!(console("after"), json!({"declared": "late", "undeclared": 9}));
    let stored = |name: &str| serde_json::to_value(&sinks.stored_span(name).attributes).unwrap();
    assert_eq!(stored("after"), json!({"declared": "late", "undeclared": 9}));
    assert_eq!(
        stored("across"),
        json!({"declared": "early", "again": "after", "undeclared": 8})
    );
}
