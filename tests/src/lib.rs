//! Support for the tests of several crates: a store in a temporary folder, waiting with a limit, a
//! burst of spans, programs under a terminal, signals, HTTP by hand, a browser, the real
//! Prometheus, the real ClickHouse.
#![expect(clippy::unwrap_used, reason = "test support fails by panicking")]

pub mod browser;
pub mod clickhouse;
#[cfg(target_os = "linux")]
pub mod failing_calls;
pub mod http;
pub mod large_trace;
#[cfg(unix)]
pub mod process;
pub mod prometheus;
pub mod receiver;
pub mod rotel;
pub mod sqlite;
#[cfg(unix)]
pub mod terminal;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spanscope_sqlite::{SqliteGuard, SqliteLayer, SqliteLayerBuilder};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

/// Variables that change what a program does; a developer's settings must not change the tests.
pub const SETTINGS: [&str; 28] = [
    "TELEMETRY_SINKS",
    "SPANSCOPE_TOKENS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "SPANSCOPE_CONFIG",
    "SPANSCOPE_CONSOLE",
    "SPANSCOPE_CONSOLE_LEVELS",
    "SPANSCOPE_CONSOLE_MARKUP",
    "SPANSCOPE_CONSOLE_SYNC",
    "SPANSCOPE_CONSOLE_HYPERLINKS",
    "TERM_PROGRAM",
    "VTE_VERSION",
    "WT_SESSION",
    "KONSOLE_VERSION",
    "SQLITE_STORE_DIR",
    "SPANSCOPE_STORE",
    "SPANSCOPE_STORE_PASSWORD",
    "SPANSCOPE_STORE_PASSWORD_FILE",
    "LLAMA_STACK_LOGGING",
    "LLAMA_STACK_LOG_FILE",
    "LLAMA_STACK_LOG_WIDTH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
];

/// A program to be run without any of [`SETTINGS`], and of OpenTelemetry's variables.
#[must_use]
pub fn program_without_settings(path: &str) -> Command {
    let mut command = Command::new(path);
    for name in SETTINGS {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Whether an external tool can be run; if not, prints that the test is skipped. `from` is where to
/// get the tool.
///
/// # Panics
/// Panics if the tool is missing and `SPANSCOPE_NO_SKIP` is set.
#[must_use]
pub fn tool_is_here(tool: &str, from: &str) -> bool {
    let is_here = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_here {
        skip(&format!("there is no {tool} here that can be run; {from}"));
    }
    is_here
}

/// Prints that a test is skipped, and why.
///
/// # Panics
/// Panics if `SPANSCOPE_NO_SKIP` is set.
pub fn skip(why: &str) {
    assert!(std::env::var_os("SPANSCOPE_NO_SKIP").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for the value; panics with what it waited for after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A store with default settings, and a dispatcher that writes into it.
pub fn store_at(path: &Path) -> (Dispatch, SqliteGuard) {
    store_with(SqliteLayer::builder(), path)
}

/// A store with these settings, and a dispatcher that writes into it.
pub fn store_with(settings: SqliteLayerBuilder, path: &Path) -> (Dispatch, SqliteGuard) {
    let (layer, guard) = settings.open(path).unwrap();
    (Dispatch::new(tracing_subscriber::registry().with(layer)), guard)
}

/// Records `traces` traces of a root with nine children; each child has four fields and an event.
/// That is 19 records.
pub fn burst(traces: u64) {
    for index in 0..traces {
        let root = tracing::info_span!("request", index);
        let _root = root.enter();
        for step in 0..9_u64 {
            let child = tracing::info_span!("step", tier = "gold", region = "eu-central", step, index);
            let _child = child.enter();
            tracing::info!(step, "done");
        }
    }
}

/// The number of records of a [`burst`] of one trace.
pub const RECORDS_A_TRACE: u64 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_as_soon_as_the_value_is_there() {
        let mut looks = 0;
        let found = wait_for("the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, 3);
    }

    #[test]
    fn a_burst_has_the_documented_number_of_records() {
        let folder = tempfile::tempdir().unwrap();
        let (dispatch, guard) = store_at(&folder.path().join("trace_store.db"));
        tracing::dispatcher::with_default(&dispatch, || burst(3));
        guard.flush(PATIENCE).unwrap();
        assert_eq!(guard.stats().stored, 3 * RECORDS_A_TRACE);
    }
}
