//! How fast spans are written to disk without a pause, how much disk they take, and how much memory
//! that takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use spanscope_bench::machine::{bytes_written, peak_memory};
use spanscope_bench::sample::Sample;
use spanscope_bench::subject::{Subject, serve};
use spanscope_bench::table::{Goal, Table, thousands};
use tracing::{Span, info_span, subscriber};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::ours;
use crate::sizes::Sizes;
use crate::workload::{SPANS_A_TRACE, Workload};

const FLUSH_LIMIT: Duration = Duration::from_secs(600);
/// The queue of the memory measure: small, so that memory beyond it is visible.
const MEMORY_QUEUE: usize = 8 << 20;
/// How many spans are held open until they are slow, for the queries for slow ones.
const SLOW_SPANS: usize = 1_000;
const MIB: f64 = (1_u32 << 20) as f64;
/// What may be held in addition to the queue: the writer's page cache of 8 MB, and its buffers.
const OUTSIDE_THE_QUEUE: f64 = 24.0 * MIB;
const ONE_COMMIT: &str = include_str!("one_commit.py");

/// The name of the root of the one large tree.
pub(crate) const TREE_ROOT: &str = "large_tree";

/// The file of the last sustained run.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join("sustained.db")
}

/// Stores traces as fast as the disk allows. A round reports seconds and memory growth; the end
/// reports the bytes written to disk, and drops.
pub(crate) fn child(folder: &Path, sizes: &Sizes) -> Result<()> {
    let written_before = bytes_written();
    let (layer, guard) = ours::waiting(&file(folder))?;
    subscriber::set_global_default(registry().with(layer))?;
    let workload = Workload::new();
    serve(
        || {
            let memory_before = peak_memory();
            let start = Instant::now();
            for number in 0..sizes.sustained_traces {
                workload.trace(number, true);
            }
            ours::flush(&guard, FLUSH_LIMIT)?;
            let took = start.elapsed().as_secs_f64();
            Ok(vec![took, difference(memory_before, peak_memory())])
        },
        || {
            // At its end the writer checkpoints the log, which is written too.
            ours::close(&guard)?;
            let lost = ours::dropped(&guard);
            Ok(vec![difference(written_before, bytes_written()), lost])
        },
    )
}

/// Offers spans faster than they can be stored, with a small queue. A round reports the growth of
/// memory, the end reports how many records were dropped.
pub(crate) fn memory_child(folder: &Path, sizes: &Sizes) -> Result<()> {
    let (layer, guard) = ours::dropping(&folder.join("memory.db"), MEMORY_QUEUE)?;
    subscriber::set_global_default(registry().with(layer))?;
    let workload = Workload::new();
    serve(
        || {
            let before = peak_memory();
            for number in 0..sizes.sustained_traces {
                workload.trace(number, false);
            }
            ours::flush(&guard, FLUSH_LIMIT)?;
            Ok(vec![difference(before, peak_memory())])
        },
        || Ok(vec![ours::dropped(&guard)]),
    )
}

/// Adds to the sustained run's file what the queries need in addition to its many quick traces:
/// spans that took more than a second, and one large tree.
pub(crate) fn fill_child(folder: &Path, sizes: &Sizes) -> Result<()> {
    let (layer, guard) = ours::waiting(&file(folder))?;
    subscriber::set_global_default(registry().with(layer))?;
    serve(
        || {
            let slow: Vec<Span> = (0..SLOW_SPANS)
                .map(|number| info_span!("slow_step", number))
                .collect();
            std::thread::sleep(Duration::from_millis(1_050));
            drop(slow);
            let root = info_span!("large_tree");
            // The root replaces one leaf, so that the whole tree has the stated size.
            for number in 0..sizes.tree_spans / 100 {
                let branch = info_span!(parent: &root, "branch", number);
                for leaf in 0..if number == 0 { 98 } else { 99 } {
                    drop(info_span!(parent: &branch, "leaf", leaf));
                }
            }
            drop(root);
            ours::flush(&guard, FLUSH_LIMIT)?;
            Ok(Vec::new())
        },
        || Ok(vec![ours::dropped(&guard)]),
    )
}

