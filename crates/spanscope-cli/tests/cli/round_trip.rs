//! `import` reads what `export` writes: a copy exports the same text, and a second import of the
//! same file adds nothing.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use spanscope_model::{
    Attributes, Link, LogEvent, MetricKind, NewEvent, NewPoint, NewRecords, NewSpan, Scope, Severity, Source,
    SourceRecords, Span, SpanId, SpanKind, SpanState, SpanStatus, Temporality, Timestamp, TraceId,
    TraceStore, Value, block_on,
};
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use tracing::{Level, debug, error, info, info_span, span, trace, warn};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Store, lines, result_of, spanscope};

const FORMATS: [&str; 2] = ["jsonl", "otlp-json"];

fn at(micros: i64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + micros * 1_000)
}

fn attributes(object: Json) -> Attributes {
    serde_json::from_value(object).unwrap()
}

/// Values of every type, also under the names of fields of records.
fn every_value() -> Attributes {
    let mut values = attributes(json!({
        "text": "é\u{1f600}\"\\\n\u{7f}", "empty": "", "yes": true, "whole": -5, "large": i64::MAX, "half": 0.5, "one": 1.0,
        "huge": 1e300, "list": [1, "two", null, [3.5], {"deep": [true]}], "object": {"a": {"b": []}, "c": {}}, "null": null,
        "severity": "mine", "target": 7, "message": "mine", "category": "mine", "level": "mine", "name": "mine",
        "event.name": "mine", "resource": "mine", "trace_id": "mine",
    }));
    values.set("nan", f64::NAN);
    values.set("infinite", f64::NEG_INFINITY);
    values
}

fn trace_id(byte: u8) -> TraceId {
    TraceId::from_bytes([byte; 16]).unwrap()
}

fn span_id(byte: u8) -> SpanId {
    SpanId::from_bytes([byte; 8]).unwrap()
}

fn new_span(trace: u8, id: u8, name: &str) -> Span {
    Span::new(trace_id(trace), span_id(id), name, at(i64::from(id)))
        .end_time(at(i64::from(id) + 100))
        .status(SpanStatus::Ok)
        .state(SpanState::Ended)
        .target("lib".to_owned())
}

fn event(message: &str, micros: i64) -> LogEvent {
    LogEvent::new(at(micros), Severity::Info, message)
        .target("lib")
        .category("uncategorized")
}

fn new_event(event: LogEvent) -> NewEvent {
    NewEvent::new(event)
}

fn source(service: &str, scope: &str) -> Source {
    Source::default()
        .service_name(service)
        .resource(attributes(json!({
            "service.name": service, "service.version": "1.2", "process.pid": 77, "host": {"cpus": [1, 2]},
            "otel.schema_url": "https://opentelemetry.io/schemas/1.30.0",
        })))
        .scope(Scope::default().name(scope).version("0.3").attributes(attributes(
            json!({"built": true, "otel.schema_url": "https://example.org/1"}),
        )))
}

fn spans() -> Vec<NewSpan> {
    let mut spans = Vec::new();
    let kinds = [
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];
    let levels = [
        Severity::Verbose,
        Severity::Debug,
        Severity::Info,
        Severity::Warn,
        Severity::Critical,
    ];
    for (place, (kind, level)) in (1..).zip(kinds.into_iter().zip(levels)) {
        let mut span = new_span(1, place, &format!("span {place}"))
            .kind(kind)
            .level(level)
            .category("inference".to_owned())
            .parent_span_id((place > 1).then(|| span_id(1)));
        if place == 2 {
            span.attributes = every_value();
            span.trace_state = Some("vendor=1,other=2".to_owned());
            span.status = Some(SpanStatus::Error);
            span.status_message = Some("no \u{202e} way".to_owned());
            span.links = vec![Link::new(trace_id(9), span_id(9)).attributes(every_value())];
        }
        spans.push(NewSpan::new(span));
    }
    let mut named = event("with a message", 30);
    named.name = "exception".to_owned();
    named.severity = Severity::Critical;
    named.attributes = every_value();
    named.category = "tools".to_owned();
    let mut unnamed = event("", 20);
    unnamed.attributes = every_value();
    spans[1].events = vec![new_event(named), new_event(unnamed.clone()), new_event(unnamed)];
    // One span is running, one is running and has failed, and two spans share an id.
    for (id, status) in [(20, None), (21, Some(SpanStatus::Error))] {
        let span = new_span(1, id, "open")
            .end_time(None::<Timestamp>)
            .status(status)
            .state(SpanState::Running);
        spans.push(NewSpan::new(span).events(vec![new_event(event("begun", 40))]));
    }
    for kind in [SpanKind::Client, SpanKind::Server] {
        let span = new_span(2, 30, "halves").kind(kind);
        spans.push(NewSpan::new(span).events(vec![new_event(event(&format!("of the {kind}"), 50))]));
    }
    spans
}

