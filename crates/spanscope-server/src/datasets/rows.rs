//! A span as a line of a dataset.

use serde_json::{Map, Value, json};
use spanscope_model::Span;

/// The columns that each row has in addition to its attributes.
const COLUMNS: [&str; 6] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "start_time",
    "end_time",
];

/// Appends the line of a span.
pub(super) fn push(lines: &mut String, span: &Span) {
    lines.push_str(&row(span).to_string());
    lines.push('\n');
}

/// Returns one row. An attribute with the name of a column is stored under `attributes.` and its
/// name.
fn row(span: &Span) -> Value {
    let mut row = Map::new();
    row.insert("trace_id".to_owned(), json!(span.trace_id));
    row.insert("span_id".to_owned(), json!(span.span_id));
    row.insert("parent_span_id".to_owned(), json!(span.parent_span_id));
    row.insert("name".to_owned(), json!(span.name));
    row.insert("start_time".to_owned(), json!(span.start_time));
    row.insert("end_time".to_owned(), json!(span.end_time));
    for (key, value) in span.attributes.iter() {
        let column = if COLUMNS.contains(&key) {
            format!("attributes.{key}")
        } else {
            key.to_owned()
        };
        row.insert(column, json!(value));
    }
    Value::Object(row)
}
