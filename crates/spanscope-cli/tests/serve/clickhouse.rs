//! The command and the server over the tables that a collector writes to ClickHouse.
//!
//! What a real ClickHouse can't be made to do comes from a server with prepared answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value as Json, json};
use spanscope_tests::clickhouse::{Database, Peer, Prepared, TRACE, opening, opening_without};
use spanscope_tests::terminal::run_piped;
use spanscope_tests::{PATIENCE, wait_for};

use super::support::{Folder, Serve, finished, json_of, one_span, spanscope};

/// A command over a store.
fn command(words: &[&str], database: &Database, options: &str) -> Command {
    let mut command = spanscope(words);
    command.env("SPANSCOPE_STORE", database.url(options));
    if let Some(password) = database.password() {
        command.env("SPANSCOPE_STORE_PASSWORD", password);
    }
    command
}

/// The output of a command that fails, in one line.
fn refusal(command: Command) -> (Option<i32>, String) {
    let ended = run_piped(command);
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.stdout.is_empty());
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(!err.contains("hunter2"), "{err}");
    (ended.status.code(), err)
}

fn assert_refused(command: Command, code: i32, words: &[&str]) {
    let (found, err) = refusal(command);
    assert_eq!(found, Some(code), "{err}");
    for word in words {
        assert!(err.contains(word), "no {word:?} in {err}");
    }
}

#[test]
fn every_command_that_queries_answers_from_the_tables_of_a_collector() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    for (words, shown) in [
        (
            &["stats"][..],
            &["store  ", "clickhouse://", "spans", "3", "library"][..],
        ),
        (&["stats", "--by", "name"], &["chat llama", "execute_tool shelf"]),
        (
            &["traces"],
            &["4bf92f3577b34da6", "invoke_agent librarian", "error"],
        ),
        (&["traces", "shelf=7"], &["invoke_agent librarian"]),
        (
            &["spans", "--errors"],
            &["execute_tool shelf", "00f067aa0ba90003"],
        ),
        (
            &["tree", "last"],
            &["invoke_agent librarian", "chat llama", "no such shelf"],
        ),
        (&["tree", "4bf92f35"], &["chat llama"]),
        (
            &["span", "last:2"],
            &["chat llama", "gen_ai.request.model", "host.name"],
        ),
        (
            &["span", "00f067aa0ba90003"],
            &["no such shelf", "the shelf is empty"],
        ),
        (&["logs", "--severity", "warn"], &["the shelf is empty"]),
        (&["runs"], &["librarian"]),
        (&["run", "last"], &["librarian", "llama", "shelf"]),
        (&["usage"], &["llama", "100", "7"]),
        (&["metrics"], &["books_lent"]),
        (&["metrics", "books_lent"], &["shelf"]),
    ] {
        let out = finished(command(words, &database, ""));
        for word in shown {
            assert!(out.contains(word), "{words:?}: no {word:?} in\n{out}");
        }
    }
    let traces = finished(command(&["traces", "--json"], &database, ""));
    let traces: Json = serde_json::from_str(&traces).unwrap();
    assert_eq!(
        (&traces[0]["trace_id"], &traces[0]["span_count"], &traces[1]),
        (&json!(TRACE), &json!(3), &Json::Null)
    );
    // Nothing is found: the exit code is as with a file.
    let nothing = run_piped(command(&["traces", "name=nothing"], &database, ""));
    assert_eq!(nothing.status.code(), Some(3));
}

#[test]
fn tail_shows_the_last_records_new_ones_and_late_ones_each_once() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    let mut tail = command(
        &["tail", "--lines", "2", "--format", "jsonl"],
        &database,
        "?lag=5s",
    );
    let mut process = tail.stdout(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(process.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let line: Json = serde_json::from_str(&line).unwrap();
            if sender
                .send(line["name"].as_str().unwrap_or("a log record").to_owned())
                .is_err()
            {
                break;
            }
        }
    });
    let next = || lines.recv_timeout(PATIENCE).unwrap();
    let mut shown = vec![next(), next()];
    let other = "5bf92f3577b34da6a3ce929d0e0e4736";
    let new = |id: &str, name: &str, age: u32| {
        format!("{age}, '00f067aa0ba9{id}', '', '{name}', 'Internal', 0, 'Ok', '', map('k', 'v')")
    };
    database.insert_span(other, &new("0011", "a step", 0));
    shown.push(next());
    // It ended before the mark up to which the records were read.
    database.insert_span(other, &new("0012", "a late step", 30));
    shown.push(next());
    database.insert_span(other, &new("0013", "the end", 0));
    shown.push(next());
    process.kill().unwrap();
    process.wait().unwrap();
    reader.join().unwrap();
    assert_eq!(shown[2..], ["a step", "a late step", "the end"], "{shown:?}");
}

