//! Hooks of the operating system that a library needs to write its last records when a program
//! ends.
//!
//! - [`at_exit`]: a function that runs when the program calls `std::process::exit` or returns from
//!   `main`.
//! - [`signals`]: a thread that is notified of SIGTERM, SIGINT and `abort()`, without taking a
//!   signal away from a program that handles it.
//! - [`generation`]: how a process detects that it was forked, and [`on_fork`] functions that run
//!   around a fork.
//! - [`without_signals`]: starts threads of a library, which must not receive the program's
//!   signals.
//!
//! This is the one crate, besides a single function of `spanscope-otlp`, that contains `unsafe`
//! code: the functions above are wrappers of `atexit`, `sigaction`, `pthread_sigmask` and
//! `pthread_atfork`. It knows no sink, no record and no setting. Nothing here costs anything until
//! a program ends, forks or gets a signal.

mod exit;
mod fork;
#[cfg(unix)]
pub mod signals;
#[cfg(windows)]
#[path = "signals_windows.rs"]
pub mod signals;

pub use exit::at_exit;
pub use fork::{Hooks, generation, on_fork};

/// Starts threads of a library, which receive none of the program's signals: `start` runs with
/// signals blocked, and a thread inherits the blocked signals of the thread that starts it. The
/// calling thread's own mask is restored afterwards.
///
/// The system delivers a signal of the process to any thread that does not block it. A program that
/// blocks SIGTERM on its own threads, to read it with `sigwait` or `signalfd`, would lose the
/// signal to the library's thread. Blocking on the new thread itself would be too late by a moment.
/// Signals that a fault of the thread itself raises are not blocked. On Windows it only calls
/// `start`.
///
/// ```
/// let thread = spanscope_process::without_signals(|| std::thread::spawn(|| 6 * 7));
/// assert_eq!(thread.join().unwrap(), 42);
/// ```
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let _blocked = signals::Blocked::all();
    start()
}
