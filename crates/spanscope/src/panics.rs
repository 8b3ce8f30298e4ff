//! Panics become ERROR events, before their message is printed.

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Weak};
use std::time::Duration;

use spanscope_core::capture::is_suppressed;

use crate::guard::Running;

/// How long a panic waits for the lines before it. It waits in vain if stderr is blocked; the
/// panic's own message then blocks anyway.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// How much of a backtrace `RUST_BACKTRACE` enables.
#[derive(Debug, Clone, Copy)]
enum Backtraces {
    /// The program's frames, as the standard library prints them.
    Short,
    /// All of it, with the frames of hooks and of the runtime.
    Full,
}

/// Installs a hook in front of the existing one.
pub(crate) fn install(running: &Arc<Running>) {
    if std::thread::panicking() {
        return; // the hook can't be changed now
    }
    let asked = std::env::var_os("RUST_BACKTRACE");
    let backtrace = asked.filter(|value| value != "0").map(|value| {
        if value == "full" {
            Backtraces::Full
        } else {
            Backtraces::Short
        }
    });
    let running = Arc::downgrade(running);
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A sink's thread is not the program's, and can't wait for itself.
        if !is_suppressed() {
            record(info, backtrace);
            drain(&running);
        }
        next(info);
    }));
}

/// Emits the event. Nothing here may panic: a panic in a hook aborts.
fn record(info: &PanicHookInfo<'_>, backtraces: Option<Backtraces>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("(the payload is not text)");
    let place = info.location();
    let file = place.map(std::panic::Location::file);
    let line = place.map(std::panic::Location::line);
    let column = place.map(std::panic::Location::column);
    let thread = std::thread::current();
    let thread_name = thread.name().unwrap_or("<unnamed>");
    let backtrace = backtraces.map(|backtraces| {
        let whole = std::backtrace::Backtrace::force_capture().to_string();
        match backtraces {
            Backtraces::Full => whole,
            Backtraces::Short => short(&whole).to_owned(),
        }
    });
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

/// Returns the frames between the standard library's marks around those of the program; all of them
/// without marks.
fn short(backtrace: &str) -> &str {
    let after = backtrace
        .find("__rust_end_short_backtrace")
        .and_then(|mark| Some(mark + backtrace[mark..].find('\n')? + 1));
    let mut rest = &backtrace[after.unwrap_or(0)..];
    // The location of the frame with the mark is on a separate line.
    while after.is_some() && rest.trim_start().starts_with("at ") {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    let before = rest
        .find("__rust_begin_short_backtrace")
        .and_then(|mark| Some(rest[..mark].rfind('\n')? + 1));
    &rest[..before.unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_short_backtrace_has_the_frames_of_the_program() {
        let whole = "   0: hook\n   1: a::__rust_end_short_backtrace::<b>\n             at c.rs:1\n   2: panicking\n   \
                     3: main\n             at main.rs:2\n   4: a::__rust_begin_short_backtrace\n   5: start\n";
        let program = "   2: panicking\n   3: main\n             at main.rs:2\n";
        assert_eq!(short(whole), program);
        assert_eq!(short("   0: main\n"), "   0: main\n");
        assert_eq!(short(""), "");
        assert_eq!(
            short("__rust_begin_short_backtrace"),
            "__rust_begin_short_backtrace"
        );
    }
}
