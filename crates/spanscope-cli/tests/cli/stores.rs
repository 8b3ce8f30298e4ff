//! Which store a command uses: the one of the command line, of the environment, the default file.

use std::process::Command;

use super::support::{CommandResult, Store, exists, result_of, spanscope};

/// The command without a store in its arguments.
fn command(words: &[&str]) -> Command {
    let mut command = spanscope();
    command.args(words).env_remove("SQLITE_STORE_DIR");
    command
}

fn ran(command: &mut Command) -> CommandResult {
    result_of(command.output().unwrap())
}

fn number_of_traces(command: &mut Command) -> usize {
    let said = ran(command);
    assert!(matches!(said.code, 0 | 3), "{}", said.err);
    said.out.lines().count()
}

#[test]
fn the_command_line_is_before_the_environment_and_that_before_the_default() {
    let (filled, other) = (Store::filled(), Store::filled());
    let copy = other.file("copy.db");
    other.out(&[
        "export",
        "--to",
        "jsonl",
        "-o",
        other.file("one.jsonl").to_str().unwrap(),
    ]);
    let import = ["import", other.file("one.jsonl").to_str().unwrap(), "--store"].map(str::to_owned);
    let mut import = command(&import.each_ref().map(String::as_str));
    assert_eq!(ran(import.arg(&copy)).code, 0);
    std::fs::remove_file(other.path()).unwrap();
    let folder = other.path().parent().unwrap().to_owned();

    // Nothing is in the default file, which is not there.
    let list = || {
        let mut list = command(&["traces", "--format", "jsonl"]);
        list.env("SQLITE_STORE_DIR", &folder);
        list
    };
    assert_eq!(ran(&mut list()).code, 3);
    assert_eq!(number_of_traces(list().env("SPANSCOPE_STORE", &copy)), 2);
    let prefixed = format!("sqlite:{}", copy.display());
    assert_eq!(number_of_traces(list().env("SPANSCOPE_STORE", prefixed)), 2);
    // An empty variable counts as not set.
    assert_eq!(ran(list().env("SPANSCOPE_STORE", "")).code, 3);
    for flag in ["--store", "--db"] {
        let mut both = list();
        both.env("SPANSCOPE_STORE", folder.join("none.db"))
            .arg(flag)
            .arg(filled.path());
        assert_eq!(number_of_traces(&mut both), 2, "{flag}");
    }
    assert!(!exists(&folder.join("none.db")));
}

#[cfg(unix)]
#[test]
fn a_file_whose_name_is_not_text_is_a_file() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let store = Store::filled();
    let odd = store.file("odd").with_file_name(OsStr::from_bytes(b"odd\xff.db"));
    std::fs::rename(store.path(), &odd).unwrap();
    assert_eq!(
        number_of_traces(command(&["traces", "--format", "jsonl"]).arg("--store").arg(&odd)),
        2
    );
    let mut of_variable = command(&["traces", "--format", "jsonl"]);
    assert_eq!(number_of_traces(of_variable.env("SPANSCOPE_STORE", &odd)), 2);
}

/// Asserts that a command is wrong usage, in one line with these words.
fn assert_refused(said: &CommandResult, words: &[&str]) {
    assert_eq!(said.code, 2, "{}", said.err);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "no {word:?} in {}", said.err);
    }
    assert!(!said.err.contains("hunter2"), "{}", said.err);
}

#[test]
fn a_url_of_another_kind_is_refused_with_what_is_accepted() {
    for url in [
        "postgres://otel:hunter2@host/otel",
        "https://host/otel?password=hunter2",
    ] {
        for mut command in [command(&["traces", "--store", url]), {
            let mut stats = command(&["stats"]);
            stats.env("SPANSCOPE_STORE", url);
            stats
        }] {
            assert_refused(
                &ran(&mut command),
                &[
                    "host/otel is not the URL of a store",
                    "sqlite:traces.db",
                    "clickhouse://user@host:8123/database",
                ],
            );
        }
    }
}

#[cfg(not(feature = "clickhouse"))]
#[test]
fn a_url_whose_feature_is_missing_is_refused_with_the_feature() {
    assert_refused(
        &ran(&mut command(&[
            "traces",
            "--store",
            "clickhouse://otel:hunter2@host/otel",
        ])),
        &[
            "clickhouse://host/otel needs the feature `clickhouse`",
            "cargo install spanscope-cli --features clickhouse",
        ],
    );
}

#[cfg(feature = "clickhouse")]
#[test]
fn a_command_that_works_on_a_file_refuses_a_server() {
    let store = Store::filled();
    let file = store.path();
    let file = file.to_str().unwrap();
    // Nothing listens there: a refusal needs no connection.
    for words in [
        &["demo"][..],
        &["sql", "SELECT 1"],
        &["export", "--to", "jsonl"],
        &["import", file],
        &["cleanup", "--older-than", "7d"],
        &["backup", "copy.db"],
        &["restore", file],
    ] {
        let mut command = command(words);
        command.env("SPANSCOPE_STORE", "clickhouse://otel@127.0.0.1:1/otel");
        assert_refused(
            &ran(&mut command),
            &[
                "works on the file of a store",
                "clickhouse://127.0.0.1:1/otel is a server",
                "--store FILE",
            ],
        );
    }
}
