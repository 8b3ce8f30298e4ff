//! An axum server with one span per request, created by plain `tracing` in a small middleware.
//!
//! ```text
//! cargo run -p spanscope-examples --bin axum_server              # asks itself three times and ends
//! cargo run -p spanscope-examples --bin axum_server -- --serve   # listens on 127.0.0.1:3000 until Ctrl-C
//! ```
//!
//! You see the responses, and the spans that the store has of the requests:
//!
//! ```text
//! GET /users/7 -> 200
//! GET /broken -> 500
//! GET /nowhere -> 404
//! GET /users/{id} (server, ok): status 200, spans: 2
//! GET /broken (server, error): status 500, spans: 1
//! GET (server, ok): status 404, spans: 1
//! ```

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Path as PathParameter, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use spanscope_examples::{ask, store_path};
use spanscope_model::{Condition, ConditionOp, SpanStatus, Timestamp, TraceFilter, TraceStore, block_on};
use spanscope_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tracing::{Instrument, error, field, info, info_span, instrument};

const SERVICE: &str = "axum-example";

/// Opens the request's span. The route, not the path, is in its name, so that there are few names.
async fn request_span(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|route| route.as_str().to_owned());
    let method = request.method().clone();
    let name = format!("{method} {}", route.as_deref().unwrap_or_default());
    let span = info_span!(
        "request",
        otel.name = name.trim_end(),
        otel.kind = "server",
        http.request.method = method.as_str(),
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = field::Empty,
    );
    async move {
        let response = next.run(request).await;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            // An ERROR event makes the span's status `error`. A client's mistake is not the
            // server's error.
            error!(status = status.as_u16(), "the request failed");
        }
        response
    }
    .instrument(span)
    .await
}

#[instrument]
async fn load_user(id: u64) -> String {
    // A real server would query a database here.
    tokio::time::sleep(Duration::from_millis(2)).await;
    format!("user {id}")
}

fn router() -> Router {
    Router::new()
        .route(
            "/users/{id}",
            get(|PathParameter(id): PathParameter<u64>| load_user(id)),
        )
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .layer(middleware::from_fn(request_span))
}

fn print_requests(path: &Path, started: Timestamp) -> anyhow::Result<()> {
    let store = SqliteStore::open(path)?;
    let filter = TraceFilter::default()
        .conditions(vec![Condition::new("kind", ConditionOp::Eq, "server")])
        .service(SERVICE.to_owned())
        // The file may also have older runs.
        .since(started)
        .order_by(vec!["start_time".parse()?]);
    for summary in block_on(store.list_traces(filter))? {
        let root = block_on(store.get_span(summary.trace.trace_id, summary.trace.root_span_id))?;
        println!(
            "{} ({}, {}): status {}, spans: {}",
            root.name,
            root.kind,
            root.status.map_or("running", SpanStatus::as_str),
            root.attributes
                .get("http.response.status_code")
                .map_or_else(|| "unknown".to_owned(), ToString::to_string),
            summary.span_count,
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Timestamp::now();
    let path = store_path();
    let serves = std::env::args().any(|argument| argument == "--serve");
    // An operator of a server wants the console; a program that calls itself prints its own
    // results.
    let sinks: &[&str] = if serves {
        &["console", "sqlite"]
    } else {
        &["sqlite"]
    };
    let guard = spanscope::builder()
        .sinks(sinks)?
        .service_name(SERVICE)
        .sqlite_path(&path)
        .try_init()?;
    if serves {
        let listener = TcpListener::bind(("127.0.0.1", 3000)).await?;
        info!(addr = %listener.local_addr()?, "listening");
        // On Ctrl-C the guard's signal handler writes what is queued and ends the program.
        axum::serve(listener, router()).await?;
        return Ok(());
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(axum::serve(listener, router()).into_future());
    for path in ["/users/7", "/broken", "/nowhere"] {
        let (status, _) = ask(addr, "GET", path, "").await?;
        println!("GET {path} -> {status}");
    }
    server.abort();
    guard.flush(Duration::from_secs(5))?;
    tokio::task::block_in_place(|| print_requests(&path, started))
}
