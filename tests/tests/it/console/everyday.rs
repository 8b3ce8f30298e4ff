//! A console that stays switched on: a line where a span starts and one where it ends, the trace of
//! each line, and the variables that change it without code.

use super::{Ended, begins_entry, built, program};

/// The columns that a pipe has.
const WIDTH: &str = "120";

/// The word after the time of a line, if it is a short trace id.
fn trace_of(line: &str) -> Option<&str> {
    let word = line.get(22..)?.split(' ').next()?;
    let is_id = word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    is_id.then_some(word)
}

fn starts(ended: &Ended) -> Vec<&str> {
    let lines = ended.console.lines();
    lines.filter(|line| line.contains("[START]")).collect()
}

#[test]
fn a_span_is_one_line_at_its_start_and_one_at_its_end_with_its_attributes() {
    let ended = program(&["story"]).run();
    let start = ended.line("[START] agent_run");
    assert!(
        start.ends_with("[START] agent_run session=abc-1 steps=2"),
        "{start}"
    );
    assert!(
        ended
            .line("[START] call_tool")
            .ends_with("[START] call_tool tool=search")
    );
    assert_eq!(ended.count("[START]") + ended.count("[END]"), 4);
}

#[test]
fn attributes_that_do_not_fit_the_line_are_counted_and_long_values_cut() {
    let ended = program(&["wide-span"]).env("LLAMA_STACK_LOG_WIDTH", WIDTH).run();
    for line in ended.console.lines() {
        assert!(begins_entry(line), "a separate line: {line:?}");
        assert!(line.chars().count() <= 120, "{line:?}");
    }
    let start = ended.line("[START] wide");
    assert!(
        start.contains(" first=1 region=eu-central ") && start.ends_with(" more"),
        "{start}"
    );
    assert!(ended.line("[END] wide").ends_with(" late=2"));

    let wider = program(&["wide-span"]).env("LLAMA_STACK_LOG_WIDTH", "200").run();
    let start = wider.line("[START] wide");
    assert!(
        start.contains(" prompt=\"word word") && start.contains(" \"… region="),
        "{start}"
    );
    // If the line has no space left, a start gets a second line.
    let narrow = program(&["wide-span"]).env("LLAMA_STACK_LOG_WIDTH", "70").run();
    let (_, after) = narrow.console.split_once("[START] wide\n").unwrap();
    let next = after.lines().next().unwrap();
    assert!(
        next.starts_with("         first=1 ") && next.ends_with(" more"),
        "{next}"
    );
}

#[test]
fn starts_ends_warnings_and_errors_name_their_trace_as_the_command_tree_accepts_it() {
    let ended = program(&["story", "measures"]).run();
    let store = ended.store();
    for (text, span) in [
        ("[START] agent_run", "agent_run"),
        ("[END] agent_run", "agent_run"),
        ("no result", "call_tool"),
        ("[START] chat", "chat"),
        ("the queue is full", "chat"),
    ] {
        let line = ended.line(text);
        let short = trace_of(line).unwrap_or_else(|| panic!("no trace in {line:?}"));
        let whole = store.span(span).trace_id.to_string();
        assert!(whole.starts_with(short), "{short} of {whole}");
    }
    // Without lines of other traces, an event does not name its trace.
    assert_eq!(trace_of(ended.line("planning the answer")), None);
}

#[test]
fn events_of_interleaved_traces_name_their_trace_and_span() {
    let ended = program(&["side-by-side"]).run();
    let traces = ["red", "blue"].map(|colour| {
        let root = starts(&ended)
            .into_iter()
            .find(|line| line.ends_with(&format!("request colour={colour}")))
            .unwrap();
        let trace = trace_of(root).unwrap();
        for step in 0..3 {
            let line = ended.line(&format!("{colour} does {step}"));
            assert_eq!(trace_of(line), Some(trace), "{line}");
            assert!(
                line.ends_with(&format!("in step: {colour} does {step}")),
                "{line}"
            );
        }
        trace
    });
    assert_ne!(traces[0], traces[1], "{}", ended.console);
}

#[test]
fn events_alone_name_their_trace_where_it_changes() {
    let ended = program(&["side-by-side"])
        .env("SPANSCOPE_CONSOLE", "events")
        .run();
    assert_eq!(ended.count("[START]") + ended.count("[END]"), 0);
    let mut last = None;
    for line in ended.console.lines().filter(|line| line.contains(" does ")) {
        last = trace_of(line).or(last);
        let colour = if line.contains("red does") { "red" } else { "blue" };
        let spans = ended.store();
        let root = spans.spans.iter().find(|span| {
            let is_root = span.name == "request";
            is_root
                && span
                    .attributes
                    .get("colour")
                    .is_some_and(|value| value.as_str() == Some(colour))
        });
        let whole = root.unwrap().trace_id.to_string();
        assert!(whole.starts_with(last.unwrap()), "{line}");
    }
}

