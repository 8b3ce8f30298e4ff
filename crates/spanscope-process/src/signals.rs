//! Signals that end a program, and `abort`: a thread is notified, and other handlers of the signal
//! keep working.
//!
//! Our handler is installed only if the signal would end the process. It writes a byte into a pipe;
//! a thread reads the byte and does the work, which a handler may not do. What can be known about
//! other handlers of the same signal:
//!
//! - Ours calls one that was installed before, with its flags, and leaves the signal to it.
//! - One that was installed later and calls ours, as those of `tokio` and `signal-hook` do, is
//!   detected when the signal arrives: the process's handler is no longer ours. The signal is left
//!   to it too.
//! - One that was installed later and doesn't call ours replaces it, and ours never runs.
//! - A signal that was ignored before stays ignored.
//! - A signal that all threads of the program block is left to `sigwait` or `signalfd`: threads of
//!   the library block it too, see [`without_signals`](crate::without_signals).
//!
//! Whether a handler that calls ours wants the process to end can't be known. It is assumed not to.
//!
//! `signal-hook` can't be used for this: its handler is the same function for all its users, so two
//! users look like one.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

pub use libc::{SIGABRT, SIGINT, SIGTERM};

/// A notification for the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// A signal that would end the process, without another handler. The process continues until
    /// [`end_by`] is called; the same or another such signal ends it at once.
    Unhandled(i32),
    /// A signal that the program handles as well. That handler decides whether the process ends.
    Handled(i32),
    /// The program aborts. The aborting thread waits for the work, for a bounded time.
    Abort,
}

/// The watched signals, and the state of each.
const WATCHED: [i32; 3] = [SIGTERM, SIGINT, SIGABRT];
static BEFORE: [OnceLock<libc::sigaction>; 3] = [const { OnceLock::new() }; 3];

/// The end of the pipe that handlers write to; -1 if no thread of this process reads it.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// Whether a signal that is to end the process was caught before.
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// Whether a signal without another handler ends the process.
static ENDS: AtomicBool = AtomicBool::new(true);
static IS_ABORTING: AtomicBool = AtomicBool::new(false);
static ABORT_DONE: AtomicBool = AtomicBool::new(false);
/// How long an aborting thread waits, in milliseconds.
static ABORT_MILLIS: AtomicU32 = AtomicU32::new(0);

/// How SIGTERM, SIGINT and SIGABRT are watched.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether SIGTERM and SIGINT are watched.
    pub ends: bool,
    /// Whether a second SIGTERM or SIGINT, which no other handler has, ends the process while the
    /// first is worked on.
    pub second_ends: bool,
    /// How long an aborting thread waits for the work on [`Caught::Abort`]; not watched where it is
    /// zero.
    pub abort: Duration,
}

/// Starts a thread that is notified of the handlers' signals, and installs the handlers. Call it
/// once per process; after a fork, call it again in the child.
///
/// # Errors
/// Fails if no pipe or thread can be created, or the system refuses a handler.
pub fn watch(settings: Settings, mut work: impl FnMut(Caught) + Send + 'static) -> io::Result<()> {
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;

    let (mut reader, writer) = io::pipe()?;
    crate::fork::watch()?;
    ENDS.store(settings.second_ends, Ordering::Relaxed);
    let millis = u32::try_from(settings.abort.as_millis()).unwrap_or(u32::MAX);
    ABORT_MILLIS.store(millis, Ordering::Relaxed);
    IS_ENDING.store(false, Ordering::Relaxed);
    let thread = std::thread::Builder::new().name("spanscope-signals".to_owned());
    crate::without_signals(|| {
        thread.spawn(move || {
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() {
                let caught = decode(byte[0]);
                work(caught);
                if caught == Caught::Abort {
                    ABORT_DONE.store(true, Ordering::Release);
                }
            }
        })
    })?;
    // Never closed: a handler may run at any time until the process is gone.
    PIPE.store(writer.into_raw_fd(), Ordering::Release);
    for signal in WATCHED {
        let is_wanted = if signal == SIGABRT {
            millis > 0
        } else {
            settings.ends
        };
        if is_wanted {
            install(signal)?;
        }
    }
    Ok(())
}

/// Ends the process as the signal would have ended it.
pub fn end_by(signal: i32) {
    set_default(signal);
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `raise`")]
    // SAFETY: the set is initialised by `sigemptyset`; the rest takes numbers.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        libc::raise(signal);
    }
}

