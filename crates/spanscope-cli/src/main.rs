//! The `spanscope` command: shows what a program did, out of the file that it left.
//!
//! [`args`] reads the words, [`resolve`] makes of them what the store understands, [`commands`] ask the store, and
//! [`render`] and [`export`] write the answer. No command knows SQL, and none writes to the terminal but through
//! [`output::Output`].

mod args;
mod commands;
mod demo;
mod export;
mod failure;
mod filter;
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
