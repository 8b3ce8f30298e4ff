//! Input that is too much, or contradicts itself.

use spanscope_core::capture::{Clock, RawValue};
use spanscope_core::metrics::{Measurement, MetricSink};
use spanscope_layers::metrics::Number::{self, F64, I64, U64};
use spanscope_model::MetricKind::{Counter, Gauge, Histogram};
use spanscope_server::{MAX_LABEL_SETS, MAX_METRICS, PrometheusSink};

use crate::support::{DURATION, Metric, OPENMETRICS, TOKENS, samples, scraped, values};

#[test]
fn hostile_labels_stay_within_their_quotes() {
    let sink = PrometheusSink::new();
    let long = "\"".repeat(10_000);
    let labels = [
        ("quote\"d", "a\"} 1\nllama_stack_tokens_total 7"),
        ("back", "\\\"\\"),
        ("nul", "a\0b\r\u{7}\u{85}\u{fffd}"),
        ("__name__", "other"),
        ("", "nameless"),
        ("9", "# EOF"),
        ("long", long.as_str()),
        ("exemplar", "} 1 # {trace_id=\"a\"} 1 1"),
    ];
    TOKENS.record(&sink, &labels, I64(1));
    DURATION.record(&sink, &[("le", "+Inf"), ("x", " # {")], F64(0.5));
    for accept in ["", OPENMETRICS] {
        let (_, text) = sink.encode(accept);
        let found = samples(&text);
        let tokens = r##"llama_stack_tokens_total{_="nameless",_name_="other",back="\\\"\\",exemplar="} 1 # {trace_id=\"a\"} 1 1",key_9="# EOF",long=""##;
        let (series, value) = found
            .iter()
            .find(|(series, _)| series.starts_with(tokens))
            .unwrap();
        assert_eq!(*value, 1.0);
        let rest = format!(
            "{}…\",nul=\"a␀b␍␇␦␦\",quote_d=\"a\\\"}} 1\\nllama_stack_tokens_total 7\"}}",
            "\\\"".repeat(256)
        );
        assert_eq!(&series[tokens.len()..], rest);
        let bucket = r##"llama_stack_request_duration_seconds_bucket{le="0.5",exported_le="+Inf",x=" # {"}"##;
        assert_eq!(found[bucket], 1.0);
    }
}

