//! A program for tests to run: `values SUBJECT`. It records the values of its subject with the
//! sinks that the environment names, and ends.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod ends;
mod filters;
mod late;
mod records;
mod reloaded;

use spanscope::console::render::Format;

fn main() {
    let subject = std::env::args().nth(1).unwrap();
    if subject == "reloaded" {
        return reloaded::by_hand();
    }
    if subject == "filtered by hand" {
        return filters::by_hand();
    }
    let builder = spanscope::Builder::try_from_env().unwrap();
    let builder = builder.console(|console| console.format(Format::Json).rate_limit(None));
    let builder = match subject.as_str() {
        "filtered" => builder.sink_levels("console", "all=warn").unwrap(),
        _ => builder,
    };
    let guard = builder.try_init().unwrap();
    match subject.as_str() {
        "ends" => ends::of_all_kinds(),
        "filtered" => {
            filters::nested();
            filters::formatted();
            filters::checked_levels();
        }
        "repeated" => late::repeated(),
        "many keys" => late::many_keys(),
        "twice" => records::twice(),
        "wide" => records::wide(),
        "zeros" => records::zeros(),
        "ttl" => records::with_lifetimes(),
        "key-values" => records::with_key_values(),
        "log levels" => records::of_the_log_crate(),
        other => panic!("no subject {other}"),
    }
    // The guard alone waits 5 s, which is not enough on a machine that does much else.
    guard.flush(spanscope_tests::PATIENCE).unwrap();
    drop(guard);
}
