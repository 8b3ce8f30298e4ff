//! A program for tests to run: `drills DRILL`, which is one thing that went wrong for a user once.
//!
//! It is set up by `spanscope::init()` alone, so the environment says where its records go.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod acknowledges;
mod secrets;

fn main() {
    let drill = std::env::args().nth(1).unwrap();
    let guard = spanscope::init();
    match drill.as_str() {
        "secrets" => secrets::say_all(),
        "acknowledges" => acknowledges::write_on(&guard),
        other => panic!("no drill {other}"),
    }
    guard.flush(spanscope_tests::PATIENCE).unwrap();
}
