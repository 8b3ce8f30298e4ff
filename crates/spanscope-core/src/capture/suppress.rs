//! The mark that keeps our own work from becoming telemetry.
//!
//! A sink's thread sets it for its whole life; who calls into a sink from a user's thread sets it around the call. Every
//! callback of every layer of ours returns at once on a marked thread. A list of targets would miss what a library
//! logs tomorrow.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Marks this thread until the value is dropped: spans and events made meanwhile are not captured.
///
/// ```
/// let quiet = spanscope_core::suppress();
/// tracing::info!("no layer of ours sees this");
/// drop(quiet);
/// ```
#[must_use = "the mark is gone as soon as this is dropped"]
pub fn suppress() -> Suppressed {
    let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
    Suppressed(std::marker::PhantomData)
}

/// Holds the mark that [`suppress`] sets. It belongs to its thread.
#[derive(Debug)]
pub struct Suppressed(std::marker::PhantomData<*const ()>);

impl Drop for Suppressed {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Whether this thread is marked. A thread whose locals are gone counts as marked.
#[must_use]
pub fn is_suppressed() -> bool {
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(true)
}
