//! A field means the same to every sink: the store, the console's format, the collector.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtelValue;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Map, Value as Json, json};
use spanscope_core::SpanExt as _;
use spanscope_layers::LogFileLayer;
use spanscope_layers::console::render::Format;
use spanscope_model::{
    LogEvent, LogFilter, Severity, Span, SpanFilter, SpanKind, SpanStatus, TraceStore as _, block_on,
};
use spanscope_otlp::OtlpLayer;
use spanscope_sqlite::{SqliteLayer, SqliteStore};
use spanscope_tests::PATIENCE;
use spanscope_tests::receiver::Receiver;
use tracing::{Dispatch, error, info, info_span, warn};
use tracing_subscriber::prelude::*;

/// One span or event in each sink.
#[derive(Debug)]
struct InSinks {
    /// By sink: the message of an event, or the name of a span.
    texts: [String; 3],
    severities: [String; 3],
    /// By sink, without the attributes that every span or event has.
    attributes: [Map<String, Json>; 3],
}

impl InSinks {
    #[track_caller]
    fn has(&self, text: &str, severity: &str, attributes: &Json) {
        let expected = attributes.as_object().unwrap();
        for (sink, name) in ["store", "log file", "collector"].into_iter().enumerate() {
            assert_eq!(self.texts[sink], text, "{name}");
            assert_eq!(self.severities[sink], severity, "{name}");
            assert_eq!(&self.attributes[sink], expected, "{name}");
        }
    }
}

struct Sinks {
    spans: Vec<Span>,
    logs: Vec<LogEvent>,
    lines: Vec<Json>,
    receiver: Receiver,
}

impl Sinks {
    fn of(program: impl FnOnce()) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (db, log) = (folder.path().join("store.db"), folder.path().join("lines.json"));
        let receiver = Receiver::start();
        let (store, store_guard) = SqliteLayer::open(&db).unwrap();
        let (file, file_guard) = LogFileLayer::builder().format(Format::Json).open(&log).unwrap();
        let otlp = OtlpLayer::builder().endpoint(receiver.url()).service_name("it");
        let (bridge, bridge_guard) = otlp.build().unwrap();
        let registry = tracing_subscriber::registry();
        let dispatch = Dispatch::new(registry.with(bridge).with(store).with(file));
        tracing::dispatcher::with_default(&dispatch, program);
        store_guard.flush(PATIENCE).unwrap();
        file_guard.flush(PATIENCE).unwrap();
        bridge_guard.flush(PATIENCE).unwrap();
        let store = SqliteStore::open(&db).unwrap();
        let lines = std::fs::read_to_string(&log).unwrap();
        Self {
            spans: block_on(store.list_spans(SpanFilter::default())).unwrap(),
            logs: block_on(store.list_logs(LogFilter::default())).unwrap(),
            lines: lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            receiver,
        }
    }

    /// The one event in each sink.
    fn event(&self) -> InSinks {
        let [stored] = self.logs.as_slice() else {
            panic!("{:?}", self.logs)
        };
        let mut lines = self.lines.iter().filter(|line| line["kind"] == "event");
        let line = lines.next().unwrap();
        let logs = self.receiver.logs();
        let sent = &logs[0].record;
        let body = sent.body.clone().and_then(|body| body.value);
        let of_severity = |number| match number {
            9 => "info",
            13 => "warn",
            17 => "error",
            21 => "critical",
            other => panic!("{other}"),
        };
        InSinks {
            texts: [
                stored.message.clone(),
                line["message"].as_str().unwrap().to_owned(),
                body.map(json_of)
                    .and_then(|text| text.as_str().map(ToOwned::to_owned))
                    .unwrap(),
            ],
            severities: [
                stored.severity.as_str().to_owned(),
                line["severity"].as_str().unwrap().to_owned(),
                of_severity(sent.severity_number).to_owned(),
            ],
            attributes: [
                stored_attributes(&stored.attributes),
                line_attributes(line),
                sent_attributes(&sent.attributes),
            ],
        }
    }

    /// The one span in each sink.
    fn span(&self) -> InSinks {
        let [stored] = self.spans.as_slice() else {
            panic!("{:?}", self.spans)
        };
        let mut lines = self.lines.iter().filter(|line| line["kind"] == "span_start");
        let line = lines.next().unwrap();
        let spans = self.receiver.spans();
        let sent = &spans[0].record;
        let severity = || "info".to_owned();
        InSinks {
            texts: [
                stored.name.clone(),
                line["name"].as_str().unwrap().to_owned(),
                sent.name.clone(),
            ],
            severities: [
                severity(),
                line["severity"].as_str().unwrap().to_owned(),
                severity(),
            ],
            attributes: [
                stored_attributes(&stored.attributes),
                line_attributes(line),
                sent_attributes(&sent.attributes),
            ],
        }
    }
}

