//! `spanscope demo`: a small agent that really runs, so that there is a real trace to look at.
//!
//! The agent and its model server are in `spanscope-demo`; this module adds the sinks, the span of
//! the run, and waiting until everything is stored. [`serve_model`] runs only the server, for tests
//! with other clients.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::json;
use spanscope::SpanExt;
use spanscope_demo::{ChatClient, Librarian, ModelServer};
use spanscope_model::TraceId;
use tokio::runtime::Runtime;
use tracing::{Span, info, instrument};

use crate::failure::Stop;
#[cfg(feature = "otlp")]
use crate::remark::remark;

/// The demo's question: one part for the library, one for each of the two tools.
const QUESTION: &str = "How large may the write-ahead log of SQLite grow when a checkpoint starts after 1000 * 4096 bytes, \
     why should a reader not stay in a transaction, and what is the weather in Reykjavik?";
const AGENT: &str = "librarian";
/// How long the flush at the end may take; it usually takes a few milliseconds.
const FLUSH: Duration = Duration::from_secs(5);

/// The result of a run.
#[derive(Debug)]
struct Outcome {
    /// The trace of the run, where a Spanscope layer recorded it.
    trace_id: Option<TraceId>,
    /// The model's last message.
    answer: String,
}

/// Runs the agent with everything that it does stored in `db`, and returns its trace.
///
/// Installs the global subscriber, so it can run once in a process.
pub(crate) fn run(db: &Path) -> anyhow::Result<TraceId> {
    // Its work is shown as a tree afterwards, so the console stays off.
    let sending = sinks_that_send();
    let sinks: Vec<&str> = std::iter::once("sqlite")
        .chain(sending.iter().map(String::as_str))
        .collect();
    if !cfg!(feature = "otlp") && !sending.is_empty() {
        return Err(Stop::usage(
            "this command is built without sinks that send: cargo install spanscope-cli --features otlp, or unset \
             TELEMETRY_SINKS",
        ));
    }
    let builder = spanscope::builder()
        .sinks(&sinks)?
        .service_name("spanscope-demo")
        .sqlite_path(db);
    #[cfg(feature = "otlp")]
    let builder = builder.otlp(|otlp| {
        let (otlp, problems) = otlp.env_from(&|name| std::env::var(name).ok());
        for problem in problems {
            remark(problem);
        }
        otlp.service_name("spanscope-demo")
    });
    let guard = builder
        .try_init()
        .context("can't start the telemetry of the demo")?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(demonstrate());
    // Drops hanging tasks, which ends their spans before the flush.
    drop(runtime);
    let flushed = guard.flush(FLUSH);
    #[cfg(feature = "otlp")]
    let flushed = match guard.otlp_stats() {
        Some(sent) => {
            remark(format_args!(
                "sent {} of {} spans and {} of {} log records",
                sent.spans.exported, sent.spans.offered, sent.logs.exported, sent.logs.offered
            ));
            Ok(())
        }
        None => flushed,
    };
    flushed.context("can't store the demo's spans")?;
    outcome?
        .trace_id
        .context("the demo's root span was not recorded; is a filter set that turns it off?")
}

/// Starts the model server, runs the agent on the demo's question, and waits for the server's last
/// span.
async fn demonstrate() -> anyhow::Result<Outcome> {
    let server = ModelServer::start().await.context("can't listen on loopback")?;
    // Unique for a run, so that two demos in one store are two tasks.
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let run = format!("{run:x}");
    let client = ChatClient::new(&server.base_url(), ModelServer::MODEL)?.provider(ModelServer::PROVIDER);
    let outcome = run_agent(&run, &format!("conversation-{run}"), &Librarian::new(client)?).await;
    server.stop().await;
    if let Ok(outcome) = &outcome {
        // Outside every span: the store keeps such events too.
        info!(target: "agents", answer = outcome.answer, "the demo is over");
    }
    outcome
}

/// Runs the agent on the demo's question.
#[instrument(
    target = "agents", name = "invoke_agent", skip_all, err,
    fields(
        otel.name = format!("invoke_agent {AGENT}"),
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = AGENT,
        gen_ai.conversation.id = conversation,
        gen_ai.output.messages,
        task_id = format!("task-{run}"),
        agent_id = AGENT,
        session_id = format!("session-{run}"),
        user_id = "demo-user",
    )
)]
async fn run_agent(run: &str, conversation: &str, librarian: &Librarian) -> anyhow::Result<Outcome> {
    let span = Span::current();
    let trace_id = span.ids().map(|(trace, _)| trace);
    let answer = librarian.in_conversation(conversation).answer(QUESTION).await?;
    let messages = json!([{ "role": "assistant", "parts": [{ "type": "text", "content": answer }] }]);
    span.record("gen_ai.output.messages", messages.to_string());
    Ok(Outcome { trace_id, answer })
}

/// Returns the sinks of `TELEMETRY_SINKS` that export to a collector. Its other sinks are ignored,
/// so that the demo always shows the same.
fn sinks_that_send() -> Vec<String> {
    let sinks = std::env::var("TELEMETRY_SINKS").unwrap_or_default();
    let sinks = sinks.split(',').map(str::trim);
    sinks
        .filter(|sink| sink.starts_with("otel_"))
        .map(ToOwned::to_owned)
        .collect()
}

/// Runs only the model server, without telemetry: prints its base URL, as OpenAI's clients expect
/// it, and serves until stdin ends. It ends with its parent process, however that ends.
pub(crate) fn serve_model() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let server = runtime
        .block_on(ModelServer::start())
        .context("can't listen on the loopback interface")?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", server.base_url()).and_then(|()| stdout.flush())?;
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
