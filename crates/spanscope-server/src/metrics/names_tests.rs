//! Tests of the names that metrics have in Prometheus.

use spanscope_model::MetricKind::{Counter, Gauge, Histogram};

use super::{family_name, identifier, sample_name, unit_in, unit_word};

#[test]
fn the_table_in_the_documentation_of_the_sink_holds() {
    for (name, kind, unit, sample) in [
        (
            "prompt_tokens",
            Counter,
            "tokens",
            "llama_stack_prompt_tokens_total",
        ),
        (
            "completion_tokens",
            Counter,
            "tokens",
            "llama_stack_completion_tokens_total",
        ),
        ("total_tokens", Counter, "tokens", "llama_stack_tokens_total"),
        (
            "llama_stack_tokens_total",
            Counter,
            "tokens",
            "llama_stack_tokens_total",
        ),
        (
            "llama_stack_requests_total",
            Counter,
            "",
            "llama_stack_requests_total",
        ),
        (
            "llama_stack_request_duration_seconds",
            Histogram,
            "s",
            "llama_stack_request_duration_seconds",
        ),
        (
            "llama_stack_concurrent_requests",
            Gauge,
            "requests",
            "llama_stack_concurrent_requests",
        ),
        ("queue_length", Gauge, "requests", "queue_length"),
        ("cache_misses", Counter, "", "cache_misses_total"),
        (
            "gen_ai.client.token.usage",
            Histogram,
            "{token}",
            "gen_ai_client_token_usage",
        ),
        (
            "gen_ai.client.operation.duration",
            Histogram,
            "s",
            "gen_ai_client_operation_duration_seconds",
        ),
        (
            "gen_ai.client.inference.usage.input_tokens",
            Counter,
            "{token}",
            "gen_ai_client_inference_usage_input_tokens_total",
        ),
        (
            "http.server.active_requests",
            Gauge,
            "{request}",
            "http_server_active_requests",
        ),
        (
            "http.server.request.body.size",
            Histogram,
            "By",
            "http_server_request_body_size_bytes",
        ),
        ("cpu.utilization", Gauge, "1", "cpu_utilization_ratio"),
        ("disk.io", Counter, "By/s", "disk_io_bytes_per_second_total"),
    ] {
        assert_eq!(
            sample_name(&family_name(name, unit, kind), kind),
            sample,
            "{name}"
        );
    }
}

#[test]
fn any_text_becomes_an_identifier() {
    for (text, name) in [
        ("", "_"),
        ("a.b-c  d", "a_b_c_d"),
        ("__name__", "_name_"),
        ("9lives", "key_9lives"),
        ("日本", "_"),
        ("_total", "_total"),
    ] {
        assert_eq!(identifier(text, "key_"), name, "{text}");
    }
    assert_eq!(identifier(&"x".repeat(10_000), "_").len(), super::MAX_NAME);
    assert_eq!(
        sample_name(&family_name("_total", "", Counter), Counter),
        "_total_total"
    );
}

#[test]
fn a_unit_is_found_only_behind_a_name() {
    assert_eq!(unit_in("llama_stack_tokens", "tokens"), Some("llama_stack"));
    assert_eq!(unit_in("tokens", "tokens"), None);
    assert_eq!(unit_in("anything", ""), None);
    assert_eq!(unit_word("{token}"), "");
    assert_eq!(unit_word("1"), "");
    assert_eq!(unit_word("{request}/s"), "per_second");
    assert_eq!(unit_word("foo\"bar"), "foo_bar");
}
