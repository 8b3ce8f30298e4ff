//! `spanscope demo`: a small agent that really runs, so that there is a real trace to look at.
//!
//! It starts a tiny OpenAI-compatible server on the loopback interface, asks it over HTTP (once whole, once
//! streamed), searches a few passages of text and calls two tools, of which one fails because nothing listens where it
//! connects to. Everything is instrumented as users would do it: the helper for model calls, and `tracing`'s own macros
//! with OpenTelemetry's field names. Only [`propagation`] needs an extension trait, because plain `tracing` knows no
//! trace ids.
//!
//! It needs no network beyond loopback, no model and no key, and prints nothing. [`serve_model`] offers its server alone,
//! to tests that run other clients against it.

mod agent;
mod calculator;
mod chat_client;
mod http;
mod model;
mod model_server;
mod propagation;
mod retrieval;
mod sse;
mod tokens;
mod tools;
mod wire;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use spanscope_model::TraceId;
use tokio::runtime::Runtime;

/// How long the flush at the end may take; it usually takes a few milliseconds.
const FLUSH: Duration = Duration::from_secs(5);

/// Runs the agent with everything that it does stored in `db`, and returns its trace.
///
/// Installs the global subscriber, so it can run once in a process.
pub(crate) fn run(db: &Path) -> anyhow::Result<TraceId> {
    // What it did is shown as a tree afterwards, so the console stays off.
    let sending = sinks_that_send();
    let sinks: Vec<&str> = std::iter::once("sqlite")
        .chain(sending.iter().map(String::as_str))
        .collect();
    let guard = spanscope::builder()
        .sinks(&sinks)?
        .service_name("spanscope-demo")
        .sqlite_path(db)
        .otlp(|otlp| {
            let (otlp, problems) = otlp.env();
            for problem in problems {
                eprintln!("spanscope: {problem}");
            }
            otlp.service_name("spanscope-demo")
        })
        .try_init()
        .context("can't start the telemetry of the demo")?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(agent::demonstrate());
    // Tasks that still hang are dropped here, and their spans end, before the flush.
    drop(runtime);
    let flushed = guard.flush(FLUSH);
    if let Some(sent) = guard.otlp_stats() {
        eprintln!(
            "spanscope: sent {} of {} spans and {} of {} log records",
            sent.spans.exported, sent.spans.offered, sent.logs.exported, sent.logs.offered
        );
    } else {
        flushed.context("can't store the demo's spans")?;
    }
    outcome?
        .trace_id
        .context("the demo's root span was not recorded; is a filter set that turns it off?")
}

/// Those of `TELEMETRY_SINKS` that send what the demo does to a collector. The other variables are left alone, so that the demo
/// shows the same whatever is set.
fn sinks_that_send() -> Vec<String> {
    let sinks = std::env::var("TELEMETRY_SINKS").unwrap_or_default();
    let sinks = sinks.split(',').map(str::trim);
    sinks
        .filter(|sink| sink.starts_with("otel_"))
        .map(ToOwned::to_owned)
        .collect()
}

/// Runs the model's server alone, without telemetry: prints its base URL, as OpenAI's clients take it, and serves until
/// stdin ends. It ends with the process that started it, however that one ends.
pub(crate) fn serve_model() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let server = runtime
        .block_on(model_server::ModelServer::start())
        .context("can't listen on the loopback interface")?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "http://{}/v1", server.addr()).and_then(|()| stdout.flush())?;
    // The runtime's threads serve while this one waits.
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("can't read stdin")?;
    runtime.block_on(server.stop());
    Ok(())
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start the demo's runtime")
}
