//! The cost of sending spans: the calling thread with only the bridge and with every sink, against
//! `tracing-opentelemetry` and `fmt`; and a flood to a slow receiver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use spanscope_bench::machine::peak_memory;
use spanscope_bench::subject::{Subject, serve};
use spanscope_bench::table::{Goal, Table};
use spanscope_layers::{ConsoleLayer, TokenMetricsLayer};
use spanscope_otlp::{OtlpGuard, OtlpLayer, Signal};
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::caller::{FLUSH_LIMIT, bursts, in_turn, new_file, spread};
use crate::ours;
use crate::sizes::Sizes;
use crate::workload::{SPANS_A_TRACE, Workload};

/// The slow receiver's response time.
const SLOW: Duration = Duration::from_millis(50);
/// Spans a second of the flood.
const FLOOD: u64 = 100_000;

/// Accepts every request and drops it; counts the spans if requested.
fn receiver(takes: Duration, counts: bool) -> Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let spans = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&spans);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let counted = counts.then(|| Arc::clone(&counted));
            std::thread::spawn(move || answer(&connection, takes, counted.as_deref()));
        }
    });
    Ok((address, spans))
}

fn answer(connection: &TcpStream, takes: Duration, counted: Option<&AtomicU64>) -> Result<()> {
    let mut reader = BufReader::new(connection);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        if let Some(counted) = counted {
            let request = ExportTraceServiceRequest::decode(&body[..])?;
            let scopes = request
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans);
            let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
            counted.fetch_add(spans as u64, Ordering::Relaxed);
        }
        std::thread::sleep(takes);
        let mut writer = connection;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn bridge<S>(address: SocketAddr, all: bool) -> Result<(OtlpLayer<S>, OtlpGuard)>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let settings = OtlpLayer::builder().endpoint(format!("http://{address}"));
    let settings = settings.send(Signal::Logs, all).send(Signal::Metrics, all);
    Ok(settings.build()?)
}

/// Runs one subject of this section in a child process.
#[expect(clippy::cast_precision_loss, reason = "counts of spans are small")]
pub(crate) fn child(role: &str, folder: &Path, sizes: &Sizes) -> Result<()> {
    match role {
        "sending-bridge" => {
            let (address, _) = receiver(Duration::ZERO, false)?;
            let (layer, guard) = bridge(address, false)?;
            subscriber::set_global_default(registry().with(layer))?;
            serve(
                || bursts(sizes, false, || Ok(guard.flush(FLUSH_LIMIT)?)),
                || Ok(vec![guard.stats().spans.lost.total() as f64]),
            )
        }
        "sending-all" => {
            let (address, _) = receiver(Duration::ZERO, false)?;
            let (otlp, otlp_guard) = bridge(address, true)?;
            let (sqlite, sqlite_guard) = ours::dropping(&new_file(folder)?, 64 << 20)?;
            let (console, console_guard) = ConsoleLayer::builder().writer(std::io::sink()).build()?;
            let metrics = TokenMetricsLayer::builder()
                .sink(sqlite.metric_sink())
                .sink(otlp.metric_sink())
                .build();
            let all = registry().with(otlp).with(sqlite).with(console).with(metrics);
            subscriber::set_global_default(all)?;
            let settle = || {
                otlp_guard.flush(FLUSH_LIMIT)?;
                console_guard.flush(FLUSH_LIMIT)?;
                ours::flush(&sqlite_guard, FLUSH_LIMIT)
            };
            serve(
                || bursts(sizes, false, settle),
                || {
                    let sent = otlp_guard.stats();
                    let lost = sent.spans.lost.total() + sent.logs.lost.total();
                    let shown = console_guard.stats().dropped.total();
                    Ok(vec![(lost + shown) as f64 + ours::dropped(&sqlite_guard)])
                },
            )
        }
        "sending-flood" => flood(sizes),
        other => bail!("unknown subject {other}"),
    }
}

/// Offers spans at a steady rate; reports how much memory grew after the first sixth of the time,
/// and the account: offered, sent, lost, received.
#[expect(clippy::cast_precision_loss, reason = "counts of spans are small")]
fn flood(sizes: &Sizes) -> Result<()> {
    let (address, received) = receiver(SLOW, true)?;
    let (layer, guard) = bridge(address, false)?;
    subscriber::set_global_default(registry().with(layer))?;
    serve(
        || {
            let workload = Workload::new();
            let (start, mut made) = (Instant::now(), 0);
            let (mut settled, mut number) = (None, 0);
            while start.elapsed() < sizes.flood {
                let due = start.elapsed().as_micros() as u64 * FLOOD / 1_000_000;
                while made < due {
                    workload.trace(number, false);
                    number += 1;
                    made += SPANS_A_TRACE;
                }
                if settled.is_none() && start.elapsed() > sizes.flood / 6 {
                    settled = peak_memory();
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            let grown = peak_memory()
                .unwrap_or_default()
                .saturating_sub(settled.unwrap_or_default());
            let seconds = start.elapsed().as_secs_f64();
            let _ = guard.shutdown();
            let spans = guard.stats().spans;
            Ok(vec![
                grown as f64 / f64::from(1 << 20),
                made as f64 / seconds,
                spans.offered as f64,
                spans.exported as f64,
                spans.lost.total() as f64,
                received.load(Ordering::Relaxed) as f64,
            ])
        },
        || Ok(Vec::new()),
    )
}

/// Measures all subjects of this section in turn and adds their rows to the table.
pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let roles = [
        "caller-fmt",
        "caller-opentelemetry",
        "sending-bridge",
        "sending-all",
    ];
    let taken = in_turn(&roles, folder, sizes)?;
    let [fmt, peer, bridge, all] = taken.as_slice() else {
        bail!("a subject is missing");
    };
    let lost = [bridge.lost, all.lost];
    let [fmt, peer, bridge, all] = [fmt, peer, bridge, all].map(|taken| taken.sample(0));
    let ratio = bridge.ratio_to(&peer);
    table.judged(
        &format!(
            "calling thread: `OtlpLayer` alone, to a local receiver ({:.0} spans lost)",
            lost[0]
        ),
        spread(&bridge),
        format!("{ratio:.2} x tracing-opentelemetry ({})", spread(&peer)),
        ratio,
        Goal::AtMost(1.1),
        "<= 1.1 x tracing-opentelemetry",
    );
    let sum = peer.median() + fmt.median();
    let ratio = all.median() / sum;
    table.judged(
        &format!(
            "calling thread: every sink on (console to a sink, SQLite, tokens, OTLP with all signals; {:.0} records lost)",
            lost[1]
        ),
        spread(&all),
        format!("{ratio:.2} x the sum of `tracing-opentelemetry` and `fmt` ({sum:.0} ns)"),
        ratio,
        Goal::AtMost(1.0),
        "<= 1.0 x the sum",
    );

    let mut flood = Subject::start("sending-flood", folder)?;
    let answer = flood.round()?;
    flood.finish()?;
    let [grown, rate, offered, sent, lost, received] = answer[..] else {
        bail!("the flood has another answer");
    };
    let seconds = sizes.flood.as_secs();
    table.judged(
        &format!("{rate:.0} spans/s for {seconds} s to a receiver that answers in 50 ms: memory after the first sixth"),
        format!("{grown:.1} MiB more"),
        format!("{offered:.0} offered = {sent:.0} sent ({received:.0} received) + {lost:.0} counted as lost"),
        if offered == sent + lost && sent == received { grown } else { f64::INFINITY },
        Goal::AtMost(1.0),
        "no growth, every span received or counted",
    );
    Ok(())
}
