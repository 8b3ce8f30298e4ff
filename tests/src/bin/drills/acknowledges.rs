//! A program that says what is safe: it writes, flushes, says so, and goes on until it is killed.

use std::io::Write as _;

use tracing::{info, info_span};

/// Spans of one flush, each with an event and a measurement.
const BATCH: u64 = 50;

/// Says on stdout how many spans are stored, after each flush.
pub(crate) fn write_on(guard: &spanscope::Guard) -> ! {
    let mut stdout = std::io::stdout();
    let mut written = 0_u64;
    loop {
        for _ in 0..BATCH {
            info_span!("drilled", number = written).in_scope(|| {
                info!("in it");
                info!(metric = "drilled_total", value = 1);
            });
            written += 1;
        }
        guard.flush(spanscope_tests::PATIENCE).unwrap();
        writeln!(stdout, "{written}").unwrap();
    }
}
