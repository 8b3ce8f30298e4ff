//! The example `distributed` makes one trace of three processes, in the store and in a collector.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;

use spanscope_model::{SpanFilter, SpanKind, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::receiver::{Receiver, hex, number_of, text_of};
use spanscope_tests::{program_without_settings, wait_for};

/// A span, as the store or the collector has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    trace: String,
    id: String,
    parent: Option<String>,
    name: String,
    kind: &'static str,
    service: String,
    tenant: Option<String>,
}

fn in_the_store(folder: &Path) -> Vec<Seen> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let spans = block_on(store.list_spans(SpanFilter::default())).unwrap();
    let seen = spans.into_iter().map(|span| Seen {
        trace: span.trace_id.to_string(),
        id: span.span_id.to_string(),
        parent: span.parent_span_id.map(|parent| parent.to_string()),
        tenant: span.attributes.get("tenant").map(ToString::to_string),
        name: span.name,
        kind: match span.kind {
            SpanKind::Internal => "internal",
            SpanKind::Client => "client",
            SpanKind::Server => "server",
            _ => "another",
        },
        service: span.service_name,
    });
    seen.collect()
}

/// Returns the collector's spans, each with the id of the process that sent it.
fn in_the_collector(receiver: &Receiver) -> Vec<(Seen, i64)> {
    let sent = receiver.spans().into_iter().map(|sent| {
        let pid = number_of(&sent.resource.attributes, "process.pid").unwrap();
        let service = sent.resource("service.name").unwrap();
        let span = sent.record;
        let seen = Seen {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
            tenant: text_of(&span.attributes, "tenant"),
            name: span.name,
            kind: match span.kind {
                1 => "internal",
                2 => "server",
                3 => "client",
                _ => "another",
            },
            service,
        };
        (seen, pid)
    });
    sent.collect()
}

/// Returns the spans in the order from the root, each the parent of the next.
fn as_a_chain(mut spans: Vec<Seen>) -> Vec<Seen> {
    let mut chain: Vec<Seen> = Vec::new();
    while !spans.is_empty() {
        let parent = chain.last().map(|span| &span.id);
        let next = spans.iter().position(|span| span.parent.as_ref() == parent);
        let next = next.unwrap_or_else(|| panic!("nothing is below {parent:?}: {spans:?}"));
        chain.push(spans.swap_remove(next));
    }
    chain
}

fn is_one_trace_of_three_processes(spans: Vec<Seen>) -> Vec<Seen> {
    let chain = as_a_chain(spans);
    let shown: Vec<_> = chain
        .iter()
        .map(|span| {
            (
                span.service.as_str(),
                span.name.as_str(),
                span.kind,
                span.tenant.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("client", "buy", "internal", None),
            ("client", "GET /orders/{item}", "client", None),
            ("front", "GET /orders/{item}", "server", None),
            ("front", "GET /stock/{item}", "client", None),
            ("back", "GET /stock/{item}", "server", Some("acme")),
        ]
    );
    let traces: BTreeSet<_> = chain.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1, "{chain:?}");
    chain
}

/// Runs the example and returns its output.
fn run(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = program_without_settings(env!("CARGO_BIN_EXE_distributed"))
        .env("SQLITE_STORE_DIR", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    printed
}

#[test]
fn three_processes_make_one_trace_in_the_store_and_in_the_collector() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("TELEMETRY_SINKS", "sqlite,otel_trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()),
    ];
    run(folder.path(), &variables);
    let stored = is_one_trace_of_three_processes(in_the_store(folder.path()));
    // A program has sent everything before it ends; the receiver may read it a moment later.
    let sent = wait_for("five spans", || {
        let sent = in_the_collector(&receiver);
        (sent.len() >= 5).then_some(sent)
    });
    let processes: BTreeSet<_> = sent
        .iter()
        .map(|(span, pid)| (span.service.clone(), *pid))
        .collect();
    let pids: BTreeSet<_> = processes.iter().map(|(_, pid)| *pid).collect();
    assert_eq!((processes.len(), pids.len()), (3, 3), "{processes:?}");
    let sent = sent.into_iter().map(|(span, _)| span).collect();
    assert_eq!(is_one_trace_of_three_processes(sent), stored);
}

#[test]
fn three_processes_make_one_trace_in_the_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[]);
    is_one_trace_of_three_processes(in_the_store(folder.path()));
}

#[test]
fn a_program_that_only_stores_uses_the_propagators_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[("OTEL_PROPAGATORS", "none")]);
    let stored = in_the_store(folder.path());
    let traces: BTreeSet<_> = stored.iter().map(|span| (&span.trace, &span.service)).collect();
    assert_eq!(
        (stored.len(), traces.len()),
        (5, 3),
        "each has its own: {stored:?}"
    );
    assert!(stored.iter().all(|span| span.tenant.is_none()), "{stored:?}");

    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[("OTEL_PROPAGATORS", "tracecontext")]);
    let stored = as_a_chain(in_the_store(folder.path()));
    assert!(stored.iter().all(|span| span.tenant.is_none()), "{stored:?}");
}
