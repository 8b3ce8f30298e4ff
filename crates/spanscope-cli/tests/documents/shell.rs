//! A shell in a new home, which runs the commands of a page in their order.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use spanscope_tests::PATIENCE;
use tempfile::TempDir;

use crate::normal::is_shown;

/// The addresses of a server on pages.
const SHOWN_ADDRESSES: [&str; 2] = ["127.0.0.1:4318", "localhost:4318"];

/// Maximum number of characters of an output in an error.
const MAX_SHOWN: usize = 4_000;

/// Ends the output of a command.
const MARK: &str = "\u{1e}";

/// Replaces `cargo run`, because the programs are already built.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = run ] || { echo "cargo $1 is not run here"; exit 99; }
shift
program=
while [ $# -gt 0 ]; do
    case $1 in
        --bin) program=$2; shift 2 ;;
        -p) shift 2 ;;
        --) shift; break ;;
        *) echo "cargo run $1 is not known here"; exit 99 ;;
    esac
done
if [ -z "$program" ] && [ $# -gt 0 ]; then
    program=spanscope
fi
exec "$PROGRAMS/${program:-hello}" "$@"
"#;

/// The folder of the programs that the workspace builds.
pub(crate) fn programs() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_spanscope"))
        .parent()
        .unwrap()
        .to_owned()
}

pub(crate) struct Shell {
    home: TempDir,
    child: Child,
    commands: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The address of the server that the page has started.
    server: Option<String>,
    logs: usize,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let tools = home.path().join(".tools");
        std::fs::create_dir(&tools).unwrap();
        let cargo = tools.join("cargo");
        std::fs::write(&cargo, CARGO).unwrap();
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_spanscope"), tools.join("spanscope")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .arg("--noprofile")
            .arg("--norc")
            .env_clear()
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("PROGRAMS", programs())
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("COLUMNS", "80")
            .env("LLAMA_STACK_LOG_WIDTH", "80")
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // All processes that the page starts are in this group, and end with the page.
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            commands: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            home,
            server: None,
            logs: 0,
        }
    }

    /// Runs a command. Returns its output if it differs from the one on the page.
    pub(crate) fn check(&mut self, command: &str, shown: &[String]) -> Option<String> {
        let runs_on = command.starts_with("spanscope serve") || command.ends_with('&');
        let (status, output) = if runs_on {
            (0, self.start(command, shown))
        } else {
            self.run(command)
        };
        if status != 0 && shown.is_empty() {
            return Some(format!("`{command}` ended with {status}:\n{output}"));
        }
        (!shown.is_empty() && !is_shown(shown, &output)).then(|| {
            let output: String = output.chars().take(MAX_SHOWN).collect();
            format!("`{command}` prints:\n{output}")
        })
    }

    /// Runs a statement on the page's store, or on the demo's if the page has none.
    pub(crate) fn check_sql(&mut self, statement: &str) -> Option<String> {
        if self.run("spanscope stats").0 != 0 {
            assert_eq!(self.run("spanscope demo").0, 0);
        }
        std::fs::write(self.home.path().join("statement.sql"), statement).unwrap();
        let (status, output) = self.run("spanscope sql \"$(cat statement.sql)\"");
        // 3: nothing found.
        (status != 0 && status != 3).then(|| format!("`{statement}` ended with {status}:\n{output}"))
    }

    /// Starts a program with a settings file.
    pub(crate) fn check_settings(&mut self, settings: &str) -> Option<String> {
        std::fs::write(self.home.path().join("settings.yaml"), settings).unwrap();
        let (status, output) = self.run("SPANSCOPE_CONFIG=settings.yaml cargo run");
        let is_accepted = status == 0 && output.contains("[END] chat") && !output.contains("spanscope:");
        (!is_accepted).then(|| format!("with these settings a program prints:\n{output}"))
    }

    fn run(&mut self, command: &str) -> (i32, String) {
        let command = self.with_addresses(command);
        writeln!(
            self.commands,
            "{{ {command}\n}} 2>&1 </dev/null\nprintf '\\n{MARK}%d\\n' $?"
        )
        .unwrap();
        let mut output = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return (-1, format!("{output}\nthe shell ended"));
            }
            if let Some(status) = line.strip_prefix(MARK) {
                return (status.trim().parse().unwrap(), self.as_shown(&output));
            }
            output.push_str(&line);
        }
    }

    /// Starts a command that keeps running, and waits until it has printed the output on the page.
    fn start(&mut self, command: &str, shown: &[String]) -> String {
        self.logs += 1;
        let log = self.home.path().join(format!("log-{}", self.logs));
        let command = command.trim_end_matches('&').trim_end();
        let is_server = command.starts_with("spanscope serve");
        let address = if is_server && !command.contains("--listen") {
            " --listen 127.0.0.1:0 --grpc-listen off"
        } else {
            ""
        };
        let started = format!("{command}{address} >{} 2>&1 &", log.display());
        let (status, _) = self.run(&started);
        assert_eq!(status, 0);
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let address = text.split("http://").nth(1).and_then(|rest| {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == ':'))?;
                Some(rest[..end].to_owned())
            });
            if is_server && address.is_some() {
                self.server = address;
            }
            let output = self.as_shown(&text);
            let is_up = !is_server || self.server.is_some();
            if begin.elapsed() > PATIENCE || (is_up && is_shown(shown, &output)) {
                return output;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn with_addresses(&self, command: &str) -> String {
        let Some(server) = &self.server else {
            return command.to_owned();
        };
        SHOWN_ADDRESSES.iter().fold(command.to_owned(), |command, shown| {
            command.replace(shown, server)
        })
    }

    fn as_shown(&self, output: &str) -> String {
        let home = self.home.path().to_str().unwrap();
        let output = output.replace(home, "~");
        match &self.server {
            Some(server) => output.replace(server.as_str(), SHOWN_ADDRESSES[0]),
            None => output,
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The whole group, because a server would keep running without its shell.
        let group = format!("-{}", self.child.id());
        let _ended = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _reaped = self.child.wait();
    }
}
