//! What a program loses when it is killed without warning, at different rates.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use spanscope_bench::sample::Sample;
use spanscope_bench::subject::CHILD_ARGUMENT;
use spanscope_bench::table::{Table, nanos, thousands};
use spanscope_model::Timestamp;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use crate::ours;
use crate::sizes::Sizes;
use crate::workload::{SPANS_A_TRACE, Workload};

/// Spans a second, each with an event.
const RATES: [u64; 3] = [1_000, 10_000, 30_000];

/// Records at a fixed rate, and prints each millisecond how many spans there are and when the last
/// one ended, until it is killed.
pub(crate) fn child(role: &str, folder: &Path) -> Result<()> {
    let rate: u64 = role.trim_start_matches("killed-").parse()?;
    let (layer, _guard) = ours::dropping(&file(folder), 32 << 20)?;
    subscriber::set_global_default(registry().with(layer))?;
    let workload = Workload::new();
    let mut output = std::io::stdout();
    let begin = Instant::now();
    let mut traces = 0;
    loop {
        let due = u64::try_from(begin.elapsed().as_micros())? * rate / SPANS_A_TRACE / 1_000_000;
        while traces < due {
            workload.trace(usize::try_from(traces)?, true);
            traces += 1;
        }
        writeln!(
            output,
            "{} {}",
            traces * SPANS_A_TRACE,
            Timestamp::now().as_nanos()
        )?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills programs at different moments, and adds the losses to the table.
#[expect(clippy::cast_precision_loss, reason = "rates are small")]
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    for rate in RATES {
        let (mut times, mut spans) = (Vec::new(), Vec::new());
        for kill in 0..sizes.kills {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(folder.join(format!("killed.db{suffix}")));
            }
            // Several checkpoints happen meanwhile, and each kill falls into another phase of them.
            let lives = sizes.killed_after + Duration::from_millis(730) * kill;
            let (time, lost) = kill_one(folder, rate, lives)?;
            times.push(time);
            spans.push(lost);
        }
        let (times, spans) = (Sample::new(times), Sample::new(spans));
        table.plain(
            &format!(
                "killed at {} spans a second with an event each: what is missing, the worst of {} kills",
                thousands(rate as f64),
                sizes.kills
            ),
            nanos(times.quantile(1.0)),
            format!(
                "median {}; {} spans at most",
                nanos(times.median()),
                thousands(spans.quantile(1.0))
            ),
        );
    }
    Ok(())
}

/// Nanoseconds and spans that are missing.
#[expect(clippy::cast_precision_loss, reason = "these numbers are small")]
fn kill_one(folder: &Path, rate: u64, lives: Duration) -> Result<(f64, f64)> {
    let began = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD_ARGUMENT, &format!("killed-{rate}")])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("it has an output")?;
    let reader = std::thread::spawn(move || {
        // The last line may have been cut.
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| {
            let (spans, time) = line.split_once(' ')?;
            (time.len() == 19).then_some((spans.parse::<i64>().ok()?, time.parse::<i64>().ok()?))
        });
        numbers.last()
    });
    std::thread::sleep(lives);
    child.kill()?;
    child.wait()?;
    let last = reader.join().ok().flatten();
    let (recorded, at) = last.context("it printed nothing")?;
    let (stored, newest): (i64, Option<i64>) = Connection::open(file(folder))?.query_row(
        "SELECT count(*), max(start + duration) FROM _span WHERE duration IS NOT NULL",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    // Without any stored span all of its life is missing.
    let newest = newest.unwrap_or(began);
    Ok(((at - newest).max(0) as f64, (recorded - stored).max(0) as f64))
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("killed.db")
}
