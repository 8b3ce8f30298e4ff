//! One setting of levels for every sink.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::{Ended, Program, built, program};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Returns the finest level that was let through for a place. No level in between may be missing.
fn threshold_of<'a>(messages: impl IntoIterator<Item = &'a str>, place: &str) -> &'static str {
    let messages: Vec<&str> = messages.into_iter().collect();
    let has = |level: &str| {
        let wanted = format!("{place} at {level}");
        let found = messages.iter().filter(|message| **message == wanted).count();
        assert!(found <= 1, "{wanted} is there {found} times");
        found == 1
    };
    let shown = LEVELS.iter().take_while(|level| has(level)).count();
    assert!(
        !LEVELS[shown..].iter().any(|level| has(level)),
        "{place} has a gap"
    );
    shown.checked_sub(1).map_or("off", |last| LEVELS[last])
}

/// Returns the messages on the console, without the text around them.
fn console_messages(ended: &Ended) -> Vec<&str> {
    let lines = ended.console.lines();
    lines
        .filter_map(|line| {
            let end = line.rfind(" at ")?;
            let start = line[..end].rfind(": ")?;
            Some(&line[start + 2..])
        })
        .collect()
}

/// Runs all places under these settings and compares what the console and the store have let
/// through.
fn check(program: Program, expected: &[(&str, &str)]) -> Ended {
    let ended = program.run();
    let store = ended.store();
    for (place, level) in expected {
        let shown = console_messages(&ended);
        assert_eq!(
            threshold_of(shown, place),
            *level,
            "{place} on the console:\n{}",
            ended.console
        );
        assert_eq!(
            threshold_of(store.messages(), place),
            *level,
            "{place} in the store"
        );
    }
    ended
}

fn levels() -> Program {
    program(&["levels"])
}

#[test]
fn without_settings_the_application_is_at_info_and_others_are_at_warn() {
    let ended = check(
        levels(),
        &[
            ("own", "info"),
            ("agents", "info"),
            ("core", "info"),
            ("field", "info"),
            ("unknown field", "info"),
            ("sqlx::query", "warn"),
            ("tower_http::trace", "info"),
            ("log.sqlx", "warn"),
            ("log.tools", "info"),
            ("log.own", "info"),
            ("log.elsewhere", "info"),
        ],
    );
    assert!(
        ended.line("agents at info").contains(" agents: agents at"),
        "a module is a category"
    );
    assert!(
        ended.line("field at info").contains(" safety: field at"),
        "a field is a category"
    );
    let store = ended.store();
    let category_of = |message: &str| {
        let log = store.logs.iter().find(|log| log.message == message);
        log.unwrap().category.as_str()
    };
    assert_eq!(category_of("agents at info"), "agents");
    assert_eq!(category_of("core at info"), "core::routers");
    assert_eq!(category_of("field at info"), "safety");
    assert_eq!(category_of("log.tools at info"), "tools");
}

#[test]
fn the_variable_sets_levels_by_category_for_every_sink() {
    check(
        levels().env(
            "LLAMA_STACK_LOGGING",
            " Agents = DEBUG ; core=warn, core::routers=verbose,safety=error,tools=off, uncategorized=warning",
        ),
        &[
            ("agents", "debug"),
            ("core", "trace"),
            ("field", "error"),
            ("own", "warn"),
            ("unknown field", "warn"),
            ("log.tools", "off"),
            ("log.own", "warn"),
            ("log.elsewhere", "warn"),
            ("sqlx::query", "warn"),
            ("tower_http::trace", "info"),
            ("log.sqlx", "warn"),
        ],
    );
}

#[test]
fn all_sets_every_category_and_the_root_and_later_pairs_win() {
    check(
        levels().env("LLAMA_STACK_LOGGING", "agents=trace,all=error,core=debug"),
        &[
            ("agents", "error"),
            ("core", "debug"),
            ("own", "error"),
            ("sqlx::query", "error"),
            ("tower_http::trace", "info"),
            ("log.sqlx", "error"),
            ("log.tools", "error"),
        ],
    );
    check(
        levels().env("LLAMA_STACK_LOGGING", "all=trace"),
        &[("sqlx::query", "trace"), ("own", "trace"), ("log.sqlx", "trace")],
    );
}

#[test]
fn directives_of_rust_log_override_categories() {
    check(
        levels()
            .env("LLAMA_STACK_LOGGING", "agents=error,core=error")
            .env(
                "RUST_LOG",
                "console::agents=debug,sqlx=trace,tower_http::trace=off,core=warn",
            ),
        &[
            ("agents", "debug"),
            ("core", "warn"),
            ("sqlx::query", "trace"),
            ("log.sqlx", "trace"),
            ("tower_http::trace", "off"),
            ("own", "info"),
        ],
    );
}

#[test]
fn a_mapped_target_has_the_level_of_its_category() {
    check(
        built(&["levels"])
            .env("CODE_MAP", "elsewhere")
            .env("LLAMA_STACK_LOGGING", "inference=debug"),
        &[("mapped", "debug"), ("own", "info")],
    );
}

