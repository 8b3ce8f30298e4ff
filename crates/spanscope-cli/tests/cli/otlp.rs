//! The demo sends the same records to a real collector that it stores.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use spanscope_tests::receiver::{Receiver, Sent, sort_attributes, span_as_json, text_of};
use spanscope_tests::rotel::{Rotel, is_here};
use spanscope_tests::{program_without_settings, wait_for};

struct Demo {
    folder: tempfile::TempDir,
    stderr: String,
}

impl Demo {
    fn run(variables: &[(&str, &str)]) -> Self {
        let mut demo = Self {
            folder: tempfile::tempdir().unwrap(),
            stderr: String::new(),
        };
        let output = demo
            .command(&["demo"])
            .env("TELEMETRY_SINKS", "otel_trace,otel_metric,otel_log")
            .env(
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
                "SPAN_AND_EVENT",
            )
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        demo.stderr = String::from_utf8(output.stderr).unwrap();
        demo
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = program_without_settings(env!("CARGO_BIN_EXE_spanscope"));
        command
            .args(words)
            .arg("--db")
            .arg(self.folder.path().join("trace_store.db"));
        command
    }

    /// Returns the program's resource, as `export` writes it.
    fn resource(&self) -> Json {
        let output = self.command(&["export", "--to", "otlp-json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let data: Json = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let mut attributes = data["resourceSpans"][0]["resource"]["attributes"].clone();
        sort_attributes(attributes.as_array_mut().unwrap());
        attributes
    }

    /// Returns every stored span as `export` writes it, by id, and its service and target.
    fn stored(&self) -> BTreeMap<String, (String, String, Json)> {
        let output = self.command(&["export", "--to", "otlp-json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut spans = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let data: Json = serde_json::from_str(line).unwrap();
            for resource in data["resourceSpans"].as_array().into_iter().flatten() {
                let of = &resource["resource"]["attributes"];
                let service = of[0]["value"]["stringValue"].as_str().unwrap();
                for scope in resource["scopeSpans"].as_array().unwrap() {
                    let target = scope["scope"]["name"].as_str().unwrap();
                    for span in scope["spans"].as_array().unwrap() {
                        let mut span = span.clone();
                        sort_attributes(span["attributes"].as_array_mut().unwrap());
                        let events = span.get_mut("events").and_then(Json::as_array_mut);
                        for event in events.into_iter().flatten() {
                            sort_attributes(event["attributes"].as_array_mut().unwrap());
                        }
                        let id = span["spanId"].as_str().unwrap().to_owned();
                        spans.insert(id, (service.to_owned(), target.to_owned(), span));
                    }
                }
            }
        }
        spans
    }

    fn stored_logs(&self) -> usize {
        let output = self
            .command(&["logs", "--json", "--limit", "10000"])
            .output()
            .unwrap();
        let logs: Json = serde_json::from_slice(&output.stdout).unwrap();
        logs.as_array().unwrap().len()
    }
}

fn by_id(
    sent: Vec<Sent<opentelemetry_proto::tonic::trace::v1::Span>>,
) -> BTreeMap<String, (String, String, Json)> {
    let count = sent.len();
    let spans: BTreeMap<_, _> = sent
        .into_iter()
        .map(|sent| {
            let span = span_as_json(&sent.record);
            let service = sent.resource("service.name").unwrap();
            (
                span["spanId"].as_str().unwrap().to_owned(),
                (service, sent.scope, span),
            )
        })
        .collect();
    assert_eq!(spans.len(), count, "no span twice");
    spans
}

/// Removes a span's start and end and the times of its events, and returns them.
fn take_times(span: &mut Json) -> Vec<u64> {
    let mut take = |key: &str| span.as_object_mut().unwrap().remove(key).unwrap();
    let own = ["startTimeUnixNano", "endTimeUnixNano"].map(&mut take);
    let events = span.get_mut("events").and_then(Json::as_array_mut);
    let times = events
        .into_iter()
        .flatten()
        .map(|event| event.as_object_mut().unwrap().remove("timeUnixNano").unwrap());
    let all = own.into_iter().chain(times);
    all.map(|time| time.as_str().unwrap().parse().unwrap()).collect()
}

fn compare(demo: &Demo, receiver: &Receiver) {
    let stored = demo.stored();
    assert!(stored.len() > 10, "the demo recorded spans");
    let sent = wait_for("all spans", || {
        let sent = by_id(receiver.spans());
        (sent.len() >= stored.len()).then_some(sent)
    });
    for (id, (service, target, span)) in &stored {
        let (sent_service, scope, sent_span) = sent
            .get(id)
            .unwrap_or_else(|| panic!("{id} was not sent: {span:#}"));
        let (mut sent_span, mut span) = (sent_span.clone(), span.clone());
        let (sent_times, times) = (take_times(&mut sent_span), take_times(&mut span));
        assert_eq!(sent_span, span);
        // Durations are equal to the nanosecond. Each sink computes the time itself by the wall
        // clock of that second, and each reads an event's time separately.
        assert_eq!(sent_times[1] - sent_times[0], times[1] - times[0], "{id}");
        let near = |(a, b): (&u64, &u64)| a.abs_diff(*b) < 100_000_000;
        assert!(
            sent_times.len() == times.len() && sent_times.iter().zip(&times).all(near),
            "{id}"
        );
        assert_eq!((sent_service, scope), (service, target), "{id}");
    }
    assert_eq!(sent.len(), stored.len());
    let has = |key: &str| stored.values().any(|(_, _, span)| span.get(key).is_some());
    assert!(
        has("events") && has("parentSpanId"),
        "there is something to compare"
    );
    let logs = demo.stored_logs();
    let records = wait_for("all log records", || {
        Some(receiver.logs()).filter(|sent| sent.len() >= logs)
    });
    assert_eq!(records.len(), logs);
    for sent in records {
        let id = spanscope_tests::receiver::hex(&sent.record.span_id);
        assert!(id.is_empty() || stored.contains_key(&id), "{sent:?}");
    }
    // The store's resource equals the one that was sent.
    let sent = receiver.spans().remove(0).resource.attributes;
    let mut sent_resource = serde_json::to_value(sent).unwrap();
    sort_attributes(sent_resource.as_array_mut().unwrap());
    let stored_resource = demo.resource();
    let keys = |attributes: &Json| -> Vec<String> {
        let attributes = attributes.as_array().unwrap().iter();
        attributes.map(|pair| pair["key"].to_string()).collect()
    };
    assert_eq!(keys(&stored_resource), keys(&sent_resource));
    let pairs = stored_resource.as_array().unwrap().iter();
    for (stored, sent) in pairs.zip(sent_resource.as_array().unwrap()) {
        assert_eq!(stored["value"], sent["value"], "{}", stored["key"]);
    }
    let tokens = receiver.metrics();
    let names: Vec<&str> = tokens.iter().map(|metric| metric.record.name.as_str()).collect();
    assert!(names.contains(&"llama_stack_tokens_total"), "{names:?}");
    assert!(names.contains(&"gen_ai.client.operation.duration"), "{names:?}");
    let resource = &tokens[0].resource;
    assert_eq!(
        text_of(&resource.attributes, "service.name").as_deref(),
        Some("spanscope-demo")
    );
}

#[test]
fn rotel_receives_the_stored_records() {
    if !is_here() {
        return;
    }
    for variables in [
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")][..],
        &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")],
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ],
    ] {
        let rotel = Rotel::start();
        let is_grpc = variables.iter().any(|(_, value)| *value == "grpc");
        let endpoint = format!("http://{}", if is_grpc { rotel.grpc } else { rotel.http });
        let variables: Vec<_> = variables
            .iter()
            .copied()
            .chain([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())])
            .collect();
        compare(&Demo::run(&variables), &rotel.receiver);
    }
}

#[test]
fn a_receiver_without_a_collector_receives_the_stored_records_also_as_json() {
    // rotel loses the numbers of metrics in JSON whose 64-bit integers are strings, as in OTLP.
    for protocol in ["http/protobuf", "http/json"] {
        let receiver = Receiver::start();
        let url = receiver.url();
        let variables = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ];
        compare(&Demo::run(&variables), &receiver);
    }
}

