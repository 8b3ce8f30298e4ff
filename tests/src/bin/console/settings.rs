//! Settings that have no effect.

use std::sync::atomic::{AtomicU32, Ordering};

use spanscope::Guard;

/// The number of records that the program's own logger received.
static TAKEN: AtomicU32 = AtomicU32::new(0);

struct OwnLogger;

impl log::Log for OwnLogger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

/// Sets up the telemetry after another subscriber is set, or ignores the error.
pub(crate) fn set_up_in_vain(setup: &str) -> Guard {
    match setup {
        "after-own-logger" => {
            log::set_logger(&OwnLogger).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
        }
        "after-log-tracer" => tracing_log::LogTracer::init().unwrap(),
        "dropped-error" => {
            let _ = spanscope::try_init();
            std::process::exit(0);
        }
        "dropped-error-of-builder" => {
            drop(spanscope::builder().levels("agnets=debug").try_init());
            std::process::exit(0);
        }
        "shown-error" => {
            let error = spanscope::try_init().unwrap_err();
            crate::report(&format!("shown: {error}"));
            drop(error);
            std::process::exit(0);
        }
        other => panic!("no setup {other}"),
    }
    spanscope::init()
}

pub(crate) fn own_logger_had() {
    crate::report(&format!("the logger had {}", TAKEN.load(Ordering::Relaxed)));
}

/// Logs by both crates from one place.
macro_rules! both {
    ($text:literal) => {
        tracing::info!($text);
        log::info!($text);
    };
}

/// Logs one record of each kind, in a program that may be built with `tracing/log-always` and
/// without levels.
pub(crate) fn log_once() {
    let _span = tracing::info_span!("a span of tracing").entered();
    tracing::info!(count = 1, "an event of tracing");
    tracing::debug!("a finer event of tracing");
    tracing::trace!("the finest event of tracing");
    tracing::info!(target: "hidden", "a hidden event of tracing");
    log::info!(count = 1; "a record of log");
    log::debug!("a finer record of log");
}

pub(crate) fn log_by_both() {
    both!("said by both");
}