#[test]
fn each_invalid_part_is_reported_once_and_the_others_apply() {
    let ended = check(
        levels().env(
            "LLAMA_STACK_LOGGING",
            "server,=debug,server=loud,agnts=debug,a=b=c,,; agents=debug",
        ),
        &[("agents", "debug"), ("core", "info")],
    );
    for bad in [
        "`server`: not of the form `category=level`",
        "`=debug`: not of the form",
        "unknown level `loud`",
        "unknown category `agnts`, did you mean `agents`?",
        "`a=b=c`: not of the form",
    ] {
        assert_eq!(ended.count(bad), 1, "{bad} in {}", ended.console);
        assert!(
            ended.line(bad).contains(" spanscope: LLAMA_STACK_LOGGING: "),
            "{}",
            ended.line(bad)
        );
    }
    assert_eq!(ended.count("LLAMA_STACK_LOGGING"), 5, "and no more");
    assert!(
        !ended
            .store()
            .messages()
            .iter()
            .any(|message| message.contains("LLAMA")),
        "a warning is not an event"
    );
}

#[test]
fn invalid_directives_are_reported_too() {
    let ended = check(
        levels().env("RUST_LOG", "sqlx=loud,agents[span]=debug,tower_http=warn"),
        &[("tower_http::trace", "warn"), ("sqlx::query", "warn")],
    );
    assert_eq!(ended.count("RUST_LOG: `sqlx=loud`: unknown level"), 1);
    assert_eq!(ended.count("RUST_LOG: `agents[span]=debug`: spans and fields"), 1);
}

#[test]
fn values_that_are_not_utf_8_are_reported_and_their_readable_parts_apply() {
    let torn = OsStr::from_bytes(b"agents=debug,\xff\xfe=info");
    let ended = check(
        levels()
            .env("LLAMA_STACK_LOGGING", torn)
            .env("OTEL_SERVICE_NAME", OsStr::from_bytes(b"a\xff"))
            .env("LLAMA_STACK_LOG_WIDTH", OsStr::from_bytes(b"1\xff"))
            .env("TELEMETRY_SINKS", OsStr::from_bytes(b"console\xff")),
        &[("core", "info")],
    );
    for report in [
        "LLAMA_STACK_LOGGING: not valid UTF-8",
        "OTEL_SERVICE_NAME is",
        "LLAMA_STACK_LOG_WIDTH is",
        "TELEMETRY_SINKS is",
    ] {
        assert_eq!(ended.count(report), 1, "{report} in {}", ended.console);
    }
    assert_eq!(threshold_of(console_messages(&ended), "agents"), "debug");
}

#[test]
fn a_very_long_invalid_value_causes_few_warnings() {
    // A variable can't be longer than 128 KiB on Linux.
    let nonsense = "nosuch=debug;x".repeat(9_000) + ";agents=debug";
    let ended = check(
        levels().env("LLAMA_STACK_LOGGING", nonsense),
        &[("agents", "debug"), ("core", "info")],
    );
    assert!(ended.count("LLAMA_STACK_LOGGING") <= 11, "{}", ended.console);
    assert!(ended.console.contains("more parts like these"));
}

/// `tracing`'s macros skip everything beyond this level with one comparison, which a disabled sink
/// must not undo. It is never coarser than the process-wide levels: records that they let through
/// are measured, whatever the console shows.
#[test]
fn the_level_of_the_process_is_the_finest_of_its_sinks_also_where_one_is_off() {
    for sinks in ["console", "sqlite", "console,sqlite"] {
        for (own, level) in [("all=error", "info"), ("agents=debug", "debug")] {
            let ended = built(&["max-level"])
                .env("CODE_SINKS", sinks)
                .env("CODE_LEVELS_OF_console", own)
                .run();
            assert_eq!(ended.stdout.trim(), level, "{sinks}, {own}: {}", ended.console);
        }
    }
}

#[test]
fn a_sink_can_have_its_own_levels_in_either_direction() {
    let quiet_console = built(&["levels"]).env("CODE_LEVELS_OF_console", "all=warn").run();
    let (shown, store) = (console_messages(&quiet_console), quiet_console.store());
    for place in ["own", "agents", "core", "field", "log.tools"] {
        assert_eq!(threshold_of(shown.iter().copied(), place), "warn", "{place}");
        assert_eq!(threshold_of(store.messages(), place), "info", "{place}");
    }

    let fine_store = built(&["levels"])
        .env("CODE_LEVELS_OF_sqlite", "agents=debug,safety=trace,tools=debug")
        .run();
    let (shown, store) = (console_messages(&fine_store), fine_store.store());
    for (place, level) in [
        ("agents", "debug"),
        ("field", "trace"),
        ("log.tools", "debug"),
        ("own", "info"),
    ] {
        assert_eq!(threshold_of(shown.iter().copied(), place), "info", "{place}");
        assert_eq!(threshold_of(store.messages(), place), level, "{place}");
    }
}

#[test]
fn at_critical_only_critical_events_pass() {
    let ended = levels().env("LLAMA_STACK_LOGGING", "eval=critical").run();
    let line = ended.line("the end of eval");
    assert!(line.starts_with("CRITICAL "), "{line}");
    assert_eq!(ended.count("an error of eval"), 0);
    let store = ended.store();
    assert!(store.messages().contains(&"the end of eval"));
    assert!(!store.messages().contains(&"an error of eval"));
}
