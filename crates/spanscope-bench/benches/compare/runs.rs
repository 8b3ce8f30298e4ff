//! Agent traces: a list among many tenants, the analysis of a large run, and many clients that
//! watch one run while it is recorded.
//!
//! The program that records the run, the server and the clients are three processes on the same
//! cores.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use spanscope_bench::machine::peak_memory;
use spanscope_bench::sample::Sample;
use spanscope_bench::subject::{Subject, serve};
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_layers::genai::{Agent, ToolCall};
use spanscope_model::{
    NewRecords, NewSpan, RunFilter, RunStatus, SourceRecords, Span, SpanId, SpanState, SpanStatus, Timestamp,
    TraceId, TraceStore, block_on,
};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use crate::serving::Running;
use crate::sizes::Sizes;

const TENANTS: usize = 100;
const AGENTS: u64 = 10;
/// Spans of each listed run.
const SPANS: usize = 20;
/// Spans a second of the watched run.
const RATE: u64 = 1_000;
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn report(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    list(table, folder, sizes)?;
    watch(table, folder, sizes)
}

fn span(trace: u64, id: u64, parent: Option<u64>, name: &str, start: i64, nanos: i64) -> Result<Span> {
    let trace = (u128::from(trace) + 1).to_be_bytes();
    let span_id = |id: u64| SpanId::from_bytes((id + 1).to_be_bytes());
    let trace = TraceId::from_bytes(trace).context("no id")?;
    let id = (u64::from_be_bytes(trace.to_bytes()[8..].try_into()?) << 20) + id;
    let parent = parent.map(|parent| {
        (u64::from_be_bytes(trace.to_bytes()[8..].try_into().unwrap_or_default()) << 20) + parent
    });
    let mut span = Span::new(
        trace,
        span_id(id).context("no id")?,
        name,
        Timestamp::from_nanos(start),
    );
    span.parent_span_id = parent.and_then(span_id);
    span.end_time = Some(Timestamp::from_nanos(start + nanos));
    span.status = Some(SpanStatus::Ok);
    span.state = SpanState::Ended;
    Ok(span)
}

/// A run of an agent with this number of spans, a tenth of them model calls.
fn run(number: u64, spans: usize, start: i64) -> Result<Vec<Span>> {
    let mut root = span(number, 0, None, "invoke_agent", start, 1_000_000 * spans as i64)?;
    root.attributes.set("gen_ai.operation.name", "invoke_agent");
    root.attributes
        .set("gen_ai.agent.name", format!("agent-{}", number % AGENTS));
    root.attributes.set("task_id", format!("task-{number}"));
    root.attributes
        .set("session_id", format!("session-{}", number / 7));
    root.attributes.set("user_id", format!("user-{}", number % 50));
    if number.is_multiple_of(20) {
        root.status = Some(SpanStatus::Error);
    }
    let mut all = vec![root];
    for place in 1..spans as u64 {
        // A tree: each span has up to four children.
        let at = start + 1_000_000 * i64::try_from(place)?;
        let mut span = span(number, place, Some((place - 1) / 4), "step", at, 900_000)?;
        if place % 10 == 0 {
            span.attributes.set("gen_ai.operation.name", "chat");
            span.attributes.set("gen_ai.request.model", "tiny");
            span.attributes.set("gen_ai.usage.input_tokens", 100);
            span.attributes.set("gen_ai.usage.output_tokens", 20);
        } else if place % 3 == 0 {
            span.attributes.set("gen_ai.operation.name", "execute_tool");
            span.attributes
                .set("gen_ai.tool.name", format!("tool-{}", place % 7));
        }
        all.push(span);
    }
    Ok(all)
}

fn records(spans: Vec<Span>) -> NewRecords {
    let spans = spans.into_iter().map(NewSpan::new);
    NewRecords::default().sources(vec![SourceRecords::default().spans(spans.collect())])
}

