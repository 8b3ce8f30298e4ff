//! Kills without warning, one after the other, of programs that write one file. What a program was
//! told is stored is there afterwards, and the accounts say what is there.
//!
//! A run of all tests kills a few; with `SPANSCOPE_DRILL_SECONDS` they go on for that long.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_tests::sqlite::assert_intact;
use spanscope_tests::{PATIENCE, program_without_settings};

/// The kills of one program after the other, at least.
const KILLS: u64 = 3;

fn number(db: &Connection, sql: &str) -> u64 {
    let number: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    u64::try_from(number).unwrap()
}

#[test]
fn a_killed_program_loses_nothing_that_a_flush_has_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let seconds = std::env::var("SPANSCOPE_DRILL_SECONDS").map_or(0, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut acknowledged = 0;
    let mut kills = 0;
    while kills < KILLS || (Instant::now() < until) {
        let mut child = program_without_settings(env!("CARGO_BIN_EXE_drills"))
            .arg("acknowledges")
            .env("SQLITE_STORE_DIR", folder.path())
            .env("TELEMETRY_SINKS", "sqlite")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, said) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut last = 0;
            for line in stdout.lines().map_while(Result::ok) {
                // The last line may have been cut by the kill.
                last = line.parse::<u64>().unwrap_or(last).max(last);
                let _ = says.send(last);
            }
            last
        });
        // Not at the same place each time: after the first flush, the second, and so on.
        for _ in 0..=kills % 7 {
            said.recv_timeout(PATIENCE).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += reader.join().unwrap();
        kills += 1;

        assert_intact(&path);
        let db = Connection::open(&path).unwrap();
        for (what, sql) in [
            ("spans", "SELECT COUNT(*) FROM _span WHERE duration IS NOT NULL"),
            ("events", "SELECT COUNT(*) FROM _event"),
            ("measurements", "SELECT COUNT(*) FROM _point"),
        ] {
            let found = number(&db, sql);
            assert!(
                found >= acknowledged,
                "kill {kills}: {found} {what} of {acknowledged}"
            );
        }
        let stored = number(&db, "SELECT SUM(stored) FROM _process");
        let rows = "SELECT (SELECT COUNT(*) FROM _span WHERE duration IS NOT NULL) \
                    + (SELECT COUNT(*) FROM _event) + (SELECT COUNT(*) FROM _point)";
        assert_eq!(stored, number(&db, rows), "kill {kills}: the account is exact");
    }
}
