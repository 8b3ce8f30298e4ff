//! Panics become ERROR events, before their message is printed.

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Weak};
use std::time::Duration;

use spanscope_core::capture::is_suppressed;

use crate::guard::Running;

/// How long a panic waits for the lines before it. It waits in vain where stderr is blocked; the panic's own message then
/// blocks anyway.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Puts a hook in front of the one that is there.
pub(crate) fn install(running: &Arc<Running>) {
    if std::thread::panicking() {
        return; // the hook can't be changed now
    }
    let with_backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let running = Arc::downgrade(running);
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A sink's thread is not the program's, and can't wait for itself.
        if !is_suppressed() {
            record(info, with_backtrace);
            drain(&running);
        }
        next(info);
    }));
}

/// Emits the event. Nothing here may panic: a panic in a hook aborts.
fn record(info: &PanicHookInfo<'_>, with_backtrace: bool) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("(the payload is no text)");
    let place = info.location();
    let file = place.map(std::panic::Location::file);
    let line = place.map(std::panic::Location::line);
    let column = place.map(std::panic::Location::column);
    let thread = std::thread::current();
    let thread_name = thread.name().unwrap_or("<unnamed>");
    let backtrace =
        with_backtrace.then(|| tracing::field::display(std::backtrace::Backtrace::force_capture()));
    tracing::error!(
        target: "panic",
        {
            "exception.type" = "panic",
            exception.message = message,
            exception.stacktrace = backtrace,
            code.file.path = file,
            code.line.number = line,
            code.column.number = column,
            thread.name = thread_name,
        },
        "thread '{thread_name}' panicked at {}: {message}",
        place.map_or_else(|| "an unknown place".to_owned(), ToString::to_string),
    );
}

fn drain(running: &Weak<Running>) {
    if let Some(running) = running.upgrade() {
        running.flush_lines(DRAIN_TIMEOUT);
        if cfg!(panic = "abort") && !cfg!(unix) {
            // Nothing runs between this hook and the abort there.
            let _ = running.flush(crate::DEFAULT_EXIT_TIMEOUT);
        }
    }
}
