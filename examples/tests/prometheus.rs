//! The example `metrics_server` and a test that counts tokens itself: the responses, `/metrics`,
//! the store and the real Prometheus all have the same numbers.
//!
//! Prometheus is in Debian's package `prometheus`. Without it the test says so and passes, unless
//! `SPANSCOPE_NO_SKIP` is set.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use spanscope_model::{
    MetricQuery, MetricQueryType, SpanFilter, SpanStatus, Timestamp, TraceStore as _, Value as Stored,
    block_on,
};
use spanscope_sqlite::SqliteStore;
use spanscope_tests::http::{ask, post};
use spanscope_tests::prometheus::{Prometheus, TOTAL, is_here};
use spanscope_tests::{program_without_settings, wait_for};

/// Model, provider, question, how often in a round; then the input and output tokens of one such
/// request, counted by hand: the model reads the question and names a place, then reads the
/// question and the weather and replies with six words.
const REQUESTS: [(&str, &str, &str, i32, [i32; 2]); 4] = [
    (
        "large",
        "tgi",
        "how is the weather today in Oslo",
        5,
        [7 + 8, 1 + 6],
    ),
    ("small", "ollama", "Lima", 3, [1 + 2, 1 + 6]),
    ("tiny", "ollama", "and now Oslo", 2, [3 + 4, 1 + 6]),
    ("tiny", "ollama", "and on Mars", 1, [3 + 4, 1 + 6]),
];

/// The tokens of a round of requests, by model and provider.
const ROUND: [(&str, &str, i32); 3] = [
    ("large", "tgi", 5 * 22),
    ("small", "ollama", 3 * 10),
    ("tiny", "ollama", 3 * 14),
];

/// Tokens by model and provider.
type Tokens = BTreeMap<(String, String), i64>;

fn rounds(rounds: i32) -> Tokens {
    let of = |(model, provider, tokens): (&str, &str, i32)| {
        (
            (model.to_owned(), provider.to_owned()),
            i64::from(rounds * tokens),
        )
    };
    ROUND.map(of).into()
}

/// A process of the example, which ends with the test.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = program_without_settings(env!("CARGO_BIN_EXE_metrics_server"))
            .args(["--serve", "127.0.0.1:0"])
            .env("SQLITE_STORE_DIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("the server printed {line:?}: {read:?}");
        };
        Self {
            child,
            address,
            folder,
        }
    }

    fn chat(&self, model: &str, message: &str) -> Value {
        let request = json!({ "model": model, "message": message }).to_string();
        let answer = post(self.address, "/v1/inference/chat", &request).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Sends a round of requests, and checks that each response has the metrics of its two model
    /// calls.
    fn round(&self) {
        for (model, _, message, times, [input, output]) in REQUESTS {
            for _ in 0..times {
                let answer = self.chat(model, message);
                let sum = |name: &str| -> i64 {
                    let metrics = answer["metrics"].as_array().unwrap().iter();
                    let of_name = metrics.filter(|metric| metric["metric"] == name);
                    of_name.map(|metric| metric["value"].as_i64().unwrap()).sum()
                };
                assert_eq!(sum("prompt_tokens"), i64::from(input), "{answer}");
                assert_eq!(sum("completion_tokens"), i64::from(output), "{answer}");
                assert_eq!(sum("total_tokens"), i64::from(input + output), "{answer}");
            }
        }
    }

    fn metrics(&self) -> String {
        ask(self.address, "GET", "/metrics", "").unwrap().body
    }

    /// All tokens, from `/metrics`.
    fn scraped(&self) -> Tokens {
        let text = self.metrics();
        let samples = text
            .lines()
            .filter_map(|line| line.strip_prefix("llama_stack_tokens_total{"));
        let of = |sample: &str| {
            let label = |name: &str| {
                let (_, rest) = sample.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            let (_, value) = sample.rsplit_once(' ').unwrap();
            ((label("model_id"), label("provider_id")), value.parse().unwrap())
        };
        samples.map(of).collect()
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.folder.path().join("trace_store.db")).unwrap()
    }

    /// All tokens, from the store.
    fn stored(&self) -> Tokens {
        let query = MetricQuery::range("llama_stack_tokens_total", Timestamp::from_nanos(0))
            .query_type(MetricQueryType::Instant)
            .granularity(None::<spanscope_model::Granularity>);
        let series = block_on(self.store().query_metrics(query)).unwrap();
        let of = |series: &spanscope_model::MetricSeries| {
            let label = |name: &str| {
                let label = series.labels.iter().find(|label| label.name == name);
                label.unwrap().value.clone()
            };
            let [point] = &series.values[..] else {
                panic!("{series:?}")
            };
            let Stored::I64(tokens) = point.value else {
                panic!("{series:?}")
            };
            ((label("model_id"), label("provider_id")), tokens)
        };
        series.iter().map(of).collect()
    }
}

