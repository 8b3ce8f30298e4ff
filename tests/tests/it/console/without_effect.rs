//! Settings that are accepted and have no effect: each is reported once, with the fix.

use super::{Ended, Program, program};

/// Returns the only line of the console with this text.
fn warning<'a>(ended: &'a Ended, text: &str) -> &'a str {
    assert_eq!(ended.count(text), 1, "{text}: {}", ended.console);
    ended.line(text)
}

#[test]
fn a_logger_that_was_set_before_is_reported_and_keeps_its_records() {
    let ended = Program::new("after-own-logger", &["once", "own-logger-had"]).run();
    let line = warning(&ended, "another logger was set before");
    assert!(
        line.starts_with("WARN ") && line.contains("call `spanscope::init()` before"),
        "{line}"
    );
    assert!(ended.stdout.contains("the logger had 2"), "{}", ended.stdout);
    assert_eq!(ended.count("a record of log"), 0);
    assert_eq!(ended.count("an event of tracing"), 1);
}

#[test]
fn a_log_tracer_that_was_set_before_is_reported_because_key_values_are_lost() {
    let ended = Program::new("after-log-tracer", &["once"]).run();
    let line = warning(&ended, "key-values of records of the `log` crate are not kept");
    assert!(line.contains("`tracing_log::LogTracer`"), "{line}");
    assert_eq!(ended.count("a record of log"), 1);
    // Without one nothing is reported.
    assert_eq!(program(&["once"]).run().count("logger"), 0);
}

#[test]
fn a_package_name_in_rust_log_is_reported_with_the_name_in_code() {
    for (directives, meant) in [
        ("my-crate=debug", "my_crate=debug"),
        (
            "info,my-other-crate::db-pool=trace",
            "my_other_crate::db-pool=trace",
        ),
        ("my-crate", "my_crate"),
    ] {
        let ended = program(&["once"]).env("RUST_LOG", directives).run();
        let line = warning(&ended, "did you mean");
        assert!(line.contains(&format!("did you mean `{meant}`?")), "{line}");
        assert!(line.contains("RUST_LOG"), "{line}");
    }
    let right = program(&["once"])
        .env("RUST_LOG", "my_crate=debug,h2::frame-reader=info")
        .run();
    assert_eq!(right.count("did you mean"), 0, "{}", right.console);
}

#[test]
fn an_error_of_try_init_that_is_dropped_is_reported() {
    for (setup, problem) in [
        ("dropped-error", "SPANSCOPE_CONSOLE is \"quiet\""),
        ("dropped-error-of-builder", "did you mean `agents`?"),
    ] {
        let ended = Program::new(setup, &[]).env("SPANSCOPE_CONSOLE", "quiet").run();
        let line = warning(&ended, "spanscope: no telemetry: ");
        assert!(
            line.contains(problem) && line.contains("`spanscope::init()`"),
            "{line}"
        );
    }
    let ended = Program::new("shown-error", &[])
        .env("SPANSCOPE_CONSOLE", "quiet")
        .run();
    assert_eq!(ended.console, "");
    assert!(
        ended.stdout.starts_with("shown: SPANSCOPE_CONSOLE is"),
        "{}",
        ended.stdout
    );
}

/// Runs another build of the program.
fn built_differently(mut program: Program) -> Option<Program> {
    let Some(path) = std::env::var_os("SPANSCOPE_CONSOLE_BUILT_DIFFERENTLY") else {
        spanscope_tests::skip(
            "SPANSCOPE_CONSOLE_BUILT_DIFFERENTLY names no program `console` that was built with the features \
             tracing/log-always, tracing/max_level_debug and log/max_level_info",
        );
        return None;
    };
    let mut command = std::process::Command::new(path);
    command.args(program.command.get_args());
    for (name, value) in program.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    program.command = command;
    Some(program)
}

#[test]
fn levels_that_are_compiled_out_are_reported_if_requested() {
    let Some(program_traced) = built_differently(program(&["once"])) else {
        return;
    };
    let ended = program_traced.env("LLAMA_STACK_LOGGING", "all=trace").run();
    let events = warning(&ended, "built without spans and events beyond debug");
    assert!(
        events.contains("max_level_") && events.contains("`tracing`"),
        "{events}"
    );
    let records = warning(&ended, "built without records of the `log` crate beyond info");
    assert!(records.contains("`log`"), "{records}");
    assert_eq!(ended.count("a finer event of tracing"), 1);
    assert_eq!(ended.count("the finest"), 0);
    let quiet = built_differently(program(&["once"])).unwrap();
    let quiet = quiet.env("LLAMA_STACK_LOGGING", "all=info").run();
    assert_eq!(quiet.count("built without"), 0, "{}", quiet.console);
}

#[test]
fn a_log_record_from_the_line_of_an_event_is_shown_too() {
    let ended = program(&["both"]).run();
    assert_eq!(ended.count("said by both"), 2, "{}", ended.console);
}

#[test]
fn with_log_always_an_event_is_shown_once() {
    for levels in ["all=info", "all=debug", "all=trace"] {
        let Some(program) = built_differently(program(&["once"])) else {
            return;
        };
        let ended = program
            .env("LLAMA_STACK_LOGGING", levels)
            .env("RUST_LOG", "hidden=off")
            .run();
        let fine = usize::from(levels != "all=info");
        for (text, times) in [
            ("an event of tracing", 1),
            ("a finer event of tracing", fine),
            ("a record of log", 1),
            ("a hidden event", 0),
            ("a span of tracing", 2),
        ] {
            assert_eq!(ended.count(text), times, "{text} at {levels}: {}", ended.console);
        }
        let store = ended.store();
        let messages = store.messages();
        let stored = messages.iter().filter(|text| text.contains("of tracing"));
        assert_eq!(stored.count(), 1 + fine, "{messages:?}");
    }
}

#[test]
fn a_program_that_passes_init_as_a_value_is_still_the_application() {
    for setup in ["handed-on", "pointed-to"] {
        let ended = Program::new(setup, &["story"]).run();
        assert_eq!(ended.count("[START] agent_run"), 1, "{setup}: {}", ended.console);
        assert_eq!(
            ended.count("planning the answer"),
            1,
            "{setup}: {}",
            ended.console
        );
        let direct = program(&["story"]).run();
        assert_eq!(
            ended.console.lines().count(),
            direct.console.lines().count(),
            "{setup}"
        );
    }
}
