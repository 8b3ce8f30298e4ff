//! A store that the user may read and not write.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use spanscope_sqlite::SqliteLayer;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{CommandResult, Store, result_of, spanscope};

/// Another user, who owns no file of the tests.
const OTHER_USER: &str = "65534";

const AS_OTHER_USER: [&str; 6] = [
    "--reuid",
    OTHER_USER,
    "--regid",
    OTHER_USER,
    "--clear-groups",
    "--",
];

/// The command as a user who may write neither the file nor its folder; `None` if that is not
/// possible.
fn command(folder: &Path, words: &[&str]) -> Option<Command> {
    let plain = spanscope();
    let is_root = fs::metadata(folder).unwrap().uid() == 0;
    let mut command = match is_root {
        false => plain,
        // Permissions do not apply to root.
        true => {
            let mut command = Command::new("setpriv");
            command.args(AS_OTHER_USER).arg(copied_binary()?);
            for (name, value) in plain.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command
        }
    };
    command.args(words).arg("--db").arg(folder.join("trace_store.db"));
    Some(command)
}

/// Returns a copy of the command that every user can run; the folder that it was built in may be
/// closed to other users.
fn copied_binary() -> Option<&'static Path> {
    static COPY: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let copy = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let copy = folder.path().join("spanscope");
        fs::copy(spanscope().get_program(), &copy).unwrap();
        let mut probe = Command::new("setpriv");
        let probe = probe.args(AS_OTHER_USER).arg(&copy).arg("--version").output();
        if probe.is_ok_and(|probe| probe.status.success()) {
            return Some((folder, copy));
        }
        spanscope_tests::skip("setpriv of util-linux can't run the command as another user here");
        None
    });
    copy.as_ref().map(|(_, copy)| copy.as_path())
}

fn run(folder: &Path, words: &[&str]) -> Option<CommandResult> {
    Some(result_of(command(folder, words)?.output().unwrap()))
}

/// A read-only folder with these files of a store.
fn sealed(store: &Store, suffixes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for suffix in suffixes {
        let name = format!("trace_store.db{suffix}");
        let copy = folder.path().join(&name);
        fs::copy(store.file(&name), &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    folder
}

fn log_of(store: &Store) -> PathBuf {
    store.file("trace_store.db-wal")
}

#[test]
fn a_read_only_store_is_read_with_all_records_of_its_log() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        info_span!("in the log").in_scope(|| tracing::info!("hello"));
    });
    guard.flush(std::time::Duration::from_secs(10)).unwrap();
    assert!(fs::metadata(log_of(&store)).unwrap().len() > 0);

    // While the program runs: its files with and without the index of the log.
    let with_index = sealed(&store, &["", "-wal", "-shm"]);
    let with_log = sealed(&store, &["", "-wal"]);
    drop(guard);
    // After the program has ended.
    assert!(!log_of(&store).exists());
    let alone = sealed(&store, &[""]);

    for folder in [&with_index, &with_log, &alone] {
        let before: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        for words in [
            &["traces"][..],
            &["tree", "last"],
            &["logs"],
            &["stats"],
            &["stats", "--by", "name"],
            &["sql", "SELECT name FROM spans"],
            &["export", "--to", "jsonl"],
        ] {
            let Some(result) = run(folder.path(), words) else {
                return;
            };
            assert_eq!(
                (result.code, result.err.as_str()),
                (0, ""),
                "{before:?} {words:?}"
            );
            let is_there = match words[0] {
                "logs" => result.out.contains("hello"),
                "stats" if words.len() == 1 => result.out.contains("spans    1"),
                _ => result.out.contains("in the log"),
            };
            assert!(is_there, "{before:?} {words:?}: {}", result.out);
        }
        let after: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(before, after);
        // So that the folder can be removed.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn another_users_store_is_read_while_it_is_written() {
    let store = Store::none();
    let (layer, guard) = SqliteLayer::open(store.path()).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    let folder = store.path().parent().unwrap().to_owned();
    tracing::subscriber::with_default(subscriber, || {
        for number in 1..=3 {
            info_span!("step").in_scope(|| ());
            guard.flush(std::time::Duration::from_secs(10)).unwrap();
            // The owner lets others read.
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            for suffix in ["", "-wal", "-shm"] {
                let file = store.file(&format!("trace_store.db{suffix}"));
                fs::set_permissions(file, Permissions::from_mode(0o444)).unwrap();
            }
            let Some(result) = run(&folder, &["traces", "--json"]) else {
                return;
            };
            assert_eq!(result.code, 0, "{}", result.err);
            let found: Vec<serde_json::Value> = serde_json::from_str(&result.out).unwrap();
            assert_eq!(found.len(), number);
        }
    });
    drop(guard);
}

#[test]
fn the_error_for_an_unreadable_file_names_it_and_the_fix() {
    let store = Store::filled();
    let folder = sealed(&store, &[""]);
    let file = folder.path().join("trace_store.db");
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    let Some(result) = run(folder.path(), &["traces"]) else {
        return;
    };
    assert_eq!((result.code, result.out.as_str()), (1, ""));
    assert!(
        result.err.contains(&*file.to_string_lossy())
            && result.err.contains("give this user the right to read"),
        "{}",
        result.err
    );
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}
