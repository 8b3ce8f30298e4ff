//! Errors on the console: the box below the event, whatever way the program logged them.

use super::{Ended, program};

/// Runs `console init error-WAY`. Whatever the way, no end of a line is an escape.
fn logged(way: &str) -> Ended {
    let ended = program(&[&format!("error-{way}")])
        .env("LLAMA_STACK_LOG_WIDTH", "300")
        .env("LLAMA_STACK_LOGGING", "all=info")
        .run();
    let of_console = ended.console.split("\nthread '").next().unwrap();
    assert!(!of_console.contains("\\n"), "{of_console}");
    ended
}

/// The rows of the box, without its edges.
fn rows(ended: &Ended) -> Vec<&str> {
    let rows = ended.console.lines().filter_map(|line| {
        let row = line.trim_start().strip_prefix('│')?.strip_suffix('│')?;
        Some(row.trim_end().strip_prefix(' ').unwrap_or_default())
    });
    rows.collect()
}

const CHAIN: [&str; 5] = [
    "the tool failed",
    "caused by",
    "  1: no answer of the index",
    "  2: refused: line one",
    "     line two",
];

#[test]
fn debug_of_anyhow_and_eyre_shows_the_chain_in_the_box() {
    for way in ["anyhow", "eyre", "anyhow-as-err"] {
        let ended = logged(way);
        let rows = rows(&ended);
        assert_eq!(rows.get(..5), Some(&CHAIN[..]), "{way}: {}", ended.console);
        let head = ended.line("it failed");
        assert!(!head.contains("error=") && !head.contains("err="), "{head}");
        assert_eq!(ended.count("the tool failed"), 1, "{way}: {}", ended.console);
    }
    let eyre = logged("eyre");
    let place = rows(&eyre);
    assert_eq!(place[5], "location", "{}", eyre.console);
    assert!(
        place[6].contains("src/bin/console/errors.rs:"),
        "{}",
        eyre.console
    );
    assert!(eyre.line("it failed").ends_with("it failed attempt=2"));
}

#[test]
fn a_dyn_error_shows_the_same_chain() {
    let ended = logged("dyn");
    assert_eq!(&rows(&ended)[..3], &CHAIN[..3], "{}", ended.console);
}

#[test]
fn other_errors_have_their_text_in_the_box_line_by_line() {
    let boxed = logged("boxed");
    assert_eq!(
        rows(&boxed),
        ["first line", "second \"line\""],
        "{}",
        boxed.console
    );
    let own = logged("own");
    assert_eq!(
        rows(&own),
        ["Refused { answer: \"line one", "line two\" }"],
        "{}",
        own.console
    );
    let pretty = logged("pretty");
    assert_eq!(
        rows(&pretty),
        ["Refused {", "    answer: \"line one", "line two\",", "}"],
        "{}",
        pretty.console
    );
}

#[test]
fn an_error_that_is_the_message_has_its_first_line_there_and_the_others_in_the_box() {
    let instrumented = logged("instrumented");
    assert!(
        instrumented.line("ERROR ").ends_with(": the tool failed"),
        "{}",
        instrumented.console
    );
    let rows_of = rows(&instrumented);
    assert_eq!(rows_of[..5], CHAIN, "{}", instrumented.console);
    let panic = logged("panic");
    assert!(
        panic
            .line("ERROR ")
            .contains("called `Result::unwrap()` on an `Err` value: the tool failed code.file.path="),
        "{}",
        panic.console
    );
    assert_eq!(rows(&panic)[1..5], CHAIN[1..], "{}", panic.console);
}

#[test]
fn a_message_of_the_application_keeps_its_lines() {
    let ended = logged("log");
    let (_, below) = ended.console.split_once("it failed: the tool failed\n").unwrap();
    let lines: Vec<&str> = below.lines().map(str::trim).collect();
    assert_eq!(lines[..3], ["", "Caused by:", "0: no answer of the index"]);
}

#[test]
fn a_span_that_failed_shows_its_reason_in_a_box_below_its_end() {
    let ended = logged("span");
    let end = ended.line("[END] tool");
    assert!(end.ends_with("[ERROR] the tool failed"), "{end}");
    assert_eq!(rows(&ended)[..5], CHAIN, "{}", ended.console);
}

#[test]
fn a_backtrace_is_below_its_heading() {
    let ended = program(&["error-anyhow"])
        .env("RUST_BACKTRACE", "1")
        .env("LLAMA_STACK_LOG_WIDTH", "300")
        .run();
    let rows = rows(&ended);
    assert_eq!(rows[5], "backtrace", "{}", ended.console);
    assert!(rows[6].trim_start().starts_with("0: "), "{}", ended.console);
}
