//! `backup`, `restore`, `cleanup`, `import`, `demo`.

use crate::support::{Store, exists, result_of, spanscope};

#[test]
fn a_backup_has_the_same_records_and_overwrites_nothing() {
    let store = Store::filled();
    let copy = store.file("copy of it.db");
    let copy = copy.to_str().unwrap();
    assert_eq!(store.run(&["backup", copy]).code, 0);
    let there = result_of(
        spanscope()
            .args(["traces", "--json", "--db", copy])
            .output()
            .unwrap(),
    );
    assert_eq!(there.out, store.out(&["traces", "--json"]));
    assert_ne!(store.run(&["backup", copy]).code, 0);
}

#[test]
fn restore_replaces_the_store_with_the_backup() {
    let store = Store::filled();
    let before = store.out(&["traces", "--json"]);
    let copy = store.file("copy.db");
    let copy = copy.to_str().unwrap();
    assert_eq!(store.run(&["backup", copy]).code, 0);
    assert_eq!(store.run(&["cleanup", "--older-than", "0s"]).code, 0);
    assert_eq!(store.run(&["traces", "--json"]).code, 3, "nothing is left");
    let restored = store.run(&["restore", copy]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    assert!(
        restored.err.contains("put ") && restored.err.contains("in place of"),
        "{}",
        restored.err
    );
    assert_eq!(store.out(&["traces", "--json"]), before);
    assert!(std::path::Path::new(copy).exists(), "a backup stays");
    // A file that is not a backup changes nothing.
    assert_eq!(
        store
            .run(&["restore", store.file("nothing.db").to_str().unwrap()])
            .code,
        3
    );
    let notes = store.file("notes.txt");
    std::fs::write(&notes, "not a database").unwrap();
    assert_eq!(store.run(&["restore", notes.to_str().unwrap()]).code, 1);
    assert_eq!(store.run(&["restore", store.path().to_str().unwrap()]).code, 2);
    assert_eq!(store.out(&["traces", "--json"]), before);
}

#[test]
fn a_backup_can_be_imported_once() {
    let store = Store::filled();
    let other = Store::none();
    let first = other.json(&["import", store.path().to_str().unwrap()]);
    assert_eq!(
        (
            first["traces"].as_u64(),
            first["spans"].as_u64(),
            first["events"].as_u64()
        ),
        (Some(2), Some(5), Some(5))
    );
    let trace = store.trace("order");
    assert_eq!(other.out(&["tree", &trace]), store.out(&["tree", &trace]));
    let second = other.out(&["import", store.path().to_str().unwrap()]);
    assert!(
        second.starts_with("imported 0 traces, 0 spans, 0 events and 0 measurements"),
        "{second}"
    );
}

#[test]
fn importing_a_file_that_is_not_a_store_fails() {
    let store = Store::none();
    let file = store.file("notes.txt");
    std::fs::write(&file, "not a database").unwrap();
    assert_eq!(store.run(&["import", file.to_str().unwrap()]).code, 1);
    let nothing = store.run(&["import", store.file("nothing.db").to_str().unwrap()]);
    assert_eq!(nothing.code, 3, "{}", nothing.err);
}

#[test]
fn cleanup_deletes_only_old_records_and_none_in_a_dry_run() {
    let store = Store::filled();
    assert!(
        store
            .out(&["cleanup", "--older-than", "7d"])
            .starts_with("deleted 0 traces")
    );
    // Waits until the spans are a millisecond old.
    let patience = std::time::Instant::now();
    let would = loop {
        let would = store.json(&["cleanup", "--older-than", "1ms", "--dry-run"]);
        if would["traces"] == 2 || patience.elapsed().as_secs() >= 20 {
            break would;
        }
    };
    assert_eq!(
        (would["traces"].as_u64(), would["spans"].as_u64()),
        (Some(2), Some(5))
    );
    assert_eq!(store.json(&["stats"])["traces"], 2);
    assert!(
        store
            .out(&["cleanup", "--older-than", "1ms"])
            .starts_with("deleted 2 traces, 5 spans, 5 events and 0 measurements")
    );
    assert_eq!(store.json(&["stats"])["traces"], 0);
    assert_eq!(store.run(&["traces"]).code, 3);

    let none = Store::none();
    assert_eq!(none.run(&["cleanup", "--older-than", "1d"]).code, 3);
    assert!(!exists(&none.path()), "cleanup created a file");
}

#[test]
fn the_demo_records_a_real_trace_and_shows_it() {
    let store = Store::none();
    let text = store.out(&["demo"]);
    for word in [
        "trace ",
        "✗",
        "→",
        "total tokens",
        "What to type next",
        "spanscope span",
    ] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    assert_eq!(store.json(&["traces"]).as_array().unwrap().len(), 1);
    let table_width = text
        .lines()
        .take_while(|line| !line.starts_with("What"))
        .map(|line| line.chars().count())
        .max();
    assert!(table_width.unwrap() <= 80, "{text}");
}

#[test]
fn a_database_in_memory_is_refused_as_store_and_as_backup() {
    let store = Store::filled();
    for words in [
        &["traces"][..],
        &["stats"],
        &["demo"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["cleanup", "--older-than", "7d"],
        &["import", store.path().to_str().unwrap()],
    ] {
        let ended = result_of(
            spanscope()
                .args(words)
                .args(["--db", ":memory:"])
                .output()
                .unwrap(),
        );
        assert_eq!(ended.code, 2, "{words:?}: {}", ended.err);
        assert!(ended.err.contains("is not a file"), "{words:?}: {}", ended.err);
    }
    let ended = store.run(&["backup", ":memory:"]);
    assert_eq!(ended.code, 2, "{}", ended.err);
}

#[cfg(unix)]
#[test]
fn an_exported_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = Store::filled();
    let file = store.file("traces.jsonl");
    let ended = store.run(&["export", "--to", "jsonl", "-o", file.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}
