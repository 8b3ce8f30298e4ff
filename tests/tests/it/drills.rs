//! Kills programs that write one file, repeatedly. All records that a program reported as stored
//! are in the file afterwards, and the accounts are exact.
//!
//! A run of all tests kills a few; with `SPANSCOPE_DRILL_SECONDS` they continue for that long.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_tests::sqlite::assert_intact;
use spanscope_tests::{PATIENCE, program_without_settings, wait_for};

/// The minimum number of kills: by default, and if the variable is set.
const KILLS: u64 = 3;
const KILLS_OF_DRILL: u64 = 10;

fn number(db: &Connection, sql: &str) -> u64 {
    let number: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    u64::try_from(number).unwrap()
}

/// Starts a drill that writes the store in this folder.
fn start(folder: &Path, words: &[&str]) -> Child {
    program_without_settings(env!("CARGO_BIN_EXE_drills"))
        .args(words)
        .env("SQLITE_STORE_DIR", folder)
        .env("TELEMETRY_SINKS", "sqlite")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_program_loses_nothing_that_a_flush_has_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace_store.db");
    let seconds = std::env::var("SPANSCOPE_DRILL_SECONDS").map_or(0, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut acknowledged = 0;
    let mut kills = 0;
    let least = if seconds > 0 { KILLS_OF_DRILL } else { KILLS };
    while kills < least || (Instant::now() < until) {
        let mut child = start(folder.path(), &["acknowledges"]);
        let (sender, receiver) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut last = 0;
            for line in stdout.lines().map_while(Result::ok) {
                // The last line may have been cut by the kill.
                last = line.parse::<u64>().unwrap_or(last).max(last);
                let _ = sender.send(last);
            }
            last
        });
        // Not at the same place each time: after the first flush, the second, and so on.
        for _ in 0..=kills % 7 {
            receiver.recv_timeout(PATIENCE).unwrap();
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

/// The output of a program that records at a fixed rate: how many spans it has recorded, and when
/// the last one ended.
fn recorded(stdout: impl std::io::Read + Send + 'static) -> mpsc::Receiver<(u64, u64)> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The last line may have been cut by the kill.
            if let Some((number, time)) = line.split_once(' ')
                && time.len() == 19
            {
                let _ = sender.send((number.parse().unwrap(), time.parse().unwrap()));
            }
        }
    });
    receiver
}

#[test]
fn a_kill_loses_only_the_records_of_the_last_moments() {
    for rate in [1_000, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        // The number of the newest span, when it ended, and how many there are.
        let newest = || {
            let db = Connection::open(&path).ok()?;
            let newest = "SELECT MAX(attributes ->> '$.number') + 1, MAX(start + duration), COUNT(*) FROM _span \
                          WHERE process = (SELECT MAX(id) FROM _process)";
            let found = db.query_row(newest, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
            found
                .ok()
                .map(|found: [i64; 3]| found.map(|number| u64::try_from(number).unwrap()))
        };
        let mut losses = Vec::new();
        for kill in 1..=KILLS {
            let mut child = start(folder.path(), &["paced", &rate.to_string()]);
            let receiver = recorded(child.stdout.take().unwrap());
            wait_for("spans", newest);
            // At different moments between two transactions.
            let mut last = receiver.recv_timeout(PATIENCE).unwrap();
            let wanted = last.0 + rate / 2 + kill * rate / 13;
            while last.0 < wanted {
                last = receiver.recv_timeout(PATIENCE).unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let (recorded, at) = receiver.into_iter().last().unwrap_or(last);
            let [stored, until, count] = newest().unwrap();
            assert_eq!(stored, count, "the stored spans have no gaps");
            let time = Duration::from_nanos(at.saturating_sub(until));
            losses.push((time, recorded.saturating_sub(stored)));
        }
        eprintln!("lost to a kill at {rate} spans a second, time and spans: {losses:?}");
        let worst = losses.into_iter().max().unwrap();
        // The bound allows for a loaded machine; docs/explanation/ends.md has the measured
        // values.
        assert!(rate > 1_000 || worst.0 < Duration::from_secs(2), "{worst:?}");
    }
}
