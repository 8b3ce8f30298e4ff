//! Readers that share the store with the intake: how long a list takes while two scans run and
//! spans arrive, and whether the intake loses anything because of them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use prost::Message as _;
use spanscope_bench::sample::Sample;
use spanscope_bench::table::{Goal, Table, nanos};
use spanscope_model::{TraceStore, block_on};
use spanscope_sqlite::SqliteStore;

use crate::serving::{Running, SPANS_A_REQUEST, name_spans, request};
use crate::sizes::Sizes;

/// Spans a second that arrive.
const INTAKE: u64 = 30_000;
const SENDERS: u64 = 4;
const SCANNERS: usize = 2;
/// Lists a second.
const RATE: u64 = 50;

/// Reads every span, under conditions that all of them meet but the last.
const SCAN: &str = r#"{"attribute_filters": [
    {"key": "http.route", "op": "ne", "value": 1}, {"key": "server.address", "op": "ne", "value": 2},
    {"key": "document", "op": "ne", "value": 3}, {"key": "cache.hit", "op": "ne", "value": 4},
    {"key": "missing", "op": "eq", "value": "nowhere"}], "order_by": ["-span_count"]}"#;

/// Lists while everything else runs, and adds to the table how long the slowest took.
#[expect(clippy::cast_precision_loss, reason = "counts of spans are small")]
pub(crate) fn share(table: &mut Table, folder: &Path, sizes: &Sizes) -> Result<()> {
    let store = SqliteStore::builder()
        .max_bytes(4 << 30)
        .open(folder.join("received.db"))?;
    let server = Running::start(&store)?;
    let stored = block_on(store.statistics())?.spans;
    let (is_over, sent, scans) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut began = Instant::now();
    let took = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let mut others = Vec::new();
        for sender in 0..SENDERS {
            let (server, is_over, sent) = (&server, &is_over, &sent);
            others.push(scope.spawn(move || -> Result<()> {
                let pause = Duration::from_secs(1) * u32::try_from(SPANS_A_REQUEST as u64 * SENDERS)?
                    / u32::try_from(INTAKE)?;
                let mut client = server.client()?;
                let mut request = request(SPANS_A_REQUEST);
                let mut at = Instant::now();
                for number in 0_u64.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    name_spans(&mut request, (1 << 40) + number * SENDERS + sender);
                    // Any status but 200 ends the run: nothing may be refused.
                    client.post("/v1/traces", "application/x-protobuf", &request.encode_to_vec())?;
                    sent.fetch_add(SPANS_A_REQUEST as u64, Ordering::Relaxed);
                    at += pause;
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                }
                Ok(())
            }));
        }
        for _ in 0..SCANNERS {
            let (server, is_over, scans) = (&server, &is_over, &scans);
            others.push(scope.spawn(move || -> Result<()> {
                let mut client = server.client()?;
                while !is_over.load(Ordering::Relaxed) {
                    if client.post_long("/v1/telemetry/traces", SCAN)? {
                        scans.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok(())
            }));
        }
        began = Instant::now();
        let took = lists(&server, sizes);
        is_over.store(true, Ordering::Relaxed);
        for other in others {
            other.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        took
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let sent = sent.into_inner();
    let all = block_on(store.statistics())?.spans;
    ensure!(all == stored + sent, "{all} of {} are stored", stored + sent);
    let sample = Sample::new(took);
    let p99 = sample.quantile(0.99);
    table.judged(
        &format!("{stored} spans stored, {INTAKE} a second sent, two scans at any time: the newest 100 traces over HTTP, p99"),
        nanos(p99),
        format!(
            "median {}; {:.0} spans a second came in, none was refused; {} scans done",
            nanos(sample.median()),
            sent as f64 / seconds,
            scans.into_inner()
        ),
        p99 / 1e6,
        Goal::AtMost(10.0),
        "<= 10 ms",
    );
    Ok(())
}

fn lists(server: &Running, sizes: &Sizes) -> Result<Vec<f64>> {
    let mut client = server.client()?;
    let mut took = Vec::new();
    let begin = Instant::now();
    for number in 0..sizes.served_questions {
        let at = begin + Duration::from_millis(1000 / RATE) * u32::try_from(number)?;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        client.post("/v1/telemetry/traces", "application/json", b"{}")?;
        took.push(at.elapsed().as_secs_f64() * 1e9);
    }
    Ok(took)
}
