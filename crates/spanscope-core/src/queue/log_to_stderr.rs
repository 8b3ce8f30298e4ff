//! [`log_to_stderr`]: prints messages about a sink, to a stderr that may be blocked or closed.
//!
//! `eprintln!` blocks while no program reads the pipe, and panics when its reader is gone; either
//! would end the work of the reporting thread. So a separate thread writes the line, and the
//! reporting thread waits only briefly for it.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::threads;

/// How long to wait for the line, so that it is written if the program ends right afterwards.
const PATIENCE: Duration = Duration::from_millis(100);

/// Maximum number of lines that may be stuck in a blocked stderr; further ones are dropped.
const MAX_STUCK: usize = 8;

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Writes a line to stderr, for problems of sinks. It is not an event, and no layer sees it.
///
/// Waits at most a tenth of a second and never panics; if stderr is blocked, the line is lost.
pub fn log_to_stderr(line: String) {
    if STUCK.fetch_add(1, Ordering::AcqRel) >= MAX_STUCK {
        STUCK.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let (done, wait) = mpsc::channel::<()>();
    let started = threads::spawn("spanscope-stderr", move || {
        let _ = std::io::stderr().write_all((line + "\n").as_bytes());
        STUCK.fetch_sub(1, Ordering::AcqRel);
        drop(done);
    });
    match started {
        // The thread drops its end of the channel when it is done.
        Ok(_) => drop(wait.recv_timeout(PATIENCE)),
        Err(_) => {
            STUCK.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
