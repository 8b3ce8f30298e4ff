//! Ctrl-C, Ctrl-Break, closing of the console window, log-off and shutdown, as Windows reports them
//! to console programs.
//!
//! Handlers form a stack: the newest is called first, and one that returns "handled" hides the
//! event from those below. So a handler of the program that was installed later replaces ours, and
//! one that was installed before is called after ours, which never returns "handled". The last one,
//! the system's, ends the process.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::core::BOOL;

/// A notification for the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// Never occurs on Windows.
    Unhandled(i32),
    /// The number of an event; another handler or the system decides about the process after the
    /// work.
    Handled(i32),
    /// Never occurs on Windows.
    Abort,
}

/// How events are watched.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether the events are watched.
    pub ends: bool,
    /// Has no effect on Windows.
    pub second_ends: bool,
    /// Has no effect on Windows: programs are not notified of their abort.
    pub abort: Duration,
}

type Work = Box<dyn FnMut(Caught) + Send>;
static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// Registers the work to do when an event occurs, on a thread of the system, before the next
/// handler runs.
///
/// # Errors
/// Fails if the system refuses the handler.
pub fn watch(settings: Settings, work: impl FnMut(Caught) + Send + 'static) -> io::Result<()> {
    if !settings.ends {
        return Ok(());
    }
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
    #[expect(
        unsafe_code,
        reason = "the standard library has no wrapper of `SetConsoleCtrlHandler`"
    )]
    // SAFETY: the handler is a function of this program with the required signature, and never
    // unwinds.
    let result = unsafe { SetConsoleCtrlHandler(Some(handle), 1) };
    if result == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Does nothing: the next handler runs when ours returns.
pub fn end_by(_: i32) {}

/// Stops the work from now on.
pub fn stop() {
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

#[expect(unsafe_code, reason = "the signature that the system asks for")]
unsafe extern "system" fn handle(event: u32) -> BOOL {
    let _ = std::panic::catch_unwind(|| {
        let mut work = WORK.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = &mut *work {
            work(Caught::Handled(event.cast_signed()));
        }
    });
    0
}