fn stored_attributes(attributes: &spanscope_model::Attributes) -> Map<String, Json> {
    let pairs = attributes.iter();
    pairs
        .map(|(key, value)| (key.to_owned(), serde_json::to_value(value).unwrap()))
        .collect()
}

fn line_attributes(line: &Json) -> Map<String, Json> {
    line["attributes"].as_object().unwrap().clone()
}

fn sent_attributes(attributes: &[KeyValue]) -> Map<String, Json> {
    let mut found = Map::new();
    for attribute in attributes {
        let value = attribute.value.clone().and_then(|value| value.value).unwrap();
        let before = found.insert(attribute.key.clone(), json_of(value));
        assert_eq!(before, None, "{} twice", attribute.key);
    }
    // The category itself is an attribute here; a value that can't be a category is never shown as
    // one. Where the program has an attribute of this name, the category has another key.
    found.retain(|key, value| key != "spanscope.category" && (key != "category" || !value.is_string()));
    found
}

fn json_of(value: OtelValue) -> Json {
    match value {
        OtelValue::StringValue(text) => text.into(),
        OtelValue::BoolValue(value) => value.into(),
        OtelValue::IntValue(number) => number.into(),
        OtelValue::DoubleValue(number) => number.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_invalid_special_field_stays_an_attribute_of_a_span() {
    let sinks = Sinks::of(|| {
        drop(info_span!(
            "call",
            otel.name = 7,
            otel.kind = "sideways",
            otel.status_code = "so-so",
            otel.status_description = 3,
            category = true,
        ));
    });
    sinks.span().has(
        "call",
        "info",
        &json!({
            "otel.name": 7,
            "otel.kind": "sideways",
            "otel.status_code": "so-so",
            "otel.status_description": 3,
            "category": true,
        }),
    );
    assert_eq!(sinks.spans[0].kind, SpanKind::Internal);
}

#[test]
fn an_invalid_special_field_stays_an_attribute_of_an_event() {
    let sinks = Sinks::of(|| {
        warn!(
            ttl_seconds = "soon",
            severity = "dire",
            category = 5,
            "kept for a while"
        );
    });
    let attributes = json!({"ttl_seconds": "soon", "severity": "dire", "category": 5});
    sinks.event().has("kept for a while", "warn", &attributes);
    let sinks = Sinks::of(|| info!(ttl_seconds = u64::MAX, "kept for ever"));
    let [of_store, of_file, _] = sinks.event().attributes;
    assert_eq!(of_store, of_file);
    assert_eq!(of_store["ttl_seconds"], json!(u64::MAX));
}

#[test]
fn a_valid_special_field_is_not_an_attribute() {
    let sinks = Sinks::of(|| {
        drop(info_span!(
            "call",
            otel.name = "POST /v1",
            otel.kind = "client",
            otel.status_code = "ok",
            category = "inference",
        ));
    });
    sinks.span().has("POST /v1", "info", &json!({}));
    let sinks = Sinks::of(|| {
        error!(
            ttl_seconds = 60,
            severity = "Critical",
            category = "server",
            "down"
        );
    });
    // Only a measurement has a lifetime.
    let attributes = json!({"ttl_seconds": 60});
    sinks.event().has("down", "critical", &attributes);
}

#[test]
fn only_an_error_is_critical() {
    let sinks = Sinks::of(|| info!(severity = "critical", "a word about critical things"));
    let attributes = json!({"severity": "critical"});
    sinks
        .event()
        .has("a word about critical things", "info", &attributes);
    assert_eq!(sinks.logs[0].severity, Severity::Info);
}

#[test]
fn a_field_that_is_recorded_twice_has_its_last_value() {
    let sinks = Sinks::of(|| info!(message = "explicit", step = 1, step = 2, "implicit"));
    let [store, file, collector] = sinks.event().texts;
    assert!(store == file && file == collector, "{store}, {file}, {collector}");
    assert!(
        ["explicit", "implicit"].contains(&store.as_str()),
        "one of them: {store}"
    );
    let text = store;
    sinks.event().has(&text, "info", &json!({"step": 2}));
    let sinks = Sinks::of(|| {
        let span = info_span!("call", otel.kind = "server", step = 1);
        span.record("step", 2);
        span.record("otel.kind", "sideways");
    });
    assert_eq!(sinks.spans[0].kind, SpanKind::Internal, "the last value counts");
    let [of_store, _, of_collector] = sinks.span().attributes;
    assert_eq!(of_store, of_collector);
    assert_eq!(Json::from(of_store), json!({"step": 2, "otel.kind": "sideways"}));
}

#[test]
fn a_message_of_any_type_is_the_message() {
    let sinks = Sinks::of(|| info!(message = 42, answer = true));
    sinks.event().has("42", "info", &json!({"answer": true}));
}

#[test]
fn records_of_the_log_crate_keep_their_level_in_every_process() {
    let levels = [
        (log::Level::Error, "error"),
        (log::Level::Warn, "warn"),
        (log::Level::Info, "info"),
    ];
    for (level, severity) in levels {
        let sinks = Sinks::of(|| {
            let record = log::Record::builder()
                .args(format_args!("from log"))
                .level(level)
                .target("sqlx::query")
                .build();
            tracing_log::format_trace(&record).unwrap();
        });
        let made = sinks.event();
        assert_eq!(made.severities, [severity; 3].map(ToOwned::to_owned));
        assert_eq!(made.texts, ["from log"; 3].map(ToOwned::to_owned));
    }
}

/// Libraries record the type of a call's error and leave the span's status unset.
#[test]
fn the_type_of_an_error_alone_makes_its_span_fail_in_every_sink() {
    use tracing::field::Empty;
    for (error, status, failed) in [
        (Some("timeout"), None, true),
        (Some("timeout"), Some("ok"), false),
        (Some(""), None, false),
        (None, None, false),
    ] {
        let sinks = Sinks::of(|| {
            let call = info_span!("call", error.type = Empty, otel.status_code = Empty);
            error.map(|error| call.record("error.type", error));
            status.map(|status| call.record("otel.status_code", status));
        });
        let case = format!("{error:?} {status:?}");
        let stored = sinks.spans[0].status;
        assert_eq!(stored == Some(SpanStatus::Error), failed, "{case}");
        let ends = sinks.lines.iter().filter(|line| line["kind"] == "span_end");
        let ends: Vec<&Json> = ends.map(|line| &line["status"]).collect();
        assert_eq!(ends, [if failed { "error" } else { "ok" }], "{case}");
        let sent = &sinks.receiver.spans()[0].record;
        let code = sent.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(code == StatusCode::Error as i32, failed, "{case}");
    }
}

#[test]
fn a_late_name_of_an_error_and_the_outcome_of_a_tool_make_a_span_fail_too() {
    let sinks = Sinks::of(|| {
        let call = info_span!("call");
        call.record_attribute("error.type", "timeout");
    });
    assert_eq!(sinks.spans[0].status, Some(SpanStatus::Error));
    let sinks = Sinks::of(|| drop(info_span!("tool", gen_ai.tool.call.outcome = "error")));
    assert_eq!(sinks.spans[0].status, Some(SpanStatus::Error));
}
