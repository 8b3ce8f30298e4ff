//! Invalid files, full disks, blocking readers, clocks and spans out of order.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::StoreErrorKind;
use spanscope_sqlite::SqliteLayer;
use spanscope_tests::{PATIENCE, RECORDS_A_TRACE, burst, store_at, store_with, wait_for};
use tracing::dispatcher::with_default;

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let text = "these are my notes, not a database\n".repeat(200);
    fs::write(&path, &text).unwrap();
    let error = SqliteLayer::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.to_string().contains("trace_store.db"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    drop(store_at(&path));
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = SqliteLayer::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.to_string().contains("newer"), "{error}");
}

#[test]
fn a_folder_in_the_files_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteLayer::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("folder"), "{error}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    with_default(&dispatch, || burst(1));
    guard.flush(PATIENCE).unwrap();
    for name in ["trace_store.db", "trace_store.db-wal"] {
        let mode = fs::metadata(path.with_file_name(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_deleted_while_running_is_recreated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    with_default(&dispatch, || burst(1));
    guard.flush(PATIENCE).unwrap();
    for name in ["trace_store.db", "trace_store.db-wal", "trace_store.db-shm"] {
        let _ = fs::remove_file(path.with_file_name(name));
    }
    with_default(&dispatch, || burst(2));
    guard.flush(PATIENCE).unwrap();
    assert_eq!(count(&path, "SELECT COUNT(*) FROM traces"), 2);
}

#[test]
fn a_parked_reader_can_not_grow_the_log_beyond_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_with(SqliteLayer::builder().queue_bytes(8 << 20), &path);
    with_default(&dispatch, || burst(10));
    guard.flush(PATIENCE).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let seen: i64 = reader
        .query_row("SELECT COUNT(*) FROM spans", [], |row| row.get(0))
        .unwrap();
    let wal = path.with_file_name("trace_store.db-wal");
    let mut largest = 0;
    wait_for("the queue to be full because the log may not grow", || {
        with_default(&dispatch, || burst(2_000));
        largest = largest.max(fs::metadata(&wal).map_or(0, |file| file.len()));
        (guard.stats().dropped.queue_full > 0 && largest > 30 << 20).then_some(())
    });
    with_default(&dispatch, || burst(20_000));
    largest = largest.max(fs::metadata(&wal).unwrap().len());
    assert!(largest < 64 << 20, "{largest} bytes of log");
    let again: i64 = reader
        .query_row("SELECT COUNT(*) FROM spans", [], |row| row.get(0))
        .unwrap();
    assert_eq!(again, seen, "the reader keeps its snapshot");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    guard.flush(PATIENCE).unwrap();
    let stats = guard.stats();
    assert_eq!(stats.offered, stats.stored + stats.dropped.total());
    drop(guard);
    assert_eq!(
        count(&path, "SELECT SUM(stored) FROM _process"),
        i64::try_from(stats.stored).unwrap()
    );
    assert!(
        fs::metadata(&wal).map_or(0, |file| file.len()) < 1 << 20,
        "the log is emptied at the end"
    );
}

#[test]
fn the_file_stays_below_its_cap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let cap = 4 << 20;
    let (dispatch, guard) = store_with(SqliteLayer::builder().max_bytes(cap), &path);
    for _ in 0..20 {
        with_default(&dispatch, || burst(500));
        guard.flush(PATIENCE).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        assert!(size <= cap, "{size} bytes of {cap}");
    }
    let newest = count(
        &path,
        "SELECT COUNT(*) FROM spans WHERE json_extract(attributes, '$.index') = 499",
    );
    assert!(newest > 0, "the newest traces are there");
    let broken =
        "SELECT COUNT(*) FROM _trace t WHERE span_count <> (SELECT COUNT(*) FROM _span WHERE trace = t.id)";
    assert_eq!(count(&path, broken), 0, "traces are deleted completely");
    assert_eq!(
        count(
            &path,
            "SELECT COUNT(*) FROM _event WHERE trace NOT IN (SELECT id FROM _trace)"
        ),
        0
    );
}

#[test]
fn old_traces_are_deleted_by_age_and_events_by_their_time_to_live() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    with_default(&dispatch, || {
        burst(3);
        tracing::info!("loose");
        tracing::info!("short-lived");
        tracing::info!("long-lived");
    });
    drop(guard);
    let week = 8_i64 * 24 * 3600 * 1_000_000_000;
    let db = Connection::open(&path).unwrap();
    db.execute(
        "UPDATE _trace SET start = start - ?1, end = end - ?1 WHERE id < 3",
        [week],
    )
    .unwrap();
    db.execute(
        "UPDATE _event SET time = time - ?1 WHERE message <> 'done'",
        [week],
    )
    .unwrap();
    // As `log_event` stores lifetimes.
    db.execute(
        "UPDATE _event SET expires = CASE message WHEN 'short-lived' THEN 1 ELSE ?1 END
         WHERE message IN ('short-lived', 'long-lived')",
        [i64::MAX],
    )
    .unwrap();
    drop(db);
    let (_dispatch, _guard) = store_at(&path);
    wait_for("the old traces to go", || {
        (count(&path, "SELECT COUNT(*) FROM traces") == 1).then_some(())
    });
    wait_for("the loose event to go", || {
        (count(
            &path,
            "SELECT COUNT(*) FROM logs WHERE message IN ('loose', 'short-lived')",
        ) == 0)
            .then_some(())
    });
    assert_eq!(
        count(&path, "SELECT COUNT(*) FROM logs WHERE message = 'long-lived'"),
        1
    );
    assert_eq!(count(&path, "SELECT COUNT(*) FROM spans"), 10);
}

