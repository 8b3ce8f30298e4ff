//! Records with invalid bytes, ids, units and names, and requests to wrong paths.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

use super::super::support::{Folder, json_of, span, traces};
use super::{command_json, path, remark, send, send_bytes};

fn texts<'a>(rows: &'a Json, field: &str) -> Vec<&'a str> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row[field].as_str().unwrap())
        .collect()
}

#[test]
fn containers_in_the_spelling_of_protobuf_are_read() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(
        remark(&send(&server, "/v1/traces", "20-snake-case/scope-snake.json")),
        ""
    );
    assert_eq!(texts(&command_json(&folder, &["spans"]), "name"), ["scope snake"]);

    let now = Timestamp::now().as_nanos();
    let all_snake = json!({"resource_spans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"string_value": "snake"}}]},
        "scope_spans": [{"scope": {"name": "lib"}, "spans": [{
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "00000000000000a1", "name": "all snake",
            "start_time_unix_nano": (now - 5).to_string(), "end_time_unix_nano": now.to_string(),
            "attributes": [{"key": "n", "value": {"int_value": "5"}}],
            "status": {"code": 2}
        }]}]
    }]});
    assert_eq!(remark(&server.post("/v1/traces", &all_snake)), "");
    let found = command_json(
        &folder,
        &["spans", "--where", "n=5", "--service", "snake", "--errors"],
    );
    assert_eq!(texts(&found, "name"), ["all snake"]);
    server.stop();
}

#[test]
fn containers_of_older_versions_are_read_and_unknown_ones_are_reported() {
    let folder = Folder::new();
    let server = folder.serve();
    let one = span("0af7651916cd43dd8448eb211c80319c", "00000000000000a1", "legacy");
    let legacy = json!({"resourceSpans": [{"instrumentationLibrarySpans": [
        {"instrumentationLibrary": {"name": "old lib"}, "spans": [one]}
    ]}]});
    assert_eq!(remark(&server.post("/v1/traces", &legacy)), "");
    let found = command_json(&folder, &["spans"]);
    assert_eq!(
        (found[0]["name"].as_str(), found[0]["target"].as_str()),
        (Some("legacy"), Some("old lib"))
    );
    for (body, report) in [
        (
            json!({"resourceSpans": [{"libSpans": [{"spans": [one]}]}]}),
            "a resource has no field `scopeSpans` but \"libSpans\", so nothing in it was read",
        ),
        (
            json!({"resourceSpans": [{"scopeSpans": [{"span": [one]}]}]}),
            "a scope has no field `spans` but \"span\", so nothing in it was read",
        ),
    ] {
        assert_eq!(remark(&server.post("/v1/traces", &body)), report);
    }
    server.stop();
}

#[test]
fn a_log_line_with_invalid_ids_is_stored_without_them() {
    let folder = Folder::new();
    let server = folder.serve();
    let report = remark(&send(&server, "/v1/logs", "22-bad-log-ids/logs.json"));
    assert!(report.starts_with("3 log records were stored without ids that can't be used; the first: log record \"short trace\": its trace id has 2 bytes"), "{report}");
    let lines = command_json(&folder, &["logs"]);
    let mut messages = texts(&lines, "message");
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "dashes",
            "good one",
            "short trace",
            "span only",
            "upper case",
            "zeros"
        ]
    );
    for line in lines.as_array().unwrap() {
        let has_ids = line["message"] == "upper case";
        assert_eq!(!line["trace_id"].is_null(), has_ids, "{line}");
        assert_eq!(!line["span_id"].is_null(), has_ids, "{line}");
    }
    assert_eq!(
        super::super::received::counted(&server).get(&("logs".to_owned(), "repaired".to_owned())),
        Some(&3)
    );
    server.stop();
}

#[test]
fn severities_are_read_by_number_and_by_all_their_names() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(remark(&send(&server, "/v1/logs", "35-severities/logs.json")), "");
    let lines = command_json(&folder, &["logs"]);
    for (message, severity) in [
        ("dotnet info", "info"),
        ("dotnet warn", "warn"),
        ("python", "warn"),
        ("jul severe", "error"),
        ("pino number text", "error"),
        ("pino only text", "error"),
        ("critical", "critical"),
        ("by name", "error"),
        ("none", "info"),
        ("notice", "info"),
        ("http", "info"),
        ("verbose", "verbose"),
        ("level attribute only", "error"),
        ("error2", "error"),
        ("warn3", "warn"),
    ] {
        let line = lines
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["message"] == message);
        assert_eq!(line.unwrap()["severity"], severity, "{message}");
    }
    server.stop();
}