/// Measures this section and adds its rows to the table. Leaves the file of the last run, with what
/// `reads` needs added.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let spans = to_f64(sizes.sustained_traces) * to_f64(usize::try_from(SPANS_A_TRACE)?);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut last = Run::default();
    for _ in 0..sizes.sustained_rounds {
        clear(folder, &["bare.db", "sustained.db"])?;
        let mut subject = Subject::start("sustained-bare", folder)?;
        bare.push(spans / first(&subject.round()?)?);
        subject.finish()?;
        let mut subject = Subject::start("sustained-ours", folder)?;
        let round = subject.round()?;
        ours.push(spans / first(&round)?);
        let end = subject.finish()?;
        last = Run {
            memory: second(&round)?,
            written: first(&end)?,
            lost: second(&end)?,
            file_bytes: store_bytes(&file(folder))?,
        };
    }
    let (ours, bare) = (Sample::new(ours), Sample::new(bare));
    let python = one_commit_a_span(folder, sizes)?;

    table.plain(
        "SQLite's own appends of the same rows, no index",
        format!("{} spans/s", thousands(bare.median())),
        "",
    );
    let to_bare = ours.ratio_to(&bare);
    table.judged(
        &format!(
            "sustained until all is on disk, {} spans with an event each ({:.0} records dropped)",
            thousands(spans),
            last.lost
        ),
        format!("{} spans/s", thousands(ours.median())),
        format!("{to_bare:.2} x bare appends"),
        to_bare,
        Goal::AtLeast(0.42),
        ">= 0.42 x",
    );
    let measure = "the same against one commit a span in Python, as Llama Stack does";
    match &python {
        Some(peer) => table.judged(
            measure,
            format!("{} spans/s there", thousands(peer.rate)),
            format!("{:.0} x", ours.median() / peer.rate),
            ours.median() / peer.rate,
            Goal::AtLeast(250.0),
            ">= 250 x",
        ),
        None => table.plain(measure, "not measured: no python3", ""),
    }
    let bytes = last.file_bytes / spans;
    table.judged(
        "bytes a span in the file, with its event and all indexes",
        format!("{bytes:.0} B"),
        python.map_or(String::new(), |peer| {
            format!("{:.2} x Llama Stack's {:.0} B", bytes / peer.bytes, peer.bytes)
        }),
        bytes,
        Goal::AtMost(220.0),
        "<= 220 B",
    );
    table.judged(
        "bytes written to disk a span",
        format!("{:.0} B", last.written / spans),
        format!("{:.1} x the file", last.written / last.file_bytes),
        last.written / spans,
        Goal::AtMost(800.0),
        "<= 800 B",
    );
    table.judged(
        "memory growth of the sustained run, default queue",
        format!("{:.1} MiB", last.memory / MIB),
        "",
        last.memory / MIB,
        Goal::AtMost(64.0),
        "<= 64 MiB",
    );
    report_memory(table, folder)?;
    fill(folder)
}

/// Makes the file that [`report`] leaves, for sections that query it when this one isn't measured.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    let mut subject = Subject::start("sustained-ours", folder)?;
    subject.round()?;
    subject.finish()?;
    fill(folder)
}

/// Adds what the queries need: see [`fill_child`].
fn fill(folder: &Path) -> Result<()> {
    let mut subject = Subject::start("fill", folder)?;
    subject.round()?;
    subject.finish()?;
    Ok(())
}

fn report_memory(table: &mut Table, folder: &Path) -> Result<()> {
    let mut subject = Subject::start("memory", folder)?;
    let growth = first(&subject.round()?)?;
    // Bounded means that the same load once more needs nothing more.
    let again = first(&subject.round()?)?;
    let lost = first(&subject.finish()?)?;
    let limit = to_f64(MEMORY_QUEUE);
    table.judged(
        &format!(
            "memory growth, caller faster than the disk, queue of {:.0} MiB ({lost:.0} records dropped)",
            limit / MIB
        ),
        format!("{:.1} MiB", growth / MIB),
        format!("{:.1} MiB more with twice the load", again / MIB),
        (growth / (limit + OUTSIDE_THE_QUEUE)).max(again / (2.0 * MIB)),
        Goal::AtMost(1.0),
        &format!(
            "the queue's limit + {:.0} MiB for SQLite's page cache and the writer, 2 MiB more with twice the load",
            OUTSIDE_THE_QUEUE / MIB
        ),
    );
    Ok(())
}

/// The result of the last sustained run.
#[derive(Default)]
struct Run {
    memory: f64,
    written: f64,
    lost: f64,
    file_bytes: f64,
}

/// The measured values of Llama Stack's way of storing.
struct Peer {
    rate: f64,
    bytes: f64,
}

fn one_commit_a_span(folder: &Path, sizes: &Sizes) -> Result<Option<Peer>> {
    clear(folder, &["python.db"])?;
    let path = folder.join("python.db");
    let spans = sizes.commit_spans.to_string();
    let output = match Command::new("python3")
        .args(["-c", ONE_COMMIT])
        .arg(&path)
        .arg(&spans)
        .output()
    {
        Ok(output) if output.status.success() => output,
        Ok(output) => bail!("python3 failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("  no python3 ({error}): the one-commit-a-span peer is not measured");
            return Ok(None);
        }
    };
    let rate = String::from_utf8(output.stdout)?.trim().parse()?;
    let bytes = store_bytes(&path)? / to_f64(sizes.commit_spans);
    Ok(Some(Peer { rate, bytes }))
}

/// Bytes of the file and of a log that still belongs to it.
#[expect(clippy::cast_precision_loss, reason = "files are smaller than that")]
fn store_bytes(file: &Path) -> Result<f64> {
    let log = file.with_extension("db-wal");
    let log_bytes = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
    Ok((std::fs::metadata(file)?.len() + log_bytes) as f64)
}

fn clear(folder: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        for suffix in ["", "-wal", "-shm"] {
            let path = folder.join(format!("{name}{suffix}"));
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("can't remove {name}"))?;
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "memory and files are smaller than that"
)]
fn difference(before: Option<u64>, after: Option<u64>) -> f64 {
    match (before, after) {
        (Some(before), Some(after)) => after.saturating_sub(before) as f64,
        _ => f64::NAN, // a goal is never met by what could not be measured
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of spans are smaller than that")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

fn first(numbers: &[f64]) -> Result<f64> {
    numbers.first().copied().context("no number was measured")
}

fn second(numbers: &[f64]) -> Result<f64> {
    numbers.get(1).copied().context("no second number was measured")
}
