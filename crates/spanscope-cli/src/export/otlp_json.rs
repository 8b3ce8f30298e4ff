//! OTLP/JSON as OpenTelemetry's protocol defines it: a `TracesData` object a line, as the collector's file receiver
//! reads it. Ids are hex, 64-bit numbers are texts, kinds and status codes are numbers.
//!
//! A service is a resource, a target a scope. Events whose span is not stored have no place in this form.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Map, Value as Json, json};
use spanscope_model::{
    Attributes, Link, LogEvent, Span, SpanId, SpanKind, SpanState, SpanStatus, Timestamp, Value,
};

use super::{Form, Recorded};
use crate::output::json_line;

/// Things by the name of what they belong to, in the order in which the names came up.
type Groups<'a, T> = Vec<(&'a str, T)>;

/// The form.
pub(super) struct OtlpJson;

impl Form for OtlpJson {
    fn trace(&mut self, trace: &Recorded) -> Result<String> {
        let events = trace.events_by_span();
        let mut resources: Groups<Groups<Vec<Json>>> = Vec::new();
        for span in &trace.spans {
            let scopes = group(&mut resources, &span.service_name);
            group(scopes, span.target.as_deref().unwrap_or_default()).push(otlp_span(span, &events));
        }
        let resources = resources.into_iter().map(|(service, scopes)| {
            let scopes = scopes
                .into_iter()
                .map(|(target, spans)| json!({"scope": {"name": target}, "spans": spans}));
            let attributes = if service.is_empty() {
                json!([])
            } else {
                json!([pair("service.name", text(service))])
            };
            json!({"resource": {"attributes": attributes}, "scopeSpans": scopes.collect::<Vec<_>>()})
        });
        json_line(&json!({"resourceSpans": resources.collect::<Vec<_>>()}))
    }
}

/// The group of this name. There are few of them, so a search costs nothing.
fn group<'g, 'a, T: Default>(groups: &'g mut Groups<'a, T>, name: &'a str) -> &'g mut T {
    let at = groups
        .iter()
        .position(|(have, _)| *have == name)
        .unwrap_or_else(|| {
            groups.push((name, T::default()));
            groups.len() - 1
        });
    &mut groups[at].1
}

fn otlp_span(span: &Span, events: &HashMap<SpanId, Vec<&LogEvent>>) -> Json {
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    };
    let mut object = Map::new();
    object.insert("traceId".to_owned(), json!(span.trace_id));
    object.insert("spanId".to_owned(), json!(span.span_id));
    if let Some(parent) = span.parent_span_id {
        object.insert("parentSpanId".to_owned(), json!(parent));
    }
    object.insert("name".to_owned(), json!(span.name));
    object.insert("kind".to_owned(), json!(kind));
    object.insert("startTimeUnixNano".to_owned(), nanos(span.start_time));
    if let Some(end) = span.end_time {
        object.insert("endTimeUnixNano".to_owned(), nanos(end));
    }
    let mut attributes = pairs(&span.attributes);
    if span.state != SpanState::Ended {
        attributes.push(pair("spanscope.state", text(span.state.as_str())));
    }
    if let Some(category) = &span.category {
        attributes.push(pair("category", text(category)));
    }
    object.insert("attributes".to_owned(), attributes.into());
    let events = events.get(&span.span_id).map(Vec::as_slice).unwrap_or_default();
    if !events.is_empty() {
        object.insert(
            "events".to_owned(),
            events.iter().map(|event| otlp_event(event)).collect(),
        );
    }
    if !span.links.is_empty() {
        object.insert("links".to_owned(), span.links.iter().map(otlp_link).collect());
    }
    let mut status = Map::new();
    if let Some(message) = &span.status_message {
        status.insert("message".to_owned(), json!(message));
    }
    let code = span.status.map(|status| match status {
        SpanStatus::Ok => 1,
        SpanStatus::Error => 2,
    });
    if let Some(code) = code {
        status.insert("code".to_owned(), json!(code));
    }
    object.insert("status".to_owned(), status.into());
    object.into()
}

