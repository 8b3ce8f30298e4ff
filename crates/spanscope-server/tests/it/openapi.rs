//! The OpenAPI document: responses conform to it, and a change of it is detected.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use spanscope_server::{openapi, openapi_of_the_code};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::http::{ask, ask_status, post};

use crate::otlp::PROTOBUF;
use crate::support::Server;
use crate::wire::Ask;

/// All objects of a document, with where they are.
fn walk(value: &Value, at: &str, each: &mut dyn FnMut(&str, &Value)) {
    each(at, value);
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                walk(
                    field,
                    &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    each,
                );
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), each);
            }
        }
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_operation_has_a_unique_name() {
    let document = openapi();
    let (mut references, mut names) = (0, BTreeSet::new());
    walk(&document, "", &mut |at, value| {
        if let Some(to) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            let pointer = to.strip_prefix('#').unwrap_or_else(|| panic!("{at}: {to}"));
            assert!(document.pointer(pointer).is_some(), "{at}: {to} is not there");
        }
        if let Some(name) = value.get("operationId").and_then(Value::as_str) {
            assert!(names.insert(name.to_owned()), "{name} occurs twice");
        }
    });
    assert!(
        references > 20 && names.len() > 20,
        "{references} references, {} operations",
        names.len()
    );
}

#[test]
fn texts_have_no_terms_or_links_of_rust() {
    let mut texts = 0;
    walk(&openapi(), "", &mut |at, value| {
        for key in ["description", "summary"] {
            if let Some(text) = value.get(key).and_then(Value::as_str) {
                texts += 1;
                for rust in ["](", "[`", "::", "`None`", "`Some`"] {
                    assert!(!text.contains(rust), "{at}/{key}: {text}");
                }
            }
        }
    });
    assert!(texts > 200, "{texts}");
}

#[test]
fn every_path_accepts_its_documented_methods_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let server = Server::start(spanscope_server::Server::builder(Arc::new(store)).router());
    let document = openapi();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{trace_id}", "4bf92f3577b34da6a3ce929d0e0e4736")
            .replace("{span_id}", "00f067aa0ba902b7")
            .replace("{task_id}", "t")
            .replace("{agent_id}", "a")
            .replace("{session_id}", "s")
            .replace("{metric_name}", "m")
            .replace("{prefix}", "4bf9");
        for (method, other) in [("get", "POST"), ("post", "PUT"), ("delete", "PATCH")] {
            if methods.get(method).is_none() {
                continue;
            }
            if methods[method]["responses"]["200"]["content"]
                .get("text/event-stream")
                .is_some()
            {
                let status = ask_status(server.address, &path).unwrap();
                assert_ne!(status, 405, "{method} {path}");
                continue;
            }
            let answer = match method {
                "get" => ask(server.address, "GET", &path, "").unwrap(),
                "delete" => ask(server.address, "DELETE", &path, "").unwrap(),
                _ => post(server.address, &path, "{}").unwrap(),
            };
            // Not found is fine: nothing is stored. A missing route has another code.
            assert!(
                !answer.body.contains("no_such_path") && answer.status != 405,
                "{method} {path}: {}",
                answer.status
            );
            let answer = ask(server.address, other, &path, "").unwrap();
            assert_eq!(answer.status, 405, "{other} {path}");
        }
    }
    let answer = ask(server.address, "GET", "/openapi.json", "").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), document);
}

