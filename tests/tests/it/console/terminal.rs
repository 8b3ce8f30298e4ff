//! What the terminal changes: colours and width.

use super::{Program, begins_entry, plain_lines, program};

fn story() -> Program {
    program(&["story"]).without("LLAMA_STACK_LOG_WIDTH")
}

fn width(line: &str) -> usize {
    line.chars().count()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| width(line)).max().unwrap()
}

fn has_escapes(raw: &[u8]) -> bool {
    raw.contains(&0x1b)
}

#[test]
fn a_terminal_gets_colours_span_lines_and_an_error_box() {
    let shown = story().run_under_terminal(80);
    let raw = String::from_utf8(shown.raw.clone()).unwrap();
    assert!(raw.contains("\x1b[34mINFO"), "the level is blue: {raw:?}");
    let lines = plain_lines(&shown.raw, 1000);
    let text = lines.join("\n");
    for expected in [
        "[START] agent_run",
        "session=abc-1",
        "[START] call_tool",
        "planning the answer, see the plan",
        "╭─ ToolError ─",
        "│ tool `search` failed ",
        "│ caused by ",
        "1: connection refused by search.example.org",
        "in call_tool",
        "[END] call_tool (",
        "[ERROR]",
        "[END] agent_run (",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(
        raw.contains("\x1b]8;;https://example.org/plan\x1b\\"),
        "the link is a hyperlink: {raw:?}"
    );
    assert!(
        shown.screen.iter().any(|line| line.contains("[END] agent_run")),
        "the last line is there: {:?}",
        shown.screen
    );
}

#[test]
fn lines_are_as_wide_as_the_terminal_and_no_wider() {
    for columns in [60, 80, 133] {
        let shown = story().run_under_terminal(columns);
        let lines = plain_lines(&shown.raw, 1000);
        let widest = widest(&lines);
        let columns = usize::from(columns);
        assert!(
            widest <= columns && widest > columns - 20,
            "{widest} of {columns}"
        );
        let further = lines.iter().filter(|line| !begins_entry(line));
        for line in further {
            assert!(line.starts_with("         "), "{line:?} is under the text");
        }
    }
}

#[test]
fn the_variable_overrides_the_width_of_the_terminal() {
    for (value, expected) in [("100", 100), (" 47 ", 47)] {
        let shown = story().env("LLAMA_STACK_LOG_WIDTH", value).run_under_terminal(80);
        let widest = widest(&plain_lines(&shown.raw, 1000));
        assert!(
            widest <= expected && widest > expected - 20,
            "{widest} of {expected}"
        );
    }
}

#[test]
fn extreme_widths_are_accepted() {
    for (value, columns) in [("1", 80), ("10000", 80), ("18446744073709551615", 80)] {
        let shown = story()
            .env("LLAMA_STACK_LOG_WIDTH", value)
            .run_under_terminal(columns);
        let raw = String::from_utf8(shown.raw).unwrap();
        assert!(
            raw.contains("[START]") && raw.contains("[END]"),
            "{value}: {raw:?}"
        );
    }
    let shown = story().run_under_terminal(1);
    assert!(shown.raw.len() > 1000);
    let shown = story().run_under_terminal(0);
    let widest = widest(&plain_lines(&shown.raw, 1000));
    assert!(
        widest <= 120 && widest > 100,
        "a terminal that does not know its width: {widest}"
    );
}

#[test]
fn an_invalid_width_is_reported_and_the_width_of_the_terminal_is_used() {
    for value in ["wide", "0", "-5", "80.5", "", "99999999999999999999999"] {
        let shown = story().env("LLAMA_STACK_LOG_WIDTH", value).run_under_terminal(80);
        let lines = plain_lines(&shown.raw, 1000);
        assert!(widest(&lines) <= 80 && widest(&lines) > 60, "{value}");
        let text: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        let text = text.join(" ");
        let warned = text.matches("LLAMA_STACK_LOG_WIDTH").count();
        assert_eq!(warned, usize::from(!value.is_empty()), "{value}: {text}");
        let warning = format!("spanscope: LLAMA_STACK_LOG_WIDTH is {value:?}: it must be a number");
        assert!(value.is_empty() || text.contains(&warning), "{value}: {text}");
    }
}

#[test]
fn a_pipe_gets_no_escape_code_and_120_columns() {
    let ended = story().run();
    assert!(!has_escapes(ended.console.as_bytes()), "{:?}", ended.console);
    let lines: Vec<String> = ended.console.lines().map(ToOwned::to_owned).collect();
    assert!(widest(&lines) <= 120 && widest(&lines) > 100, "{}", ended.console);
    assert!(
        ended
            .console
            .contains("planning the answer, see the plan model=tiny\n")
    );
    assert!(
        ended.stdout.is_empty(),
        "stdout is the program's: {}",
        ended.stdout
    );
}

#[test]
fn the_usual_variables_turn_colours_on_and_off() {
    let on_terminal: [(&str, &str, bool); 6] = [
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "", true),
        ("CLICOLOR", "0", false),
        ("CLICOLOR", "1", true),
        ("TERM", "dumb", false),
        ("FORCE_COLOR", "1", true),
    ];
    for (name, value, expected) in on_terminal {
        let shown = story().env(name, value).run_under_terminal(80);
        assert_eq!(has_escapes(&shown.raw), expected, "{name}={value} on a terminal");
    }
    let in_pipe: [(&str, &str, bool); 7] = [
        ("FORCE_COLOR", "", false),
        ("FORCE_COLOR", "1", true),
        ("FORCE_COLOR", "0", false),
        ("CLICOLOR_FORCE", "1", true),
        ("CLICOLOR_FORCE", "0", false),
        ("CLICOLOR", "1", false),
        ("TERM", "xterm-256color", false),
    ];
    for (name, value, expected) in in_pipe {
        let ended = story().env(name, value).run();
        assert_eq!(
            has_escapes(ended.console.as_bytes()),
            expected,
            "{name}={value} in a pipe"
        );
    }
    let both = story().env("NO_COLOR", "1").env("FORCE_COLOR", "1").run();
    assert!(!has_escapes(both.console.as_bytes()), "NO_COLOR has priority");
}

