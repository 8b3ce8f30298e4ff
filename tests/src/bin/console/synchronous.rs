//! Lines of the console between the program's own prints.

use std::fmt;

/// Prints to both streams and logs, in turn.
pub(crate) fn print_and_log() {
    for number in 0..100 {
        println!("step {number}a");
        tracing::info!("step {number}b");
        eprintln!("step {number}c");
        let _span = tracing::info_span!("span", number).entered();
    }
}

/// Logs from its `Display`.
struct Logs;

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("logged by Display");
        f.write_str("printed by Display")
    }
}

/// Logs from several threads, some of which hold stderr meanwhile.
pub(crate) fn log_while_printing() {
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                for _ in 0..300 {
                    if number % 2 == 0 {
                        eprintln!("{Logs}");
                    } else {
                        tracing::info!("logged by itself");
                    }
                }
            });
        }
    });
}

/// Is killed right after a line.
pub(crate) fn log_and_be_killed() {
    tracing::info!("the last line");
    #[cfg(unix)]
    spanscope_tests::process::send_signal_to_self(spanscope_tests::process::Signal::KILL);
}
