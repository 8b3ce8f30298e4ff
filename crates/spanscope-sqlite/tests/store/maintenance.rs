//! Cleaning and backups.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::{Timestamp, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use crate::support::{Row, SECOND, StoreFile, cleanup_report, trace_id};

const HOUR: Duration = Duration::from_secs(3600);

/// Trace 1 is three hours old, trace 2 started then and is still running, trace 3 is new.
fn aged() -> StoreFile {
    let file = StoreFile::new();
    let now = Timestamp::now().as_nanos();
    let old = now - 3 * 3600 * SECOND;
    for id in 1..=1500 {
        file.add(&Row {
            id,
            parent: (id > 1).then_some(1),
            start: old,
            ..Row::default()
        });
    }
    file.add(&Row {
        trace: 2,
        id: 2001,
        start: old,
        duration: Some(3 * 3600 * SECOND),
        ..Row::default()
    });
    file.add(&Row {
        trace: 3,
        id: 3001,
        start: now,
        ..Row::default()
    });
    file.add_event(Some(1), Some(1), old, "of the old trace", 9);
    file.add_event(Some(1), Some(1), old, "lives longer", 9);
    file.add_event(None, None, old, "loose and old", 9);
    file.add_event(None, None, now, "loose and new", 9);
    file.add_event(Some(3), Some(3001), now, "expired", 9);
    let day = now + 86_400 * SECOND;
    file.db
        .execute_batch(&format!(
            "UPDATE _event SET expires = {day} WHERE message = 'lives longer';
             UPDATE _event SET expires = {old} WHERE message = 'expired';
             INSERT INTO _attr_key (key) VALUES ('k');
             INSERT INTO _attr SELECT 1, 'v', id FROM _span;
             INSERT INTO _mark (time, span, event) VALUES ({old} - 20, 1, 1), ({old} - 10, 1, 1), ({now}, 1, 1);"
        ))
        .unwrap();
    file
}

#[test]
fn a_cleanup_deletes_whole_old_traces_and_expired_events() {
    let file = aged();
    let expected = cleanup_report([1, 1500, 3, 0]);
    assert_eq!(SqliteStore::cleanup(&file.path, HOUR, true).unwrap(), expected);
    assert_eq!(
        file.number("SELECT count(*) FROM _trace"),
        3,
        "a dry run changes nothing"
    );
    assert_eq!(SqliteStore::cleanup(&file.path, HOUR, false).unwrap(), expected);
    assert_eq!(file.number("SELECT count(*) FROM _span"), 2);
    assert_eq!(file.number("SELECT count(*) FROM _attr"), 2);
    assert_eq!(
        file.number("SELECT count(*) FROM _mark"),
        2,
        "the last mark before the cutoff stays"
    );
    let left: Vec<String> = {
        let mut statement = file.db.prepare("SELECT message FROM _event ORDER BY id").unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    assert_eq!(left, ["lives longer", "loose and new"]);
    assert_eq!(
        file.number("SELECT count(*) FROM _event WHERE trace NOT IN (SELECT id FROM _trace)"),
        0
    );
    assert_eq!(
        SqliteStore::cleanup(&file.path, HOUR, false).unwrap(),
        cleanup_report([0; 4])
    );
    assert_eq!(
        file.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0
    );
}

#[test]
fn a_cleanup_frees_the_space() {
    let file = aged();
    file.db
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let before = fs::metadata(&file.path).unwrap().len();
    SqliteStore::cleanup(&file.path, HOUR, false).unwrap();
    let after = fs::metadata(&file.path).unwrap().len();
    assert!(after < before * 2 / 3, "{before} to {after}");
    assert_eq!(file.number("PRAGMA freelist_count"), 0);
}

#[test]
fn a_backup_is_consistent_while_a_program_writes() {
    let file = aged();
    let to = file.folder.path().join("copy.db");
    let writer = Connection::open(&file.path).unwrap();
    let mut steps = 0;
    file.store()
        .backup(&to, |done, total| {
            steps += 1;
            assert!(done <= total);
            writer
                .execute_batch("UPDATE _process SET seen_at = seen_at + 1")
                .unwrap();
        })
        .unwrap();
    assert!(steps > 0);
    let copy = SqliteStore::open(&to).unwrap();
    assert_eq!(block_on(copy.trace_spans(trace_id(1))).unwrap().len(), 1500);
    let check: String = Connection::open(&to)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let bytes = fs::read(&to).unwrap();
    let error = file.store().backup(&to, |_, _| ()).unwrap_err();
    assert!(
        error.is_invalid_input() && error.to_string().contains("overwrites nothing"),
        "{error}"
    );
    assert_eq!(fs::read(&to).unwrap(), bytes);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
