//! Tokens: which requests are accepted, and what each caller sees of others' records.

use serde_json::{Value as Json, json};
use spanscope_model::{LogFilter, SqlStore as _, Timestamp, TraceStore as _, block_on};

use super::support::{Folder, Serve, increments, json_of, logs, span, traces};

const ACME: &str = "of-acme-0123456789";
const OTHER: &str = "of-other-0123456789";
const ADMIN: &str = "of-all-0123456789";
const LIST: &str = "# token              tenant\n\
                    of-acme-0123456789   acme\n\
                    of-other-0123456789  other\n\n\
                    of-all-0123456789    *\n";
const VARIABLE: &str = "of-acme-0123456789=acme; of-other-0123456789=other; of-all-0123456789=*";

/// A trace that two tenants have, and the one of the administrator; each has one span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OF_ADMIN: &str = "0af7651916cd43dd8448eb211c8031aa";
const SPAN: &str = "00000000000000a1";

/// Paths without a token: health checks, and the API's document.
const OPEN: [&str; 3] = ["/health", "/openapi.json", "/ready"];
/// Exchanges a token for a session of the pages, which their tests cover.
const SESSION: &str = "/ui/api/session";
/// The ends of the paths of streams without an end.
const ENDLESS: [&str; 2] = ["/ui/api/changes", "/live"];

