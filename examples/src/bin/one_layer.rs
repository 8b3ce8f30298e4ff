//! The smallest use: one `SqliteLayer` on a registry that you build yourself.
//!
//! ```text
//! cargo run -p spanscope-examples --bin one_layer
//! ```
//!
//! You see the trace as the store has it after the program's work is done:
//!
//! ```text
//! spans: 2, failed: 0
//!   order (internal, ok)
//!     - info: the order is in
//!     reserve (internal, ok)
//! ```

use std::time::Duration;

use spanscope_examples::{print_newest_trace, store_path};
use spanscope_sqlite::SqliteLayer;
use tracing::{info, instrument};
use tracing_subscriber::prelude::*;

#[instrument]
fn order(item: &str, pieces: u32) {
    info!(left = reserve(pieces), "the order is in");
}

#[instrument]
fn reserve(pieces: u32) -> u32 {
    100 - pieces
}

fn main() -> anyhow::Result<()> {
    let path = store_path();
    // The guard owns the writer thread. Keep it until the end of `main`.
    let (layer, guard) = SqliteLayer::open(&path)?;
    tracing_subscriber::registry().with(layer).init();

    order("lamp", 3);

    // Dropping the guard would flush as well. Here the file is read before that.
    guard.flush(Duration::from_secs(5))?;
    print_newest_trace(&path, "order")
}
