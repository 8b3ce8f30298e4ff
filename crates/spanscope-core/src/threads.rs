//! Threads of sinks: none of their work becomes telemetry, and none of the program's signals
//! reaches them.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::capture::suppress;

/// Starts a thread that is [suppressed](suppress) for its whole life and receives none of the
/// program's signals.
///
/// # Errors
/// Fails if the system can't create a thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = Builder::new().name(name.to_owned());
    spanscope_process::without_signals(|| {
        thread.spawn(move || {
            let _quiet = suppress();
            work()
        })
    })
}