/// Returns every other method and path of the server.
fn routes(server: &Serve) -> Vec<(String, String)> {
    let document = json_of(&server.get("/openapi.json"));
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.filter(|(path, _)| *path != SESSION && !OPEN.contains(&path.as_str()));
    let routes: Vec<(String, String)> = routes
        .flat_map(|(path, methods)| {
            let path = path.replace("{trace_id}", TRACE).replace("{span_id}", SPAN);
            let path = path.replace("{metric_name}", "orders_total");
            let path = path.replace("{prefix}", &TRACE[..8]);
            let path = ["{task_id}", "{agent_id}", "{session_id}"]
                .into_iter()
                .fold(path, |path, name| path.replace(name, TRACE));
            assert!(!path.contains('{'), "{path}");
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    // Three of OTLP, nine of the telemetry API and ten of agent traces with a prefix and without,
    // one of metrics.
    let expected = 3 + 2 * (9 + 10) + 1;
    assert!(routes.len() >= expected, "{routes:?}");
    routes
}

/// Runs a check with the tokens in a file, and with the same in the variable.
fn both_ways(check: impl Fn(&Folder, &Serve)) {
    for with_file in [true, false] {
        let folder = Folder::new();
        let server = if with_file {
            folder.serve_with_tokens(LIST)
        } else {
            let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
            command.env("SPANSCOPE_TOKENS", VARIABLE);
            Serve::start(command)
        };
        assert!(
            server
                .first_line
                .ends_with(" for clients that have one of 3 tokens\n"),
            "{}",
            server.first_line
        );
        check(&folder, &server);
        server.signal(spanscope_tests::process::Signal::TERM);
        let ended = server.end();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(
            !ended.err.contains("0123456789"),
            "tokens are never shown: {}",
            ended.err
        );
    }
}

#[test]
fn without_a_known_token_only_health_checks_and_the_api_document_are_served() {
    both_ways(|_, server| {
        // An unknown method reveals no more.
        let unknown = ("GET".to_owned(), "/v1/traces".to_owned());
        for (method, path) in routes(server).into_iter().chain([unknown]) {
            let (method, path) = (method.as_str(), path.as_str());
            let body = (method == "POST").then(|| json!({}));
            for token in [
                None,
                Some("unknown-0123456789"),
                Some("of-acme-012345678"),
                Some(""),
            ] {
                let answer = server.ask(method, path, token, body.as_ref());
                assert_eq!(answer.status, 401, "{method} {path} {token:?}: {answer:?}");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                assert_eq!(json_of(&answer)["error"]["code"], "unauthorized");
            }
            if ENDLESS.iter().any(|end| path.ends_with(end)) {
                continue;
            }
            for token in [ACME, ADMIN] {
                let answer = server.ask(method, path, Some(token), body.as_ref());
                assert_ne!(answer.status, 401, "{method} {path}: {answer:?}");
            }
        }
        for path in OPEN {
            for token in [None, Some("unknown-0123456789")] {
                let answer = server.ask("GET", path, token, None);
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
            }
        }
    });
}

#[test]
fn an_unauthorized_request_is_not_stored() {
    both_ways(|folder, server| {
        let batch = traces(&[span(TRACE, SPAN, "unauthorized")]);
        assert_eq!(server.ask("POST", "/v1/traces", None, Some(&batch)).status, 401);
        assert_eq!(
            folder.store().sql("SELECT * FROM spans", 10).unwrap().rows.len(),
            0
        );
    });
}

#[test]
fn metrics_of_the_server_are_for_administrators() {
    both_ways(|_, server| {
        assert_eq!(server.ask("GET", "/metrics", Some(ADMIN), None).status, 200);
        for token in [ACME, OTHER] {
            let answer = server.ask("GET", "/metrics", Some(token), None);
            assert_eq!(answer.status, 403, "{answer:?}");
            assert_eq!(json_of(&answer)["error"]["code"], "forbidden");
        }
    });
}

/// Sends a span with an input, a log record, a measurement and an event of the telemetry API. Each
/// contains `who`.
fn send_everything(server: &Serve, token: &str, trace_id: &str, who: &str, count: i64) {
    let mut sent = span(trace_id, SPAN, who);
    sent["attributes"] = json!([
        {"key": "input", "value": {"stringValue": format!("what {who} asked")}},
        // It claims another tenant, but the token decides.
        {"key": "tenant_id", "value": {"stringValue": "other"}},
    ]);
    let event = json!({"event": {
        "type": "unstructured_log", "trace_id": trace_id, "span_id": SPAN, "severity": "info",
        "timestamp": Timestamp::now(), "message": format!("event of {who}"),
    }});
    for (path, body, status) in [
        ("/v1/traces", traces(&[sent]), 200),
        ("/v1/logs", logs(&[&format!("log of {who}")]), 200),
        ("/v1/metrics", increments("orders_total", &[count]), 200),
        ("/v1/telemetry/events", event, 204),
    ] {
        let answer = server.ask("POST", path, Some(token), Some(&body));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

/// Returns everything that a caller gets, by every route.
fn seen(server: &Serve, token: &str) -> Json {
    let ask = |method: &str, path: &str, body: Option<Json>| {
        let answer = server.ask(
            method,
            &format!("/v1/telemetry/{path}"),
            Some(token),
            body.as_ref(),
        );
        match answer.status {
            200 => json_of(&answer),
            204 => Json::Null,
            status => json!({ "status": status }),
        }
    };
    let names = |answer: &Json| {
        let spans = answer["data"].as_array().unwrap().iter();
        spans.map(|span| span["name"].clone()).collect::<Json>()
    };
    let run = json!([{"key": "input", "op": "ne", "value": ""}]);
    let spans = ask(
        "POST",
        "spans",
        Some(json!({"attribute_filters": run, "attributes_to_return": []})),
    );
    let export = json!({"attribute_filters": run, "attributes_to_save": ["input"], "dataset_id": "seen"});
    assert_eq!(ask("POST", "spans/export", Some(export)), Json::Null);
    let found = ask("POST", "traces", Some(json!({"order_by": ["trace_id"]})));
    let found = found["data"].as_array().unwrap().iter();
    let values = ask("POST", "metrics/orders_total", Some(json!({"start_time": 0})));
    let values = values["data"].as_array().unwrap().iter();
    let of_trace = |trace_id: &str| {
        let span = ask("GET", &format!("traces/{trace_id}/spans/{SPAN}"), None);
        let rows = ask("GET", &format!("traces/{trace_id}/eval-traces"), None);
        json!({
            "trace": ask("GET", &format!("traces/{trace_id}"), None)["trace_id"],
            "span": span["name"],
            "input": rows["data"][0]["input"],
        })
    };
    let tree = ask("POST", &format!("spans/{SPAN}/tree"), None);
    json!({
        "traces": found.map(|trace| trace["trace_id"].clone()).collect::<Json>(),
        "spans": names(&spans),
        "first": of_trace(TRACE),
        "second": of_trace(OF_ADMIN),
        "tree": tree["data"][SPAN]["name"],
        "metric": values.map(|series| series["values"][0]["value"].clone()).collect::<Json>(),
    })
}

#[test]
fn a_tenant_sees_its_own_records_and_an_administrator_sees_all() {
    both_ways(|folder, server| {
        let nothing = json!({"trace": null, "span": null, "input": null});
        let of = |trace: &str, who: &str| json!({"trace": trace, "span": who, "input": format!("what {who} asked")});
        let empty = json!({
            "traces": [], "spans": [], "first": nothing, "second": nothing, "tree": null, "metric": [],
        });
        send_everything(server, ACME, TRACE, "acme", 5);
        let of_acme = json!({
            "traces": [TRACE], "spans": ["acme"], "first": of(TRACE, "acme"), "second": nothing, "tree": "acme",
            "metric": [5],
        });
        assert_eq!(seen(server, ACME), of_acme);
        assert_eq!(seen(server, OTHER), empty);
        assert_eq!(seen(server, ADMIN), of_acme);

        // The same ids from another tenant: both are stored, and neither changes the other.
        send_everything(server, OTHER, TRACE, "other", 7);
        send_everything(server, ADMIN, OF_ADMIN, "admin", 11);
        assert_eq!(seen(server, ACME), of_acme);
        let of_other = json!({
            "traces": [TRACE], "spans": ["other"], "first": of(TRACE, "other"), "second": nothing, "tree": "other",
            "metric": [7],
        });
        assert_eq!(seen(server, OTHER), of_other);
        let all = seen(server, ADMIN);
        assert_eq!(all["traces"], json!([TRACE, TRACE, OF_ADMIN]));
        let mut names: Vec<&str> = all["spans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["acme", "admin", "other"]);
        assert_eq!(all["second"], of(OF_ADMIN, "admin"));
        let sum: i64 = all["metric"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_i64().unwrap())
            .sum();
        assert_eq!(sum, 5 + 7 + 11);
        check_datasets(folder);
        check_logs(folder);
    });
}

/// Checks that each caller's exports are in a separate folder: the first round and the second.
fn check_datasets(folder: &Folder) {
    let rows = |file: &str| {
        let text = std::fs::read_to_string(folder.path().join("datasets").join(file)).unwrap();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let mut names: Vec<String> = rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(rows("tenants/acme/seen.jsonl"), ["acme", "acme"]);
    assert_eq!(rows("tenants/other/seen.jsonl"), ["other"]);
    assert_eq!(rows("seen.jsonl"), ["acme", "acme", "admin", "other"]);
}

/// No route lists log events, so the file is read for each tenant.
fn check_logs(folder: &Folder) {
    for who in ["acme", "other"] {
        let store = folder.store().for_tenant(&who.parse().unwrap());
        let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
        let mut messages: Vec<String> = logs.into_iter().map(|log| log.message).collect();
        messages.sort_unstable();
        assert_eq!(messages, [format!("event of {who}"), format!("log of {who}")]);
    }
}

#[cfg(feature = "otlp")]
#[test]
fn a_program_with_the_otlp_bridge_sends_its_token_in_the_configured_headers() {
    let folder = Folder::new();
    let server = folder.serve_with_tokens(LIST);
    let own = Folder::new();
    let mut demo = super::bridged::demo(&own);
    demo.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.url()).env(
        "OTEL_EXPORTER_OTLP_HEADERS",
        format!("authorization=Bearer%20{ACME}"),
    );
    super::support::finished(demo);
    let traces =
        |token| json_of(&server.ask("POST", "/v1/telemetry/traces", Some(token), None))["data"].clone();
    spanscope_tests::wait_for("the demo's trace", || {
        (traces(ACME).as_array().unwrap().len() == 1).then_some(())
    });
    assert_eq!(traces(OTHER), json!([]));
    assert_eq!(traces(ADMIN), traces(ACME));
    server.stop();
}

#[test]
fn a_token_file_that_others_can_read_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    for (mode, is_reported) in [(0o644, true), (0o640, true), (0o600, false)] {
        let folder = Folder::new();
        let file = folder.file("tokens.txt", LIST);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--tokens").arg(&file);
        let server = Serve::start(command);
        server.signal(spanscope_tests::process::Signal::TERM);
        let ended = server.end();
        let is_warned = ended.err.contains(&format!("chmod 600 {}", file.display()));
        assert_eq!(
            (ended.code, is_warned),
            (Some(0), is_reported),
            "{mode:o}: {}",
            ended.err
        );
    }
}
