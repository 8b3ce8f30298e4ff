//! A program for tests of a file's writers: `writer FILE share|record|receive`.
//!
//! It prints `ready` once it has written, continues until its stdin is closed, and then prints the
//! account of its records.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spanscope_model::{
    NewRecords, NewSpan, SourceRecords, Span, SpanId, SpanState, SpanStatus, Timestamp, TraceId, TraceStore,
    block_on,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::{PATIENCE, burst};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let path = Path::new(&arguments[1]);
    match arguments[2].as_str() {
        "share" => share(path),
        "record" => record(path),
        "receive" => receive(path),
        other => panic!("{other}"),
    }
}

fn report(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

/// Returns a flag that another thread clears when stdin ends.
fn open_until_stdin_ends() -> Arc<AtomicBool> {
    let is_open = Arc::new(AtomicBool::new(true));
    let of_thread = Arc::clone(&is_open);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        of_thread.store(false, Ordering::SeqCst);
    });
    is_open
}

fn init(path: &Path) -> spanscope::Guard {
    spanscope::builder()
        .sinks(&["sqlite"])
        .unwrap()
        .service_name("writer")
        .sqlite_path(path)
        .try_init()
        .unwrap()
}

/// A span that is sent to a store, in its own trace.
fn sent(number: u64) -> NewRecords {
    let trace_id = TraceId::from_bytes((u128::from(number) + 1).to_be_bytes()).unwrap();
    let span_id = SpanId::from_bytes((number + 1).to_be_bytes()).unwrap();
    let now = Timestamp::now();
    let span = Span::new(trace_id, span_id, "sent", now)
        .end_time(now)
        .status(SpanStatus::Ok)
        .state(SpanState::Ended);
    NewRecords::default().sources(vec![SourceRecords::default().spans(vec![NewSpan::new(span)])])
}

/// Writes one file in every way that a program has, and prints how many threads write.
fn share(path: &Path) {
    let guard = init(path);
    let store = SqliteStore::builder().open(path).unwrap();
    let again = SqliteStore::builder().open(path).unwrap();
    let other = path.with_file_name("other.db");
    block_on(
        SqliteStore::builder()
            .open(&other)
            .unwrap()
            .store(sent(1_000_000)),
    )
    .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| burst(500));
        for (place, store) in [&store, &again].into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..100 {
                    block_on(store.store(sent(place as u64 * 1_000 + number))).unwrap();
                }
            });
        }
        scope.spawn(|| SqliteStore::import(path, &other, |_, _| ()).unwrap());
        scope.spawn(|| SqliteStore::cleanup(path, Duration::from_secs(3_600), false).unwrap());
    });
    guard.flush(PATIENCE).unwrap();
    // The system keeps 15 bytes of a thread's name.
    let writing = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| ["spanscope-sqlit", "spanscope-intak"].contains(&name.trim()))
        .count();
    report(&format!("{writing} threads write"));
    drop((store, again, guard));
    report("ended");
}

/// Records traces at intervals.
fn record(path: &Path) {
    let guard = init(path);
    let is_open = open_until_stdin_ends();
    burst(1);
    guard.flush(PATIENCE).unwrap();
    report("ready");
    while is_open.load(Ordering::SeqCst) {
        burst(1);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(guard);
    report("ended");
}

/// Stores spans at intervals, and prints which were acknowledged.
fn receive(path: &Path) {
    let store = SqliteStore::builder().open(path).unwrap();
    let is_open = open_until_stdin_ends();
    let mut number = 0;
    while is_open.load(Ordering::SeqCst) {
        match block_on(store.store(sent(number))) {
            Ok(_) => report(&format!("stored {number}")),
            Err(error) => report(&format!("refused {number}: {error}")),
        }
        if number % 20 == 0
            && let Err(error) = block_on(store.check())
        {
            report(&format!("not ready: {error}"));
        }
        number += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(store);
    report("ended");
}
