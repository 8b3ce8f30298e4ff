//! A program for tests to run: `helpers WORK`, which does one piece of work and ends. Most of it
//! runs under `spanscope::init()`, with the sinks of the environment.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod background;
mod names;
mod own_tests;
mod requests;
mod sink;

use std::env::{args, var};
use std::time::Duration;

fn main() {
    let work = args().nth(1).unwrap();
    match work.as_str() {
        "hung" => return hung(),
        "own-tests" => return own_tests::run_all(),
        "measuring-sink" => return sink::measure_in_a_sink(),
        _ => {}
    }
    let guard = spanscope::init();
    match work.as_str() {
        "names" => names::use_all(),
        "junk" => requests::junk(&guard),
        "client" => requests::through_a_client(),
        "background" => background::leave_tasks_behind(),
        "nothing" => {}
        other => panic!("no work {other}"),
    }
    drop(guard);
}

/// 100 spans for a collector that may not respond, and 50 events in them.
fn hung() {
    let guard = spanscope::builder()
        .sinks(&["otel_trace", "otel_log"])
        .unwrap()
        .otlp(|otlp| {
            let otlp = otlp.endpoint(var("COLLECTOR").unwrap());
            otlp.shutdown_timeout(Duration::from_millis(300))
        })
        .try_init()
        .unwrap();
    for number in 0..100 {
        let _span = tracing::info_span!("work", number).entered();
        if number % 2 == 0 {
            tracing::info!("half way");
        }
    }
    drop(guard);
}
