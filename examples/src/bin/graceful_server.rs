//! An axum server that ends gracefully: on Ctrl-C or SIGTERM it accepts no new request and answers
//! those in flight.
//!
//! ```text
//! cargo run -p spanscope-examples --bin graceful_server              # calls itself, is stopped meanwhile, and ends
//! cargo run -p spanscope-examples --bin graceful_server -- --serve   # listens until Ctrl-C or SIGTERM
//! ```
//!
//! Spanscope needs no setting for this: the program handles the signals and ends by itself, and
//! everything recorded before the guard is dropped, at the end of `main`, is stored. You see the
//! response of the request in flight, and that its span has ended:
//!
//! ```text
//! the server is stopping
//! GET /report -> 200 a long report
//! GET /report (server, ok): spans: 2
//! ```

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use spanscope_examples::{ask, store_path};
use spanscope_model::{SpanStatus, Timestamp, TraceFilter, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tracing::{Instrument, info, info_span, instrument};

const SERVICE: &str = "graceful-example";

/// Set when a request has begun; only for the example's own run.
static HAS_BEGUN: Notify = Notify::const_new();

#[instrument]
async fn write_report() -> &'static str {
    HAS_BEGUN.notify_one();
    // Longer than the signal takes to arrive.
    tokio::time::sleep(Duration::from_millis(300)).await;
    "a long report"
}

fn router() -> Router {
    let span = || info_span!("request", otel.name = "GET /report", otel.kind = "server");
    Router::new().route("/report", get(move || write_report().instrument(span())))
}

/// Ends when the program is to end.
async fn end_requested() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // A program that can't listen for SIGTERM still ends on Ctrl-C.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Timestamp::now();
    let path = store_path();
    let guard = spanscope::builder()
        .sinks(&["sqlite"])?
        .service_name(SERVICE)
        .sqlite_path(&path)
        .try_init()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    if std::env::args().any(|argument| argument == "--serve") {
        println!("http://{addr}/report");
        axum::serve(listener, router())
            .with_graceful_shutdown(end_requested())
            .await?;
        info!("all requests are answered");
        // The guard is dropped here: it writes all queued records, for 5 s at most.
        return Ok(());
    }

    let stop_requested = async {
        HAS_BEGUN.notified().await;
        println!("the server is stopping");
    };
    let server = axum::serve(listener, router()).with_graceful_shutdown(stop_requested);
    let server = tokio::spawn(server.into_future());
    let answer = tokio::spawn(async move { ask(addr, "GET", "/report", "").await });
    server.await??;
    let (status, body) = answer.await??;
    println!("GET /report -> {status} {body}");

    guard.flush(Duration::from_secs(5))?;
    tokio::task::block_in_place(|| {
        let store = SqliteStore::open(&path)?;
        let filter = TraceFilter::default().service(SERVICE.to_owned()).since(started);
        for summary in block_on(store.list_traces(filter))? {
            let root = block_on(store.get_span(summary.trace.trace_id, summary.trace.root_span_id))?;
            let status = root.status.map_or("running", SpanStatus::as_str);
            println!(
                "{} ({}, {status}): spans: {}",
                root.name, root.kind, summary.span_count
            );
        }
        Ok(())
    })
}
