//! The cost of a span with its event on the calling thread, and the cost of a disabled callsite.
//!
//! Between the measurements the benchmark waits for the other threads to finish, so this is the
//! caller's cost, not the rate that a machine sustains. Short bursts fit into every subject's
//! default queue: a longer queue would slow the peer down by the memory that it touches, a longer
//! burst would speed it up by what it drops. In long bursts Spanscope's writer works at the same
//! time as the caller, and takes memory bandwidth from it.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use spanscope_bench::sample::Sample;
use spanscope_bench::subject::{Subject, serve};
use spanscope_bench::table::{Goal, Table, nanos};
use tracing::level_filters::LevelFilter;
use tracing::{subscriber, trace};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::ours;
use crate::sizes::Sizes;
use crate::workload::{SPANS_A_TRACE, Workload};

const WARM_UP_ROUNDS: usize = 2;
/// Short bursts in a row make one round: 2,000 spans each, of the 2,048 that the peer's queue has
/// space for.
const SHORT_BURSTS: usize = 10;
const LONG_BURST_IN_SHORT_ONES: usize = 10;
pub(crate) const FLUSH_LIMIT: Duration = Duration::from_secs(60);

/// An exporter that drops everything, so that only the path to it is measured.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}

/// Runs one subject of this section in a child process.
pub(crate) fn child(role: &str, folder: &Path, sizes: &Sizes) -> Result<()> {
    let nothing = || Ok(Vec::new());
    match role {
        "caller-registry" => {
            subscriber::set_global_default(registry())?;
            serve(|| bursts(sizes, true, || Ok(())), nothing)
        }
        "caller-fmt" => {
            let fmt = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(std::io::sink);
            subscriber::set_global_default(registry().with(fmt))?;
            serve(|| bursts(sizes, false, || Ok(())), nothing)
        }
        "caller-opentelemetry" => {
            let processor = BatchSpanProcessor::builder(Nowhere).build();
            let provider = SdkTracerProvider::builder()
                .with_span_processor(processor)
                .build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("spanscope-bench"));
            subscriber::set_global_default(registry().with(layer))?;
            serve(|| bursts(sizes, false, || Ok(provider.force_flush()?)), nothing)
        }
        "caller-ours" => {
            let (layer, guard) = ours::dropping(&new_file(folder)?, 64 << 20)?;
            subscriber::set_global_default(registry().with(layer))?;
            serve(
                || bursts(sizes, true, || ours::flush(&guard, FLUSH_LIMIT)),
                || Ok(vec![ours::dropped(&guard)]),
            )
        }
        "disabled-registry" => {
            subscriber::set_global_default(registry().with(LevelFilter::INFO))?;
            serve(|| Ok(vec![disabled(sizes)]), nothing)
        }
        "disabled-ours" => {
            let (layer, guard) = ours::dropping(&new_file(folder)?, 1 << 20)?;
            subscriber::set_global_default(registry().with(layer).with(LevelFilter::INFO))?;
            serve(|| Ok(vec![disabled(sizes)]), || Ok(vec![ours::dropped(&guard)]))
        }
        other => bail!("unknown subject {other}"),
    }
}

/// Nanoseconds per span with its event: in short bursts and, if requested, in one long burst. After
/// each burst `settle` waits for the other threads.
pub(crate) fn bursts(sizes: &Sizes, and_long: bool, settle: impl Fn() -> Result<()>) -> Result<Vec<f64>> {
    let workload = Workload::new();
    let burst = |traces: usize| {
        let start = Instant::now();
        for number in 0..traces {
            workload.trace(number, false);
        }
        let took = start.elapsed();
        settle().map(|()| took)
    };
    let mut short = Duration::ZERO;
    for _ in 0..SHORT_BURSTS {
        short += burst(sizes.burst_traces)?;
    }
    let mut answer = vec![a_span(short, sizes.burst_traces * SHORT_BURSTS)];
    if and_long {
        let traces = sizes.burst_traces * LONG_BURST_IN_SHORT_ONES;
        answer.push(a_span(burst(traces)?, traces));
    }
    Ok(answer)
}

#[expect(clippy::cast_precision_loss, reason = "bursts are small")]
fn a_span(took: Duration, traces: usize) -> f64 {
    took.as_nanos() as f64 / (traces as f64 * SPANS_A_TRACE as f64)
}

/// A name for a database that no subject has used.
pub(crate) fn new_file(folder: &Path) -> Result<PathBuf> {
    let (_file, path) = tempfile::Builder::new()
        .suffix(".db")
        .tempfile_in(folder)?
        .keep()?;
    std::fs::remove_file(&path)?;
    Ok(path)
}

