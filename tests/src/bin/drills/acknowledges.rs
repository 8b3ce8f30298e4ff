//! A program that reports what is stored: it records spans, flushes, prints their number, and
//! repeats this until it is killed.

use std::io::Write as _;

use tracing::{info, info_span};

/// The number of spans per flush, each with an event and a measurement.
const BATCH: u64 = 50;

/// Records spans, and prints the number of stored ones after each flush.
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
