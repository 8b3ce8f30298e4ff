//! The text of the variables: invalid pairs, and warnings about them.

use std::time::{Duration, Instant};

use crate::filter::warning::MAX_WARNINGS;
use crate::{Categories, LevelFilter, Levels};

fn read_pairs(input: &str) -> (Levels, Vec<String>) {
    let mut levels = Levels::new();
    let warnings = levels.set_pairs(&Categories::new(), "LLAMA_STACK_LOGGING", input);
    (levels, warnings.iter().map(ToString::to_string).collect())
}

fn read_directives(input: &str) -> (Levels, Vec<String>) {
    let mut levels = Levels::new();
    let warnings = levels.set_directives("RUST_LOG", input);
    (levels, warnings.iter().map(ToString::to_string).collect())
}

const LEVELS: &str = "accepted: trace, debug, info, warn, error, critical, off";

#[test]
fn each_bad_pair_is_reported_once_and_changes_nothing() {
    let form = "not of the form `category=level`";
    let known = "known: all, core, server, router, inference, agents, safety, eval, tools, client, openai, \
                 openai_responses, openai_conversations, testing, providers, models, files, vector_io, tool_runtime, \
                 cli, post_training, scoring, tests, uncategorized";
    for (input, expected) in [
        ("server", format!("`server`: {form}")),
        ("=debug", format!("`=debug`: {form}")),
        ("server=", format!("`server=`: {form}")),
        ("a=b=c", format!("`a=b=c`: {form}")),
        ("=", format!("`=`: {form}")),
        (
            "server=loud",
            format!("`server=loud`: unknown level `loud`; {LEVELS}"),
        ),
        (
            "server=inof",
            format!("`server=inof`: unknown level `inof`, did you mean `info`? {LEVELS}"),
        ),
        (
            "server=WARNNING",
            format!("`server=WARNNING`: unknown level `WARNNING`, did you mean `warning`? {LEVELS}"),
        ),
        (
            "nosuch=debug",
            format!("`nosuch=debug`: unknown category `nosuch`; {known}"),
        ),
        (
            "serv=debug",
            format!("`serv=debug`: unknown category `serv`, did you mean `server`? {known}"),
        ),
        (
            "Agent::run=debug",
            format!("`Agent::run=debug`: unknown category `Agent::run`, did you mean `agents`? {known}"),
        ),
        (
            "core::=debug",
            format!("`core::=debug`: unknown category `core::`, did you mean `core`? {known}"),
        ),
        (
            "root=debug",
            format!("`root=debug`: unknown category `root`; {known}"),
        ),
    ] {
        let (levels, warnings) = read_pairs(input);
        assert_eq!(warnings, [format!("LLAMA_STACK_LOGGING: {expected}")]);
        assert_eq!(levels, Levels::new(), "{input}");
        // The others still apply.
        let (levels, warnings) = read_pairs(&format!("core=error,{input};tools=debug"));
        assert_eq!(warnings.len(), 1, "{input}");
        assert_eq!(levels, read_pairs("core=error;tools=debug").0, "{input}");
    }
}

#[test]
fn empty_parts_are_ignored() {
    for input in ["", ",,;", " , ; ", ";;;"] {
        assert_eq!(read_pairs(input), (Levels::new(), vec![]));
        assert_eq!(read_directives(&input.replace(';', ",")), (Levels::new(), vec![]));
    }
}

#[test]
fn a_warning_can_not_forge_a_line_and_is_short() {
    let input = format!("\u{1b}[31m\nERROR all is lost\u{202e}={}", "x".repeat(10_000));
    for warning in read_pairs(&input).1.into_iter().chain(read_directives(&input).1) {
        assert!(!warning.contains(|letter: char| letter.is_control() || letter == '\u{202e}'));
        assert!(
            warning.contains(r"\u{1b}[31m\nERROR all is lost\u{202e}"),
            "{warning}"
        );
        assert!(
            warning.contains('…') && warning.chars().count() < 500,
            "{warning}"
        );
    }
}

#[test]
fn many_bad_pairs_give_few_warnings() {
    let (_, warnings) = read_pairs(&"x=debug,".repeat(MAX_WARNINGS));
    assert_eq!(warnings.len(), MAX_WARNINGS);
    let (_, warnings) = read_pairs(&"x=debug,".repeat(MAX_WARNINGS + 1));
    assert_eq!(warnings.len(), MAX_WARNINGS + 1);
    assert_eq!(
        warnings[MAX_WARNINGS],
        "LLAMA_STACK_LOGGING: and 1 more part like these"
    );
    let (levels, warnings) = read_pairs(&format!("{}core=debug", "x=debug,".repeat(500)));
    assert_eq!(
        warnings[MAX_WARNINGS],
        "LLAMA_STACK_LOGGING: and 490 more parts like these"
    );
    assert_eq!(levels, read_pairs("core=debug").0);
}

