//! Several processes: they write the same file, are killed, panic, get signals, leave spans open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use spanscope_model::{TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::wait_for;

fn start(path: &Path, traces: u64, ending: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_burst"))
        .args([path.as_os_str(), traces.to_string().as_ref(), ending.as_ref()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
}

fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn check_integrity(db: &Connection) {
    let answer: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(answer, "ok");
    let wrong =
        "SELECT COUNT(*) FROM _trace t WHERE span_count <> (SELECT COUNT(*) FROM _span WHERE trace = t.id)";
    assert_eq!(number(db, wrong), 0, "traces count their spans rightly");
}

#[test]
fn two_processes_write_a_hundred_thousand_spans_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let children = [start(&path, 10_000, "end"), start(&path, 10_000, "end")];
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let db = Connection::open(&path).unwrap();
    check_integrity(&db);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM spans WHERE name <> 'left open'"),
        200_000
    );
    assert_eq!(
        number(
            &db,
            "SELECT COUNT(*) FROM _process WHERE offered = stored AND ended_at IS NOT NULL"
        ),
        2
    );
    assert_eq!(number(&db, "SELECT COUNT(DISTINCT span_id) FROM spans"), 200_002);
}

#[test]
fn a_kill_during_a_burst_leaves_a_consistent_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let mut child = start(&path, 0, "endless");
    wait_ready(&mut child);
    wait_for("some thousand spans in the file", || {
        let db = Connection::open(&path).ok()?;
        let spans: i64 = db
            .query_row("SELECT COUNT(*) FROM spans", [], |row| row.get(0))
            .ok()?;
        (spans > 5_000).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    check_integrity(&Connection::open(&path).unwrap());
}

#[test]
fn a_kill_loses_at_most_the_flush_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let mut child = start(&path, 100, "hang");
    wait_ready(&mut child);
    // Everything was recorded before `ready`; the flush interval is 200 ms, so it must be written
    // without a flush.
    let db = wait_for("the file", || Connection::open(&path).ok());
    wait_for("all spans", || {
        (number(&db, "SELECT COUNT(*) FROM spans WHERE name = 'step'") == 900).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    check_integrity(&db);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM spans WHERE name = 'step'"), 900);
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_write_all_records() {
    use std::os::unix::process::ExitStatusExt as _;
    for (name, code) in [("-TERM", 15), ("-INT", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let mut child = start(&path, 2_000, "hang");
        wait_ready(&mut child);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(code), "the signal ends it");
        let db = Connection::open(&path).unwrap();
        check_integrity(&db);
        assert_eq!(
            number(&db, "SELECT COUNT(*) FROM spans WHERE name = 'step'"),
            18_000
        );
        assert_eq!(
            number(&db, "SELECT COUNT(*) FROM _process WHERE ended_at IS NOT NULL"),
            1
        );
    }
}

#[test]
fn a_panic_writes_all_records_and_marks_the_span_that_it_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let mut child = start(&path, 100, "panic");
    assert_eq!(child.wait().unwrap().code(), Some(101));
    let db = Connection::open(&path).unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM spans WHERE name = 'step'"), 900);
    assert_eq!(
        number(
            &db,
            "SELECT COUNT(*) FROM spans WHERE name = 'doomed' AND status = 'error'"
        ),
        1
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_unread_message_loses_no_record() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    // A full pipe that is not read.
    let (_reads_nothing, mut blocked) = std::io::pipe().unwrap();
    blocked.write_all(&[b'\n'; 1 << 16]).unwrap();
    for stderr in [closed.into(), Stdio::from(full), blocked.into()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        let status = Command::new(env!("CARGO_BIN_EXE_burst"))
            .args([path.as_os_str(), "100".as_ref(), "overflow".as_ref()])
            .stdout(Stdio::null())
            .stderr(stderr)
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        let db = Connection::open(&path).unwrap();
        let in_overflow = "SELECT COUNT(*) FROM metrics WHERE attributes LIKE '%otel.metric.overflow%'";
        assert_eq!(number(&db, in_overflow), 1, "there was something to report");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM spans WHERE name = 'step'"), 900);
        assert_eq!(
            number(&db, "SELECT COUNT(*) FROM _process WHERE ended_at IS NOT NULL"),
            1
        );
    }
}

#[test]
fn a_running_span_is_visible_and_marked_after_its_process_died() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let mut child = start(&path, 1, "open");
    wait_ready(&mut child);
    let db = wait_for("the file", || Connection::open(&path).ok());
    let state = |db: &Connection| -> Option<String> {
        db.query_row("SELECT state FROM spans WHERE name = 'left open'", [], |row| {
            row.get(0)
        })
        .ok()
    };
    wait_for("the running span", || {
        state(&db).filter(|state| state == "running")
    });
    assert_eq!(
        number(
            &db,
            "SELECT COUNT(*) FROM spans WHERE name = 'left open' AND end_time IS NULL"
        ),
        1
    );
    assert_eq!(
        number(
            &db,
            "SELECT COUNT(*) FROM logs WHERE message = 'still here' AND span_id IS NOT NULL"
        ),
        1
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // 15 s without a sign of life; moved there instead of waited for.
    db.execute("UPDATE _process SET seen_at = seen_at - 20000000000", [])
        .unwrap();
    assert_eq!(state(&db).as_deref(), Some("abandoned"));
}

#[test]
fn programs_without_records_are_deleted_and_stay_in_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    drop(SqliteStore::builder().open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    let now = spanscope_model::Timestamp::now().as_nanos();
    let day = 24 * 3_600 * 1_000_000_000_i64;
    // How each ended, when it was last seen, and its counts of records.
    for (name, days, has_ended, offered, stored, dropped) in [
        ("ended long ago", 8, true, 10, 8, 2),
        ("ended long ago and has an event", 8, true, 10, 10, 0),
        ("killed long ago", 8, false, 10, 7, 0),
        ("killed long ago with a measurement", 8, false, 10, 9, 0),
        ("ended today", 0, true, 10, 10, 0),
        ("killed long ago and the newest", 8, false, 10, 6, 0),
    ] {
        let at = now - days * day - day / 24;
        db.execute(
            "INSERT INTO _process (service_name, pid, started_at, seen_at, ended_at, offered, stored, dropped_queue_full) \
             VALUES (?1, 7, ?2, ?2, ?3, ?4, ?5, ?6)",
            (name, at, has_ended.then_some(at), offered, stored, dropped),
        )
        .unwrap();
    }
    db.execute_batch(
        "INSERT INTO _callsite VALUES (1, '', 'test', 9, '');
         INSERT INTO _event (callsite, time, process, message, expires) VALUES (1, 1, 2, 'kept', 9000000000000000000);
         INSERT INTO _series VALUES (1, 1, '{}', 1, 1);
         INSERT INTO _point (series, time, value, process, expires) VALUES (1, 1, 1, 4, 9000000000000000000);",
    )
    .unwrap();
    let account = || {
        let store = SqliteStore::open(&path).unwrap();
        block_on(store.statistics()).unwrap().account.unwrap()
    };
    let before = account();
    assert_eq!((before.offered, before.lost), (60, 3 + 1 + 4));

    let _store = SqliteStore::builder().open(&path).unwrap();
    wait_for("the programs to go", || {
        let left = "SELECT count(*) FROM _process WHERE id IN (1, 3)";
        (number(&db, left) == 0).then_some(())
    });
    let left = "SELECT group_concat(id, ' ') FROM _process WHERE id <= 6";
    let left: String = db.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, "2 4 5 6");
    assert_eq!(account(), before);
}
