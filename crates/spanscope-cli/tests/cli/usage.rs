//! Exit codes, help, pipes, colours.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{Store, result_of, spanscope};

#[test]
fn wrong_usage_is_exit_code_2_with_a_hint() {
    let store = Store::filled();
    for (words, hint) in [
        (
            &["traces", "--where", "kind=sever"][..],
            "did you mean \"server\"",
        ),
        (&["traces", "status:error"], "did you mean \"status=error\""),
        (&["logs", "a OR b"], "no OR"),
        (&["spans", "--limt=5"], "did you mean --limit?"),
        (&["spans", "--since", "1h", "--until", "2h"], "--until"),
        (&["traces", "trace.cost>1"], "trace.tokens"),
        (&["traces", "--order-by", "beauty"], "duration_ms"),
        (&["traces", "--since", "last week"], "2026-11-21"),
        (&["traces", "--limit", "-1"], "--limit"),
        (&["spans", "--order-by", "span_count"], "traces only"),
        (&["logs", "--severity", "loud"], "warn"),
        (&["cleanup", "--older-than", "soon"], "7d"),
        (&["tree", "xyz!"], ""),
        (&["tree", "abcdef", "--max-depth", "0"], "1.."),
        (&["stats", "--by", "beauty"], "name"),
        (&["metrics", "m", "--granularity", "5"], "5m"),
        (&["metrics", "m", "--match", "nonsense"], "LABEL=VALUE"),
        (&["metrics", "m", "--match", "k=~("], "regular expression"),
        (&["metrics", "m", "--since", "2100-01-01"], "start"),
        (&["metrics", "--instant"], "NAME"),
        (&["traces", "--json", "--format", "table"], "--format"),
        (&["export"], "--to"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let result = store.run(words);
        assert_eq!(result.code, 2, "{words:?}: {}", result.err);
        assert!(result.err.contains(hint), "{words:?}: {}", result.err);
        assert_eq!(result.out, "", "{words:?}");
    }
    assert_eq!(result_of(spanscope().output().unwrap()).code, 2);
}

#[test]
fn nothing_found_is_exit_code_3() {
    let store = Store::filled();
    for words in [
        &["traces", "--where", "user=unknown"][..],
        &["spans", "--where", "name=nothing"],
        &["logs", "--grep", "never said"],
        &["sql", "SELECT * FROM spans WHERE 0"],
        &["tree", "00000000000000000000000000000001"],
        &["span", "0000000000000001"],
        &["export", "--to", "jsonl", "--service", "unknown"],
        &["metrics"],
        &["metrics", "unknown"],
    ] {
        let result = store.run(words);
        assert_eq!(
            (result.code, result.out.as_str()),
            (3, ""),
            "{words:?}: {}",
            result.err
        );
        assert_eq!(result.err.lines().count(), 1, "{words:?}: {}", result.err);
        assert!(result.err.starts_with("spanscope: "), "{words:?}: {}", result.err);
    }
    let empty = store.run(&["traces", "--where", "user=unknown", "--json"]);
    assert_eq!((empty.code, empty.out.trim()), (3, "[]"));
}

#[test]
fn a_missing_file_is_exit_code_3_and_a_file_that_is_not_a_store_is_1() {
    let store = Store::none();
    let result = store.run(&["traces"]);
    assert_eq!(result.code, 3, "{}", result.err);
    std::fs::write(
        store.path(),
        "this is no database, however long it is".repeat(100),
    )
    .unwrap();
    let result = store.run(&["traces"]);
    assert_eq!(result.code, 1, "{}", result.err);
    assert!(result.err.contains("trace_store.db"), "{}", result.err);
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let store = Store::filled();
    for words in [
        &[
            "sql",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 9000) SELECT i FROM n",
        ][..],
        &["completions", "zsh"],
        &["tail", "--lines", "5"],
    ] {
        let mut child = store
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        if words[0] == "tail" {
            // It would only notice at its next line, so the test ends it.
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let result = result_of(child.wait_with_output().unwrap());
        assert_eq!((result.code, result.err.as_str()), (0, ""), "{words:?}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "demo",
        "traces",
        "tree",
        "span",
        "spans",
        "logs",
        "metrics",
        "sql",
        "stats",
        "export",
        "import",
        "cleanup",
        "backup",
        "tail",
        "completions",
    ] {
        let result = result_of(spanscope().args([command, "--help"]).output().unwrap());
        assert_eq!(result.code, 0, "{command}");
        assert!(
            result.out.contains("Example") && result.out.contains("--db"),
            "{command}: {}",
            result.out
        );
    }
}

#[test]
fn completions_exist_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let result = result_of(spanscope().args(["completions", shell]).output().unwrap());
        assert_eq!(result.code, 0);
        assert!(result.out.contains("order-by"), "{shell}");
    }
}

#[test]
fn colours_are_for_terminals_or_forced() {
    let store = Store::filled();
    let trace = store.trace("bad order");
    for words in [
        &["traces"][..],
        &["tree", &trace],
        &["logs"],
        &["span", &store.span("bad order")],
    ] {
        let plain = result_of(store.command(words).output().unwrap());
        assert!(!plain.out.contains('\x1b'), "{}", plain.out);
        let forced = result_of(store.command(words).env("FORCE_COLOR", "1").output().unwrap());
        assert!(forced.out.contains("\x1b["), "{}", forced.out);
        let never = result_of(
            store
                .command(words)
                .env("FORCE_COLOR", "1")
                .env("NO_COLOR", "1")
                .output()
                .unwrap(),
        );
        assert_eq!(never.out, plain.out);
    }
}

#[cfg(unix)]
#[test]
fn on_a_terminal_the_console_variables_switch_colours() {
    let store = Store::filled();
    for (name, value, expected) in [
        ("TERM", "xterm-256color", true),
        ("TERM", "dumb", false),
        ("CLICOLOR", "0", false),
        ("NO_COLOR", "1", false),
        ("FORCE_COLOR", "0", true),
    ] {
        let mut command = store.command(&["traces"]);
        command
            .env("TERM", "xterm")
            .env_remove("CLICOLOR")
            .env(name, value);
        let shown = spanscope_tests::terminal::run(command, 40, 80);
        let has_escapes = shown.raw.contains(&0x1b);
        assert_eq!(has_escapes, expected, "{name}={value}");
    }
}
