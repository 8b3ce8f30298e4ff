//! OpenTelemetry's SDKs for Python and Node send to `spanscope serve`, which stores the records
//! that their drivers report as sent.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use spanscope_tests::receiver::Receiver;

use super::stored::{Records, series};
use super::support::{Client, Folder};

/// Every way of sending: protocol, temporality, compression.
const WAYS: [[&str; 3]; 4] = [
    ["http/protobuf", "cumulative", "none"],
    ["http/json", "cumulative", "gzip"],
    ["http/protobuf", "delta", "gzip"],
    ["http/json", "delta", "none"],
];

#[test]
fn records_of_the_python_sdk_are_stored_field_by_field() {
    every_way(Client::Python);
}

#[test]
fn records_of_the_node_sdk_are_stored_field_by_field() {
    every_way(Client::Node);
}

/// This is the default of `opentelemetry-instrument`.
#[test]
fn records_of_the_python_sdk_over_grpc_are_stored_field_by_field() {
    for [temporality, compression] in [["cumulative", "none"], ["delta", "gzip"]] {
        one_way(Client::Python, ["grpc", temporality, compression]);
    }
}

fn every_way(client: Client) {
    for way in WAYS {
        one_way(client, way);
    }
}

fn one_way(client: Client, [protocol, temporality, compression]: [&str; 3]) {
    let folder = Folder::new();
    let server = match protocol {
        "grpc" => folder.serve_with_grpc(),
        _ => folder.serve(),
    };
    let url = match protocol {
        "grpc" => server.grpc_url(),
        _ => server.url(),
    };
    let Some(sent) = client.run(&[&url, protocol, temporality, compression]) else {
        return;
    };
    let client = &sent["client"];
    for (what, configured) in [
        ("endpoint", url.as_str()),
        ("protocol", protocol),
        ("temporality", temporality),
        ("compression", compression),
    ] {
        assert_eq!(client[what], configured);
    }
    let expected = expected(&sent);
    // Acknowledged means stored: the server is running, and the results are there.
    let store = folder.store();
    Records::stored(&store, &expected.service).assert_same(&expected);
    let metrics = expected
        .points
        .iter()
        .map(|point| point["metric"].as_str().unwrap());
    assert_eq!(series(&store, metrics), expected.series());
    server.stop();
}

/// The expected records, with every kind.
pub(crate) fn expected(sent: &Json) -> Records {
    let mut expected = Records::sent(sent);
    // The agent above reports the same numbers once more.
    expected.expect_call("chat large", [120, 30], "large", "openai");
    assert_eq!(expected.spans.len(), 6);
    assert_eq!(expected.traces.len(), 2);
    let of = |list: &[Json], field: &str| -> BTreeSet<String> {
        let texts = list.iter().map(|one| one[field].as_str().unwrap().to_owned());
        texts.collect()
    };
    let kinds = ["client", "consumer", "internal", "producer", "server"];
    assert!(of(&expected.spans, "kind").iter().eq(kinds));
    assert!(of(&expected.spans, "status").iter().eq(["error", "ok"]));
    let severities = ["critical", "debug", "error", "info", "verbose", "warn"];
    assert!(of(&expected.logs, "severity").iter().eq(severities));
    assert!(
        of(&expected.points, "kind")
            .iter()
            .eq(["counter", "gauge", "histogram"])
    );
    let metrics = [
        "app.cost",
        "app.duration",
        "app.payload",
        "app.queue",
        "app.requests",
        "app.temperature",
        "completion_tokens",
        "prompt_tokens",
        "total_tokens",
    ];
    assert!(of(&expected.points, "metric").iter().eq(metrics));
    expected
}

/// Otherwise the tests above would all test the same way of sending.
#[test]
fn the_sdks_send_with_the_configured_protocol() {
    for client in [Client::Python, Client::Node] {
        for [protocol, temporality, compression] in WAYS {
            let receiver = Receiver::start();
            let Some(sent) = client.run(&[&receiver.url(), protocol, temporality, compression]) else {
                return;
            };
            let requests = receiver.requests();
            let paths: BTreeSet<&str> = requests.iter().map(|request| request.path.as_str()).collect();
            assert!(
                paths.iter().eq(&["/v1/logs", "/v1/metrics", "/v1/traces"]),
                "{paths:?}"
            );
            for request in &requests {
                let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
                let kind = match protocol {
                    "http/json" => "application/json",
                    _ => "application/x-protobuf",
                };
                assert_eq!(header("content-type"), kind, "{client:?} {}", request.path);
                let packed = header("content-encoding");
                assert_eq!(packed == "gzip", compression == "gzip", "{client:?} {packed}");
            }
            let requests = sent["metrics"].as_array().unwrap().iter();
            let requests = requests.filter(|metric| metric["name"] == "app.requests");
            assert!(requests.map(|metric| &metric["temporality"]).eq([temporality]));
        }
    }
}
