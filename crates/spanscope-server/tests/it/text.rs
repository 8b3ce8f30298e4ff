//! The whole text, in both formats.

use spanscope_layers::metrics::Number::{F64, I64};
use spanscope_model::MetricKind::{Counter, Gauge, Histogram};
use spanscope_server::PrometheusSink;

use crate::support::{CONCURRENT, DURATION, Metric, OPENMETRICS, REQUESTS, TOKENS, samples, span};

/// The measurements of a program with two models after a few requests.
fn program() -> PrometheusSink {
    let sink = PrometheusSink::new();
    let llama = [("model_id", "llama3.2:3b"), ("provider_id", "ollama")];
    let other = [("provider_id", "tgi"), ("model_id", "other")];
    for (labels, prompt, completion, at) in [(&llama, 100, 50, 1), (&other, 7, 3, 2), (&llama, 20, 5, 3)] {
        Metric(Counter, "prompt_tokens", "tokens").record_in(&sink, labels, I64(prompt), span(at));
        Metric(Counter, "completion_tokens", "tokens").record_in(&sink, labels, I64(completion), span(at));
        TOKENS.record_in(&sink, labels, I64(prompt + completion), span(at));
    }
    let usage = [("gen_ai.operation.name", "chat"), ("gen_ai.token.type", "input")];
    Metric(Histogram, "gen_ai.client.token.usage", "{token}").record_in(&sink, &usage, I64(100), span(1));
    let chat = [("gen_ai.operation.name", "chat")];
    Metric(Histogram, "gen_ai.client.operation.duration", "s").record(&sink, &chat, F64(0.5));
    for (status, seconds, at) in [("200", 0.02, 1), ("200", 45.0, 2), ("500", 0.004, 3)] {
        let labels = [("api", "inference"), ("status", status)];
        REQUESTS.record_in(&sink, &labels, I64(1), span(at));
        DURATION.record_in(&sink, &labels, F64(seconds), span(at));
    }
    CONCURRENT.record(&sink, &[("api", "inference")], I64(3));
    CONCURRENT.record(&sink, &[("api", "inference")], I64(0));
    Metric(Gauge, "http.server.active_requests", "{request}").record(
        &sink,
        &[("url.scheme", "http")],
        I64(2),
    );
    Metric(Gauge, "queue_length", "requests").record(&sink, &[], F64(-1.5));
    Metric(Counter, "cache.read", "By").record_in(&sink, &[], F64(0.5), span(4));
    Metric(Counter, "cache.read", "By").record(&sink, &[], I64(2));
    sink
}

/// The time of an exemplar, the only thing that differs from run to run.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((rest, time)) if line.contains(" # {trace_id=") => {
            assert!(time.parse::<f64>().unwrap() > 1.7e9, "{line}");
            format!("{rest} <time>\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn openmetrics_has_names_help_types_units_and_exemplars() {
    let (content_type, text) = program().encode(OPENMETRICS);
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    insta::assert_snapshot!(without_times(&text));
}

#[test]
fn the_classic_format_has_the_same_samples_and_nothing_that_its_parsers_refuse() {
    let sink = program();
    let (content_type, text) = sink.encode("");
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("# EOF") && !text.contains("# UNIT") && !text.contains("trace_id"));
    assert_eq!(samples(&text), samples(&sink.encode(OPENMETRICS).1));
    insta::assert_snapshot!(text);
}

#[test]
fn without_measurements_the_text_is_empty() {
    let sink = PrometheusSink::default();
    assert_eq!(sink.encode("").1, "");
    assert_eq!(sink.encode(OPENMETRICS).1, "# EOF\n");
}

#[test]
fn an_exemplar_stays_when_a_measurement_has_no_span() {
    let sink = PrometheusSink::new();
    TOKENS.record_in(&sink, &[], I64(1), span(0xab));
    TOKENS.record(&sink, &[], I64(1));
    let (_, text) = sink.encode(OPENMETRICS);
    let trace = "ab".repeat(16);
    let (span, head) = ("ab".repeat(8), "llama_stack_tokens_total{} 2 # ");
    assert!(
        text.contains(&format!("{head}{{trace_id=\"{trace}\",span_id=\"{span}\"}} 1.0 ")),
        "{text}"
    );
}
