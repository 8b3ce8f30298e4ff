//! Failures of a file while programs write it: it is replaced, truncated or deleted, its disk
//! fails, a reader blocks. Each with real programs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use spanscope_sqlite::SqliteStore;
#[cfg(target_os = "linux")]
use spanscope_tests::failing_calls::library;
use spanscope_tests::{program_without_settings, wait_for};

/// A program whose lines are collected while it runs.
struct Program {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
}

fn collect(from: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let of_thread = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            of_thread.lock().unwrap().push(line);
        }
    });
    lines
}

impl Program {
    fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Runs `writer FILE WHAT` and waits for its first write.
    fn writer(path: &Path, what: &str) -> Self {
        let mut command = program_without_settings(env!("CARGO_BIN_EXE_writer"));
        command.arg(path).arg(what);
        let program = Self::run(command);
        program.wait_out("the first record", |out| !out.is_empty());
        program
    }

    fn wait_out(&self, what: &str, is_there: impl Fn(&[String]) -> bool) {
        let deadline = std::time::Instant::now() + spanscope_tests::PATIENCE;
        while !is_there(&self.out.lock().unwrap().clone()) {
            assert!(
                std::time::Instant::now() < deadline,
                "waited for {what}: {:?}",
                self.err()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_err(&self, part: &str) {
        let deadline = std::time::Instant::now() + spanscope_tests::PATIENCE;
        while self.error_lines(part) == 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "waited for {part}: {:?}",
                self.err()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The number of lines of stderr that contain this.
    fn error_lines(&self, part: &str) -> usize {
        let lines = self.err.lock().unwrap();
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// All of stderr.
    fn err(&self) -> Vec<String> {
        self.err.lock().unwrap().clone()
    }

    /// The numbers that were acknowledged.
    fn stored(&self) -> Vec<u64> {
        let lines = self.out.lock().unwrap();
        let stored = lines.iter().filter_map(|line| line.strip_prefix("stored "));
        stored.map(|number| number.parse().unwrap()).collect()
    }

    /// Waits until `count` more numbers are acknowledged, and returns those from the call on.
    fn store_more(&self, count: usize) -> Vec<u64> {
        let before = self.stored().len();
        wait_for("more acknowledged records", || {
            (self.stored().len() >= before + count).then_some(())
        });
        self.stored().split_off(before)
    }

    /// Closes its stdin, and waits for its end.
    fn end(mut self) -> Self {
        drop(self.child.stdin.take());
        let status = wait_for("the end of the program", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {:?}", self.err());
        self
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace_store.db");
        Self { folder, path }
    }

    /// Builds the library that makes system calls fail.
    #[cfg(target_os = "linux")]
    fn shim(&self) -> Option<PathBuf> {
        library(self.folder.path())
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    fn number(&self, sql: &str) -> i64 {
        let db = Connection::open(&self.path).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn check(&self) {
        let db = Connection::open(&self.path).unwrap();
        let answer: String = db
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(answer, "ok");
    }

    fn has(&self, number: u64) -> bool {
        let id = format!("{:032x}", number + 1);
        self.number(&format!("SELECT count(*) FROM spans WHERE trace_id = '{id}'")) == 1
    }
}

/// Puts a backup in place of the file six times, by `replace`, while two programs write it.
fn restores(replace: impl Fn(&Folder, &Path)) {
    let folder = Folder::new();
    let receiver = Program::writer(&folder.path, "receive");
    let recorder = Program::writer(&folder.path, "record");
    for round in 0..6 {
        receiver.store_more(30);
        let copy = folder.sibling("copy.db");
        SqliteStore::open(&folder.path)
            .unwrap()
            .backup(&copy, |_, _| ())
            .unwrap();
        receiver.store_more(30);
        replace(&folder, &copy);
        // The first two may have been on their way when the file was replaced.
        let acknowledged = receiver.store_more(40).split_off(2);
        let lost: Vec<u64> = acknowledged
            .into_iter()
            .filter(|number| !folder.has(*number))
            .collect();
        assert_eq!(lost, [0_u64; 0], "round {round}");
        let _ = std::fs::remove_file(copy);
    }
    let acknowledged = receiver.store_more(40);
    let receiver = receiver.end();
    let recorder = recorder.end();
    folder.check();
    let refused = receiver
        .out
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.starts_with("refused"))
        .count();
    assert_eq!(refused, 0, "{:?}", receiver.err());
    assert!(acknowledged.into_iter().all(|number| folder.has(number)));
    for program in [receiver, recorder] {
        assert_eq!(
            program.error_lines("was replaced by another file"),
            1,
            "at most one a minute"
        );
        assert_eq!(program.err().len(), 1, "{:?}", program.err());
    }
    let of_record = "SELECT count(*) FROM spans WHERE service_name = 'writer' AND name = 'request'";
    assert!(folder.number(of_record) > 0);
}

#[cfg(unix)]
#[test]
fn programs_continue_in_a_backup_moved_over_the_file_which_stays_consistent() {
    restores(|folder, copy| std::fs::rename(copy, &folder.path).unwrap());
}

#[cfg(unix)]
#[test]
fn programs_continue_in_a_restored_backup_which_stays_consistent() {
    restores(|folder, copy| SqliteStore::restore(&folder.path, copy, |_, _| ()).unwrap());
}

#[cfg(unix)]
#[test]
fn a_truncated_file_is_not_written_and_reading_it_raises_no_signal() {
    for kept in [0, 2] {
        let folder = Folder::new();
        let receiver = Program::writer(&folder.path, "receive");
        receiver.store_more(300);
        // The log is copied into the file.
        folder.number("PRAGMA wal_checkpoint");
        let reader = SqliteStore::open(&folder.path).unwrap();
        let pages = std::fs::metadata(&folder.path).unwrap().len() / 8192;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&folder.path)
            .unwrap();
        file.set_len(kept * pages / 4 * 8192).unwrap();
        // The writer may have copied its log into the cut file before it looked, so that the file
        // is as long as before and has a hole.
        receiver.wait_err("another program has ");
        receiver.wait_out("refusals", |out| {
            out.iter().any(|line| line.starts_with("refused"))
        });
        let before = receiver.stored().len();
        receiver.wait_out("ten refusals", |out| {
            out.iter().filter(|line| line.starts_with("refused")).count() > 10
        });
        assert_eq!(receiver.stored().len(), before, "nothing more is acknowledged");
        receiver.wait_out("that it is not ready", |out| {
            out.iter().any(|line| line.starts_with("not ready"))
        });
        // An error or cached data, but no signal.
        let _ = spanscope_model::block_on(spanscope_model::TraceStore::statistics(&reader));
        assert_eq!(receiver.error_lines("can't be written now"), 1);
        // Renamed, as the message advises.
        std::fs::rename(&folder.path, folder.sibling("cut.db")).unwrap();
        receiver.wait_err("is written again");
        receiver.store_more(3);
        receiver.end();
        folder.check();
    }
}

#[cfg(unix)]
#[test]
fn removing_the_log_loses_no_acknowledged_record() {
    for removed in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let folder = Folder::new();
        let receiver = Program::writer(&folder.path, "receive");
        let recorder = Program::writer(&folder.path, "record");
        for _ in 0..3 {
            receiver.store_more(20);
            for name in removed {
                // A program may have copied the file meanwhile and not created a log yet.
                let _ = std::fs::remove_file(folder.sibling(&format!("trace_store.db{name}")));
            }
            receiver.store_more(20);
        }
        let acknowledged = receiver.stored();
        let (receiver, recorder) = (receiver.end(), recorder.end());
        folder.check();
        let lost = acknowledged.iter().filter(|number| !folder.has(**number));
        assert_eq!(lost.collect::<Vec<_>>(), [&0_u64; 0], "{removed:?}");
        let refused = receiver
            .out
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.starts_with("refused"))
            .count();
        assert_eq!(refused, 0, "{removed:?}: {:?}", receiver.err());
        // One of the two copies the file, and the other one finds it.
        let reports = |part: &str| receiver.error_lines(part) + recorder.error_lines(part);
        assert!(reports("has lost its log") >= 1, "{:?}", receiver.err());
        for program in [&receiver, &recorder] {
            assert!(
                program.error_lines("has lost its log") <= 1,
                "{:?}",
                program.err()
            );
            assert!(program.err().len() <= 2, "{:?}", program.err());
        }
        assert!(!folder.sibling("trace_store.db.restored").exists());
    }
}

#[cfg(unix)]
#[test]
fn no_write_is_acknowledged_after_the_log_was_truncated() {
    for kept in [0, 100_000] {
        let folder = Folder::new();
        let receiver = Program::writer(&folder.path, "receive");
        receiver.store_more(50);
        let copy = folder.sibling("copy.db");
        SqliteStore::open(&folder.path)
            .unwrap()
            .backup(&copy, |_, _| ())
            .unwrap();
        let file = std::fs::OpenOptions::new();
        let log = file
            .clone()
            .write(true)
            .open(folder.sibling("trace_store.db-wal"));
        log.unwrap().set_len(kept).unwrap();
        receiver.wait_err("has cut its write-ahead log");
        let count = |begin: &str| {
            let out = receiver.out.lock().unwrap();
            out.iter().filter(|line| line.starts_with(begin)).count()
        };
        wait_for("refusals", || (count("refused") > 0).then_some(()));
        let (stored, refused) = (count("stored"), count("refused"));
        wait_for("refusals and nothing else", || {
            (count("refused") > refused + 20).then_some(())
        });
        assert_eq!(count("stored"), stored, "{kept}");
        wait_for("that it is not ready", || (count("not ready") > 0).then_some(()));
        SqliteStore::restore(&folder.path, &copy, |_, _| ()).unwrap();
        receiver.wait_err("is written again");
        let acknowledged = receiver.store_more(10);
        let receiver = receiver.end();
        folder.check();
        assert!(acknowledged.into_iter().all(|number| folder.has(number)));
        assert_eq!(
            receiver.error_lines("can't be written now"),
            1,
            "{:?}",
            receiver.err()
        );
    }
}

#[cfg(unix)]
#[test]
fn a_deleted_file_is_reported() {
    let folder = Folder::new();
    let recorder = Program::writer(&folder.path, "record");
    for name in ["trace_store.db", "trace_store.db-wal", "trace_store.db-shm"] {
        let _ = std::fs::remove_file(folder.sibling(name));
    }
    recorder.wait_err("was deleted: records go to a new file from now on");
    recorder.end();
    folder.check();
}

#[test]
fn a_parked_reader_is_reported_once_and_its_end_once() {
    let folder = Folder::new();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_burst"));
    command.args([folder.path.as_os_str(), "0".as_ref(), "endless".as_ref()]);
    let writer = Program::run(command);
    wait_for("the first spans", || {
        let db = Connection::open(&folder.path).ok()?;
        db.query_row("SELECT id FROM _span LIMIT 1", [], |row| row.get::<_, i64>(0))
            .ok()
    });
    let reader = Connection::open(&folder.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM _span").unwrap();
    writer.wait_err("a reader has held a transaction open");
    // Maintenance runs once a second, and must not count as the end of the failure.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(writer.error_lines("a reader has held a transaction open"), 1);
    assert_eq!(writer.error_lines("again"), 0, "{:?}", writer.err());
    reader.execute_batch("COMMIT").unwrap();
    writer.wait_err("is written again");
    assert_eq!(writer.error_lines("again"), 1, "{:?}", writer.err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fails_is_reported_with_its_cause_once_and_its_end_once() {
    let folder = Folder::new();
    let Some(library) = folder.shim() else { return };
    let flag = folder.sibling("fails");
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_writer"));
    command.arg(&folder.path).arg("receive");
    command.env("LD_PRELOAD", library).env("SHIM_EIO", &flag);
    let receiver = Program::run(command);
    receiver.store_more(10);
    std::fs::write(&flag, "").unwrap();
    receiver.wait_err("the disk failed to read or write");
    receiver.wait_out("that it is not ready", |out| {
        out.iter().any(|line| line.starts_with("not ready"))
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(receiver.error_lines("can't be written now"), 1);
    assert_eq!(receiver.error_lines("again"), 0);
    std::fs::remove_file(&flag).unwrap();
    receiver.wait_err("is written again");
    let acknowledged = receiver.store_more(10);
    let receiver = receiver.end();
    assert_eq!(
        receiver.error_lines("can't be written now"),
        1,
        "{:?}",
        receiver.err()
    );
    assert!(acknowledged.into_iter().all(|number| folder.has(number)));
    folder.check();
}

#[cfg(target_os = "linux")]
#[test]
fn a_clock_that_jumps_ahead_deletes_nothing_by_its_age() {
    let folder = Folder::new();
    let Some(library) = folder.shim() else { return };
    let made = Command::new(env!("CARGO_BIN_EXE_burst"))
        .args([folder.path.as_os_str(), "5".as_ref()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_writer"));
    command.arg(&folder.path).arg("record");
    command.env("LD_PRELOAD", library).env("SHIM_JUMP", "2592000");
    let recorder = Program::run(command);
    recorder.wait_err("the clock has jumped");
    // Ages are checked for the first time after 5 s; these take longer.
    let before = folder.number("SELECT max(id) FROM _span");
    wait_for("spans after the jump", || {
        (folder.number("SELECT max(id) FROM _span") > before + 12_000).then_some(())
    });
    recorder.end();
    let left = "SELECT count(*) FROM spans WHERE service_name = 'burst' AND name = 'request'";
    assert_eq!(folder.number(left), 5);
}

#[cfg(target_os = "linux")]
#[test]
fn records_of_a_fast_clock_age_from_their_storage_once_it_is_correct() {
    let folder = Folder::new();
    let Some(library) = folder.shim() else { return };
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_writer"));
    command.arg(&folder.path).arg("record");
    command.env("LD_PRELOAD", library).env("SHIM_JUMP", "2592000");
    command.env("SHIM_BACK", folder.sibling("back"));
    let recorder = Program::run(command);
    recorder.wait_err("the clock has jumped");
    let ahead = format!(
        "SELECT count(*) FROM _trace WHERE start > {}",
        spanscope_model::Timestamp::now().as_nanos() + 86_400_000_000_000
    );
    wait_for("traces that are dated ahead", || {
        (folder.number(&ahead) > 20).then_some(())
    });
    std::fs::write(folder.sibling("back"), "").unwrap();
    let made_ahead = ahead.replace("start >", "MIN(start, created) >");
    wait_for("the traces to be as old as their rows", || {
        (folder.number(&made_ahead) == 0).then_some(())
    });
    recorder.end();
    assert!(folder.number(&ahead) > 20, "their own times stay");
}

#[cfg(unix)]
#[test]
fn unwritten_records_at_a_kill_are_counted_as_lost() {
    let folder = Folder::new();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_burst"));
    command.args([folder.path.as_os_str(), "0".as_ref(), "endless".as_ref()]);
    let mut program = Program::run(command);
    let waiting = "SELECT offered - stored - dropped_queue_full FROM _process";
    wait_for("records on their way", || {
        let db = Connection::open(&folder.path).ok()?;
        db.busy_timeout(Duration::from_secs(5)).ok()?;
        let waiting: i64 = db.query_row(waiting, [], |row| row.get(0)).ok()?;
        (waiting > 0).then_some(())
    });
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let account = || {
        let store = SqliteStore::open(&folder.path).unwrap();
        let stats = spanscope_model::block_on(spanscope_model::TraceStore::statistics(&store));
        stats.unwrap().account.unwrap()
    };
    let db = Connection::open(&folder.path).unwrap();
    assert_eq!(account().lost, 0, "it may live: it was seen just now");
    // A running program updates this every 5 s while it has unwritten records.
    db.execute_batch("UPDATE _process SET seen_at = seen_at - 60000000000")
        .unwrap();
    let account = account();
    assert!(account.lost > 0, "{account:?}");
    assert_eq!(
        account.offered,
        account.stored + account.dropped.total() + account.lost
    );
}
