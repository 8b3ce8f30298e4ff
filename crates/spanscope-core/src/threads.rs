//! Threads of sinks: none of their work becomes telemetry, and none of the program's signals reaches them.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::capture::suppress;

/// Starts a thread that [`suppress`] marks for its whole life and that receives none of the program's signals.
///
/// # Errors
/// The system gives no thread.
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
