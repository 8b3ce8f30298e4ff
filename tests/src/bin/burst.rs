//! A program for tests to run, kill and starve: `burst FILE TRACES
//! [end|hang|panic|open|metrics|overflow|tail|endless]`.
//!
//! It writes its traces into the file, prints `ready`, and then ends as requested.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

use std::io::Write as _;
use std::time::Duration;

use spanscope::{OverflowPolicy, TailRule};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let traces: u64 = arguments[2].parse().unwrap();
    let ending = arguments.get(3).map_or("end", String::as_str);
    let mut builder = spanscope::builder()
        .sinks(&["sqlite"])
        .unwrap()
        .service_name("burst")
        .sqlite_path(&arguments[1])
        .on_overflow(OverflowPolicy::Block)
        // A loaded machine may need longer than a user would wait.
        .shutdown_timeout(spanscope_tests::PATIENCE);
    if ending == "tail" {
        builder = builder.tail_sampling(TailRule::new().slower_than(Duration::from_secs(3600)));
    }
    let guard = builder.try_init().unwrap();
    if ending == "endless" {
        report("ready");
        loop {
            spanscope_tests::burst(1000);
        }
    }
    if ending == "tail" {
        spanscope_tests::burst(traces);
        tracing::info_span!("failed").in_scope(|| tracing::error!("refused"));
        drop(guard);
        return report("ready");
    }
    if ending == "metrics" {
        for number in 0..traces {
            tracing::info!(metric = "burst_total", value = 1, label = number % 10);
        }
        drop(guard);
        return report("ready");
    }
    if ending == "overflow" {
        for number in 0..=spanscope_sqlite::DEFAULT_MAX_SERIES {
            tracing::info!(metric = "burst_total", value = 1, label = number);
        }
        guard.flush(spanscope_tests::PATIENCE).unwrap();
        spanscope_tests::burst(traces);
        drop(guard);
        return report("ready");
    }
    let open = tracing::info_span!("left open", pid = std::process::id());
    if ending == "open" {
        tracing::info!(parent: &open, "still here");
    }
    spanscope_tests::burst(traces);
    match ending {
        "hang" | "open" => {
            report("ready");
            // The test ends it; the limit applies if the test has died.
            std::thread::sleep(Duration::from_secs(120));
        }
        "panic" => {
            report("ready");
            let _doomed = tracing::info_span!("doomed").entered();
            panic!("as asked");
        }
        _ => {
            drop(open);
            drop(guard);
            report("ready");
        }
    }
}

fn report(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}
