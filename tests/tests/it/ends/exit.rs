//! `process::exit`, a return from `main` with a leaked guard, guards that are dropped too early,
//! thread-locals.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use spanscope_tests::process::end_of;
use spanscope_tests::wait_for;

use super::program;

const RECORDED: &str = "recorded before the end";

#[test]
fn process_exit_writes_all_earlier_records() {
    for scenario in ["exit-code", "exit-in-span", "exit-on-thread"] {
        let ended = program(scenario).run();
        assert_eq!(ended.status.code(), Some(3), "{scenario}");
        ended.assert_everywhere(RECORDED, 1);
        let ended_rows = "SELECT COUNT(*) FROM _process WHERE ended_at IS NOT NULL";
        assert_eq!(ended.store().number(ended_rows), 1, "{scenario}");
    }
}

#[test]
fn process_exit_ends_no_sink_with_an_exit_timeout_of_zero() {
    let ended = program("exit-no-wait").run();
    assert_eq!(ended.status.code(), Some(3));
    let not_ended = "SELECT COUNT(*) FROM _process WHERE ended_at IS NULL";
    assert_eq!(ended.store().number(not_ended), 1);
}

#[test]
fn a_span_that_process_exit_interrupts_is_not_shown_as_running() {
    let ended = program("exit-in-span").run();
    let left = "SELECT COUNT(*) FROM spans WHERE name = 'interrupted' AND state = 'abandoned'";
    assert_eq!(ended.store().number(left), 1);
    assert_eq!(ended.shown("[START] interrupted"), 1, "{}", ended.stderr);
}

#[test]
fn a_return_from_main_with_a_leaked_guard_writes_all_records() {
    let ended = program("exit-leaked").run();
    assert!(ended.status.success());
    ended.assert_everywhere(RECORDED, 1);
}

#[test]
fn thread_locals_can_record_in_any_order_of_their_destruction() {
    let ended = program("exit-leaked-locals").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.assert_everywhere("destroyed before ours", 1);
    ended.assert_everywhere("destroyed after ours", 1);
    ended.assert_everywhere("destroyed at the end of main", 1);
    let lost = "SELECT SUM(offered) - SUM(stored) FROM _process";
    assert_eq!(ended.store().number(lost), 0);
}

#[test]
fn a_guard_that_is_dropped_at_once_is_reported_with_the_fix() {
    let ended = program("exit-unbound").run();
    assert!(ended.status.success());
    assert_eq!(
        ended.shown("let _guard = spanscope::init();"),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(ended.shown("2 records"), 1, "{}", ended.stderr);
    let account = "SELECT SUM(offered) FROM _process";
    assert_eq!(ended.store().number(account), 0, "the account was closed before");
}

#[test]
fn records_after_the_end_are_counted_and_reported_once() {
    let ended = program("exit-late").run();
    assert!(ended.status.success());
    ended.assert_everywhere(RECORDED, 1);
    assert_eq!(ended.shown("3 records"), 1, "{}", ended.stderr);
    assert_eq!(ended.shown("guard"), 1, "{}", ended.stderr);
}

#[test]
fn process_exit_does_not_wait_for_a_blocked_stderr() {
    // Nothing reads the pipe before the program has ended, so it can't be written whole.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (folder, mut child) = program("exit-blocked").start(writer.into());
    assert_eq!(end_of(&mut child, "the program").code(), Some(3));
    let store = super::Store(folder.path().join("trace_store.db"));
    let message = "a line for a pipe that no program reads";
    assert_eq!(store.events(message), 20_001, "the store did not wait for it");
    let mut shown = String::new();
    reader.read_to_string(&mut shown).unwrap();
    assert!(shown.contains(message));
}

#[test]
fn one_deadline_applies_to_all_sinks_of_a_guard() {
    // Accepts and never responds.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", collector.local_addr().unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    let program = program("exit-hindered-drop")
        .env("TELEMETRY_SINKS", "console,sqlite,otel_trace,otel_log")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    let (folder, mut child) = program.start(Stdio::from(writer));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let db = rusqlite::Connection::open(folder.path().join("trace_store.db")).unwrap();
    wait_for("the file's lock", || db.execute_batch("BEGIN EXCLUSIVE").ok());
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let mut millis = String::new();
    stdout.read_line(&mut millis).unwrap();
    let millis: u64 = millis.trim().parse().unwrap();
    // 5 s for all of them and half a second for their reports; in sequence they would take 12 s.
    assert!(millis < 8_000, "the drop took {millis} ms");
    assert!(end_of(&mut child, "the program").success());
    drop(reader);
}

#[test]
fn records_that_the_exit_hook_leaves_out_are_reported_with_their_counts() {
    let program = program("exit-hindered");
    // A pipe without a reader can't even be opened.
    let pipe = program.folder.path().join("pipe.log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let program = program.env("LLAMA_STACK_LOG_FILE", pipe.to_str().unwrap());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (folder, mut child) = program.start(Stdio::from(writer));
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    let db = rusqlite::Connection::open(folder.path().join("trace_store.db")).unwrap();
    let before = wait_for("the first record", || {
        let count = "SELECT COUNT(*) FROM logs";
        let count: i64 = db.query_row(count, [], |row| row.get(0)).ok()?;
        (count == 1).then_some(count)
    });
    assert_eq!(before, 1);
    wait_for("the file's lock", || db.execute_batch("BEGIN EXCLUSIVE").ok());
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(end_of(&mut child, "the program").code(), Some(3));
    let mut stderr = String::new();
    reader.read_to_string(&mut stderr).unwrap();
    let reports: Vec<&str> = stderr.lines().filter(|line| line.contains("left out:")).collect();
    assert_eq!(
        reports,
        [
            "spanscope: the time to write the last records is over; left out: 4 lines of the log file, 3 records of the store"
        ],
        "{stderr}"
    );
    assert_eq!(
        stderr.matches(": left out\n").count(),
        3,
        "the console waited for neither"
    );
}
