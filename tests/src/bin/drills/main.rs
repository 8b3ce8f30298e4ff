//! A program for tests to run: `drills DRILL [NUMBER]`. Each drill is a failure that a user had.
//!
//! `spanscope::init()` alone sets it up, so the environment chooses the sinks.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod acknowledges;
mod paced;
mod secrets;

fn main() {
    let drill = std::env::args().nth(1).unwrap();
    let guard = spanscope::init();
    match drill.as_str() {
        "secrets" => secrets::log_all(),
        "acknowledges" => acknowledges::write_on(&guard),
        "paced" => paced::record_on(std::env::args().nth(2).unwrap().parse().unwrap()),
        other => panic!("no drill {other}"),
    }
    guard.flush(spanscope_tests::PATIENCE).unwrap();
}
