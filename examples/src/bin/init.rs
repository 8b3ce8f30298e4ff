//! One line for everything: `spanscope::init()` reads the environment and installs the global
//! subscriber.
//!
//! ```text
//! SQLITE_STORE_DIR=/tmp/shop OTEL_SERVICE_NAME=shop cargo run -p spanscope-examples --bin init
//! ```
//!
//! Without `SQLITE_STORE_DIR` the store is in your data folder, where the `spanscope` command looks
//! by itself.
//!
//! While it runs you see its spans and events on stderr, because the console is one of the default
//! sinks (`TELEMETRY_SINKS=sqlite` leaves it out). Then you see the trace as the store has it. The
//! error that `refund` returns makes the status of its span `error`. Records of the `log` crate
//! would be shown and stored too.
//!
//! ```text
//! spans: 2, failed: 1
//!   handle_return (internal, ok)
//!     - warn: no refund, sending a voucher
//!     refund (internal, error)
//!       - error: the bank is closed
//! ```

use std::time::Duration;

use anyhow::Context;
use spanscope_examples::print_newest_trace;
use tracing::{instrument, warn};

#[instrument]
fn handle_return(order: u64) {
    if refund(order, 12.5).is_err() {
        warn!(order, "no refund, sending a voucher");
    }
}

#[instrument(err)]
fn refund(order: u64, amount: f64) -> Result<(), &'static str> {
    Err("the bank is closed")
}

fn main() -> anyhow::Result<()> {
    // Never fails: it reports problems on stderr, and the program continues. `try_init` returns
    // errors instead.
    let guard = spanscope::init();

    handle_return(17);

    guard.flush(Duration::from_secs(5))?;
    let path = guard.db_path().context("the environment turns the store off")?;
    print_newest_trace(path, "handle_return")
}
