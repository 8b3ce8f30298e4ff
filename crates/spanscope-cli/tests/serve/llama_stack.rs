//! The published Python client of the telemetry API, against `spanscope serve`: every one of its
//! methods, and all of its values. `tests/clients/llama_stack.py` determines what is stored and
//! queried.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use spanscope_model::{Cursor, StoredFilter, Timestamp, TraceStore as _, block_on};

use super::support::{Client, Folder, json_of};

#[test]
fn every_method_of_the_public_client_returns_the_records_that_it_stored() {
    let folder = Folder::new();
    let server = folder.serve();
    let Some(output) = Client::LlamaStack.run(&[&server.url()]) else {
        return;
    };
    let output = DriverOutput::new(&output);
    output.check_answers();
    output.check_dataset(&folder.path().join("datasets/client.jsonl"));
    output.check_logs(&folder);
    server.stop();
}

#[test]
fn a_tenant_reads_the_same_records_and_no_other_tenant_sees_them() {
    let folder = Folder::new();
    let server = folder.serve_with_tokens("of-acme-0123456789 acme\nof-other-0123456789 other\n");
    let Some(document) = Client::LlamaStack.run(&[&server.url(), "of-acme-0123456789"]) else {
        return;
    };
    let output = DriverOutput::new(&document);
    output.check_answers();
    output.check_dataset(&folder.path().join("datasets/tenants/acme/client.jsonl"));
    let answer = |token| json_of(&server.ask("POST", "/v1/telemetry/traces", Some(token), None));
    assert_eq!(answer("of-acme-0123456789")["data"].as_array().unwrap().len(), 3);
    assert_eq!(answer("of-other-0123456789"), json!({"data": []}));
    server.stop();
}

/// The driver's output in a readable form: ids by their names, times of spans as microseconds and
/// those of measurements as seconds since its base time.
struct DriverOutput {
    methods: BTreeSet<String>,
    answers: Map<String, Json>,
    names: HashMap<String, String>,
    base: Timestamp,
}

impl DriverOutput {
    fn new(document: &Json) -> Self {
        let ids: HashMap<String, String> = serde_json::from_value(document["ids"].clone()).unwrap();
        let mut output = Self {
            methods: serde_json::from_value(document["methods"].clone()).unwrap(),
            answers: Map::new(),
            names: ids.into_iter().map(|(name, id)| (id, name)).collect(),
            base: document["times"]["base"].as_str().unwrap().parse().unwrap(),
        };
        let Json::Object(answers) = output.readable("", &document["answers"]) else {
            panic!("no answers in {document}");
        };
        output.answers = answers;
        output
    }

    fn readable(&self, key: &str, value: &Json) -> Json {
        let name = |text: &String| self.names.get(text).unwrap_or(text).clone();
        match (key, value) {
            ("start_time" | "end_time", Json::String(time)) => {
                let time: Timestamp = time.parse().unwrap();
                json!((time.as_nanos() - self.base.as_nanos()) / 1000)
            }
            ("timestamp", Json::Number(seconds)) => json!(seconds.as_i64().unwrap() - self.base_seconds()),
            (_, Json::String(text)) => name(text).into(),
            (_, Json::Array(items)) => items.iter().map(|item| self.readable("", item)).collect(),
            (_, Json::Object(fields)) => fields
                .iter()
                .map(|(key, value)| (name(key), self.readable(key, value)))
                .collect(),
            (_, other) => other.clone(),
        }
    }

    fn base_seconds(&self) -> i64 {
        self.base.as_nanos() / 1_000_000_000
    }

    /// Returns the start of the step that contains the base time, relative to it.
    fn step_before(&self, seconds: i64) -> i64 {
        -self.base_seconds().rem_euclid(seconds)
    }

    fn check_answers(&self) {
        for (method, expected) in [
            ("log_event", events()),
            ("query_traces", found_traces()),
            ("get_trace", traces()),
            ("get_span", got_spans()),
            ("get_span_tree", trees()),
            ("query_spans", found_spans()),
            ("save_spans_to_dataset", json!({"run": null})),
            ("query_metrics", self.metrics()),
            ("refused", refused()),
        ] {
            assert_same(method, &self.answers[method], &expected);
        }
        let answered = self.answers.keys().filter(|method| *method != "refused");
        assert_eq!(answered.cloned().collect::<BTreeSet<_>>(), self.methods);
    }

