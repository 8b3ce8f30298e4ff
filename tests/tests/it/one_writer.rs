//! A process has one writer for each file, which several clients and tenants share.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use spanscope_tests::{program_without_settings, wait_for};

pub(crate) fn program(path: &Path, what: &str) -> Child {
    program_without_settings(env!("CARGO_BIN_EXE_writer"))
        .arg(path)
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_writes_a_file_on_one_thread_however_often_it_opened_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let output = program(&path, "share").wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout, "1 threads write\nended\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(
        number(&path, "SELECT count(*) FROM spans WHERE name = 'sent'"),
        201
    );
    assert_eq!(
        number(&path, "SELECT count(*) FROM spans WHERE name = 'step'"),
        4_500
    );
    assert_eq!(
        number(
            &path,
            "SELECT count(*) FROM _process WHERE resource IS NULL AND ended_at IS NULL"
        ),
        0
    );
    assert!(
        !path.with_file_name("trace_store.db-wal").exists(),
        "the log is removed at the end"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_and_locked_gets_the_programs_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let mut child = program(&path, "record");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    // Another program's file, which has its own first process and is locked when it is opened.
    let other = folder.path().join("other.db");
    let made = Command::new(env!("CARGO_BIN_EXE_burst"))
        .args([other.as_os_str(), "1".as_ref()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let lock = Connection::open(&other).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    for part in ["-wal", "-shm"] {
        let name = |file: &str| folder.path().join(format!("{file}{part}"));
        let _ = std::fs::rename(name("other.db"), name("trace_store.db"));
    }
    std::fs::rename(&other, &path).unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    while !stderr.contains("can't be written now") {
        assert!(err.read_line(&mut stderr).unwrap() > 0, "{stderr}");
    }
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    wait_for("spans of the program in the new file", || {
        let sql = "SELECT count(*) FROM spans WHERE service_name = 'writer'";
        (number(&path, sql) > 0).then_some(())
    });
    drop(child.stdin.take());
    out.read_to_string(&mut line).unwrap();
    assert!(child.wait().unwrap().success());
    let of_another = "SELECT count(*) FROM spans WHERE service_name = 'burst'";
    assert_eq!(number(&path, of_another), 11, "its own spans and no other");
}
