//! Panics and `abort`.

use std::os::unix::process::ExitStatusExt as _;

use spanscope_tests::process::Signal;

use super::{Ended, program};

const RECORDED: &str = "recorded before the end";

/// Counts the events of panics in the span where they happened.
const IN_SPAN: &str = "SELECT COUNT(*) FROM logs JOIN spans USING (span_id) WHERE spans.name = 'doomed' AND severity = 'error' \
                       AND logs.message LIKE 'thread ''%'' panicked at tests/src/bin/ends/panics.rs:%: as asked'";

fn attribute(ended: &Ended, key: &str) -> String {
    let sql = format!(
        "SELECT COALESCE(json_extract(attributes, '$.\"{key}\"'), '') || '' FROM logs WHERE message LIKE 'thread %panicked%' LIMIT 1"
    );
    ended.store().text(&sql)
}

#[test]
fn a_panic_is_an_error_event_wherever_it_happens() {
    for (scenario, thread, code, panics) in [
        ("panic-main", "main", 101, 1),
        ("panic-thread", "worker", 0, 1),
        ("panic-task", "tokio-rt-worker", 0, 1),
        ("panic-caught", "main", 0, 3),
    ] {
        let ended = program(scenario).run();
        assert_eq!(ended.status.code(), Some(code), "{scenario}: {}", ended.stderr);
        assert_eq!(
            ended.store().number(IN_SPAN),
            panics,
            "{scenario}: {}",
            ended.stderr
        );
        assert_eq!(attribute(&ended, "exception.type"), "panic");
        assert_eq!(attribute(&ended, "exception.message"), "as asked");
        assert_eq!(attribute(&ended, "thread.name"), thread, "{scenario}");
        assert_eq!(
            attribute(&ended, "code.file.path"),
            "tests/src/bin/ends/panics.rs"
        );
        assert_ne!(attribute(&ended, "code.line.number"), "");
        assert_eq!(
            attribute(&ended, "exception.stacktrace"),
            "",
            "no backtrace was requested"
        );
        assert_eq!(ended.logged("panicked at"), usize::try_from(panics).unwrap());
        let failed = "SELECT COUNT(*) FROM spans WHERE name = 'doomed' AND status = 'error'";
        assert_eq!(ended.store().number(failed), panics, "{scenario}");
    }
}

#[test]
fn a_backtrace_is_recorded_if_the_variable_requests_one() {
    let ended = program("panic-thread").env("RUST_BACKTRACE", "1").run();
    let backtrace = attribute(&ended, "exception.stacktrace");
    assert!(backtrace.contains("panic_in_span"), "{backtrace}");
}

/// The line of stderr that the hook of the standard library begins its message with.
fn message_line(stderr: &str) -> usize {
    let mut lines = stderr.lines();
    let found = lines.position(|line| line.starts_with("thread '") && line.contains("panicked at"));
    found.unwrap_or_else(|| panic!("no message of the panic: {stderr}"))
}

#[test]
fn console_lines_are_in_the_order_of_events() {
    let ended = program("panic-thread").run();
    let place = |text: &str| {
        let found = ended.stderr.lines().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text}: {}", ended.stderr))
    };
    let order = [
        place(RECORDED),
        place("ERROR"),
        message_line(&ended.stderr),
        place("after the panic"),
    ];
    assert!(order.is_sorted(), "{order:?}: {}", ended.stderr);
}

#[test]
fn panics_are_not_recorded_if_the_builder_turns_it_off() {
    let ended = program("panic-off").run();
    assert_eq!(ended.status.code(), Some(101));
    let events = "SELECT COUNT(*) FROM logs";
    assert_eq!(ended.store().number(events), 0);
    message_line(&ended.stderr);
}

#[test]
fn a_panic_that_aborts_is_recorded_by_every_sink() {
    for scenario in ["panic-abort-in-hook", "panic-not-unwinding"] {
        let ended = program(scenario).run();
        assert_eq!(ended.status.signal(), Some(Signal::ABORT.as_raw()), "{scenario}");
        ended.assert_everywhere(RECORDED, 1);
        assert_eq!(ended.store().number(IN_SPAN), 1, "{scenario}: {}", ended.stderr);
        let console = ended.stderr.lines().position(|line| line.contains("ERROR"));
        assert!(
            console.is_some_and(|line| line < message_line(&ended.stderr)),
            "{scenario}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_program_built_with_panic_abort_loses_no_record_of_a_panic() {
    let Some(aborting) = std::env::var_os("SPANSCOPE_ENDS_ABORTING") else {
        return spanscope_tests::skip(
            "SPANSCOPE_ENDS_ABORTING names no program `ends` that was built with CARGO_PROFILE_DEV_PANIC=abort",
        );
    };
    for scenario in ["panic-main", "panic-thread"] {
        let ended = program(scenario).built_as(&aborting).run();
        assert_eq!(ended.status.signal(), Some(Signal::ABORT.as_raw()), "{scenario}");
        ended.assert_everywhere(RECORDED, 1);
        assert_eq!(ended.store().number(IN_SPAN), 1, "{scenario}: {}", ended.stderr);
        message_line(&ended.stderr);
    }
}

#[test]
fn abort_writes_all_earlier_records() {
    let ended = program("panic-abort").run();
    assert_eq!(ended.status.signal(), Some(Signal::ABORT.as_raw()));
    ended.assert_everywhere(RECORDED, 1);
    ended.assert_everywhere("in the span", 1);
}

#[test]
fn a_closed_stderr_loses_no_record_of_other_sinks() {
    for (scenario, code) in [("panic-main", 101), ("exit-code", 3)] {
        let ended = program(scenario).through_shell("exec \"$0\" \"$@\" 2>&-").run();
        assert_eq!(ended.status.code(), Some(code), "{scenario}");
        assert_eq!(
            (ended.logged(RECORDED), ended.store().events(RECORDED)),
            (1, 1),
            "{scenario}"
        );
    }
}
