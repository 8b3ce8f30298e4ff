//! Several processes write one file at the same time, without coordination.
//!
//! ```text
//! cargo run -p spanscope-examples --bin multi_process          # 4 processes
//! cargo run -p spanscope-examples --bin multi_process -- 8     # 8 processes
//! ```
//!
//! The program starts itself once for each worker, waits for them, and queries the store:
//!
//! ```text
//! worker-0: 501 spans in 1 trace
//! worker-1: 501 spans in 1 trace
//! worker-2: 501 spans in 1 trace
//! worker-3: 501 spans in 1 trace
//! 2004 spans by 4 processes, nothing dropped
//! ```

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use spanscope_examples::store_path;
use spanscope_model::{Condition, ConditionOp, TraceFilter, TraceStore, block_on};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use tracing::{info_span, instrument};
use tracing_subscriber::prelude::*;

const DEFAULT_PROCESSES: usize = 4;
const STEPS: usize = 500;

#[instrument]
fn work(run: &str) {
    for step in 0..STEPS {
        let _span = info_span!("step", step).entered();
    }
}

/// A worker: it opens the store as if it were the only one.
fn worker(name: &str, run: &str) -> anyhow::Result<()> {
    let (layer, guard) = SqliteLayer::builder().service_name(name).open(store_path())?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || work(run));
    guard.shutdown()?;
    ensure!(guard.stats().dropped.total() == 0, "spans were dropped");
    Ok(())
}

fn print_counts(path: &Path, run: &str, processes: usize) -> anyhow::Result<()> {
    let store = SqliteStore::open(path)?;
    let mut total = 0;
    for number in 0..processes {
        let name = format!("worker-{number}");
        let traces = block_on(
            store.list_traces(
                TraceFilter::default()
                    // The run's name is an attribute of the root spans; it separates this run from
                    // older ones in the same file.
                    .conditions(vec![Condition::new("run", ConditionOp::Eq, run)])
                    .service(name.clone()),
            ),
        )?;
        let spans: u64 = traces.iter().map(|trace| trace.span_count).sum();
        let plural = if traces.len() == 1 { "" } else { "s" };
        println!("{name}: {spans} spans in {} trace{plural}", traces.len());
        total += spans;
    }
    let stats = block_on(store.statistics())?;
    let dropped = match stats.account.unwrap_or_default().dropped.total() {
        0 => "nothing dropped".to_owned(),
        dropped => format!("{dropped} records dropped in this file's life"),
    };
    println!("{total} spans by {processes} processes, {dropped}");
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, run] = &arguments[..]
        && word == "--worker"
    {
        return worker(name, run);
    }
    let processes = match arguments.first() {
        None => DEFAULT_PROCESSES,
        Some(number) => number
            .parse()
            .with_context(|| format!("{number:?} is no number of processes"))?,
    };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let run = format!("run-{}-{}", since_1970.as_millis(), std::process::id());
    let program = std::env::current_exe()?;
    let mut workers = Vec::new();
    for number in 0..processes {
        let mut command = Command::new(&program);
        command.args(["--worker", &format!("worker-{number}"), &run]);
        workers.push(command.spawn().context("can't start a worker")?);
    }
    for mut worker in workers {
        let status = worker.wait()?;
        ensure!(status.success(), "a worker failed: {status}");
    }
    print_counts(&store_path(), &run, processes)
}
