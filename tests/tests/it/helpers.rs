//! The helpers and the middleware in real programs: their names together with those of other
//! crates, and when their spans end.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use spanscope_model::{
    MetricQuery, MetricQueryType, RunFilter, RunRange, Span, SpanFilter, SpanKind, SpanStatus, Timestamp,
    TraceStore as _, Value, block_on,
};
use spanscope_runs::{DetailLevel, Run};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::program_without_settings;
use spanscope_tests::receiver::{Receiver, Reply, hex, number_of};

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
    let spans = stored_spans(folder).into_iter();
    spans.map(|span| (span.name.clone(), span)).collect()
}

fn stored_spans(folder: &Path) -> Vec<Span> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let filter = SpanFilter::default().limit(20_000);
    block_on(store.list_spans(filter)).unwrap()
}

#[test]
fn helpers_and_span_ext_work_in_a_file_that_imports_other_crates_traits() {
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
    // The two with the same name are one entry in the map.
    assert_eq!(receiver.spans().len(), spans.len() + 1);
}

/// The sum of a metric by its labels.
fn measured(folder: &Path, metric: &str) -> BTreeMap<String, Value> {
    let store = SqliteStore::open(folder.join("trace_store.db")).unwrap();
    let query = MetricQuery::range(metric, Timestamp::now().before(DAY)).query_type(MetricQueryType::Instant);
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

#[test]
fn client_requests_are_children_of_their_caller_in_the_store_and_the_collector() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    run(program(folder.path(), &receiver, "client"));
    let spans = stored_spans(folder.path());
    let order = spans.iter().find(|span| span.name == "order").unwrap();
    let mut clients: Vec<_> = spans
        .iter()
        .filter(|span| span.kind == SpanKind::Client)
        .collect();
    clients.sort_by_key(|span| span.start_time);
    let attribute = |span: &Span, key: &str| span.attributes.get(key).map(ToString::to_string);
    let found: Vec<_> = clients
        .iter()
        .map(|span| {
            assert_eq!(span.parent_span_id, Some(order.span_id));
            let server = spans
                .iter()
                .find(|below| below.parent_span_id == Some(span.span_id));
            let server = server.map(|server| (server.name.as_str(), server.kind));
            let error = attribute(span, "error.type");
            let is_dropped = attribute(span, "spanscope.body_dropped").is_some();
            (
                attribute(span, "url.full").unwrap(),
                server,
                span.status.unwrap(),
                error,
                is_dropped,
            )
        })
        .collect();
    let server = |name| Some((name, SpanKind::Server));
    let error = |error: &str| Some(error.to_owned());
    assert_eq!(
        found,
        [
            (
                "http://[masked]@shop.example.com/v1/models/7?token=[masked]&page=2".to_owned(),
                server("GET /v1/models/{id}"),
                SpanStatus::Ok,
                None,
                false
            ),
            (
                "http://shop.example.com/v1/files".to_owned(),
                server("GET /v1/files"),
                SpanStatus::Ok,
                None,
                true
            ),
            (
                "http://shop.example.com/nowhere".to_owned(),
                server("GET"),
                SpanStatus::Error,
                error("404"),
                false
            ),
            (
                "http://gone.example.com/".to_owned(),
                None,
                SpanStatus::Error,
                error("connection_refused"),
                false
            ),
        ]
    );
    let running = measured(folder.path(), "http.client.active_requests");
    assert_eq!(running.len(), 2, "{running:?}");
    assert!(
        running.values().all(|value| *value == Value::I64(0)),
        "{running:?}"
    );
    let sent: Vec<_> = receiver.spans().into_iter().map(|sent| sent.record).collect();
    let ports = sent
        .iter()
        .filter_map(|span| number_of(&span.attributes, "server.port"));
    assert_eq!(ports.collect::<Vec<_>>(), [80; 4]);
    assert!(!format!("{sent:?}").contains("hunter2"));
    let of_trace = sent
        .iter()
        .filter(|span| hex(&span.trace_id) == order.trace_id.to_string());
    assert_eq!(of_trace.count(), 8);
}

/// The end of each span's work, as the program printed it.
fn times_over(output: &Output) -> BTreeMap<String, i64> {
    let lines = String::from_utf8_lossy(&output.stdout);
    let lines = lines.lines().map(|line| line.split_once('\t').unwrap());
    lines
        .map(|(name, time)| (name.to_owned(), time.parse().unwrap()))
        .collect()
}

/// How long the program waits after the work has ended, until it releases a running task.
const AFTERWARDS: i64 = 300_000_000;

/// Clocks and the steps between an end and the line that reports it take far less than this.
const SLACK: i64 = AFTERWARDS / 2;