fn list(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let store = SqliteStore::builder()
        .max_bytes(4 << 30)
        .open(folder.join("runs.db"))?;
    let tenants: Vec<Arc<dyn TraceStore>> = (0..TENANTS)
        .map(|tenant| Ok(store.for_tenant(&format!("tenant-{tenant}").parse()?)))
        .collect::<Result<_>>()?;
    let now = Timestamp::now().as_nanos();
    let mut number = 0;
    while number < sizes.listed_runs as u64 {
        let tenant = &tenants[(number as usize / 25) % TENANTS];
        let mut spans = Vec::new();
        for _ in 0..25 {
            spans.extend(run(
                number,
                SPANS,
                now - 3_600_000_000_000 + 50_000_000 * number as i64,
            )?);
            number += 1;
        }
        block_on(tenant.store(records(spans)))?;
    }
    let stored = block_on(store.statistics())?;
    let filters = [
        RunFilter::default(),
        RunFilter::default().agent_id("agent-3".to_owned()),
        RunFilter::default()
            .status(RunStatus::Failed)
            .user_id("user-20".to_owned()),
        RunFilter::default()
            .status(RunStatus::Completed)
            .since(Timestamp::from_nanos(now - 3_000_000_000_000))
            .offset(40),
    ];
    let ask = |of: &dyn TraceStore, filter: &RunFilter| -> Result<(f64, u64)> {
        let began = Instant::now();
        let page = block_on(of.list_runs(filter.clone()))?;
        Ok((began.elapsed().as_secs_f64() * 1e9, page.total))
    };
    let mut of_tenants = Vec::new();
    let mut total = 0;
    for question in 0..sizes.served_questions {
        let (took, found) = ask(
            &*tenants[question * 37 % TENANTS],
            &filters[question % filters.len()],
        )?;
        of_tenants.push(took);
        total += found;
    }
    ensure!(total > 0, "nothing was found");
    let of_tenants = Sample::new(of_tenants);
    let p99 = of_tenants.quantile(0.99);
    table.judged(
        &format!(
            "{} runs, {} spans, {TENANTS} tenants: a tenant's list of runs with filters and total, p99",
            sizes.listed_runs, stored.spans
        ),
        nanos(p99),
        format!("median {}", nanos(of_tenants.median())),
        p99 / 1e6,
        Goal::AtMost(20.0),
        "<= 20 ms",
    );
    let mut of_all = Vec::new();
    for question in 0..sizes.served_questions / 10 {
        of_all.push(ask(&store, &filters[question % filters.len()])?.0);
    }
    let of_all = Sample::new(of_all);
    let p99 = of_all.quantile(0.99);
    table.judged(
        "an administrator's list, of all tenants, p99",
        nanos(p99),
        format!("median {}", nanos(of_all.median())),
        p99 / 1e6,
        Goal::AtMost(20.0),
        "<= 20 ms",
    );

    let large = 9_999_999;
    for spans in run(large, sizes.tree_spans, now - 60_000_000_000)?.chunks(1_000) {
        block_on(store.store(records(spans.to_vec())))?;
    }
    let server = Running::start(&store)?;
    let mut took = Vec::new();
    let mut length = 0;
    for _ in 0..sizes.questions {
        let began = Instant::now();
        length = server.client()?.get(&format!("/traces/task-{large}/analysis"))?;
        took.push(began.elapsed().as_secs_f64() * 1e9);
    }
    let took = Sample::new(took);
    table.judged(
        &format!(
            "analysis of a run of {} spans over HTTP, median ({length} B)",
            sizes.tree_spans
        ),
        nanos(took.median()),
        format!("slowest {}", nanos(took.quantile(1.0))),
        took.median() / 1e6,
        Goal::AtMost(100.0),
        "<= 100 ms",
    );
    Ok(())
}

/// What one client of a stream has seen.
struct Seen {
    lag: Duration,
    bytes: usize,
    is_done: bool,
}

/// Reads a stream to its end. The lag is that of the oldest event of each piece, once the run is
/// followed.
async fn reader(address: SocketAddr, path: String, connected: Arc<AtomicUsize>) -> Result<Seen> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
        .await?;
    let mut buffer = vec![0; 256 * 1024];
    let mut seen = Seen {
        lag: Duration::ZERO,
        bytes: 0,
        is_done: false,
    };
    let mut is_first = true;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(seen);
        }
        if std::mem::take(&mut is_first) {
            connected.fetch_add(1, Ordering::Relaxed);
        }
        let text = &buffer[..length];
        seen.bytes += length;
        let tail = &text[text.len().saturating_sub(64)..];
        if tail.windows(6).any(|six| six == b"[DONE]") {
            // The end of the run comes after the grace period, which is not a lag.
            seen.is_done = true;
            return Ok(seen);
        }
        if let Some(time) = first_time(text) {
            let lag = Timestamp::now().as_nanos() - time.as_nanos();
            let lag = Duration::from_nanos(u64::try_from(lag).unwrap_or(0));
            // Events from before the client's connection have no lag.
            if seen.bytes > 64 * 1024 {
                seen.lag = seen.lag.max(lag);
            }
        }
    }
}

/// The time of the first event in a piece of a stream.
fn first_time(text: &[u8]) -> Option<Timestamp> {
    const NAME: &[u8] = b"\"timestamp\":\"";
    let near = &text[..text.len().min(4096)];
    let at = near.windows(NAME.len()).position(|name| name == NAME)? + NAME.len();
    let length = near[at..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&near[at..at + length]).ok()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "bytes and spans are few")]