/// A named event keeps its name and has its message among its attributes; any other is named by its message.
fn otlp_event(event: &LogEvent) -> Json {
    let mut attributes = pairs(&event.attributes);
    attributes.push(pair("severity", text(event.severity.as_str())));
    if !event.target.is_empty() {
        attributes.push(pair("target", text(&event.target)));
    }
    let name = if event.name.is_empty() {
        &event.message
    } else {
        if !event.message.is_empty() {
            attributes.push(pair("message", text(&event.message)));
        }
        &event.name
    };
    json!({"timeUnixNano": nanos(event.timestamp), "name": name, "attributes": attributes})
}

fn otlp_link(link: &Link) -> Json {
    json!({"traceId": link.trace_id, "spanId": link.span_id, "attributes": pairs(&link.attributes)})
}

/// Unsigned in the protocol; times before 1970 have no form there.
fn nanos(time: Timestamp) -> Json {
    json!(time.as_nanos().max(0).to_string())
}

fn pairs(attributes: &Attributes) -> Vec<Json> {
    attributes
        .iter()
        .map(|(key, value)| pair(key, any_value(value)))
        .collect()
}

fn pair(key: &str, value: Json) -> Json {
    json!({"key": key, "value": value})
}

fn text(text: &str) -> Json {
    json!({"stringValue": text})
}

fn any_value(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!({"boolValue": value}),
        Value::I64(value) => json!({"intValue": value.to_string()}),
        Value::U64(number) => match i64::try_from(*number) {
            Ok(number) => json!({"intValue": number.to_string()}),
            Err(_) => text(&number.to_string()),
        },
        // The model writes NaN and the infinities as the texts that protobuf's JSON wants.
        Value::F64(_) => json!({"doubleValue": value}),
        Value::Str(value) => text(value),
        Value::Json(Json::Null) => json!({}),
        Value::Json(Json::Array(items)) => {
            let items = items.iter().cloned().map(|item| any_value(&Value::from(item)));
            json!({"arrayValue": {"values": items.collect::<Vec<_>>()}})
        }
        Value::Json(Json::Object(fields)) => {
            let fields = fields
                .iter()
                .map(|(key, field)| pair(key, any_value(&Value::from(field.clone()))));
            json!({"kvlistValue": {"values": fields.collect::<Vec<_>>()}})
        }
        Value::Json(other) => text(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::render::fixtures::span;

    #[test]
    fn a_span_has_the_types_of_the_protocol() {
        let mut first = span(1, 0, "chat", 0, 5);
        first.kind = SpanKind::Client;
        first.status = Some(SpanStatus::Error);
        first.status_message = Some("no".to_owned());
        first.attributes.set("n", 7);
        first.attributes.set("x", f64::NAN);
        first.attributes.set("list", json!(["a", 1, null]));
        let trace = Recorded {
            spans: vec![first, span(2, 1, "inner", 1, 2)],
            events: Vec::new(),
        };
        let text = OtlpJson.trace(&trace).unwrap();
        let data: Json = serde_json::from_str(&text).unwrap();
        let resource = &data["resourceSpans"][0];
        assert_eq!(
            resource["resource"]["attributes"][0]["value"]["stringValue"],
            "shop"
        );
        assert_eq!(resource["scopeSpans"].as_array().unwrap().len(), 1);
        let span = &resource["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "07070707070707070707070707070707");
        assert_eq!(span["startTimeUnixNano"], "1700000000000000000");
        assert_eq!(span["kind"], 3);
        assert_eq!(span["status"], json!({"message": "no", "code": 2}));
        assert_eq!(
            span["attributes"][0],
            json!({"key": "n", "value": {"intValue": "7"}})
        );
        assert_eq!(span["attributes"][1]["value"]["doubleValue"], "NaN");
        let list = &span["attributes"][2]["value"]["arrayValue"]["values"];
        assert_eq!(*list, json!([{"stringValue": "a"}, {"intValue": "1"}, {}]));
        assert_eq!(
            resource["scopeSpans"][0]["spans"][1]["parentSpanId"],
            "0000000000000001"
        );
    }
}
