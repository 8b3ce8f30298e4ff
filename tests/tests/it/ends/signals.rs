//! SIGTERM and SIGINT of programs that handle them and of programs that don't.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use rusqlite::Connection;
use spanscope_tests::process::{Signal, end_of, send_signal};
use spanscope_tests::wait_for;
use tempfile::TempDir;

use super::{Program, Store, program};

const BEFORE: &str = "recorded before the signal";
const AFTER: &str = "recorded after the signal";

/// Starts a program and waits until it has recorded something.
fn start(program: Program) -> (TempDir, Child) {
    let (folder, mut child) = program.start(Stdio::null());
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    (folder, child)
}

fn store(folder: &TempDir) -> Store {
    Store(folder.path().join("trace_store.db"))
}

#[test]
fn a_signal_that_only_spanscope_handles_ends_the_program_as_without_spanscope() {
    for signal in [Signal::TERM, Signal::INT] {
        let (folder, mut child) = start(program("signal-alone"));
        send_signal(&child, signal);
        assert_eq!(end_of(&mut child, "the program").signal(), Some(signal.as_raw()));
        assert_eq!(store(&folder).events(BEFORE), 1);
    }
}

#[test]
fn a_program_that_handles_the_signal_ends_by_itself() {
    for scenario in ["signal-flag-later", "signal-flag-before", "signal-tokio"] {
        for signal in [Signal::TERM, Signal::INT] {
            let (folder, mut child) = start(program(scenario));
            send_signal(&child, signal);
            let status = end_of(&mut child, scenario);
            assert_eq!(status.code(), Some(7), "{scenario}: {status}");
            assert_eq!(store(&folder).events(BEFORE), 1, "{scenario}");
            assert_eq!(store(&folder).events(AFTER), 1, "{scenario}");
        }
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let ignoring = program("signal-ignored").through_shell("trap '' INT; exec \"$0\" \"$@\"");
    let (folder, mut child) = start(ignoring);
    send_signal(&child, Signal::INT);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(end_of(&mut child, "the program").code(), Some(7));
    assert_eq!(store(&folder).events(AFTER), 1);
}

#[test]
fn a_signal_can_write_the_records_without_ending_the_program() {
    let (folder, mut child) = start(program("signal-flush"));
    send_signal(&child, Signal::TERM);
    wait_for("the record", || {
        (store(&folder).events(BEFORE) == 1).then_some(())
    });
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(end_of(&mut child, "the program").code(), Some(7));
    assert_eq!(store(&folder).events(AFTER), 1);
}

#[test]
fn a_second_signal_ends_a_program_whose_shutdown_is_slow() {
    let (folder, mut child) = start(program("signal-slow"));
    let db = Connection::open(folder.path().join("trace_store.db")).unwrap();
    wait_for("the file's lock", || db.execute_batch("BEGIN EXCLUSIVE").ok());
    send_signal(&child, Signal::TERM);
    // The two could be one if they came at the same moment. The first is caught when its thread has
    // begun to end the sinks, which is not visible from outside; it ignores a second signal that
    // comes before.
    wait_for("the end", || {
        send_signal(&child, Signal::INT);
        child.try_wait().unwrap()
    });
    let status = end_of(&mut child, "the program");
    assert!(
        [Signal::INT.as_raw(), Signal::TERM.as_raw()].contains(&status.signal().unwrap()),
        "{status}"
    );
}

#[test]
fn after_the_drop_of_the_guard_signals_have_their_default_effect() {
    let (_folder, mut child) = start(program("signal-after-guard"));
    send_signal(&child, Signal::TERM);
    assert_eq!(
        end_of(&mut child, "the program").signal(),
        Some(Signal::TERM.as_raw())
    );
}