#[test]
fn a_full_disk_loses_no_stored_record_and_writing_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        assert!(
            std::env::var_os("SPANSCOPE_NO_SKIP").is_none(),
            "a tmpfs can't be mounted here"
        );
        eprintln!("skipped: a tmpfs can't be mounted here");
        return;
    }
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .queue_bytes(1 << 20)
        .shutdown_timeout(Duration::from_secs(2));
    let (dispatch, guard) = store_with(settings, &path);
    with_default(&dispatch, || burst(50));
    guard.flush(PATIENCE).unwrap();
    let filler = folder.path().join("filler");
    let room = 2 * 1024 * 1024;
    for size in (0..room).rev().step_by(4096) {
        if fs::write(&filler, vec![0; size]).is_ok() {
            break;
        }
    }
    wait_for("records to be dropped", || {
        with_default(&dispatch, || burst(1_000));
        (guard.stats().dropped.queue_full > 0).then_some(())
    });
    assert!(guard.stats().stored >= 50 * RECORDS_A_TRACE);
    fs::remove_file(&filler).unwrap();
    wait_for("writing to go on", || {
        let before = guard.stats().stored;
        let _ = guard.flush(Duration::from_secs(1));
        (guard.stats().stored > before.max(50 * RECORDS_A_TRACE)).then_some(())
    });
    drop(guard);
    let answer: String = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(answer, "ok");
    assert!(
        count(
            &path,
            "SELECT COUNT(*) FROM spans WHERE json_extract(attributes, '$.index') < 50"
        ) >= 500
    );
    let unmounted = Command::new("umount")
        .arg("-l")
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(unmounted.success());
}

#[test]
fn a_small_disk_is_not_filled_by_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return spanscope_tests::skip("a tmpfs can't be mounted here");
    }
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder()
        .max_bytes(1 << 20)
        .on_overflow(spanscope_sqlite::OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &path);
    let mut largest = 0;
    for _ in 0..20 {
        with_default(&dispatch, || burst(500));
        guard.flush(PATIENCE).unwrap();
        largest = largest.max(
            fs::metadata(path.with_file_name("trace_store.db-wal"))
                .unwrap()
                .len(),
        );
    }
    let stats = guard.stats();
    assert_eq!(
        (stats.stored, stats.dropped.total()),
        (20 * 500 * RECORDS_A_TRACE, 0)
    );
    assert!(largest < 3 << 20, "{largest} bytes of log");
    drop(guard);
    let unmounted = Command::new("umount").arg("-l").arg(folder.path()).status();
    assert!(unmounted.unwrap().success());
}

#[test]
fn a_trace_has_the_times_of_its_spans_also_if_they_were_stored_while_they_ran() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let (dispatch, guard) = store_at(&path);
    with_default(&dispatch, || {
        let spans: Vec<_> = (0..100)
            .map(|_| tracing::info_span!(parent: None, "open", agent_id = "a"))
            .collect();
        guard.flush(PATIENCE).unwrap();
        assert_eq!(
            count(&path, "SELECT COUNT(*) FROM _span WHERE duration IS NULL"),
            100
        );
        // After a second the wall clock is read again, and the same reading of the spans' clock is
        // another time.
        std::thread::sleep(Duration::from_millis(1_100));
        drop(spans);
    });
    guard.flush(PATIENCE).unwrap();
    let others = "SELECT COUNT(*) FROM _span s JOIN _trace t ON t.id = s.trace JOIN _run r ON r.trace = t.id
        WHERE t.start <> s.start OR t.end <> s.start + s.duration OR r.start <> s.start";
    assert_eq!(count(&path, others), 0);
    assert_eq!(count(&path, "SELECT COUNT(*) FROM _run"), 100);
}

#[test]
fn very_many_open_spans_are_kept_and_end_correctly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let settings = SqliteLayer::builder().on_overflow(spanscope_sqlite::OverflowPolicy::Block);
    let (dispatch, guard) = store_with(settings, &path);
    const MANY: usize = 100_000;
    with_default(&dispatch, || {
        let spans: Vec<_> = (0..MANY)
            .map(|index| tracing::info_span!("open", index))
            .collect();
        guard.flush(PATIENCE).unwrap();
        assert_eq!(
            count(&path, "SELECT COUNT(*) FROM _span WHERE duration IS NULL"),
            MANY as i64
        );
        drop(spans);
    });
    guard.flush(PATIENCE).unwrap();
    assert_eq!(
        count(&path, "SELECT COUNT(*) FROM _span WHERE duration IS NOT NULL"),
        MANY as i64
    );
    assert_eq!(
        count(&path, "SELECT COUNT(*) FROM _trace WHERE open_count <> 0"),
        0
    );
    let stats = guard.stats();
    assert_eq!(
        (stats.offered, stats.stored),
        (MANY as u64, MANY as u64),
        "a running span counts once"
    );
}