#[test]
fn a_missing_collector_is_reported_once_per_signal_without_secrets() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://ann:hunter2@{dead}/base?token=hunter2");
    let demo = Demo::run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer hunter2,bad header=hunter2",
        ),
    ]);
    assert!(!demo.stderr.contains("hunter2"), "{}", demo.stderr);
    for what in ["spans", "log records", "metric points"] {
        let reports = demo
            .stderr
            .lines()
            .filter(|line| line.contains(&format!("does not accept {what}")))
            .count();
        assert_eq!(reports, 1, "{}", demo.stderr);
    }
    assert!(
        demo.stderr.contains(&format!("http://{dead}/base/v1/traces")),
        "{}",
        demo.stderr
    );
    assert!(
        demo.stderr.contains("OTEL_EXPORTER_OTLP_HEADERS is"),
        "{}",
        demo.stderr
    );
    assert!(demo.stored().len() > 10, "the records are stored anyway");
}

#[test]
fn variables_turn_signals_off() {
    for (variables, paths) in [
        (&[("OTEL_SDK_DISABLED", "true")][..], &[][..]),
        (&[("OTEL_TRACES_EXPORTER", "none")], &["/v1/logs", "/v1/metrics"]),
        (&[("TELEMETRY_SINKS", "sqlite")], &[]),
        (&[("TELEMETRY_SINKS", "otel_metric")], &["/v1/metrics"]),
        (
            &[
                ("OTEL_TRACES_SAMPLER", "always_off"),
                ("TELEMETRY_SINKS", "otel_trace"),
            ],
            &[],
        ),
    ] {
        let receiver = Receiver::start();
        let url = receiver.url();
        let all: Vec<_> = variables
            .iter()
            .copied()
            .chain([("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())])
            .collect();
        let demo = Demo::run(&all);
        let mut received: Vec<_> = receiver
            .requests()
            .into_iter()
            .map(|request| request.path)
            .collect();
        received.sort_unstable();
        received.dedup();
        assert_eq!(received, paths, "{variables:?}");
        assert!(demo.stored().len() > 10);
    }
}
