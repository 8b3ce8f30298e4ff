//! Tenancy: a table of every route, and the result of each when a stranger with another token calls
//! it.

mod reads;
mod tokens;
mod writes;

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use spanscope_server::Limits;

use crate::otlp::{JSON, one_of_each, send, span, text, traces};
use crate::running::{ACME, OTHER, Open, open_with};
use crate::wire::{Answer, Ask};

/// A text in everything that acme stored, and nowhere else.
const SECRET: &str = "secret of acme";
/// A text in everything that the other one stored.
const THEIRS: &str = "theirs alone";
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const SPAN: &str = "b7ad6b7169203331";

/// What a route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Does {
    /// Lists the caller's records.
    List,
    /// Returns one record by id; another tenant's is not found.
    Look,
    /// Lists the records with a name; another tenant's list is empty.
    Named,
    /// Deletes a record by id.
    Delete,
    /// Deletes all that is old.
    Clean,
    /// Stores records.
    Write,
    /// Writes the caller's records to a file of the caller.
    Export,
    /// About the server and for everyone.
    Public,
    /// Concerns all tenants.
    ForAdministrators,
}

/// A route, what it does, and a body that requests everything.
pub(crate) struct Row {
    method: &'static str,
    pub(crate) path: String,
    pub(crate) does: Does,
    body: Value,
}

/// Every route, those of the API under each prefix.
pub(crate) fn rows() -> Vec<Row> {
    let nothing = json!({});
    let event = json!({"event": {"type": "unstructured_log", "message": "m", "severity": "info",
        "timestamp": "2025-07-20T08:26:40Z", "trace_id": TRACE, "span_id": SPAN}});
    let all_spans = json!({"attribute_filters": [], "attributes_to_return": []});
    let export = json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": "mine"});
    let [traces, metrics, logs] = one_of_each().map(|(_, body)| body);
    let table = [
        ("POST", "/v1/telemetry/events", Does::Write, &event),
        ("POST", "/v1/telemetry/traces", Does::List, &nothing),
        ("GET", "/v1/telemetry/traces/{trace_id}", Does::Look, &nothing),
        (
            "GET",
            "/v1/telemetry/traces/{trace_id}/spans/{span_id}",
            Does::Look,
            &nothing,
        ),
        (
            "GET",
            "/v1/telemetry/traces/{trace_id}/eval-traces",
            Does::Look,
            &nothing,
        ),
        ("POST", "/v1/telemetry/spans", Does::List, &all_spans),
        ("POST", "/v1/telemetry/spans/export", Does::Export, &export),
        ("POST", "/v1/telemetry/spans/{span_id}/tree", Does::Look, &nothing),
        (
            "POST",
            "/v1/telemetry/metrics/{metric_name}",
            Does::List,
            &json!({"start_time": 0}),
        ),
        ("POST", "/telemetry/events", Does::Write, &event),
        ("POST", "/telemetry/traces", Does::List, &nothing),
        ("GET", "/telemetry/traces/{trace_id}", Does::Look, &nothing),
        (
            "GET",
            "/telemetry/traces/{trace_id}/spans/{span_id}",
            Does::Look,
            &nothing,
        ),
        (
            "GET",
            "/telemetry/traces/{trace_id}/eval-traces",
            Does::Look,
            &nothing,
        ),
        ("POST", "/telemetry/spans", Does::List, &all_spans),
        ("POST", "/telemetry/spans/export", Does::Export, &export),
        ("POST", "/telemetry/spans/{span_id}/tree", Does::Look, &nothing),
        (
            "POST",
            "/telemetry/metrics/{metric_name}",
            Does::List,
            &json!({"start_time": 0}),
        ),
        ("POST", "/v1/traces", Does::Write, &traces),
        ("POST", "/v1/metrics", Does::Write, &metrics),
        ("POST", "/v1/logs", Does::Write, &logs),
        ("GET", "/metrics", Does::ForAdministrators, &nothing),
        ("GET", "/health", Does::Public, &nothing),
        ("GET", "/ready", Does::Public, &nothing),
        ("GET", "/openapi.json", Does::Public, &nothing),
    ];
    let of_runs = [
        ("GET", "/traces", Does::List),
        ("GET", "/traces/{task_id}", Does::Look),
        ("GET", "/traces/{task_id}/events", Does::Look),
        ("GET", "/traces/{task_id}/summary", Does::Look),
        ("GET", "/traces/{task_id}/analysis", Does::Look),
        ("GET", "/traces/{task_id}/stream", Does::Look),
        ("DELETE", "/traces/{task_id}", Does::Delete),
        ("POST", "/traces/cleanup", Does::Clean),
        ("GET", "/agents/{agent_id}/traces", Does::Named),
        ("GET", "/sessions/{session_id}/traces", Does::Named),
    ];
    let all = json!({"days": 0});
    let of_runs = of_runs.into_iter().flat_map(|(method, path, does)| {
        ["", "/api/v1"].map(|prefix| (method, format!("{prefix}{path}"), does, &all))
    });
    table
        .into_iter()
        .map(|(method, path, does, body)| (method, path.to_owned(), does, body))
        .chain(of_runs)
        .map(|(method, path, does, body)| Row {
            method,
            path,
            does,
            body: body.clone(),
        })
        .collect()
}

