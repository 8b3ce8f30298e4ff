//! One trace through three processes: a client with `reqwest`, a front server and a back server,
//! both with axum.
//!
//! ```text
//! cargo run -p spanscope-examples --bin distributed
//! TELEMETRY_SINKS=sqlite,otel_trace cargo run -p spanscope-examples --bin distributed   # to a collector as well
//! ```
//!
//! The program starts itself twice as a server and calls the front one, which calls the back one.
//! It then shows what the three wrote to the store that they share: the process of each span, and
//! the baggage that the client sent.
//!
//! ```text
//! 42 bolts are there
//! buy (client, internal)
//!   GET /orders/{item} (client, client)
//!     GET /orders/{item} (front, server)
//!       GET /stock/{item} (front, client)
//!         GET /stock/{item} (back, server): tenant acme
//! 5 spans of 3 processes in 1 trace
//! ```
//!
//! The program has no code for the trace's headers: the layers of `spanscope-tower` read and write
//! them, on both sides.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::extract::{MatchedPath, Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use spanscope::{SpanExt as _, propagation};
use spanscope_examples::store_path;
use spanscope_model::{Span, SpanId, TraceId, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tower::{ClientLayer, ClientRequest, RequestMetricsLayer, SendTraced as _};
use tokio::net::TcpListener;
use tracing::instrument;

/// Each process has its name whatever `OTEL_SERVICE_NAME` says, and all write one file.
fn telemetry(service: &str) -> anyhow::Result<spanscope::Guard> {
    let mut builder = spanscope::Builder::try_from_env()?;
    if std::env::var_os("TELEMETRY_SINKS").is_none() {
        builder = builder.sinks(&["sqlite"])?;
    }
    let builder = builder.service_name(service).sqlite_path(store_path());
    Ok(builder.try_init()?)
}

/// A client of the servers.
#[derive(Clone)]
struct TracedClient {
    client: reqwest::Client,
    requests: ClientLayer,
}

impl TracedClient {
    fn new() -> anyhow::Result<Self> {
        let template_of = |request: &ClientRequest<'_>| {
            let (collection, _) = request.path().strip_prefix('/')?.split_once('/')?;
            Some(format!("/{collection}/{{item}}"))
        };
        Ok(Self {
            // The servers are on this machine.
            client: reqwest::Client::builder().no_proxy().build()?,
            requests: ClientLayer::builder().template_of(template_of).build(),
        })
    }

    async fn ask(&self, server: &str, path: &str) -> reqwest::Result<String> {
        let request = self.client.get(format!("{server}{path}"));
        let response = request.send_traced(&self.requests).await?;
        response.error_for_status()?.text().await
    }
}

/// The servers' middleware: a span for each request, below the sender's span.
fn requests() -> RequestMetricsLayer {
    RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .build()
}

#[derive(Clone)]
struct Front {
    traced_client: TracedClient,
    back: String,
}

async fn order(State(front): State<Front>, Path(item): Path<String>) -> Result<String, StatusCode> {
    let answer = front
        .traced_client
        .ask(&front.back, &format!("/stock/{item}"))
        .await;
    answer.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn front(back: &str) -> anyhow::Result<Router> {
    let state = Front {
        traced_client: TracedClient::new()?,
        back: back.to_owned(),
    };
    Ok(Router::new()
        .route("/orders/{item}", get(order))
        .route_layer(requests())
        .with_state(state))
}

/// Spans don't have baggage by themselves: a program records the entries that it wants.
async fn stock(Path(item): Path<String>) -> String {
    let span = tracing::Span::current();
    if let Some(tenant) = propagation::context(&span).baggage.get("tenant") {
        span.record_attribute("tenant", &*tenant);
    }
    format!("42 {item} are there")
}

fn back() -> Router {
    Router::new()
        .route("/stock/{item}", get(stock))
        .route_layer(requests())
}

/// Serves until the parent process closes this one's stdin, and first prints the address.
async fn serve(router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let (over, is_over) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        let _ = over.send(());
    });
    let until = async {
        let _ = is_over.await;
    };
    Ok(axum::serve(listener, router)
        .with_graceful_shutdown(until)
        .await?)
}

/// Another process of this program.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("a server has no output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let url = url.trim_end().to_owned();
        ensure!(!url.is_empty(), "a server ended before it listened");
        Ok(Self { child, url })
    }

    /// Waits until it has ended, and so has stored its records.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "a server failed: {status}");
        Ok(())
    }
}

#[instrument(skip_all)]
async fn buy(traced_client: &TracedClient, front: &str) -> anyhow::Result<(TraceId, String)> {
    let span = tracing::Span::current();
    let (trace, _) = span.ids().context("no sink is on")?;
    // Every request below this span carries it.
    propagation::add_baggage(&span, "tenant", "acme")?;
    let answer = traced_client.ask(front, "/orders/bolts").await?;
    Ok((trace, answer))
}

fn print_below(parent: Option<SpanId>, spans: &[Span], depth: usize) {
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        let tenant = span.attributes.get("tenant");
        let tenant = tenant.map_or_else(String::new, |tenant| format!(": tenant {tenant}"));
        let indent = "  ".repeat(depth);
        println!(
            "{indent}{} ({}, {}){tenant}",
            span.name, span.service_name, span.kind
        );
        print_below(Some(span.span_id), spans, depth + 1);
    }
}

fn print_trace(trace: TraceId) -> anyhow::Result<()> {
    let store = SqliteStore::open(store_path())?;
    let spans = block_on(store.trace_spans(trace))?;
    print_below(None, &spans, 0);
    let services: BTreeSet<_> = spans.iter().map(|span| &span.service_name).collect();
    println!("{} spans of {} processes in 1 trace", spans.len(), services.len());
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let service = match arguments[..] {
        [] => "client",
        ["--serve", "back"] => "back",
        ["--serve", "front", "--back", _] => "front",
        _ => bail!("usage: distributed [--serve back | --serve front --back URL]"),
    };
    // It outlives the runtime, whose tasks may still record after the server's last response.
    let guard = telemetry(service)?;
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments[..] {
        ["--serve", "back"] => return runtime.block_on(serve(back())),
        ["--serve", "front", "--back", url] => return runtime.block_on(serve(front(url)?)),
        _ => {}
    }
    let back_server = Server::start(&["--serve", "back"])?;
    let front_server = Server::start(&["--serve", "front", "--back", &back_server.url])?;
    let (trace, answer) = runtime.block_on(buy(&TracedClient::new()?, &front_server.url))?;
    println!("{answer}");
    front_server.end()?;
    back_server.end()?;
    guard.flush(Duration::from_secs(5))?;
    print_trace(trace)
}
