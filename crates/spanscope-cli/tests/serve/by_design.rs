//! All differences between sent and stored records, in one place and each with its reason.
//!
//! `expected.rs` reads every sent field. A field that is not stored unchanged goes through one of
//! these functions, or is named in [`NOT_KEPT`]; any other fails the test.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use spanscope_model::Timestamp;

/// Fields that are not stored, or can't be queried: of what, which, why.
pub(crate) const NOT_KEPT: &[(&str, &str, &str)] = &[
    (
        "link",
        "trace_state",
        "a link of the model is two ids and attributes; the span's own tracestate is kept",
    ),
    (
        "metric",
        "description",
        "it is for people who read about the metric; a measurement is a name, a number, labels and a time",
    ),
    (
        "metric",
        "scope",
        "the scope distinguishes streams and is kept with the sender; measurements are queried by name and service",
    ),
    (
        "log",
        "observed_ns",
        "an event has one time; the time of the collection is used only if the program set none",
    ),
];

/// A span that ended without a status succeeded: the model only knows how a span ended.
pub(crate) fn status(code: &str) -> &'static str {
    match code {
        "UNSET" | "OK" => "ok",
        "ERROR" => "error",
        other => panic!("{other} is not a status"),
    }
}

/// A span has neither a severity nor a category; every span of the model has both.
pub(crate) fn of_every_span() -> Map<String, Json> {
    fields(json!({"level": "info", "category": "uncategorized", "state": "ended"}))
}

/// OpenTelemetry's 24 severities map to the model's six. A text that differs from the model's name
/// is kept as an attribute.
pub(crate) fn severity(number: i64, text: &str, attributes: &mut Map<String, Json>) -> &'static str {
    let severity = match number {
        1..=4 => "verbose",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "critical",
        _ => panic!("{number} is not a severity"),
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(severity) {
        attributes.insert("otel.severity_text".to_owned(), text.into());
    }
    severity
}

/// The message of a log event is a text: a structured body becomes its JSON.
pub(crate) fn message(body: &Json) -> String {
    match body {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An event in a span has no severity and no message. An exception gets the severity error and its
/// own message; any other event gets its name as message.
pub(crate) fn message_of_span_event(name: &str, attributes: &Map<String, Json>) -> (&'static str, String) {
    let severity = if name == "exception" { "error" } else { "info" };
    let message = attributes.get("exception.message").and_then(Json::as_str);
    (severity, message.unwrap_or(name).to_owned())
}

/// Only the name of the logging library can be queried, as the target. Its version and attributes
/// are kept with the sender, and returned for spans.
pub(crate) fn target(scope: &Json) -> Json {
    scope["name"].clone()
}

/// Labels are texts, as in Prometheus.
pub(crate) fn labels(attributes: &Map<String, Json>) -> Map<String, Json> {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    attributes
        .iter()
        .map(|(key, value)| (key.clone(), text(value).into()))
        .collect()
}

/// The three kinds of metrics. A cumulative sum that is not monotonic is a gauge; a delta sum is a
/// counter.
pub(crate) fn kind(kind: &str, temporality: &str, is_monotonic: bool) -> &'static str {
    match (kind, temporality, is_monotonic) {
        ("gauge", ..) | ("sum", "cumulative", false) => "gauge",
        ("sum", ..) => "counter",
        ("histogram" | "exponential_histogram", ..) => "histogram",
        other => panic!("{other:?} is not a kind of metric"),
    }
}

/// The increase of a stream of totals, which is stored as the value: totals of programs that start
/// and end can't be added. The total itself is in the measurement's detail. An unchanged total is
/// not stored again.
#[derive(Default)]
pub(crate) struct Growth(HashMap<String, Json>);

impl Growth {
    pub(crate) fn of(&mut self, stream: &str, total: &Json) -> Option<Json> {
        let grown = match self.0.insert(stream.to_owned(), total.clone()) {
            None => total.clone(),
            Some(before) => match (total.as_i64(), before.as_i64()) {
                (Some(total), Some(before)) => json!(total - before),
                _ => json!(total.as_f64().unwrap() - before.as_f64().unwrap()),
            },
        };
        (grown.as_f64() != Some(0.0)).then_some(grown)
    }
}

/// A measurement has one time. The start of a total is in its detail; the start of an increment or
/// of a state is not kept.
pub(crate) fn keeps_start(kind: &str, temporality: &str) -> bool {
    match kind {
        "sum" => temporality == "cumulative",
        "gauge" => false,
        _ => true,
    }
}

/// The view shows times in microseconds, as all views do.
pub(crate) fn view_time(nanos: i64) -> String {
    Timestamp::from_nanos(nanos).to_sql_text()
}

/// A measurement belongs to the span of its only exemplar. With several exemplars it belongs to no
/// span.
pub(crate) fn place(exemplars: &[Json]) -> (Json, Json) {
    match exemplars {
        [only] => (only["trace_id"].clone(), only["span_id"].clone()),
        _ => (Json::Null, Json::Null),
    }
}

/// A trace lasts from the first to the last of its spans; log events don't extend it.
pub(crate) fn lasts(spans: &[(i64, i64)], logs: &[i64]) -> (i64, i64) {
    let alone = || logs.iter().map(|time| (*time, *time));
    let parts: Vec<(i64, i64)> = match spans {
        [] => alone().collect(),
        spans => spans.to_vec(),
    };
    let (start, end) = (
        parts.iter().map(|part| part.0).min(),
        parts.iter().map(|part| part.1).max(),
    );
    (start.unwrap(), end.unwrap())
}

pub(crate) fn fields(object: Json) -> Map<String, Json> {
    match object {
        Json::Object(fields) => fields,
        other => panic!("{other} is not an object"),
    }
}
