//! Requests that are made to be misread: ids that are paths, texts that end early, negative
//! numbers, endless bodies.

use serde_json::{Value, json};
use spanscope_server::Limits;

use crate::otlp::{send, span, traces};
use crate::running::{Open, open, open_with, tokens};
use crate::wire::{Answer, Ask};

const MIB: usize = 1 << 20;
const FIRST: &str = "07070707070707070707070707070707";

/// Each route of the API that takes a body, and one that makes sense to it.
fn queries() -> Vec<(&'static str, Value)> {
    let event = json!({"type": "unstructured_log", "message": "m", "severity": "info", "timestamp": "2025-07-20T08:26:40Z",
        "trace_id": null, "span_id": null});
    vec![
        ("/v1/telemetry/events", json!({"event": event})),
        ("/v1/telemetry/traces", json!({})),
        (
            "/v1/telemetry/spans",
            json!({"attribute_filters": [], "attributes_to_return": []}),
        ),
        (
            "/v1/telemetry/spans/export",
            json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"}),
        ),
        ("/v1/telemetry/spans/00f067aa0ba902b7/tree", json!({})),
        ("/v1/telemetry/metrics/jobs", json!({"start_time": 0})),
    ]
}

/// A store with one trace of one span.
fn filled() -> Open {
    let open = open();
    assert_eq!(send(&traces(vec![span("there")])).to(open.address).status, 200);
    open
}

fn invalid(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert_eq!(answer.code(), "invalid_input", "{what}");
}

#[test]
fn paths_are_refused_as_ids() {
    let open = filled();
    let odd = [
        "%2F",
        "%2f..%2f",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%2e",
        "%00",
        "x%00",
        "%0a",
        "%20",
        "%25",
        "%ff",
        "%c3%28",
        "'",
        "*",
        "%7b%7d",
        "%252e%252e",
    ];
    for id in odd {
        for (method, path) in [
            ("GET", format!("/v1/telemetry/traces/{id}")),
            ("GET", format!("/telemetry/traces/{id}")),
            ("GET", format!("/v1/telemetry/traces/{id}/eval-traces")),
            ("GET", format!("/v1/telemetry/traces/{id}/spans/00f067aa0ba902b7")),
            ("GET", format!("/v1/telemetry/traces/{FIRST}/spans/{id}")),
            ("POST", format!("/v1/telemetry/spans/{id}/tree")),
        ] {
            invalid(&Ask::new(method, &path).to(open.address), &path);
        }
        // The right id with something after it is another one.
        let path = format!("/v1/telemetry/traces/{FIRST}{id}");
        invalid(&Ask::get(&path).to(open.address), &path);
        // A metric may have any name; none of these is stored.
        let path = format!("/v1/telemetry/metrics/{id}");
        let answer = Ask::json(&path, &json!({"start_time": 0})).to(open.address);
        match id {
            "%ff" | "%c3%28" => invalid(&answer, &path), // no text
            _ => assert_eq!(
                (answer.status, answer.json()),
                (200, json!({"data": []})),
                "{path}"
            ),
        }
    }
    // The path is not normalized before it is looked up.
    for path in [
        "/v1/telemetry/x/../traces",
        "/v1/telemetry/%2e%2e/telemetry/traces",
        "/v1//telemetry/traces",
        "/v1/telemetry/traces/",
        "/v1/telemetry%2ftraces",
        "/V1/telemetry/traces",
    ] {
        let answer = Ask::json(path, &json!({})).to(open.address);
        assert!([404, 405].contains(&answer.status), "{path}: {}", answer.text());
    }
    let whole = Ask::get(&format!("/v1/telemetry/traces/{FIRST}")).to(open.address);
    assert_eq!(whole.status, 200, "the only one that is there");
}

