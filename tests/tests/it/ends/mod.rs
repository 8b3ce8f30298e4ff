//! Ends of programs, and the records that the console, the log file and the store then have.

mod exit;
mod forks;
mod panics;
mod signals;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rusqlite::Connection;
use spanscope_tests::program_without_settings;
use spanscope_tests::terminal::{Piped, run_piped};

/// The program `ends`, about to run in a temporary folder.
struct Program {
    folder: tempfile::TempDir,
    command: Command,
}

/// A program that has ended.
struct Ended {
    folder: tempfile::TempDir,
    stderr: String,
    status: ExitStatus,
}

fn program(scenario: &str) -> Program {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_ends"));
    command
        .arg(scenario)
        .env("SQLITE_STORE_DIR", folder.path())
        .env("LLAMA_STACK_LOG_FILE", folder.path().join("program.log"))
        .env("LLAMA_STACK_LOG_WIDTH", "1000");
    Program { folder, command }
}

impl Program {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs another build of the program.
    fn built_as(self, path: &OsStr) -> Self {
        self.through_shell_with(path, "exec \"$0\" \"$@\"")
    }

    /// Has a shell run the script, with the program and its arguments as `$0` and `$@`.
    fn through_shell(self, script: &str) -> Self {
        let program = self.command.get_program().to_owned();
        self.through_shell_with(&program, script)
    }

    fn through_shell_with(mut self, program: &OsStr, script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(program);
        shell.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        self.command = shell;
        self
    }

    fn run(self) -> Ended {
        let Piped { stderr, status, .. } = run_piped(self.command);
        Ended {
            folder: self.folder,
            stderr: String::from_utf8(stderr).unwrap(),
            status,
        }
    }

    /// Starts it with stdout as a pipe and this as stderr.
    fn start(mut self, stderr: Stdio) -> (tempfile::TempDir, Child) {
        let command = self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(stderr).spawn().unwrap();
        (self.folder, child)
    }
}

impl Ended {
    fn store(&self) -> Store {
        Store(self.folder.path().join("trace_store.db"))
    }

    /// How often a text is in the log file.
    fn logged(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("program.log"));
        log.unwrap_or_default().matches(text).count()
    }

    fn shown(&self, text: &str) -> usize {
        self.stderr.matches(text).count()
    }

    /// Asserts that each sink has a message a number of times.
    fn assert_everywhere(&self, message: &str, times: usize) {
        let found = (
            self.shown(message),
            self.logged(message),
            self.store().events(message),
        );
        assert_eq!(
            found,
            (times, times, times),
            "{message:?} on console, in log file, in store; stderr: {}",
            self.stderr
        );
    }
}

/// A program's file, read as another program reads it.
struct Store(PathBuf);

impl Store {
    fn number(&self, sql: &str) -> i64 {
        let db = Connection::open(&self.0).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn text(&self, sql: &str) -> String {
        let db = Connection::open(&self.0).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn events(&self, message: &str) -> usize {
        let db = Connection::open(&self.0).unwrap();
        let count = "SELECT COUNT(*) FROM logs WHERE message = ?1";
        let events: u32 = db.query_row(count, [message], |row| row.get(0)).unwrap();
        usize::try_from(events).unwrap()
    }
}
