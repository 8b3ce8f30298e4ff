//! Runs that are not available: deleted ones, those of other tenants, and expired ones.

use std::time::Duration;

use serde_json::{Value as Json, json};
use spanscope_model::{SqlStore as _, Timestamp};
use spanscope_tests::terminal::run_piped;

use super::{OF_A_RUN, PREFIXES, get, refusal, run_of, texts, write};
use crate::support::{Folder, Serve, json_of, span, spanscope, traces};

#[test]
fn a_run_that_was_deleted_or_cleaned_up_is_not_found_on_any_route() {
    let folder = Folder::new();
    let server = folder.serve();
    write(&folder, || {
        for task in ["first", "second", "third"] {
            drop(run_of(task));
        }
        tracing::info_span!("no agent's").in_scope(|| tracing::info!("nothing"));
    });
    let traces = || {
        folder
            .store()
            .sql("SELECT trace_id FROM traces", 100)
            .unwrap()
            .rows
            .len()
    };
    assert_eq!(
        (get(&server, "/traces")["total"].clone(), traces()),
        (json!(3), 4)
    );
    for (prefix, task) in [("", "first"), ("/api/v1", "second")] {
        let path = format!("{prefix}/traces/{task}");
        let answer = server.ask("DELETE", &path, None, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            json_of(&answer),
            json!({"task_id": task, "message": "Trace deleted successfully", "spans": 2})
        );
        assert_eq!(
            refusal(&server.ask("DELETE", &path, None, None)),
            (404, json!("not_found"))
        );
        assert_gone(&server, task);
    }
    assert_eq!(get(&server, "/traces")["sessions"][0]["task_id"], "third");
    let clean_up = |days: f64| json_of(&server.post("/api/v1/traces/cleanup", &json!({ "days": days })));
    assert_eq!(clean_up(7.0)["deleted"], 0);
    get(&server, "/traces/third");
    assert_eq!(clean_up(0.0)["deleted"], 1);
    assert_gone(&server, "third");
    assert_eq!(get(&server, "/traces")["total"], 0);
    assert_eq!(traces(), 1, "the trace that is not a run stays");
    server.stop();
}

fn assert_gone(server: &Serve, task: &str) {
    for prefix in PREFIXES {
        for route in OF_A_RUN {
            let answer = server.get(&format!("{prefix}/traces/{task}{route}"));
            assert_eq!(refusal(&answer), (404, json!("not_found")), "{task}{route}");
        }
    }
}

const ACME: &str = "of-acme-0123456789";
const OTHER: &str = "of-other-0123456789";
const ADMIN: &str = "of-all-0123456789";
const TOKENS: &str = "of-acme-0123456789 acme\nof-other-0123456789 other\nof-all-0123456789 *\n";

#[test]
fn the_run_of_another_tenant_is_not_found() {
    let folder = Folder::new();
    let server = folder.serve_with_tokens(TOKENS);
    let ask = |method: &str, path: &str, token: &str, body: Option<&Json>| {
        server.ask(method, path, Some(token), body)
    };
    // Records over HTTP belong to their sender, whatever they claim; a local program's records
    // belong to the tenant that it names.
    let (trace, root) = ("0af7651916cd43dd8448eb211c80319c", "00000000000000a1");
    let mut sent = span(trace, root, "invoke_agent sender");
    sent["attributes"] = [
        ("gen_ai.operation.name", "invoke_agent"),
        ("task_id", "sent"),
        ("session_id", "s-1"),
        ("tenant_id", "other"),
    ]
    .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
    .into();
    assert_eq!(
        ask("POST", "/v1/traces", ACME, Some(&traces(&[sent]))).status,
        200
    );
    write(&folder, || drop(run_of("written")));
    write(&folder, || {
        let agent = run_of("of acme");
        agent.tenant("acme");
    });
    let seen = |token: &str| {
        let list = json_of(&ask("GET", "/traces", token, None));
        let runs = list["sessions"].as_array().unwrap();
        let mut seen: Vec<String> = texts(runs, "task_id").iter().map(ToString::to_string).collect();
        seen.sort();
        assert_eq!(list["total"], seen.len());
        for path in ["/sessions/s-1/traces", "/api/v1/traces?user_id="] {
            assert_eq!(json_of(&ask("GET", path, token, None)), list, "{path}");
        }
        seen
    };
    assert_eq!(seen(ACME), ["of acme", "sent"]);
    assert_eq!(seen(OTHER), [] as [&str; 0]);
    assert_eq!(seen(ADMIN), ["of acme", "sent", "written"]);

    for prefix in PREFIXES {
        for run in ["sent", trace, "of%20acme", "written"] {
            let path = format!("{prefix}/traces/{run}");
            for route in OF_A_RUN {
                let answer = ask("GET", &format!("{path}{route}"), OTHER, None);
                assert_eq!(refusal(&answer), (404, json!("not_found")), "{path}{route}");
                let anonymous = server.get(&format!("{path}{route}"));
                assert_eq!(refusal(&anonymous), (401, json!("unauthorized")), "{path}{route}");
                let expected = if run == "written" { 404 } else { 200 };
                assert_eq!(
                    ask("GET", &format!("{path}{route}"), ACME, None).status,
                    expected,
                    "{path}{route}"
                );
                assert_eq!(
                    ask("GET", &format!("{path}{route}"), ADMIN, None).status,
                    200,
                    "{path}{route}"
                );
            }
            assert_eq!(
                refusal(&ask("DELETE", &path, OTHER, None)),
                (404, json!("not_found"))
            );
        }
    }
    // Its cleanup deletes no run of another tenant either.
    let all = json!({"days": 0});
    assert_eq!(
        json_of(&ask("POST", "/traces/cleanup", OTHER, Some(&all)))["deleted"],
        0
    );
    assert_eq!(seen(ADMIN), ["of acme", "sent", "written"]);
    assert_eq!(
        json_of(&ask("POST", "/traces/cleanup", ACME, Some(&all)))["deleted"],
        2
    );
    assert_eq!((seen(ACME).len(), seen(ADMIN)), (0, vec!["written".to_owned()]));
    server.stop();
}