#[test]
fn a_server_over_a_store_that_only_reads_answers_queries_and_refuses_records() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    let server = Serve::start(command(&["serve", "--listen", "127.0.0.1:0"], &database, ""));
    let place = database.url("");
    let place = place.rsplit_once('@').map_or(place.as_str(), |(_, host)| host);
    let place = place.trim_start_matches("clickhouse://");
    assert_eq!(
        server.first_line,
        format!(
            "spanscope: serving clickhouse://{place} on {} for programs on this machine\n",
            server.url()
        )
    );
    assert!(!server.serves_grpc(), "the port is left to the collector");
    assert_eq!(server.get("/ready").status, 200);
    let found = server.post("/v1/telemetry/traces", &json!({}));
    assert_eq!(json_of(&found)["data"][0]["trace_id"], TRACE, "{found:?}");
    let runs = json_of(&server.get("/traces?agent_id=librarian"));
    assert_eq!(runs["total"], 1, "{runs}");
    let id = runs["sessions"][0]["task_id"].as_str().unwrap().to_owned();
    let page = json_of(&server.get(&format!("/ui/api/traces/{TRACE}")));
    assert_eq!(page["stored"], 3, "{page}");

    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        let refused = server.post(path, &one_span(1));
        assert_eq!(refused.status, 501, "{refused:?}");
        assert!(
            refused.body.contains("send records to the collector"),
            "{refused:?}"
        );
        // Neither a time to send again, nor a body of another kind.
        assert_eq!(refused.header("retry-after"), None);
        assert_eq!(json_of(&refused)["code"], 12);
    }
    let event = json!({"event": {
        "type": "unstructured_log", "trace_id": TRACE, "span_id": "00f067aa0ba90001",
        "timestamp": "2026-11-21T14:03:00Z", "message": "by hand", "severity": "info",
    }});
    let age = json!({"days": 1});
    for (method, path, body) in [
        ("POST", "/v1/telemetry/events", Some(&event)),
        ("POST", "/traces/cleanup", Some(&age)),
        ("DELETE", &*format!("/traces/{id}"), None),
    ] {
        let refused = server.ask(method, path, None, body);
        let error = &json_of(&refused)["error"];
        assert_eq!(
            (refused.status, &error["code"]),
            (501, &json!("unsupported")),
            "{refused:?}"
        );
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("the collector writes them"),
            "{error}"
        );
    }
    let spans = json!({"attribute_filters": [], "attributes_to_save": [], "dataset_id": "d"});
    assert_eq!(server.post("/v1/telemetry/spans/export", &spans).status, 501);
    server.stop();
}

#[test]
fn datasets_of_a_server_need_a_folder() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    let folder = Folder::new();
    let mut serve = command(&["serve", "--listen", "127.0.0.1:0", "--datasets"], &database, "");
    serve.arg(folder.path().join("sets"));
    let server = Serve::start(serve);
    let spans = json!({"attribute_filters": [], "attributes_to_save": ["shelf"], "dataset_id": "d"});
    let saved = server.post("/v1/telemetry/spans/export", &spans);
    assert_eq!(saved.status, 204, "{saved:?}");
    let rows = wait_for("the dataset", || {
        std::fs::read_dir(folder.path().join("sets"))
            .ok()?
            .find_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
    });
    assert!(rows.contains("chat llama"), "{rows}");
    server.stop();
}

#[test]
fn tenants_see_their_own_records_where_an_attribute_names_them() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    let folder = Folder::new();
    let tokens = "of-library-0123456789 library\nof-other-0123456789 other\nof-all-0123456789 *\n";
    let tokens = folder.file("tokens.txt", tokens);
    for (options, counts) in [("?tenant_attribute=service.name", [1, 0, 1]), ("", [0, 0, 1])] {
        let mut serve = command(
            &["serve", "--listen", "127.0.0.1:0", "--tokens"],
            &database,
            options,
        );
        serve.arg(&tokens);
        let server = Serve::start(serve);
        for (token, count) in [
            "of-library-0123456789",
            "of-other-0123456789",
            "of-all-0123456789",
        ]
        .into_iter()
        .zip(counts)
        {
            let found = server.ask("POST", "/v1/telemetry/traces", Some(token), Some(&json!({})));
            let found = json_of(&found)["data"].as_array().unwrap().len();
            assert_eq!(found, count, "{options} {token}");
        }
        server.stop();
    }
}

