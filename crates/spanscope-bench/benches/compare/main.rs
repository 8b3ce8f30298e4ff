//! `cargo bench -p spanscope-bench` measures Spanscope against its peers and prints one table of
//! ratios.
//!
//! Sections can be chosen: `cargo bench -p spanscope-bench -- caller sustained`. With `-- --write`
//! the measured sections of `docs/performance.md` are replaced. With
//! `SPANSCOPE_BENCH_QUICK=1` all sections run in seconds, to check that they run; the numbers then
//! mean nothing.

mod bare;
mod caller;
mod clickhouse;
mod client;
mod console;
mod filters;
mod killed;
mod measuring;
mod metrics;
mod ours;
mod pages;
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
use spanscope_bench::subject::CHILD_ARGUMENT;
use spanscope_bench::table::Table;
use spanscope_bench::{SECTIONS, machine, page};

use crate::sizes::Sizes;

/// Writes what was measured to `docs/performance.md`.
const WRITE: &str = "--write";

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
    let mut wanted: Vec<String> = first
        .into_iter()
        .chain(arguments)
        .filter(|word| word != "--bench")
        .collect();
    let writes = wanted.iter().any(|word| word == WRITE);
    wanted.retain(|word| word != WRITE);
    if writes && quick {
        bail!("{WRITE} under SPANSCOPE_BENCH_QUICK would write numbers that mean nothing");
    }
    if let Some(unknown) = wanted.iter().find(|word| !SECTIONS.contains(&word.as_str())) {
        bail!(
            "{unknown:?} is not a section; choose from {}, or give none to run all",
            SECTIONS.join(", ")
        );
    }
    let wants = |section: &str| wanted.is_empty() || wanted.iter().any(|word| word == section);

    // In the target folder, because a temporary folder is often in memory, where nothing is written
    // to disk.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut table = Table::new();
    if wants("caller") {
        table.begin("caller");
        caller::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("client") {
        table.begin("client");
        client::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("console") {
        table.begin("console");
        console::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("filters") {
        table.begin("filters");
        filters::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("measuring") {
        table.begin("measuring");
        measuring::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("sending") {
        table.begin("sending");
        sending::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("sustained") {
        table.begin("sustained");
        sustained::report(&mut table, folder.path(), &sizes)?;
    } else if ["reads", "serving", "pages"].into_iter().any(wants) {
        sustained::prepare(folder.path())?;
    }
    if wants("killed") {
        table.begin("killed");
        killed::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("reads") {
        table.begin("reads");
        reads::report(&mut table, folder.path(), &sizes)?;
        statements::report(&mut table, &sustained::file(folder.path()), &sizes)?;
    }
    if wants("receiving") {
        table.begin("receiving");
        serving::receive(&mut table, folder.path(), &sizes)?;
        sharing::share(&mut table, folder.path(), &sizes)?;
    }
    if wants("serving") {
        table.begin("serving");
        serving::answer(&mut table, folder.path(), &sizes)?;
    }
    if wants("pages") {
        table.begin("pages");
        pages::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("clickhouse") {
        table.begin("clickhouse");
        clickhouse::report(&mut table, &sizes)?;
    }
    if wants("metrics") {
        table.begin("metrics");
        metrics::report(&mut table, folder.path(), &sizes)?;
    }
    if wants("runs") {
        table.begin("runs");
        runs::report(&mut table, folder.path(), &sizes)?;
    }
    println!("\n{table}");
    let machine = format!(
        "Machine: {}; SQLite {}.",
        machine::describe(),
        rusqlite::version()
    );
    println!("{machine}");
    if writes {
        write(&table, &machine)?;
    }
    if quick {
        println!("SPANSCOPE_BENCH_QUICK is set: these numbers only show that the comparison runs.");
    }
    Ok(())
}

/// Replaces the sections of the page that were measured.
fn write(table: &Table, machine: &str) -> Result<()> {
    let path = page::path();
    let mut text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for section in table.sections().iter().filter(|section| !section.is_empty()) {
        text = page::with_section(&text, section.name, &format!("{section}\n{machine}\n"))?;
    }
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}

fn child(role: &str, folder: &Path, sizes: &Sizes) -> Result<()> {
    match role {
        "sustained-ours" => sustained::child(folder, sizes),
        "sustained-bare" => bare::child(folder, sizes),
        "memory" => sustained::memory_child(folder, sizes),
        "fill" => sustained::fill_child(folder, sizes),
        pages::PROGRAM => pages::child(folder),
        role if role.starts_with("killed-") => killed::child(role, folder),
        role if role.starts_with("sending-") => sending::child(role, folder, sizes),
        role if role.starts_with("client-") => client::child(role, sizes),
        role if role.starts_with("console-") => console::child(role, sizes),
        role if role.starts_with("measuring-") => measuring::child(role, sizes),
        role if role.starts_with("runs-") => runs::child(role, folder, sizes),
        role if role.starts_with("filter-") => filters::child(role, sizes),
        _ => caller::child(role, folder, sizes),
    }
}
