//! One trace through three processes: a client with `reqwest`, a server in front and one behind it, both with axum.
//!
//! ```text
//! cargo run -p spanscope-examples --bin distributed
//! TELEMETRY_SINKS=sqlite,otel_trace cargo run -p spanscope-examples --bin distributed   # to a collector as well
//! ```
//!
//! The program starts itself twice as a server, asks the one in front, which asks the one behind, and shows what the three
//! left in the store that they share: which process made each span, and what the baggage says that the client sent along.
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
//! The server in front continues the trace with a middleware of its own, the one behind with the layer of `spanscope-tower`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use spanscope::SpanExt as _;
use spanscope::otlp::opentelemetry::KeyValue;
use spanscope::otlp::opentelemetry::baggage::BaggageExt as _;
use spanscope::otlp::opentelemetry::context::FutureExt as _;
use spanscope::otlp::propagation;
use spanscope_examples::store_path;
use spanscope_model::{Span, SpanId, TraceId, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tower::RequestMetricsLayer;
use tokio::net::TcpListener;
use tracing::{Instrument, field, info_span, instrument};

/// Each process has a name of its own, whatever `OTEL_SERVICE_NAME` says, and all write one file.
fn telemetry(service: &str) -> anyhow::Result<spanscope::Guard> {
    let mut builder = spanscope::Builder::from_env()?;
    if std::env::var_os("TELEMETRY_SINKS").is_none() {
        builder = builder.sinks(&["sqlite"])?;
    }
    let builder = builder.service_name(service).sqlite_path(store_path());
    Ok(builder.try_init()?)
}

fn client() -> anyhow::Result<reqwest::Client> {
    // The servers are on this machine.
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// Sends a request in a span of its own, which goes along with it, as does the baggage of whoever asks.
async fn ask(client: &reqwest::Client, server: &str, route: &str, item: &str) -> reqwest::Result<String> {
    let url = format!("{server}{}", route.replace("{item}", item));
    let mut request = client.get(&url).build()?;
    let span = info_span!(
        "ask",
        otel.name = format!("GET {route}"),
        otel.kind = "client",
        http.request.method = "GET",
        url.full = url,
        http.response.status_code = field::Empty,
    );
    propagation::inject(&span, request.headers_mut());
    let answer = async {
        let response = client.execute(request).await?;
        tracing::Span::current().record("http.response.status_code", response.status().as_u16());
        response.error_for_status()?.text().await
    };
    answer.instrument(span).await
}

/// Opens the request's span below the span of whoever sent it. `continue_from` comes before the span is entered.
async fn request_span(route: MatchedPath, request: Request, next: Next) -> Response {
    let span = info_span!(
        "request",
        otel.name = format!("{} {}", request.method(), route.as_str()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route.as_str(),
    );
    propagation::continue_from(&span, request.headers());
    next.run(request).instrument(span).await
}

#[derive(Clone)]
struct Front {
    client: reqwest::Client,
    back: String,
}

async fn order(State(front): State<Front>, Path(item): Path<String>) -> Result<String, StatusCode> {
    let answer = ask(&front.client, &front.back, "/stock/{item}", &item).await;
    answer.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn front(back: &str) -> anyhow::Result<Router> {
    let state = Front {
        client: client()?,
        back: back.to_owned(),
    };
    Ok(Router::new()
        .route("/orders/{item}", get(order))
        .route_layer(middleware::from_fn(request_span))
        .with_state(state))
}

/// Baggage is in no span by itself: what is to be seen of it is recorded.
async fn stock(Path(item): Path<String>, request: Request) -> String {
    let context = propagation::extract(request.headers());
    if let Some(tenant) = context.baggage().get("tenant") {
        tracing::Span::current().record_attribute("tenant", tenant.as_str());
    }
    format!("42 {item} are there")
}

fn back() -> Router {
    let requests = RequestMetricsLayer::builder()
        .route_of(|extensions| Some(extensions.get::<MatchedPath>()?.as_str().to_owned()))
        .build();
    Router::new()
        .route("/stock/{item}", get(stock))
        .route_layer(requests)
}

/// Serves until whoever started this process closes its end of the input, and says at once where.
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

    /// Waits until it has ended, and so has stored what it had.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "a server failed: {status}");
        Ok(())
    }
}

#[instrument(skip_all)]
async fn buy(client: &reqwest::Client, front: &str) -> anyhow::Result<(TraceId, String)> {
    let (trace, _) = tracing::Span::current().ids().context("no sink is on")?;
    let context = propagation::context(&tracing::Span::current());
    let context = propagation::add_baggage(&context, [KeyValue::new("tenant", "acme")]);
    let answer = ask(client, front, "/orders/{item}", "bolts")
        .with_context(context)
        .await?;
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
    // It outlives the runtime, whose tasks may still record something when the server has answered its last request.
    let guard = telemetry(service)?;
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments[..] {
        ["--serve", "back"] => return runtime.block_on(serve(back())),
        ["--serve", "front", "--back", url] => return runtime.block_on(serve(front(url)?)),
        _ => {}
    }
    let behind = Server::start(&["--serve", "back"])?;
    let ahead = Server::start(&["--serve", "front", "--back", &behind.url])?;
    let (trace, answer) = runtime.block_on(buy(&client()?, &ahead.url))?;
    println!("{answer}");
    ahead.end()?;
    behind.end()?;
    guard.flush(Duration::from_secs(5))?;
    print_trace(trace)
}
