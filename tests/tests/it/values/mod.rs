//! The values of a span or an event are the same on every sink: the program `values` runs with the
//! console, the store and a collector, and the tests compare the three.

mod ends;
mod filters;
mod late;
mod records;
mod reloaded;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use serde_json::{Map, Value as Json};
use spanscope_model::{LogEvent, LogFilter, Span, SpanFilter, TraceStore as _, block_on};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::receiver::Receiver;
use spanscope_tests::terminal::run_piped;

/// An event, as a sink has it.
struct Recorded {
    message: String,
    severity: String,
    target: String,
    category: String,
    /// Without the fields above.
    attributes: Map<String, Json>,
}

/// The records of an ended program in every sink.
struct Sinks {
    folder: tempfile::TempDir,
    spans: Vec<Span>,
    logs: Vec<LogEvent>,
    /// The console's lines, one JSON object each.
    lines: Vec<Json>,
    receiver: Receiver,
}

impl Sinks {
    /// Runs `values SUBJECT`.
    fn of(subject: &str) -> Self {
        Self::with(subject, &[])
    }

    /// Runs it with these variables.
    fn with(subject: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start();
        let mut command = spanscope_tests::program_without_settings(env!("CARGO_BIN_EXE_values"));
        command
            .arg(subject)
            .env(
                "TELEMETRY_SINKS",
                "console,sqlite,otel_trace,otel_metric,otel_log",
            )
            .env("SQLITE_STORE_DIR", folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
            .envs(variables.iter().copied());
        let ended = run_piped(command);
        let console = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{:?}: {console}", ended.status);
        let store = SqliteStore::open(folder.path().join("trace_store.db")).unwrap();
        let (spans, logs) = (
            SpanFilter::default().limit(10_000),
            LogFilter::default().limit(10_000),
        );
        Self {
            spans: block_on(store.list_spans(spans)).unwrap(),
            logs: block_on(store.list_logs(logs)).unwrap(),
            lines: console
                .lines()
                .filter(|line| !line.starts_with("spanscope: ")) // what a sink reports of itself
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
                .collect(),
            receiver,
            folder,
        }
    }

    /// The store's file, opened as by any SQLite program.
    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("trace_store.db")).unwrap()
    }

    /// The attributes that the console shows of a span at its start and, where they changed, at its
    /// end.
    fn shown_attributes(&self, name: &str) -> Map<String, Json> {
        let mut shown = object(self.span_line("span_start", name)["attributes"].clone());
        shown.extend(object(self.span_line("span_end", name)["attributes"].clone()));
        shown
    }

    /// The attributes of a span in each sink.
    fn span_attributes(&self, name: &str) -> [(&'static str, Map<String, Json>); 3] {
        let stored = serde_json::to_value(&self.stored_span(name).attributes).unwrap();
        [
            ("store", object(stored)),
            ("console", self.shown_attributes(name)),
            ("collector", sent_attributes(&self.sent_span(name).attributes)),
        ]
    }

    /// The one event with this attribute, or with this message, in each sink; the collector gets it
    /// as a log record and, if it happened in a span, as an event of that.
    fn events(&self, key: &str, value: &str) -> Vec<(&'static str, Recorded)> {
        let is_it = |event: &Recorded| match key {
            "message" => event.message == value,
            key => event.attributes.get(key) == Some(&Json::from(value)),
        };
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let of_store = self.logs.iter().map(|log| Recorded {
            message: log.message.clone(),
            severity: log.severity.as_str().to_owned(),
            target: log.target.clone(),
            category: log.category.clone(),
            attributes: object(serde_json::to_value(&log.attributes).unwrap()),
        });
        let events = self.lines.iter().filter(|line| line["kind"] == "event");
        let of_console = events.map(|line| Recorded {
            message: text(&line["message"]),
            severity: text(&line["severity"]),
            target: text(&line["target"]),
            category: text(&line["category"]),
            attributes: object(line["attributes"].clone()),
        });
        let logs = self.receiver.logs();
        let of_logs = logs.iter().map(|log| {
            let mut attributes = sent_attributes(&log.record.attributes);
            let body = log.record.body.clone().and_then(|body| body.value);
            Recorded {
                message: body.map(json_of).map(|body| text(&body)).unwrap_or_default(),
                severity: log.record.severity_text.clone(),
                target: log.scope.clone(),
                category: take(&mut attributes, "category"),
                attributes,
            }
        });
        let spans = self.receiver.spans();
        let events = spans.iter().flat_map(|span| &span.record.events);
        let of_spans = events.map(|event| {
            let mut attributes = sent_attributes(&event.attributes);
            let message = take(&mut attributes, "message");
            Recorded {
                message: if message.is_empty() {
                    event.name.clone()
                } else {
                    message
                },
                severity: take(&mut attributes, "severity"),
                target: take(&mut attributes, "target"),
                category: take(&mut attributes, "category"),
                attributes,
            }
        });
        let found = [
            ("store", of_store.filter(is_it).collect::<Vec<_>>()),
            ("console", of_console.filter(is_it).collect()),
            ("collector's logs", of_logs.filter(is_it).collect()),
            ("collector's spans", of_spans.filter(is_it).collect()),
        ];
        let is_in_span = self
            .logs
            .iter()
            .any(|log| log.message == found[0].1[0].message && log.span_id.is_some());
        let mut sinks = Vec::new();
        for (sink, events) in found {
            let is_outside = sink == "collector's spans" && events.is_empty() && !is_in_span;
            assert!(
                events.len() == 1 || is_outside,
                "{} of {value} in the {sink}",
                events.len()
            );
            sinks.extend(events.into_iter().map(|event| (sink, event)));
        }
        sinks
    }

    fn stored_span(&self, name: &str) -> &Span {
        let mut spans = self.spans.iter().filter(|span| span.name == name);
        let span = spans.next().unwrap_or_else(|| panic!("no {name} is stored"));
        assert!(spans.next().is_none(), "two {name}");
        span
    }

    /// The console's line of this kind for a span.
    fn span_line(&self, kind: &str, name: &str) -> &Json {
        let mut lines = self.lines.iter();
        let line = lines.find(|line| line["kind"] == kind && line["name"] == name);
        line.unwrap_or_else(|| panic!("no {kind} of {name}"))
    }

    fn sent_span(&self, name: &str) -> opentelemetry_proto::tonic::trace::v1::Span {
        let spans: Vec<_> = self
            .receiver
            .spans()
            .into_iter()
            .filter(|span| span.record.name == name)
            .collect();
        assert_eq!(spans.len(), 1, "{name}");
        spans[0].record.clone()
    }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(map) => map,
        other => panic!("{other}"),
    }
}

/// Removes what the bridge has added under this key, or under the bridge's own key where the
/// program has that.
fn take(attributes: &mut Map<String, Json>, key: &str) -> String {
    let own = attributes.remove(&format!("spanscope.{key}"));
    let is_text = attributes.get(key).is_some_and(Json::is_string);
    let added = own.or_else(|| is_text.then(|| attributes.remove(key)).flatten());
    added
        .and_then(|added| added.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn sent_attributes(attributes: &[KeyValue]) -> Map<String, Json> {
    let mut found = Map::new();
    for attribute in attributes {
        let value = attribute.value.clone().and_then(|value| value.value).unwrap();
        let before = found.insert(attribute.key.clone(), json_of(value));
        assert_eq!(before, None, "{} is sent twice", attribute.key);
    }
    found
}

fn json_of(value: Sent) -> Json {
    match value {
        Sent::StringValue(text) => text.into(),
        Sent::BoolValue(value) => value.into(),
        Sent::IntValue(number) => number.into(),
        Sent::DoubleValue(number) => number.into(),
        other => panic!("{other:?}"),
    }
}
