//! `--stored-metrics`: the records on `/metrics`, read by hand and by the real Prometheus.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::{Value as Json, json};
use spanscope_tests::prometheus::{Prometheus, answers, is_here};

use super::support::{Folder, Serve, finished, json_of, span, traces};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn serve(folder: &Folder, words: &[&str]) -> Serve {
    let mut command = folder.command(&["serve", "--stored-metrics"]);
    command.args(words);
    if !words.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    Serve::start(command)
}

/// Returns the samples of the two counters, by their names and labels.
fn counted(server: &Serve, token: Option<&str>) -> BTreeMap<String, u64> {
    let answer = server.ask("GET", "/metrics", token, None);
    assert_eq!(answer.status, 200, "{answer:?}");
    let samples = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("spanscope_stored_"));
    samples
        .map(|sample| {
            let (series, value) = sample.rsplit_once(' ').unwrap();
            (
                series.replace("_total{", "{").replace('"', ""),
                value.parse().unwrap(),
            )
        })
        .collect()
}

fn expected_samples<const N: usize>(samples: [(&str, u64); N]) -> BTreeMap<String, u64> {
    samples.map(|(series, value)| (series.to_owned(), value)).into()
}

/// A trace request of one service.
fn of_service(service: &str, spans: &[Json]) -> Json {
    let mut request = traces(spans);
    request["resourceSpans"][0]["resource"] =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    request
}

/// A call of a model with its usage.
fn call(trace: &str, id: &str, parent: Option<&str>, (input, output): (u64, u64)) -> Json {
    let mut span = span(trace, id, "chat small");
    span["kind"] = json!(3);
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(parent);
    }
    let text = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
    let count = |key: &str, count: u64| json!({"key": key, "value": {"intValue": count.to_string()}});
    span["attributes"] = json!([
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.request.model", "small"),
        text("gen_ai.provider.name", "ollama"),
        count("gen_ai.usage.input_tokens", input),
        count("gen_ai.usage.output_tokens", output),
    ]);
    span
}

fn stored(server: &Serve, request: &Json) {
    let answer = server.post("/v1/traces", request);
    assert_eq!((answer.status, json_of(&answer)), (200, json!({})), "{answer:?}");
}

#[test]
fn stored_records_are_counted_once_by_service_and_only_if_requested() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut request = span(TRACE, "00000000000000a1", "GET /orders");
    request["kind"] = json!(2);
    let mut failed = span(TRACE, "00000000000000a2", "GET /orders");
    (failed["kind"], failed["status"]) = (json!(2), json!({"code": 2}));
    let mut running = span(TRACE, "00000000000000a3", "long");
    running["endTimeUnixNano"] = json!("0");
    let shop = of_service("shop", &[request, failed, running.clone()]);
    stored(
        &server,
        &of_service("before", &[span(TRACE, "00000000000000a0", "x")]),
    );
    assert_eq!(counted(&server, None), BTreeMap::new());
    server.stop();

    let server = serve(&folder, &[]);
    // Sent twice, as by a sender that got no response.
    stored(&server, &shop);
    stored(&server, &shop);
    let mut expected = expected_samples([
        ("spans{kind=server,service=shop,status=error}", 1),
        ("spans{kind=server,service=shop,status=ok}", 1),
    ]);
    assert_eq!(counted(&server, None), expected);
    let ended = span(TRACE, "00000000000000a3", "long");
    stored(&server, &of_service("shop", &[ended]));
    stored(
        &server,
        &traces(&[call(TRACE, "00000000000000a4", None, (100, 20))]),
    );
    for (series, value) in [
        ("spans{kind=internal,service=shop,status=ok}", 1),
        ("spans{kind=client,status=ok}", 1),
        ("tokens{direction=input,model=small,provider=ollama}", 100),
        ("tokens{direction=output,model=small,provider=ollama}", 20),
    ] {
        expected.insert(series.to_owned(), value);
    }
    assert_eq!(counted(&server, None), expected);
    // Deleted records were stored too.
    finished(folder.command(&["cleanup", "--older-than", "0s"]));
    assert_eq!(counted(&server, None), expected);
    server.stop();
}

