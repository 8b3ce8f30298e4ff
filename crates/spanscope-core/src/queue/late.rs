//! Records after the end of their sink: the queue counts them, and this module reports them.
//!
//! A guard that is not bound (`let _ = init();`) is dropped at once, and nothing else would explain
//! why a program has no telemetry. Threads that outlive `main`'s guard for a moment are common and
//! harmless, and are not reported.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::log_to_stderr::log_to_stderr;

/// How long after the end records are accepted without a report.
const GRACE: Duration = Duration::from_secs(1);

static REPORTED: AtomicBool = AtomicBool::new(false);

/// When and how a queue ended; empty while it is open.
#[derive(Debug, Default)]
pub(super) struct End(OnceLock<(Instant, bool)>);

impl End {
    /// Notes that the guard was dropped, and whether there were any records before.
    pub(super) fn mark(&self, had_records: bool) {
        let _ = self.0.set((Instant::now(), had_records));
    }

    /// Notes a record after the end.
    pub(super) fn note_late_record(&self) {
        let Some((ended_at, had_records)) = self.0.get() else {
            return; // the sink ended by a fault, which was reported
        };
        let is_unexpected = !had_records || ended_at.elapsed() >= GRACE;
        if is_unexpected && !REPORTED.swap(true, Ordering::Relaxed) {
            log_to_stderr(
                "spanscope: records after the end of the telemetry are lost, because its guard was dropped; keep the guard until the program ends: `let _guard = spanscope::init();`, not `let _ = ...`"
                    .to_owned(),
            );
        }
    }
}

/// Returns whether stderr has a line about records after the end, with the usual cause. The process
/// prints it once.
#[must_use]
pub fn late_records_were_reported() -> bool {
    REPORTED.load(Ordering::Relaxed)
}
