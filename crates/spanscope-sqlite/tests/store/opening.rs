//! Opening a file: missing, foreign, empty, read-only and replaced ones.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::{StoreError, StoreErrorKind, TraceQuery, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use crate::support::{Row, StoreFile};

/// The errors of reading and of writing (an import opens its target for writing).
fn refusals(path: &Path) -> [StoreError; 2] {
    let source = StoreFile::new();
    source.add(&Row::default());
    [
        SqliteStore::open(path).unwrap_err(),
        SqliteStore::import(path, &source.path, |_, _| ()).unwrap_err(),
    ]
}

#[test]
fn reading_does_not_create_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(
        error.is_not_found() && error.to_string().contains("SQLITE_STORE_DIR"),
        "{error}"
    );
    assert!(
        SqliteStore::cleanup(&path, Duration::ZERO, false)
            .unwrap_err()
            .is_not_found()
    );
    assert!(!path.exists());
}

#[test]
fn foreign_files_are_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "dear diary, ".repeat(1000)).unwrap();
    let short = folder.path().join("short");
    fs::write(&short, "x").unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    let described = folder.path().join("described.db");
    Connection::open(&described)
        .unwrap()
        .execute_batch("CREATE TABLE traces (trace_id TEXT); CREATE TABLE spans (span_id TEXT)")
        .unwrap();
    let newer = StoreFile::new();
    newer
        .db
        .execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    for (path, said) in [
        (&text, "is not a database"),
        (&short, "is not a database"),
        (&foreign, "another application"),
        (&described, "spanscope import"),
        (&newer.path, "newer version"),
    ] {
        let before = fs::read(path).unwrap();
        for error in refusals(path) {
            assert_eq!(error.kind(), StoreErrorKind::Unusable, "{error}");
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        assert_eq!(fs::read(path).unwrap(), before);
    }
    for error in refusals(folder.path()) {
        assert!(error.to_string().contains("is a folder"), "{error}");
    }
}

#[test]
fn an_empty_file_holds_nothing_to_read_and_may_become_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.db");
    fs::write(&path, "").unwrap();
    assert!(SqliteStore::open(&path).unwrap_err().is_not_found());
    let source = StoreFile::new();
    source.add(&Row::default());
    SqliteStore::import(&path, &source.path, |_, _| ()).unwrap();
    assert_eq!(
        block_on(
            SqliteStore::open(&path)
                .unwrap()
                .query_traces(TraceQuery::default())
        )
        .unwrap()
        .len(),
        1
    );
}

#[cfg(unix)]
#[test]
fn a_new_file_and_its_folders_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/trace_store.db");
    let source = StoreFile::new();
    source.add(&Row::default());
    SqliteStore::import(&path, &source.path, |_, _| ()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let db = Connection::open(&path).unwrap();
    let text = |pragma: &str| {
        db.pragma_query_value(None, pragma, |row| row.get::<_, String>(0))
            .unwrap()
    };
    let number = |pragma: &str| {
        db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!((text("journal_mode").as_str(), number("auto_vacuum")), ("wal", 2));
    assert_eq!(number("page_size"), 8192);
    assert_eq!(
        (number("application_id"), number("user_version")),
        (0x5370_5363, 6)
    );
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_reported_as_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        return; // The administrator may write anywhere.
    }
    let source = StoreFile::new();
    let error = SqliteStore::import(folder.path().join("x.db"), &source.path, |_, _| ()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("the right to write"), "{error}");
}

#[test]
fn a_file_in_the_way_of_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let source = StoreFile::new();
    source.add(&Row::default());
    let error = SqliteStore::import(file.join("x.db"), &source.path, |_, _| ()).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn a_replaced_store_is_read_again() {
    let file = StoreFile::new();
    file.add(&Row::default());
    let store = file.store();
    let count = || block_on(store.query_traces(TraceQuery::default())).map(|traces| traces.len());
    assert_eq!(count().unwrap(), 1);
    let other = StoreFile::new();
    other.add(&Row {
        trace: 5,
        ..Row::default()
    });
    other.add(&Row {
        trace: 6,
        ..Row::default()
    });
    other
        .db
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.path.display())).unwrap();
    }
    fs::rename(&other.path, &file.path).unwrap();
    assert_eq!(count().unwrap(), 2);
    fs::remove_file(&file.path).unwrap();
    assert!(count().unwrap_err().is_not_found());
}

#[test]
fn readers_leave_the_log_free_to_be_used_again() {
    let file = StoreFile::new();
    let store = file.store();
    for id in 1..50 {
        file.add(&Row { id, ..Row::default() });
        block_on(store.query_traces(TraceQuery::default())).unwrap();
        block_on(store.name_statistics(None, None)).unwrap();
        let busy = file.number("PRAGMA wal_checkpoint(TRUNCATE)");
        assert_eq!(busy, 0, "no reader is parked");
    }
}

#[test]
fn many_threads_query_at_once() {
    let file = StoreFile::new();
    file.add(&Row::default());
    let store = file.store();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            let store = store.clone();
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(
                        block_on(store.query_traces(TraceQuery::default())).unwrap().len(),
                        1
                    );
                }
            });
        }
    });
}