fn logs(target: &str) -> Vec<NewEvent> {
    let mut logs = Vec::new();
    for (place, ids) in [
        (None, None),
        (Some(trace_id(1)), Some(span_id(2))),
        (Some(trace_id(1)), None),
        (Some(trace_id(1)), Some(span_id(99))),
        (Some(trace_id(7)), Some(span_id(7))),
    ]
    .into_iter()
    .enumerate()
    {
        for severity in [Severity::Verbose, Severity::Warn] {
            let mut log = event("said", 60 + i64::try_from(place).unwrap());
            (log.trace_id, log.span_id) = ids;
            log.severity = severity;
            log.attributes = every_value();
            logs.push(new_event(log));
        }
    }
    let mut twice = event("twice", 70);
    twice.name = "named".to_owned();
    twice.category = "core".to_owned();
    logs.extend([new_event(twice.clone()), new_event(twice)]);
    for new in &mut logs {
        target.clone_into(&mut new.event.target);
    }
    logs
}

fn point(metric: &str, kind: MetricKind, value: impl Into<Value>, detail: Json) -> NewPoint {
    NewPoint::new(metric, value.into(), kind, at(80))
        .temporality(Temporality::Delta)
        .unit("1")
        .labels(vec![("model".to_owned(), "a\"b".to_owned())])
        .detail((!detail.is_null()).then_some(detail))
}

fn points() -> Vec<NewPoint> {
    let buckets = |count: u64, temporality: &str| {
        json!({
            "count": count, "sum": 10.5, "min": 0.5, "max": 8.0, "bucket_counts": [count - 1, 1], "explicit_bounds": [2.5],
            "temporality": temporality, "start": "2023-11-14T22:13:20Z",
            // With several exemplars, the point belongs to the span of none.
            "exemplars": [
                {"value": 8.0, "trace_id": trace_id(1), "span_id": span_id(2), "attributes": {"k": [1]}},
                {"value": 2, "time": "2023-11-14T22:13:20Z"},
            ],
        })
    };
    let total = |value: i64, micros| {
        point(
            "requests",
            MetricKind::Counter,
            value,
            json!({"total": value, "start": at(0)}),
        )
        .temporality(Temporality::Cumulative { start: at(0) })
        .timestamp(at(micros))
    };
    let exponential = json!({
        "count": 3, "sum": 4.5, "scale": 1, "zero_count": 1, "zero_threshold": 0.1, "positive": {"offset": -1, "bucket_counts": [1, 1]},
        "temporality": "delta",
    });
    let summary = json!({"count": 2, "sum": 3.0, "quantiles": [{"quantile": 0.5, "value": 1.0}]});
    let in_span = point("observed", MetricKind::Histogram, 7, Json::Null)
        .trace_id(trace_id(1))
        .span_id(span_id(2));
    vec![
        point("added", MetricKind::Counter, 5, Json::Null),
        point("added", MetricKind::Counter, 5, Json::Null),
        point("state", MetricKind::Gauge, -0.25, Json::Null),
        point("queue", MetricKind::Gauge, 3, json!({"total": 3})),
        total(100, 81),
        total(130, 82),
        point("times", MetricKind::Histogram, 10.5, buckets(4, "delta")),
        point("totals", MetricKind::Histogram, 10.5, buckets(4, "cumulative"))
            .timestamp(at(90))
            .temporality(Temporality::Cumulative { start: at(0) }),
        point("wide", MetricKind::Histogram, 4.5, exponential),
        point("summed", MetricKind::Histogram, 3.0, summary)
            .temporality(Temporality::Cumulative { start: at(0) }),
        in_span.clone(),
        in_span.trace_id(trace_id(8)),
    ]
}

/// A store with records of every kind, from local programs and from senders.
pub(crate) fn everything() -> Store {
    let store = Store::none();
    let sent = NewRecords::default()
// A service with two scopes, a source without attributes, and another service.
.sources(vec![
            SourceRecords::default().source(source("shop", "lib")).spans(spans()).events(logs("lib")).points(points()),
            SourceRecords::default().source(source("shop", "other")).events(logs("other")).points(points()),
            SourceRecords::default().source(Source::default()).spans(vec![NewSpan::new(new_span(1, 3, "another span under a used id"))]),
            SourceRecords::default().source(source("bank", "")).spans(vec![NewSpan::new(new_span(1, 50, "chat m").parent_span_id(span_id(2)).attributes(attributes(json!({
                            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 11,
                            "gen_ai.usage.output_tokens": 4, "session.id": "s",
                        }))))]),
        ]);
    let server = SqliteStore::builder().open(store.path()).unwrap();
    block_on(server.store(sent)).unwrap();
    drop(server);
    let (layer, guard) = SqliteLayer::builder()
        .service_name("local")
        .open(store.path())
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        info!(answer = 42, "before all");
        let outer = info_span!(
            "outer",
            big = u64::MAX,
            ratio = 1.0,
            nothing = f64::INFINITY,
            category = "agents"
        );
        outer.in_scope(|| {
            trace!(event.name = "e", "so fine");
            debug!(name: "named", "of that name");
            let inner = span!(Level::WARN, "inner", otel.kind = "producer");
            inner.follows_from(&outer);
            inner.in_scope(|| error!(severity = "critical", code = 7, "it failed"));
            span!(target: "core::routers", Level::TRACE, "elsewhere")
                .in_scope(|| warn!(target: "tools::web", "there"));
        });
    });
    drop(guard);
    store
}

