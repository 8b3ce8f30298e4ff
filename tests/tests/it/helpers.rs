//! The helpers and the middleware in real programs: their names beside those of other crates, and
//! when what they stand for ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use spanscope_model::{
    MetricQuery, MetricQueryType, Span, SpanFilter, Timestamp, TraceStore as _, Value, block_on,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;
use spanscope_tests::receiver::Receiver;

const DAY: Duration = Duration::from_secs(86_400);

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
        limit: 20_000,
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

/// The sum of a metric by its labels.
fn measured(folder: &Path, metric: &str) -> BTreeMap<String, Value> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let query = MetricQuery {
        query_type: MetricQueryType::Instant,
        ..MetricQuery::range(metric, Timestamp::now().before(DAY))
    };
    let series = block_on(store.query_metrics(query)).unwrap();
    let labels = |labels: &[spanscope_model::MetricLabel]| -> String {
        let values: Vec<_> = labels.iter().map(|label| label.value.as_str()).collect();
        values.join(" ")
    };
    series
        .iter()
        .map(|series| (labels(&series.labels), series.values[0].value.clone()))
        .collect()
}

#[test]
fn ten_thousand_paths_without_a_route_leave_the_series_of_real_routes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut command = program(folder.path(), &receiver, "junk");
    command.env("TELEMETRY_SINKS", "sqlite");
    run(command);
    let expected = [("files 200", 1), ("models 200", 2), ("unknown 404", 10_000)];
    let expected = expected.map(|(labels, count)| (labels.to_owned(), Value::I64(count)));
    let counted = measured(folder.path(), "llama_stack_requests_total");
    assert_eq!(counted, BTreeMap::from(expected));
    let running = measured(folder.path(), "llama_stack_concurrent_requests");
    let expected = ["files", "models", "unknown"].map(|api| (api.to_owned(), Value::I64(0)));
    assert_eq!(running, BTreeMap::from(expected));
    let names: Vec<_> = stored(folder.path()).into_keys().collect();
    assert_eq!(names, ["GET", "GET /v1/files", "GET /v1/models/{id}"]);
}
