//! Writes: they belong to the sender, whatever it claims, and nothing of another tenant changes.

use serde_json::{Value, json};
use spanscope_model::{LogFilter, MetricQuery, Span, SpanFilter, TraceStore, block_on};

use super::{Does, SECRET, SPAN, THEIRS, TRACE, filled, rows, spans_with};
use crate::otlp::{send, text, traces_of};
use crate::running::{ACME, Counts, OTHER, Open, tenant};
use crate::wire::Ask;

/// Everything that one tenant has.
type All = (Counts, Vec<Span>, String, String);

fn all_of(open: &Open, name: &str) -> All {
    let store = open.store.for_tenant(&tenant(name));
    let spans = block_on(store.list_spans(SpanFilter::default())).unwrap();
    let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
    let query = MetricQuery::range("jobs", spanscope_model::Timestamp::from_nanos(0));
    let series = block_on(store.query_metrics(query)).unwrap();
    (
        open.counts_of(name),
        spans,
        json!(logs).to_string(),
        json!(series).to_string(),
    )
}

/// Headers with which a sender may claim to be another one.
fn claiming(ask: Ask) -> Ask {
    [
        "tenant",
        "tenant_id",
        "X-Tenant-Id",
        "X-Scope-OrgID",
        "Spanscope-Tenant",
    ]
    .iter()
    .fold(ask, |ask, name| ask.header(name, "acme"))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// Everything in a body that may name a tenant names acme, and every id is one of acme's.
fn claims() -> Vec<(&'static str, Value)> {
    let time = "1753000000500000000";
    let claim = json!([attribute("tenant_id", "acme"), attribute("tenant.id", "acme")]);
    let resource = json!({"attributes": claim});
    let scope = json!({"name": "s", "attributes": claim});
    let ids = json!({"traceId": TRACE, "spanId": SPAN});
    let with_ids = |mut value: Value| {
        let fields = ids.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(fields);
        value
    };
    let span = with_ids(
        json!({"name": THEIRS, "startTimeUnixNano": time, "endTimeUnixNano": time, "attributes": claim,
        "events": [{"timeUnixNano": time, "name": THEIRS, "attributes": claim}], "links": [ids]}),
    );
    let record =
        with_ids(json!({"timeUnixNano": time, "body": {"stringValue": THEIRS}, "attributes": claim}));
    let point = json!({"timeUnixNano": time, "asInt": "1000", "attributes": claim, "exemplars": [ids]});
    let metric = json!({"name": "jobs", "gauge": {"dataPoints": [point]}});
    let event = |fields: Value| {
        let mut event = json!({"trace_id": TRACE, "span_id": SPAN, "timestamp": "2025-07-20T08:26:41Z",
            "attributes": {"tenant_id": "acme", "service_name": "acme"}});
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        json!({"event": event})
    };
    let payload = |payload: Value| event(json!({"type": "structured_log", "payload": payload}));
    let mut continues = payload(json!({"type": "span_start", "name": THEIRS}));
    continues["event"]["trace_id"] = json!("33333333333333333333333333333333");
    continues["event"]["span_id"] = json!("4444444444444444");
    continues["event"]["attributes"]["traceparent"] = json!(format!("00-{TRACE}-{SPAN}-01"));
    let mut child = payload(json!({"type": "span_start", "name": THEIRS, "parent_span_id": SPAN}));
    child["event"]["span_id"] = json!("5555555555555555");
    let events = "/v1/telemetry/events";
    vec![
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
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": [metric]}]}]}),
        ),
        (
            events,
            event(json!({"type": "unstructured_log", "message": THEIRS, "severity": "info"})),
        ),
        (
            events,
            event(json!({"type": "metric", "metric": "jobs", "value": 1000, "unit": ""})),
        ),
        (events, payload(json!({"type": "span_start", "name": THEIRS}))),
        (events, payload(json!({"type": "span_end", "status": "error"}))),
        (events, continues),
        (events, child),
    ]
}

