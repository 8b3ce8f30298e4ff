//! Programs that fork after `init`.

use super::{Ended, program};

/// Asserts that the accounts of all processes are right: all offered records were stored.
fn assert_accounts(ended: &Ended, processes: i64) {
    let wrong = "SELECT COUNT(*) FROM _process WHERE offered <> stored OR ended_at IS NULL";
    assert_eq!(ended.store().number(wrong), 0);
    assert_eq!(ended.store().number("SELECT COUNT(*) FROM _process"), processes);
    let twice = "SELECT COUNT(*) - COUNT(DISTINCT span_id) FROM spans";
    assert_eq!(
        ended.store().number(twice),
        0,
        "no two processes create the same id"
    );
}

#[test]
fn a_child_continues_with_its_own_writers() {
    let ended = program("fork-once").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    for message in [
        "before the fork",
        "in the child",
        "in the grandchild",
        "after the fork",
    ] {
        ended.assert_everywhere(message, 1);
    }
    assert_accounts(&ended, 3);
    let in_trace =
        "SELECT COUNT(DISTINCT trace_id) FROM spans WHERE name IN ('of the child', 'open at the fork')";
    assert_eq!(ended.store().number(in_trace), 1, "the child continues the trace");
}

#[test]
fn a_guard_that_child_and_parent_drop_ends_the_sinks_of_each() {
    let ended = program("fork-drop").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    spanscope_tests::wait_for("the child's end", || {
        let ended_rows = "SELECT COUNT(*) FROM _process WHERE ended_at IS NOT NULL";
        (ended.store().number(ended_rows) == 2).then_some(())
    });
    for message in ["before the fork", "in the child", "after the fork"] {
        ended.assert_everywhere(message, 1);
    }
    assert_accounts(&ended, 2);
}

#[test]
fn a_child_that_records_nothing_leaves_its_parent_alone() {
    let ended = program("fork-silent").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.assert_everywhere("before the fork", 1);
    assert_accounts(&ended, 1);
}

#[test]
fn forks_of_a_busy_program_never_hang() {
    let ended = program("fork-busy").env("LLAMA_STACK_LOGGING", "all=debug").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.store().events("after the fork"), 1);
    assert_eq!(ended.logged("in the child"), 20);
    let unstored = ended.shown("the span store accepts nothing in the forked process");
    assert_eq!(ended.store().events("in the child") + unstored, 20, "{unstored}");
}

#[test]
fn a_sink_that_can_not_continue_in_a_child_reports_it_once() {
    let ended = program("fork-once")
        .env("TELEMETRY_SINKS", "console,otel_trace,otel_log")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .run();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.shown("in the child"), 1);
    let text = "the OTLP bridge accepts nothing in the forked process";
    assert_eq!(ended.shown(text), 1, "{}", ended.stderr);
}