#[test]
fn responses_match_the_document() {
    let document = openapi();
    let fields = |name: &str| -> Vec<String> {
        let fields = document["components"]["schemas"][name]["properties"].as_object();
        fields
            .unwrap_or_else(|| panic!("{name}"))
            .keys()
            .cloned()
            .collect()
    };
    // The fields of Llama Stack's API. Spanscope may add others.
    for (schema, required) in [
        (
            "Trace",
            &["trace_id", "root_span_id", "start_time", "end_time"][..],
        ),
        (
            "Span",
            &[
                "span_id",
                "trace_id",
                "parent_span_id",
                "name",
                "start_time",
                "end_time",
                "attributes",
                "status",
            ],
        ),
        ("MetricSeries", &["metric", "labels", "values"]),
        ("MetricDataPoint", &["timestamp", "value"]),
        ("MetricLabel", &["name", "value"]),
        (
            "EvalTrace",
            &["session_id", "step", "input", "output", "expected_output"],
        ),
        ("Condition", &["key", "op", "value"]),
        ("Event", &["trace_id", "span_id", "timestamp", "attributes"]),
    ] {
        let there = fields(schema);
        for field in required {
            assert!(
                there.iter().any(|have| have == field),
                "{schema} has no {field}: {there:?}"
            );
        }
    }
    let operators = &document["components"]["schemas"]["ConditionOp"];
    let operators = serde_json::to_string(operators).unwrap();
    for operator in ["eq", "ne", "gt", "lt"] {
        assert!(operators.contains(&format!("\"{operator}\"")), "{operators}");
    }
}

#[test]
fn the_routes_that_need_more_than_reading_have_501_in_the_document_and_respond_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    drop(SqliteStore::builder().open(&path).unwrap());
    let store = SqliteStore::open(&path).unwrap();
    let server = Server::start(spanscope_server::Server::builder(Arc::new(store)).router());
    let event = r#"{"event": {"type": "unstructured_log", "severity": "info", "message": "hello",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "timestamp": "2026-11-21T14:03:00Z"}}"#;
    let export = r#"{"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"}"#;
    let mut expected = BTreeSet::new();
    for (method, path, prefixes, body) in [
        ("post", "/v1/traces", &[""][..], "{}"),
        ("post", "/v1/metrics", &[""], "{}"),
        ("post", "/v1/logs", &[""], "{}"),
        ("post", "/telemetry/events", &["/v1", ""], event),
        ("post", "/telemetry/spans/export", &["/v1", ""], export),
        ("post", "/traces/cleanup", &["/api/v1", ""], "{}"),
        ("delete", "/traces/{task_id}", &["/api/v1", ""], ""),
    ] {
        for prefix in prefixes {
            let path = format!("{prefix}{path}");
            let answer = match method {
                "post" => post(server.address, &path, body).unwrap(),
                _ => ask(server.address, "DELETE", &path.replace("{task_id}", "t"), "").unwrap(),
            };
            assert_eq!(answer.status, 501, "{path}: {}", answer.body);
            expected.insert((method.to_owned(), path));
        }
    }
    let document = openapi();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let said = operation["responses"].get("501");
            if said.is_some() && !path.starts_with("/ui/api") {
                documented.insert((method.clone(), path.clone()));
            }
        }
    }
    assert_eq!(documented, expected);
}

/// The references of a schema, followed.
fn schema<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(to) => document.pointer(&to[1..]).unwrap(),
        None => schema,
    }
}

/// Returns whether a JSON object has exactly what its schema requires.
fn is_of(document: &Value, schema_of: &Value, body: &Value) -> bool {
    let schema_of = schema(document, schema_of);
    if let Some(any) = schema_of["anyOf"].as_array() {
        return any.iter().any(|one| is_of(document, one, body));
    }
    let (Some(properties), Some(fields)) = (schema_of["properties"].as_object(), body.as_object()) else {
        return !body.is_object();
    };
    let required = schema_of["required"].as_array().unwrap();
    required
        .iter()
        .all(|name| fields.contains_key(name.as_str().unwrap()))
        && fields.iter().all(|(name, field)| {
            properties
                .get(name)
                .is_some_and(|schema_of| is_of(document, schema_of, field))
        })
}

