//! The cost of a line on the console: for the calling thread, and until it is written; and the
//! calling thread's cost when stderr is not read.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use spanscope_bench::subject::serve;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_layers::console::{ColorChoice, ConsoleLayerBuilder, SpanDisplay};
use spanscope_layers::{ConsoleGuard, ConsoleLayer};
use tracing::{info, info_span, subscriber};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::caller::{in_turn, spread};
use crate::sizes::Sizes;

const FLUSH_LIMIT: Duration = Duration::from_secs(60);

/// Runs one subject of this section in a child process.
pub(crate) fn child(role: &str, sizes: &Sizes) -> Result<()> {
    let fmt = |ansi| {
        let fmt = tracing_subscriber::fmt::layer()
            .with_ansi(ansi)
            .with_writer(std::io::sink);
        subscriber::set_global_default(registry().with(fmt))?;
        serve(|| measure_events(sizes, || Ok(())), || Ok(Vec::new()))
    };
    let ours = |color| {
        let builder = ConsoleLayer::builder().writer(std::io::sink()).color(color);
        let guard = install(builder.spans(SpanDisplay::Events))?;
        serve(
            || measure_events(sizes, || Ok(guard.flush(FLUSH_LIMIT)?)),
            || Ok(vec![lost(&guard)]),
        )
    };
    match role {
        "console-fmt" => fmt(false),
        "console-fmt-colour" => fmt(true),
        "console-ours" => ours(ColorChoice::Never),
        "console-ours-colour" => ours(ColorChoice::Always),
        "console-blocked" => blocked(sizes),
        other => bail!("unknown subject {other}"),
    }
}

fn install(builder: ConsoleLayerBuilder) -> Result<ConsoleGuard> {
    let (layer, guard) = builder.build()?;
    subscriber::set_global_default(registry().with(layer))?;
    Ok(guard)
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines are small")]
fn lost(guard: &ConsoleGuard) -> f64 {
    guard.stats().dropped.total() as f64
}

/// Returns the nanoseconds per event on the calling thread, and until all are written.
fn measure_events(sizes: &Sizes, flush: impl Fn() -> Result<()>) -> Result<Vec<f64>> {
    let span = info_span!("request", session.id = "session-00017");
    let _inside = span.enter();
    let start = Instant::now();
    for number in 0..sizes.console_events {
        emit(number);
    }
    let recorded = start.elapsed();
    flush()?;
    let written = start.elapsed();
    Ok(vec![each(recorded, sizes), each(written, sizes)])
}

fn emit(number: u64) {
    info!(
        chunk = black_box(number),
        document = "doc-00017",
        cached = true,
        "chunk was read"
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are small")]
fn each(took: Duration, sizes: &Sizes) -> f64 {
    took.as_nanos() as f64 / sizes.console_events as f64
}

/// More events than the console's default queue has space for: it holds some 60,000 of these.
const MORE_THAN_FIT: u64 = 200_000;

/// Writes to a pipe that is not read while the caller works. Measures each call and the number of
/// lost lines, and checks that the loss is reported when the pipe is read.
fn blocked(sizes: &Sizes) -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let guard = install(ConsoleLayer::builder().writer(writer).spans(SpanDisplay::Events))?;
    let mut reader = Some(reader);
    serve(
        || {
            let calls = (sizes.console_events * 20).max(MORE_THAN_FIT);
            let mut times: Vec<u64> = (0..calls)
                .map(|number| {
                    let start = Instant::now();
                    emit(number);
                    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
                })
                .collect();
            times.sort_unstable();
            let place = times.len() * 99 / 100;
            #[expect(clippy::cast_precision_loss, reason = "a call takes less than days")]
            let p99 = times.get(place).copied().unwrap_or_default() as f64;
            Ok(vec![p99])
        },
        || {
            let lost = lost(&guard);
            let reader = reader.take().context("the pipe is read once")?;
            let counted = std::thread::spawn(move || {
                let lines = BufReader::new(reader).lines().map_while(Result::ok);
                lines.filter(|line| line.contains("lost here")).count()
            });
            let _ = guard.flush(FLUSH_LIMIT);
            let _ = guard.shutdown();
            // The writer thread has ended and closed its end of the pipe, so the reader ends.
            if counted.join().is_ok_and(|lines| lines > 0) {
                Ok(vec![lost])
            } else {
                bail!("{lost} lines were lost and not reported");
            }
        },
    )
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let pairs = [
        ("", ["console-fmt", "console-ours"]),
        (", coloured", ["console-fmt-colour", "console-ours-colour"]),
    ];
    for (how, roles) in pairs {
        let taken = in_turn(&roles, folder, sizes)?;
        let [fmt, ours] = taken.as_slice() else {
            bail!("a subject is missing");
        };
        for (place, what) in ["on the calling thread", "until it is written"]
            .into_iter()
            .enumerate()
        {
            let (fmt, mine) = (fmt.sample(place), ours.sample(place));
            let ratio = mine.ratio_to(&fmt);
            table.judged(
                &format!(
                    "an event on `ConsoleLayer` to a sink{how}, {what} ({:.0} lines lost)",
                    ours.lost
                ),
                spread(&mine),
                format!("{ratio:.2} x `fmt` ({})", nanos(fmt.median())),
                ratio,
                Goal::AtMost(1.2),
                "<= 1.2 x `fmt`",
            );
        }
    }
    let taken = in_turn(&["console-blocked"], folder, sizes)?;
    let [blocked] = taken.as_slice() else {
        bail!("the subject is missing");
    };
    let p99 = blocked.sample(0);
    table.judged(
        &format!(
            "an event while no process reads stderr, p99 on the calling thread ({:.0} lines lost, counted and reported)",
            blocked.lost
        ),
        spread(&p99),
        String::new(),
        p99.median(),
        Goal::AtMost(50_000.0),
        "<= 50 µs",
    );
    Ok(())
}
