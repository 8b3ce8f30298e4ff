//! The helpers and the middleware in real programs: their names beside those of other crates, and
//! when what they stand for ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use spanscope_model::{Span, SpanFilter, TraceStore as _, Value, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;
use spanscope_tests::receiver::Receiver;

/// The program `helpers`, whose store is in this folder, and which sends its spans to the receiver.
fn program(folder: &Path, receiver: &Receiver, work: &str) -> Command {
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_helpers"));
    command
        .arg(work)
        .env("SQLITE_STORE_DIR", folder)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .env("TELEMETRY_SINKS", "sqlite,otel_trace");
    command
}

fn run(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// The spans in the store of a folder, by name.
fn stored(folder: &Path) -> BTreeMap<String, Span> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let filter = SpanFilter {
        limit: 1_000,
        ..SpanFilter::default()
    };
    let spans = block_on(store.list_spans(filter)).unwrap();
    spans.into_iter().map(|span| (span.name.clone(), span)).collect()
}

#[test]
fn helpers_and_our_trait_work_in_a_file_that_imports_the_traits_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    run(program(folder.path(), &receiver, "names"));
    let spans = stored(folder.path());
    for (helper, inside) in [
        ("invoke_agent librarian", "agent"),
        ("invoke_workflow order", "workflow"),
        ("chat small", "call"),
        ("embeddings embedder", "embeddings"),
        ("retrieval shelves", "retrieval"),
        ("execute_tool calculator", "tool"),
        ("tools/list", "mcp"),
        ("run_shield llama-guard", "check"),
    ] {
        assert_eq!(
            spans[inside].parent_span_id,
            Some(spans[helper].span_id),
            "{helper}"
        );
        assert_eq!(
            spans[helper].parent_span_id,
            Some(spans["root"].span_id),
            "{helper}"
        );
    }
    let attributes = |name: &str| ["ours", "theirs"].map(|key| spans[name].attributes.get(key).cloned());
    assert_eq!(attributes("root"), [Some(Value::I64(1)), Some(Value::I64(2))]);
    let too = || Some(Value::from("too"));
    assert_eq!(attributes("chat small"), [too(), too()]);
    assert_eq!(receiver.spans().len(), spans.len());
}
