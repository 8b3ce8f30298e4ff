//! A disk that fails while a server runs: one line per cause on stderr, however many requests are
//! refused, and one when it is over.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use spanscope_tests::failing_calls::library;
use spanscope_tests::process::Signal;
use spanscope_tests::sqlite::{assert_intact, change};
use spanscope_tests::wait_for;

use super::support::{Folder, Serve, increments, logs, one_span};

/// The server's log line for requests that the store could not handle.
const FAILED: &str = "the store could not handle a request";
const IS_WELL: &str = "the store answers requests again";

/// A server whose system calls of one kind fail while the file `flag` exists.
struct Failing {
    folder: Folder,
    server: Serve,
    flag: PathBuf,
}

impl Failing {
    fn serve(calls: &str) -> Option<Self> {
        let folder = Folder::new();
        let library = library(folder.path())?;
        let flag = folder.path().join("fails");
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("LD_PRELOAD", library);
        command.env("SHIM_EIO", &flag).env("SHIM_CALLS", calls);
        let server = Serve::start(command);
        Some(Self { folder, server, flag })
    }

    fn fails(&self, fails: bool) {
        match fails {
            true => std::fs::write(&self.flag, "").unwrap(),
            false => std::fs::remove_file(&self.flag).unwrap(),
        }
    }
}

/// Sends a request of each kind.
fn send_everything(server: &Serve, number: u64) -> [u16; 5] {
    let question = json!({"attribute_filters": [{"key": "no.such.key", "op": "eq", "value": 1}]});
    [
        server.post("/v1/traces", &one_span(number)),
        server.post("/v1/logs", &logs(&["line"])),
        server.post("/v1/metrics", &increments("measured_total", &[1])),
        server.post("/v1/telemetry/traces", &question),
        server.get("/ready"),
    ]
    .map(|answer| answer.status)
}

fn count(text: &str, part: &str) -> usize {
    text.lines().filter(|line| line.contains(part)).count()
}

/// Ends the server with SIGTERM, so that all lines are written, and returns them.
fn end(server: Serve) -> String {
    server.signal(Signal::TERM);
    server.end().err
}

fn wait_until_ready(server: &Serve) {
    wait_for("the server to be ready", || {
        (server.get("/ready").status == 200).then_some(())
    });
}

#[test]
fn failing_writes_are_logged_once_and_their_end_once() {
    for calls in ["write", "sync"] {
        let Some(failing) = Failing::serve(calls) else {
            return;
        };
        let server = &failing.server;
        assert_eq!(send_everything(server, 0), [200; 5], "{calls}");
        // The next write begins the write-ahead log again, which synchronises it with the disk.
        change(&failing.folder.db(), "PRAGMA wal_checkpoint");
        failing.fails(true);
        let mut refused = 0;
        for number in 1..=40 {
            let statuses = send_everything(server, number);
            assert_eq!(statuses[3], 200, "{calls}: reads still work");
            refused += statuses.iter().filter(|status| **status == 503).count();
        }
        assert_eq!(refused, 4 * 40, "{calls}");
        failing.fails(false);
        wait_until_ready(server);
        assert_eq!(send_everything(server, 41), [200; 5], "{calls}");
        assert_intact(&failing.folder.db());
        let err = end(failing.server);
        assert_eq!(count(&err, FAILED), 1, "{calls}: {err}");
        assert_eq!(count(&err, IS_WELL), 1, "{calls}: {err}");
        let writer = err.lines().filter(|line| line.starts_with("spanscope: /"));
        assert_eq!(writer.count(), 2, "{calls}: {err}");
        assert_eq!(count(&err, "is written again"), 1, "{calls}: {err}");
    }
}

#[test]
fn failing_reads_are_logged_once_and_their_end_once() {
    let Some(failing) = Failing::serve("read") else {
        return;
    };
    let server = &failing.server;
    for number in 0..40 {
        assert_eq!(send_everything(server, number), [200; 5]);
    }
    change(&failing.folder.db(), "PRAGMA wal_checkpoint");
    failing.fails(true);
    wait_for("a question that needs the disk", || {
        (send_everything(server, 40)[3] >= 500).then_some(())
    });
    for number in 41..60 {
        send_everything(server, number);
    }
    failing.fails(false);
    wait_until_ready(server);
    for number in 61..80 {
        assert_eq!(send_everything(server, number), [200; 5]);
    }
    assert_intact(&failing.folder.db());
    let err = end(failing.server);
    assert_eq!(count(&err, IS_WELL), 1, "{err}");
    // One line per cause: SQLite reports failed reads and writes by their positions.
    assert!((1..=3).contains(&count(&err, FAILED)), "{err}");
}

/// A small file system, mounted on a folder until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size, "tmpfs"])
            .arg(folder)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        spanscope_tests::skip("a tmpfs can't be mounted here");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_logged_once_and_the_server_continues_when_there_is_space() {
    let folder = Folder::new();
    let Some(_disk) = SmallDisk::mount(folder.path(), "size=8m") else {
        return;
    };
    let server = folder.serve();
    assert_eq!(send_everything(&server, 0), [200; 5]);
    let filler = folder.path().join("filler");
    for size in (0..8 << 20).rev().step_by(4096) {
        if std::fs::write(&filler, vec![0; size]).is_ok() {
            break;
        }
    }
    let mut acknowledged = vec![0];
    let mut refused = 0;
    wait_for("a refusal", || {
        let number = acknowledged.len() as u64 + refused;
        match send_everything(&server, number)[0] {
            200 => acknowledged.push(number),
            503 => refused += 1,
            other => panic!("{other}"),
        }
        (refused >= 40).then_some(())
    });
    assert_eq!(server.get("/ready").status, 503);
    std::fs::remove_file(&filler).unwrap();
    wait_until_ready(&server);
    assert_eq!(send_everything(&server, 100_000), [200; 5]);
    let err = end(server);
    for (part, lines) in [
        (FAILED, 1),
        (IS_WELL, 1),
        ("spanscope: /", 2),
        ("is written again", 1),
    ] {
        assert_eq!(count(&err, part), lines, "{part}: {err}");
    }
    assert_intact(&folder.db());
    let stored = spanscope_model::block_on(spanscope_model::TraceStore::list_spans(
        &folder.store(),
        spanscope_model::SpanFilter::default().limit(100_000),
    ));
    assert_eq!(stored.unwrap().len(), acknowledged.len() + 1);
}