#[test]
fn a_text_that_is_not_utf_8_is_repaired_and_marked_and_the_others_are_unchanged() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut body = std::fs::read(path("64-invalid-utf8/traces.pb")).unwrap();
    // The times are fixed fields of eight bytes.
    let now = Timestamp::now().as_nanos();
    let old = 1_795_967_811_000_000_000_i64.to_le_bytes();
    while let Some(at) = body.windows(8).position(|bytes| bytes == old) {
        body[at..at + 8].copy_from_slice(&(now - 5).to_le_bytes());
        body[at + 9..at + 17].copy_from_slice(&now.to_le_bytes());
    }
    let answer = send_bytes(&server, "/v1/traces", "application/x-protobuf", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .body
            .contains("1 text is not UTF-8, and the wrong bytes were replaced by U+FFFD"),
        "{answer:?}"
    );
    let spans = command_json(&folder, &["spans"]);
    let find = |name: &str| {
        spans
            .as_array()
            .unwrap()
            .iter()
            .find(|span| span["name"] == name)
            .unwrap()
    };
    assert_eq!(
        find("span with latin-1 text")["attributes"],
        json!({"db.statement": "caf\u{fffd} \u{fffd}", "spanscope.repaired_text": true})
    );
    assert_eq!(find("good span")["attributes"], json!({}));

    let mut json = traces(&[span(
        "0af7651916cd43dd8448eb211c80319c",
        "00000000000000a1",
        "caf@",
    )])
    .to_string()
    .into_bytes();
    let at = json.iter().position(|byte| *byte == b'@').unwrap();
    json[at] = 0xe9;
    let report = remark(&send_bytes(&server, "/v1/traces", "application/json", &json));
    assert_eq!(
        report,
        "1 text is not UTF-8, and the wrong bytes were replaced by U+FFFD"
    );
    let found = command_json(
        &folder,
        &[
            "spans",
            "--where",
            "spanscope.repaired_text=true",
            "--where",
            "name=caf\u{fffd}",
        ],
    );
    assert_eq!(found.as_array().unwrap().len(), 1);
    server.stop();
}

#[test]
fn times_in_other_units_are_converted_and_times_in_the_future_are_kept_and_reported() {
    let folder = Folder::new();
    let server = folder.serve();
    let report = remark(&send(&server, "/v1/traces", "79-milliseconds/traces.json"));
    assert_eq!(
        report,
        "1 record has times in us, which were read as such: send nanoseconds since 1970; \
         1 record has times in ms, which were read as such: send nanoseconds since 1970; \
         1 record is more than a day ahead of this machine's clock, and was stored so: look at the sender's clock"
    );
    let spans = command_json(&folder, &["spans"]);
    let now = Timestamp::now().as_nanos();
    for span in spans.as_array().unwrap() {
        let start: Timestamp = span["start_time"].as_str().unwrap().parse().unwrap();
        let ago = now - start.as_nanos();
        let hour = 3_600 * super::SECOND;
        let expected = if span["name"] == "next year" {
            -366 * 24 * hour..-364 * 24 * hour
        } else {
            -hour..hour
        };
        assert!(expected.contains(&ago), "{span}");
    }
    assert_eq!(spans.as_array().unwrap().len(), 4);

    let mut old = span("0af7651916cd43dd8448eb211c80319c", "00000000000000a1", "old");
    let days = |days: i64| (now - days * 24 * 3_600 * super::SECOND).to_string();
    (old["startTimeUnixNano"], old["endTimeUnixNano"]) = (days(9).into(), days(9).into());
    assert_eq!(
        remark(&server.post("/v1/traces", &traces(&[old]))),
        "1 record is older than the 168 h that this store keeps records, and will be deleted soon"
    );
    server.stop();
}

#[test]
fn a_request_to_a_wrong_path_is_refused_with_the_likely_cause() {
    let folder = Folder::new();
    let server = folder.serve();
    for (path, cause, fix) in [
        ("/v1/traces/v1/traces", "twice", "to the address alone"),
        ("/v1/logs/v1/traces", "twice", "to the address alone"),
        ("/otlp/v1/logs", "before or behind", "without a path"),
        ("//v1/metrics", "before or behind", "without a slash at its end"),
        ("/", "the root accepts no data", "address with /v1/traces"),
        ("/v2/nothing", "accepts no data", "/openapi.json"),
        ("/api/v1/otel/v1/traces", "before or behind", "without a path"),
        ("/api/v2/spans", "accepts no data", "Zipkin"),
    ] {
        let answer = server.post(path, &traces(&[]));
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        let error = &json_of(&answer)["error"];
        assert_eq!(error["code"], "no_such_path", "{path}");
        assert!(
            error["message"].as_str().unwrap().contains(cause),
            "{path}: {error}"
        );
        assert!(
            error["what_to_do"].as_str().unwrap().contains(fix),
            "{path}: {error}"
        );
    }
    server.stop();
}

