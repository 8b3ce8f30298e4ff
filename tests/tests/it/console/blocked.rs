//! A stderr that is not read blocks no thread, and the console reports what it dropped.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use super::{Program, Running, Store, account, begins_entry, built, program};

/// A program that writes far more than the pipe and the queue hold.
fn talkative(work: &[&str]) -> Program {
    built(work)
        .env("CODE_SHAPE", "unlimited")
        .env("CODE_QUEUE", (64 << 10).to_string())
}

#[test]
fn a_program_whose_stderr_is_blocked_works_and_reports_lost_lines_later() {
    let mut running = talkative(&["lines", "worked", "wait", "flush", "stats"]).start();
    running.wait_worked();
    running.release();
    let ended = running.read_to_end();
    assert!(ended.status.success());
    let [offered, stored, lost, failed] = account(&ended.stdout, "console");
    assert_eq!(offered, 20_000);
    assert_eq!(offered, stored + lost + failed);
    assert!(lost > 0 && failed == 0, "{}", ended.stdout);
    assert_eq!(ended.count(": line number=") as u64, stored);
    let reported: u64 = ended
        .console
        .lines()
        .filter(|line| line.contains("lost here, because stderr did not keep up"))
        .map(|line| {
            let words = line.split_once(" spanscope: ").unwrap().1;
            words.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(reported, lost, "every lost line is reported");
    assert!(ended.console.lines().all(begins_entry), "no line is torn");
    assert_eq!(
        ended.store().logs.len(),
        10_000,
        "the store has the requested number"
    );
}

#[test]
fn a_blocked_stderr_does_not_delay_the_end_of_a_program() {
    let mut running = talkative(&["lines", "worked"]).start();
    running.wait_worked();
    assert!(running.wait().success());
}

#[test]
fn a_signal_still_ends_a_program() {
    let mut running = talkative(&["lines", "worked", "hang"]).start();
    running.wait_worked();
    running.terminate();
    assert_eq!(running.wait().signal(), Some(15));
}

/// A program with invalid settings, which it reports on its console or, without one, on stderr.
fn with_invalid_settings(sinks: &str) -> Program {
    program(&["story", "worked"])
        .env("TELEMETRY_SINKS", sinks)
        .env("LLAMA_STACK_LOGGING", "nosuch=debug")
        .env("LLAMA_STACK_LOG_FILE", "/dev/full")
}

fn check_that_it_works(mut running: Running) {
    running.wait_worked();
    assert!(running.wait().success());
    let path = running.folder.path().join("store/trace_store.db");
    assert_eq!(Store::at(&path).spans.len(), 2);
}

#[test]
fn a_closed_stderr_stops_no_other_sink() {
    for sinks in ["console,sqlite,kafka", "sqlite,kafka"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        check_that_it_works(with_invalid_settings(sinks).start_into(writer));
    }
}

#[test]
fn a_full_stderr_delays_no_other_sink() {
    for sinks in ["console,sqlite,kafka", "sqlite,kafka"] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // Fills the pipe, which holds 64 KiB on Linux and on macOS.
        writer.write_all(&[b'\n'; 1 << 16]).unwrap();
        check_that_it_works(with_invalid_settings(sinks).start_into(writer));
        drop(reader);
    }
}