#[test]
fn one_variable_sets_the_style_of_the_console() {
    let shown = |style: &str| program(&["story"]).env("SPANSCOPE_CONSOLE", style).run();
    let below = "\n           session: abc-1\n";
    assert!(!shown("lines").console.contains(below));
    assert!(shown("Verbose").console.contains(below));
    let tree = shown("tree");
    assert!(
        tree.line("[START] call_tool").contains("   console::story"),
        "{}",
        tree.console
    );
    assert_eq!(shown("events").count("[START]"), 0);
    let json = shown("json");
    for line in json.console.lines() {
        assert!(line.starts_with("{\"timestamp\":"), "{line}");
    }
    let off = shown("off");
    assert_eq!(off.console, "");
    assert_eq!(off.store().span("agent_run").name, "agent_run");
}

#[test]
fn an_unknown_style_is_reported_with_the_accepted_ones() {
    let ended = program(&["story"]).env("SPANSCOPE_CONSOLE", "quiet").run();
    let line = ended.line("SPANSCOPE_CONSOLE is \"quiet\"");
    for word in ["lines", "verbose", "events", "tree", "json", "off"] {
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(ended.count("SPANSCOPE_CONSOLE"), 1);
    assert!(ended.line("[START] agent_run").contains("steps=2"));
    let refused = built(&["story"])
        .env("SPANSCOPE_CONSOLE", "quiet")
        .run_to_any_end();
    assert!(!refused.status.success() && refused.console.contains("SPANSCOPE_CONSOLE"));
}

#[test]
fn a_quiet_console_over_a_full_store_is_one_variable() {
    let ended = program(&["story"])
        .env("SPANSCOPE_CONSOLE_LEVELS", "all=error")
        .run();
    assert_eq!(ended.count("planning"), 0);
    assert_eq!(ended.count("no result"), 1);
    let store = ended.store();
    assert!(store.messages().iter().any(|text| text.starts_with("planning")));
    assert_eq!(store.span("agent_run").name, "agent_run");
    let bad = program(&["story"])
        .env("SPANSCOPE_CONSOLE_LEVELS", "agnets=debug")
        .run();
    assert!(
        bad.line("SPANSCOPE_CONSOLE_LEVELS")
            .contains("did you mean `agents`?")
    );
}

#[test]
fn one_variable_switches_everything_off_and_the_program_continues() {
    let program_off = program(&["story", "flush", "changes", "worked"]);
    let log_file = program_off.path("agent.log");
    let ended = program_off
        .env("OTEL_SDK_DISABLED", "true")
        .env("LLAMA_STACK_LOG_FILE", &log_file)
        .run();
    assert_eq!((ended.console.as_str(), ended.stdout.as_str()), ("", "worked\n"));
    assert!(!ended.folder.path().join("store").exists());
    assert!(!log_file.exists());
    let ended = program(&["story"]).env("OTEL_SDK_DISABLED", "yes").run();
    assert!(
        ended
            .line("OTEL_SDK_DISABLED is \"yes\"")
            .contains("true and false")
    );
    assert_eq!(ended.count("[START] agent_run"), 1);
}

#[test]
fn the_service_is_the_programs_name_where_nothing_else_is_set() {
    let ended = program(&["story"]).run();
    assert_eq!(ended.store().span("agent_run").service_name, "console");
    let ended = program(&["story"]).env("OTEL_SERVICE_NAME", "named").run();
    assert_eq!(ended.store().span("agent_run").service_name, "named");
}

#[test]
fn a_message_is_data_unless_its_event_or_the_whole_console_requests_markup() {
    let data = r"[bold]x[/bold] in C:\new\[tmp] \[0] [/]";
    let plain = program(&["markup"]).run();
    assert!(plain.line("user said").ends_with(&format!(": user said: {data}")));
    let asked = plain.line("asked for");
    assert!(
        asked.ends_with(": asked for, see [tmp]") && !asked.contains("markup"),
        "{asked}"
    );
    assert!(plain.line("odd").ends_with(": [b]odd[/b] markup=2"));
    // The store has the message as it was, and the fields.
    let store = plain.store();
    assert!(store.messages().contains(&r"[bold]asked[/bold] for, see \[tmp]"));

    let all = program(&["markup"]).env("SPANSCOPE_CONSOLE_MARKUP", "1").run();
    assert!(
        all.line("user said")
            .ends_with(r": user said: x in C:\new[tmp] \[0] [/]")
    );
    let none = program(&["markup"]).env("SPANSCOPE_CONSOLE_MARKUP", "0").run();
    assert!(none.line("user said").ends_with(data));
    let wrong = program(&["markup"]).env("SPANSCOPE_CONSOLE_MARKUP", "rich").run();
    assert!(
        wrong
            .line("SPANSCOPE_CONSOLE_MARKUP is \"rich\"")
            .contains("use one of 1 true 0 false")
    );
    assert!(wrong.line("user said").ends_with(data));
}