/// Sends a run to the server; `began` is how long ago it began, `took` its duration.
fn send_run(server: &Serve, number: u64, task: &str, began: Duration, took: Duration) {
    let (trace, root) = (format!("{:032x}", number + 1), format!("{:016x}", number + 1));
    let mut sent = span(&trace, &root, "invoke_agent librarian");
    let start = Timestamp::now().before(began).as_nanos();
    let end = start + i64::try_from(took.as_nanos()).unwrap();
    sent["startTimeUnixNano"] = start.to_string().into();
    sent["endTimeUnixNano"] = end.to_string().into();
    sent["attributes"] = [("gen_ai.operation.name", "invoke_agent"), ("task_id", task)]
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .into();
    assert_eq!(server.post("/v1/traces", &traces(&[sent])).status, 200);
}

#[test]
fn runs_and_their_events_are_available_for_the_configured_time() {
    const MINUTE: Duration = Duration::from_secs(60);
    let folder = Folder::new();
    let serve = |session: &str, events: &str| {
        let words = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--session-ttl",
            session,
            "--event-ttl",
            events,
        ];
        Serve::start(folder.command(&words))
    };
    let server = serve("1h", "1h");
    send_run(&server, 0, "fresh", MINUTE, MINUTE);
    send_run(&server, 1, "older", 40 * MINUTE, MINUTE);
    send_run(&server, 2, "gone", 90 * MINUTE, MINUTE);
    let listed = |server: &Serve| {
        let list = get(server, "/traces");
        let runs = list["sessions"].as_array().unwrap();
        texts(runs, "task_id")
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&server), ["fresh", "older"]);
    get(&server, "/traces/older/events");
    assert_gone(&server, "gone");
    server.stop();

    let server = serve("1h", "30m");
    assert_eq!(listed(&server), ["fresh", "older"]);
    get(&server, "/traces/fresh/events");
    for route in ["/events", "/analysis", "/stream"] {
        let answer = server.get(&format!("/traces/older{route}"));
        assert_eq!(refusal(&answer), (410, json!("expired")), "{route}");
    }
    let older = get(&server, "/traces/older");
    assert_eq!(
        (&older["events"], &older["events_expired"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(get(&server, "/traces/older/summary")["status"], "completed");
    server.stop();

    // The default is a week, and three days.
    let server = folder.serve();
    assert_eq!(listed(&server), ["fresh", "older", "gone"]);
    get(&server, "/traces/gone/events");
    server.stop();
}

/// The end counts, not the start.
#[test]
fn a_long_run_is_listed_for_as_long_as_it_is_available() {
    const MINUTE: Duration = Duration::from_secs(60);
    let folder = Folder::new();
    let words = ["serve", "--listen", "127.0.0.1:0", "--session-ttl", "1h"];
    let server = Serve::start(folder.command(&words));
    send_run(&server, 0, "long", 90 * MINUTE, 80 * MINUTE);
    assert_eq!(get(&server, "/traces/long")["status"], "completed");
    assert_eq!(get(&server, "/traces")["total"], 1);
    server.stop();
}

#[test]
fn an_invalid_time_to_live_is_wrong_usage() {
    let folder = Folder::new();
    for flag in ["--session-ttl", "--event-ttl"] {
        for value in ["soon", "", "-1h", "1", "1x"] {
            let mut command = spanscope(&["serve", "--listen", "127.0.0.1:0"]);
            command
                .arg("--db")
                .arg(folder.db())
                .arg(format!("{flag}={value}"));
            let result = run_piped(command);
            let err = String::from_utf8_lossy(&result.stderr).into_owned();
            assert_eq!(result.status.code(), Some(2), "{flag}={value}: {err}");
            assert!(err.contains(value) && err.contains("7d"), "{flag}={value}: {err}");
            assert!(!folder.db().exists(), "no store is created");
        }
    }
}
