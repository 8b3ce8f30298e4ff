//! Hooks of the operating system that a library needs to write its last records when a program ends.
//!
//! - [`at_exit`]: a function that runs when the program calls `std::process::exit` or returns from `main`.
//! - [`signals`]: a thread that is notified of SIGTERM, SIGINT and `abort()`, without taking a signal away from a
//!   program that handles it.
//! - [`generation`]: how a process finds out that it was forked, and [`on_fork`] what runs around a fork.
//! - [`keep_signals_away`]: for threads of a library, which must not receive the program's signals.
//!
//! This is the one crate, besides a single function of `spanscope-otlp`, that contains `unsafe` code: the functions
//! above are wrappers of `atexit`, `sigaction`, `pthread_sigmask` and `pthread_atfork`. It knows no sink, no record and
//! no setting. Nothing here costs anything until a program ends, forks or gets a signal.

mod exit;
mod fork;
#[cfg(unix)]
pub mod signals;
#[cfg(windows)]
#[path = "signals_windows.rs"]
pub mod signals;

pub use exit::at_exit;
pub use fork::{Hooks, generation, on_fork};

/// Blocks the program's signals on the calling thread for the rest of its life. For threads of a library.
///
/// The system delivers a signal of the process to any thread that does not block it. A program that blocks SIGTERM on its
/// own threads, to read it with `sigwait` or `signalfd`, would lose the signal to a thread that it knows nothing of.
/// Signals that a fault of the thread itself raises are not blocked. Does nothing on Windows.
pub fn keep_signals_away() {
    #[cfg(unix)]
    signals::block_all();
}
