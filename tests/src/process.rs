//! Programs that run during a test: signals to them, and their end.

use std::process::{Child, ExitStatus};

use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// Sends a signal to a program that has not been waited for.
pub fn send_signal(child: &Child, signal: Signal) {
    // No other process can have the number before the child is waited for.
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Sends a signal to this process. SIGKILL does not return.
pub fn send_signal_to_self(signal: Signal) {
    kill_process(rustix::process::getpid(), signal).unwrap();
}

/// Waits until the program has ended by itself; panics after [`PATIENCE`](crate::PATIENCE).
pub fn end_of(child: &mut Child, what: &str) -> ExitStatus {
    crate::wait_for(&format!("the end of {what}"), || child.try_wait().unwrap())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_signal_reaches_the_program_and_its_end_is_seen() {
        for signal in [Signal::TERM, Signal::INT] {
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            assert_eq!(child.try_wait().unwrap(), None);
            send_signal(&child, signal);
            assert_eq!(end_of(&mut child, "sleep").signal(), Some(signal.as_raw()));
        }
    }
}
