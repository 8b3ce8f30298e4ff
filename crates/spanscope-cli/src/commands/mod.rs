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

use self::store::StoreFile;
use crate::args::{Args, Command};

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let file = StoreFile(args.db);
    match args.command {
        Command::Demo(args) => demo::run(&file, &args),
        Command::Traces(args) => traces::run(&file, &args),
        Command::Tree(args) => tree::run(&file, &args),
        Command::Span(args) => span::run(&file, &args),
        Command::Spans(args) => spans::run(&file, &args),
        Command::Logs(args) => logs::run(&file, &args),
        Command::Metrics(args) => metrics::run(&file, &args),
        Command::Usage(args) => usage::run(&file, &args),
        Command::Runs(args) => runs::run(&file, &args),
        Command::Run(args) => run::run(&file, &args),
        Command::Sql(args) => sql::run(&file, &args),
        Command::Stats(args) => stats::run(&file, &args),
        Command::Export(args) => export::run(&file, &args),
        Command::Import(args) => import::run(&file, &args),
        Command::Cleanup(args) => cleanup::run(&file, &args),
        Command::Backup(args) => backup::run(&file, &args),
        Command::Restore(args) => restore::run(&file, &args),
        Command::Tail(args) => tail::run(&file, &args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&file, &args),
        #[cfg(not(feature = "serve"))]
        Command::Serve { .. } => Err(crate::failure::Stop::usage(
            "this command is built without `serve`: cargo install spanscope-cli --features serve",
        )),
        Command::Completions { shell } => completions::run(shell),
    }
}
