//! What the examples share: where their store is, printing what is in it, and sending requests to a
//! server.
//!
//! Start with the examples themselves, in `src/bin/`; `README.md` lists which one to read for which
//! purpose.

mod book;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use spanscope_model::{
    Condition, ConditionOp, LogFilter, Span, SpanId, SpanStatus, TraceFilter, TraceId, TraceStore, block_on,
};
use spanscope_sqlite::SqliteStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns the path of the store that an example writes: in the folder that `SQLITE_STORE_DIR`
/// names, else in `spanscope-examples` among the system's temporary files.
#[must_use]
pub fn store_path() -> PathBuf {
    std::env::var_os("SQLITE_STORE_DIR")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| std::env::temp_dir().join("spanscope-examples"), PathBuf::from)
        .join("trace_store.db")
}

/// Sends a request to a server, with a JSON body if it is not empty, and returns the status and the
/// body of the response. A real program has an HTTP client for this.
///
/// # Errors
/// The server is unreachable, or its response is not HTTP.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !body.is_empty() {
        head += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .context("the response has no end of its head")?;
    let status = head.split(' ').nth(1).context("the response has no status")?;
    Ok((status.to_owned(), body.to_owned()))
}

/// Prints the newest trace that has a span of this name: spans as a tree, with kind, status and
/// messages, and without times, so that each run prints the same.
///
/// # Errors
/// The file can't be read, or no such trace is in it.
pub fn print_newest_trace(path: &Path, span_name: &str) -> anyhow::Result<()> {
    let store = SqliteStore::open(path)?;
    let filter = TraceFilter::default()
        .conditions(vec![Condition::new("name", ConditionOp::Eq, span_name)])
        .limit(1);
    let traces = block_on(store.list_traces(filter))?;
    let newest = traces
        .first()
        .with_context(|| format!("no trace in {} has a span named {span_name:?}", path.display()))?;
    println!("spans: {}, failed: {}", newest.span_count, newest.error_count);
    print_trace(&store, newest.trace.trace_id)
}

fn print_trace(store: &SqliteStore, trace_id: TraceId) -> anyhow::Result<()> {
    let spans = block_on(store.trace_spans(trace_id))?;
    let logs = block_on(store.list_logs(LogFilter::default().trace_id(trace_id).limit(1_000)))?;
    let mut messages: BTreeMap<SpanId, Vec<String>> = BTreeMap::new();
    for log in logs {
        if let Some(span) = log.span_id {
            messages
                .entry(span)
                .or_default()
                .push(format!("{}: {}", log.severity, log.message));
        }
    }
    let known = |id: SpanId| spans.iter().any(|span| span.span_id == id);
    for root in spans
        .iter()
        .filter(|span| span.parent_span_id.is_none_or(|parent| !known(parent)))
    {
        print_span(root, &spans, &messages, 1);
    }
    Ok(())
}

fn print_span(span: &Span, spans: &[Span], messages: &BTreeMap<SpanId, Vec<String>>, depth: usize) {
    let indent = "  ".repeat(depth);
    let status = span.status.map_or("running", SpanStatus::as_str);
    println!("{indent}{} ({}, {status})", span.name, span.kind);
    for message in messages.get(&span.span_id).into_iter().flatten() {
        println!("{indent}  - {message}");
    }
    for child in spans
        .iter()
        .filter(|child| child.parent_span_id == Some(span.span_id))
    {
        print_span(child, spans, messages, depth + 1);
    }
}
