//! OTLP that deviates from the specification, as senders in use write it: ids, times, names of
//! enums, attributes and containers. Parts that can be interpreted are stored and reported; only
//! the others are lost.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;
use spanscope_tests::http::Answer;

use super::super::support::{Folder, Serve, json_of, logs, span, traces};
use super::{command_json, remark, send_bytes};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn one(name: &str) -> Json {
    span(TRACE, "00000000000000a1", name)
}

/// Sends one span, to a separate store, and returns it as the command shows it, with the remark to
/// the sender.
fn stored(span: Json) -> (Json, String) {
    let folder = Folder::new();
    let server = folder.serve();
    let report = remark(&server.post("/v1/traces", &traces(&[span])));
    let spans = command_json(&folder, &["spans"]);
    assert_eq!(spans.as_array().unwrap().len(), 1, "{spans}");
    server.stop();
    (spans[0].clone(), report)
}

fn refused(server: &Serve, path: &str, body: &Json) -> String {
    let answer = server.post(path, body);
    assert_eq!(answer.status, 400, "{answer:?}");
    json_of(&answer)["message"].as_str().unwrap().to_owned()
}

/// Returns how many spans were rejected, and the message to the sender.
fn rejected(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let part = &json_of(answer)["partialSuccess"];
    let text = |field: &str| part[field].as_str().unwrap_or_default().to_owned();
    (text("rejectedSpans"), text("errorMessage"))
}

/// Go's structures of a request:
/// <https://github.com/open-telemetry/opentelemetry-collector/issues/8720>.
#[test]
fn structures_of_go_written_as_json_are_read() {
    let folder = Folder::new();
    let server = folder.serve();
    let now = Timestamp::now().as_nanos();
    let body = json!({"resource_spans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"Value": {"StringValue": "go"}}},
            {"key": "process.command_args", "value": {"Value": {"ArrayValue": {"values": [
                {"Value": {"StringValue": "serve"}}, {"Value": {"IntValue": 3}}
            ]}}}},
        ]},
        "scope_spans": [{"spans": [{
            "trace_id": "Z6z8LqVvEI+kU1/Ci6mXBQ==", "span_id": "gMEgDJS+EXg=", "parent_span_id": "gMEgDJS+EXk=",
            "name": "Simple", "start_time_unix_nano": now - 5, "end_time_unix_nano": now,
        }]}],
        "schema_url": "https://opentelemetry.io/schemas/1.21.0"
    }]});
    assert_eq!(
        remark(&server.post("/v1/traces", &body)),
        "3 ids were read that OTLP writes otherwise; the first: \"Z6z8LqVvEI+kU1/Ci6mXBQ==\": send bytes in protobuf and \
         hexadecimal digits in JSON"
    );
    let spans = command_json(
        &folder,
        &[
            "spans",
            "--service",
            "go",
            "--where",
            "process.command_args~serve",
        ],
    );
    assert_eq!(
        spans[0]["trace_id"], "67acfc2ea56f108fa4535fc28ba99705",
        "{spans}"
    );
    assert_eq!(spans[0]["span_id"], "80c1200c94be1178");
    assert_eq!(spans[0]["parent_span_id"], "80c1200c94be1179");
    server.stop();
}

/// Base64 of the digits instead of the bytes:
/// <https://github.com/open-telemetry/opentelemetry-swift/issues/537>, also without padding, and of
/// the alphabet for URLs.
#[test]
fn ids_in_base64_are_read_and_other_texts_are_rejected() {
    for (trace_id, is) in [
        (
            "OWUyYTNkYzA2MDc0YjE3NTQwZDU0ZGU0ZTUxZTczNWY=",
            "9e2a3dc06074b17540d54de4e51e735f",
        ),
        ("7-8py1sPlLqG5c9Xm8WBgQ", "efef29cb5b0f94ba86e5cf579bc58181"),
        ("0AF7651916CD43DD8448EB211C80319C", TRACE),
    ] {
        let mut span = one("x");
        span["traceId"] = json!(trace_id);
        let (span, report) = stored(span);
        assert_eq!(span["trace_id"], is, "{trace_id}");
        assert_eq!(report.is_empty(), is == TRACE, "{report}");
    }
    let folder = Folder::new();
    let server = folder.serve();
    for wrong in [
        "11111111-2222-3333-4444-555555555555",
        "undefined",
        "AQIDBAUGBwg=",
    ] {
        let mut span = one("x");
        span["traceId"] = json!(wrong);
        let (count, report) = rejected(&server.post("/v1/traces", &traces(&[span, one("other")])));
        assert_eq!(count, "1", "{report}");
        assert!(report.contains(wrong), "{report}");
    }
    server.stop();
}

