//! `atexit`: the last moment at which other threads still run.

use std::io;
use std::panic::catch_unwind;
use std::sync::OnceLock;

static HOOK: OnceLock<fn()> = OnceLock::new();

/// Registers a function that runs when the program ends by `std::process::exit` or by a return from
/// `main`. The process holds one such function: a second call changes nothing.
///
/// The function runs on the thread that ends the program, after its thread-locals are destroyed,
/// while all other threads still run. A panic in it is caught. It does not run after `abort`,
/// `_exit` or a signal, and on Windows not after `std::process::exit`, which ends all threads
/// first.
///
/// # Errors
/// Fails if the system has no room for another function.
pub fn at_exit(hook: fn()) -> io::Result<()> {
    if HOOK.set(hook).is_err() {
        return Ok(());
    }
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `atexit`")]
    // SAFETY: `run` is a function of this program and never unwinds, so the C library may call it
    // at any later time.
    let result = unsafe { libc::atexit(run) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::other("atexit refused the function"))
    }
}

extern "C" fn run() {
    if let Some(hook) = HOOK.get() {
        let _ = catch_unwind(hook);
    }
}
