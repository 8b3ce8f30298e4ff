//! A file that another program overwrites while it is served: no write is acknowledged, the server
//! is not ready, and restoring a backup fixes both.

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

/// Sends spans, and checkpoints the write-ahead log, so that the file contains them.
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

/// A query that reads every span.
fn query_all() -> Json {
    json!({"attribute_filters": [{"key": "no.such.key", "op": "eq", "value": 1}]})
}

/// Restores a backup, checks that the server works again, and ends it.
fn restore(folder: &Folder, backup: &str, server: Serve) {
    assert!(folder.command(&["restore", backup]).status().unwrap().success());
    wait_for("the server to be ready", || {
        (server.get("/ready").status == 200).then_some(())
    });
    assert_eq!(server.post("/v1/traces", &one_span(1_000_002)).status, 200);
    assert_eq!(server.post("/v1/telemetry/traces", &query_all()).status, 200);
    // SIGTERM, so that all lines are written before the end.
    server.signal(Signal::TERM);
    let err = server.end().err;
    // Refused requests are logged once per cause: a write, and a query.
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
fn no_write_is_acknowledged_after_the_beginning_of_the_file_was_overwritten() {
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
fn a_server_without_traffic_is_not_ready_after_its_file_was_overwritten() {
    let folder = Folder::new();
    let server = folder.serve();
    fill(&folder, &server);
    zero(&folder, 1, 6);
    wait_for("the server to notice", || {
        (server.get("/ready").status == 503).then_some(())
    });
}

#[test]
fn damage_that_a_query_finds_stops_writes() {
    let folder = Folder::new();
    let server = folder.serve();
    fill(&folder, &server);
    let backup = folder.path().join("backup.db").display().to_string();
    assert!(folder.command(&["backup", &backup]).status().unwrap().success());
    let bytes = std::fs::read(folder.db()).unwrap();
    let mark = b"mark of 10050";
    let at = bytes.windows(mark.len()).position(|bytes| bytes == mark).unwrap();
    let page = u64::try_from(at).unwrap() / PAGE + 1;

    // The page is in the middle of a table: only a query that reads it finds the damage.
    zero(&folder, page, 1);
    assert_eq!(server.post("/v1/traces", &one_span(1_000_000)).status, 200);
    assert_eq!(server.post("/v1/telemetry/traces", &query_all()).status, 500);
    wait_for("the server to notice", || {
        (server.get("/ready").status == 503).then_some(())
    });
    assert_eq!(server.post("/v1/traces", &one_span(1_000_001)).status, 503);
    restore(&folder, &backup, server);
}
