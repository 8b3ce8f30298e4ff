//! A program for tests to run: `helpers WORK...`, which does one piece of work after the other under
//! `spanscope::init()` and ends.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod names;
mod requests;

fn main() {
    let guard = spanscope::init();
    for work in std::env::args().skip(1) {
        match work.as_str() {
            "names" => names::use_all(),
            "junk" => requests::junk(),
            other => panic!("no work {other}"),
        }
    }
    drop(guard);
}
