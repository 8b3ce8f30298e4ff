//! The expected contents of a store, from what a driver reports as sent.
//!
//! The format is the store's own JSON, so that whole documents are compared. Every sent field is
//! read here; see `by_design.rs` for those that are changed, and `stored.rs` for the other side.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use spanscope_model::Timestamp;

use super::by_design::{self, Growth, NOT_KEPT, fields};
use super::stored::{Records, sorted};

/// A sent object. Each of its fields is read, or left out for a written reason.
struct Sent {
    what: &'static str,
    fields: Map<String, Json>,
}

impl Sent {
    fn new(what: &'static str, sent: &Json) -> Self {
        Self {
            what,
            fields: fields(sent.clone()),
        }
    }

    fn take(&mut self, field: &str) -> Json {
        self.fields
            .remove(field)
            .unwrap_or_else(|| panic!("the {} has no {field}: {:?}", self.what, self.fields))
    }

    fn text(&mut self, field: &str) -> String {
        let value = self.take(field);
        value.as_str().unwrap().to_owned()
    }

    /// A number that is a float in the store, however it was written.
    fn float(&mut self, field: &str) -> f64 {
        self.take(field).as_f64().unwrap()
    }

    fn list(&mut self, field: &str) -> Vec<Json> {
        self.take(field).as_array().unwrap().clone()
    }

    /// Nanoseconds, if there is a time.
    fn time(&mut self, field: &str) -> Option<i64> {
        self.take(field).as_str().map(|nanos| nanos.parse().unwrap())
    }

    fn attributes(&mut self, field: &str) -> Map<String, Json> {
        plain_attributes(&self.take(field))
    }

    fn assert_all_read(mut self) {
        for (of, field, _) in NOT_KEPT {
            if *of == self.what {
                self.take(field);
            }
        }
        assert!(
            self.fields.is_empty(),
            "the test does not check these fields of a {}: {:?}",
            self.what,
            self.fields
        );
    }
}

/// A value without the name of its type, which its JSON shows: an integer has no point.
fn plain(typed: &Json) -> Json {
    let mut typed = Sent::new("value", typed);
    let (kind, value) = (typed.text("type"), typed.take("value"));
    typed.assert_all_read();
    match kind.as_str() {
        "string" | "bool" => value,
        "int" => json!(value.as_i64().unwrap()),
        "double" => json!(value.as_f64().unwrap()),
        "array" => value.as_array().unwrap().iter().map(plain).collect(),
        "map" => plain_attributes(&value).into(),
        other => panic!("{other} is not a type"),
    }
}

fn plain_attributes(typed: &Json) -> Map<String, Json> {
    let typed = typed.as_object().unwrap().iter();
    typed.map(|(key, value)| (key.clone(), plain(value))).collect()
}

fn time_text(nanos: i64) -> String {
    Timestamp::from_nanos(nanos).to_string()
}

/// Sets a field that results omit when empty.
fn set_if_any(fields: &mut Map<String, Json>, key: &str, value: Json) {
    let is_empty = match &value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if !is_empty {
        fields.insert(key.to_owned(), value);
    }
}

impl Records {
    /// Returns what is expected for a driver's document.
    pub(crate) fn sent(document: &Json) -> Self {
        let mut sent = Sent::new("document", document);
        sent.take("client"); // how it was sent, which the test chose
        let resource = sent.attributes("resource");
        let service = resource["service.name"].as_str().unwrap().to_owned();
        let mut of = Conversion {
            resource,
            expected: Self {
                service,
                ..Self::default()
            },
            traces: BTreeMap::new(),
            growth: Growth::default(),
        };
        for span in sent.list("spans") {
            of.span(&span);
        }
        for log in sent.list("logs") {
            of.log(&log);
        }
        for metric in sent.list("metrics") {
            of.metric(&metric);
        }
        sent.assert_all_read();
        of.finish()
    }

    /// Adds the counts of a model call: once for the span of the call, however many spans around it
    /// report the same.
    pub(crate) fn expect_call(&mut self, span: &str, [input, output]: [i64; 2], model: &str, provider: &str) {
        let span = self.spans.iter().find(|found| found["name"] == span).unwrap();
        let end: Timestamp = span["end_time"].as_str().unwrap().parse().unwrap();
        for (metric, value) in [
            ("prompt_tokens", input),
            ("completion_tokens", output),
            ("total_tokens", input + output),
        ] {
            self.points.push(json!({
                "metric": metric, "value": value, "unit": "tokens", "kind": "counter",
                "attributes": {"model_id": model, "provider_id": provider}, "timestamp": end.to_sql_text(),
                "trace_id": span["trace_id"], "span_id": span["span_id"], "service_name": self.service,
                "detail": {"read_from": "span"},
            }));
        }
        self.points = sorted(std::mem::take(&mut self.points));
    }

