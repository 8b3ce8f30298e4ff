//! The examples that end by a signal or with an exit code, in their own processes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use spanscope_model::{LogFilter, SpanFilter, SpanStatus, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;

fn messages(folder: &Path) -> Vec<String> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let logs = block_on(store.list_logs(LogFilter::default())).unwrap();
    logs.into_iter().map(|log| log.message).collect()
}

#[test]
fn a_program_that_ends_with_an_exit_code_has_stored_all_its_records() {
    for (arguments, code, message) in [
        (&["1", "2"][..], 0, "added"),
        (&["1", "two"], 1, "invalid digit found in string"),
        (&[], 2, "usage: exit_code NUMBER..."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = program_without_settings(env!("CARGO_BIN_EXE_exit_code"));
        let output = program
            .args(arguments)
            .env("SQLITE_STORE_DIR", folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let shown = String::from_utf8(output.stderr).unwrap();
        assert!(shown.contains(message), "{shown}");
        let messages = messages(folder.path());
        assert!(messages.iter().any(|text| text.contains(message)), "{messages:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_request_in_flight_is_answered_and_stored_when_a_signal_ends_the_server() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    use spanscope_tests::http::ask;
    use spanscope_tests::process::{Signal, end_of, send_signal};
    use spanscope_tests::wait_for;

    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = program_without_settings(env!("CARGO_BIN_EXE_graceful_server"))
            .arg("--serve")
            .env("SQLITE_STORE_DIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches("/report");
        let address = address.parse().unwrap();
        let client = std::thread::spawn(move || ask(address, "GET", "/report", "").unwrap());
        let store = wait_for("the store", || {
            SqliteStore::open(folder.path().join("trace_store.db")).ok()
        });
        let spans = || block_on(store.list_spans(SpanFilter::default())).unwrap_or_default();
        wait_for("the running request", || (!spans().is_empty()).then_some(()));
        send_signal(&server, signal);
        let answer = client.join().unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "a long report"));
        assert_eq!(end_of(&mut server, "the server").code(), Some(0));
        let spans = spans();
        assert_eq!(spans.len(), 2, "{spans:?}");
        assert!(
            spans.iter().all(|span| span.status == Some(SpanStatus::Ok)),
            "{spans:?}"
        );
        assert!(
            messages(folder.path())
                .iter()
                .any(|text| text == "all requests are answered")
        );
    }
}