#[test]
fn a_task_that_is_left_running_makes_no_request_run_or_model_call_longer() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut command = program(folder.path(), &receiver, "background");
    command.env("TELEMETRY_SINKS", "sqlite,otel_trace");
    let over = times_over(&run(command));
    assert_eq!(over.len(), 12);
    let spans = stored_spans(folder.path());
    let sent: HashMap<_, _> = receiver
        .spans()
        .into_iter()
        .map(|sent| (sent.record.span_id.clone(), sent.record.end_time_unix_nano))
        .collect();
    for (name, over) in &over {
        let span = spans.iter().find(|span| span.name == *name).unwrap();
        let end = span.end_time.unwrap().as_nanos();
        assert!(end < over + SLACK, "{name} ends {} ns after its work", end - over);
        let sent = i64::try_from(sent[&span.span_id.to_bytes().to_vec()]).unwrap();
        assert_eq!(sent, end, "{name} as it is sent");
        let afterwards: Vec<_> = spans
            .iter()
            .filter(|child| child.name == "afterwards" && child.parent_span_id == Some(span.span_id))
            .collect();
        assert!(!afterwards.is_empty(), "{name} has left nothing behind");
        for child in afterwards {
            assert!(child.start_time.as_nanos() > end + SLACK, "{name}");
        }
    }
    // The metrics.
    for (metric, name) in [
        ("gen_ai.client.operation.duration", "chat small"),
        ("gen_ai.execute_tool.duration", "execute_tool calculator"),
        ("gen_ai.invoke_workflow.duration", "invoke_workflow order"),
    ] {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let seconds = span.duration_ms().unwrap() / 1e3;
        let measured = measured(folder.path(), metric);
        let is_it = |value: &Value| (value.as_f64().unwrap() - seconds).abs() < 1e-6;
        assert!(
            measured.values().any(is_it),
            "{metric} is {measured:?} and not {seconds}"
        );
    }
    let requests = measured(folder.path(), "llama_stack_request_duration_seconds");
    let is_short = |value: &Value| value.as_f64().unwrap() < 0.15;
    assert!(requests.values().all(is_short), "{requests:?}");
    // The analysis, and the list of runs.
    let store = SqliteStore::open(folder.path().join("trace_store.db")).unwrap();
    let list = block_on(store.list_runs(RunFilter::default())).unwrap();
    for (task, name) in [
        ("task-run", "invoke_agent runner"),
        ("task-stream", "invoke_agent streamer"),
    ] {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let records = block_on(store.run_records(task.to_owned(), RunRange::ALL)).unwrap();
        let run = Run::of(&records);
        assert_eq!(run.completed_at(), span.end_time, "{task}");
        let seconds = span.duration_ms().unwrap() / 1e3;
        let total = run.summary(DetailLevel::Standard).total_elapsed_time;
        assert!(
            (total - seconds).abs() < 0.001,
            "{task} took {total} s and not {seconds}"
        );
        let path: f64 = run.analysis().critical_path.iter().map(|step| step.seconds).sum();
        assert!(
            (path - seconds).abs() < 0.001,
            "{task}'s path is {path} s and not {seconds}"
        );
        let listed = list.runs.iter().find(|run| run.task_id == task).unwrap();
        assert_eq!(listed.completed_at, span.end_time, "{task} in the list");
    }
}

#[test]
fn a_sink_that_measures_while_it_records_a_measurement_is_stopped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut command = program(folder.path(), &receiver, "measuring-sink");
    command.env("TELEMETRY_SINKS", "sqlite");
    let output = run(command);
    // For each of the two it records one by an event, one by a call, and the six of a model call.
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim(), "2 taken, 16 made by the sink");
}

#[test]
fn records_lost_to_a_silent_collector_are_reported_in_one_line() {
    let receiver = Receiver::with(|_, _| Reply::Hang);
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_helpers"));
    command.arg("hung").env("COLLECTOR", receiver.url());
    let output = run(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = stderr.lines().filter(|line| line.contains("lost")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    for part in [
        "lost by the end of the program",
        &format!("100 spans for {}/v1/traces (not sent in time", receiver.url()),
        &format!("50 log records for {}/v1/logs (not sent in time", receiver.url()),
    ] {
        assert!(lines[0].contains(part), "{part} is not in {stderr}");
    }
}

#[test]
fn a_collector_that_responds_leaves_nothing_to_report() {
    let receiver = Receiver::start();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_helpers"));
    command.arg("hung").env("COLLECTOR", receiver.url());
    let output = run(command);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(receiver.spans().len(), 100);
}

#[test]
fn times_probably_meant_in_seconds_are_reported_once_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut command = program(folder.path(), &receiver, "nothing");
    command
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "10")
        .env("OTEL_BSP_SCHEDULE_DELAY", "99")
        .env("OTEL_BLRP_EXPORT_TIMEOUT", "30")
        .env("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "100");
    let output = run(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "99"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "30"),
    ] {
        let line = format!("{name} is \"{value}\": these are milliseconds; write {value}000 for {value} s");
        assert_eq!(stderr.matches(&line).count(), 1, "{name}: {stderr}");
    }
    assert!(!stderr.contains("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"), "{stderr}");
}

#[test]
fn a_path_that_names_no_file_is_refused_with_a_message_that_names_the_store_for_tests() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    for path in [":memory:", "file::memory:?cache=shared"] {
        let config = folder.path().join("config.yaml");
        let yaml = format!("telemetry:\n  sinks: sqlite\n  sqlite_db_path: \"{path}\"\n");
        std::fs::write(&config, yaml).unwrap();
        let mut command = program(folder.path(), &receiver, "nothing");
        command
            .current_dir(&folder)
            .env_remove("TELEMETRY_SINKS")
            .env_remove("SQLITE_STORE_DIR")
            .env("SPANSCOPE_CONFIG", &config);
        let output = run(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("spanscope::testing::TestStore"),
            "{path}: {stderr}"
        );
        assert!(stderr.contains(path), "{path}: {stderr}");
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 1, "only the settings file: {left:?}");
}

#[test]
fn each_user_test_has_a_temporary_store_and_reports_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program_without_settings(env!("CARGO_BIN_EXE_helpers"));
    command.arg("own-tests").env("TMPDIR", folder.path());
    let output = run(command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all passed\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
