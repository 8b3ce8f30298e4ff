//! Data that would forge lines or restyle the terminal, and values whose `Debug` misbehaves.

use super::{begins_entry, built, program};

/// The number of entries that the program logs.
const ENTRIES: usize = 15;

/// Removes the escape codes that the console itself sends: styles and links. The rest must have
/// none.
fn without_own_escapes(line: &str) -> String {
    let mut rest = line;
    let mut plain = String::new();
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let end = if let Some(style) = escape.strip_prefix('[') {
            let end = style.find(|c: char| !c.is_ascii_digit() && c != ';');
            let end = end.unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(&style[end..=end], "m", "only styles: {line:?}");
            end + 2
        } else {
            assert!(escape.starts_with("]8;;"), "only links: {line:?}");
            let end = escape.find("\x1b\\").unwrap();
            let target = &escape["]8;;".len()..end];
            assert!(target.is_empty() || target.starts_with("https://"), "{target:?}");
            assert!(target.chars().all(|c| c.is_ascii_graphic()), "{target:?}");
            end + 2
        };
        rest = &escape[end..];
    }
    plain + rest
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !('\u{2028}'..='\u{202e}').contains(&c)
        && !('\u{2066}'..='\u{2069}').contains(&c)
        && c != '\u{200b}'
}

#[test]
fn no_data_begins_a_line_or_reaches_the_terminal_as_an_escape() {
    for (colour, width) in [("0", "1000"), ("1", "1000"), ("1", "60"), ("1", "40")] {
        let ended = program(&["hostile"])
            .env("FORCE_COLOR", colour)
            .env("LLAMA_STACK_LOG_WIDTH", width)
            .run();
        let mut entries = 0;
        for raw in ended.console.lines() {
            let line = without_own_escapes(raw);
            assert!(colour == "1" || line == raw, "{raw:?}");
            assert!(line.chars().all(is_harmless), "{line:?}");
            assert!(
                line.starts_with("         ") || begins_entry(&line),
                "{line:?} at {width}"
            );
            entries += usize::from(begins_entry(&line));
            let last_style = raw.rmatch_indices("\x1b[").next();
            assert!(
                last_style.is_none_or(|(at, _)| raw[at..].starts_with("\x1b[0m")),
                "every style is reset: {raw:?}"
            );
        }
        assert_eq!(entries, ENTRIES, "{}", ended.console);
    }
}

#[test]
fn only_messages_that_request_markup_have_it_and_it_ends_with_the_entry() {
    let ended = program(&["hostile", "story"]).env("FORCE_COLOR", "1").run();
    for kept in [
        "[bold red]marked[/bold red]",
        "[link=https://evil.example]here[/link]",
        "[bold]not marked[/bold]",
        "[not markup] [/]",
        "[nonsense]kept[/nonsense]",
        "[bold red]never closed",
    ] {
        let plain: String = ended.console.lines().map(without_own_escapes).collect();
        assert!(plain.contains(kept), "{kept}");
    }
    assert!(ended.line("plain after it").ends_with("\x1b[0mplain after it"));
    assert!(
        ended
            .line("planning ")
            .contains("planning \x1b[1m\x1b[31mthe answer\x1b[0m, see "),
        "{:?}",
        ended.line("planning ")
    );
}

#[test]
fn json_lines_have_the_same_texts_and_one_line_per_entry() {
    let ended = built(&["hostile"]).env("CODE_SHAPE", "json").run();
    assert_eq!(ended.console.lines().count(), ENTRIES);
    for line in ended.console.lines() {
        assert!(line.chars().all(is_harmless), "{line:?}");
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["severity"].is_string(), "{line}");
    }
    let values: serde_json::Value = serde_json::from_str(ended.line("\"values\"")).unwrap();
    let value = values["attributes"]["value"].as_str().unwrap();
    assert!(
        value.starts_with("x\nERROR ") && value.contains("\r\x1b[31mred\x1b[2K"),
        "{value:?}"
    );
}

#[test]
fn the_log_file_has_no_forged_lines_either() {
    let program = program(&["hostile"]).env("FORCE_COLOR", "1");
    let path = program.path("agent.log");
    let ended = program.env("LLAMA_STACK_LOG_FILE", path).run();
    let text = ended.read("agent.log");
    assert!(text.chars().all(|c| c == '\n' || is_harmless(c)), "{text:?}");
    let forged = text.lines().filter(|line| {
        let level = line.split(' ').next().unwrap_or_default();
        level == "ERROR" && !line[9..].starts_with("20")
    });
    assert_eq!(forged.count(), 0, "{text}");
}

#[test]
fn a_debug_that_panics_or_logs_affects_only_its_own_value() {
    let ended = program(&["debugs"]).run();
    for expected in [
        "around value=logged-2",
        "with a value that panics before=1 value=\"<its Debug or Display panicked>\" after=2",
        "the event went on",
        "[START] span with a value that panics",
        "in it value=logged-0",
        "the span went on",
        "afterwards",
        "[END] outer",
    ] {
        assert_eq!(ended.count(expected), 1, "{expected} in {}", ended.console);
    }
    assert!(ended.count("within 2 inner=logged-1") > 0);
    assert!(ended.count("within 1 inner=logged-0") > 0);
    assert_eq!(
        ended.count("[START] within Debug"),
        ended.count("[END] within Debug")
    );
    let store = ended.store();
    assert!(store.messages().contains(&"with a value that panics"));
    assert_eq!(
        store
            .messages()
            .iter()
            .filter(|message| **message == "within 2")
            .count(),
        ended.count(": within 2 "),
        "the store has what the console has"
    );
}
