//! A program for tests to end: `ends SCENARIO`. It sets up the sinks that the environment names, as
//! `spanscope::init()` does, records something, and ends as the scenario says.
#![expect(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod exits;
#[cfg(unix)]
mod forks;
mod panics;
#[cfg(unix)]
mod signals;

use std::io::Write as _;

fn main() {
    let scenario = std::env::args().nth(1).unwrap();
    match scenario
        .split_once('-')
        .map_or(scenario.as_str(), |(family, _)| family)
    {
        "exit" => exits::run(&scenario),
        "panic" => panics::run(&scenario),
        #[cfg(unix)]
        "fork" => forks::run(&scenario),
        #[cfg(unix)]
        "signal" => signals::run(&scenario),
        family => panic!("no scenario {family}"),
    }
}

/// Reports progress to the test.
fn report(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}