fn export(db: &Path, form: &str) -> String {
    let mut command = spanscope();
    command.args(["export", "--to", form, "--db"]).arg(db);
    let result = result_of(command.output().unwrap());
    assert_eq!(result.code, 0, "{}", result.err);
    result.out
}

fn import(file: &Path, db: &Path) -> Json {
    let mut command = spanscope();
    command.arg("import").arg(file).arg("--json").arg("--db").arg(db);
    let result = result_of(command.output().unwrap());
    assert_eq!((result.code, result.err.as_str()), (0, ""), "{}", result.out);
    serde_json::from_str(&result.out).unwrap()
}

fn stored(report: &Json) -> [u64; 4] {
    ["traces", "spans", "events", "points"].map(|kind| report[kind].as_u64().unwrap())
}

/// Fails with the first line that differs.
fn assert_same(one: &str, other: &str, what: &str) {
    for (number, (one, other)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(one, other, "line {} of {what}", number + 1);
    }
    assert_eq!(one.lines().count(), other.lines().count(), "{what}");
}

/// Returns the results of queries that must be the same for a store and its copy.
fn answers(db: &Path) -> Vec<Json> {
    let queries: [&[&str]; 4] = [
        &["usage", "--since", "2000-01-01"],
        &["metrics"],
        &["stats", "--by", "name"],
        &["runs", "--limit", "100"],
    ];
    queries
        .iter()
        .map(|words| {
            let mut command = spanscope();
            command.args(*words).arg("--json").arg("--db").arg(db);
            let result = result_of(command.output().unwrap());
            // A running span is abandoned in a copy.
            let out = result.out.replace("\"abandoned\"", "\"running\"");
            serde_json::from_str(&out).unwrap_or_default()
        })
        .collect()
}

fn assert_round_trip(store: &Store) {
    let first: Vec<String> = FORMATS.iter().map(|form| export(&store.path(), form)).collect();
    for (form, text) in FORMATS.iter().zip(&first) {
        let file = store.file(&format!("first.{form}"));
        std::fs::write(&file, text).unwrap();
        let copy = store.file(&format!("{form}.db"));
        let report = import(&file, &copy);
        assert_eq!(report["skipped"], 0, "{form}: {report}");
        for (again, before) in FORMATS.iter().zip(&first) {
            let what = format!("{again} after an import of {form}");
            // OTLP has no integers beyond 63 bits: they are texts there.
            let largest = u64::MAX.to_string();
            let numbers = |text: &str| text.replace(&format!("\"{largest}\""), &largest);
            assert_same(&numbers(before), &numbers(&export(&copy, again)), &what);
        }
        assert_eq!(answers(&store.path()), answers(&copy), "{form}");
        // Existing records are skipped, in the copy and in the original.
        for db in [&copy, &store.path()] {
            let second = import(&file, db);
            assert_eq!(stored(&second), [0; 4], "{form} into {}", db.display());
        }
        assert_same(text, &export(&store.path(), form), "the store after it");
    }
}

#[test]
fn records_of_every_kind_survive_a_round_trip() {
    assert_round_trip(&everything());
}

#[test]
fn a_copied_store_keeps_the_sources_of_its_records() {
    let store = everything();
    let first = export(&store.path(), "otlp-json");
    let copy = store.file("copy.db");
    let report = import(&store.path(), &copy);
    assert_eq!(report["skipped"], 0, "{report}");
    assert_same(&first, &export(&copy, "otlp-json"), "otlp-json of a copy");
    assert_eq!(answers(&store.path()), answers(&copy));
    assert_eq!(stored(&import(&store.path(), &copy)), [0; 4]);
}

#[test]
fn the_demo_survives_a_round_trip() {
    let store = Store::none();
    assert_eq!(store.run(&["demo"]).code, 0);
    assert_round_trip(&store);
}