    /// Returns the measurements as `query_metrics` returns them one by one, a series for each
    /// metric and label set.
    pub(crate) fn series(&self) -> Vec<Json> {
        let mut series: BTreeMap<(String, String), (Json, Vec<Json>)> = BTreeMap::new();
        let mut points: Vec<&Json> = self.points.iter().collect();
        points.sort_by_key(|point| point["timestamp"].as_str());
        for point in points {
            let metric = point["metric"].as_str().unwrap().to_owned();
            let labels = fields(point["attributes"].clone());
            let key = (metric.clone(), json!(labels).to_string());
            let (_, values) = series.entry(key).or_insert_with(|| {
                let labels: BTreeMap<String, Json> = labels.into_iter().collect();
                let labels = labels
                    .into_iter()
                    .map(|(name, value)| json!({"name": name, "value": value}));
                let labels: Vec<Json> = labels.collect();
                (json!({"metric": metric, "labels": labels}), Vec::new())
            });
            let time: Timestamp = point["timestamp"].as_str().unwrap().parse().unwrap();
            let seconds = time.as_nanos().div_euclid(1_000_000_000);
            values.push(json!({"timestamp": seconds, "value": point["value"], "unit": point["unit"]}));
        }
        let series = series.into_values().map(|(mut series, values)| {
            series["values"] = values.into();
            series
        });
        sorted(series.collect())
    }
}

/// The conversion of a document.
struct Conversion {
    resource: Map<String, Json>,
    expected: Records,
    traces: BTreeMap<String, TraceSent>,
    growth: Growth,
}

/// The sent records of a trace.
#[derive(Default)]
struct TraceSent {
    root: Option<Json>,
    spans: Vec<(i64, i64)>,
    logs: Vec<i64>,
}

impl Conversion {
    fn finish(self) -> Records {
        let Records {
            service,
            spans,
            logs,
            points,
            ..
        } = self.expected;
        let traces = self.traces.into_iter().map(|(trace_id, trace)| {
            let (start, end) = by_design::lasts(&trace.spans, &trace.logs);
            json!({
                "trace_id": trace_id, "root_span_id": trace.root, "start_time": time_text(start), "end_time": time_text(end),
            })
        });
        Records {
            service,
            traces: sorted(traces.collect()),
            spans: sorted(spans),
            logs: sorted(logs),
            points: sorted(points),
        }
    }

    fn trace(&mut self, trace_id: &Json) -> &mut TraceSent {
        self.traces
            .entry(trace_id.as_str().unwrap().to_owned())
            .or_default()
    }

    fn span(&mut self, sent: &Json) {
        let mut sent = Sent::new("span", sent);
        let (trace_id, span_id, parent) = (
            sent.take("trace_id"),
            sent.take("span_id"),
            sent.take("parent_span_id"),
        );
        let [start, end] = ["start_ns", "end_ns"].map(|field| sent.time(field).unwrap());
        // The program's first span of the trace.
        let is_root = sent.take("parent_is_remote") == true || parent.is_null();
        let trace = self.trace(&trace_id);
        trace.spans.push((start, end));
        if is_root {
            assert_eq!(trace.root.replace(span_id.clone()), None);
        }

        let scope = sent.take("scope");
        let mut status = Sent::new("status", &sent.take("status"));
        let (code, status_message) = (status.text("code"), status.take("message"));
        status.assert_all_read();
        let mut span = by_design::of_every_span();
        span.extend(fields(json!({
            "trace_id": trace_id, "span_id": span_id, "parent_span_id": parent, "name": sent.take("name"),
            "kind": sent.text("kind").to_lowercase(), "start_time": time_text(start), "end_time": time_text(end),
            "attributes": sent.attributes("attributes"), "status": by_design::status(&code),
            "service_name": self.expected.service, "target": by_design::target(&scope), "resource": self.resource,
            "scope": scope_of(&scope),
        })));
        set_if_any(&mut span, "status_message", status_message);
        set_if_any(&mut span, "trace_state", sent.take("trace_state"));
        let links = sent.list("links").iter().map(link).collect();
        set_if_any(&mut span, "links", links);
        for event in sent.list("events") {
            self.span_event(&event, &span);
        }
        sent.assert_all_read();
        self.expected.spans.push(span.into());
    }

    fn span_event(&mut self, sent: &Json, span: &Map<String, Json>) {
        let mut sent = Sent::new("span event", sent);
        let (name, time) = (sent.text("name"), sent.time("time_ns").unwrap());
        let attributes = sent.attributes("attributes");
        sent.assert_all_read();
        let (severity, message) = by_design::message_of_span_event(&name, &attributes);
        self.trace(&span["trace_id"]).logs.push(time);
        self.expected.logs.push(json!({
            "trace_id": span["trace_id"], "span_id": span["span_id"], "timestamp": time_text(time), "severity": severity,
            "name": name, "message": message, "target": span["target"], "category": "uncategorized",
            "service_name": self.expected.service, "attributes": attributes,
        }));
    }