    fn check_dataset(&self, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Json> = lines.map(|line: Json| self.readable("", &line)).collect();
        let line = |trace: &str, span: &str, start: i64, end: Option<i64>, turn: i64| {
            json!({
                "trace_id": trace, "span_id": span, "parent_span_id": null, "name": format!("the {span}"),
                "start_time": start, "end_time": end, "run": "client", "turn": turn,
            })
        };
        assert_eq!(
            lines,
            [
                line("running_trace", "running", 120_000_000, None, 5),
                line("second_trace", "second", 60_000_000, Some(60_500_000), 4),
                line("trace", "turn", 250_000, Some(2_750_125), 3),
            ]
        );
    }

    /// The client stores log events, but has no method that lists them.
    fn check_logs(&self, folder: &Folder) {
        let store = folder.store();
        let stored = store.stored_after(Cursor::START, StoredFilter::default(), 1000);
        let logs: Vec<Json> = block_on(stored)
            .unwrap()
            .events
            .into_iter()
            .map(|log| {
                let micros = (log.timestamp.as_nanos() - self.base.as_nanos()) / 1000;
                let mut log = self.readable("", &json!(log));
                log["timestamp"] = json!(micros);
                log.as_object_mut().unwrap().remove("id");
                log
            })
            .collect();
        let log = |trace: &str, span: &str, micros: i64, severity: &str, message: &str, attributes: Json| {
            json!({
                "trace_id": trace, "span_id": span, "timestamp": micros, "severity": severity, "message": message,
                "attributes": attributes, "name": "", "target": "", "category": "uncategorized", "service_name": "",
            })
        };
        let severities = ["verbose", "debug", "info", "warn", "error", "critical"];
        let mut expected: Vec<Json> = (0_i32..)
            .zip(severities)
            .map(|(index, severity)| {
                let attributes = json!({"index": index, "half": f64::from(index) + 0.5, "first": index == 0});
                let micros = i64::from(1_000_000 + index * 100_000);
                log(
                    "trace",
                    "inference",
                    micros,
                    severity,
                    &format!("it is {severity}"),
                    attributes,
                )
            })
            .collect();
        expected.push(log(
            "orphan_trace",
            "orphan",
            1_000_000,
            "info",
            "whose am I?",
            json!({}),
        ));
        assert_eq!(logs, expected);
    }

    fn metrics(&self) -> Json {
        let series = |metric: &str, unit: &str, model: &str, points: &[(i64, f64)]| {
            let points: Vec<Json> = points
                .iter()
                .map(|(at, value)| json!({"timestamp": at, "value": value, "unit": unit}))
                .collect();
            let labels =
                json!([{"name": "model_id", "value": model}, {"name": "provider_id", "value": "here"}]);
            json!({"metric": metric, "labels": labels, "values": points})
        };
        let counter =
            |model: &str, points: &[(i64, f64)]| series("llama_stack_tokens_total", "tokens", model, points);
        let gauge = |model: &str, points: &[(i64, f64)]| series("client_load", "%", model, points);
        let small = [(0, 10.0), (60, 50.5)];
        let large = [(120, 5.0)];
        let by_event = |model: &str, points: &[(i64, f64)]| series("total_tokens", "tokens", model, points);
        let day = self.step_before(86_400);
        let hour = self.step_before(3600);
        json!({
            "by_default": [counter("large", &[(day, 5.0)]), counter("small", &[(day, 60.5)])],
            "minutes": [counter("large", &large), counter("small", &small)],
            "by_the_event's_name": [by_event("large", &large), by_event("small", &small)],
            "part_of_a_minute": [counter("small", &[(60, 30.5)])],
            "until_now": [counter("large", &[(hour, 5.0)]), counter("small", &[(hour, 60.5)])],
            "instant": [counter("large", &[(180, 5.0)]), counter("small", &[(180, 60.5)])],
            "gauge_minutes": [gauge("large", &large), gauge("small", &[(0, 10.0), (60, 30.5)])],
            "gauge_instant": [gauge("large", &[(180, 5.0)]), gauge("small", &[(180, 30.5)])],
            "no_such_metric": [],
            "equal": [counter("small", &small)],
            "not_equal": [counter("large", &large)],
            "matches": [counter("large", &large)],
            "matches_not": [counter("small", &small)],
        })
    }
}