#[test]
fn a_span_with_an_invalid_parent_is_stored_without_a_parent() {
    for parent in [
        "00000000000000a1",
        "undefined",
        "1234",
        "0",
        "11111111-2222-3333-4444-555555555555",
    ] {
        let mut span = one("kept");
        span["parentSpanId"] = json!(parent);
        let (span, report) = stored(span);
        assert_eq!(span["parent_span_id"], Json::Null);
        assert!(
            report.starts_with(
                "1 span was stored without a parent because of an unusable id; the first: span \"kept\": "
            ),
            "{report}"
        );
    }
    for none in [json!(""), json!("0000000000000000"), Json::Null] {
        let mut span = one("root");
        span["parentSpanId"] = none;
        assert_eq!(stored(span).1, "");
    }
}

#[test]
fn enums_are_read_by_their_names_with_and_without_the_prefix() {
    for (kind, is) in [
        ("SPAN_KIND_SERVER", "server"),
        ("SERVER", "server"),
        ("client", "client"),
        ("3", "client"),
    ] {
        let mut span = one("x");
        span["kind"] = json!(kind);
        let (span, report) = stored(span);
        assert_eq!((span["kind"].as_str(), report.as_str()), (Some(is), ""), "{kind}");
    }
    for status in [
        json!({"code": "STATUS_CODE_ERROR"}),
        json!({"code": "ERROR"}),
        json!("error"),
        json!(2),
    ] {
        let mut span = one("x");
        span["status"] = status.clone();
        let (span, report) = stored(span);
        assert_eq!(
            (span["status"].as_str(), report.as_str()),
            (Some("error"), ""),
            "{status}"
        );
    }
    let folder = Folder::new();
    let server = folder.serve();
    let now = Timestamp::now().as_nanos().to_string();
    let sum = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "orders", "sum": {
        "aggregationTemporality": "DELTA", "isMonotonic": true, "dataPoints": [{"timeUnixNano": now, "asInt": "5"}]
    }}]}]}]});
    assert_eq!(json_of(&server.post("/v1/metrics", &sum)), json!({}));
    server.stop();
}

#[test]
fn times_with_an_exponent_a_fraction_or_as_a_date_are_read() {
    let now = Timestamp::now();
    let nanos = now.as_nanos();
    #[expect(clippy::cast_precision_loss, reason = "seconds are sent as a float")]
    let seconds = nanos as f64 / 1e9;
    for (start, is_reported) in [
        (json!(nanos), false),
        (json!(format!("{nanos}.0")), false),
        (json!(format!("{}e9", nanos / 1_000_000_000)), false),
        (json!(seconds), true),
        (json!(format!("{seconds:.6}")), true),
        (json!(seconds * 1e3 + 0.25), true),
        (json!(now.to_string()), true),
    ] {
        let mut span = one("x");
        span["startTimeUnixNano"] = start.clone();
        let (span, report) = stored(span);
        let stored: Timestamp = span["start_time"].as_str().unwrap().parse().unwrap();
        let off = (stored.as_nanos() - nanos).abs();
        assert!(off < super::SECOND, "{start}: {stored}");
        assert_eq!(
            report.starts_with("1 time was interpreted"),
            is_reported,
            "{start}: {report}"
        );
    }
}

#[test]
fn attributes_in_an_object_are_read_and_values_of_unknown_types_are_kept() {
    let mut span = one("x");
    span["attributes"] = json!({"plan": "pro", "seats": 3, "typed": {"intValue": "7"}, "nothing": null});
    let (span, report) = stored(span);
    assert_eq!(
        span["attributes"],
        json!({"plan": "pro", "seats": 3, "typed": 7, "nothing": null})
    );
    assert!(report.contains("attributes: an object is not a list"), "{report}");

    let mut span = one("x");
    span["attributes"] = json!([
        {"key": "map", "value": {"kvlistValue": {"city": "Oslo"}}},
        {"key": "list", "value": {"arrayValue": {"items": [1]}}},
        {"key": "both", "value": {"stringValue": "five", "intValue": "5"}},
        {"key": "empty", "value": {"kvlistValue": {}}},
        {"key": "whole", "value": {"intValue": "5.0"}},
        {"key": "exponent", "value": {"intValue": "1e3"}},
    ]);
    let (span, report) = stored(span);
    assert_eq!(
        span["attributes"],
        json!({
            "map": {"city": "Oslo"}, "list": {"items": [1]}, "both": "five", "empty": {}, "whole": 5, "exponent": 1000
        })
    );
    assert!(
        report.starts_with("3 values were stored as another type than declared"),
        "{report}"
    );
    assert!(
        report.contains("\"map\": kvlistValue: the object has no field `values`"),
        "{report}"
    );
}