#[test]
fn a_dataset_stays_in_its_folder() {
    for access in [spanscope_server::AuthMode::Local, tokens()] {
        let open = open_with(access, Limits::default());
        let token = crate::running::ACME;
        let sent = send(&traces(vec![span("there")])).token(token).to(open.address);
        assert_eq!(sent.status, 200);
        let before = files(&open);
        let long = "x".repeat(10_000);
        for id in [
            "../../x",
            "..",
            ".",
            "",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "x\0",
            "x\n",
            "~",
            "tenants/other/x",
            "C:x",
            "é",
            " ",
            "x.jsonl/",
            &long,
        ] {
            let body = json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": id});
            for path in ["/v1/telemetry/spans/export", "/telemetry/spans/export"] {
                let answer = Ask::json(path, &body).token(token).to(open.address);
                invalid(&answer, id);
                assert!(answer.message().contains("dataset id"), "{}", answer.message());
                assert!(answer.body.len() < 1_000, "{}", answer.text());
            }
        }
        assert_eq!(files(&open), before);
        let body = json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": "plain"});
        let answer = Ask::json("/v1/telemetry/spans/export", &body)
            .token(token)
            .to(open.address);
        assert_eq!(answer.status, 204);
        assert!(
            files(&open).len() > before.len(),
            "saving a dataset must create a file"
        );
    }
}

/// Returns all files in the folder of a store, except those that SQLite adds.
fn files(open: &Open) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![open.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            if !path.to_string_lossy().contains(".db") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn invalid_numbers_are_refused_by_name() {
    let open = filled();
    let tree = "/v1/telemetry/spans/00f067aa0ba902b7/tree";
    let metric = "/v1/telemetry/metrics/m";
    for (path, field, value) in [
        ("/v1/telemetry/traces", "limit", json!(-1)),
        ("/v1/telemetry/traces", "limit", json!(i64::MIN)),
        ("/v1/telemetry/traces", "limit", json!(u64::MAX)),
        ("/v1/telemetry/traces", "limit", json!(1.5)),
        ("/v1/telemetry/traces", "limit", json!(1e30)),
        ("/v1/telemetry/traces", "offset", json!(-1)),
        ("/v1/telemetry/traces", "offset", json!("0")),
        (tree, "max_depth", json!(-1)),
        (tree, "max_depth", json!(0)),
        (tree, "max_depth", json!(i64::MAX)),
        (metric, "start_time", json!(i64::MAX)),
        (metric, "start_time", json!(i64::MIN)),
        (metric, "start_time", json!("now")),
        (metric, "end_time", json!(i64::MAX)),
        (metric, "granularity", json!("-1d")),
        (metric, "granularity", json!("99999999999999999999d")),
        (metric, "granularity", json!("")),
    ] {
        let mut body = json!({});
        if path == metric {
            body["start_time"] = json!(0);
        }
        body[field] = value;
        let answer = Ask::json(path, &body).to(open.address);
        invalid(&answer, &body.to_string());
        assert!(answer.message().contains(field), "{body}: {}", answer.message());
    }
    // Large is not invalid.
    let body = json!({"limit": i64::MAX, "offset": i64::MAX});
    let answer = Ask::json("/v1/telemetry/traces", &body).to(open.address);
    assert_eq!((answer.status, answer.json()), (200, json!({"data": []})));
}

#[test]
fn strings_that_look_like_code_are_only_compared() {
    let open = filled();
    for odd in [
        "\0",
        "x\0y",
        "' OR 1=1; --",
        "\"]}",
        "$.name",
        "%",
        "\u{202e}",
        "a.b[0]",
    ] {
        let filters = json!([{"key": odd, "op": "eq", "value": odd}]);
        let answer =
            Ask::json("/v1/telemetry/traces", &json!({"attribute_filters": filters})).to(open.address);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"data": []})),
            "{odd:?}"
        );
        let body = json!({"attribute_filters": filters, "attributes_to_return": [odd]});
        let answer = Ask::json("/v1/telemetry/spans", &body).to(open.address);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"data": []})),
            "{odd:?}"
        );
        let matchers = json!([{"name": odd, "operator": "=", "value": odd}]);
        let body = json!({"start_time": 0, "label_matchers": matchers});
        let answer = Ask::json("/v1/telemetry/metrics/m", &body).to(open.address);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"data": []})),
            "{odd:?}"
        );
        let answer = Ask::json("/v1/telemetry/traces", &json!({"order_by": [odd]})).to(open.address);
        invalid(&answer, odd);
    }
    assert_eq!(open.span_names(), ["there"]);
}