fn watch(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let mut program = Subject::start("runs-program", folder)?;
    let alone = program.round()?;
    let mut server = Subject::start("runs-server", folder)?;
    let answer = server.round()?;
    let address: SocketAddr = format!("127.0.0.1:{}", answer[0]).parse()?;
    let memory_before = answer[1];
    let runtime = tokio::runtime::Runtime::new()?;
    let connected = Arc::new(AtomicUsize::new(0));
    let (watched, seen) = std::thread::scope(|scope| -> Result<_> {
        let program = scope.spawn(|| program.round());
        // The run has to exist before it can be watched.
        let until = Instant::now() + Duration::from_secs(10);
        while runtime.block_on(status(address, "/traces/live-1/summary"))? != 200 {
            ensure!(Instant::now() < until, "the run did not come");
            std::thread::sleep(Duration::from_millis(50));
        }
        let readers: Vec<_> = (0..sizes.watchers)
            .map(|_| {
                runtime.spawn(reader(
                    address,
                    "/traces/live-1/stream".to_owned(),
                    Arc::clone(&connected),
                ))
            })
            .collect();
        let watched = program.join().map_err(|_| anyhow!("the program panicked"))??;
        let seen = runtime.block_on(async {
            let mut seen = Vec::new();
            for reader in readers {
                seen.push(reader.await??);
            }
            Ok::<_, anyhow::Error>(seen)
        })?;
        Ok((watched, seen))
    })?;
    let memory = server.round()?[1] - memory_before;
    program.finish()?;
    server.finish()?;
    let done = seen.iter().filter(|seen| seen.is_done).count();
    let (least, most) = (
        seen.iter().map(|seen| seen.bytes).min().unwrap_or(0),
        seen.iter().map(|seen| seen.bytes).max().unwrap_or(0),
    );
    let slowest = seen.iter().map(|seen| seen.lag).max().unwrap_or_default();
    let mut lags: Vec<_> = seen.iter().map(|seen| seen.lag).collect();
    lags.sort();
    let median = lags[lags.len() / 2];
    table.judged(
        &format!(
            "{} clients watch a run of {RATE} spans a second: the oldest event of a piece when it comes, slowest client",
            sizes.watchers
        ),
        format!("{:.0} ms", slowest.as_secs_f64() * 1e3),
        format!(
            "median client {:.0} ms; {done} of {} read to [DONE], {least} to {most} B each",
            median.as_secs_f64() * 1e3,
            seen.len()
        ),
        slowest.as_secs_f64(),
        Goal::AtMost(1.0),
        "<= 1 s",
    );
    table.judged(
        "a span of the watched program on the calling thread, median, against no watcher",
        nanos(watched[0]),
        format!("{:.2} x {}", watched[0] / alone[0], nanos(alone[0])),
        watched[0] / alone[0],
        Goal::AtMost(1.2),
        "1.0 x",
    );
    table.plain(
        "memory of the server for them",
        format!("{:.1} MiB", memory / f64::from(1 << 20)),
        format!("{:.0} KiB a client", memory / 1024.0 / sizes.watchers as f64),
    );
    Ok(())
}

async fn status(address: SocketAddr, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    let text = String::from_utf8_lossy(&text);
    text.split(' ')
        .nth(1)
        .context("no answer")?
        .parse()
        .context("no status")
}

pub(crate) fn child(role: &str, folder: &Path, sizes: &Sizes) -> Result<()> {
    let file = folder.join("live.db");
    if role == "runs-server" {
        let store = SqliteStore::builder().open(file)?;
        let server = Running::start(&store)?;
        let state = move || {
            let memory = peak_memory().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "it is printed in MiB")]
            Ok(vec![f64::from(server.address().port()), memory as f64])
        };
        return serve(state, || Ok(vec![0.0]));
    }
    let (layer, guard) = SqliteLayer::builder().open(file)?;
    let _default = subscriber::set_default(registry().with(layer));
    let mut rounds = 0;
    let round = move || {
        let agent = Agent::invoke("watched");
        agent.task(&format!("live-{rounds}"));
        rounds += 1;
        let mut took = Vec::new();
        let began = Instant::now();
        agent.in_scope(|| -> Result<()> {
            for number in 0..sizes.watched_spans {
                let at = began + Duration::from_nanos(1_000_000_000 / RATE) * u32::try_from(number)?;
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                let began = Instant::now();
                let tool = ToolCall::execute("calculator");
                tool.arguments(r#"{"expression":"6*7"}"#).result("42");
                drop(tool);
                took.push(began.elapsed().as_secs_f64() * 1e9);
            }
            Ok(())
        })?;
        drop(agent);
        std::io::stdout().flush()?;
        Ok(vec![Sample::new(took).median()])
    };
    serve(round, move || {
        guard.flush(FLUSH_LIMIT)?;
        Ok(vec![0.0])
    })
}
