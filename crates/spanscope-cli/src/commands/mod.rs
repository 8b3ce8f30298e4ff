//! The commands, one file each: `run` resolves the arguments, queries the store and shows the
//! result.

mod backup;
mod cleanup;
mod completions;
mod demo;
mod export;
mod ids;
mod import;
mod logs;
mod metrics;
mod restore;
mod run;
mod runs;
#[cfg(feature = "serve")]
mod serve;
mod span;
mod spans;
mod sql;
mod stats;
mod store;
mod tail;
mod traces;
mod tree;
mod usage;

use anyhow::Result;

use self::store::Location;
use crate::args::{Args, Command};

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let location = Location::new(args.store);
    match args.command {
        Command::Demo(args) => demo::run(&location, &args),
        Command::Traces(args) => traces::run(&location, &args),
        Command::Tree(args) => tree::run(&location, &args),
        Command::Span(args) => span::run(&location, &args),
        Command::Spans(args) => spans::run(&location, &args),
        Command::Logs(args) => logs::run(&location, &args),
        Command::Metrics(args) => metrics::run(&location, &args),
        Command::Usage(args) => usage::run(&location, &args),
        Command::Runs(args) => runs::run(&location, &args),
        Command::Run(args) => run::run(&location, &args),
        Command::Sql(args) => sql::run(&location, &args),
        Command::Stats(args) => stats::run(&location, &args),
        Command::Export(args) => export::run(&location, &args),
        Command::Import(args) => import::run(&location, &args),
        Command::Cleanup(args) => cleanup::run(&location, &args),
        Command::Backup(args) => backup::run(&location, &args),
        Command::Restore(args) => restore::run(&location, &args),
        Command::Tail(args) => tail::run(&location, &args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&location, &args),
        #[cfg(not(feature = "serve"))]
        Command::Serve { .. } => Err(crate::failure::Stop::usage(
            "this command is built without `serve`: cargo install spanscope-cli --features serve",
        )),
        Command::Completions { shell } => completions::run(shell),
    }
}