#[test]
fn the_width_follows_a_terminal_that_changes() {
    let shown = program(&["story", "flush", "narrow", "story"])
        .without("LLAMA_STACK_LOG_WIDTH")
        .run_under_terminal(100);
    let lines = plain_lines(&shown.raw, 1000);
    let ends = lines.iter().position(|line| line.contains("[END] agent_run"));
    let (before, after) = lines.split_at(ends.unwrap() + 1);
    assert!(widest(before) <= 100 && widest(before) > 80, "{before:?}");
    // The end of the first run may itself continue on a second line.
    assert!(widest(after) <= 60 && widest(after) > 40, "{after:?}");
}

/// Returns the links of a text, each once: the target and the shown text.
fn source_links(raw: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(raw);
    let mut links: Vec<(String, String)> = Vec::new();
    for part in text.split("\x1b]8;;").filter(|part| part.starts_with("file:")) {
        let (url, shown) = part.split_once("\x1b\\").unwrap();
        let link = (url.to_owned(), plain_lines(shown.as_bytes(), 1000).join(""));
        if !links.contains(&link) {
            links.push(link);
        }
    }
    links
}

#[test]
fn a_line_links_to_the_source_on_a_terminal_that_shows_hyperlinks() {
    let shown = story().env("TERM_PROGRAM", "WezTerm").run_under_terminal(120);
    let links = source_links(&shown.raw);
    assert!(!links.is_empty());
    for (url, shown) in &links {
        let (file, line) = url.rsplit_once('#').unwrap();
        let path = file.strip_prefix("file://").unwrap();
        assert!(std::path::Path::new(path).is_file(), "{url}");
        assert!(shown.ends_with(&format!(":{line}")), "{shown} links to {url}");
    }
    // Links take no columns.
    let lines = plain_lines(&shown.raw, 1000);
    assert!(widest(&lines) <= 120 && widest(&lines) > 100);
}

#[test]
fn no_other_output_has_links_to_the_source() {
    let unknown = story().run_under_terminal(120);
    assert_eq!(source_links(&unknown.raw), []);
    let known = || story().env("TERM_PROGRAM", "WezTerm");
    for (name, value) in [
        ("SPANSCOPE_CONSOLE_HYPERLINKS", "0"),
        ("NO_COLOR", "1"),
        ("TERM", "dumb"),
    ] {
        let shown = known().env(name, value).run_under_terminal(120);
        assert_eq!(source_links(&shown.raw), [], "{name}");
    }
    let piped = known().env("FORCE_COLOR", "1").run();
    assert_eq!(source_links(piped.console.as_bytes()), []);
}

#[test]
fn the_variable_enables_links_on_unknown_terminals_with_colours() {
    let on = || story().env("SPANSCOPE_CONSOLE_HYPERLINKS", "1");
    assert!(!source_links(&on().run_under_terminal(120).raw).is_empty());
    let piped = on().env("FORCE_COLOR", "1").run();
    assert!(!source_links(piped.console.as_bytes()).is_empty());
    let piped = on().run();
    assert_eq!(source_links(piped.console.as_bytes()), []);
}
