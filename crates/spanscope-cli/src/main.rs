//! The `spanscope` command: shows what a program did, from its store.
//!
//! [`args`] defines the arguments, [`resolve`] converts them for the store, [`commands`] query the
//! store, and [`render`] and [`export`] write the result. No command knows SQL, and all of them
//! write to the terminal through [`output::Output`].

mod args;
mod commands;
mod demo;
mod export;
mod failure;
mod filter;
mod import;
mod jsonl;
mod output;
mod prices;
mod progress;
mod remark;
mod render;
mod resolve;
mod tokens;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::run(args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
