//! Spanscope layers in a `reload::Layer`.

use spanscope::SpanExt as _;
use spanscope::console::render::Format;
use spanscope::{ConsoleLayer, SqliteLayer};
use tracing::field::Empty;
use tracing::info_span;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

pub(crate) fn by_hand() {
    let folder = std::env::var_os("SQLITE_STORE_DIR").unwrap();
    let path = |name: &str| std::path::Path::new(&folder).join(name);
    let (store, first_guard) = SqliteLayer::open(path("first.db")).unwrap();
    let (console, console_guard) = ConsoleLayer::builder().format(Format::Json).build().unwrap();
    let (store, store_handle) = reload::Layer::new(store);
    let (console, _console_handle) = reload::Layer::new(console);
    tracing_subscriber::registry().with(store).with(console).init();
    let before = info_span!("before", declared = Empty);
    before.record("declared", "late");
    before.record_attribute("undeclared", 7_i64);
    drop(before);
    let across = info_span!("across", declared = Empty, again = Empty);
    across.in_scope(|| across.record("declared", "early"));
    let (store, second_guard) = SqliteLayer::open(path("trace_store.db")).unwrap();
    store_handle.reload(store).unwrap();
    across.record("again", "after");
    across.record_attribute("undeclared", 8_i64);
    drop(across);
    let after = info_span!("after", declared = Empty);
    after.record("declared", "late");
    after.record_attribute("undeclared", 9_i64);
    drop(after);
    drop((first_guard, second_guard, console_guard));
}