#[test]
fn an_invalid_container_loses_only_its_own_records() {
    let folder = Folder::new();
    let server = folder.serve();
    let good = json!({"scopeSpans": [{"spans": [one("good")]}]});
    let two = json!([one("a"), one("b")]);
    for (wrong, lost, why) in [
        (
            json!({"scopeSpans": {"spans": two}}),
            "2",
            "resourceSpans[0].scopeSpans: an object is not a list",
        ),
        (
            json!({"scopeSpans": [{"spans": one("a")}]}),
            "1",
            "scopeSpans[0].spans: an object is not a list",
        ),
        (json!("text"), "1", "resourceSpans[0]: \"text\" is not an object"),
        (
            json!({"scopeSpans": [two]}),
            "2",
            "scopeSpans[0]: a list is not an object",
        ),
    ] {
        let report = rejected(&server.post("/v1/traces", &json!({"resourceSpans": [wrong, good]})));
        assert_eq!(report, (lost.to_owned(), why.to_owned()), "{wrong}");
    }
    let nothing = json!({"resourceSpans": [null, {"scopeSpans": [null, {"spans": null}]}, good]});
    assert_eq!(remark(&server.post("/v1/traces", &nothing)), "");
    let spans = command_json(&folder, &["spans"]);
    assert_eq!(
        (spans.as_array().unwrap().len(), &spans[0]["name"]),
        (1, &json!("good")),
        "{spans}"
    );
    server.stop();
}

/// As in <https://github.com/langfuse/langfuse/pull/15707>: logs that are sent to the path of
/// traces.
#[test]
fn a_request_to_another_path_is_refused_with_the_right_one() {
    let folder = Folder::new();
    let server = folder.serve();
    for (path, body, report) in [
        (
            "/v1/traces",
            logs(&["one"]),
            "its field `resourceLogs` is of a request to /v1/logs",
        ),
        (
            "/v1/logs",
            traces(&[one("a")]),
            "its field `resourceSpans` is of a request to /v1/traces",
        ),
        (
            "/v1/metrics",
            traces(&[one("a")]),
            "its field `resourceSpans` is of a request to /v1/traces",
        ),
    ] {
        let message = refused(&server, path, &body);
        assert!(message.contains(report), "{message}");
    }
    server.stop();
}

#[test]
fn a_byte_order_mark_before_json_is_ignored() {
    let folder = Folder::new();
    let server = folder.serve();
    let body = format!("\u{feff}{}", traces(&[one("after a mark")]));
    let answer = send_bytes(
        &server,
        "/v1/traces",
        "application/json; charset=utf-8",
        body.as_bytes(),
    );
    assert_eq!(remark(&answer), "");
    assert_eq!(command_json(&folder, &["spans"])[0]["name"], "after a mark");
    server.stop();
}

#[test]
fn severities_outside_opentelemetrys_range_are_read_as_those_of_pino_and_kept() {
    let folder = Folder::new();
    let server = folder.serve();
    let numbers = [
        (50, "error"),
        (40, "warn"),
        (30, "info"),
        (99, "info"),
        (-1, "info"),
        (24, "critical"),
    ];
    let texts = numbers.map(|(number, _)| number.to_string());
    let mut body = logs(&texts.each_ref().map(String::as_str));
    for (at, (number, _)) in numbers.iter().enumerate() {
        body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][at]["severityNumber"] = json!(number);
    }
    assert_eq!(remark(&server.post("/v1/logs", &body)), "");
    let lines = command_json(&folder, &["logs"]);
    for (number, severity) in numbers {
        let mut lines = lines.as_array().unwrap().iter();
        let text = number.to_string();
        let line = lines.find(|line| line["message"] == text).unwrap();
        assert_eq!(line["severity"], severity, "{line}");
        let kept = &line["attributes"]["otel.severity_text"];
        assert_eq!(kept.as_str().is_some(), number != 24, "{line}");
    }
    server.stop();
}

#[test]
fn a_metric_of_an_unknown_kind_is_rejected() {
    let folder = Folder::new();
    let server = folder.serve();
    let now = Timestamp::now().as_nanos().to_string();
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "old", "intGauge": {"dataPoints": [{"timeUnixNano": now, "value": "5"}]}},
        {"name": "new", "gauge": {"dataPoints": [{"timeUnixNano": now, "asInt": "5", "attributes": {"queue": "q"}}]}},
    ]}]}]});
    let part = json_of(&server.post("/v1/metrics", &metrics))["partialSuccess"].clone();
    assert_eq!(part["rejectedDataPoints"], "1", "{part}");
    let report = part["errorMessage"].as_str().unwrap();
    assert!(
        report.contains("gauge, sum, histogram, exponentialHistogram, summary but \"intGauge\""),
        "{report}"
    );
    let points = command_json(
        &folder,
        &[
            "sql",
            "SELECT metric, attributes ->> '$.queue' AS queue FROM metrics",
        ],
    );
    assert_eq!(points, json!([{"metric": "new", "queue": "q"}]));
    server.stop();
}