/// A command over a server with prepared answers, with a password.
fn over(peer: &Peer, words: &[&str]) -> Command {
    let mut command = spanscope(words);
    command
        .env("SPANSCOPE_STORE", peer.url())
        .env("SPANSCOPE_STORE_PASSWORD", "hunter2");
    command
}

#[test]
fn a_wrong_password_is_reported_with_the_variable() {
    let peer = Peer::new(vec![Prepared::exception(
        516,
        "otel: Authentication failed: password is incorrect.",
    )]);
    for words in [&["traces"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        assert_refused(over(&peer, words), 1, &["\"otel\"", "SPANSCOPE_STORE_PASSWORD"]);
    }
}

#[test]
fn a_password_comes_from_a_variable_or_a_file_and_not_from_the_url() {
    let folder = Folder::new();
    let file = folder.file("password", "hunter2\n");
    let traces = |peer: &Peer| {
        let mut command = over(peer, &["traces"]);
        command.env_remove("SPANSCOPE_STORE_PASSWORD");
        command
    };
    let answers = || {
        let mut answers = opening();
        answers.push(Prepared::exception(60, "otel.otel_traces does not exist."));
        answers
    };
    for is_file in [false, true] {
        let peer = Peer::new(answers());
        let mut command = traces(&peer);
        match is_file {
            true => command.env("SPANSCOPE_STORE_PASSWORD_FILE", &file),
            false => command.env("SPANSCOPE_STORE_PASSWORD", "hunter2"),
        };
        assert_refused(command, 1, &["otel_traces does not exist"]);
        let requests = peer.requests();
        assert!(requests.len() > 2, "{requests:?}");
        for request in requests {
            let request = request.to_ascii_lowercase();
            assert!(request.contains("x-clickhouse-key: hunter2"), "{request}");
        }
    }
    let peer = Peer::new(answers());
    let mut both = over(&peer, &["traces"]);
    both.env("SPANSCOPE_STORE_PASSWORD_FILE", &file);
    assert_refused(both, 2, &["are both set"]);
    let mut missing = traces(&peer);
    missing.env("SPANSCOPE_STORE_PASSWORD_FILE", folder.path().join("none"));
    assert_refused(missing, 1, &["none", "can't be read"]);
    let mut shown = spanscope(&["traces", "--store"]);
    shown.arg(peer.url().replace("otel@", "otel:hunter2@"));
    assert_refused(shown, 2, &["has a password", "SPANSCOPE_STORE_PASSWORD"]);
    assert!(peer.requests().is_empty());
}

#[test]
fn tables_of_an_unknown_generation_are_refused_by_the_column() {
    let peer = Peer::new(opening_without("StatusCode"));
    let words = ["no column StatusCode", "update Spanscope"];
    assert_refused(over(&peer, &["stats"]), 1, &words);
}

#[test]
fn settings_of_a_file_are_refused_with_a_server() {
    let peer = Peer::new(opening());
    for setting in [
        &["--retention", "1d"][..],
        &["--max-size", "10"],
        &["--stored-metrics"],
    ] {
        let mut serve = over(&peer, &["serve", "--listen", "127.0.0.1:0"]);
        serve.args(setting);
        assert_refused(
            serve,
            2,
            &[setting[0], "is a server with its own limits", "leave it out"],
        );
    }
    assert!(peer.requests().is_empty());
}

#[test]
fn a_server_that_is_gone_makes_a_served_store_unavailable_until_it_is_back() {
    let peer = Peer::new(opening());
    let server = Serve::start(over(&peer, &["serve", "--listen", "127.0.0.1:0"]));
    peer.answer(vec![Prepared::rows("[1]\n")]);
    assert_eq!(server.get("/ready").status, 200);
    peer.answer(vec![Prepared::status(503)]);
    for answer in [
        server.get("/ready"),
        server.post("/v1/telemetry/traces", &json!({})),
    ] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(json_of(&answer)["error"]["code"], "store_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // What is refused for ever is not refused for now.
    assert_eq!(server.post("/v1/traces", &one_span(1)).status, 501);
    peer.answer(vec![Prepared::rows("[1]\n")]);
    assert_eq!(server.get("/ready").status, 200);
    server.stop();

    let gone = peer.url().replace("otel@", "otel@127.0.0.1:1,");
    peer.answer(vec![Prepared::status(502)]);
    let mut traces = over(&peer, &["traces", "--store"]);
    traces.arg(gone);
    assert_refused(traces, 1, &["can't be reached", "502"]);
}