#[test]
fn failures_match_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let limits = spanscope_server::Limits::default().body_bytes(100);
    let server = spanscope_server::Server::builder(Arc::new(store)).limits(limits);
    let server = Server::start(server.router());
    let document = openapi();
    let long = format!("{{\"{}\": 1}}", "x".repeat(200));
    let mut seen = BTreeSet::new();
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1/telemetry/traces"] {
        let responses = &document["paths"][path]["post"]["responses"];
        let as_json = |body: &str| Ask::post(path, "application/json", body);
        for ask in [
            as_json("no JSON"),
            Ask::post(path, PROTOBUF, "no protobuf"),
            as_json(&long),
            Ask::post(path, PROTOBUF, long.as_str()),
            Ask::post(path, "text/plain", "{}"),
            as_json("{}").header("Content-Encoding", "br"),
            as_json("{}").header("Content-Encoding", "gzip"),
            as_json("{}").header("Origin", "http://elsewhere.example"),
            Ask::new("PUT", path),
        ] {
            let at = format!("{path}: {}", ask.head());
            let answer = ask.to(server.address);
            if answer.status == 200 {
                continue; // the telemetry API has no limit of 100 bytes, and unpacks nothing
            }
            let at = format!("{at}: {answer:?}");
            assert!((400..500).contains(&answer.status), "{at}");
            seen.insert(answer.status);
            let described = responses.get(answer.status.to_string());
            let described = schema(&document, described.unwrap_or(&responses["default"]));
            let kind = answer.header("content-type").unwrap();
            let content = described["content"].get(kind);
            let content = content.unwrap_or_else(|| panic!("{kind} is not in the document: {at}"));
            if kind == "application/json" {
                assert!(is_of(&document, &content["schema"], &answer.json()), "{at}");
            }
        }
    }
    assert_eq!(seen, BTreeSet::from([400, 403, 405, 413, 415]));
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let text = serde_json::to_string_pretty(&openapi_of_the_code()).unwrap() + "\n";
    if std::env::var_os("SPANSCOPE_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "openapi.json is not what the code says: run this test with SPANSCOPE_WRITE_OPENAPI=1, look at the difference, and \
         commit it"
    );
}

/// A parameter that is not declared is refused with the names of those that are: they are the
/// declared ones.
#[test]
fn each_route_declares_the_parameters_that_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder()
        .open(folder.path().join("trace_store.db"))
        .unwrap();
    let datasets = spanscope_server::Datasets::in_folder(folder.path().join("datasets"));
    let server = spanscope_server::Server::builder(Arc::new(store)).datasets(datasets);
    let server = Server::start(server.router());
    let document = openapi();
    let (mut asked, mut declared_in_all) = (0, BTreeSet::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                let is_described = parameter["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty());
                assert!(
                    is_described && parameter["schema"]["type"].is_string(),
                    "{method} {path}: {parameter}"
                );
            }
            let declared: BTreeSet<String> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            declared_in_all.extend(declared.clone());
            let path = path
                .replace("{trace_id}", "4bf92f3577b34da6a3ce929d0e0e4736")
                .replace("{span_id}", "00f067aa0ba902b7");
            let path = path.replace(['{', '}'], "") + "?no_such_parameter=1";
            // The conditions of the routes with a body.
            let body = match path.contains("/spans?") {
                true => r#"{"attribute_filters": [], "attributes_to_return": []}"#,
                false if path.contains("/spans/export") => {
                    r#"{"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"}"#
                }
                false => "{}",
            };
            let answer = match method.as_str() {
                "get" => ask(server.address, "GET", &path, "").unwrap(),
                "delete" => ask(server.address, "DELETE", &path, "").unwrap(),
                _ => post(server.address, &path, body).unwrap(),
            };
            let refusal = answer.body.split_once("is not a parameter of this path: use ");
            let taken: BTreeSet<String> = match refusal {
                None => BTreeSet::new(), // it ignores what it does not know
                Some((_, rest)) => {
                    asked += 1;
                    let names = rest.split_once('"').unwrap().0;
                    let names = names.split(", ").filter(|name| *name != "none");
                    names.map(str::to_owned).collect()
                }
            };
            assert_eq!(declared, taken, "{method} {path}: {answer:?}");
        }
    }
    assert!(asked > 20, "{asked}");
    for name in [
        "filter",
        "event_types",
        "status",
        "start_time",
        "page_size",
        "level",
    ] {
        assert!(declared_in_all.contains(name), "{name}");
    }
}