/// Compares call by call, so that a failure names the call.
fn assert_same(method: &str, found: &Json, expected: &Json) {
    let (found, expected) = (found.as_object().unwrap(), expected.as_object().unwrap());
    let calls = |of: &Map<String, Json>| of.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(calls(found), calls(expected), "{method}");
    for (call, expected) in expected {
        assert_eq!(&found[call], expected, "{method}, {call}");
    }
}

/// An event has an empty response.
fn events() -> Json {
    const EVENTS: &[&str] = &[
        "start_turn start_inference start_tool end_tool end_inference end_turn",
        "start_second end_second start_running",
        "log_verbose log_debug log_info log_warn log_error log_critical log_of_orphan",
        "counter_1 counter_2 counter_3 counter_4 gauge_1 gauge_2 gauge_3 gauge_4",
    ];
    let names = EVENTS.iter().flat_map(|names| names.split(' '));
    names.map(|name| (name.to_owned(), Json::Null)).collect()
}

fn traces() -> Json {
    let trace = |trace: &str, root: &str, start: i64, end: Option<i64>| json!({"trace_id": trace, "root_span_id": root, "start_time": start, "end_time": end});
    json!({
        "trace": trace("trace", "turn", 250_000, Some(2_750_125)),
        "second_trace": trace("second_trace", "second", 60_000_000, Some(60_500_000)),
        "running_trace": trace("running_trace", "running", 120_000_000, None),
    })
}

fn found_traces() -> Json {
    let traces = traces();
    let (first, second, running) = (
        &traces["trace"],
        &traces["second_trace"],
        &traces["running_trace"],
    );
    json!({
        "everything": [running, second, first],
        "run": [running, second, first],
        "not_the_first": [running, second],
        "later": [running, second],
        "earlier": [first],
        "none": [],
        "oldest_two": [first, second],
        "newest": [running],
        "second_oldest": [second],
    })
}

/// A span as all responses have it. For this client every number is a float.
struct Span {
    trace: &'static str,
    id: &'static str,
    parent: Option<&'static str>,
    start: i64,
    end: Option<(i64, &'static str)>,
    attributes: Json,
}

impl Span {
    fn all() -> [Self; 5] {
        let span = |trace, id, parent, start, end, attributes| Self {
            trace,
            id,
            parent,
            start,
            end,
            attributes,
        };
        [
            span(
                "trace",
                "turn",
                None,
                250_000,
                Some((2_750_125, "ok")),
                json!({"session_id": "s-1", "turn": 3.0, "score": 0.5, "cached": false, "nothing": null, "run": "client"}),
            ),
            span(
                "trace",
                "inference",
                Some("turn"),
                500_000,
                Some((2_500_000, "ok")),
                json!({"model_id": "llama-3", "input_tokens": 120.0, "output_tokens": 30.0, "run": "client"}),
            ),
            span(
                "trace",
                "tool",
                Some("inference"),
                750_000,
                Some((2_000_000, "error")),
                json!({"tool_name": "weather", "reason": "no such city", "run": "client"}),
            ),
            span(
                "second_trace",
                "second",
                None,
                60_000_000,
                Some((60_500_000, "ok")),
                json!({"turn": 4.0, "run": "client"}),
            ),
            span(
                "running_trace",
                "running",
                None,
                120_000_000,
                None,
                json!({"turn": 5.0, "run": "client"}),
            ),
        ]
    }