#[test]
fn selected_traces_are_exported_with_all_their_records() {
    let store = everything();
    for (form, lines_of_it) in [("jsonl", 13), ("otlp-json", 3)] {
        let text = store.out(&["export", "--to", form, &trace_id(1).to_string()]);
        assert!(text.lines().count() >= lines_of_it, "{text}");
        let file = store.file("one");
        std::fs::write(&file, &text).unwrap();
        let copy = store.file(&format!("one.{form}.db"));
        let report = import(&file, &copy);
        assert_eq!(stored(&report)[0], 1, "{report}");
        assert!(stored(&report)[2] > 8 && stored(&report)[3] > 1, "{report}");
        assert_same(&text, &export(&copy, form), form);
    }
}

#[test]
fn broken_lines_are_named_and_the_others_are_imported() {
    let store = everything();
    let whole = store.out(&["export", "--to", "otlp-json"]);
    let mut text = String::from("{\"resourceSpans\": [\n");
    for (place, line) in whole.lines().enumerate() {
        text.push_str(line);
        text.push('\n');
        if place == 1 {
            text.push_str("\n{\"hello\": 1}\n[1, 2]\nnot json\n");
        }
    }
    let file = store.file("broken.jsonl");
    std::fs::write(&file, text).unwrap();
    let copy = Store::none();
    let result = copy.run(&["import", file.to_str().unwrap()]);
    assert_eq!(result.code, 0, "{}", result.err);
    assert!(result.out.contains("4 lines could not be read"), "{}", result.out);
    for named in ["line 1 of", "line 5 of", "line 6 of", "line 7 of"] {
        assert!(result.err.contains(named), "{named}: {}", result.err);
    }
    assert_same(&whole, &copy.out(&["export", "--to", "otlp-json"]), "the rest");
}

#[test]
fn files_of_other_programs_are_imported() {
    let span = json!({
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "name": "GET /", "kind": 2,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
        "attributes": [
            {"key": "blob", "value": {"bytesValue": "AAEC"}},
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "m"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 2}},
        ],
    });
    let document = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]},
        "scopeSpans": [{"scope": {"name": "http"}, "spans": [span]}],
    }]});
    let pretty = serde_json::to_string_pretty(&document).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(format!("{document}\n").as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    // Two consecutive members are one file, as `cat` creates it.
    packed.extend(packed.clone());
    let list = format!("[{document}, {document}]");
    let marked = format!("\u{feff}{document}\r\n");
    for (name, content) in [
        ("line", document.to_string().into_bytes()),
        ("pretty", pretty.into_bytes()),
        ("packed", packed),
        ("list", list.into_bytes()),
        ("unwrapped", document["resourceSpans"][0].to_string().into_bytes()),
        ("marked", marked.into_bytes()),
    ] {
        let copy = Store::none();
        let file = copy.file(name);
        std::fs::write(&file, content).unwrap();
        let report = import(&file, &copy.path());
        assert_eq!(stored(&report)[..2], [1, 1], "{name}: {report}");
        assert_eq!(
            copy.json(&["spans"])[0]["attributes"]["blob"],
            "AAEC",
            "{name}: bytes"
        );
        // Its tokens count like those of received records.
        let usage = copy.json(&["usage", "--since", "2000-01-01"]);
        assert_eq!(usage[0]["input_tokens"], 5, "{name}: {usage}");
    }
}

#[test]
fn standard_input_is_imported_and_unsupported_formats_are_named() {
    let store = everything();
    let copy = Store::none();
    let mut command = copy.command(&["import", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = store.out(&["export", "--to", "jsonl"]);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = result_of(child.wait_with_output().unwrap());
    assert_eq!(output.code, 0, "{}", output.err);
    assert_same(&text, &copy.out(&["export", "--to", "jsonl"]), "standard input");
    assert_eq!(lines(&text).len(), text.lines().count());

    let chrome = store.file("trace.json");
    let wrote = store.run(&["export", "--to", "chrome", "-o", chrome.to_str().unwrap()]);
    assert!(wrote.err.contains("have no place in this form"), "{}", wrote.err);
    for (content, named) in [
        (std::fs::read(&chrome).unwrap(), "Chrome's trace format"),
        (b"\x28\xb5\x2f\xfd\0\0".to_vec(), "zstd -d"),
        (b"\0\0\x01\x02rest".to_vec(), "protobuf"),
        (b"a,b\n1,2\n".to_vec(), "neither a trace_store.db nor JSON"),
    ] {
        let file = copy.file("other");
        std::fs::write(&file, content).unwrap();
        let fresh = Store::none();
        let result = fresh.run(&["import", file.to_str().unwrap()]);
        assert_ne!(result.code, 0, "{}", result.out);
        assert!(result.err.contains(named), "{named}: {}", result.err);
        assert!(!fresh.path().exists(), "no store is created for it");
    }
}
