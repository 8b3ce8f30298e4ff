//! What a sink has to say of itself, on a stderr that may be blocked or gone.
//!
//! `eprintln!` waits for as long as nobody reads the pipe, and panics when its reader has gone away; either would end the
//! work of the thread that only wanted to mention something. So a thread of its own writes the line, and is left alone
//! when that takes long.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How long the line is waited for, so that it is there when the program ends right afterwards.
const PATIENCE: Duration = Duration::from_millis(100);

/// So many lines may be stuck in a blocked stderr; further ones are left out.
const MAX_STUCK: usize = 8;

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Writes a line to stderr if that takes it; waits a tenth of a second for it, and never panics. The last resort of
/// sinks that are in trouble: it is no event, and no layer sees it.
pub fn say(line: String) {
    if STUCK.fetch_add(1, Ordering::AcqRel) >= MAX_STUCK {
        STUCK.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let (done, wait) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("spanscope-says".to_owned());
    let started = thread.spawn(move || {
        let _ = std::io::stderr().write_all((line + "\n").as_bytes());
        STUCK.fetch_sub(1, Ordering::AcqRel);
        drop(done);
    });
    match started {
        // It says that it is done by hanging up.
        Ok(_) => drop(wait.recv_timeout(PATIENCE)),
        Err(_) => {
            STUCK.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