#[test]
fn a_log_line_that_is_only_an_event_is_shown_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let now = Timestamp::now().as_nanos().to_string();
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": now, "attributes": [{"key": "event.name", "value": {"stringValue": "checkout.paid"}}]}
    ]}]}]});
    assert_eq!(remark(&server.post("/v1/logs", &body)), "");
    let lines = command_json(&folder, &["logs"]);
    assert_eq!(
        (lines[0]["name"].as_str(), lines[0]["message"].as_str()),
        (Some("checkout.paid"), Some("checkout.paid"))
    );
    let mut command = folder.command(&["logs", "--format", "table"]);
    command.env("NO_COLOR", "1");
    let shown = super::finished(command);
    assert!(!shown.contains("checkout.paid: checkout.paid"), "{shown}");
    server.stop();
}

#[test]
fn a_partial_span_is_shown_in_its_latest_state_and_each_event_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let trace = "f1e1d00000000000000000000000001d";
    // All bodies are moved by the same offset, so that repeated events stay equal.
    let moved = Timestamp::now().as_nanos() - super::MADE * super::SECOND;
    let times = std::cell::Cell::new(0);
    let sent = |of: &str| {
        let mut body = super::body_moved(&format!("29-partial-spans/{of}.json"), moved);
        // No two bodies are equal, or the second one would be recognized as a repetition.
        times.set(times.get() + 1);
        body.push_str(&" ".repeat(times.get()));
        let answer = send_bytes(&server, "/v1/traces", "application/json", body.as_bytes());
        assert_eq!(remark(&answer), "");
    };
    let shown = || {
        let spans = command_json(&folder, &["spans"]);
        assert_eq!(spans.as_array().unwrap().len(), 1, "{spans}");
        let span = spans[0].clone();
        let mut events: Vec<String> = command_json(&folder, &["logs"])
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["name"].as_str().unwrap().to_owned())
            .collect();
        events.sort();
        (span["state"].clone(), span["attributes"].clone(), events.concat())
    };
    sent("1-start");
    assert_eq!(shown(), (json!("running"), json!({"step": 1}), "A".to_owned()));
    let snapshot = (
        json!("running"),
        json!({"step": 2, "progress": 0.5}),
        "AB".to_owned(),
    );
    sent("2-heartbeat");
    assert_eq!(shown(), snapshot);
    // A delayed repetition contains nothing new.
    sent("1-start");
    assert_eq!(shown(), snapshot);
    let ended = (
        json!("ended"),
        json!({"step": 3, "progress": 1.0}),
        "ABC".to_owned(),
    );
    sent("3-end");
    assert_eq!(shown(), ended);
    sent("2-heartbeat");
    assert_eq!(shown(), ended);
    let summary = command_json(&folder, &["traces"]);
    assert_eq!(summary[0]["trace_id"], trace);
    assert_eq!(summary[0]["span_count"], 1, "{summary}");
    server.stop();
}

#[test]
fn both_halves_of_a_call_that_share_a_span_id_are_kept() {
    for order in [["client", "server"], ["server", "client"]] {
        let folder = Folder::new();
        let server = folder.serve();
        // Each is sent twice, as by a sender that got no response.
        for half in order.into_iter().chain(order) {
            let answer = send(&server, "/v1/traces", &format!("30-shared-span-ids/{half}.json"));
            assert_eq!(remark(&answer), "");
        }
        let spans = command_json(&folder, &["spans"]);
        assert_eq!(spans.as_array().unwrap().len(), 2, "{spans}");
        let find = |name: &str| {
            let mut spans = spans.as_array().unwrap().iter();
            spans.find(|span| span["name"] == name).unwrap()
        };
        let (client, server_half) = (find("GET /x client"), find("GET /x server"));
        assert_eq!(client["span_id"], "c0de000000000bb9");
        assert_eq!(client["service_name"], "c30-client");
        assert_eq!(server_half["parent_span_id"], "c0de000000000bb9");
        assert_eq!(server_half["service_name"], "c30-server");
        assert_eq!(
            server_half["attributes"],
            json!({"route": "/x", "spanscope.shared_span_id": "c0de000000000bb9"})
        );
        let by_id = command_json(&folder, &["span", "c0de000000000bb9"]);
        assert!(by_id.to_string().contains("GET /x client"), "{by_id}");
        let tree = server.post("/v1/telemetry/spans/c0de000000000bb9/tree", &json!({}));
        let tree = json_of(&tree)["data"].as_object().unwrap().clone();
        assert_eq!(tree.len(), 2, "{tree:?}");
        let traces = command_json(&folder, &["traces"]);
        assert_eq!(traces[0]["root_span_id"], "c0de000000000bb9", "{traces}");
        server.stop();
    }
}