#[test]
fn a_query_has_at_most_a_mebibyte() {
    let open = filled();
    for (path, body) in queries() {
        // Spaces change nothing, so only the length counts.
        let padded = |length: usize| {
            let body = body.to_string();
            Ask::post(
                path,
                "application/json",
                body.clone() + &" ".repeat(length - body.len()),
            )
        };
        let answer = padded(MIB).to(open.address);
        assert_ne!(answer.status, 413, "{path}");
        let answer = padded(MIB + 1).to(open.address);
        assert_eq!(
            (answer.status, answer.code()),
            (413, "body_too_large".to_owned()),
            "{path}"
        );
        assert!(answer.message().contains("1048576"), "{path}");
    }
}

#[test]
fn a_repeated_field_is_refused() {
    let open = filled();
    for (path, body) in queries() {
        // A body without a required field gets one.
        let (field, value) = match body.as_object().unwrap().iter().next() {
            Some((field, value)) => (field.clone(), value.clone()),
            None if path.ends_with("tree") => ("max_depth".to_owned(), json!(1)),
            None => ("limit".to_owned(), json!(1)),
        };
        let mut once = body;
        once[&field] = value.clone();
        let text = once.to_string();
        let twice = text.replacen('{', &format!("{{\"{field}\": {value}, "), 1);
        let answer = Ask::post(path, "application/json", twice).to(open.address);
        invalid(&answer, path);
        assert!(answer.message().contains(&field), "{}", answer.message());
    }
}

/// Each condition becomes a part of one statement, of which SQLite accepts a limited number; each
/// matcher is an expression to be compiled.
#[test]
fn a_query_has_at_most_a_hundred_conditions() {
    let open = filled();
    let filter = json!({"key": "k", "op": "eq", "value": "v"});
    let matcher = json!({"name": "a", "operator": "=~", "value": "a{1,9}"});
    for (path, field, item, rest) in [
        ("/v1/telemetry/traces", "attribute_filters", &filter, json!({})),
        (
            "/v1/telemetry/traces",
            "order_by",
            &json!("start_time"),
            json!({}),
        ),
        (
            "/v1/telemetry/spans",
            "attribute_filters",
            &filter,
            json!({"attributes_to_return": []}),
        ),
        (
            "/v1/telemetry/spans/export",
            "attribute_filters",
            &filter,
            json!({"attributes_to_save": [], "dataset_id": "d"}),
        ),
        (
            "/v1/telemetry/metrics/m",
            "label_matchers",
            &matcher,
            json!({"start_time": 0}),
        ),
    ] {
        let with = |count: usize| {
            let mut body = rest.clone();
            body[field] = vec![item.clone(); count].into();
            Ask::json(path, &body).to(open.address)
        };
        let answer = with(100);
        assert!([200, 204].contains(&answer.status), "{path}: {}", answer.text());
        for count in [101, 5_000] {
            let answer = with(count);
            invalid(&answer, path);
            let message = format!("{field} has {count} items: give at most 100");
            assert_eq!(answer.message(), message, "{path}");
        }
    }
    // Lists that are only looked up may be longer.
    let many: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    let body = json!({"attribute_filters": [], "attributes_to_return": many});
    assert_eq!(
        Ask::json("/v1/telemetry/spans", &body).to(open.address).status,
        200
    );
}

/// Two bytes of a body are a value that takes seventy.
#[test]
fn the_number_of_values_in_a_query_is_limited() {
    let open = filled();
    for (path, mut body) in queries() {
        for values in [
            "0,".repeat(100_000),
            "{},".repeat(60_000),
            "[[],[]],".repeat(30_000),
        ] {
            body["more"] = json!("HERE");
            let text = body.to_string().replace("\"HERE\"", &format!("[{values}0]"));
            let answer = Ask::post(path, "application/json", text).to(open.address);
            assert_eq!(
                (answer.status, answer.code()),
                (413, "body_too_large".to_owned()),
                "{path}"
            );
            assert!(answer.message().contains("50000 values"), "{}", answer.message());
        }
        // Commas in a string are not counted.
        body["more"] = json!("0,".repeat(100_000));
        let answer = Ask::json(path, &body).to(open.address);
        assert_ne!(answer.status, 413, "{path}");
    }
}