/// Nanoseconds for an event that the level filter rejects.
#[expect(clippy::cast_precision_loss, reason = "counts of loops are small")]
fn disabled(sizes: &Sizes) -> f64 {
    let start = Instant::now();
    for number in 0..sizes.disabled_events {
        trace!(number = black_box(number), "a disabled event");
    }
    start.elapsed().as_nanos() as f64 / sizes.disabled_events as f64
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let roles = [
        "caller-registry",
        "caller-fmt",
        "caller-opentelemetry",
        "caller-ours",
    ];
    let taken = in_turn(&roles, folder, sizes)?;
    let [registry, fmt, peer, ours] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let (registry_long, ours_long) = (registry.sample(1), ours.sample(1));
    let (registry, fmt, peer, lost, ours) = (
        registry.sample(0),
        fmt.sample(0),
        peer.sample(0),
        ours.lost,
        ours.sample(0),
    );
    let ratios = |sample: &Sample| {
        format!(
            "{:.2} x registry, {:.2} x tracing-opentelemetry",
            sample.ratio_to(&registry),
            sample.ratio_to(&peer)
        )
    };
    table.plain(
        "calling thread, a span with its event: registry alone",
        spread(&registry),
        ratios(&registry),
    );
    table.plain("calling thread: `fmt` to a sink", spread(&fmt), ratios(&fmt));
    table.plain(
        "calling thread: `tracing-opentelemetry`, batch processor, exporter drops",
        spread(&peer),
        ratios(&peer),
    );
    let (to_registry, to_peer) = (ours.ratio_to(&registry), ours.ratio_to(&peer));
    table.judged(
        &format!("calling thread: `SqliteLayer`, writer running ({lost:.0} records dropped)"),
        spread(&ours),
        ratios(&ours),
        (to_registry / 2.5).max(to_peer / 0.2),
        Goal::AtMost(1.0),
        "<= 2.5 x registry and <= 0.20 x tracing-opentelemetry",
    );
    let to_registry = ours_long.ratio_to(&registry_long);
    table.judged(
        "calling thread: `SqliteLayer`, bursts ten times as long, writer busy meanwhile",
        spread(&ours_long),
        format!("{to_registry:.2} x registry ({})", nanos(registry_long.median())),
        to_registry,
        Goal::AtMost(2.5),
        "<= 2.5 x registry",
    );

    let taken = in_turn(&["disabled-registry", "disabled-ours"], folder, sizes)?;
    let [without, with] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let (without, with) = (without.sample(0), with.sample(0));
    table.judged(
        "disabled callsite",
        nanos(with.median()),
        format!(
            "{:.2} x without our layer ({})",
            with.ratio_to(&without),
            nanos(without.median())
        ),
        with.median() - without.median(),
        Goal::AtMost(0.5),
        "what tracing itself costs, within 0.5 ns",
    );
    Ok(())
}

/// The median, and the quartiles around it.
pub(crate) fn spread(sample: &Sample) -> String {
    format!(
        "{} ({} to {})",
        nanos(sample.median()),
        nanos(sample.quantile(0.25)),
        nanos(sample.quantile(0.75))
    )
}

/// What one subject reported in all rounds.
#[derive(Default)]
pub(crate) struct Taken {
    rounds: Vec<Vec<f64>>,
    pub(crate) lost: f64,
}

impl Taken {
    /// One of the numbers that it reported in each round.
    pub(crate) fn sample(&self, place: usize) -> Sample {
        let numbers = self.rounds.iter().filter_map(|round| round.get(place));
        Sample::new(numbers.copied().collect())
    }
}

/// Measures all subjects round by round in turn. They are restarted several times, because how the
/// kernel happens to lay out one process can make it a tenth faster or slower for its whole life.
pub(crate) fn in_turn(roles: &[&str], folder: &Path, sizes: &Sizes) -> Result<Vec<Taken>> {
    let mut all: Vec<Taken> = roles.iter().map(|_| Taken::default()).collect();
    for _ in 0..sizes.generations {
        let mut subjects = roles
            .iter()
            .map(|role| Subject::start(role, folder))
            .collect::<Result<Vec<_>>>()?;
        for round in 0..WARM_UP_ROUNDS + sizes.rounds {
            for (subject, taken) in subjects.iter_mut().zip(&mut all) {
                let answer = subject.round()?;
                if round >= WARM_UP_ROUNDS {
                    taken.rounds.push(answer);
                }
            }
        }
        for (subject, taken) in subjects.into_iter().zip(&mut all) {
            taken.lost += subject.finish()?.first().copied().unwrap_or_default();
        }
    }
    Ok(all)
}
