//! A program for tests to run: `values SUBJECT`, which records what its subject is about, on the sinks
//! that the environment names, and ends.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod ends;

use spanscope::console::render::Format;

fn main() {
    let subject = std::env::args().nth(1).unwrap();
    let builder = spanscope::Builder::from_env().unwrap();
    let guard = builder
        .console(|console| console.format(Format::Json).rate_limit(None))
        .try_init()
        .unwrap();
    match subject.as_str() {
        "ends" => ends::of_all_kinds(),
        other => panic!("no subject {other}"),
    }
    drop(guard);
}