impl Row {
    /// The request, with these ids in its path.
    pub(crate) fn ask(&self, trace: &str, span: &str) -> Ask {
        let path = self
            .path
            .replace("{trace_id}", trace)
            .replace("{span_id}", span)
            .replace("{task_id}", trace)
            .replace("{agent_id}", &SECRET.replace(' ', "%20"))
            .replace("{session_id}", &SECRET.replace(' ', "%20"))
            .replace("{metric_name}", "jobs");
        match self.method {
            "POST" => Ask::json(&path, &self.body),
            method => Ask::new(method, &path),
        }
    }

    /// Calls it with acme's ids and this token.
    fn asked_by(&self, open: &Open, token: &str) -> Answer {
        self.ask(TRACE, SPAN).token(token).to(open.address)
    }
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let open = open_with(crate::running::tokens(), Limits::default());
    let document = Ask::get("/openapi.json").to(open.address).json();
    let routes: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        // `pages::sessions` has the tenants of the pages.
        .filter(|(path, _)| !path.starts_with("/ui/"))
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let rows: BTreeSet<String> = rows()
        .iter()
        .map(|row| format!("{} {}", row.method, row.path))
        .collect();
    assert_eq!(rows, routes);
}

/// Returns a root span and its child, which contain `secret`.
fn spans_with(secret: &str, trace: &str, span_id: &str) -> Vec<Span> {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let root = Span {
        trace_id: bytes(trace),
        span_id: bytes(span_id),
        attributes: vec![
            text("input", secret),
            text("output", secret),
            text("session_id", secret),
            text("agent_id", secret),
        ],
        ..span(secret)
    };
    let below = Span {
        span_id: vec![9; 8],
        parent_span_id: root.span_id.clone(),
        name: format!("below: {secret}"),
        ..root.clone()
    };
    vec![root, below]
}

/// Stores a span, a log record and a measurement with this text.
fn store(open: &Open, token: &str, secret: &str, trace: &str, span_id: &str) {
    let time = "1753000000000000000";
    let label = json!({"key": "queue", "value": {"stringValue": secret}});
    let point = json!({"timeUnixNano": time, "asInt": "3", "attributes": [label]});
    let metric = json!({"name": "jobs", "gauge": {"dataPoints": [point]}});
    let record =
        json!({"timeUnixNano": time, "body": {"stringValue": secret}, "traceId": trace, "spanId": span_id});
    for ask in [
        send(&traces(spans_with(secret, trace, span_id))),
        Ask::json(
            "/v1/metrics",
            &json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}),
        ),
        Ask::json(
            "/v1/logs",
            &json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}),
        ),
    ] {
        let answer = ask.token(token).to(open.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(matches!(answer.body.as_slice(), b"" | b"{}"), "{}", answer.text());
    }
    let event = json!({"type": "unstructured_log", "message": secret, "severity": "info", "timestamp": "2025-07-20T08:26:40Z",
        "trace_id": trace, "span_id": span_id});
    let answer = Ask::post("/v1/telemetry/events", JSON, json!({"event": event}).to_string());
    assert_eq!(answer.token(token).to(open.address).status, 204);
}

/// Acme has stored something, and the other one something else.
fn filled() -> Open {
    let open = open_with(crate::running::tokens(), Limits::default());
    store(&open, ACME, SECRET, TRACE, SPAN);
    store(
        &open,
        OTHER,
        THEIRS,
        "11111111111111111111111111111111",
        "2222222222222222",
    );
    open
}
