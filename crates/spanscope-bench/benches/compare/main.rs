//! `cargo bench -p spanscope-bench` measures Spanscope against its peers and prints one table of ratios.
//!
//! Sections can be chosen: `cargo bench -p spanscope-bench -- caller sustained`. With `SPANSCOPE_BENCH_QUICK=1` all of
//! it runs in seconds, to see that it runs; the numbers then mean nothing.

mod bare;
mod caller;
mod console;
mod filters;
mod measuring;
mod metrics;
mod ours;
mod reads;
mod runs;
mod sending;
mod serving;
mod sharing;
mod sizes;
mod statements;
mod sustained;
mod workload;

use std::path::Path;

use anyhow::{Context, Result, bail};
use spanscope_bench::machine;
use spanscope_bench::subject::CHILD_ARGUMENT;
use spanscope_bench::table::Table;

use crate::sizes::Sizes;

const SECTIONS: [&str; 11] = [
    "caller",
    "console",
    "filters",
    "measuring",
    "sending",
    "sustained",
    "reads",
    "receiving",
    "serving",
    "metrics",
    "runs",
];

fn main() -> Result<()> {
    let quick = std::env::var_os("SPANSCOPE_BENCH_QUICK").is_some_and(|value| value != "0");
    let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(CHILD_ARGUMENT) {
        let role = arguments.next().context("a subject has a role")?;
        let folder = arguments.next().context("a subject has a folder")?;
        return child(&role, Path::new(&folder), &sizes);
    }

    // Cargo adds `--bench` by itself.
    let wanted: Vec<String> = first
        .into_iter()
        .chain(arguments)
        .filter(|word| word != "--bench")
        .collect();
    if let Some(unknown) = wanted.iter().find(|word| !SECTIONS.contains(&word.as_str())) {
        bail!(
            "{unknown:?} is no section: give some of {}, or none for all",
            SECTIONS.join(", ")
        );
    }
    let wants = |section: &str| wanted.is_empty() || wanted.iter().any(|word| word == section);

    // Beside the build, because a temporary folder is often in memory, where nothing is written to disk.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut table = Table::new();
    if wants("caller") {
        caller::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("console") {
        console::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("filters") {
        filters::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("measuring") {
        measuring::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("sending") {
        sending::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("sustained") {
        sustained::report(&mut table, folder.path(), &sizes)?;
    } else if wants("reads") || wants("serving") {
        sustained::prepare(folder.path())?;
    }
    if wants("reads") {
        reads::report(&mut table, folder.path(), &sizes)?;
        statements::report(&mut table, &sustained::file(folder.path()), &sizes)?;
    }
    if wants("receiving") {
        serving::receive(&mut table, folder.path(), &sizes)?;
        sharing::share(&mut table, folder.path(), &sizes)?;
    }
    if wants("serving") {
        serving::answer(&mut table, folder.path(), &sizes)?;
    }
    if wants("metrics") {
        metrics::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("runs") {
        runs::report(&mut table, folder.path(), &sizes)?;
    }
    println!("\n{table}");
    println!(
        "Machine: {}; SQLite {}.",
        machine::describe(),
        rusqlite::version()
    );
    if quick {
        println!("SPANSCOPE_BENCH_QUICK is set: these numbers only show that the comparison runs.");
    }
    Ok(())
}

fn child(role: &str, folder: &Path, sizes: &Sizes) -> Result<()> {
    match role {
        "sustained-ours" => sustained::child(folder, sizes),
        "sustained-bare" => bare::child(folder, sizes),
        "memory" => sustained::memory_child(folder, sizes),
        "fill" => sustained::fill_child(folder, sizes),
        role if role.starts_with("sending-") => sending::child(role, folder, sizes),
        role if role.starts_with("console-") => console::child(role, sizes),
        role if role.starts_with("measuring-") => measuring::child(role, sizes),
        role if role.starts_with("runs-") => runs::child(role, folder, sizes),
        role if role.starts_with("filter-") => filters::child(role, sizes),
        _ => caller::child(role, folder, sizes),
    }
}
