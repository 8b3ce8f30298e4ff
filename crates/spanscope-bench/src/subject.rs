//! A subject of measurement in a child process, which measures one round per request.
//!
//! The parent writes one line for each round; the child replies with one line of numbers. When its
//! input ends the child writes one last line and exits.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The first argument of a child; the parent's arguments never look like this.
pub const CHILD_ARGUMENT: &str = "measure-subject";

/// A running child.
#[derive(Debug)]
pub struct Subject {
    role: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Subject {
    /// Starts this same program again in the given role, with a folder to work in.
    ///
    /// # Errors
    /// Fails if the program can't be started.
    pub fn start(role: &str, folder: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([CHILD_ARGUMENT, role])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {role}"))?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .with_context(|| format!("{role} has no output"))?;
        Ok(Self {
            role: role.to_owned(),
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Measures one round.
    ///
    /// # Errors
    /// Fails if the child failed; its own message is on stderr.
    pub fn round(&mut self) -> Result<Vec<f64>> {
        let role = &self.role;
        let input = self.input.as_mut().with_context(|| format!("{role} has ended"))?;
        writeln!(input, "round").with_context(|| format!("{role} has ended"))?;
        self.answer()
    }

    /// Ends the child and returns its report on all of its rounds.
    ///
    /// # Errors
    /// Fails if the child failed; its own message is on stderr.
    pub fn finish(mut self) -> Result<Vec<f64>> {
        self.input = None;
        let answer = self.answer()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.role);
        }
        Ok(answer)
    }

    fn answer(&mut self) -> Result<Vec<f64>> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} ended early", self.role);
        }
        line.split_whitespace()
            .map(|number| {
                number
                    .parse()
                    .with_context(|| format!("{} printed {line:?}", self.role))
            })
            .collect()
    }
}

/// A parent that fails must not leave children running.
impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs as a child: measures a round for each line of the input, then finishes.
///
/// # Errors
/// Fails if a round, `finish` or a pipe fails.
pub fn serve(
    mut round: impl FnMut() -> Result<Vec<f64>>,
    finish: impl FnOnce() -> Result<Vec<f64>>,
) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        line?;
        print_line(&round()?)?;
    }
    print_line(&finish()?)
}

fn print_line(numbers: &[f64]) -> Result<()> {
    let line: Vec<String> = numbers.iter().map(f64::to_string).collect();
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", line.join(" "))?;
    Ok(output.flush()?)
}
