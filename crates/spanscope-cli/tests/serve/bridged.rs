//! A program with the OTLP bridge and its own store: the server stores the same records.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value as Json;
use spanscope_model::Timestamp;
use spanscope_sqlite::SqliteStore;

use super::received::counted;
use super::stored::{Records, sorted};
use super::support::{Folder, finished};

/// The name that the demo's agent runs as.
const SERVICE: &str = "spanscope-demo";
/// The maximum difference between the times of a record: each sink reads the wall clock itself.
const NEAR_NANOS: u64 = 100_000_000;

#[test]
fn a_server_stores_the_same_records_as_the_program_that_sends_them() {
    for variables in [
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")][..],
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ],
    ] {
        let folder = Folder::new();
        let server = folder.serve();
        let own = Folder::new();
        let mut demo = demo(&own);
        demo.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.url())
            .envs(variables.iter().copied());
        finished(demo);
        assert_same_run(&folder.store(), &own.store());
        server.stop();
    }
}

#[test]
fn records_that_a_program_writes_and_sends_are_stored_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut demo = demo(&folder);
    demo.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.url());
    finished(demo);
    let alone = Folder::new();
    finished(alone.command(&["demo"]));
    let counts = |folder: &Folder| {
        let found = Records::stored(&folder.store(), SERVICE);
        (found.traces.len(), found.spans.len(), found.logs.len())
    };
    assert_eq!(counts(&folder), counts(&alone));
    let tokens = |folder: &Folder| sums(&Records::stored(&folder.store(), SERVICE).points, "total_tokens");
    assert_eq!(tokens(&folder), tokens(&alone));
    // The demo did send its records.
    let counted = counted(&server);
    let known = ["logs", "metrics", "traces"].map(|signal| (signal.to_owned(), "known".to_owned()));
    assert!(counted.keys().eq(&known), "{counted:?}");
    server.stop();
}

/// The demo, which writes into this folder and exports everything, including content.
pub(crate) fn demo(own: &Folder) -> Command {
    let mut demo = own.command(&["demo"]);
    demo.env("TELEMETRY_SINKS", "otel_trace,otel_metric,otel_log")
        .env(
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
            "SPAN_AND_EVENT",
        );
    demo
}

/// Compares a server's data of the demo with those of the demo's own store.
pub(crate) fn assert_same_run(served: &SqliteStore, own: &SqliteStore) {
    let (served, own) = (Records::stored(served, SERVICE), Records::stored(own, SERVICE));
    assert!(
        own.spans.len() > 10 && own.logs.len() > 10,
        "the demo recorded something"
    );
    assert_eq!(sums(&served.points, ""), sums(&own.points, ""));
    assert_near("spans", served.spans, own.spans, &["start_time", "end_time"]);
    let logs = own.logs;
    assert_near("log events", served.logs, logs, &["timestamp"]);
}

/// Compares documents, except for times, which are close, and fields that only a sender sets.
fn assert_near(what: &str, served: Vec<Json>, own: Vec<Json>, times: &[&str]) {
    let split = |documents: Vec<Json>| {
        let split = documents.into_iter().map(|mut document| {
            let fields = document.as_object_mut().unwrap();
            fields.retain(|field, _| field != "resource" && field != "scope");
            let times = times.iter().map(|time| fields.remove(*time).unwrap());
            let nanos = |time: Json| {
                let time: Timestamp = time.as_str().unwrap().parse().unwrap();
                time.as_nanos()
            };
            let times: Vec<i64> = times.map(nanos).collect();
            document.sort_all_objects();
            (document.to_string(), times)
        });
        let mut split: Vec<_> = split.collect();
        split.sort();
        split
    };
    let (served, own) = (split(served), split(own));
    for ((served, _), (own, _)) in served.iter().zip(&own) {
        assert_eq!(served, own, "{what}");
    }
    assert_eq!(served.len(), own.len(), "{what}");
    let times = |these: &[(String, Vec<i64>)]| {
        these
            .iter()
            .flat_map(|(_, times)| times.clone())
            .collect::<Vec<_>>()
    };
    for (served, own) in times(&served).into_iter().zip(times(&own)) {
        assert!(served.abs_diff(own) < NEAR_NANOS, "{what}");
    }
}

/// Returns the sums of the measurements, by metric, unit and labels; of one metric, or of all.
fn sums(points: &[Json], metric: &str) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for point in sorted(points.to_vec()) {
        let name = point["metric"].as_str().unwrap();
        // The bridge's own counters are only exported.
        if (!metric.is_empty() && name != metric) || name.starts_with("spanscope.otlp.") {
            continue;
        }
        let mut labels = point["attributes"].clone();
        labels.sort_all_objects();
        let key = format!("{name} {} {} {labels}", point["kind"], point["unit"]);
        *sums.entry(key).or_default() += point["value"].as_f64().unwrap();
    }
    // Rounded, because the order of the additions varies.
    let round = |(key, sum): (String, f64)| (key, format!("{sum:.9e}"));
    sums.into_iter().map(round).collect()
}
