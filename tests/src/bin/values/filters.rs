//! What happens while the values of a record are formatted, under a filter of one sink.

use std::fmt;

use spanscope::console::render::Format;
use spanscope::{Categories, CategoryFilter, ConsoleLayer, LevelFilter, Levels, SqliteLayer};
use tracing::{Level, info, info_span, warn, warn_span};
use tracing_subscriber::prelude::*;

/// Logs from its `Display`.
struct Chatty(&'static str);

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        warn!("nested in {}", self.0);
        f.write_str(self.0)
    }
}

fn warns(of: &str) -> u8 {
    warn!("nested in {of}");
    1
}

fn informs(of: &str) -> u8 {
    info!("quiet in {of}");
    1
}

/// Records at INFO are called `hidden`, and those at WARN `shown`.
pub(crate) fn nested() {
    info!(value = warns("event"), "hidden event");
    warn!(value = informs("event"), "shown event");
    let span = info_span!("hidden span", value = warns("span"));
    span.in_scope(|| warn!("shown within"));
    drop(span);
    drop(warn_span!("shown span", value = informs("span")));
    info!(
        value = info_span!("hidden span within").in_scope(|| warns("its span")),
        "hidden event of a span"
    );
    warn!(
        value = warn_span!("shown span within").in_scope(|| informs("its span")),
        "shown event of a span"
    );
}

/// The same while a sink formats a text that logs.
pub(crate) fn formatted() {
    info!("hidden text: {}", Chatty("a text"));
    log::info!(target: "values::own", "hidden log record: {}", Chatty("a log record"));
    log::warn!(target: "values::own", "shown log record");
}

/// Checks whether a level is enabled, and records nothing.
pub(crate) fn checked_levels() {
    let ask = || u8::from(tracing::enabled!(Level::INFO));
    warn!(value = ask(), "shown event that asked");
    drop(warn_span!("shown span that asked", value = ask()));
    info!(value = ask(), "hidden event that asked");
}

/// A composition with `.with_filter`.
pub(crate) fn by_hand() {
    let folder = std::env::var_os("SQLITE_STORE_DIR").unwrap();
    let (store, store_guard) =
        SqliteLayer::open(std::path::Path::new(&folder).join("trace_store.db")).unwrap();
    let (console, console_guard) = ConsoleLayer::builder().format(Format::Json).build().unwrap();
    let mut levels = Levels::new();
    levels.set_root(LevelFilter::Warn);
    let filter = CategoryFilter::new(Categories::of_caller(), levels);
    filter.handle().set("all", LevelFilter::Warn).unwrap();
    tracing_subscriber::registry()
        .with(store)
        .with(console.with_filter(filter))
        .init();
    nested();
    drop((store_guard, console_guard));
}
