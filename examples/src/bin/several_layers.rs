//! Several layers on one registry, each with its filter.
//!
//! ```text
//! cargo run -p spanscope-examples --bin several_layers
//! ```
//!
//! The terminal (stderr) gets only warnings; the store gets everything from DEBUG on, except from a
//! noisy target. So you see one line of `fmt`, and then what the store has:
//!
//! ```text
//!  WARN sync{folder="photos"}: several_layers: one file is too large
//! spans: 2, failed: 0
//!   sync (internal, ok)
//!     - debug: looking for changes
//!     - warn: one file is too large
//!     upload (internal, ok)
//! ```

use std::io;
use std::time::Duration;

use spanscope_examples::{print_newest_trace, store_path};
use spanscope_sqlite::{OverflowPolicy, SqliteLayer};
use tracing::level_filters::LevelFilter;
use tracing::{debug, debug_span, info, instrument, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

#[instrument]
fn sync(folder: &str) {
    debug!("looking for changes");
    debug_span!("upload", bytes = 4096).in_scope(|| {
        info!(target: "noisy_library", "a packet went out");
    });
    warn!(file = "cat.tiff", "one file is too large");
}

fn main() -> anyhow::Result<()> {
    let path = store_path();
    let (store, guard) = SqliteLayer::builder()
        .service_name("several-layers")
        .retention(Duration::from_secs(24 * 3600))
        .max_bytes(64 * 1024 * 1024)
        .queue_bytes(4 * 1024 * 1024)
        // A batch job prefers to wait for the disk over losing a span. A server keeps the default,
        // `Drop`.
        .on_overflow(OverflowPolicy::Block)
        .open(&path)?;
    let terminal = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_writer(io::stderr);
    let everything_but_noise = Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_target("noisy_library", LevelFilter::OFF);
    tracing_subscriber::registry()
        .with(terminal.with_filter(LevelFilter::WARN))
        .with(store.with_filter(everything_but_noise))
        .init();

    sync("photos");

    guard.flush(Duration::from_secs(5))?;
    print_newest_trace(&path, "sync")
}