/// Removes the handlers unless others have replaced them, so that signals have their original
/// effect again.
pub fn stop() {
    for signal in [SIGTERM, SIGINT] {
        if let Some(before) = before(signal)
            && is_ours(signal)
        {
            #[expect(unsafe_code, reason = "the standard library has no wrapper of `sigaction`")]
            // SAFETY: `before` is what the system gave for this signal.
            unsafe {
                libc::sigaction(signal, before, ptr::null_mut());
            }
        }
    }
    ENDS.store(false, Ordering::Relaxed);
}

/// Runs in the child of a fork: the thread does not exist, and the pipe is the parent's, which
/// would take the child's signals for its own.
pub(crate) fn forget_thread() {
    PIPE.store(-1, Ordering::Relaxed);
    IS_ENDING.store(false, Ordering::Relaxed);
}

/// Blocks all signals on this thread except those that its own faults raise; dropping it restores
/// the previous mask.
pub(crate) struct Blocked {
    before: libc::sigset_t,
    /// A signal mask belongs to its thread.
    _of_thread: PhantomData<*const ()>,
}

impl Blocked {
    pub(crate) fn all() -> Self {
        #[expect(
            unsafe_code,
            reason = "the standard library has no wrapper of `pthread_sigmask`"
        )]
        // SAFETY: the sets are initialised by `sigfillset` and `sigemptyset`; the rest takes
        // numbers.
        let before = unsafe {
            let mut set = MaybeUninit::uninit();
            let mut before = MaybeUninit::uninit();
            libc::sigfillset(set.as_mut_ptr());
            libc::sigemptyset(before.as_mut_ptr());
            for fault in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGTRAP,
                libc::SIGABRT,
            ] {
                libc::sigdelset(set.as_mut_ptr(), fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self {
            before,
            _of_thread: PhantomData,
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        #[expect(
            unsafe_code,
            reason = "the standard library has no wrapper of `pthread_sigmask`"
        )]
        // SAFETY: the set is one that the system returned.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut());
        }
    }
}

fn before(signal: i32) -> Option<&'static libc::sigaction> {
    let place = WATCHED.iter().position(|watched| *watched == signal)?;
    BEFORE.get(place)?.get()
}

/// Returns the address of the handler, as the system knows it.
fn ours() -> libc::sighandler_t {
    handle as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) as libc::sighandler_t
}

/// Returns the process's handler of a signal.
fn current(signal: i32) -> Option<libc::sigaction> {
    let mut current = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `sigaction`")]
    // SAFETY: without a new action this only writes the present one, and it may be called from a
    // handler.
    unsafe {
        (libc::sigaction(signal, ptr::null(), current.as_mut_ptr()) == 0).then(|| current.assume_init())
    }
}

fn is_ours(signal: i32) -> bool {
    current(signal).is_some_and(|current| current.sa_sigaction == ours())
}