#[test]
fn records_belong_to_the_tenant_that_sends_them_whatever_they_claim() {
    let mut written = std::collections::BTreeSet::new();
    for (path, body) in claims() {
        let prefixes: &[&str] = if path.contains("telemetry") {
            &["/v1", ""]
        } else {
            &["/v1"]
        };
        for prefix in prefixes {
            let open = filled();
            let path = format!("{prefix}{}", path.trim_start_matches("/v1"));
            let before = (all_of(&open, "acme"), all_of(&open, "other"));
            assert!(!before.0.1.is_empty() && before.0.2.contains(SECRET) && before.0.3.contains(SECRET));
            let answer = claiming(Ask::json(&path, &body)).token(OTHER).to(open.address);
            assert!(
                [200, 204].contains(&answer.status),
                "{path} {body}: {}",
                answer.text()
            );
            assert_eq!(all_of(&open, "acme"), before.0, "{path} {body}");
            assert_ne!(
                all_of(&open, "other").0,
                before.1.0,
                "{path} {body}: it was stored"
            );
            for absent in ["default", "s"] {
                assert_eq!(open.counts_of(absent), (0, 0, 0), "{path} {body}");
            }
            written.insert(path);
        }
    }
    let writing = rows().into_iter().filter(|row| row.does == Does::Write);
    assert_eq!(
        written,
        writing.map(|row| row.path.to_owned()).collect(),
        "every route that writes"
    );
}

#[test]
fn no_tenant_ends_or_begins_the_spans_of_another() {
    let open = filled();
    let event = |span: &str, payload: Value| {
        json!({"event": {"type": "structured_log", "trace_id": TRACE, "span_id": span, "timestamp": "2025-07-20T08:26:41Z",
            "payload": payload}})
    };
    let start = json!({"type": "span_start", "name": SECRET});
    let end = json!({"type": "span_end", "status": "error"});
    let send_event = |token: &str, body: &Value| {
        let answer = Ask::json("/v1/telemetry/events", body)
            .token(token)
            .to(open.address);
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    // One of acme's runs; of another one only the end has arrived.
    send_event(ACME, &event("6666666666666666", start.clone()));
    send_event(ACME, &event("7777777777777777", end.clone()));
    let before = all_of(&open, "acme");
    send_event(OTHER, &event("6666666666666666", end.clone()));
    send_event(OTHER, &event("7777777777777777", start.clone()));
    assert_eq!(all_of(&open, "acme"), before);
    send_event(ACME, &event("6666666666666666", end));
    send_event(ACME, &event("7777777777777777", start));
    assert_ne!(all_of(&open, "acme"), before, "acme's own do");
}

#[test]
fn no_claimed_tenant_name_changes_the_caller() {
    // A program may describe itself in any way; here it uses the name of the default tenant.
    let open = filled();
    for (number, name) in (1_u8..).zip(["default", "*", "", "acme\0", "0"]) {
        let claim = vec![text("tenant_id", name), text("service.name", name)];
        let mut spans = spans_with(THEIRS, TRACE, SPAN);
        spans[0].attributes = claim.clone();
        spans[0].span_id = vec![number; 8];
        let before = open.counts_of("other");
        let answer = claiming(send(&traces_of(claim, spans)))
            .token(OTHER)
            .to(open.address);
        assert_eq!(answer.status, 200);
        assert_ne!(open.counts_of("other"), before, "{name:?}");
        assert_eq!(open.counts_of("default"), (0, 0, 0), "{name:?}");
        assert_eq!(open.counts_of("acme"), (2, 2, 1), "{name:?}");
    }
}

#[test]
fn records_of_other_tenants_are_not_deleted() {
    for row in rows()
        .into_iter()
        .filter(|row| matches!(row.does, Does::Delete | Does::Clean))
    {
        let open = filled();
        let before = all_of(&open, "acme");
        let theirs = row.ask(TRACE, SPAN).token(OTHER).to(open.address);
        assert_eq!(
            theirs.status,
            if row.does == Does::Delete { 404 } else { 200 },
            "{}",
            row.path
        );
        assert_eq!(all_of(&open, "acme"), before, "{}", row.path);
        let own = row.ask(TRACE, SPAN).token(ACME).to(open.address);
        assert_eq!(own.status, 200, "{}: {}", row.path, own.text());
        assert_eq!(open.counts_of("acme").0, 0, "{}", row.path);
    }
}
