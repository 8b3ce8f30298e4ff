//! `spanscope completions SHELL`: prints the completions of a shell.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::output::stop_on_closed_pipe;

pub(super) fn run(shell: Shell) -> Result<()> {
    // The generator panics where it can't write, so it writes into memory.
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "spanscope", &mut script);
    stop_on_closed_pipe(io::stdout().lock().write_all(&script))
}