#[test]
fn the_responses_the_scrape_and_the_store_have_the_counted_tokens() {
    let server = Server::start();
    for done in 1..=2 {
        server.round();
        assert_eq!(server.scraped(), rounds(done));
        wait_for("the tokens in the store", || {
            (server.stored() == rounds(done)).then_some(())
        });
    }
}

#[test]
fn a_response_has_only_its_requests_metrics_in_order() {
    let server = Server::start();
    let counted = |[input, output]: [i64; 2]| {
        [
            json!({ "metric": "prompt_tokens", "value": input, "unit": "tokens" }),
            json!({ "metric": "completion_tokens", "value": output, "unit": "tokens" }),
            json!({ "metric": "total_tokens", "value": input + output, "unit": "tokens" }),
        ]
    };
    let expected = [counted([3, 1]), counted([4, 6])].concat();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let answer = server.chat("small", "how is Lima");
                    assert_eq!(answer["answer"], "the weather in Lima is fog");
                    assert_eq!(answer["metrics"], Value::from(expected.clone()));
                }
            });
        }
    });
}

#[test]
fn requests_are_counted_by_their_route_and_status_and_failures_are_in_the_store() {
    let server = Server::start();
    server.chat("tiny", "and on Mars");
    for (path, status) in [
        ("/v1/models/large", 200),
        ("/v1/models/small", 200),
        ("/v1/models/huge", 404),
        ("/nowhere", 404),
    ] {
        assert_eq!(
            ask(server.address, "GET", path, "").unwrap().status,
            status,
            "{path}"
        );
    }
    let bad = post(
        server.address,
        "/v1/inference/chat",
        r#"{"model":"huge","message":""}"#,
    );
    assert_eq!(bad.unwrap().status, 404);
    let broken = post(server.address, "/v1/inference/embeddings", "{}");
    assert_eq!(broken.unwrap().status, 503);

    let text = server.metrics();
    for line in [
        "llama_stack_requests_total{api=\"inference\",status=\"200\"} 1",
        "llama_stack_requests_total{api=\"inference\",status=\"404\"} 1",
        "llama_stack_requests_total{api=\"inference\",status=\"503\"} 1",
        "llama_stack_requests_total{api=\"models\",status=\"200\"} 2",
        "llama_stack_requests_total{api=\"models\",status=\"404\"} 1",
        "llama_stack_concurrent_requests{api=\"inference\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    let has = |texts: &[&str]| {
        text.lines()
            .any(|line| texts.iter().all(|text| line.contains(text)))
    };
    let durations = "http_server_request_duration_seconds_count{";
    assert!(
        has(&[durations, "http_route=\"/v1/models/{id}\"", "=\"200\"", "} 2"]),
        "{text}"
    );
    assert!(!text.contains("/v1/models/large"), "{text}");
    assert!(
        has(&[
            "gen_ai_execute_tool_duration_seconds_count{",
            "weather",
            "unknown_place"
        ]),
        "{text}"
    );

    let filter = || SpanFilter::default().limit(100);
    let failed = wait_for("the failed spans", || {
        let spans = block_on(server.store().list_spans(filter())).unwrap();
        let failed = spans
            .into_iter()
            .filter(|span| span.status == Some(SpanStatus::Error));
        let names: BTreeSet<String> = failed.map(|span| span.name).collect();
        (names.len() == 3).then_some(names)
    });
    let names: Vec<&str> = failed.iter().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "POST /v1/inference/embeddings",
            "embeddings embedder",
            "execute_tool weather"
        ]
    );
}

#[test]
fn prometheus_has_the_servers_tokens_for_all_four_queries() {
    if !is_here("prometheus") {
        return;
    }
    let server = Server::start();
    server.round();
    let prometheus = Prometheus::start(&[("spanscope", server.address)]);
    let all: i64 = rounds(1).values().sum();
    prometheus.wait_for(TOTAL, f64::from(i32::try_from(all).unwrap()));
    server.round();
    prometheus.check_token_queries(&ROUND);
    assert_eq!(server.scraped(), rounds(2));

    // Each series has the trace of a request for an exemplar, and the store has that trace.
    let exemplars = prometheus.api(
        "query_exemplars?start=1&end=4000000000&query=",
        "llama_stack_tokens_total",
    );
    let exemplars = exemplars.as_array().unwrap();
    assert_eq!(exemplars.len(), ROUND.len());
    for series in exemplars {
        let trace_id = series["exemplars"][0]["labels"]["trace_id"].as_str().unwrap();
        let spans = wait_for("the trace of an exemplar", || {
            let spans = block_on(server.store().trace_spans(trace_id.parse().unwrap()));
            spans.ok().filter(|spans| spans.len() == 5)
        });
        let model = series["seriesLabels"]["model_id"].as_str().unwrap();
        let called = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!(called("POST /v1/inference/chat"), 1);
        assert_eq!(called("invoke_agent meteorologist"), 1);
        assert_eq!(called(&format!("chat {model}")), 2);
    }
}
