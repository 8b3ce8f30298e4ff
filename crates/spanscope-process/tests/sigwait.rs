//! A program that blocks SIGTERM on its threads and waits for it with `sigwait` gets it, whatever
//! threads a library has.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(unix)]
fn main() {
    if std::env::args().any(|argument| argument == "--child") {
        unix::child();
    } else {
        unix::test();
    }
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::mem::MaybeUninit;
    use std::process::{Command, Stdio};

    /// The child's exit code if no handler has the signal.
    const WAITED: i32 = 7;

    pub(crate) fn child() {
        let _guard = spanscope::init();
        tracing::info!("all threads of the library run");
        let mut signal = 0;
        #[expect(unsafe_code, reason = "the standard library has no wrapper of `sigwait`")]
        // SAFETY: the set is initialised by `sigemptyset`, and the number is written before it is
        // read.
        let result = unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            println!("ready");
            std::io::stdout().flush().unwrap();
            libc::sigwait(set.as_ptr(), &raw mut signal)
        };
        assert_eq!((result, signal), (0, libc::SIGTERM));
        std::process::exit(WAITED);
    }

    pub(crate) fn test() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--child")
            .env("TELEMETRY_SINKS", "console,sqlite")
            .env("SQLITE_STORE_DIR", folder.path())
            .env_remove("SPANSCOPE_CONFIG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        #[expect(
            unsafe_code,
            reason = "the standard library can kill a child by SIGKILL alone"
        )]
        // SAFETY: `kill` takes numbers, and the child was not waited for, so the number is its own.
        let result = unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        assert_eq!(result, 0);
        let status = child.wait().unwrap();
        assert_eq!(
            status.code(),
            Some(WAITED),
            "the signal went to another thread: {status}"
        );
    }
}
