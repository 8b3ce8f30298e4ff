//! Levels that change while the program runs, and records of the `log` crate.

use super::{Ended, built, program};

/// Returns the messages of this target, in the order of the console.
fn messages_of<'a>(ended: &'a Ended, target: &str) -> Vec<&'a str> {
    let place = format!(" {target}:");
    let lines = ended.console.lines();
    lines
        .filter_map(|line| {
            let (_, from_line_on) = line.split_once(&place)?;
            let is_whole = from_line_on.starts_with(|c: char| c.is_ascii_digit());
            is_whole.then_some(from_line_on.split_once(": ")?.1)
        })
        .collect()
}

fn stored<'a>(messages: &[&'a str], words: [&str; 2]) -> Vec<&'a str> {
    let mut found: Vec<&str> = messages
        .iter()
        .copied()
        .filter(|message| words.iter().any(|word| message.starts_with(word)))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn levels_change_in_both_directions_for_registered_callsites() {
    let ended = program(&["changes"]).run();
    let expected = [
        "info before",
        "debug lowered",
        "info lowered",
        "info back",
        "info after bad ones",
    ];
    for target in ["inference", "inference::logged"] {
        assert_eq!(messages_of(&ended, target), expected, "{}", ended.console);
    }
    let store = ended.store();
    let mut sorted = [expected, expected].concat();
    sorted.sort_unstable();
    assert_eq!(stored(&store.messages(), ["info", "debug"]), sorted);
}

#[test]
fn a_change_applies_to_sinks_with_their_own_levels_too() {
    let ended = built(&["changes"])
        .env("CODE_LEVELS_OF_console", "all=warn")
        .run();
    assert_eq!(
        messages_of(&ended, "inference"),
        [
            "debug lowered",
            "info lowered",
            "info back",
            "info after bad ones"
        ],
        "{}",
        ended.console
    );
    let store = ended.store();
    let mut messages = stored(&store.messages(), ["info", "debug"]);
    messages.dedup();
    assert_eq!(
        messages,
        [
            "debug lowered",
            "info after bad ones",
            "info back",
            "info before",
            "info lowered",
        ]
    );
}

#[test]
fn changes_during_logging_on_many_threads_lose_no_event_that_is_always_enabled() {
    let ended = built(&["changes-on-many-threads", "flush", "stats"])
        .env("CODE_SHAPE", "unlimited")
        .env("CODE_QUEUE", (64 << 20).to_string())
        .run();
    assert_eq!(messages_of(&ended, "safety").len(), 4 * 500);
    assert_eq!(ended.count("debug at last"), 1, "the last change holds");
    let store = ended.store();
    let always = stored(&store.messages(), ["always", "always"]);
    assert_eq!(always.len(), 4 * 500);
}

#[test]
fn records_of_the_log_crate_have_their_own_target_line_category_and_level() {
    for ended in [
        program(&["records"]).run(),
        built(&["records"])
            .env("CODE_LEVELS_OF_console", "safety=debug")
            .run(),
    ] {
        let line = ended.line("from tools");
        assert!(
            line.contains(" tools::search:8") && line.ends_with(": from tools"),
            "{line}"
        );
        assert!(line.starts_with("INFO "), "{line}");
        assert!(
            ended
                .line("sqlx")
                .ends_with(" sqlx::query:7: from [bold]sqlx[/bold]"),
            "{}",
            ended.line("sqlx")
        );
        assert_eq!(ended.count("too fine"), 0);
        let store = ended.store();
        let tools = store.logs.iter().find(|log| log.message == "from tools");
        let tools = tools.unwrap();
        assert_eq!(
            (tools.target.as_str(), tools.category.as_str()),
            ("tools::search", "tools::search")
        );
        assert!(!store.messages().contains(&"too fine"));
    }
}

#[test]
fn records_of_the_applications_own_crate_are_like_its_events() {
    for ended in [
        program(&["records"]).run(),
        built(&["records"])
            .env("CODE_LEVELS_OF_console", "safety=debug")
            .run(),
    ] {
        let line = ended.line("own module[/bold]");
        assert!(
            line.ends_with(" console::records:6: from [bold]own module[/bold]"),
            "{line}"
        );
        let line = ended.line("logged by agents");
        assert!(line.ends_with(" agents: logged by agents"), "{line}");
        assert_eq!(ended.count("too finely"), 0);
        let store = ended.store();
        let by_agents = store.logs.iter().find(|log| log.message == "logged by agents");
        assert_eq!(by_agents.unwrap().category, "agents");
        assert!(!store.messages().contains(&"logged too finely by agents"));
    }
    let marked = program(&["records"]).env("SPANSCOPE_CONSOLE_MARKUP", "1").run();
    assert!(
        marked
            .line("from own module")
            .ends_with(" console::records:6: from own module")
    );
    assert_eq!(
        marked.count("from [bold]sqlx[/bold]"),
        1,
        "another crate's is data"
    );
    let finer = program(&["records"])
        .env("LLAMA_STACK_LOGGING", "agents=debug")
        .run();
    assert_eq!(finer.count("too finely"), 1);
    let none = program(&["records"])
        .env("LLAMA_STACK_LOGGING", "agents=warn,uncategorized=warn")
        .run();
    assert_eq!(none.count("logged by agents") + none.count("own module"), 0);
}

#[test]
fn calls_of_enabled_without_a_record_lose_no_span() {
    for ended in [
        program(&["records"]).run(),
        built(&["records"])
            .env("CODE_LEVELS_OF_console", "safety=debug")
            .run(),
        built(&["records"])
            .env("CODE_LEVELS_OF_sqlite", "safety=debug")
            .run(),
    ] {
        assert_eq!(ended.count("[START] statement"), 20);
        assert_eq!(ended.count("[END] statement"), 20);
        let store = ended.store();
        assert_eq!(store.spans.len(), 20);
        for number in 0..20 {
            let message = format!("asked {number}");
            assert!(ended.console.contains(&message), "{message}");
            let log = store.logs.iter().find(|log| log.message == message);
            assert!(log.unwrap().span_id.is_some(), "{message} is in its span");
        }
    }
}
