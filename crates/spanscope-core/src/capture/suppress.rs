//! Suppression: keeps our own work from becoming telemetry.
//!
//! A sink's thread is suppressed for its whole life; a call into a sink from a user's thread is
//! suppressed for its duration. Every callback of every Spanscope layer returns at once on a
//! suppressed thread. A list of ignored targets would miss the new targets of a library's next
//! version.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Suppresses this thread until the value is dropped: spans and events of that time are not
/// captured.
///
/// ```
/// let quiet = spanscope_core::suppress();
/// tracing::info!("no Spanscope layer sees this");
/// drop(quiet);
/// ```
#[must_use = "the suppression ends as soon as this is dropped"]
pub fn suppress() -> Suppressed {
    let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
    Suppressed(std::marker::PhantomData)
}

/// Ends the suppression that [`suppress`] began. It belongs to its thread.
#[derive(Debug)]
pub struct Suppressed(std::marker::PhantomData<*const ()>);

impl Drop for Suppressed {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Returns whether this thread is suppressed. A thread whose locals are destroyed counts as
/// suppressed.
#[must_use]
pub fn is_suppressed() -> bool {
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(true)
}
