//! A file that another program writes over while it is served: nothing is acknowledged into it, the
//! server is not ready, and a restored backup makes all well again.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};

use serde_json::{Value as Json, json};
use spanscope_tests::process::Signal;
use spanscope_tests::sqlite::change;
use spanscope_tests::wait_for;

use super::support::{Folder, Serve, one_span, span, traces};

const PAGE: u64 = 8192;

/// Writes zeros over pages, numbered from 1, as a program does that opens the wrong file.
fn zero(folder: &Folder, first: u64, count: u64) {
    let mut file = OpenOptions::new().write(true).open(folder.db()).unwrap();
    file.seek(SeekFrom::Start((first - 1) * PAGE)).unwrap();
    let zeros = vec![0; usize::try_from(count * PAGE).unwrap()];
    file.write_all(&zeros).unwrap();
}

/// Sends spans, and copies them into the file as the server does at times.
fn fill(folder: &Folder, server: &Serve) {
    for batch in 1..=20_u64 {
        let trace_id = format!("{batch:032x}");
        let spans: Vec<_> = (1..=100)
            .map(|number| {
                let number = batch * 1000 + number;
                let mut span = span(&trace_id, &format!("{number:016x}"), "filling");
                let mark = json!({"stringValue": format!("mark of {number}")});
                span["attributes"] = json!([{"key": "mark", "value": mark}]);
                span
            })
            .collect();
        assert_eq!(server.post("/v1/traces", &traces(&spans)).status, 200);
    }
    change(&folder.db(), "PRAGMA wal_checkpoint");
}

/// A question that reads every span.
fn question() -> Json {
    json!({"attribute_filters": [{"key": "no.such.key", "op": "eq", "value": 1}]})
}

/// Puts a backup in the place of the file, sees that all is well, and ends the server.
fn restore(folder: &Folder, backup: &str, server: Serve) {
    assert!(folder.command(&["restore", backup]).status().unwrap().success());
    wait_for("the server to be ready", || {
        (server.get("/ready").status == 200).then_some(())
    });
    assert_eq!(server.post("/v1/traces", &one_span(1_000_002)).status, 200);
    assert_eq!(server.post("/v1/telemetry/traces", &question()).status, 200);
    // In an orderly way, after which all lines are written.
    server.signal(Signal::TERM);
    let err = server.end().err;
    // Of all requests that were refused there is one line a cause: writing, and a question.
    let refused = err.matches("could not handle a request").count();
    assert!((1..=2).contains(&refused), "{err}");
    assert_eq!(err.matches("answers requests again").count(), 1, "{err}");
    let reports = err.lines().filter(|line| line.starts_with("spanscope: "));
    let lines: Vec<&str> = reports.filter(|line| line.contains("can't be written")).collect();
    assert_eq!(lines.len(), 1, "{err}");
    assert!(
        lines[0].contains("is damaged") && lines[0].contains("spanscope restore"),
        "{err}"
    );
}

#[test]
fn nothing_is_acknowledged_into_a_file_whose_beginning_was_written_over() {
    let folder = Folder::new();
    let server = folder.serve();
    fill(&folder, &server);
    let backup = folder.path().join("backup.db").display().to_string();
    assert!(folder.command(&["backup", &backup]).status().unwrap().success());
    assert_eq!(server.get("/ready").status, 200);

    zero(&folder, 1, 6);
    for number in 0..20 {
        let answer = server.post("/v1/traces", &one_span(1_000_000 + number));
        assert_eq!(answer.status, 503, "{number}: {answer:?}");
    }
    assert_eq!(server.get("/ready").status, 503);
    restore(&folder, &backup, server);
}

#[test]
fn a_server_without_traffic_is_not_ready_once_its_file_was_written_over() {
    let folder = Folder::new();
    let server = folder.serve();
    fill(&folder, &server);
    zero(&folder, 1, 6);
    wait_for("the server to notice", || {
        (server.get("/ready").status == 503).then_some(())
    });
}

#[test]
fn damage_that_a_question_meets_stops_the_writing() {
    let folder = Folder::new();
    let server = folder.serve();
    fill(&folder, &server);
    let backup = folder.path().join("backup.db").display().to_string();
    assert!(folder.command(&["backup", &backup]).status().unwrap().success());
    let bytes = std::fs::read(folder.db()).unwrap();
    let mark = b"mark of 10050";
    let at = bytes.windows(mark.len()).position(|bytes| bytes == mark).unwrap();
    let page = u64::try_from(at).unwrap() / PAGE + 1;

    // It contains neither end of a table: only a query that needs it finds the damage.
    zero(&folder, page, 1);
    assert_eq!(server.post("/v1/traces", &one_span(1_000_000)).status, 200);
    assert_eq!(server.post("/v1/telemetry/traces", &question()).status, 500);
    wait_for("the server to notice", || {
        (server.get("/ready").status == 503).then_some(())
    });
    assert_eq!(server.post("/v1/traces", &one_span(1_000_001)).status, 503);
    restore(&folder, &backup, server);
}
