//! [`log_to_stderr`]: reports of a sink's own trouble, to a stderr that may be blocked or gone.
//!
//! `eprintln!` waits for as long as no program reads the pipe, and panics when its reader has gone
//! away; either would end the work of the thread that reports. So a separate thread writes the line,
//! and is left alone when that takes long.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::threads;

/// How long the line is waited for, so that it is there when the program ends right afterwards.
const PATIENCE: Duration = Duration::from_millis(100);

/// The number of lines that may be stuck in a blocked stderr; further ones are left out.
const MAX_STUCK: usize = 8;

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Writes a line to stderr, for sinks in trouble. It is not an event, and no layer sees it.
///
/// Waits a tenth of a second at most and never panics; where stderr takes no more, the line is lost.
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
