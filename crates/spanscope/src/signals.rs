//! SIGTERM and SIGINT: what was recorded before is written, and the program ends as it would without us.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use spanscope_core::queue::log_to_stderr;
use spanscope_layers::suppress;
use spanscope_process::signals::{self, Caught};

use crate::ends::EndSettings;
use crate::guard::Running;

/// How long records are written for a program that goes on.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens on SIGTERM and SIGINT; on Windows, on Ctrl-C and the like.
///
/// Whatever is chosen, a program that handles such a signal itself ends as it would without Spanscope: where a handler was
/// installed before `init()`, or was installed later and calls the handler that it found (`tokio::signal`,
/// `axum::serve(..).with_graceful_shutdown(..)`, `signal-hook`), the records are written and the process goes on. A handler
/// that was installed later and does not call ours has the signal alone, and so have `sigwait` and `signalfd`. A signal that
/// is ignored when `init()` is called stays ignored. It can't be told whether a handler that calls ours
/// expects the process to end; it is left to that handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signals {
    /// Everything is written, within the shutdown timeout, and, where no other handler has the signal, the process ends as
    /// the signal would have ended it. A second signal ends it at once.
    #[default]
    FlushAndEnd,
    /// Everything is written, and the process goes on, whoever else handles the signal.
    Flush,
    /// Nothing; the signals keep the meaning that they have.
    Off,
}

/// Starts to watch signals, and `abort`.
pub(crate) fn watch(settings: EndSettings, running: &Arc<Running>) -> io::Result<()> {
    let running = Arc::downgrade(running);
    let watched = signals::Settings {
        ends: settings.signals != Signals::Off,
        second_ends: settings.signals == Signals::FlushAndEnd,
        abort: settings.exit_timeout,
    };
    signals::watch(watched, move |caught| {
        let _quiet = suppress();
        let Some(running) = running.upgrade() else { return };
        match caught {
            Caught::Alone(signal) if settings.signals == Signals::FlushAndEnd => {
                running.end(settings.shutdown_timeout);
                signals::end_by(signal);
            }
            Caught::Alone(_) | Caught::Shared(_) => drop(running.flush(FLUSH_TIMEOUT)),
            Caught::Abort => {
                if let Err(left) = running.flush(settings.exit_timeout) {
                    log_to_stderr(format!("spanscope: the program aborts, and {left}"));
                }
            }
        }
    })
}
