//! Refused requests, and their messages.

use std::time::Duration;

use serde_json::Value;
use spanscope_tests::http::{ask, post, send_as_it_is};

use super::{code, filled};

/// Each gets 400 and a message with these words.
#[test]
fn invalid_queries_are_refused_by_name() {
    let filled = filled();
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    let deep = format!(r#"{{"attribute_filters": [{{"key": "k", "op": "eq", "value": {open}{close}}}]}}"#);
    let span = "/v1/telemetry/spans/00f067aa0ba902b7/tree";
    let spans = "/v1/telemetry/spans";
    let traces = "/v1/telemetry/traces";
    let metric = "/v1/telemetry/metrics/m";
    let cases: &[(&str, &str, &[&str])] = &[
        (traces, "{", &["EOF"]),
        (traces, "no json", &["expected"]),
        (traces, "{} {}", &["after its end"]),
        (traces, "[]x", &[]),
        (traces, "\u{feff}{}", &["expected"]),
        (traces, &deep, &["recursion limit"]),
        (traces, r#"{"limt": 3}"#, &["limt", "limit", "order_by"]),
        (traces, r#"{"limit": -1}"#, &["limit is -1"]),
        (traces, r#"{"limit": 1e400}"#, &["out of range"]),
        (traces, r#"{"limit": "3"}"#, &["at limit", "string"]),
        (traces, r#"{"offset": -7}"#, &["offset is -7"]),
        (
            traces,
            r#"{"order_by": ["name; drop table"]}"#,
            &["drop table", "start_time"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"key": "k", "op": "like", "value": 1}]}"#,
            &["attribute_filters[0].op", "like", "eq"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"key": "k", "op": "eq", "value": [1]}]}"#,
            &["k"],
        ),
        (
            traces,
            r#"{"attribute_filters": [{"op": "eq", "value": 1}]}"#,
            &["key"],
        ),
        (span, r#"{"max_depth": -1}"#, &["max_depth is -1"]),
        (span, r#"{"max_depth": 0}"#, &["max_depth is 0"]),
        (span, r#"{"max_depth": 4294967296}"#, &["max_depth is 4294967296"]),
        (
            "/v1/telemetry/spans/0000000000000000/tree",
            "{}",
            &["span id", "16"],
        ),
        ("/v1/telemetry/spans/xyz/tree", "{}", &["xyz"]),
        ("/v1/telemetry/spans/a%2F..%2Fb/tree", "{}", &["a/../b"]),
        ("/v1/telemetry/spans/%ff/tree", "{}", &["path"]),
        (spans, "{}", &["attribute_filters"]),
        (spans, r#"{"attribute_filters": []}"#, &["attributes_to_return"]),
        (
            "/v1/telemetry/spans/export",
            r#"{"attribute_filters": [], "attributes_to_save": []}"#,
            &["dataset_id"],
        ),
        (metric, "{}", &["start_time"]),
        (
            metric,
            r#"{"start_time": 1753000000000000}"#,
            &["start_time", "milliseconds"],
        ),
        (metric, r#"{"start_time": 5, "end_time": 1}"#, &["end"]),
        (
            metric,
            r#"{"start_time": 0, "granularity": "0s"}"#,
            &["granularity", "0s"],
        ),
        (
            metric,
            r#"{"start_time": 0, "query_type": "all"}"#,
            &["query_type", "all", "range"],
        ),
        (
            metric,
            r#"{"start_time": 0, "label_matchers": [{"name": "a", "operator": "=~", "value": "("}]}"#,
            &["("],
        ),
    ];
    for (path, body, words) in cases {
        let answer = post(filled.server.address, path, body).unwrap();
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, 400, "{path} {shown}: {}", answer.body);
        assert_eq!(code(&answer), "invalid_input");
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{path} {shown}: {message}"
        );
    }
    for path in [
        "xyz",
        "00000000000000000000000000000000",
        "4bf92f3577b34da6",
        "4bf9%2f",
        "%e4",
    ] {
        let answer = ask(
            filled.server.address,
            "GET",
            &format!("/v1/telemetry/traces/{path}"),
            "",
        )
        .unwrap();
        assert_eq!(
            (answer.status, code(&answer)),
            (400, "invalid_input".to_owned()),
            "{path}"
        );
    }
}

#[test]
fn unknown_ids_are_not_found() {
    let filled = filled();
    let unknown = "4bf92f3577b34da6a3ce929d0e0e4736";
    let missing = [
        ask(
            filled.server.address,
            "GET",
            &format!("/v1/telemetry/traces/{unknown}"),
            "",
        ),
        ask(
            filled.server.address,
            "GET",
            &format!("/telemetry/traces/{unknown}/spans/00f067aa0ba902b7"),
            "",
        ),
        post(
            filled.server.address,
            "/v1/telemetry/spans/00f067aa0ba902b7/tree",
            "{}",
        ),
    ];
    for answer in missing {
        let answer = answer.unwrap();
        assert_eq!((answer.status, code(&answer)), (404, "not_found".to_owned()));
    }
}

#[test]
fn bodies_of_the_wrong_kind_or_length_are_not_read() {
    let filled = filled();
    let send = |headers: &str, body: &str| {
        let headers = format!("Host: localhost\r\n{headers}");
        send_as_it_is(
            filled.server.address,
            "POST",
            "/v1/telemetry/traces",
            &headers,
            body,
        )
        .unwrap()
    };
    // What a foreign page can send without a preflight.
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        let answer = send(&format!("{kind}Content-Length: 2\r\n"), "{}");
        assert_eq!(
            (answer.status, code(&answer)),
            (415, "unsupported_media_type".to_owned()),
            "{kind}"
        );
    }
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        let answer = send(&format!("Content-Type: {kind}\r\nContent-Length: 2\r\n"), "{}");
        assert_eq!(answer.status, 200, "{kind}");
    }
    // It declares a length, which is trusted.
    let answer = send(
        "Content-Type: application/json\r\nContent-Length: 100000000\r\n",
        "",
    );
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large".to_owned()));
    let long = format!("{{\"order_by\": [\"{}\"]}}", "x".repeat(1024 * 1024));
    let length = long.len();
    let answer = send(
        &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        "",
    );
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large".to_owned()));
}

#[test]
fn bodies_without_a_length_are_limited_too() {
    use std::io::{Read as _, Write as _};

    let filled = filled();
    let mut stream = std::net::TcpStream::connect(filled.server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "POST /v1/telemetry/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // The server may hang up before all of it is sent.
    let _ = (0..32).try_for_each(|_| stream.write_all(chunk.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
}

#[test]
fn wrong_methods_and_paths_get_different_errors() {
    let filled = filled();
    for (method, path, allowed) in [
        ("GET", "/v1/telemetry/traces", "POST"),
        (
            "DELETE",
            "/telemetry/traces/4bf92f3577b34da6a3ce929d0e0e4736",
            "GET,HEAD",
        ),
        ("GET", "/v1/telemetry/spans/export", "POST"),
    ] {
        let answer = ask(filled.server.address, method, path, "").unwrap();
        assert_eq!(
            (answer.status, code(&answer)),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    for path in [
        "/v1/telemetry",
        "/v2/telemetry/traces",
        "/v1/telemetry/traces/a/b",
    ] {
        assert_eq!(
            ask(filled.server.address, "GET", path, "").unwrap().status,
            404,
            "{path}"
        );
    }
}
