//! The server's own measurements: how many records arrived, and their outcome.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use spanscope_model::Timestamp;

use super::support::{Folder, Serve, finished, increments, json_of, logs, span, traces};

#[test]
fn received_records_are_counted_by_outcome() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(counted(&server), BTreeMap::new());

    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let spans = [
        span(trace_id, "00000000000000a1", "first"),
        span(trace_id, "00000000000000a2", "second"),
        span(trace_id, "0000000000000000", "without an id"),
    ];
    let mut logs = logs(&["one", "two", "three", "of no time"]);
    logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][3]["timeUnixNano"] = json!("yesterday");
    let mut points = increments("orders_total", &[1, 2, 3, 4, 5]);
    points["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][4] =
        json!({"asInt": "5"});
    let batches: [(&str, Json, &str, u64); 3] = [
        ("traces", traces(&spans), "rejectedSpans", 2),
        ("logs", logs, "rejectedLogRecords", 3),
        ("metrics", points, "rejectedDataPoints", 4),
    ];
    let mut expected = BTreeMap::new();
    let mut expect = |signal: &str, outcome: &str, records: u64| {
        expected.insert((signal.to_owned(), outcome.to_owned()), records);
    };
    for (signal, batch, rejected, good) in &batches {
        let path = format!("/v1/{signal}");
        // Sent twice, as by a sender that got no response.
        for _ in 0..2 {
            let answer = server.post(&path, batch);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(json_of(&answer)["partialSuccess"][rejected], "1", "{answer:?}");
        }
        let answer = server.post(&path, &json!("no request"));
        assert_eq!(answer.status, 400, "{answer:?}");
        expect(signal, "stored", *good);
        expect(signal, "known", *good);
        expect(signal, "rejected", 2);
        expect(signal, "refused", 1);
    }
    assert_eq!(counted(&server), expected);
    server.stop();
}

#[test]
fn an_invalid_attribute_in_json_is_reported_and_no_record_is_lost() {
    let folder = Folder::new();
    let server = folder.serve();
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let mut batch = traces(&[
        span(trace_id, "00000000000000a1", "whole"),
        span(trace_id, "00000000000000a2", "with a bad one"),
    ]);
    batch["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["attributes"] = json!([
        {"key": "retries", "value": {"intValue": "many"}},
        {"key": 7, "value": {"intValue": "1"}},
        {"key": "user", "value": {"stringValue": "ann"}},
    ]);
    let answer = server.post("/v1/traces", &batch);
    assert_eq!(answer.status, 200, "{answer:?}");
    let partial_success = &json_of(&answer)["partialSuccess"];
    let message = partial_success["errorMessage"].as_str().unwrap();
    assert!(
        partial_success["rejectedSpans"].is_null() || partial_success["rejectedSpans"] == "0",
        "{partial_success}"
    );
    for part in [
        "\"retries\": intValue: \"many\" is not",
        "attributes[1].key: 7 is not a text",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let read = server.get(&format!("/v1/telemetry/traces/{trace_id}/spans/00000000000000a2"));
    let attributes = &json_of(&read)["attributes"];
    assert_eq!(
        (&attributes["retries"], &attributes["user"]),
        (&json!("many"), &json!("ann"))
    );
    let outcome = |outcome: &str| ("traces".to_owned(), outcome.to_owned());
    let expected = BTreeMap::from([(outcome("stored"), 2), (outcome("repaired"), 2)]);
    assert_eq!(counted(&server), expected);
    server.stop();
}

#[test]
fn sent_buckets_are_shown_as_percentiles_that_are_marked_as_interpolated() {
    let folder = Folder::new();
    let server = folder.serve();
    let now = Timestamp::now().as_nanos().to_string();
    let histogram = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "rpc.duration", "unit": "ms",
        "histogram": {"aggregationTemporality": 2, "dataPoints": [{
            "startTimeUnixNano": "1", "timeUnixNano": now, "count": "40", "sum": 80.0,
            "bucketCounts": ["10", "10", "20", "0"], "explicitBounds": [1, 2, 4]}]}}]}]}]});
    assert_eq!(server.post("/v1/metrics", &histogram).status, 200);
    server.stop();
    let table = finished(folder.command(&["metrics", "rpc.duration"]));
    let row: Vec<&str> = table.lines().nth(3).unwrap().split_whitespace().collect();
    assert_eq!(
        row,
        ["(none)", "40", "2.0ms", "~2.0ms", "~3.8ms", "~4.0ms"],
        "{table}"
    );
    assert!(table.contains("~ is interpolated"), "{table}");
}

/// The samples of `spanscope_received_total`, by signal and outcome.
pub(crate) fn counted(server: &Serve) -> BTreeMap<(String, String), u64> {
    let answer = server.get("/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let samples = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("spanscope_received_total{"));
    samples
        .map(|sample| {
            let (labels, value) = sample.split_once("} ").unwrap();
            let labels: BTreeMap<&str, &str> = labels
                .split(',')
                .map(|label| label.split_once('=').unwrap())
                .collect();
            let label = |name: &str| labels[name].trim_matches('"').to_owned();
            assert_eq!(labels.len(), 2, "{sample}");
            ((label("signal"), label("outcome")), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn a_request_that_does_not_fit_is_refused_before_it_is_acknowledged() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0", "--max-size", "1"]);
    command.env("RUST_LOG", "off");
    let server = Serve::start(command);
    let large: Vec<Json> = (1..=100)
        .map(|number| {
            let mut span = span(
                "0af7651916cd43dd8448eb211c80319c",
                &format!("{number:016x}"),
                "large",
            );
            span["attributes"] = json!([{"key": "text", "value": {"stringValue": "x".repeat(10_000)}}]);
            span
        })
        .collect();
    for _ in 0..3 {
        let answer = server.post("/v1/traces", &traces(&large));
        assert_eq!(answer.status, 507, "{answer:?}");
        assert_eq!(json_of(&answer)["code"], 9, "{answer:?}");
    }
    for some in large.chunks(20) {
        assert_eq!(server.post("/v1/traces", &traces(some)).status, 200);
    }
    let refused = counted(&server)[&("traces".to_owned(), "refused".to_owned())];
    assert_eq!(refused, 3);
    let ended = server.killed();
    let refusals = ended.err.lines().filter(|line| line.contains("refused"));
    assert_eq!(refusals.count(), 1, "{}", ended.err);
}

#[test]
fn requests_are_counted_by_route_and_unknown_paths_become_no_labels() {
    let folder = Folder::new();
    let server = folder.serve();
    for number in 0..3 {
        assert_eq!(server.get(&format!("/traces/task-{number}")).status, 404);
        assert_eq!(server.get(&format!("/wp-admin-{number}/x.php")).status, 404);
    }
    let text = server.get("/metrics").body;
    let requests: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("llama_stack_requests_total{"))
        .collect();
    assert_eq!(
        requests,
        [
            r#"llama_stack_requests_total{api="traces",status="404"} 3"#,
            r#"llama_stack_requests_total{api="unknown",status="404"} 3"#,
        ],
        "{text}"
    );
    assert!(!text.contains("wp-admin"), "{text}");
    assert!(text.contains(r#"http_route="/traces/{task_id}""#), "{text}");
    server.stop();
}
