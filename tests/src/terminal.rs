//! Runs a program under a terminal, or with pipes, and returns what it wrote until it ended.
//!
//! The pseudo-terminal is the program's stdin, stdout and stderr. It is not its controlling
//! terminal, which no test needs and which `std` can't set without unsafe code: `/dev/tty` is not
//! this terminal. `rustix` suffices and is a dependency already; `portable-pty` and
//! `pty-process` have their own process types in place of `std`'s.
//!
//! A test that can't have a terminal fails, and nothing is skipped.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::PATIENCE;

/// Variables that change how a program writes to terminals. A program here has only those that the
/// test sets, not the developer's.
const SWITCHES: [&str; 8] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "FORCE_COLOR",
    "LINES",
    "NO_COLOR",
    "TERM",
];

/// The size of the screen that is read where the test sets a terminal of size 0, "unknown".
const DEFAULT_ROWS: NonZero<u16> = NonZero::new(24).unwrap();
const DEFAULT_COLS: NonZero<u16> = NonZero::new(80).unwrap();

/// How long the outputs of killed programs may take to be closed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// What a program showed on its terminal.
#[derive(Debug)]
pub struct Shown {
    /// All that it wrote, with the terminal's `\r\n` for each `\n`.
    pub raw: Vec<u8>,
    /// The rows that are visible at the end, without trailing white space and without empty rows
    /// below. What has scrolled off is only in `raw`.
    pub screen: Vec<String>,
    /// How it ended.
    pub status: ExitStatus,
}

/// What a program wrote into its pipes.
#[derive(Debug)]
pub struct Piped {
    /// Into stdout.
    pub stdout: Vec<u8>,
    /// Into stderr.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a program under a terminal of this size, with `TERM=xterm-256color` if the command sets no
/// other.
///
/// Panics if there can be no terminal, or if the program does not end within [`PATIENCE`].
#[must_use]
pub fn run(command: Command, rows: u16, cols: u16) -> Shown {
    run_within(PATIENCE, command, rows, cols).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Runs a program with an empty stdin and with pipes for stdout and stderr.
///
/// Panics if the program does not end within [`PATIENCE`].
#[must_use]
pub fn run_piped(command: Command) -> Piped {
    run_piped_within(PATIENCE, command).unwrap_or_else(|problem| panic!("{problem}"))
}

fn run_within(bound: Duration, mut command: Command, rows: u16, cols: u16) -> Result<Shown, String> {
    let (ours, theirs) =
        open(rows, cols).map_err(|error| format!("this machine gives no pseudo-terminal: {error}"))?;
    let copy = || theirs.try_clone().map_err(|error| error.to_string());
    command.stdin(copy()?).stdout(copy()?).stderr(theirs);
    set_switches(&mut command, Some("xterm-256color"));
    let (mut child, name) = start(command)?;
    let outputs: [Box<dyn Read + Send>; 1] = [Box::new(File::from(ours))];
    let (status, [raw]) = finish(bound, &mut child, &name, outputs)?;
    Ok(Shown {
        screen: screen(&raw, rows, cols),
        raw,
        status,
    })
}

fn run_piped_within(bound: Duration, mut command: Command) -> Result<Piped, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    set_switches(&mut command, None);
    let (mut child, name) = start(command)?;
    let outputs: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().ok_or("no stdout")?),
        Box::new(child.stderr.take().ok_or("no stderr")?),
    ];
    let (status, [stdout, stderr]) = finish(bound, &mut child, &name, outputs)?;
    Ok(Piped {
        stdout,
        stderr,
        status,
    })
}

/// Opens a terminal. Returns the end of the test, and the end of the program.
fn open(rows: u16, cols: u16) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    // Programs that other tests start meanwhile may inherit this end for a moment. Only the other
    // end would keep the test waiting, and that one is always close-on-exec.
    rustix::io::fcntl_setfd(&ours, FdFlags::CLOEXEC)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let size = Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&ours, size)?;
    Ok((ours, theirs))
}

fn set_switches(command: &mut Command, term: Option<&str>) {
    for switch in SWITCHES {
        if command.get_envs().any(|(name, _)| name == switch) {
            continue;
        }
        match term.filter(|_| switch == "TERM") {
            Some(term) => command.env(switch, term),
            None => command.env_remove(switch),
        };
    }
}

/// Starts it in a new process group, so that its children can be killed with it. Drops the command,
/// and with it this process's copies of the terminal's other end.
fn start(mut command: Command) -> Result<(Child, String), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.process_group(0).spawn() {
        Ok(child) => Ok((child, name)),
        Err(error) => Err(format!("can't start {name}: {error}")),
    }
}

/// Waits until no process has the outputs open and the program has ended; kills it at the limit.
fn finish<const N: usize>(
    bound: Duration,
    child: &mut Child,
    name: &str,
    outputs: [Box<dyn Read + Send>; N],
) -> Result<(ExitStatus, [Vec<u8>; N]), String> {
    let deadline = Instant::now() + bound;
    let (sender, receiver) = mpsc::channel();
    for (index, mut output) in outputs.into_iter().enumerate() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Some(taken) = read_some(&mut output, &mut buffer)
                && sender.send((index, buffer[..taken].to_vec())).is_ok()
            {}
        });
    }
    drop(sender);
    let mut written = [const { Vec::new() }; N];
    let closed = collect(&receiver, &mut written, deadline);
    let status = if closed { wait(child, deadline) } else { None };
    if let Some(status) = status {
        return Ok((status, written));
    }
    let why = match child.try_wait() {
        Ok(Some(_)) => "has ended, but one of its children still has its output open",
        _ => "has not ended",
    };
    kill(child);
    let killed = match collect(&receiver, &mut written, Instant::now() + AFTER_KILL) {
        true => "killed",
        false => "killed, but its children are still running",
    };
    let so_far = written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Err(format!(
        "{killed}: after {bound:?} {name} {why}; it wrote {so_far:?}"
    ))
}

