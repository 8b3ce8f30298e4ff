//! A command-line program that ends with an exit code, by `std::process::ExitCode` and by
//! `std::process::exit`.
//!
//! ```text
//! cargo run -p spanscope-examples --bin exit_code -- 1 2     # prints 3 and ends with 0
//! cargo run -p spanscope-examples --bin exit_code -- 1 two   # ends with 1, which `main` returns
//! cargo run -p spanscope-examples --bin exit_code            # ends with 2, by `process::exit`
//! ```
//!
//! `process::exit` runs no destructors, so the guard is not dropped there. Nothing is lost: an exit
//! hook writes all queued records, for a second at most (`Builder::exit_timeout`). Windows has no
//! exit hooks; return an `ExitCode` there.
//!
//! The console shows each run, and the store has it: `spanscope logs --db FILE`.

use std::process::ExitCode;

use spanscope_examples::store_path;
use tracing::{error, info, instrument};

#[instrument(err)]
fn add(numbers: &[String]) -> Result<i64, std::num::ParseIntError> {
    numbers.iter().map(|number| number.parse::<i64>()).sum()
}

fn main() -> ExitCode {
    let builder = spanscope::builder()
        .service_name("exit-example")
        .sqlite_path(store_path());
    // Bound to a name: `let _ = ...` would drop the guard, and end the telemetry, in this line.
    let _guard = match builder.try_init() {
        Ok(guard) => guard,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let numbers: Vec<String> = std::env::args().skip(1).collect();
    if numbers.is_empty() {
        error!("usage: exit_code NUMBER...");
        std::process::exit(2);
    }
    match add(&numbers) {
        Ok(sum) => {
            info!(sum, "added");
            println!("{sum}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