    /// The span with only these attributes.
    fn with(&self, keys: &[&str]) -> Json {
        let attributes = self.attributes.as_object().unwrap().iter();
        let attributes: Map<String, Json> = attributes
            .filter(|(key, _)| keys.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut span = self.whole();
        span["attributes"] = attributes.into();
        span
    }

    fn whole(&self) -> Json {
        json!({
            "trace_id": self.trace, "span_id": self.id, "parent_span_id": self.parent, "name": format!("the {}", self.id),
            "start_time": self.start, "end_time": self.end.map(|(end, _)| end),
            "status": self.end.map(|(_, status)| status), "attributes": self.attributes,
            "state": if self.end.is_some() { "ended" } else { "running" },
            "kind": "internal", "level": "info", "category": "uncategorized", "service_name": "", "target": "",
        })
    }

    /// The span with its sender, which is anonymous.
    fn alone(&self) -> Json {
        let mut span = self.whole();
        span["resource"] = json!({});
        span["scope"] = json!({"name": ""});
        span
    }
}

fn got_spans() -> Json {
    let [turn, inference, tool, _, running] = Span::all();
    let spans = [turn, inference, tool, running];
    spans
        .iter()
        .map(|span| (span.id.to_owned(), span.alone()))
        .collect()
}

fn trees() -> Json {
    let [turn, inference, tool, ..] = Span::all();
    let at = |depth: u32, mut span: Json| {
        span["depth"] = json!(depth);
        span
    };
    json!({
        "whole": {"turn": at(1, turn.whole()), "inference": at(2, inference.whole()), "tool": at(3, tool.whole())},
        "two_levels": {"turn": at(1, turn.whole()), "inference": at(2, inference.whole())},
        "below": {
            "inference": at(1, inference.with(&["model_id"])),
            "tool": at(2, tool.with(&["tool_name"])),
        },
    })
}

fn found_spans() -> Json {
    let [turn, inference, tool, second, running] = Span::all();
    let run = [&running, &second, &turn, &inference, &tool].map(|span| span.with(&["run"]));
    let turns = [&running, &second, &turn].map(|span| span.with(&["run", "turn"]));
    json!({
        "run": run,
        "turns": turns,
        "model": [inference.with(&["input_tokens"])],
        "too_shallow": [],
        "trace_of_model": [turn.whole(), inference.whole(), tool.whole()],
        "none": [],
    })
}

/// The client's own error for each status, and our code and message in its body.
fn refused() -> Json {
    const NOT_FOUND: &str =
        "list the stored ids with POST /v1/telemetry/traces; it may have been deleted because of its age";
    const INVALID: &str = "fix the request as the message says; sending it again unchanged will not help";
    let not_found = |message: &str| {
        json!({
            "error": "NotFoundError", "status": 404,
            "body": {"error": {"code": "not_found", "message": message, "what_to_do": NOT_FOUND}},
        })
    };
    let invalid = |message: &str| {
        json!({
            "error": "BadRequestError", "status": 400,
            "body": {"error": {"code": "invalid_input", "message": message, "what_to_do": INVALID}},
        })
    };
    json!({
        "get_trace": not_found("no trace ffffffffffffffffffffffffffffffff is stored here"),
        "get_span": not_found("no span ffffffffffffffff of trace 4bf92f3577b34da6a3ce929d0e0e4736 is stored here"),
        "get_span_tree": not_found("no span ffffffffffffffff is stored here"),
        "query_traces": invalid("limit is -1: give 0 or a positive number"),
        "query_spans": invalid(
            "the body, at attribute_filters[0].op: unknown variant `like`, expected one of `eq`, `ne`, `gt`, `lt`",
        ),
        "save_spans_to_dataset": invalid(
            "\"../client\" is not a valid dataset id: use 1 to 128 of the characters A-Z a-z 0-9 . _ - and no dot at the beginning",
        ),
        "log_event": invalid("the value of the metric is many: give a finite number"),
        "query_metrics": invalid(
            "granularity: \"never\" is not a valid granularity: use one of a whole number above zero with s, m, h, d or w, up to 366d: \
             30s 5m 1h 1d 1w",
        ),
    })
}
