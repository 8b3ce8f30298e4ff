//! The console, the log file and the levels, from outside: programs in other processes, with
//! terminals, pipes and files.

mod blocked;
mod captured;
mod changes;
mod errors;
mod everyday;
mod file;
mod flood;
mod hostile;
mod levels;
mod settings;
mod shapes;
mod synchronous;
mod terminal;
mod with_fmt;
mod without_effect;
mod words;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, PipeWriter, Read as _, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use spanscope_model::{LogEvent, LogFilter, Span, SpanFilter, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::terminal::{Piped, Shown, run, run_piped};
use spanscope_tests::wait_for;

/// Variables that would change what a program does, if the developer has set them.
const SETTINGS: [&str; 21] = [
    "TELEMETRY_SINKS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "SQLITE_STORE_DIR",
    "LLAMA_STACK_LOGGING",
    "LLAMA_STACK_LOG_FILE",
    "LLAMA_STACK_LOG_WIDTH",
    "RUST_LOG",
    "SPANSCOPE_CONFIG",
    "RUST_BACKTRACE",
    "OTEL_SDK_DISABLED",
    "SPANSCOPE_CONSOLE",
    "SPANSCOPE_CONSOLE_LEVELS",
    "SPANSCOPE_CONSOLE_MARKUP",
    "SPANSCOPE_CONSOLE_SYNC",
    "SPANSCOPE_CONSOLE_HYPERLINKS",
    "TERM_PROGRAM",
    "VTE_VERSION",
    "WT_SESSION",
    "KONSOLE_VERSION",
];

/// The program `console`, about to run in a temporary folder.
struct Program {
    folder: tempfile::TempDir,
    command: Command,
}

/// A program that has ended: its output and its folder.
struct Ended {
    folder: tempfile::TempDir,
    /// The part of stderr that its console wrote.
    console: String,
    /// The output of the program itself.
    stdout: String,
    status: ExitStatus,
}

/// `console init WORK...`: `spanscope::init()` with the environment.
fn program(work: &[&str]) -> Program {
    Program::new("init", work)
}

/// `console built WORK...`: the builder, with the environment and the `CODE_` variables.
fn built(work: &[&str]) -> Program {
    Program::new("built", work)
}

impl Program {
    fn new(setup: &str, work: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_console"));
        command.arg(setup).args(work);
        for name in SETTINGS {
            command.env_remove(name);
        }
        command.env("SQLITE_STORE_DIR", folder.path().join("store"));
        command.env("LLAMA_STACK_LOG_WIDTH", "1000");
        Self { folder, command }
    }

    fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it with pipes; it must succeed.
    fn run(self) -> Ended {
        let ended = self.run_to_any_end();
        assert!(ended.status.success(), "{:?}: {}", ended.status, ended.console);
        ended
    }

    fn run_to_any_end(self) -> Ended {
        let Piped {
            stdout,
            stderr,
            status,
        } = run_piped(self.command);
        Ended {
            folder: self.folder,
            console: String::from_utf8(stderr).unwrap(),
            stdout: String::from_utf8(stdout).unwrap(),
            status,
        }
    }

    /// Starts it with pipes that are not read yet.
    fn start(mut self) -> Running {
        self.command.stderr(Stdio::piped());
        self.start_with_stderr()
    }

    /// Starts it with this end of a pipe as its stderr.
    fn start_into(mut self, stderr: PipeWriter) -> Running {
        self.command.stderr(stderr);
        self.start_with_stderr()
    }

    fn start_with_stderr(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        Running {
            folder: self.folder,
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn run_under_terminal(self, columns: u16) -> Shown {
        let shown = run(self.command, 50, columns);
        assert!(shown.status.success(), "{shown:?}");
        shown
    }
}

/// A program that has not ended. Dropped, it is killed.
struct Running {
    folder: tempfile::TempDir,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Waits until it reports that its work is done.
    fn wait_worked(&mut self) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "worked\n");
    }

    /// Lets it continue after a wait.
    fn release(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
    }

    /// Reads its output from now on, until it ends.
    fn read_to_end(mut self) -> Ended {
        let mut stderr = self.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut console = String::new();
            stderr.read_to_string(&mut console).map(|_| console)
        });
        let status = self.wait();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Ended {
            folder,
            console: reader.join().unwrap().unwrap(),
            stdout,
            status,
        }
    }

    /// Waits until it has ended, and reads nothing.
    fn wait(&mut self) -> ExitStatus {
        wait_for("the program to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    fn store(&self) -> Store {
        Store::at(&self.folder.path().join("store").join("trace_store.db"))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Counts the occurrences of a text on the console.
    fn count(&self, text: &str) -> usize {
        self.console.matches(text).count()
    }

    /// Returns the first line with this text.
    fn line(&self, text: &str) -> &str {
        let mut lines = self.console.lines();
        lines
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("no {text:?} in {}", self.console))
    }
}

/// The records that a program has stored.
struct Store {
    spans: Vec<Span>,
    logs: Vec<LogEvent>,
}

impl Store {
    fn at(path: &Path) -> Self {
        let store = SqliteStore::open(path).unwrap();
        let spans = block_on(store.list_spans(SpanFilter::default().limit(10_000)));
        let logs = block_on(store.list_logs(LogFilter::default().limit(10_000)));
        Self {
            spans: spans.unwrap(),
            logs: logs.unwrap(),
        }
    }

    fn messages(&self) -> Vec<&str> {
        self.logs.iter().map(|log| log.message.as_str()).collect()
    }

    fn span(&self, name: &str) -> &Span {
        self.spans.iter().find(|span| span.name == name).unwrap()
    }
}

/// Returns the account of a sink, from the last line that the program printed about it: offered,
/// stored, lost because the queue was full, lost because they could not be written.
fn account(stdout: &str, sink: &str) -> [u64; 4] {
    let mut lines = stdout.lines().rev();
    let line = lines.find_map(|line| line.strip_prefix(sink)).unwrap();
    let numbers: Vec<u64> = line
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

/// Lines as a very wide terminal shows them: escape codes are obeyed.
fn plain_lines(raw: &[u8], columns: u16) -> Vec<String> {
    let [rows, columns] = [2_000, columns].map(|size| NonZero::new(size).unwrap());
    let mut screen = vt100::Parser::new(rows, columns, 0);
    screen.process(raw);
    let rows: Vec<String> = screen
        .screen()
        .rows(0, columns.get())
        .map(|row| row.trim_end().to_owned())
        .collect();
    let used = rows.iter().rposition(|row| !row.is_empty());
    rows[..used.map_or(0, |last| last + 1)].to_vec()
}

/// Whether a line begins an entry: a level, padded to eight columns, and a time.
fn begins_entry(line: &str) -> bool {
    const LEVELS: [&str; 6] = [
        "VERBOSE ", "DEBUG   ", "INFO    ", "WARN    ", "ERROR   ", "CRITICAL",
    ];
    let is_time = |text: &str| {
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        shape == "00:00:00.000"
    };
    LEVELS.iter().any(|level| line.starts_with(level)) && line.get(9..21).is_some_and(is_time)
}