fn is_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// Replaces the existing handler with ours, unless the signal is ignored.
fn install(signal: i32) -> io::Result<()> {
    let Some(place) = WATCHED.iter().position(|watched| *watched == signal) else {
        return Ok(());
    };
    let found = current(signal).ok_or_else(io::Error::last_os_error)?;
    // A handler that is called once and then removed can't be wrapped. In the child of a fork ours
    // is installed already.
    let is_left_alone = found.sa_sigaction == libc::SIG_IGN
        || found.sa_flags & libc::SA_RESETHAND != 0
        || found.sa_sigaction == ours();
    if is_left_alone {
        return Ok(());
    }
    let mut new = found;
    new.sa_sigaction = ours();
    // The other handler's restart behaviour is kept; without one, no call is interrupted.
    new.sa_flags |= libc::SA_SIGINFO
        | if is_handler(&found) {
            0
        } else {
            libc::SA_RESTART | libc::SA_ONSTACK
        };
    // Set first: the handler may run before `sigaction` returns.
    let _ = BEFORE[place].set(found);
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `sigaction`")]
    // SAFETY: the handler has the signature that SA_SIGINFO requires, and does only what a handler
    // may.
    let result = unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_default(signal: i32) {
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `signal`")]
    // SAFETY: the default action is valid for any signal, and `signal` may be called from a
    // handler.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// The signal handler. It calls only what POSIX allows in handlers, and preserves `errno`.
extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let errno = io::Error::last_os_error();
    let other = before(signal).filter(|before| is_handler(before));
    let is_shared = other.is_some() || !is_ours(signal);
    if signal == SIGABRT {
        wait_before_abort();
    } else if is_shared {
        notify_thread(encode(Caught::Handled(signal)));
    } else if (PIPE.load(Ordering::Acquire) < 0 || IS_ENDING.swap(true, Ordering::AcqRel))
        && ENDS.load(Ordering::Relaxed)
    {
        die(signal);
    } else {
        notify_thread(encode(Caught::Unhandled(signal)));
    }
    match other {
        Some(other) => call(other, signal, info, context),
        None if signal == SIGABRT && !is_shared => die(signal),
        None => {}
    }
    restore_errno(errno.raw_os_error().unwrap_or(0));
}

/// Makes the signal end the process as soon as its handler returns.
fn die(signal: i32) {
    set_default(signal);
    #[expect(unsafe_code, reason = "the standard library has no wrapper of `raise`")]
    // SAFETY: `raise` takes a number and may be called from a handler.
    unsafe {
        libc::raise(signal);
    }
}

/// Waits until recorded data is written. The aborting thread can't do more: it may hold any lock.
fn wait_before_abort() {
    if IS_ABORTING.swap(true, Ordering::AcqRel) || !notify_thread(encode(Caught::Abort)) {
        return;
    }
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    for _ in 0..ABORT_MILLIS.load(Ordering::Relaxed) {
        if ABORT_DONE.load(Ordering::Acquire) {
            return;
        }
        #[expect(
            unsafe_code,
            reason = "`std::thread::sleep` is not promised to be allowed in a handler"
        )]
        // SAFETY: `nanosleep` may be called from a handler and only reads the time.
        unsafe {
            libc::nanosleep(&raw const pause, ptr::null_mut());
        }
    }
}

/// Writes a byte to the thread; returns `false` if there is none.
fn notify_thread(byte: u8) -> bool {
    let pipe = PIPE.load(Ordering::Acquire);
    if pipe < 0 {
        return false;
    }
    #[expect(
        unsafe_code,
        reason = "writers of the standard library are not promised to be allowed in a handler"
    )]
    // SAFETY: `write` may be called from a handler, and reads one byte that lives as long as the
    // call.
    let written = unsafe { libc::write(pipe, (&raw const byte).cast(), 1) };
    written == 1
}

/// Calls the handler that was installed before ours.
fn call(action: &libc::sigaction, signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    #[expect(
        unsafe_code,
        reason = "a handler is an address for the system and a function for us"
    )]
    // SAFETY: the system held this as a handler with these flags, which determine its signature.
    unsafe {
        if action.sa_flags & libc::SA_SIGINFO == 0 {
            let handler: extern "C" fn(i32) = std::mem::transmute(action.sa_sigaction);
            handler(signal);
        } else {
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(action.sa_sigaction);
            handler(signal, info, context);
        }
    }
}

fn restore_errno(errno: i32) {
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as location;
    #[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "hurd"))]
    use libc::__errno_location as location;
    #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
    use libc::__error as location;
    #[expect(
        unsafe_code,
        reason = "the standard library can read `errno` and not write it"
    )]
    // SAFETY: the pointer is to this thread's own number.
    unsafe {
        *location() = errno;
    }
}

const SHARED: u8 = 0x80;
const ABORT: u8 = 0x7f;

/// A signal's number is below 65.
fn encode(caught: Caught) -> u8 {
    let number = |signal: i32| u8::try_from(signal).unwrap_or(0);
    match caught {
        Caught::Unhandled(signal) => number(signal),
        Caught::Handled(signal) => number(signal) | SHARED,
        Caught::Abort => ABORT,
    }
}

fn decode(byte: u8) -> Caught {
    if byte == ABORT {
        Caught::Abort
    } else if byte & SHARED == 0 {
        Caught::Unhandled(i32::from(byte))
    } else {
        Caught::Handled(i32::from(byte & !SHARED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_decodes_what_a_handler_encodes() {
        for caught in [
            Caught::Abort,
            Caught::Unhandled(SIGTERM),
            Caught::Handled(SIGINT),
            Caught::Handled(64),
        ] {
            assert_eq!(decode(encode(caught)), caught);
        }
    }
}
