//! One trace through three processes: axum, tonic, and an MCP server that is a child process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use spanscope_model::{Span, SpanFilter, SpanKind, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::receiver::{Receiver, hex};
use spanscope_tests::{http, program_without_settings};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The tree, one line per span: depth, service, kind, name.
const TREE: [&str; 6] = [
    "0 front server GET /orders/{item}",
    "1 front client stock.Stock/Count",
    "2 middle server stock.Stock/Count",
    "3 middle client tools/call count",
    "4 tools server tools/call count",
    "5 tools internal look up",
];

/// A node of the tree.
struct Node {
    id: String,
    parent: String,
    line: String,
}

fn tree(nodes: &[Node], below: &str, depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for node in nodes.iter().filter(|node| node.parent == below) {
        lines.push(format!("{depth} {}", node.line));
        lines.extend(tree(nodes, &node.id, depth + 1));
    }
    lines
}

/// Sends the first process one request, as another vendor's client, and waits until all have ended.
fn run(folder: &Path, sinks: &str, receiver: &Receiver) {
    let mut front = program_without_settings(env!("CARGO_BIN_EXE_chain"))
        .arg("front")
        .env("SQLITE_STORE_DIR", folder)
        .env("TELEMETRY_SINKS", sinks)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    let stdout = front.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut url).unwrap();
    let address = url.trim_end().strip_prefix("http://").unwrap().parse().unwrap();
    let headers = format!(
        "Host: {address}\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: vendor=x\r\nbaggage: tenant=acme\r\n"
    );
    let answer = http::send_as_it_is(address, "GET", "/orders/bolts", &headers, "").unwrap();
    assert_eq!(answer.body, "42 bolts for acme, vendor=x", "{answer:?}");
    drop(front.stdin.take());
    assert!(spanscope_tests::process::end_of(&mut front, "the chain").success());
}

fn stored(folder: &Path) -> Vec<Span> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let spans = block_on(store.list_spans(SpanFilter::default())).unwrap();
    let of_trace = spans
        .into_iter()
        .filter(|span| span.trace_id.to_string() == TRACE);
    of_trace.collect()
}

fn tree_in_the_store(folder: &Path) -> Vec<String> {
    let nodes: Vec<_> = stored(folder)
        .iter()
        .map(|span| Node {
            id: span.span_id.to_string(),
            parent: span.parent_span_id.map(|id| id.to_string()).unwrap_or_default(),
            line: format!("{} {} {}", span.service_name, span.kind, span.name),
        })
        .collect();
    tree(&nodes, CALLER, 0)
}

#[test]
fn three_processes_make_one_tree_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    run(folder.path(), "sqlite", &receiver);
    assert_eq!(tree_in_the_store(folder.path()), TREE);
    let tools = stored(folder.path());
    let of_kind = |kind: SpanKind| {
        let mut found = tools
            .iter()
            .filter(|span| span.name == "tools/call count" && span.kind == kind);
        found.next().unwrap()
    };
    let id = |span: &Span| span.attributes.get("jsonrpc.request.id").cloned();
    assert!(id(of_kind(SpanKind::Client)).is_some());
    assert_eq!(id(of_kind(SpanKind::Client)), id(of_kind(SpanKind::Server)));
}

#[test]
fn three_processes_make_the_same_tree_over_otlp() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    run(folder.path(), "sqlite,otel_trace", &receiver);
    assert_eq!(tree_in_the_store(folder.path()), TREE);
    let kinds = BTreeMap::from([(1, "internal"), (2, "server"), (3, "client")]);
    let sent: Vec<_> = receiver
        .spans()
        .iter()
        .filter(|sent| hex(&sent.record.trace_id) == TRACE)
        .map(|sent| Node {
            id: hex(&sent.record.span_id),
            parent: hex(&sent.record.parent_span_id),
            line: format!(
                "{} {} {}",
                sent.resource("service.name").unwrap(),
                kinds[&sent.record.kind],
                sent.record.name
            ),
        })
        .collect();
    assert_eq!(tree(&sent, CALLER, 0), TREE);
}
