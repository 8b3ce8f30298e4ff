//! A program that records at a fixed rate, and prints what it has recorded until it is killed.

use std::io::Write as _;
use std::time::{Duration, Instant};

use spanscope_model::Timestamp;
use tracing::info_span;

/// Prints, each millisecond, the number of the last span and when it ended.
pub(crate) fn record_on(spans_a_second: u64) -> ! {
    let mut stdout = std::io::stdout();
    let begin = Instant::now();
    let mut recorded = 0_u64;
    loop {
        let due = u64::try_from(begin.elapsed().as_micros()).unwrap() * spans_a_second / 1_000_000;
        while recorded < due {
            drop(info_span!("paced", number = recorded));
            recorded += 1;
        }
        writeln!(stdout, "{recorded} {}", Timestamp::now().as_nanos()).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}
