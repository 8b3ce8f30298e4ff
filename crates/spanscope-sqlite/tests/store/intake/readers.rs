//! Readers in other programs while records arrive: the log is still copied, and no record is
//! refused because of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spanscope_model::{TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;

use super::{records, span};

#[test]
fn readers_that_overlap_neither_starve_the_log_nor_refuse_a_write() {
    write_among(Duration::from_millis(80), 8, 1 << 30, 120 << 20);
}

#[test]
fn long_read_transactions_delay_a_write_and_cause_no_refusal() {
    // A log of 12 MiB is held by transactions of which one is always open.
    write_among(Duration::from_secs(4), 2, 32 << 20, 16 << 20);
}

/// Stores `bytes` of records in a file of at most `max_bytes` while each of the readers begins a
/// transaction of `read_time` as soon as its last one is over.
fn write_among(read_time: Duration, readers: u32, max_bytes: u64, bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let open = SqliteStore::builder().max_bytes(max_bytes);
    let store = open.open(folder.path().join("trace_store.db")).unwrap();
    let path = store.path();
    let wal = path.with_file_name("trace_store.db-wal");
    let is_over = AtomicBool::new(false);
    let (mut largest, mut written, mut number) = (0, 0, 0);
    let mut refused = Vec::new();
    std::thread::scope(|scope| {
        for reader in 0..readers {
            let is_over = &is_over;
            scope.spawn(move || {
                let db = Connection::open(path).unwrap();
                // There is always at least one reading.
                std::thread::sleep(read_time / readers * reader);
                while !is_over.load(Ordering::Relaxed) {
                    let max = db.unchecked_transaction().unwrap();
                    max.query_row("SELECT max(id) FROM _span", [], |_| Ok(()))
                        .unwrap();
                    let until = Instant::now() + read_time;
                    while Instant::now() < until && !is_over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    max.finish().unwrap();
                }
            });
        }
        while written < bytes {
            let some = (0..100).map(|_| {
                number += 1;
                written += 10_000;
                let mut span = span(number, 1, 0, "large");
                span.attributes.set("text", "x".repeat(10_000));
                span
            });
            if let Err(error) = block_on(store.store(records(some.collect()))) {
                refused.push(error.to_string());
            }
            largest = largest.max(std::fs::metadata(&wal).unwrap().len());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(refused, [""; 0], "{readers} readers of {read_time:?}");
    assert!(largest < 64 << 20, "{largest} bytes of log");
}
