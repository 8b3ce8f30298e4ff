//! `spanscope completions SHELL`.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::output::closed_pipe_is_an_end;

pub(super) fn run(shell: Shell) -> Result<()> {
    // The generator panics where it can't write, so it writes into memory.
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "spanscope", &mut script);
    closed_pipe_is_an_end(io::stdout().lock().write_all(&script))
}
