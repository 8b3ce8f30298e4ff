//! Secrets that other programs send: none is stored in plain text, whatever the protocol.

use serde_json::{Value as Json, json};
use spanscope_model::Timestamp;

use spanscope_tests::sqlite::change;

use super::support::{Folder, finished, json_of};

/// A text that no file and no response may contain.
const SECRET: &str = "hunter2";

fn attribute(key: &str, value: Json) -> Json {
    json!({"key": key, "value": value})
}

/// Attributes with the secret in every type of value that OTLP has.
fn attributes() -> Json {
    let text = |text: &str| json!({"stringValue": text});
    json!([
        attribute("user.passwords", text(SECRET)),
        attribute("pwd", text(SECRET)),
        attribute("url", text("amqp://ann:hunter2@queue/x")),
        attribute("payload", text(r#"{"a":[{"jwt":"hunter2"}]}"#)),
        attribute("dsn", text("host=db password=hunter2")),
        attribute("form", text("user=ann&password=hunter2")),
        attribute("process.env", text("A=b\nexport DB_PASSWORD=hunter2")),
        attribute("command", text("PGPASSWORD=hunter2 psql -h db")),
        attribute("https://ann:hunter2@key/x", text("kept-4")),
        attribute(
            "servers",
            json!({"kvlistValue": {"values": [attribute("https://ann:hunter2@key/x", text("kept-5"))]}})
        ),
        attribute("file", text("user: ann\npassword: hunter2\n")),
        attribute("answer", text("<secret>hunter2</secret>")),
        attribute("sent", text("Authorization: Bearer hunter2")),
        attribute("gen_ai.prompt", text("run curl -u ann:hunter2 https://h/x")),
        attribute(
            "tool",
            text(r#"{"arguments":"{\"command\":\"export API_KEY=hunter2\"}"}"#)
        ),
        attribute("code", text("api_key=os.environ['kept-3']")),
        attribute("secret_list", json!({"arrayValue": {"values": [text(SECRET)]}})),
        attribute(
            "nested",
            json!({"kvlistValue": {"values": [
                attribute("deeper", json!({"kvlistValue": {"values": [attribute("api_key", text(SECRET))]}})),
                attribute("texts", json!({"arrayValue": {"values": [text(r#"{"auth":"hunter2"}"#)]}})),
            ]}})
        ),
        attribute("eos_token", text("kept-1")),
        attribute("token", json!({"intValue": "4711"})),
    ])
}

fn requests() -> [(&'static str, Json); 3] {
    let time = Timestamp::now().as_nanos().to_string();
    let mut resource = attributes();
    let service = attribute(
        "service.name",
        json!({"stringValue": "shop of https://ann:hunter2@h"}),
    );
    resource.as_array_mut().unwrap().push(service);
    let resource = json!({"attributes": resource});
    let url = "https://ann:hunter2@h/x";
    let scope = json!({"name": url, "version": "password=hunter2", "attributes": attributes()});
    let span = json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00000000000000a1", "name": "GET https://ann:hunter2@h/x",
        "startTimeUnixNano": time, "endTimeUnixNano": time, "attributes": attributes(), "traceState": format!("v={url}"),
        "status": {"code": 2, "message": "no answer of https://ann:hunter2@h/x, password: hunter2"},
        "events": [{"timeUnixNano": time, "name": "tried", "attributes": attributes()}],
        "links": [{"traceId": "0af7651916cd43dd8448eb211c80319d", "spanId": "00000000000000a2", "attributes": attributes()}],
    });
    let body = json!({"kvlistValue": {"values": attributes()}});
    let record = json!({"timeUnixNano": time, "severityNumber": 9, "body": body, "attributes": attributes()});
    let exemplar = json!({"timeUnixNano": time, "asInt": "1", "filteredAttributes": attributes()});
    let point =
        json!({"timeUnixNano": time, "asInt": "1", "attributes": attributes(), "exemplars": [exemplar]});
    let sum = json!({"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [point]});
    [
        (
            "/v1/traces",
            json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": [span]}]}]}),
        ),
        (
            "/v1/logs",
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [record]}]}]}),
        ),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [
            {"scope": scope, "metrics": [
                {"name": "logins_total", "unit": url, "sum": sum}, {"name": format!("of {url}"), "sum": sum},
            ]}]}]}),
        ),
    ]
}

fn assert_masked(place: &str, text: &str) {
    if let Some(at) = text.find(SECRET) {
        let start = (0..=at.saturating_sub(120))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        panic!("{place}: {}", &text[start.unwrap_or(0)..at + SECRET.len()]);
    }
}

#[test]
fn sent_and_imported_records_are_masked_at_every_depth_before_they_are_stored() {
    let folder = Folder::new();
    let server = folder.serve();
    for (path, body) in requests() {
        assert!(body.to_string().contains(SECRET));
        let answer = server.post(path, &body);
        assert_eq!((answer.status, json_of(&answer)), (200, json!({})), "{answer:?}");
    }
    let events = [
        json!({"type": "unstructured_log", "message": r#"{"password":"hunter2"}"#, "severity": "info"}),
        json!({"type": "metric", "metric": "signins_total", "value": 1, "unit": "1"}),
        json!({"type": "structured_log", "payload": {"type": "span_start", "name": "typed"}}),
        json!({"type": "structured_log", "payload": {"type": "span_end", "status": "ok"}}),
    ];
    for mut event in events {
        event["trace_id"] = json!("0af7651916cd43dd8448eb211c80319e");
        event["span_id"] = json!("00000000000000b1");
        event["timestamp"] = json!(Timestamp::now().to_string());
        event["attributes"] = json!({"nested": {"cookies": ["hunter2"]}, "id_tokens": "hunter2", "args": r#"["x", {"pwd": "hunter2"}]"#});
        let answer = server.post(
            "/v1/telemetry/events",
            &json!({"event": event, "ttl_seconds": 3600}),
        );
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    for path in [
        "/v1/telemetry/traces/0af7651916cd43dd8448eb211c80319c/spans/00000000000000a1",
        "/metrics",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_masked(path, &answer.body);
    }
    server.stop();
    let bytes = std::fs::read(folder.db()).unwrap();
    let stored = String::from_utf8_lossy(&bytes);
    assert_masked("the store", &stored);
    for kept in [
        "kept-1",
        "kept-3",
        "kept-4",
        "kept-5",
        "4711",
        "[masked: 7 characters]",
        "amqp://[masked]@queue/x",
    ] {
        assert!(stored.contains(kept), "the store has lost {kept}");
    }
    let exported = finished(folder.command(&["export", "--to", "jsonl"]));
    assert_masked("the export", &exported);
    assert!(exported.contains("kept-1"), "{exported}");

    // A store of an older version, with secrets in plain text.
    change(
        &folder.db(),
        r#"UPDATE _span SET attributes = '{"password":"hunter2","a":{"jwt":"hunter2"},"eos_token":"kept-2"}';
           UPDATE _event SET message = 'opened redis://:hunter2@cache', attributes = '{"text":"{\"auth\":\"hunter2\"}"}';"#,
    );
    let target = Folder::new();
    finished(target.command(&["import", folder.db().to_str().unwrap()]));
    let bytes = std::fs::read(target.db()).unwrap();
    let imported = String::from_utf8_lossy(&bytes);
    assert_masked("the imported store", &imported);
    assert!(imported.contains("kept-2") && imported.contains("redis://[masked]@cache"));
}