#[test]
fn tokens_that_were_counted_twice_are_offset_and_no_counter_decreases() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let input = || counted(&server, None)["tokens{direction=input,model=small,provider=ollama}"];
    let (outer, between, inner) = ("00000000000000a1", "00000000000000a2", "00000000000000a3");
    stored(&server, &traces(&[call(TRACE, outer, None, (100, 20))]));
    stored(&server, &traces(&[call(TRACE, inner, Some(between), (100, 20))]));
    assert_eq!(input(), 200);
    // Both spans describe the same call.
    let mut joins = span(TRACE, between, "between");
    joins["parentSpanId"] = json!(outer);
    stored(&server, &traces(&[joins]));
    assert_eq!(input(), 200);
    let other = |last: u8| format!("1af7651916cd43dd8448eb211c8031{last:02x}");
    stored(
        &server,
        &traces(&[call(&other(1), "00000000000000b1", None, (30, 1))]),
    );
    assert_eq!(input(), 200);
    stored(
        &server,
        &traces(&[call(&other(2), "00000000000000b2", None, (90, 1))]),
    );
    assert_eq!(input(), 220);
    server.stop();
    let mut usage = folder.command(&["usage", "--format", "json"]);
    usage.env("NO_COLOR", "1");
    let usage: Json = serde_json::from_str(&finished(usage)).unwrap();
    assert_eq!(usage[0]["input_tokens"], 220, "{usage}");

    // An earlier process's counts do not reduce this one's.
    let server = serve(&folder, &[]);
    let twice = other(3);
    stored(&server, &traces(&[call(&twice, outer, None, (500, 20))]));
    server.stop();
    let server = serve(&folder, &[]);
    stored(&server, &traces(&[call(&twice, inner, Some(outer), (400, 20))]));
    let of_tokens = "tokens{direction=input,model=small,provider=ollama}";
    assert_eq!(counted(&server, None)[of_tokens], 400);
    server.stop();
}

#[test]
fn records_have_their_tenant_and_only_administrators_see_all() {
    let folder = Folder::new();
    let tokens = "of-acme-0123456789 acme\nof-all-01234567890 *\n";
    let tokens = folder.file("tokens.txt", tokens);
    let server = serve(&folder, &["--tokens", tokens.to_str().unwrap()]);
    for (token, trace) in [
        ("of-acme-0123456789", TRACE),
        ("of-all-01234567890", "1af7651916cd43dd8448eb211c80319c"),
    ] {
        let request = of_service("api", &[span(trace, "00000000000000a1", "x")]);
        let answer = server.ask("POST", "/v1/traces", Some(token), Some(&request));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(
        counted(&server, Some("of-all-01234567890")),
        expected_samples([
            ("spans{kind=internal,service=api,status=ok,tenant=acme}", 1),
            ("spans{kind=internal,service=api,status=ok}", 1),
        ])
    );
    let answer = server.ask("GET", "/metrics", Some("of-acme-0123456789"), None);
    assert_eq!(answer.status, 403, "{answer:?}");
    server.stop();
}

#[test]
fn services_beyond_the_limit_are_counted_in_one_series() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let spans = |number: u64| {
        let id = format!("{:016x}", number + 1);
        let one = of_service(&format!("made-up-{number}"), &[span(TRACE, &id, "x")]);
        one["resourceSpans"][0].clone()
    };
    let all: Vec<Json> = (0..2_010).map(spans).collect();
    stored(&server, &json!({"resourceSpans": all}));
    let counted = counted(&server, None);
    assert_eq!(counted.len(), 2_001);
    assert_eq!(counted["spans{otel_metric_overflow=true}"], 10);
    server.stop();
}

#[test]
fn prometheus_sees_a_reset_only_at_a_restart() {
    if !is_here("prometheus") {
        return;
    }
    let folder = Folder::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = ["--listen", &free.to_string()];
    let server = serve(&folder, &listen);
    let prometheus = Prometheus::start(&[("spanscope", free)]);
    let send = |server: &Serve, ids: std::ops::Range<u8>| {
        let calls: Vec<Json> = ids
            .map(|id| {
                call(
                    &format!("1af7651916cd43dd8448eb211c8031{id:02x}"),
                    "00000000000000b1",
                    None,
                    (70, 7),
                )
            })
            .collect();
        stored(server, &of_service("shop", &calls));
    };
    let spans = "sum(spanscope_stored_spans_total{service='shop', kind='client', status='ok'})";
    send(&server, 1..4);
    prometheus.wait_for(spans, 3.0);
    finished(folder.command(&["cleanup", "--older-than", "0s"]));
    send(&server, 4..5);
    prometheus.wait_for(spans, 4.0);
    let by_direction = "sum by (direction) (spanscope_stored_tokens_total{model='small'})";
    assert_eq!(
        prometheus.query(by_direction, "direction"),
        answers([("input", 280.0), ("output", 28.0)])
    );
    let resets = "sum(resets(spanscope_stored_spans_total{service='shop'}[1h]))";
    assert_eq!(prometheus.query(resets, ""), answers([("", 0.0)]));
    server.stop();
    let server = serve(&folder, &listen);
    send(&server, 5..7);
    prometheus.wait_for(spans, 2.0);
    prometheus.wait_for(resets, 1.0);
    server.stop();
}
