//! The real Prometheus reads the output, and `promtool` accepts it and the files of
//! `examples/monitoring`.
//!
//! Both are in Debian's package `prometheus`. If they are not installed the tests say so and do
//! nothing, unless `SPANSCOPE_NO_SKIP` is set.

use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::Value;
use spanscope_layers::metrics::Number::{F64, I64};
use spanscope_model::MetricKind::{self, Gauge};
use spanscope_server::{PrometheusSink, metrics_router};
use spanscope_tests::prometheus::{Prometheus, TOTAL, answers, is_here};
use spanscope_tests::wait_for;

use crate::support::{CONCURRENT, DURATION, Metric, REQUESTS, Server, TOKENS, span};

/// A label's value with everything in it that a format has to escape.
const HOSTILE: &str = "a\"} 1 # {x=\"\\\ny\"} 1 é";

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/monitoring")
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(monitoring())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {output_text}");
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules_and_each_alert_fires() {
    if is_here("promtool") {
        promtool(&["check", "config", "prometheus.yml"], "");
        promtool(&["check", "rules", "alerts.yml"], "");
        promtool(&["test", "rules", "alerts_test.yml"], "");
        // The collector's; their mount point is only known in the container.
        promtool(
            &["check", "config", "--syntax-only", "../collector/prometheus.yaml"],
            "",
        );
        promtool(&["check", "rules", "../collector/collector-alerts.yml"], "");
        promtool(&["test", "rules", "../collector/collector-alerts_test.yml"], "");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_classic_text() {
    if is_here("promtool") {
        promtool(&["check", "metrics"], &hostile_program().encode("").1);
    }
}

/// A program with hostile labels, with an overflow and a rejected measurement.
fn hostile_program() -> PrometheusSink {
    let sink = PrometheusSink::with_max_label_sets(2);
    for api in [HOSTILE, "# EOF", "third"] {
        let labels = [("api", api), ("nul", "a\0b"), ("empty", "")];
        REQUESTS.record_in(&sink, &labels, I64(2), span(5));
        DURATION.record_in(&sink, &labels, F64(0.3), span(5));
    }
    REQUESTS.record(&sink, &[], I64(-1));
    CONCURRENT.record(&sink, &[], I64(3));
    Metric(Gauge, "level", "").record(&sink, &[("le", "x")], F64(0.1));
    sink
}

/// Model, provider, and how many tokens its calls of one round take.
const ROUND: [(&str, &str, i32); 3] = [
    ("large", "tgi", 900),
    ("large", "ollama", 300),
    ("small", "ollama", 1_800),
];

fn round(sink: &PrometheusSink) {
    for (model, provider, tokens) in ROUND {
        let labels = [("model_id", model), ("provider_id", provider)];
        TOKENS.record_in(sink, &labels, I64(tokens.into()), span(9));
        let [(_, model), (_, provider)] = labels;
        for (name, token_type, count) in [
            ("prompt_tokens", "input", tokens - 100),
            ("completion_tokens", "output", 100),
        ] {
            Metric(MetricKind::Counter, name, "tokens").record_in(sink, &labels, I64(count.into()), span(9));
            let labels = [
                ("gen_ai.request.model", model),
                ("gen_ai.provider.name", provider),
                ("gen_ai.token.type", token_type),
            ];
            let usage = Metric(MetricKind::Histogram, "gen_ai.client.token.usage", "{token}");
            usage.record_in(sink, &labels, I64(count.into()), span(9));
        }
    }
}

/// The queries of the dashboard, each with the title of its panel, for all models, providers and
/// APIs.
fn queries_of_the_dashboard() -> Vec<(String, String)> {
    let dashboard = fs::read_to_string(monitoring().join("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| Some((&panel["title"], panel["targets"].as_array()?)));
    let targets = targets.flat_map(|(title, targets)| targets.iter().map(move |target| (title, target)));
    let queries = targets.map(|(title, target)| {
        let query = target["expr"]
            .as_str()
            .unwrap()
            .replace("$__rate_interval", "5m")
            .replace("$__range", "1h");
        let query = ["$model", "$provider", "$api"]
            .iter()
            .fold(query, |query, variable| query.replace(variable, ".*"));
        assert!(!query.contains('$'), "{query}");
        (title.as_str().unwrap().to_owned(), query)
    });
    queries.collect()
}

#[test]
fn prometheus_has_the_tokens_for_all_four_queries() {
    if !is_here("prometheus") {
        return;
    }
    let sink = PrometheusSink::new();
    round(&sink);
    let server = Server::start(metrics_router(sink.clone()));
    let prometheus = Prometheus::start(&[("program", server.address)]);
    prometheus.wait_for(TOTAL, 3_000.0);
    round(&sink);
    prometheus.check_token_queries(&ROUND);
    // The same total, but with two models' tokens swapped: the check would notice it.
    let mut swapped = ROUND;
    (swapped[0].0, swapped[2].0) = (ROUND[2].0, ROUND[0].0);
    let check = AssertUnwindSafe(|| prometheus.check_token_queries(&swapped));
    assert!(catch_unwind(check).is_err());

    // The panels of model calls have something to show, for each model.
    let mut shown = 0;
    for (title, query) in queries_of_the_dashboard() {
        let label = match title.as_str() {
            "Tokens of a call, quantiles" => "gen_ai_token_type",
            "Tokens of a call by model, mean" => "gen_ai_request_model",
            "Output for each token of input, by model" | "Tokens by model in this time" => "model_id",
            _ => continue,
        };
        wait_for(&title, || {
            (prometheus.query(&query, label).len() == 2).then_some(())
        });
        shown += 1;
    }
    assert_eq!(shown, 5);

    // OpenMetrics brought the unit and the exemplars along.
    let metadata = prometheus.api("targets/metadata?metric=", "llama_stack_tokens");
    assert_eq!(metadata[0]["type"], "counter");
    assert_eq!(metadata[0]["unit"], "tokens");
    assert_eq!(metadata[0]["help"], "Total tokens used (prompt + completion).");
    let exemplars = prometheus.api(
        "query_exemplars?start=1&end=4000000000&query=",
        "llama_stack_tokens_total",
    );
    assert_eq!(exemplars.as_array().unwrap().len(), ROUND.len());
    assert_eq!(
        exemplars[0]["exemplars"][0]["labels"]["trace_id"],
        "09".repeat(16)
    );
}

#[test]
fn prometheus_reads_hostile_labels_in_both_formats() {
    if !is_here("prometheus") {
        return;
    }
    let sink = hostile_program();
    let open = Server::start(metrics_router(sink.clone()));
    // The scrape without an `Accept` header, whatever Prometheus sends.
    let answer = move || {
        let (content_type, text) = sink.encode("");
        async move { ([(CONTENT_TYPE, content_type)], text) }
    };
    let classic = Server::start(axum::Router::new().route("/metrics", get(answer)));
    let prometheus = Prometheus::start(&[("open", open.address), ("classic", classic.address)]);
    for job in ["open", "classic"] {
        prometheus.wait_for(&format!("sum(llama_stack_requests_total{{job='{job}'}})"), 6.0);
        assert_eq!(
            prometheus.query(
                &format!("llama_stack_requests_total{{job='{job}', nul='a␀b'}}"),
                "api"
            ),
            answers([(HOSTILE, 2.0), ("# EOF", 2.0)])
        );
        let bucket = format!("llama_stack_request_duration_seconds_bucket{{job='{job}', le=~'0.25|0.5'}}");
        let by_bucket = prometheus.query(&format!("sum by (le) ({bucket})"), "le");
        assert_eq!(by_bucket, answers([("0.25", 0.0), ("0.5", 3.0)]));
        let overflow = format!("spanscope_metric_overflow_total{{job='{job}'}}");
        let metrics = [
            ("llama_stack_request_duration_seconds", 1.0),
            ("llama_stack_requests_total", 1.0),
        ];
        assert_eq!(prometheus.query(&overflow, "metric"), answers(metrics));
        assert_eq!(
            prometheus.query(&format!("level{{job='{job}'}}"), "exported_le"),
            answers([("x", 0.1)])
        );
    }
    // A classic parser knows the type of the counter's full name.
    let metadata = prometheus.api("targets/metadata?metric=", "llama_stack_requests_total");
    assert_eq!(metadata.as_array().unwrap().len(), 1);
    assert_eq!(metadata[0]["target"]["job"], "classic");
    assert_eq!(metadata[0]["type"], "counter");
    every_query_of_the_dashboard_is_understood(&prometheus);
}

fn every_query_of_the_dashboard_is_understood(prometheus: &Prometheus) {
    let queries = queries_of_the_dashboard();
    for (_, query) in &queries {
        prometheus.api("query?query=", query);
    }
    assert!(queries.len() > 20, "{queries:?}");
}
