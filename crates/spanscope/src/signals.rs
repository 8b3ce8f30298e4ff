//! SIGTERM and SIGINT: records are written, and the program ends as it would without us.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use spanscope_core::queue::log_to_stderr;
use spanscope_layers::suppress;
use spanscope_process::signals::{self, Caught};

use crate::guard::Running;
use crate::process_end::EndSettings;

/// How long records are written for a program that continues.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens on SIGTERM and SIGINT; on Windows, on Ctrl-C and similar events.
///
/// With every setting, a program that handles such a signal itself ends as it would without
/// Spanscope: if a handler was installed before `init()`, or was installed later and calls the
/// previous handler (`tokio::signal`, `axum::serve(..).with_graceful_shutdown(..)`, `signal-hook`),
/// the records are written and the process continues. A handler that was installed later and does
/// not call ours replaces it, and so do `sigwait` and `signalfd`. A signal that is ignored when
/// `init()` is called stays ignored. Spanscope can't know whether a handler that calls ours expects
/// the process to end; it leaves that to the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Signals {
    /// Writes everything within the shutdown timeout, and, if no other handler has the signal, ends
    /// the process as the signal would have. A second signal ends it at once.
    #[default]
    FlushAndEnd,
    /// Writes everything, and the process continues, independent of other handlers.
    Flush,
    /// Does nothing; the signals keep their effect.
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
            Caught::Unhandled(signal) if settings.signals == Signals::FlushAndEnd => {
                running.end(settings.shutdown_timeout);
                signals::end_by(signal);
            }
            Caught::Unhandled(_) | Caught::Handled(_) => drop(running.flush(FLUSH_TIMEOUT)),
            Caught::Abort => {
                if let Err(left) = running.flush(settings.exit_timeout) {
                    log_to_stderr(format!("spanscope: the program aborts, and {left}"));
                }
            }
        }
    })
}