/// Reads once; returns `None` at the end, which a terminal reports as an error.
fn read_some(output: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match output.read(buffer) {
            Ok(0) => return None,
            Ok(taken) => return Some(taken),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return None,
            Err(error) => panic!("can't read what the program writes: {error}"),
        }
    }
}

/// Whether all outputs were closed before the deadline.
fn collect(receiver: &Receiver<(usize, Vec<u8>)>, written: &mut [Vec<u8>], deadline: Instant) -> bool {
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((index, bytes)) => written[index].extend(bytes),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
        // A program that writes without a pause never lets the wait above time out.
        if Instant::now() >= deadline {
            return false;
        }
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            ended => return ended.unwrap(),
        }
    }
}

fn kill(child: &mut Child) {
    // The number belongs to this group as long as the child is not waited for or another process is
    // in it; without a group there is nothing left to kill.
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    child.wait().unwrap();
}

fn screen(raw: &[u8], rows: u16, cols: u16) -> Vec<String> {
    let known = |size, default| NonZero::new(size).unwrap_or(default);
    let (rows, cols) = (known(rows, DEFAULT_ROWS), known(cols, DEFAULT_COLS));
    let mut terminal = vt100::Parser::new(rows, cols, 0);
    terminal.process(raw);
    let mut screen: Vec<String> = terminal
        .screen()
        .rows(0, cols.get())
        .map(|row| row.trim_end().to_owned())
        .collect();
    let used = screen
        .iter()
        .rposition(|row| !row.is_empty())
        .map_or(0, |last| last + 1);
    screen.truncate(used);
    screen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_sees_a_terminal_of_this_size_on_all_three_streams() {
        let shown = run(
            sh("stty size; for fd in 0 1 2; do test -t $fd && echo $fd; done; stty size <&2 >&2"),
            7,
            33,
        );
        assert_eq!(shown.screen, ["7 33", "0", "1", "2", "7 33"]);
        assert!(shown.status.success());
    }

    #[test]
    fn the_screen_is_the_result_of_the_escape_codes() {
        let shown = run(
            sh(r"printf 'one\033[31m red\033[0m\nno\033[1K\rtwo  \n1234567890abc'; exit 3"),
            5,
            10,
        );
        assert_eq!(shown.screen, ["one red", "two", "1234567890", "abc"]);
        let raw = String::from_utf8(shown.raw).unwrap();
        assert!(raw.starts_with("one\x1b[31m red\x1b[0m\r\n"), "{raw:?}");
        assert_eq!(shown.status.code(), Some(3));
    }

    #[test]
    fn a_terminal_of_unknown_size_still_shows_output() {
        assert_eq!(run(sh("stty size"), 0, 0).screen, ["0 0"]);
    }

    #[test]
    fn all_output_is_read_and_the_screen_shows_its_end() {
        let shown = run(sh("seq 1 50000"), 4, 20);
        let raw = String::from_utf8(shown.raw).unwrap();
        assert_eq!(raw.lines().count(), 50_000);
        assert_eq!(shown.screen, ["49998", "49999", "50000"]);
    }

    #[test]
    fn only_the_variables_of_the_test_are_set() {
        let print = "echo ${TERM-none} ${NO_COLOR-none} ${COLUMNS-none}";
        assert_eq!(run(sh(print), 3, 40).screen, ["xterm-256color none none"]);
        let mut command = sh(print);
        command.env("NO_COLOR", "1").env("TERM", "dumb");
        assert_eq!(run(command, 3, 40).screen, ["dumb 1 none"]);
    }

    #[test]
    fn pipes_are_not_terminals_and_are_kept_separate() {
        let piped = run_piped(sh(
            "test -t 1 || echo out; test -t 2 || echo err >&2; cat; echo ${TERM-none}; seq 1 50000 >&2",
        ));
        assert_eq!(piped.stdout, b"out\nnone\n");
        assert!(piped.stderr.starts_with(b"err\n1\n") && piped.stderr.ends_with(b"\n50000\n"));
        assert!(piped.status.success());
    }

    #[test]
    fn a_program_that_never_ends_is_killed_with_its_children() {
        let bound = Duration::from_millis(300);
        let start = Instant::now();
        for script in [
            "echo so far; sleep 1000",
            "echo so far; sleep 1000 & wait",
            "echo so far; while true; do :; done",
            "echo so far; exec >/dev/null 2>&1 </dev/null; sleep 1000",
            "echo so far; sleep 1000 & exit",
        ] {
            for problem in [
                run_within(bound, sh(script), 5, 80).unwrap_err(),
                run_piped_within(bound, sh(script)).unwrap_err(),
            ] {
                assert!(problem.starts_with("killed: after 300ms sh has "), "{problem}");
                assert!(problem.contains("so far"), "{problem}");
            }
        }
        let endless = run_within(bound, sh("while true; do echo yes; done"), 5, 80).unwrap_err();
        assert!(endless.contains("yes"));
        assert!(start.elapsed() < PATIENCE);
    }

    #[test]
    fn a_missing_program_is_named() {
        let problem = run_within(PATIENCE, Command::new("no-such-program-of-spanscope"), 5, 80).unwrap_err();
        assert!(
            problem.contains("can't start no-such-program-of-spanscope"),
            "{problem}"
        );
        run_piped_within(PATIENCE, Command::new("no-such-program-of-spanscope")).unwrap_err();
    }
}