#[test]
fn label_sets_beyond_the_bound_are_one_series_and_counted() {
    let sink = PrometheusSink::with_max_label_sets(2);
    for user in ["a", "b", "c", "d", "a", "b"] {
        TOKENS.record(&sink, &[("user", user)], I64(10));
    }
    let found = scraped(&sink);
    assert_eq!(found[r#"llama_stack_tokens_total{user="a"}"#], 20.0);
    assert_eq!(found[r#"llama_stack_tokens_total{user="b"}"#], 20.0);
    assert_eq!(
        found[r#"llama_stack_tokens_total{otel_metric_overflow="true"}"#],
        20.0
    );
    assert_eq!(
        found[r#"spanscope_metric_overflow_total{metric="llama_stack_tokens_total"}"#],
        2.0
    );
    assert_eq!(found.len(), 4);
}

#[test]
fn every_spelling_of_the_overflow_label_is_one_series() {
    let sink = PrometheusSink::with_max_label_sets(0);
    TOKENS.record(&sink, &[("otel_metric_overflow", "true")], I64(1));
    TOKENS.record(&sink, &[("otel.metric.overflow", "true")], I64(1));
    TOKENS.record(&sink, &[], I64(1));
    assert_eq!(
        scraped(&sink)[r#"llama_stack_tokens_total{otel_metric_overflow="true"}"#],
        3.0
    );
}

#[test]
fn a_hundred_thousand_label_values_are_all_counted() {
    let sink = PrometheusSink::new();
    let tail = "x".repeat(10_000);
    for number in 0..100_000 {
        let value = format!("{number} {tail}");
        TOKENS.record(&sink, &[("user", &value)], I64(1));
        DURATION.record(&sink, &[("user", &value)], F64(0.1));
    }
    let (_, text) = sink.encode(OPENMETRICS);
    let found = samples(&text);
    assert_eq!(
        values(&found, "llama_stack_tokens_total{").len(),
        MAX_LABEL_SETS + 1
    );
    assert_eq!(
        values(&found, "llama_stack_tokens_total{").iter().sum::<f64>(),
        100_000.0
    );
    assert_eq!(
        values(&found, "llama_stack_request_duration_seconds_count{")
            .iter()
            .sum::<f64>(),
        100_000.0
    );
    assert_eq!(
        values(&found, "spanscope_metric_overflow_total{")
            .iter()
            .sum::<f64>(),
        2.0 * 98_000.0
    );
}

fn rejected(metric: &str, reason: &str) -> String {
    format!("spanscope_metric_rejected_total{{metric=\"{metric}\",reason=\"{reason}\"}}")
}

#[test]
fn the_first_measurement_determines_kind_and_unit() {
    let sink = PrometheusSink::new();
    Metric(Counter, "jobs", "").record(&sink, &[], I64(1));
    Metric(Gauge, "jobs_total", "").record(&sink, &[], I64(5));
    Metric(Histogram, "jobs", "").record(&sink, &[], I64(5));
    Metric(Histogram, "wait.time", "s").record(&sink, &[], I64(1));
    Metric(Histogram, "wait.time", "ms").record(&sink, &[], I64(1_000));
    Metric(Histogram, "wait.time", "seconds").record(&sink, &[], I64(1));
    Metric(Histogram, "wait.time", "").record(&sink, &[], I64(1));
    for accept in ["", OPENMETRICS] {
        let found = samples(&sink.encode(accept).1);
        assert_eq!(found["jobs_total{}"], 1.0);
        assert_eq!(found["wait_time_seconds_sum{}"], 3.0);
        assert_eq!(found[&rejected("jobs_total", "name")], 1.0);
        assert_eq!(found[&rejected("jobs_total", "kind")], 1.0);
        assert_eq!(found[&rejected("wait_time_seconds", "unit")], 1.0);
    }
}

#[test]
fn a_metric_with_the_name_of_anothers_samples_is_rejected() {
    let sink = PrometheusSink::new();
    Metric(Histogram, "size", "").record(&sink, &[], I64(1));
    Metric(Gauge, "size_count", "").record(&sink, &[], I64(2));
    Metric(Gauge, "room_sum", "").record(&sink, &[], I64(2));
    Metric(Histogram, "room", "").record(&sink, &[], I64(1));
    Metric(Counter, "spanscope_metric_overflow_total", "").record(&sink, &[], I64(1));
    let found = scraped(&sink);
    assert_eq!(found["size_count{}"], 1.0);
    assert_eq!(found["room_sum{}"], 2.0);
    for metric in ["size", "room_sum", "spanscope_metric_overflow_total"] {
        assert_eq!(found[&rejected(metric, "name")], 1.0);
    }
}

#[test]
fn two_names_of_one_metric_add_up() {
    let sink = PrometheusSink::new();
    TOKENS.record(&sink, &[], I64(1));
    Metric(Counter, "llama_stack_tokens_total", "tokens").record(&sink, &[], I64(2));
    Metric(Counter, "llama_stack.tokens", "").record(&sink, &[], I64(4));
    assert_eq!(scraped(&sink)["llama_stack_tokens_total{}"], 7.0);
}

#[test]
fn impossible_values_are_rejected() {
    let sink = PrometheusSink::new();
    let bad = [I64(-1), F64(-0.5), F64(f64::NAN), F64(f64::INFINITY)];
    let record = |metric: Metric<'_>, value: Number| metric.record(&sink, &[], value);
    for value in bad {
        record(TOKENS, value);
        record(DURATION, value);
    }
    assert!(!sink.encode("").1.contains("NaN"));
    record(Metric(Gauge, "level", ""), I64(-3));
    record(Metric(Gauge, "level", ""), F64(f64::NAN));
    let found = scraped(&sink);
    assert_eq!(found["level{}"], -3.0);
    assert_eq!(found[&rejected("llama_stack_tokens_total", "value")], 4.0);
    assert_eq!(
        found[&rejected("llama_stack_request_duration_seconds", "value")],
        4.0
    );
    assert_eq!(found[&rejected("level", "value")], 1.0);
}

#[test]
fn huge_numbers_do_not_wrap_around() {
    let sink = PrometheusSink::new();
    for value in [U64(u64::MAX), I64(i64::MAX), U64(u64::MAX), I64(1), F64(2.0)] {
        TOKENS.record(&sink, &[], value);
    }
    let total = scraped(&sink)["llama_stack_tokens_total{}"];
    assert!((4.5e19..4.7e19).contains(&total), "{total}");
}

#[test]
fn metrics_beyond_the_bound_are_counted() {
    let sink = PrometheusSink::new();
    for number in 0..MAX_METRICS + 5 {
        Metric(Gauge, &format!("metric_{number}"), "").record(&sink, &[], I64(1));
    }
    let found = scraped(&sink);
    assert_eq!(found.len(), MAX_METRICS + 1);
    assert_eq!(
        found[r#"spanscope_metric_rejected_total{reason="too_many_metrics"}"#],
        5.0
    );
}

#[test]
fn a_gauge_keeps_the_measurement_that_was_made_last() {
    let sink = PrometheusSink::new();
    let first = Clock::global().now();
    let second = std::iter::repeat_with(|| Clock::global().now())
        .find(|now| *now != first)
        .unwrap();
    let times = [first, second];
    for (value, time) in [(0, times[1]), (7, times[0])] {
        sink.record(&Measurement {
            name: "level",
            value: I64(value),
            unit: "",
            kind: Gauge,
            labels: &[("of", RawValue::Text("tank", None))],
            span: None,
            time,
            is_event: true,
        });
    }
    assert_eq!(scraped(&sink)["level{of=\"tank\"}"], 0.0);
}