    fn log(&mut self, sent: &Json) {
        let mut sent = Sent::new("log", sent);
        let (number, text) = (
            sent.take("severity_number").as_i64().unwrap(),
            sent.text("severity_text"),
        );
        let mut attributes = sent.attributes("attributes");
        let severity = by_design::severity(number, &text, &mut attributes);
        let (trace_id, time) = (sent.take("trace_id"), sent.time("time_ns").unwrap());
        if !trace_id.is_null() {
            self.trace(&trace_id).logs.push(time);
        }
        self.expected.logs.push(json!({
            "trace_id": trace_id, "span_id": sent.take("span_id"), "timestamp": time_text(time), "severity": severity,
            "name": sent.take("event_name"), "message": by_design::message(&plain(&sent.take("body"))),
            "target": by_design::target(&sent.take("scope")), "category": "uncategorized",
            "service_name": self.expected.service, "attributes": attributes,
        }));
        sent.assert_all_read();
    }

    fn metric(&mut self, sent: &Json) {
        let mut sent = Sent::new("metric", sent);
        let (name, unit, kind) = (sent.text("name"), sent.text("unit"), sent.text("kind"));
        let temporality = sent.take("temporality");
        let temporality = temporality.as_str().unwrap_or_default();
        let is_monotonic = sent.take("monotonic") == true;
        for point in sent.list("points") {
            let mut point = Sent::new("point", &point);
            let labels = by_design::labels(&point.attributes("attributes"));
            let (time, start) = (point.time("time_ns").unwrap(), point.time("start_ns"));
            let start = start.filter(|_| by_design::keeps_start(&kind, temporality));
            let exemplars: Vec<Json> = point.list("exemplars").iter().map(exemplar).collect();
            let (trace_id, span_id) = by_design::place(&exemplars);
            let mut detail = Map::new();
            let mut value = match kind.as_str() {
                "sum" | "gauge" => {
                    let value = plain(&point.take("value"));
                    if kind == "sum" && temporality == "cumulative" {
                        detail.insert("total".to_owned(), value.clone());
                    }
                    value
                }
                _ => {
                    detail = distribution(&kind, &mut point);
                    detail.insert("temporality".to_owned(), temporality.into());
                    detail["sum"].clone()
                }
            };
            point.assert_all_read();
            set_if_any(&mut detail, "start", start.map(time_text).into());
            set_if_any(&mut detail, "exemplars", exemplars.into());
            let kind = by_design::kind(&kind, temporality, is_monotonic);
            if temporality == "cumulative" && kind != "gauge" {
                let stream = format!("{name} {}", json!(labels));
                match self.growth.of(&stream, &value) {
                    Some(grown) => value = grown,
                    None => continue,
                }
            }
            self.expected.points.push(json!({
                "metric": name, "value": value, "unit": unit, "kind": kind, "attributes": labels,
                "timestamp": by_design::view_time(time), "trace_id": trace_id, "span_id": span_id,
                "service_name": self.expected.service,
                "detail": if detail.is_empty() { Json::Null } else { detail.into() },
            }));
        }
        sent.assert_all_read();
    }
}

fn scope_of(sent: &Json) -> Json {
    let mut sent = Sent::new("scope", sent);
    let mut scope = fields(json!({"name": sent.take("name")}));
    set_if_any(&mut scope, "version", sent.take("version"));
    set_if_any(&mut scope, "attributes", sent.attributes("attributes").into());
    sent.assert_all_read();
    scope.into()
}

fn link(sent: &Json) -> Json {
    let mut sent = Sent::new("link", sent);
    let link = json!({
        "trace_id": sent.take("trace_id"), "span_id": sent.take("span_id"), "attributes": sent.attributes("attributes"),
    });
    sent.assert_all_read();
    link
}

fn exemplar(sent: &Json) -> Json {
    let mut sent = Sent::new("exemplar", sent);
    let mut exemplar = fields(json!({"value": plain(&sent.take("value"))}));
    let time = time_text(sent.time("time_ns").unwrap());
    exemplar.insert("time".to_owned(), time.into());
    set_if_any(&mut exemplar, "trace_id", sent.take("trace_id"));
    set_if_any(&mut exemplar, "span_id", sent.take("span_id"));
    set_if_any(&mut exemplar, "attributes", sent.attributes("attributes").into());
    sent.assert_all_read();
    exemplar.into()
}

/// Returns the detail of a point of a histogram, of either type.
fn distribution(kind: &str, point: &mut Sent) -> Map<String, Json> {
    let mut detail = fields(json!({
        "count": point.take("count"), "sum": point.float("sum"), "min": point.float("min"), "max": point.float("max"),
    }));
    if kind == "histogram" {
        let bounds = point.list("bounds").iter().map(Json::as_f64).collect::<Vec<_>>();
        detail.insert("explicit_bounds".to_owned(), json!(bounds));
        detail.insert("bucket_counts".to_owned(), point.take("bucket_counts"));
    } else {
        for field in ["scale", "zero_count", "positive", "negative"] {
            detail.insert(field.to_owned(), point.take(field));
        }
        // The SDKs send none, which means zero in the protocol.
        detail.insert("zero_threshold".to_owned(), json!(0.0));
    }
    detail
}