/// Twice the text takes about twice the time, for any text; quadratic time would be hours, so the
/// bound is generous.
#[test]
fn a_megabyte_takes_linear_time() {
    let start = Instant::now();
    for piece in [
        "x",
        "=",
        ",",
        "a=",
        "=a",
        "core=debug,",
        "nosuch=debug,",
        "server=loud,",
        "core::a",
        "[",
        "[,",
        "[,]",
        "],",
        "{a=1,",
        "\u{1b}",
        "ä",
        "=,",
        " ",
        "::",
        "inof,",
    ] {
        let input = piece.repeat((1 << 20) / piece.len());
        assert!(read_pairs(&input).1.len() <= MAX_WARNINGS + 1);
        assert!(read_directives(&input).1.len() <= MAX_WARNINGS + 1);
    }
    let distinct: String = (0..60_000).map(|n| format!("core::a{n}=debug,")).collect();
    assert_eq!(read_pairs(&distinct).1.len(), 0);
    assert_eq!(read_directives(&distinct).1.len(), 0);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[cfg(unix)]
#[test]
fn valid_parts_of_a_value_that_is_not_utf8_still_apply() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let pairs = OsStr::from_bytes(b"core=debug,\xff=error,tools=\xfe,cli=off");
    let directives = OsStr::from_bytes(b"sqlx=debug,\xff");
    let mut levels = Levels::new();
    let warnings = levels.read(&Categories::new(), Some(pairs), Some(directives));
    let mut expected = read_pairs("core=debug,cli=off").0;
    expected.set_directives("", "sqlx=debug");
    assert_eq!(levels, expected);
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 5, "{texts:#?}");
    assert_eq!(
        texts[0],
        "LLAMA_STACK_LOGGING: not valid UTF-8; its readable parts still count"
    );
    assert!(texts[1].contains("unknown category"), "{}", texts[1]);
    assert!(texts[2].contains("unknown level"), "{}", texts[2]);
    assert_eq!(
        texts[3],
        "RUST_LOG: not valid UTF-8; its readable parts still count"
    );
    assert!(texts[4].contains("not a directive"), "{}", texts[4]);
    assert_eq!(warnings[4].source(), "RUST_LOG");
}

#[test]
fn each_bad_directive_is_reported_once_and_changes_nothing() {
    let form = "not a directive; accepted: `level`, `target`, `target=level`";
    let brackets =
        "spans and fields in brackets are not supported; accepted: `level`, `target`, `target=level`";
    for (input, expected) in [
        ("=debug", format!("`=debug`: {form}")),
        ("sqlx=", format!("`sqlx=`: {form}")),
        ("a=b=c", format!("`a=b=c`: {form}")),
        ("two words", format!("`two words`: {form}")),
        ("two words=debug", format!("`two words=debug`: {form}")),
        (
            "sqlx=loud",
            format!("`sqlx=loud`: unknown level `loud`; {LEVELS}"),
        ),
        ("[chat]=debug", format!("`[chat]=debug`: {brackets}")),
        (
            "sqlx[query{id=1,n=2}]=trace",
            format!("`sqlx[query{{id=1,n=2}}]=trace`: {brackets}"),
        ),
        ("sqlx[query", format!("`sqlx[query`: {brackets}")),
    ] {
        let (levels, warnings) = read_directives(input);
        assert_eq!(warnings, [format!("RUST_LOG: {expected}")]);
        assert_eq!(levels, Levels::new(), "{input}");
        let (levels, warnings) = read_directives(&format!("hyper=error,{input},h2=off"));
        assert_eq!(warnings.len(), 1, "{input}");
        assert_eq!(levels, read_directives("hyper=error,h2=off").0, "{input}");
    }
}

#[test]
fn a_target_that_looks_like_a_level_is_used_and_reported() {
    let (levels, warnings) = read_directives("inof");
    assert_eq!(
        warnings,
        ["RUST_LOG: `inof`: taken as a target; did you mean the level `info`?"]
    );
    assert_eq!(levels, read_directives("inof=trace").0);
    assert_eq!(read_directives("sqlx,my_app,h2").1, [""; 0]);
}

#[test]
fn directives_may_have_spaces_and_any_level_name() {
    let categories = Categories::new();
    let (levels, warnings) = read_directives(" WARNING , sqlx = Verbose ");
    assert_eq!(warnings, [""; 0]);
    let level_of = |target| levels.threshold(&categories, &categories.of_target(target), target);
    assert_eq!(level_of("server"), LevelFilter::Warn);
    assert_eq!(level_of("sqlx"), LevelFilter::Trace);
}
