//! `fork`: how a process detects that it is a copy, in which only the forking thread continues.

use std::io;
use std::sync::OnceLock;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Functions that run around a fork, on the forking thread. None may panic.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Runs before the fork.
    pub before: fn(),
    /// Runs after the fork, in the parent.
    pub in_parent: fn(),
    /// Runs after the fork, in the child. Other threads' locks stay locked, possibly also the
    /// memory allocator's: the function may only store into atomics and into thread-locals without
    /// a destructor.
    pub in_child: fn(),
}

/// Returns how many forks are between this process and the one that first called [`on_fork`] or
/// watched signals. Threads and locks of a lower generation belong to another process.
#[must_use]
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts counting generations, and registers functions that run around each `fork` of the process.
/// The process holds one set of functions: a second call changes nothing. A process that is started
/// by `posix_spawn`, as `std::process::Command` usually does, is not a fork. Does nothing on
/// Windows.
///
/// # Errors
/// Fails if the system has no memory for the hooks.
pub fn on_fork(hooks: Hooks) -> io::Result<()> {
    let _ = HOOKS.set(hooks);
    watch()
}

/// Starts counting generations.
#[cfg(unix)]
pub(crate) fn watch() -> io::Result<()> {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    if IS_WATCHED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    #[expect(
        unsafe_code,
        reason = "the standard library has no wrapper of `pthread_atfork`"
    )]
    // SAFETY: the three functions belong to this program and don't unwind; the child's does only
    // what is allowed there.
    let result = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn watch() -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
extern "C" fn before() {
    if let Some(hooks) = HOOKS.get() {
        (hooks.before)();
    }
}

#[cfg(unix)]
extern "C" fn in_parent() {
    if let Some(hooks) = HOOKS.get() {
        (hooks.in_parent)();
    }
}

#[cfg(unix)]
extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    crate::signals::forget_thread();
    if let Some(hooks) = HOOKS.get() {
        (hooks.in_child)();
    }
}
