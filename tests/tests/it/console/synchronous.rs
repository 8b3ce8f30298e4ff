//! The synchronous console: the thread that records a line writes it.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::{Arc, Mutex};

use spanscope::ConsoleLayer;
use spanscope_tests::process::Signal;
use tracing_subscriber::prelude::*;

use super::{Program, built, program};

const SYNC: &str = "SPANSCOPE_CONSOLE_SYNC";

/// Returns both streams of a program, as a terminal shows them.
fn both_streams(program: Program) -> String {
    let shown = program.run_under_terminal(200);
    String::from_utf8(shown.raw).unwrap().replace('\r', "")
}

/// The words `step N` and a letter, in the order of the lines.
fn steps(text: &str) -> Vec<String> {
    let steps = text.split("step ").skip(1);
    let word = |step: &str| step.split_whitespace().next().unwrap().to_owned();
    steps.map(word).collect()
}

#[test]
fn its_lines_are_in_order_with_the_output_of_the_program() {
    let expected: Vec<String> = (0..100)
        .flat_map(|number| ["a", "b", "c"].map(|step| format!("{number}{step}")))
        .collect();
    for program in [
        program(&["printed-and-logged"]).env(SYNC, "1"),
        built(&["printed-and-logged"]).env("CODE_SHAPE", "synchronous"),
        in_file(&["printed-and-logged"]),
    ] {
        let program = program.env("LLAMA_STACK_LOG_WIDTH", "180").env("NO_COLOR", "1");
        let text = both_streams(program);
        assert_eq!(steps(&text), expected, "{text}");
        assert_eq!(text.matches("[END] span").count(), 100);
    }
}

/// A program that is made synchronous by a settings file.
fn in_file(work: &[&str]) -> Program {
    let program = program(work);
    let path = program.path("run.yaml");
    let settings = "logging_config:\n  sinks:\n    console: { sync: true }\n";
    std::fs::write(&path, settings).unwrap();
    program.env("SPANSCOPE_CONFIG", path)
}

#[test]
fn threads_that_hold_stderr_while_they_log_block_no_other() {
    let ended = program(&["logged-while-printing", "stats"])
        .env(SYNC, "1")
        .env("SPANSCOPE_CONSOLE", "json")
        .run();
    assert_eq!(ended.count("printed by Display"), 600);
    // The rate limit summarizes the others.
    assert!(ended.count("logged by Display") >= 100, "{}", ended.console);
    assert!(ended.count("logged by itself") >= 100, "{}", ended.console);
}

#[test]
fn a_line_is_written_before_the_program_continues() {
    for _ in 0..5 {
        let ended = program(&["logged-and-killed"]).env(SYNC, "1").run_to_any_end();
        assert_eq!(ended.status.signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(ended.count("the last line"), 1, "{}", ended.console);
    }
}

#[test]
fn it_otherwise_behaves_like_a_console_with_a_thread() {
    for style in ["lines", "tree", "json", "events"] {
        let shown = |sync: &str| {
            let program = program(&["story", "measures"]).env("SPANSCOPE_CONSOLE", style);
            let ended = program.env(SYNC, sync).run();
            ended.console.lines().count()
        };
        assert_eq!(shown("1"), shown("0"), "{style}");
    }
    let refused = program(&["story"]).env(SYNC, "yes").run();
    assert!(
        refused
            .line("SPANSCOPE_CONSOLE_SYNC is \"yes\"")
            .contains("use one of 1 true 0 false"),
        "{}",
        refused.console
    );
}

/// A writer that records events, and panics on request.
#[derive(Clone, Default)]
struct Records(Arc<Mutex<String>>);

impl Write for Records {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        tracing::info!("recorded by the writer");
        let lines = std::str::from_utf8(lines).unwrap();
        assert!(!lines.contains("doomed"), "as asked");
        self.0.lock().unwrap().push_str(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_records_or_panics_harms_no_caller() {
    let writer = Records::default();
    let console = ConsoleLayer::builder().writer(writer.clone()).synchronous(true);
    let (layer, guard) = console.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("first");
        assert!(writer.0.lock().unwrap().contains(": first"));
        tracing::info!("doomed");
        tracing::info!("second");
        assert!(writer.0.lock().unwrap().contains(": second"));
        drop(guard);
        tracing::info!("after the end");
    });
    let lines = writer.0.lock().unwrap();
    assert!(lines.contains("1 line was lost here"), "{lines}");
    assert!(
        !lines.contains("after the end") && !lines.contains("by the writer"),
        "{lines}"
    );
}
