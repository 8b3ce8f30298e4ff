//! Readers of other programs while records come in: the log is copied in all the same, and no record is
//! refused for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use spanscope_model::{TraceStore as _, block_on};

use super::{open, records, span};

#[test]
fn readers_that_overlap_neither_starve_the_log_nor_refuse_a_write() {
    write_among(Duration::from_millis(80), 8);
}

fn write_among(read_time: Duration, readers: u32) {
    const BYTES: usize = 120 << 20;
    let open = open();
    let path = open.store.path();
    let wal = path.with_file_name("trace_store.db-wal");
    let is_over = AtomicBool::new(false);
    let (mut largest, mut written, mut number) = (0, 0, 0);
    let mut refused = Vec::new();
    std::thread::scope(|scope| {
        for reader in 0..readers {
            let is_over = &is_over;
            scope.spawn(move || {
                let db = Connection::open(path).unwrap();
                // At no moment is none of them reading.
                std::thread::sleep(read_time / readers * reader);
                while !is_over.load(Ordering::Relaxed) {
                    let max = db.unchecked_transaction().unwrap();
                    max.query_row("SELECT max(id) FROM _span", [], |_| Ok(()))
                        .unwrap();
                    std::thread::sleep(read_time);
                    max.finish().unwrap();
                }
            });
        }
        while written < BYTES {
            let some = (0..100).map(|_| {
                number += 1;
                written += 10_000;
                let mut span = span(number, 1, 0, "large");
                span.attributes.set("text", "x".repeat(10_000));
                span
            });
            if let Err(error) = block_on(open.store.store(records(some.collect()))) {
                refused.push(error.to_string());
            }
            largest = largest.max(std::fs::metadata(&wal).unwrap().len());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(refused, [""; 0], "{readers} readers of {read_time:?}");
    assert!(largest < 64 << 20, "{largest} bytes of log");
}
